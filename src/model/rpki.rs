//! Validated ROA payloads (VRPs), and what they say of a route.

pub mod table;

use std::sync::Arc;

use super::{Asn, Prefix, Timestamp};

/// A validated ROA payload (RFC 6811 section 2): an AS may originate a prefix, and longer ones inside it up to a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrp {
    /// The prefix.
    pub prefix: Prefix,
    /// The longest prefix inside it that the AS may originate.
    pub max_length: u8,
    /// The AS; 0: none may.
    pub asn: Asn,
    /// The trust anchor, in lower case; empty: not known, or none.
    pub trust_anchor: Arc<str>,
    /// True for a prefix assertion of SLURM (RFC 8416 section 3.4.1).
    pub is_slurm: bool,
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// The comment of SLURM.
    pub comment: Option<Arc<str>>,
}

/// The key of a VRP.
pub(crate) type VrpKey = (Prefix, u8, Asn, Arc<str>, bool);

impl Vrp {
    pub(crate) fn key(&self) -> VrpKey {
        (self.prefix, self.max_length, self.asn, Arc::clone(&self.trust_anchor), self.is_slurm)
    }
}

/// A validated ASPA payload: the providers that an AS names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspa {
    /// The customer.
    pub customer: Asn,
    /// Its providers, sorted.
    pub providers: Vec<Asn>,
    /// When it expires.
    pub expires: Option<Timestamp>,
}

/// The state of a route (RFC 6811 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteState {
    /// A VRP matches it.
    Valid,
    /// VRPs cover it and none matches.
    Invalid,
    /// No VRP covers it.
    NotFound,
}

impl RouteState {
    /// All of them.
    pub const ALL: [RouteState; 3] = [RouteState::Valid, RouteState::Invalid, RouteState::NotFound];

    /// Returns its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            RouteState::Valid => "valid",
            RouteState::Invalid => "invalid",
            RouteState::NotFound => "not-found",
        }
    }
}
