//! The parameters of queries.

/// A parameter of a query.
pub(in crate::http) struct Parameter {
    /// Its name.
    pub(in crate::http) name: &'static str,
    /// The values that it takes.
    pub(in crate::http) kind: ParameterKind,
    /// The number of times that it may or must be given.
    pub(in crate::http) times: Times,
    /// One sentence without a full stop.
    pub(in crate::http) about: &'static str,
}

/// The number of times that a parameter may or must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Times {
    /// At most once.
    Optional,
    /// Once.
    Required,
    /// Any number of times; the values are alternatives.
    Repeated,
}

/// The values that a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum ParameterKind {
    /// Any text.
    Text,
    /// An AS number, with or without `AS` before it.
    Asn,
    /// An address or a prefix without host bits.
    Prefix,
    /// An address.
    Address,
    /// A community as `64496:1`, `64496:1:2`, `rt:64496:1`, `soo:64496:1`, or 16 hex digits.
    Community,
    /// A pattern of an AS path, see [`super::path_pattern`].
    Path,
    /// A time (RFC 3339).
    Time,
    /// A whole number in a range.
    Number(u32, u32),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Returns a parameter that may be given once.
pub(in crate::http) const fn optional(name: &'static str, kind: ParameterKind, about: &'static str) -> Parameter {
    Parameter { name, kind, times: Times::Optional, about }
}

/// Returns a parameter that must be given.
pub(in crate::http) const fn required(name: &'static str, kind: ParameterKind, about: &'static str) -> Parameter {
    Parameter { name, kind, times: Times::Required, about }
}

/// Returns a parameter that may be given several times.
pub(in crate::http) const fn repeated(name: &'static str, kind: ParameterKind, about: &'static str) -> Parameter {
    Parameter { name, kind, times: Times::Repeated, about }
}

/// The largest number of rows of a list.
pub(in crate::http) const ROWS_MAX: u32 = 10_000;

/// The parameter of all lists.
pub(in crate::http) const LIMIT: Parameter =
    optional("limit", ParameterKind::Number(1, ROWS_MAX), "The largest number of rows, 100 unless given");

/// The parameter of lists that have pages.
pub(in crate::http) const NEXT: Parameter =
    optional("next", ParameterKind::Text, "The `next` of the page before, with the same other parameters");

/// The parameter of lists about routers.
pub(in crate::http) const ROUTER: Parameter =
    repeated("router", ParameterKind::Text, "Identifier or host name of a router");
