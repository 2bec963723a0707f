//! Messages made to be slow: the largest UPDATEs, each full of what some parser could stumble over again and again.
//!
//! Each shape exists in several sizes. If the time per octet does not grow with the size, the work is linear.

use rib_ingester::session::changes::{Changes, PathIds};
use rib_ingester::wire::bgp::routes::Routes;
use rib_ingester::wire::bgp::update::{DecodeContext, Update};
use rib_ingester::wire::bmp::{self, Message};

use crate::generate::attribute;

/// A kind of hostile message.
pub struct Shape {
    /// What it is full of.
    pub name: &'static str,
    /// The fields of an UPDATE of about so many octets: withdrawn routes, path attributes, NLRI.
    fill: fn(usize) -> [Vec<u8>; 3],
}

/// All of them.
pub const SHAPES: [Shape; 17] = [
    Shape { name: "announced 0.0.0.0/0", fill: |size| [vec![], origin(), vec![0; size]] },
    Shape { name: "withdrawn 0.0.0.0/0", fill: |size| [vec![0; size], vec![], vec![]] },
    Shape {
        name: "the same /24s withdrawn and announced",
        fill: |size| [slash_24s(size / 2), origin(), slash_24s(size / 2)],
    },
    Shape {
        name: "/0s, host bits in the last prefix: both readings to the end",
        fill: |size| [vec![], origin(), with_end(0, size, &[1, 0xff])],
    },
    Shape {
        name: "/0s, the last prefix too long: both readings fail late",
        fill: |size| [vec![], origin(), with_end(0, size, &[33])],
    },
    Shape { name: "empty attributes of all types", fill: |size| [vec![], empty_attributes(size), vec![]] },
    Shape { name: "one attribute repeated", fill: |size| [vec![], origin().repeat(size / 4), vec![8, 10]] },
    Shape { name: "standard communities", fill: |size| one(8, with_pattern(&[0xff, 0xfe, 0xff, 0xfd], size)) },
    Shape {
        name: "extended communities",
        fill: |size| one(16, with_pattern(&[0, 2, 0xff, 0xfe, 0xff, 0, 0, 1], size)),
    },
    Shape { name: "large communities", fill: |size| one(32, with_pattern(&[0xff; 12], size)) },
    Shape { name: "AS_PATH of one-AS segments", fill: |size| as_path(with_pattern(&[1, 1, 0xff, 0, 0, 1], size)) },
    Shape { name: "AS_PATH that fails late in both widths", fill: |size| as_path(with_end_of(&[2, 1], size, &[2])) },
    Shape { name: "CLUSTER_LIST", fill: |size| [vec![], attribute(0x80, 10, &vec![1; size / 4 * 4]), vec![8, 10]] },
    Shape { name: "IPv6 extended communities", fill: |size| one(25, vec![7; size / 20 * 20]) },
    Shape { name: "AIGP without an AIGP TLV", fill: |size| [vec![], attribute(0x80, 26, &aigp(size)), vec![8, 10]] },
    Shape { name: "an unknown attribute", fill: |size| one(99, vec![0xab; size]) },
    Shape { name: "labeled 0.0.0.0/0", fill: |size| [vec![], labeled(size), vec![]] },
];

impl Shape {
    /// The BMP message whose UPDATE is `size` octets long, or a little less.
    pub fn message(&self, size: usize) -> Vec<u8> {
        // Marker, length, type, two length fields, an ORIGIN and the header of one more attribute.
        const FIXED: usize = 19 + 4 + 4 + 4;
        let [withdrawn, attributes, nlri] = (self.fill)(size - FIXED - 6);
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("at most 64 KiB").to_be_bytes();
        let body = [&length(&withdrawn)[..], &withdrawn, &length(&attributes), &attributes, &nlri].concat();
        let whole = u16::try_from(body.len() + 19).expect("at most 64 KiB").to_be_bytes();
        let mut peer = [0; 42];
        peer[0] = 3;
        let update = [&[0xff; 16][..], &whole, &[2], &body].concat();
        let length = u32::try_from(6 + 42 + update.len()).expect("64 KiB and a little").to_be_bytes();
        [&[3][..], &length, &[0], &peer, &update].concat()
    }
}

/// Takes one message through everything that `serve` does with it before the maps: decode, changes, columns.
pub fn swallow(message: &[u8]) {
    let frame = bmp::next_frame(message, 1 << 20).expect("a frame").expect("whole");
    let Ok(Message::RouteMonitoring(monitoring)) = bmp::decode(&frame) else {
        panic!("the shapes are Route Monitoring messages");
    };
    let mut routes = Routes::default();
    match monitoring.decode_update(DecodeContext::default(), &mut routes).map(|decoded| decoded.update) {
        Ok(Update::Routes(routes)) => {
            std::hint::black_box(Changes::of(routes, PathIds::Keyed));
        }
        Ok(other) => panic!("every shape has routes: {other:?}"),
        Err(error) => {
            std::hint::black_box(error);
        }
    }
}

fn origin() -> Vec<u8> {
    attribute(0x40, 1, &[0])
}

/// One optional transitive attribute, one prefix.
fn one(code: u8, value: Vec<u8>) -> [Vec<u8>; 3] {
    [vec![], [origin(), attribute(0xc0, code, &value)].concat(), vec![8, 10]]
}

fn as_path(value: Vec<u8>) -> [Vec<u8>; 3] {
    [vec![], [origin(), attribute(0x40, 2, &value)].concat(), vec![8, 10]]
}

fn with_pattern(pattern: &[u8], size: usize) -> Vec<u8> {
    pattern.repeat(size / pattern.len())
}

fn with_end_of(pattern: &[u8], size: usize, end: &[u8]) -> Vec<u8> {
    // A multiple of 12 tiles as segments of one AS in both widths.
    let mut bytes = with_pattern(pattern, (size - end.len()) / 12 * 12);
    bytes.extend(end);
    bytes
}

fn with_end(octet: u8, size: usize, end: &[u8]) -> Vec<u8> {
    // A multiple of 5 tiles with path identifiers too.
    let mut bytes = vec![octet; (size - end.len() - 4) / 5 * 5];
    bytes.extend([0; 4]);
    bytes.extend(end);
    bytes
}

fn slash_24s(size: usize) -> Vec<u8> {
    (0..u32::try_from(size / 4).expect("small"))
        .flat_map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            [24, 10 + a, b, c]
        })
        .collect()
}

fn empty_attributes(size: usize) -> Vec<u8> {
    (0..=u8::MAX)
        .filter(|code| !matches!(code, 14 | 15))
        .cycle()
        .take(size / 3)
        .flat_map(|code| [0xc0, code, 0])
        .collect()
}

/// TLVs of another type, each as short as can be.
fn aigp(size: usize) -> Vec<u8> {
    with_pattern(&[2, 0, 3], size)
}

/// MP_REACH_NLRI of labeled unicast: one label and no address octet, over and over.
fn labeled(size: usize) -> Vec<u8> {
    let nlri = with_pattern(&[24, 0, 0, 1], size - 9);
    [origin(), attribute(0x80, 14, &[&[0, 1, 4, 4, 192, 0, 2, 1, 0][..], &nlri].concat())].concat()
}
