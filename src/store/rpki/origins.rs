//! The verdict of the VRPs on single prefixes and origins, with the VRPs that decided.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use postgres::Transaction;
use postgres::types::Type;
use serde::Serialize;

use super::super::error::Result;

/// A prefix, and the origin by RFC 6811 section 2; 0: the path ends in an AS_SET, `None`: it cannot be known.
pub(crate) type OriginPair = (String, Option<i64>);

/// The state of a prefix and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginState {
    /// `valid`, `invalid`, `not-found`, or `unknown` where the set is too old.
    pub state: String,
    /// The VRPs that decided, the most specific first.
    pub vrps: Vec<DecidingVrp>,
}

/// A VRP that covers a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecidingVrp {
    /// Its prefix.
    pub prefix: String,
    /// The longest prefix inside it that the AS may originate.
    pub max_length: i16,
    /// The AS.
    pub asn: i64,
    /// The trust anchor; empty: not known.
    pub trust_anchor: String,
    /// `match`, `as`, `length`, `as and length`, `filtered`.
    pub reason: String,
    /// The comment of SLURM.
    pub comment: Option<String>,
}

impl DecidingVrp {
    /// Returns why it does not match; `None`: it does.
    pub fn objection(&self) -> Option<String> {
        match self.reason.as_str() {
            "as" => Some("another AS".to_owned()),
            "length" => Some(format!("longer than maxLength {}", self.max_length)),
            "as and length" => Some(format!("another AS, longer than maxLength {}", self.max_length)),
            "filtered" => Some("removed by SLURM".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for DecidingVrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} AS{}", self.prefix, self.max_length, self.asn)
    }
}

/// Returns the state of each pair. Empty where no set of VRPs was ever taken, and where the role may not read them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn origin_states(
    transaction: &mut Transaction<'_>,
    pairs: &[OriginPair],
) -> Result<HashMap<OriginPair, Arc<OriginState>>> {
    let may = transaction.query_typed_one(include_str!("../../../sql/statements/rpki_may_read.sql"), &[])?;
    if pairs.is_empty() || !may.get::<_, bool>(0) {
        return Ok(HashMap::new());
    }
    let (prefixes, origins): (Vec<&str>, Vec<Option<i64>>) =
        pairs.iter().map(|(prefix, origin)| (prefix.as_str(), *origin)).unzip();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/rpki_origin_states.sql"),
        &[(&prefixes, Type::TEXT_ARRAY), (&origins, Type::INT8_ARRAY)],
    )?;
    let mut states: HashMap<usize, OriginState> = HashMap::new();
    for row in &rows {
        let place = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        let state = states.entry(place).or_insert_with(|| OriginState { state: row.get(1), vrps: Vec::new() });
        if let Some(prefix) = row.get(2) {
            state.vrps.push(DecidingVrp {
                prefix,
                max_length: row.get(3),
                asn: row.get(4),
                trust_anchor: row.get(5),
                reason: row.get(6),
                comment: row.get(7),
            });
        }
    }
    // Places count from 1.
    let of_pair = |(at, pair): (usize, &OriginPair)| Some((pair.clone(), Arc::new(states.remove(&(at + 1))?)));
    Ok(pairs.iter().enumerate().filter_map(of_pair).collect())
}
