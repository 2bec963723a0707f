//! NLRI of every family: prefixes, labeled and VPN prefixes, and any other as sent.
//!
//! The fields of other families are decoded by [`opaque::OpaqueNlri::decode`], which only callers that need them call.

mod bgp_ls;
mod evpn;
mod fields;
mod flowspec;
mod mvpn;
pub mod opaque;
mod rtc;
mod sr_policy;
mod vpls;

use self::opaque::OpaqueNlri;
use super::add_path::AddPath;
use super::labels::{self, LabelReading, LabeledNlri, RD_BITS, look_at_labeled, read_labeled};
use super::prefixes::{HostBits, Prefixes, WirePrefixes};
use crate::model::{Afi, AfiSafi};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// The NLRI of one family in one UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NlriSet<'a> {
    /// Unicast and multicast (SAFI 1 and 2).
    Prefixes(Prefixes<'a>),
    /// Labeled unicast (SAFI 4, RFC 8277) and VPN (SAFI 128, RFC 4364).
    Labeled(Vec<LabeledNlri>),
    /// Any other family, as sent.
    Opaque(OpaqueNlri<'a>),
}

impl NlriSet<'_> {
    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        match self {
            NlriSet::Prefixes(nlri) => nlri.is_empty(),
            NlriSet::Labeled(nlri) => nlri.is_empty(),
            NlriSet::Opaque(nlri) => nlri.is_empty(),
        }
    }

    /// Returns the number of NLRI; those of an opaque field, which is not decoded, count as none.
    pub fn len(&self) -> usize {
        match self {
            NlriSet::Prefixes(nlri) => nlri.len(),
            NlriSet::Labeled(nlri) => nlri.len(),
            NlriSet::Opaque(_) => 0,
        }
    }

    /// Returns whether a destination occurs twice under one path identifier.
    fn has_repeated(&self) -> bool {
        match self {
            NlriSet::Prefixes(nlri) => nlri.has_repeated(),
            NlriSet::Labeled(nlri) => labels::has_repeated(nlri),
            NlriSet::Opaque(_) => false,
        }
    }
}

/// A decoded set of NLRI, and the reading of Add-Path that decoded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedNlri<'a> {
    /// The decoded NLRI.
    pub nlri: NlriSet<'a>,
    /// The reading that was used.
    pub add_path: AddPath,
    /// The readings that the octets allow.
    pub fit: Fit,
}

/// The readings of Add-Path that a field's octets fit. A reading is clean if its NLRI fill the field exactly, have no
/// host bits, and none occurs twice: no prefix, or with path identifiers no prefix under one identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// There are no NLRI, or they are not decoded: neither reading is shown.
    NoNlri,
    /// Only the reading that was used: the octets show how the router encodes them.
    One,
    /// Both: 198.51.100.0/25 with path identifiers is 0.0.0.0/0 without.
    Both,
}

/// The expected encoding of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The reading that the capabilities announce.
    pub announced: AddPath,
    /// The reading that other messages have shown. It decides where both readings fit, and nowhere else.
    pub seen: Option<AddPath>,
    /// The rule that separates labels from the octets after them.
    pub labels: LabelReading,
}

impl From<AddPath> for Expected {
    fn from(announced: AddPath) -> Expected {
        Expected { announced, seen: None, labels: LabelReading::One }
    }
}

/// Decodes NLRI in the expected reading; if only the other reading of Add-Path is clean, in that one.
///
/// If neither is clean, the expected one is used if its NLRI fill the field exactly: host bits are cleared (RFC 4271
/// section 4.3 calls them irrelevant), and of a prefix that occurs twice the later one counts. If they do not, the
/// other reading is used if its NLRI do, except one with host bits that the capabilities do not announce.
///
/// # Errors
/// In no reading do the NLRI fill the field exactly, or only in one with host bits that is not announced.
#[inline(always)]
pub fn decode<'a>(
    reader: Reader<'a>,
    family: AfiSafi,
    expected: impl Into<Expected>,
) -> Result<DecodedNlri<'a>, DecodeError> {
    let expected = expected.into();
    let labels = expected.labels;
    let form = match (family.afi, family.safi) {
        (1, 1 | 2) => Form::Prefix(Afi::Ipv4),
        (2, 1 | 2) => Form::Prefix(Afi::Ipv6),
        (1, 4) => Form::Labeled(Afi::Ipv4, labels),
        (2, 4) => Form::Labeled(Afi::Ipv6, labels),
        (1, 128) => Form::Vpn(Afi::Ipv4, labels),
        (2, 128) => Form::Vpn(Afi::Ipv6, labels),
        _ => {
            let nlri = NlriSet::Opaque(OpaqueNlri::new(reader, expected.announced));
            return Ok(DecodedNlri { nlri, add_path: expected.announced, fit: Fit::NoNlri });
        }
    };
    let add_path = expected.seen.unwrap_or(expected.announced);
    match read(reader, form, add_path) {
        Ok((nlri, HostBits::None)) => match fits(reader, form, add_path.other()) {
            false => Ok(DecodedNlri { nlri, add_path, fit: Fit::One }),
            true => Ok(choose(reader, form, add_path, nlri)),
        },
        first => read_otherwise(reader, form, expected, first),
    }
}

/// Returns unicast or multicast NLRI, at least one, if they are clean in a reading that is known to be the right one.
/// The other reading need not be checked, or only to see that it is not cleaner.
#[inline(always)]
pub(crate) fn settled<'a>(reader: Reader<'a>, family: AfiSafi, add_path: AddPath) -> Option<NlriSet<'a>> {
    let afi = match (family.afi, family.safi) {
        (1, 1 | 2) => Afi::Ipv4,
        (2, 1 | 2) => Afi::Ipv6,
        _ => return None,
    };
    let wire = WirePrefixes::clean(reader, afi, add_path)?;
    if wire.is_distinct_or_alone(reader) { Some(NlriSet::Prefixes(Prefixes::Wire(wire))) } else { None }
}

/// [`decode`] for callers that rarely need it: [`decode`] itself is inlined into its caller.
///
/// # Errors
/// As for [`decode`].
#[cold]
#[inline(never)]
pub(crate) fn decode_again<'a>(
    reader: Reader<'a>,
    family: AfiSafi,
    expected: Expected,
) -> Result<DecodedNlri<'a>, DecodeError> {
    decode(reader, family, expected)
}

/// Returns whether the NLRI fill the field exactly in this reading and have no host bits; for labeled ones that is left
/// to [`choose`].
#[inline(always)]
fn fits(reader: Reader<'_>, form: Form, add_path: AddPath) -> bool {
    match form {
        Form::Prefix(afi) => WirePrefixes::fits(reader, afi, add_path),
        Form::Labeled(..) | Form::Vpn(..) => true,
    }
}

/// Chooses between two readings that fill the field without host bits: the one in which nothing occurs twice, else the
/// expected one.
#[cold]
#[inline(never)]
fn choose<'a>(reader: Reader<'a>, form: Form, add_path: AddPath, nlri: NlriSet<'a>) -> DecodedNlri<'a> {
    if nlri.is_empty() {
        return DecodedNlri { nlri, add_path, fit: Fit::NoNlri };
    }
    let other = add_path.other();
    match (nlri.has_repeated(), look_at(reader, form, other)) {
        (_, None) | (false, Some(true)) => DecodedNlri { nlri, add_path, fit: Fit::One },
        (true, Some(true)) | (false, Some(false)) => DecodedNlri { nlri, add_path, fit: Fit::Both },
        (true, Some(false)) => match read(reader, form, other) {
            Ok((clean, _)) => DecodedNlri { nlri: clean, add_path: other, fit: Fit::One },
            Err(_) => DecodedNlri { nlri, add_path, fit: Fit::One },
        },
    }
}

/// Returns whether something occurs twice; `None` if the octets do not fit this reading or have host bits in it.
fn look_at(mut reader: Reader<'_>, form: Form, add_path: AddPath) -> Option<bool> {
    match form {
        Form::Prefix(afi) => match WirePrefixes::check(&mut reader, afi, add_path) {
            Ok((prefixes, HostBits::None)) => Some(prefixes.has_repeated()),
            Ok((_, HostBits::Cleared)) | Err(_) => None,
        },
        Form::Labeled(afi, labels) => look_at_labeled(reader, afi, add_path, 0, labels),
        Form::Vpn(afi, labels) => look_at_labeled(reader, afi, add_path, RD_BITS, labels),
    }
}

/// Decodes a field whose expected reading does not fill it exactly or has host bits.
#[cold]
#[inline(never)]
fn read_otherwise<'a>(
    reader: Reader<'a>,
    form: Form,
    expected: Expected,
    first: Read<'a>,
) -> Result<DecodedNlri<'a>, DecodeError> {
    let add_path = expected.seen.unwrap_or(expected.announced);
    let other = add_path.other();
    let of_first = |nlri, fit| Ok(DecodedNlri { nlri, add_path, fit });
    let of_other = |nlri| Ok(DecodedNlri { nlri, add_path: other, fit: Fit::One });
    match (first, read(reader, form, other)) {
        (Ok((nlri, _)), Ok((clean, HostBits::None))) => {
            let is_clean = !clean.has_repeated();
            if is_clean { of_other(clean) } else { of_first(nlri, Fit::Both) }
        }
        (Ok((nlri, _)), Ok((_, HostBits::Cleared))) => of_first(nlri, Fit::Both),
        (Ok((nlri, _)), Err(_)) => of_first(nlri, Fit::One),
        (Err(_), Ok((nlri, HostBits::None))) => of_other(nlri),
        (Err(_), Ok((nlri, HostBits::Cleared))) if other == expected.announced => of_other(nlri),
        (Err(error), _) => Err(error),
    }
}

#[derive(Clone, Copy)]
enum Form {
    Prefix(Afi),
    Labeled(Afi, LabelReading),
    Vpn(Afi, LabelReading),
}

/// NLRI that fill their field exactly, or the reason for which they do not.
type Read<'a> = Result<(NlriSet<'a>, HostBits), DecodeError>;

#[inline(always)]
fn read<'a>(mut reader: Reader<'a>, form: Form, add_path: AddPath) -> Read<'a> {
    let mut host_bits = HostBits::None;
    let set = match form {
        Form::Prefix(afi) => {
            let (prefixes, host_bits) = WirePrefixes::check(&mut reader, afi, add_path)?;
            return Ok((NlriSet::Prefixes(Prefixes::Wire(prefixes)), host_bits));
        }
        Form::Labeled(afi, labels) => {
            NlriSet::Labeled(read_labeled(&mut reader, afi, add_path, 0, labels, &mut host_bits)?)
        }
        Form::Vpn(afi, labels) => {
            NlriSet::Labeled(read_labeled(&mut reader, afi, add_path, RD_BITS, labels, &mut host_bits)?)
        }
    };
    Ok((set, host_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], announced: AddPath, want: Result<(&str, AddPath), (usize, &str)>) {
        let got = decode(Reader::new(bytes, 0), AfiSafi::IPV4_UNICAST, announced);
        let got = match &got {
            Ok(DecodedNlri { nlri: NlriSet::Prefixes(all), add_path, .. }) => {
                let all: Vec<String> = all
                    .iter()
                    .map(|n| format!("{}{}", n.prefix, n.path_id.map_or(String::new(), |id| format!("#{}", id.0))))
                    .collect();
                Ok((all.join(" "), *add_path))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err((error.offset, error.field)),
        };
        assert_eq!(got, want.map(|(text, add_path)| (text.to_owned(), add_path)), "{bytes:?}");
    }

    #[test]
    fn nlri_are_read_the_other_way_if_only_that_is_valid() {
        use AddPath::{Plain, WithPathIds};
        check(&[], Plain, Ok(("", Plain)));
        check(&[0], Plain, Ok(("0.0.0.0/0", Plain)));
        check(&[24, 10, 1, 2, 8, 11], Plain, Ok(("10.1.2.0/24 11.0.0.0/8", Plain)));
        check(&[0, 0, 0, 7, 24, 10, 1, 2], WithPathIds, Ok(("10.1.2.0/24#7", WithPathIds)));
        // Identifiers announced but not sent, and the reverse.
        check(&[24, 10, 1, 2], WithPathIds, Ok(("10.1.2.0/24", Plain)));
        check(&[0, 0, 0, 1, 32, 10, 1, 2, 3], Plain, Ok(("10.1.2.3/32#1", WithPathIds)));
        // Host bits in both readings: cleared in the announced one.
        check(&[23, 10, 1, 3], Plain, Ok(("10.1.2.0/23", Plain)));
        check(&[33, 10, 1, 2, 3, 4], Plain, Err((0, "prefix length")));
        check(&[24, 10, 1], Plain, Err((1, "prefix")));
    }

    /// Decodes IPv4 unicast octets; returns the prefixes, the reading used and the readings that fit.
    fn fit(bytes: &[u8], expected: impl Into<Expected>) -> (String, AddPath, Fit) {
        let decoded = decode(Reader::new(bytes, 0), AfiSafi::IPV4_UNICAST, expected).unwrap();
        let NlriSet::Prefixes(all) = &decoded.nlri else { panic!("{decoded:?}") };
        let all: Vec<String> = all
            .iter()
            .map(|n| format!("{}{}", n.prefix, n.path_id.map_or(String::new(), |id| format!("#{}", id.0))))
            .collect();
        (all.join(" "), decoded.add_path, decoded.fit)
    }

    #[test]
    fn a_prefix_twice_in_one_field_is_not_clean() {
        use AddPath::{Plain, WithPathIds};
        let check = |bytes: &[u8], announced, text: &str, add_path, want| {
            assert_eq!(fit(bytes, announced), (text.to_owned(), add_path, want), "{bytes:?} {announced:?}");
        };
        // Identifiers sent but not announced: without them the default route would occur several times.
        check(&[0, 0, 0, 1, 0], Plain, "0.0.0.0/0#1", WithPathIds, Fit::One);
        check(&[0, 0, 0, 0, 24, 198, 51, 100], Plain, "198.51.100.0/24#0", WithPathIds, Fit::One);
        check(&[0, 0, 0, 32, 24, 198, 51, 100], Plain, "198.51.100.0/24#32", WithPathIds, Fit::One);
        // The same prefix under two identifiers is valid, under one it is not.
        let two = [8, 10, 8, 11, 8, 12, 8, 10, 8, 11, 8, 12, 8, 10, 8, 11, 8, 12];
        check(&two[..6], WithPathIds, "12.0.0.0/8#134875147", WithPathIds, Fit::Both);
        let ids = [24, 10, 0, 1, 24, 10, 0, 2, 24, 10, 0, 3, 24, 10, 0, 2];
        check(&ids, WithPathIds, "10.0.2.0/24#403308545 10.0.2.0/24#403308547", WithPathIds, Fit::One);
        let plain = [24, 10, 0, 1, 24, 10, 0, 2, 24, 10, 0, 3, 24, 10, 0, 4];
        check(&plain, WithPathIds, "10.0.2.0/24#403308545 10.0.4.0/24#403308547", WithPathIds, Fit::Both);
        // A prefix twice in both readings: the announced reading is used.
        let both = [24, 10, 0, 1, 24, 10, 0, 2, 24, 10, 0, 1, 24, 10, 0, 2];
        check(&both, WithPathIds, "10.0.2.0/24#403308545 10.0.2.0/24#403308545", WithPathIds, Fit::Both);
        check(&both, Plain, "10.0.1.0/24 10.0.2.0/24 10.0.1.0/24 10.0.2.0/24", Plain, Fit::Both);
        // A prefix twice, and no other reading fits: stored anyway.
        check(&[8, 10, 8, 10], Plain, "10.0.0.0/8 10.0.0.0/8", Plain, Fit::One);
        check(&[8, 10, 8, 10], WithPathIds, "10.0.0.0/8 10.0.0.0/8", Plain, Fit::One);
        // Enough of them for a set: 2.0.0.0/8 to 21.0.0.0/8, and the first once more.
        let many: Vec<u8> = (2..22).flat_map(|octet| [0, 0, 0, 5, 8, octet]).collect();
        assert_eq!(fit(&many, Plain).1, WithPathIds);
        assert!(!NlriSet::Prefixes(decoded_prefixes(&many)).has_repeated());
        let again = [&many[..], &[0, 0, 0, 5, 8, 2]].concat();
        assert!(NlriSet::Prefixes(decoded_prefixes(&again)).has_repeated());
    }

    fn decoded_prefixes(bytes: &[u8]) -> Prefixes<'_> {
        match decode(Reader::new(bytes, 0), AfiSafi::IPV4_UNICAST, AddPath::WithPathIds).unwrap().nlri {
            NlriSet::Prefixes(all) => all,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_seen_decides_only_where_both_readings_fit() {
        use AddPath::{Plain, WithPathIds};
        let half = [25, 198, 51, 100, 0];
        let with_ids = ("0.0.0.0/0#432419684".to_owned(), WithPathIds, Fit::Both);
        let without = ("198.51.100.0/25".to_owned(), Plain, Fit::Both);
        for announced in [Plain, WithPathIds] {
            let seen = |seen| Expected { announced, seen, labels: LabelReading::One };
            assert_eq!(fit(&half, seen(None)), if announced == Plain { without.clone() } else { with_ids.clone() });
            assert_eq!(fit(&half, seen(Some(Plain))), without);
            assert_eq!(fit(&half, seen(Some(WithPathIds))), with_ids);
            // These fit one reading only: nothing else decides.
            for was in [Plain, WithPathIds] {
                assert_eq!(fit(&[16, 10, 1], seen(Some(was))), ("10.1.0.0/16".to_owned(), Plain, Fit::One));
                let one = ("10.1.2.0/24#7".to_owned(), WithPathIds, Fit::One);
                assert_eq!(fit(&[0, 0, 0, 7, 24, 10, 1, 2], seen(Some(was))), one);
                assert_eq!(fit(&[], seen(Some(was))), (String::new(), was, Fit::NoNlri));
            }
        }
        // Host bits in both: neither is clean.
        let host_bits = [24, 10, 0, 1, 23, 10, 0, 3];
        assert_eq!(fit(&host_bits, WithPathIds).1, WithPathIds);
        assert_eq!(
            fit(&host_bits, Expected { announced: WithPathIds, seen: Some(Plain), labels: LabelReading::One }).1,
            Plain
        );
        // Host bits, and the announced reading does not fit: accepted only if the capabilities announce that reading.
        assert!(decode(Reader::new(&[23, 10, 1, 3], 0), AfiSafi::IPV4_UNICAST, WithPathIds).is_err());
        let known = Expected { announced: WithPathIds, seen: Some(Plain), labels: LabelReading::One };
        assert_eq!(fit(&[23, 10, 1, 3], known), ("10.1.2.0/23".to_owned(), Plain, Fit::One));
        let announced = Expected { announced: WithPathIds, seen: Some(Plain), labels: LabelReading::One };
        assert_eq!(fit(&[33, 0, 0, 0, 23, 10, 1, 3], announced).1, WithPathIds);
    }

    #[test]
    fn labeled_and_vpn_prefixes_fit_both_readings_too() {
        // Length 24 + 8, label 100 with the S bit, 10.0.0.0/8; with identifiers 10.0.0.0/8 would have to be read as a
        // label.
        let labeled = AfiSafi { afi: 1, safi: 4 };
        let one = [32, 0, 6, 0x41, 10];
        let decoded = decode(Reader::new(&one, 0), labeled, AddPath::WithPathIds).unwrap();
        assert_eq!((decoded.add_path, decoded.fit), (AddPath::Plain, Fit::One));
        let with_id = [&[0, 0, 0, 1][..], &one].concat();
        let decoded = decode(Reader::new(&with_id, 0), labeled, AddPath::Plain).unwrap();
        assert_eq!((decoded.add_path, decoded.fit), (AddPath::WithPathIds, Fit::One));
        // 24.0.6.65/32 with label 100; with identifiers the default route with label 100.
        let tie = [56, 0, 6, 0x41, 24, 0, 6, 0x41];
        for (announced, prefix) in [(AddPath::Plain, "24.0.6.65/32"), (AddPath::WithPathIds, "0.0.0.0/0")] {
            let decoded = decode(Reader::new(&tie, 0), labeled, announced).unwrap();
            let NlriSet::Labeled(all) = &decoded.nlri else { panic!("{decoded:?}") };
            assert_eq!((all[0].nlri.prefix.to_string().as_str(), decoded.fit), (prefix, Fit::Both));
            let seen = Expected { announced: announced.other(), seen: Some(announced), labels: LabelReading::One };
            assert_eq!(decode(Reader::new(&tie, 0), labeled, seen).unwrap(), decoded);
        }
        // Without identifiers one distinguisher and prefix twice: 65000:7 10.0.0.0/8 with two labels.
        let vpn = AfiSafi { afi: 1, safi: 128 };
        let one = [96, 0, 6, 0x41, 0, 0, 0xfd, 0xe8, 0, 0, 0, 7, 10];
        let twice = decode(Reader::new([one, one].concat().leak(), 0), vpn, AddPath::Plain).unwrap();
        assert_eq!((twice.nlri.len(), twice.nlri.has_repeated(), twice.fit), (2, true, Fit::One));
    }

    #[test]
    fn vpn_prefixes_have_labels_and_a_distinguisher() {
        let bytes = [112, 0, 0x10, 0x01, 0, 0, 0xfd, 0xe8, 0, 0, 0, 7, 10, 1, 2];
        let family = AfiSafi { afi: 1, safi: 128 };
        let decoded = decode(Reader::new(&bytes, 0), family, AddPath::Plain).unwrap();
        let NlriSet::Labeled(all) = decoded.nlri else { panic!() };
        assert_eq!((all[0].labels.as_slice(), all[0].rd.unwrap().to_string().as_str()), (&[256][..], "0:65000:7"));
        assert_eq!(all[0].nlri.prefix.to_string(), "10.1.2.0/24");
        let error = decode(Reader::new(&[24, 0, 0x10, 0x01], 0), family, AddPath::Plain).unwrap_err();
        assert_eq!((error.offset, error.field), (0, "NLRI length"));
    }
}
