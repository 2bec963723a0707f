//! NLRI of every family: prefixes, labelled and VPN prefixes, and the rest as it is.

use smallvec::SmallVec;

pub use super::add_path::AddPath;
use super::prefixes::{HostBits, Prefixes, WirePrefixes};
use crate::model::{Afi, AfiSafi, Nlri, PathId, Prefix};
use crate::wire::Error;
use crate::wire::bmp::peer::Rd;
use crate::wire::reader::Reader;

/// The NLRI of one family in one UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NlriSet<'a> {
    /// Unicast and multicast (SAFI 1 and 2).
    Prefixes(Prefixes<'a>),
    /// Labelled unicast (SAFI 4, RFC 8277) and VPN (SAFI 128, RFC 4364).
    Labelled(Vec<LabelledNlri>),
    /// Any other family, as sent.
    Opaque(&'a [u8]),
}

impl NlriSet<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            NlriSet::Prefixes(nlri) => nlri.is_empty(),
            NlriSet::Labelled(nlri) => nlri.is_empty(),
            NlriSet::Opaque(bytes) => bytes.is_empty(),
        }
    }
}

/// A labelled prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledNlri {
    /// The destination and path identifier.
    pub nlri: Nlri,
    /// The route distinguisher, for VPN.
    pub rd: Option<Rd>,
    /// The 20-bit labels, top first; a withdrawal's compatibility label is as sent.
    pub labels: SmallVec<[u32; 2]>,
}

/// A decoded set, and how it had to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedNlri<'a> {
    /// The NLRI.
    pub nlri: NlriSet<'a>,
    /// The reading that fitted.
    pub add_path: AddPath,
}

/// Reads NLRI as announced; if they do not tile or hold host bits, and the other reading of Add-Path is clean, that one.
///
/// Host bits under both readings are cleared under the announced one: RFC 4271 section 4.3 calls them irrelevant.
///
/// # Errors
/// No reading tiles.
pub fn decode<'a>(reader: Reader<'a>, family: AfiSafi, announced: AddPath) -> Result<DecodedNlri<'a>, Error> {
    let form = match (family.afi, family.safi) {
        (1, 1 | 2) => Form::Prefix(Afi::Ipv4),
        (2, 1 | 2) => Form::Prefix(Afi::Ipv6),
        (1, 4) => Form::Labelled(Afi::Ipv4),
        (2, 4) => Form::Labelled(Afi::Ipv6),
        (1, 128) => Form::Vpn(Afi::Ipv4),
        (2, 128) => Form::Vpn(Afi::Ipv6),
        _ => {
            let mut reader = reader;
            return Ok(DecodedNlri { nlri: NlriSet::Opaque(reader.rest()), add_path: announced });
        }
    };
    match read(reader, form, announced) {
        Ok((nlri, HostBits::None)) => Ok(DecodedNlri { nlri, add_path: announced }),
        first => read_otherwise(reader, form, announced, first),
    }
}

/// What is left when the announced reading is not clean.
#[cold]
fn read_otherwise<'a>(
    reader: Reader<'a>,
    form: Form,
    announced: AddPath,
    first: Read<'a>,
) -> Result<DecodedNlri<'a>, Error> {
    match (read(reader, form, announced.other()), first) {
        (Ok((nlri, HostBits::None)), _) => Ok(DecodedNlri { nlri, add_path: announced.other() }),
        (_, Ok((nlri, HostBits::Cleared | HostBits::None))) => Ok(DecodedNlri { nlri, add_path: announced }),
        (_, Err(error)) => Err(error),
    }
}

#[derive(Clone, Copy)]
enum Form {
    Prefix(Afi),
    Labelled(Afi),
    Vpn(Afi),
}

/// NLRI that tile, or why they do not.
type Read<'a> = Result<(NlriSet<'a>, HostBits), Error>;

#[inline(always)]
fn read<'a>(mut reader: Reader<'a>, form: Form, add_path: AddPath) -> Read<'a> {
    let mut host_bits = HostBits::None;
    let set = match form {
        Form::Prefix(afi) => {
            let (prefixes, host_bits) = WirePrefixes::check(&mut reader, afi, add_path)?;
            return Ok((NlriSet::Prefixes(Prefixes::Wire(prefixes)), host_bits));
        }
        Form::Labelled(afi) => read_labelled(&mut reader, afi, add_path, 0, &mut host_bits)?,
        Form::Vpn(afi) => read_labelled(&mut reader, afi, add_path, 64, &mut host_bits)?,
    };
    Ok((set, host_bits))
}

/// A prefix that is not as it should be: with host bits, which are cleared, or too long.
#[cold]
fn read_odd_prefix(afi: Afi, octets: &[u8], length: u8, at: usize, host_bits: &mut HostBits) -> Result<Prefix, Error> {
    let prefix =
        Prefix::truncating(afi, octets, length).map_err(|error| Error::new(at, "prefix length", error.to_string()))?;
    *host_bits = HostBits::Cleared;
    Ok(prefix)
}

fn read_path_id(reader: &mut Reader<'_>, add_path: AddPath) -> Result<Option<PathId>, Error> {
    match add_path {
        AddPath::Plain => Ok(None),
        AddPath::WithPathIds => reader.u32("path identifier").map(|id| Some(PathId(id))),
    }
}

/// Length, labels, distinguisher of `rd_bits`, prefix (RFC 8277 section 2.3, RFC 4364 section 4.3.4).
fn read_labelled(
    reader: &mut Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: u8,
    host_bits: &mut HostBits,
) -> Result<NlriSet<'static>, Error> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        let path_id = read_path_id(reader, add_path)?;
        let at = reader.offset();
        let bits = reader.u8("NLRI length")?;
        let mut body = reader.sub(usize::from(bits.div_ceil(8)), "NLRI")?;
        let mut left = bits;
        let mut labels = SmallVec::new();
        loop {
            left = left.checked_sub(24).ok_or_else(|| Error::new(at, "NLRI length", "no room for a label"))?;
            let [a, b, c] = body.array("label")?;
            let word = u32::from_be_bytes([0, a, b, c]);
            labels.push(word >> 4);
            // Bottom of stack, or the value that a withdrawal carries in its place (RFC 8277 section 2.4).
            if word & 1 == 1 || word == 0x80_0000 || word == 0 {
                break;
            }
        }
        let rd = if rd_bits == 0 {
            None
        } else {
            left = left.checked_sub(rd_bits).ok_or_else(|| Error::new(at, "NLRI length", "no room for an RD"))?;
            Some(Rd(body.array("route distinguisher")?))
        };
        let octets = body.rest();
        let prefix = match Prefix::new(afi, octets, left) {
            Ok(prefix) => prefix,
            Err(_) => read_odd_prefix(afi, octets, left, at, host_bits)?,
        };
        if all.is_empty() {
            // As long as the first one, most likely: one allocation for all of them.
            all.reserve_exact(1 + reader.remaining() / (1 + usize::from(bits.div_ceil(8))));
        }
        all.push(LabelledNlri { nlri: Nlri { prefix, path_id }, rd, labels });
    }
    Ok(NlriSet::Labelled(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], announced: AddPath, want: Result<(&str, AddPath), (usize, &str)>) {
        let got = decode(Reader::new(bytes, 0), AfiSafi::IPV4_UNICAST, announced);
        let got = match &got {
            Ok(DecodedNlri { nlri: NlriSet::Prefixes(all), add_path }) => {
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
    fn nlri_are_read_as_announced_or_the_other_way_if_only_that_is_clean() {
        use AddPath::{Plain, WithPathIds};
        check(&[], Plain, Ok(("", Plain)));
        check(&[0], Plain, Ok(("0.0.0.0/0", Plain)));
        check(&[24, 10, 1, 2, 8, 11], Plain, Ok(("10.1.2.0/24 11.0.0.0/8", Plain)));
        check(&[0, 0, 0, 7, 24, 10, 1, 2], WithPathIds, Ok(("10.1.2.0/24#7", WithPathIds)));
        // Announced, but not sent; and the reverse.
        check(&[24, 10, 1, 2], WithPathIds, Ok(("10.1.2.0/24", Plain)));
        check(&[0, 0, 0, 1, 32, 10, 1, 2, 3], Plain, Ok(("10.1.2.3/32#1", WithPathIds)));
        // Host bits in both readings: cleared in the announced one.
        check(&[23, 10, 1, 3], Plain, Ok(("10.1.2.0/23", Plain)));
        check(&[33, 10, 1, 2, 3, 4], Plain, Err((0, "prefix length")));
        check(&[24, 10, 1], Plain, Err((1, "prefix")));
    }

    #[test]
    fn vpn_prefixes_have_labels_and_a_distinguisher() {
        let bytes = [112, 0, 0x10, 0x01, 0, 0, 0xfd, 0xe8, 0, 0, 0, 7, 10, 1, 2];
        let family = AfiSafi { afi: 1, safi: 128 };
        let decoded = decode(Reader::new(&bytes, 0), family, AddPath::Plain).unwrap();
        let NlriSet::Labelled(all) = decoded.nlri else { panic!() };
        assert_eq!((all[0].labels.as_slice(), all[0].rd.unwrap().to_string().as_str()), (&[256][..], "0:65000:7"));
        assert_eq!(all[0].nlri.prefix.to_string(), "10.1.2.0/24");
        let error = decode(Reader::new(&[24, 0, 0x10, 0x01], 0), family, AddPath::Plain).unwrap_err();
        assert_eq!((error.offset, error.field), (0, "NLRI length"));
    }
}
