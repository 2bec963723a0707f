//! Who is measured.

mod bgpkit;
mod floor;
mod netgauze;
mod ours;
mod routecore;

use bytes::Bytes;

use crate::tally::Tally;

/// One way to get through a stream.
pub struct Contestant {
    /// What the results call it.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Does it.
    pub run: fn(&Bytes) -> Done,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// Not a decoder: a floor that none can fall through.
    Floor(u64),
    /// All of the table.
    Decoded(Tally),
}

/// The name of ours, which ratios are taken against.
pub const OURS: &str = "rib-ingester";

/// All of them, floors first.
pub const ALL: [Contestant; 10] = [
    Contestant { name: "memcpy", what: "the bytes copied once", run: floor::copy },
    Contestant { name: "framing", what: "BMP messages cut, not looked into", run: floor::frame },
    Contestant { name: "NLRI walk", what: "by hand: every prefix added up, attributes skipped", run: floor::walk },
    Contestant { name: OURS, what: "typed: messages, attributes, prefixes", run: ours::typed },
    Contestant { name: "rib-ingester +text", what: "and the text columns of the database", run: ours::with_columns },
    Contestant { name: "bgpkit-parser", what: "parse_bmp_msg 0.23.0", run: bgpkit::decode },
    Contestant { name: "netgauze-bmp-pkt", what: "BmpCodec 0.13.0", run: netgauze::decode },
    Contestant { name: "netgauze slices", what: "BmpMessage::parse without the codec", run: netgauze::decode_slices },
    Contestant {
        name: "routecore",
        what: "0.7.2, values read through its iterators, none kept",
        run: routecore::iterate,
    },
    Contestant { name: "routecore owned", what: "values kept: to_owned, announcements_vec", run: routecore::own },
];
