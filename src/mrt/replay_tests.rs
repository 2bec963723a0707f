//! Files made by hand, and the BMP messages that come of them.

use super::*;
use crate::wire::bgp::routes::Routes;
use crate::wire::bgp::update::{DecodeContext, Update, decode};
use crate::wire::bmp::peer::{PerPeerHeader, Rib};
use crate::wire::bmp::{self, Message};

const MESSAGE_MAX: usize = 1 << 20;

fn record(type_code: u16, subtype: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0x65, 0, 0, 1][..], &type_code.to_be_bytes(), &subtype.to_be_bytes(), &length, body].concat()
}

fn stream_of(file: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut stream = BmpStream::new(file, Survey::of(file), "file");
    let mut out = Vec::new();
    stream.read_to_end(&mut out).unwrap();
    (out, stream.notes().lines())
}

fn header(header: &PerPeerHeader) -> String {
    let rib = match header.rib {
        Rib::AdjRibIn(_) => "in",
        Rib::AdjRibOut(_) => "out",
        Rib::LocRib { .. } => "loc",
    };
    format!("{rib} {} {}", header.peer.address, header.peer.asn)
}

/// The messages of a stream, a line each.
fn lines(stream: &[u8]) -> Vec<String> {
    let (mut rest, mut lines) = (stream, Vec::new());
    while let Some(frame) = bmp::next_frame(rest, MESSAGE_MAX).unwrap() {
        rest = &rest[frame.bytes.len()..];
        lines.push(match bmp::decode(&frame).unwrap() {
            Message::Initiation(_) => "initiation".to_owned(),
            Message::PeerUp(up) => format!("up {} {}", header(&up.peer), up.sent_open.bgp_id),
            Message::PeerDown(down) => format!("down {}", header(&down.peer)),
            Message::RouteMonitoring(monitoring) => {
                let context = DecodeContext { as_width: monitoring.peer.as_width, ..DecodeContext::default() };
                let mut routes = Routes::default();
                let content = match decode(monitoring.update, 0, &context, &mut routes).unwrap().update {
                    Update::EndOfRib(family) => format!("end {}/{}", family.afi, family.safi),
                    Update::Routes(routes) => {
                        let path = routes.attributes.as_path.as_ref().map(ToString::to_string).unwrap_or_default();
                        let family = routes.announced.first().map_or(0, |announced| announced.family.safi);
                        format!("path {path} safi {family}")
                    }
                    Update::RouteRefresh(_) => "refresh".to_owned(),
                };
                let seconds = monitoring.peer.time.map_or(0, |time| time.unix_micros() / 1_000_000);
                format!("{} {seconds}: {content}", header(&monitoring.peer))
            }
            other => panic!("{other:?}"),
        });
    }
    assert!(rest.is_empty());
    lines
}

/// A peer table of an IPv4 peer with an AS of four octets and FRR's peer of the router's own routes.
fn peer_index() -> Vec<u8> {
    let body = [
        &[192, 0, 2, 1, 0, 0, 0, 2][..],
        &[2, 198, 51, 100, 1, 203, 0, 113, 1, 0, 1, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    record(13, 1, &body.concat())
}

/// A RIB entry of this peer.
fn entry(peer: u8, as_path: &[u8]) -> Vec<u8> {
    let path = [&[0x40, 1, 1, 0, 0x40, 2, u8::try_from(as_path.len()).unwrap()], as_path].concat();
    let attributes = [&path[..], &[0x40, 3, 4, 192, 0, 2, 9]].concat();
    [&[0, peer, 0, 0, 0, 7, 0, u8::try_from(attributes.len()).unwrap()], &attributes[..]].concat()
}

/// An UPDATE with these attributes for 10.0.0.0/8.
fn update(attributes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(19 + 4 + attributes.len() + 2).unwrap();
    let size = u8::try_from(attributes.len()).unwrap();
    [&[0xff; 16][..], &[0, length, 2, 0, 0, 0, size], attributes, &[8, 10]].concat()
}

fn session(asns: &[u8], local: u8, rest: &[u8]) -> Vec<u8> {
    [asns, &[0, 0, 0, 1, 203, 0, 113, 1, 203, 0, 113, local], rest].concat()
}

#[test]
fn a_table_is_sent_peer_by_peer() {
    let path = [2, 1, 0, 1, 0, 0];
    let two = [&[0, 0, 0, 0, 8, 10, 0, 2][..], &entry(0, &path), &entry(1, &[])].concat();
    let generic = [&[0, 0, 0, 1, 0, 1, 2, 8, 239, 0, 1][..], &entry(0, &path)].concat();
    let unknown = [&[0, 0, 0, 2, 8, 11, 0, 2][..], &entry(9, &path), &entry(0, &path)].concat();
    let cut = [&[0, 0, 0, 3, 8, 12, 0, 2][..], &entry(0, &path), &entry(0, &path)[..9]].concat();
    let file = [
        peer_index(),
        record(13, 2, &two),
        record(13, 6, &generic),
        record(13, 7, &[]),
        record(13, 2, &unknown),
        record(13, 2, &cut),
    ]
    .concat();
    let (stream, notes) = stream_of(&file);
    let route = "in 203.0.113.1 65536 7: path 65536 safi 1";
    let want = [
        "initiation",
        "up in 203.0.113.1 65536 192.0.2.1",
        route,
        "up in 192.0.2.1 0 192.0.2.1",
        "in 192.0.2.1 0 7: path  safi 1",
        "in 203.0.113.1 65536 7: path 65536 safi 2",
        route,
        route,
        "in 203.0.113.1 65536 1694498817: end 1/1",
        "in 203.0.113.1 65536 1694498817: end 1/2",
        "in 192.0.2.1 0 1694498817: end 1/1",
    ];
    assert_eq!(lines(&stream), want);
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("an entry of peer 9, which the peer table does not have"), "{notes:?}");
    assert!(notes[1].starts_with(&format!("octet {}: BGP Attributes", file.len() - 1)), "{notes:?}");
    assert_eq!(notes[2], "left out: records of type 13, subtype 7, 1 times");
}

#[test]
fn messages_of_all_kinds() {
    // AS 23456 stands for 65536, which AS4_PATH has (RFC 6793).
    let old =
        [&[0x40, 1, 1, 0, 0x40, 2, 6, 2, 2, 0xfb, 0xf1, 0x5b, 0xa0][..], &[0xc0, 17, 6, 2, 1, 0, 1, 0, 0]].concat();
    let new = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 1, 0, 0];
    let (two, four) = ([0xfb, 0xf1, 0xfb, 0xf2], [0, 0, 0xfb, 0xf1, 0, 0, 0xfb, 0xf2]);
    let keepalive = [&[0xff; 16][..], &[0, 19, 4]].concat();
    let file = [
        record(16, 1, &session(&two, 2, &update(&old))),
        record(17, 4, &[&[0, 0, 0, 5][..], &session(&four, 2, &update(&new))].concat()),
        record(16, 4, &session(&four, 2, &keepalive)),
        record(16, 7, &session(&four, 2, &update(&new))),
        record(16, 5, &session(&four, 2, &[0, 6, 0, 1])),
        record(16, 5, &session(&four, 2, &[0, 5, 0, 6])),
        record(16, 0, &session(&two, 2, &[0, 3, 0, 4])),
        record(16, 4, &session(&[0, 0, 0xfb, 0xf2, 0, 0, 0xfb, 0xf2], 1, &update(&new))),
        record(
            12,
            1,
            &[&[0, 0, 0, 0, 10, 0, 0, 0, 8, 1, 0, 0, 0, 7, 203, 0, 113, 1, 0xfb, 0xf1][..], &[0, 13], &old[..13]]
                .concat(),
        ),
    ]
    .concat();
    let (stream, notes) = stream_of(&file);
    let want = [
        "initiation",
        "up in 203.0.113.1 64497 203.0.113.2",
        "in 203.0.113.1 64497 1694498817: path 64497 65536 safi 1",
        "in 203.0.113.1 64497 1694498817: path 65536 safi 1",
        "out 203.0.113.1 64497 1694498817: path 65536 safi 1",
        "down in 203.0.113.1 64497",
        "up in 203.0.113.1 64497 203.0.113.2",
        "up loc 0.0.0.0 64498 203.0.113.2",
        "loc 0.0.0.0 64498 1694498817: path 65536 safi 1",
        "in 203.0.113.1 64497 7: path 64497 23456 safi 1",
        "in 203.0.113.1 64497 1694498817: end 1/1",
    ];
    assert_eq!(lines(&stream), want);
    assert_eq!(notes, Vec::<String>::new());
}

/// Any end of a file, and any changed octet: messages come of it all the same, and not many.
#[test]
fn damaged_files_are_bounded() {
    let path = [2, 1, 0, 1, 0, 0];
    let rib = [&[0, 0, 0, 0, 8, 10, 0, 2][..], &entry(0, &path), &entry(1, &[])].concat();
    let message = session(&[0, 0, 0xfb, 0xf1, 0, 0, 0xfb, 0xf2], 2, &update(&[0x40, 1, 1, 0, 0x40, 2, 0]));
    let file = [peer_index(), record(13, 2, &rib), record(16, 4, &message)].concat();
    let check = |file: &[u8]| {
        let (stream, _) = stream_of(file);
        let (mut rest, mut count) = (&stream[..], 0);
        while let Some(frame) = bmp::next_frame(rest, MESSAGE_MAX).unwrap() {
            rest = &rest[frame.bytes.len()..];
            count += 1;
        }
        assert!(rest.is_empty() && (1..20).contains(&count), "{count}");
    };
    for end in 0..file.len() {
        check(&file[..end]);
        for octet in [0, 0xff, file[end] ^ 1] {
            let mut changed = file.clone();
            changed[end] = octet;
            check(&changed);
        }
    }
}
