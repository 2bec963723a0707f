//! THE place that turns the model into SQL values: binary COPY fields (PostgreSQL's `COPY .. BINARY`).

/// The attribute columns of one route, `nexthop` to `attrs`, as ten binary COPY fields one behind the other.
///
/// Encoded once per distinct route, shared by every prefix that has it: writers only copy bytes. The
/// database gives back the very same bytes in a binary COPY OUT, so the fingerprint of a stored route
/// can be compared with that of a received one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRoute {
    columns: Box<[u8]>,
    fingerprint: u64,
}

impl EncodedRoute {
    /// The ten fields, each a big-endian `i32` length (-1 for NULL) and its value.
    pub fn columns(&self) -> &[u8] {
        &self.columns
    }

    /// XXH3 of [`EncodedRoute::columns`].
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}
