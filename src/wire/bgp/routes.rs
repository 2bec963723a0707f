//! The routes of one UPDATE.

use smallvec::SmallVec;

use super::nlri::NlriSet;
use super::rfc7606::Fault;
use crate::model::{AfiSafi, NextHop, PathAttributes, PathStatus};

/// The routes of one UPDATE. Almost every UPDATE has one field of NLRI; a second withdrawn or announced one needs an
/// allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes<'a> {
    /// Withdrawn NLRI, those that RFC 7606 treats as withdrawn included.
    pub withdrawn: SmallVec<[Withdrawn<'a>; 1]>,
    /// Announced NLRI.
    pub announced: SmallVec<[Announced<'a>; 1]>,
    /// The attributes of everything announced.
    pub attributes: PathAttributes<'a>,
    /// RFC 7606 actions taken.
    pub actions: Vec<Fault>,
}

/// Withdrawn NLRI of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn<'a> {
    /// The address family.
    pub family: AfiSafi,
    /// The NLRI.
    pub nlri: NlriSet<'a>,
}

/// Announced NLRI of one family, with their next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// The address family.
    pub family: AfiSafi,
    /// The next hop; `None` if none was sent.
    pub next_hop: Option<NextHop>,
    /// The NLRI.
    pub nlri: NlriSet<'a>,
    /// The router's status for these routes; only BMP version 4 reports it.
    pub path_status: Option<PathStatus>,
}
