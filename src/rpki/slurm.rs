//! Local exceptions to VRPs: SLURM (RFC 8416). Router keys and ASPA are not used here, so what concerns them has no
//! effect.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::parsed::{check_max_length, parse_prefix, plain};
use crate::model::rpki::Vrp;
use crate::model::{Asn, Prefix};

/// The longest comment that is kept, in characters.
const COMMENT_MAX: usize = 128;

/// The exceptions of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slurm {
    filters: Vec<PrefixFilter>,
    assertions: Vec<Vrp>,
}

/// Removes VRPs that match all that it names (RFC 8416 section 3.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
struct PrefixFilter {
    prefix: Option<Prefix>,
    asn: Option<Asn>,
    comment: Option<Arc<str>>,
}

/// VRPs after SLURM.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Excepted {
    /// The VRPs in force.
    pub vrps: Vec<Vrp>,
    /// Those that a filter removed, with its comment.
    pub filtered: Vec<Vrp>,
    /// The number of assertions.
    pub added: usize,
}

impl Slurm {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing in it that RFC 8416 does not allow.
    pub fn parse(bytes: &[u8]) -> Result<Slurm, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| plain(&error.to_string()))?;
        // Version 2 (draft-ietf-sidrops-aspa-slurm) adds what concerns ASPA.
        if !matches!(file.version, 1 | 2) {
            return Err(format!("slurmVersion {} is not known", file.version));
        }
        let filters = file.filters.prefix_filters.into_iter().enumerate();
        let filters = filters
            .map(|(index, filter)| filter.checked().map_err(|why| format!("prefixFilters[{index}]: {why}")))
            .collect::<Result<_, _>>()?;
        let assertions = file.assertions.prefix_assertions.into_iter().enumerate();
        let mut assertions = assertions
            .map(|(index, one)| one.checked().map_err(|why| format!("prefixAssertions[{index}]: {why}")))
            .collect::<Result<Vec<Vrp>, _>>()?;
        assertions.sort_by_key(|vrp| (vrp.prefix, vrp.max_length, vrp.asn));
        assertions.dedup_by(|later, kept| later.key() == kept.key());
        Ok(Slurm { filters, assertions })
    }

    /// Applies the exceptions. Filters do not remove assertions (RFC 8416 section 3.2).
    pub fn apply(&self, vrps: Vec<Vrp>) -> Excepted {
        let mut excepted = Excepted { added: self.assertions.len(), ..Excepted::default() };
        for mut vrp in vrps {
            match self.filters.iter().find(|filter| filter.removes(&vrp)) {
                Some(filter) => {
                    vrp.comment.clone_from(&filter.comment);
                    excepted.filtered.push(vrp);
                }
                None => excepted.vrps.push(vrp),
            }
        }
        excepted.vrps.extend(self.assertions.iter().cloned());
        excepted
    }
}

impl PrefixFilter {
    fn removes(&self, vrp: &Vrp) -> bool {
        self.prefix.is_none_or(|prefix| prefix.covers(&vrp.prefix)) && self.asn.is_none_or(|asn| asn == vrp.asn)
    }
}

// Members that RFC 8416 does not define are mistakes (section 3.1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "slurmVersion")]
    version: u64,
    #[serde(rename = "validationOutputFilters")]
    filters: Filters,
    #[serde(rename = "locallyAddedAssertions")]
    assertions: Assertions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    #[serde(rename = "prefixFilters")]
    prefix_filters: Vec<FilterEntry>,
    #[serde(rename = "bgpsecFilters", default)]
    _bgpsec: Vec<IgnoredAny>,
    #[serde(rename = "aspaFilters", default)]
    _aspa: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assertions {
    #[serde(rename = "prefixAssertions")]
    prefix_assertions: Vec<AssertionEntry>,
    #[serde(rename = "bgpsecAssertions", default)]
    _bgpsec: Vec<IgnoredAny>,
    #[serde(rename = "aspaAssertions", default)]
    _aspa: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterEntry {
    prefix: Option<String>,
    asn: Option<u32>,
    comment: Option<String>,
}

impl FilterEntry {
    fn checked(self) -> Result<PrefixFilter, String> {
        if self.prefix.is_none() && self.asn.is_none() {
            return Err("names neither a prefix nor an asn".to_owned());
        }
        let prefix = self.prefix.as_deref().map(parse_prefix).transpose()?;
        Ok(PrefixFilter { prefix, asn: self.asn.map(Asn), comment: comment(self.comment) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssertionEntry {
    asn: u32,
    prefix: String,
    #[serde(rename = "maxPrefixLength")]
    max_length: Option<i64>,
    comment: Option<String>,
}

impl AssertionEntry {
    fn checked(self) -> Result<Vrp, String> {
        let prefix = parse_prefix(&self.prefix)?;
        Ok(Vrp {
            prefix,
            max_length: check_max_length(&prefix, self.max_length)?,
            asn: Asn(self.asn),
            trust_anchor: Arc::from(""),
            is_slurm: true,
            expires: None,
            comment: comment(self.comment),
        })
    }
}

/// Returns a comment without control characters, cut.
fn comment(text: Option<String>) -> Option<Arc<str>> {
    let text: String = text?.chars().filter(|c| !c.is_control()).take(COMMENT_MAX).collect();
    (!text.trim().is_empty()).then(|| text.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{
        "slurmVersion": 1,
        "validationOutputFilters": {
            "prefixFilters": [
                {"prefix": "192.0.2.0/24", "comment": "All VRPs encompassed by prefix"},
                {"asn": 64496, "comment": "All VRPs matching ASN"},
                {"prefix": "198.51.100.0/24", "asn": 64497, "comment": "All VRPs encompassed by prefix, matching ASN"}
            ],
            "bgpsecFilters": [{"asn": 64496, "comment": "All keys for ASN"}]
        },
        "locallyAddedAssertions": {
            "prefixAssertions": [
                {"asn": 64496, "prefix": "198.51.100.0/24", "comment": "My other <b>important</b>\u0007 route"},
                {"asn": 64496, "prefix": "2001:db8::/32", "maxPrefixLength": 48, "comment": "My other important de-aggregated routes"}
            ],
            "bgpsecAssertions": [{"asn": 64496, "SKI": "x", "routerPublicKey": "y"}]
        }
    }"#;

    fn vrp(prefix: &str, asn: u32) -> Vrp {
        let prefix = parse_prefix(prefix).unwrap();
        let trust_anchor = Arc::from("ripe");
        Vrp {
            prefix,
            max_length: prefix.length(),
            asn: Asn(asn),
            trust_anchor,
            is_slurm: false,
            expires: None,
            comment: None,
        }
    }

    /// The example of RFC 8416 section 3.5, and what its section 3.3.1 says that it does.
    #[test]
    fn filters_and_assertions_are_those_of_rfc_8416() {
        let slurm = Slurm::parse(EXAMPLE.as_bytes()).unwrap();
        let excepted = slurm.apply(vec![
            vrp("192.0.2.0/24", 64500),
            vrp("192.0.2.128/25", 64500),
            vrp("192.0.0.0/16", 64500),
            vrp("203.0.113.0/24", 64496),
            vrp("198.51.100.0/25", 64497),
            vrp("198.51.100.0/25", 64498),
            vrp("198.51.0.0/16", 64497),
            vrp("2001:db8::/32", 64500),
        ]);
        let texts = |vrps: &[Vrp]| -> Vec<String> {
            vrps.iter().map(|vrp| format!("{}-{} {}", vrp.prefix, vrp.max_length, vrp.asn)).collect()
        };
        assert_eq!(
            texts(&excepted.filtered),
            ["192.0.2.0/24-24 64500", "192.0.2.128/25-25 64500", "203.0.113.0/24-24 64496", "198.51.100.0/25-25 64497"]
        );
        let comments: Vec<_> = excepted.filtered.iter().map(|vrp| vrp.comment.as_deref().unwrap()).collect();
        assert_eq!(comments[2..], ["All VRPs matching ASN", "All VRPs encompassed by prefix, matching ASN"]);
        // Assertions stay although a filter names their AS.
        assert_eq!(
            texts(&excepted.vrps),
            [
                "192.0.0.0/16-16 64500",
                "198.51.100.0/25-25 64498",
                "198.51.0.0/16-16 64497",
                "2001:db8::/32-32 64500",
                "198.51.100.0/24-24 64496",
                "2001:db8::/32-48 64496",
            ]
        );
        let asserted = &excepted.vrps[4];
        assert_eq!((asserted.comment.as_deref(), asserted.is_slurm), (Some("My other <b>important</b> route"), true));
        assert_eq!(excepted.added, 2);
    }

    #[test]
    fn what_rfc_8416_does_not_allow_is_refused() {
        let file = |filters: &str, assertions: &str| {
            format!(
                r#"{{"slurmVersion": 1, "validationOutputFilters": {{"prefixFilters": [{filters}], "bgpsecFilters": []}},
                "locallyAddedAssertions": {{"prefixAssertions": [{assertions}], "bgpsecAssertions": []}}}}"#
            )
        };
        assert_eq!(Slurm::parse(file("", "").as_bytes()), Ok(Slurm::default()));
        let cases = [
            (file(r#"{"comment": "all"}"#, ""), "prefixFilters[0]: names neither a prefix nor an asn"),
            (file(r#"{"prefix": "192.0.2.1/24"}"#, ""), "prefixFilters[0]: 192.0.2.1/24: bits are set"),
            (file(r#"{"asn": 4294967296}"#, ""), "4294967296"),
            (file(r#"{"asn": 1, "prefx": "192.0.2.0/24"}"#, ""), "unknown field `prefx`"),
            (file("", r#"{"prefix": "192.0.2.0/24"}"#), "missing field `asn`"),
            (file("", r#"{"asn": 1, "prefix": "192.0.2.0/24", "maxPrefixLength": 33}"#), "longer than 32"),
            (file("", r#"{"asn": 1, "prefix": "192.0.2.0/24", "maxPrefixLength": 23}"#), "maxLength 23 is shorter"),
            (EXAMPLE.replace("\"slurmVersion\": 1", "\"slurmVersion\": 3"), "slurmVersion 3 is not known"),
            (EXAMPLE[..300].to_owned(), "EOF"),
            ("{}".to_owned(), "missing field"),
        ];
        for (text, want) in cases {
            let error = Slurm::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(want), "{want}: {error}");
        }
    }
}
