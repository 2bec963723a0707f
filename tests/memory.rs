//! The worst messages that can be made: their cost is a named multiple of their length, and four times the length costs
//! four times the work. Work is counted in allocations and their octets, not in time, so that it is the same on every
//! machine.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::hint::black_box;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rib_ingester::cli::decode;
use rib_ingester::model::AfiSafi;
use rib_ingester::session::changes::{Changes, PathIds};
use rib_ingester::wire::bgp::routes::Routes;
use rib_ingester::wire::bgp::update::{DecodeContext, Update};
use rib_ingester::wire::bmp::{self, Message};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "common/bmp.rs"]
#[allow(dead_code, missing_docs)]
mod made;

#[path = "fuzz/src/lib.rs"]
mod checks;

use made::{Open, Peer, attribute, message, route_monitoring};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The lengths that are compared, octets of payload.
const SHORT: usize = 15_000;
const LONG: usize = 4 * SHORT;

/// The bound on allocator requests: all that was ever asked for, given back or not, so more than is in memory at any
/// one time.
struct Bound {
    /// Octets per octet of the message.
    factor: usize,
    /// Octets that do not depend on the message: buffers of the stream, names, errors.
    fixed: usize,
}

/// The decoder, changes and encoded columns included. The worst are labeled routes, which are no views of the message:
/// each has its own labels and so its own columns, besides those that it shares.
const DECODE: Bound = Bound { factor: 42, fixed: 16 * 1024 };
/// The lines of `decode`. The worst is a list of default route targets: each octet becomes two JSON objects.
const LINES: Bound = Bound { factor: 1_800, fixed: 512 * 1024 };
/// A whole session. The worst is a list of default route targets where they are stored: each octet becomes the fields of
/// an NLRI and its columns.
const SESSION: Bound = Bound { factor: 1_300, fixed: 512 * 1024 };

/// A made-up message of a selectable length.
struct Crafted {
    name: &'static str,
    make: fn(usize) -> Vec<u8>,
}

const fn crafted(name: &'static str, make: fn(usize) -> Vec<u8>) -> Crafted {
    Crafted { name, make }
}

/// Each is the worst that we know for one loop of the decoder.
const ALL: &[Crafted] = &[
    crafted("default routes announced", |size| routes(&[], &[], &vec![0; size])),
    crafted("default routes withdrawn", |size| routes(&vec![0; size], &[], &[])),
    crafted("default routes withdrawn and announced", |size| routes(&vec![0; size / 2], &[], &vec![0; size / 2])),
    crafted("IPv6 default routes", |size| routes(&[], &reach(2, 1, &vec![0; size]), &[])),
    crafted("different /16", |size| routes(&[], &[], &different(size))),
    crafted("host bits in both readings", |size| routes(&[], &[], &[7, 255].repeat(size / 2))),
    crafted("routes that do not tile", |size| routes(&[], &[], &[vec![0; size], vec![33]].concat())),
    crafted("labeled", |size| routes(&[], &reach(1, 4, &[24, 0, 0, 0x11].repeat(size / 4)), &[])),
    crafted("one stack of labels each", |size| {
        let nlri = [&[240][..], &[0, 1, 0].repeat(9), &[0, 0, 0x11]].concat();
        routes(&[], &reach(1, 4, &nlri.repeat(size / nlri.len())), &[])
    }),
    crafted("VPN", |size| {
        let nlri = [88, 0, 0, 0x11, 0, 0, 0, 1, 0, 0, 0, 1];
        routes(&[], &reach(1, 128, &nlri.repeat(size / nlri.len())), &[])
    }),
    crafted("flowspec", |size| routes(&[], &reach(1, 133, &vec![7; size]), &[])),
    crafted("flow specifications without a component", |size| routes(&[], &reach(1, 133, &vec![0; size]), &[])),
    crafted("default route targets", |size| routes(&[], &reach(1, 132, &vec![0; size]), &[])),
    crafted("EVPN routes without content", |size| routes(&[], &reach(25, 70, &[9, 0].repeat(size / 2)), &[])),
    crafted("multicast leaves", |size| {
        let nlri = [&[4, 24, 2, 18][..], &[0; 22]].concat();
        routes(&[], &reach(1, 5, &nlri.repeat(size / nlri.len())), &[])
    }),
    crafted("a link without descriptors", |size| {
        let nlri = [&[0, 2, 0, 9, 2][..], &[0; 8]].concat();
        routes(&[], &reach(16_388, 71, &nlri.repeat(size / nlri.len())), &[])
    }),
    crafted("a link of empty TLVs", |size| {
        let length = u16::try_from(9 + size / 4 * 4).unwrap().to_be_bytes();
        let nlri = [&[0, 2][..], &length, &[2], &[0; 8], &[9, 9, 0, 0].repeat(size / 4)].concat();
        routes(&[], &reach(16_388, 71, &nlri), &[])
    }),
    crafted("communities", |size| with(8, &vec![0xff; size / 4 * 4])),
    crafted("extended communities", |size| with(16, &vec![0xff; size / 8 * 8])),
    crafted("large communities", |size| with(32, &vec![0xff; size / 12 * 12])),
    crafted("IPv6 extended communities", |size| with(25, &vec![0xff; size / 20 * 20])),
    crafted("cluster list", |size| with(10, &vec![0xff; size / 4 * 4])),
    crafted("AS path of single ASes", |size| with(2, &[2, 1, 255, 255, 255, 255].repeat(size / 6))),
    crafted("AS path of the other width", |size| with(2, &[2, 1, 255, 255].repeat(size / 4))),
    crafted("AS4_PATH to be merged", |size| {
        let path = attribute(0x50, 2, &[2, 1, 1, 1].repeat(size / 10));
        routes(&[], &[path, attribute(0xd0, 17, &[2, 1, 1, 1, 1, 1].repeat(size / 10))].concat(), &[8, 10])
    }),
    crafted("unknown attribute", |size| with(99, &vec![0xff; size])),
    crafted("empty attributes, again and again", |size| routes(&[], &[0x40, 6, 0].repeat(size / 3), &[8, 10])),
    crafted("AIGP of empty TLVs", |size| with(26, &[2, 0, 3].repeat(size / 3))),
    crafted("ATTR_SET of empty attributes", |size| with(128, &[vec![0; 4], [0x40, 6, 0].repeat(size / 3)].concat())),
    crafted("tunnels without sub-TLVs", |size| with(23, &[0, 8, 0, 0].repeat(size / 4))),
    crafted("capabilities", |size| {
        // Optional parameters with lengths of two octets (RFC 9072 section 2).
        let parameter = [&[2, 0, 200][..], &[70, 0].repeat(100)].concat();
        peer_up(&parameter.repeat(size / 2 / parameter.len()), &[])
    }),
    crafted("families with path identifiers", |size| {
        let parameter = [&[2, 0, 202, 69, 200][..], &[0, 1, 1, 3].repeat(50)].concat();
        peer_up(&parameter.repeat(size / 2 / parameter.len()), &[])
    }),
    crafted("empty TLVs of a Peer Up", |size| peer_up(&[], &[0, 9, 0, 0].repeat(size / 4))),
    crafted("empty TLVs of an Initiation", |size| message(4, &[0, 9, 0, 0].repeat(size / 4))),
    crafted("text that is none", |size| {
        let length = u16::try_from(size).unwrap().to_be_bytes();
        message(4, &[&[0, 2][..], &length, &vec![0xff; size]].concat())
    }),
    crafted("text of NUL", |size| {
        let length = u16::try_from(size).unwrap().to_be_bytes();
        message(4, &[&[0, 2][..], &length, &vec![0; size]].concat())
    }),
    crafted("empty statistics", |size| message(1, &[header(), vec![0; 4], [0, 9, 0, 0].repeat(size / 4)].concat())),
    crafted("empty mirrored messages", |size| message(6, &[header(), [0, 0, 0, 0].repeat(size / 4)].concat())),
    crafted("version 4: TLVs without a value", |size| version_4(&[0, 9, 0, 0, 0, 0].repeat(size / 6))),
    crafted("version 4: an Add-Path capability for the message", |size| {
        let tlv = [&[0, 6, 0, 202, 0, 0, 69, 200][..], &[0, 1, 1, 3].repeat(50)].concat();
        version_4(&tlv.repeat(size / tlv.len()))
    }),
];

fn routes(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    route_monitoring(Peer::loc_rib("10.0.0.1"), &made::update(withdrawn, attributes, nlri))
}

/// One route with one attribute.
fn with(code: u8, value: &[u8]) -> Vec<u8> {
    // The flags that the registry gives each (RFC 4271 section 5, RFC 4456, RFC 7311); others are optional transitive.
    let flags = match code {
        2 => 0x50,
        10 | 26 => 0x90,
        _ => 0xd0,
    };
    let attributes = [attribute(0x40, 1, &[0]), attribute(flags, code, value)].concat();
    routes(&[], &attributes, &[8, 10])
}

fn reach(afi: u16, safi: u8, nlri: &[u8]) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    attribute(0x90, 14, &[&[high, low, safi, 4, 192, 0, 2, 1, 0][..], nlri].concat())
}

/// Prefixes of 16 bits, no two alike.
fn different(size: usize) -> Vec<u8> {
    (0..u16::try_from(size / 3).unwrap()).flat_map(|n| [16, n.to_be_bytes()[0], n.to_be_bytes()[1]]).collect()
}

/// A per-peer header.
fn header() -> Vec<u8> {
    let whole = route_monitoring(Peer::loc_rib("10.0.0.1"), &[]);
    whole[bmp::COMMON_HEADER_SIZE..].to_vec()
}

/// A Peer Up whose OPENs both have these optional parameters.
fn peer_up(parameters: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(parameters.len()).unwrap().to_be_bytes();
    let fixed = [4, 0xfb, 0xf0, 0, 180, 10, 0, 0, 1, 255, 255, high, low];
    let open = checks::update::framed(1, &[&fixed[..], parameters].concat());
    message(3, &[&header()[..], &[0; 20], &open, &open, tlvs].concat())
}

/// A Route Monitoring message of version 4 with one route after these TLVs (draft-ietf-grow-bmp-tlv-20).
fn version_4(tlvs: &[u8]) -> Vec<u8> {
    let update = made::update(&[], &[], &[0, 0, 0, 1, 8, 10]);
    let length = u16::try_from(update.len()).unwrap().to_be_bytes();
    checks::message::framed(4, 0, &[&header()[..], tlvs, &[0, 7], &length, &[0, 0], &update].concat())
}

/// The requests made to the allocator.
#[derive(Clone, Copy, Debug)]
struct Work {
    octets: usize,
    allocations: usize,
}

/// Nothing else may allocate while one test counts.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The least of three times: the test harness's own thread reports a test that has just ended.
fn count(run: impl Fn()) -> Work {
    let once = || {
        let region = Region::new(ALLOCATOR);
        run();
        let stats = region.change();
        Work { octets: stats.bytes_allocated, allocations: stats.allocations + stats.reallocations }
    };
    let all = [once(), once(), once()];
    Work {
        octets: all.iter().map(|work| work.octets).min().unwrap(),
        allocations: all.iter().map(|work| work.allocations).min().unwrap(),
    }
}

/// From the message to the columns of its routes.
fn decode_typed(bytes: &[u8]) {
    let frame = bmp::next_frame(bytes, checks::MESSAGE_MAX).unwrap().unwrap();
    let Ok(Message::RouteMonitoring(monitoring)) = black_box(bmp::decode(&frame)) else { return };
    let add_path = [AfiSafi::IPV6_UNICAST].into_iter().collect();
    let context = DecodeContext { add_path, ..DecodeContext::default() };
    let mut routes = Routes::default();
    let Ok(decoded) = monitoring.decode_update(context, &mut routes) else { return };
    if let Update::Routes(routes) = decoded.update {
        black_box(Changes::of(routes, PathIds::Keyed));
    }
}

fn print_lines(bytes: &[u8]) {
    decode::run(bytes, io::sink(), checks::MESSAGE_MAX).unwrap();
}

fn run_session(bytes: &[u8]) {
    let open = Open::of(64_500, "10.0.0.1");
    let up = made::peer_up(Peer::loc_rib("10.0.0.1"), &open, None);
    checks::session::check(&[&[0][..], &up, bytes].concat());
}

/// Counts every crafted message, short and long, and compares with the bound and with each other.
fn check(run: fn(&[u8]), bound: &Bound) {
    let Bound { factor, fixed } = *bound;
    let _alone = alone();
    // Allocations that are made once belong to no message.
    run(&routes(&[], &[], &[8, 10]));
    let mut broken = Vec::new();
    for Crafted { name, make } in ALL {
        let (short, long) = (make(SHORT), make(LONG));
        let (cheap, dear) = (count(|| run(&short)), count(|| run(&long)));
        println!("{name}: {} octets, {dear:?}: {} an octet", long.len(), dear.octets / long.len());
        if dear.octets > factor * long.len() + fixed {
            broken.push(format!("{name}: {dear:?} is more than {factor} times {}", long.len()));
        }
        // A vector that doubles may just have doubled: half as much again is not yet quadratic.
        if 2 * dear.octets > 3 * 4 * cheap.octets + fixed || 2 * dear.allocations > 3 * 4 * cheap.allocations + 200 {
            broken.push(format!("{name}: four times the length takes {dear:?} instead of {cheap:?}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_message_costs_a_multiple_of_its_length() {
    check(decode_typed, &DECODE);
}

#[test]
fn a_line_costs_a_multiple_of_its_message() {
    check(print_lines, &LINES);
}

#[test]
fn a_session_costs_a_multiple_of_its_messages() {
    check(run_session, &SESSION);
}

#[test]
fn a_square_would_be_found() {
    let square = |octets: &[u8]| (0..octets.len()).step_by(100).for_each(|n| drop(black_box(octets[..n].to_vec())));
    let verdict = std::panic::catch_unwind(|| check(square, &Bound { factor: usize::MAX / LONG / 2, fixed: 4 * 1024 }));
    assert!(verdict.is_err());
}
