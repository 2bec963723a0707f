//! Any prefix and any changed octet of recordings of real routers, through the same checks as the fuzz targets
//! (`tests/fuzz`): frames, messages, the whole session down to the rows of a COPY, and the lines of `decode`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::bmp as made;
use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use rib_ingester::model::{Afi, Prefix, Timestamp};
use rib_ingester::mrt::destinations::RibPart;
use rib_ingester::mrt::messages::{self, BgpSession, Change};
use rib_ingester::mrt::tables::{TablePeer, TableRoute, TableWriter};
use rib_ingester::wire::bmp::{self, Frame, Message};

#[path = "../fuzz/src/lib.rs"]
pub(crate) mod checks;

/// The number of messages of one recording that are changed octet by octet, so that the tests take seconds.
const MESSAGES_MAX: usize = 8;

/// The number of octets of Initiation and Peer Ups before a changed message.
const HEAD_OCTETS: usize = 512;

fn recordings() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bmp"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn frames(stream: &[u8]) -> Vec<Frame<'_>> {
    let mut all = Vec::new();
    let mut rest = stream;
    while let Some(frame) = bmp::next_frame(rest, checks::MESSAGE_MAX).unwrap() {
        rest = &rest[frame.bytes.len()..];
        all.push(frame);
    }
    all
}

/// A shorter recording: the messages that the session needs, and messages of different types and lengths.
fn digest(recording: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut head = Vec::new();
    let mut kinds = HashSet::new();
    let mut messages = Vec::new();
    for frame in frames(recording) {
        let is_head = matches!(bmp::decode(&frame), Ok(Message::Initiation(_) | Message::PeerUp(_)));
        if is_head && head.len() < HEAD_OCTETS {
            head.extend(frame.bytes);
        }
        if messages.len() < MESSAGES_MAX && kinds.insert((frame.type_code, frame.bytes.len())) {
            messages.push(frame.bytes.to_vec());
        }
    }
    (head, messages)
}

fn session(stream: &[u8]) {
    checks::session::check(&[&[0x10][..], stream].concat());
}

#[test]
fn recordings_pass_every_check_as_they_are() {
    for recording in recordings() {
        session(&recording);
        checks::lines::check(&recording);
        for control in [0x1f, 0xf0, 0xf7] {
            checks::frames::check(&[&[control][..], &recording].concat());
        }
        for (target, seed) in checks::seeds::of(&recording) {
            match target {
                "capture" => checks::capture::check(&seed),
                "frames" => checks::frames::check(&seed),
                "lines" => checks::lines::check(&seed),
                "message" => checks::message::check(&seed),
                "open" => checks::open::check(&seed),
                "session" => checks::session::check(&seed),
                "update" => checks::update::check(&seed),
                other => panic!("no target {other}"),
            }
        }
    }
}

#[test]
fn a_session_does_not_depend_on_where_it_is_cut() {
    for recording in recordings() {
        for control in [0, 0x38] {
            checks::session::check_cuts(&[&[control][..], &recording].concat(), &[usize::MAX, 211]);
        }
    }
}

#[test]
fn every_prefix_of_a_session_is_a_session() {
    for recording in recordings() {
        let (head, messages) = digest(&recording);
        for message in messages {
            for cut in 0..message.len() {
                session(&[&head[..], &message[..cut]].concat());
            }
        }
    }
}

#[test]
fn every_changed_octet_costs_no_more_than_the_session() {
    for recording in recordings() {
        let (head, messages) = digest(&recording);
        for message in messages {
            let mut stream = [&head[..], &message, &message].concat();
            for at in head.len()..head.len() + message.len() {
                let octet = stream[at];
                for changed in [octet ^ 0xff, octet ^ 1] {
                    stream[at] = changed;
                    session(&stream);
                }
                stream[at] = octet;
            }
        }
    }
}

#[test]
fn every_changed_octet_keeps_the_parts_inside() {
    for recording in recordings() {
        let (_, messages) = digest(&recording);
        for mut message in messages {
            for at in bmp::COMMON_HEADER_SIZE..message.len() {
                let octet = message[at];
                for changed in [octet ^ 0xff, octet ^ 0x80, octet ^ 1, 0] {
                    message[at] = changed;
                    let frame = Frame { version: message[0], type_code: message[5], bytes: &message };
                    checks::message::check_frame(&frame);
                    checks::lines::check(&message);
                }
                message[at] = octet;
            }
        }
    }
}

/// The distance of cuts and changes in a small capture, in octets: no divisor of a header's length, so all fields get
/// their turn.
const CAPTURE_STEP: usize = 7;

/// A small capture of each kind; the stream in it comes from a recording.
#[test]
fn captures_cut_or_changed_pass_the_check() {
    let recording = &recordings()[0];
    let short = &recording[..recording.len().min(600)];
    for seed in checks::capture::seeds(short) {
        let first = usize::from(seed.len() > 1);
        for at in (first..seed.len()).step_by(CAPTURE_STEP) {
            checks::capture::check(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0xff;
            checks::capture::check(&changed);
        }
    }
}

/// Found by fuzzing: the messages that wait until the router has a name are applied together, a table's beginning,
/// events and end, and the check forgot the table before it had received the events.
#[test]
fn validators_files_cut_or_changed_pass_the_check() {
    for seed in checks::rpki::seeds() {
        checks::rpki::check(&seed);
        for at in 0..seed.len() {
            checks::rpki::check(&seed[..at]);
            for octet in *b"0-\"{]:,/\n\0\xff" {
                let mut changed = seed.clone();
                changed[at] = octet;
                checks::rpki::check(&changed);
            }
        }
    }
}

/// A table and messages as they are exported.
fn mrt_file() -> Vec<u8> {
    let time = Timestamp::from_unix_micros(1_700_000_000_123_456);
    let prefix = |octets: &[u8], length| Prefix::new(Afi::Ipv4, octets, length).unwrap();
    let of = |part: RibPart, prefix: Prefix, labels: &[u32]| part.announced(&prefix, labels).unwrap();
    let wide = of(RibPart::Unicast, prefix(&[198, 51, 100], 24), &[]);
    let narrow = of(RibPart::Unicast, prefix(&[203, 0, 113, 128], 25), &[]);
    let labeled = of(RibPart::Labeled, prefix(&[198, 51, 100], 24), &[5, 6]);
    let vpn = of(RibPart::Vpn("0:64500:1".parse().unwrap()), prefix(&[198, 51, 100], 24), &[5]);
    let address = |last| IpAddr::from([203, 0, 113, last]);
    let peer = |last| TablePeer { bgp_id: [203, 0, 113, last].into(), address: address(last), asn: 65_536 };
    let attributes = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 1, 0, 0, 0x40, 3, 4, 203, 0, 113, 1];
    let route = |destination, peer, path_id| TableRoute {
        destination,
        peer,
        path_id,
        originated: time,
        attributes: &attributes,
    };
    let collector = [192, 0, 2, 1].into();
    let mut table = TableWriter::begin(Vec::new(), time, collector, "global", &[peer(1), peer(2)]).unwrap();
    let labeled_routes = [route(&labeled, 0, None), route(&vpn, 0, Some(1)), route(&vpn, 1, Some(1))];
    let routes = [route(&wide, 0, Some(1)), route(&wide, 1, Some(2)), route(&narrow, 1, None)];
    for route in routes.iter().chain(&labeled_routes) {
        table.route(route).unwrap();
    }
    let mut file = table.finish().unwrap();
    let session = BgpSession { peer: address(1), peer_asn: 65_536, local: address(2), local_asn: 64_500 };
    messages::state(&mut file, time, &session, true).unwrap();
    messages::route(&mut file, time, &session, (&wide, Some(7)), Change::Announced(&attributes)).unwrap();
    messages::route(&mut file, time, &session, (&labeled, None), Change::Announced(&attributes)).unwrap();
    messages::route(&mut file, time, &session, (&narrow, None), Change::Withdrawn).unwrap();
    messages::state(&mut file, time, &session, false).unwrap();
    file
}

#[test]
fn mrt_files_cut_or_changed_pass_the_check() {
    let file = mrt_file();
    for end in 0..=file.len() {
        checks::mrt::check(&[&[4][..], &file[..end]].concat());
    }
    for at in 0..file.len() {
        for octet in [0, 0x7f, 0xff, file[at] ^ 1] {
            let mut changed = file.clone();
            changed[at] = octet;
            checks::mrt::check(&[&[1][..], &changed].concat());
        }
    }
}

#[test]
fn a_table_begins_and_ends_before_its_router_is_named() {
    let peer = made::Peer::global_instance("192.0.2.10", 65_010);
    let end_of_rib = made::route_monitoring(peer, &made::end_of_rib_ipv4());
    checks::session::check(&[&[0][..], &end_of_rib, &made::peer_down(peer, 4)].concat());
}

#[test]
fn journals_changed_anywhere_are_read_or_told() {
    checks::journal::check(&[]);
    for seed in checks::journal::seeds() {
        checks::journal::check(&seed);
    }
    // Each of the six files, changed, cut, lengthened and removed.
    for file in 0..6 {
        checks::journal::check(&[file, 3, 0, 0, 0]);
        for at in (0u16..256).step_by(3) {
            let [high, low] = at.to_be_bytes();
            (0..3).for_each(|kind| checks::journal::check(&[file, kind, high, low, 0x21]));
        }
    }
}
