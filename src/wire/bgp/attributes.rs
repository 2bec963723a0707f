//! Path attributes (RFC 4271 section 4.3): the loop over them, and the decoding of each.

use std::net::Ipv4Addr;

use super::rfc7606::{Fault, FaultAction, action_for, flags_fit};
use super::routes::Routes;
use super::{as_path, validate};
use crate::model::{AsPath, AsWidth, Asn, AttrSet, Fixed, List, Origin, OtherAttribute, PathAttributes};
use crate::wire::reader::Reader;

/// NEXT_HOP (RFC 4271 section 5.1.3); the UPDATE decoder uses this attribute and the next two itself.
pub(crate) const NEXT_HOP: u8 = 3;
/// MP_REACH_NLRI (RFC 4760 section 3).
pub const MP_REACH_NLRI: u8 = 14;
/// MP_UNREACH_NLRI (RFC 4760 section 4).
pub const MP_UNREACH_NLRI: u8 = 15;

/// Flag: the length field has two octets.
const EXTENDED_LENGTH: u8 = 0x10;

/// The attributes that concern an UPDATE's NLRI, and facts about the field itself; all others are put into the routes.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// NEXT_HOP.
    pub next_hop: Option<Ipv4Addr>,
    /// The value of MP_REACH_NLRI.
    pub reach: Option<Reader<'a>>,
    /// The value of MP_UNREACH_NLRI.
    pub unreach: Option<Reader<'a>>,
    /// The number of attributes.
    pub count: usize,
    /// True if the AS_PATH had the other AS number width than announced.
    pub(crate) as_width_other: bool,
    /// The offset of a second MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 7606 section 3 g): the NLRI cannot be determined.
    pub(crate) repeated_mp: Option<usize>,
    /// The offset of an attribute that runs past the end of the field: others may have followed it.
    pub(crate) cut_short: Option<usize>,
}

/// State that can be applied only once all attributes are known.
#[derive(Default)]
struct Pending<'a> {
    as4_path: Option<AsPath<'a>>,
    aggregator: Option<(Asn, Ipv4Addr)>,
    as4_aggregator: Option<(Asn, Ipv4Addr)>,
    /// True if AS numbers in the AS_PATH have two octets.
    two_octet: bool,
}

/// Decodes the Path Attributes field into the routes' attributes and actions. Never fails: a malformed attribute has
/// the consequence that RFC 7606 requires.
///
/// The rest of the result is put into `fields`, which has to be empty.
#[inline(always)]
pub(crate) fn decode_into<'a>(reader: Reader<'a>, width: AsWidth, routes: &mut Routes<'a>, fields: &mut Fields<'a>) {
    let mut decoder = AttributeDecoder {
        fields,
        path: &mut routes.attributes,
        faults: &mut routes.actions,
        pending: Pending { two_octet: width == AsWidth::Two, ..Pending::default() },
        width,
        place: Container::Update,
        end: 0,
    };
    walk(reader, &mut decoder);
}

/// The same as [`decode_into`], but returns the fields.
#[cfg(test)]
pub fn decode<'a>(reader: Reader<'a>, width: AsWidth, routes: &mut Routes<'a>) -> Fields<'a> {
    let mut fields = Fields::default();
    decode_into(reader, width, routes, &mut fields);
    fields
}

fn walk<'a>(mut reader: Reader<'a>, decoder: &mut AttributeDecoder<'_, 'a>) {
    let mut rest = reader.rest();
    decoder.end = reader.offset();
    let mut seen = [false; 256];
    let mut count = 0;
    while !rest.is_empty() {
        let Some((Attribute { flags, code, value }, tail)) = Attribute::split(rest) else {
            // The NLRI field is found by the Total Attribute Length, so its routes are known.
            let why = "attribute runs past the Total Path Attribute Length (RFC 7606 section 4)";
            let code = rest.get(1).copied().unwrap_or(0);
            decoder.fault(code, FaultAction::TreatAsWithdraw, why);
            decoder.fields.cut_short = Some(decoder.offset_of(rest));
            break;
        };
        count += 1;
        if std::mem::replace(&mut seen[usize::from(code)], true) {
            decoder.repeated(code, rest);
        } else {
            decoder.apply(flags, code, value, tail);
        }
        rest = tail;
    }
    decoder.fields.count = count;
    decoder.finish();
}

/// One attribute, its value not yet decoded.
struct Attribute<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Returns the first attribute and the octets after it; `None` if it runs past the end.
    #[inline]
    fn split(rest: &'a [u8]) -> Option<(Attribute<'a>, &'a [u8])> {
        let (&[flags, code, short], tail) = rest.split_first_chunk()?;
        let (length, tail) = if flags & EXTENDED_LENGTH == 0 {
            (usize::from(short), tail)
        } else {
            let (low, tail) = tail.split_first()?;
            (usize::from(u16::from_be_bytes([short, *low])), tail)
        };
        let (value, tail) = tail.split_at_checked(length)?;
        Some((Attribute { flags, code, value }, tail))
    }
}

struct AttributeDecoder<'r, 'a> {
    fields: &'r mut Fields<'a>,
    path: &'r mut PathAttributes<'a>,
    faults: &'r mut Vec<Fault>,
    pending: Pending<'a>,
    width: AsWidth,
    place: Container,
    /// The offset in the message at which the attributes end.
    end: usize,
}

/// The container of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    /// In an UPDATE.
    Update,
    /// In an ATTR_SET, which must not contain another.
    AttrSet,
}

impl<'a> AttributeDecoder<'_, 'a> {
    #[cold]
    fn fault(&mut self, attribute: u8, action: FaultAction, why: impl Into<std::borrow::Cow<'static, str>>) {
        self.faults.push(Fault { attribute, action, why: why.into() });
    }

    #[cold]
    fn repeated(&mut self, code: u8, rest: &[u8]) {
        if matches!(code, MP_REACH_NLRI | MP_UNREACH_NLRI) {
            self.fields.repeated_mp = Some(self.offset_of(rest));
        } else {
            let why = "attribute appears twice, the first counts (RFC 7606 section 3 g)";
            self.fault(code, FaultAction::AttributeDiscard, why);
        }
    }

    /// Returns the offset in the message of `part`, which extends to the end of the attributes.
    fn offset_of(&self, part: &[u8]) -> usize {
        self.end - part.len()
    }

    /// Applies one attribute; `tail` is the octets after it.
    #[inline(always)]
    fn apply(&mut self, flags: u8, code: u8, value: &'a [u8], tail: &'a [u8]) {
        let result = if flags_fit(code, flags) {
            self.read(code, value, tail)
        } else {
            Err("Optional and Transitive bits contradict the type (RFC 7606 section 3 c)")
        };
        if let Err(why) = result {
            self.malformed(code, why);
        }
    }

    #[cold]
    fn malformed(&mut self, code: u8, why: &'static str) {
        if let Some((action, section)) = action_for(code) {
            self.fault(code, action, format!("{why} ({section})"));
        }
    }

    /// Decodes the attributes that most routes have; it is inlined into the loop over attributes.
    #[inline(always)]
    fn read(&mut self, code: u8, value: &'a [u8], tail: &[u8]) -> Result<(), &'static str> {
        let AttributeDecoder { fields, path, pending, width, end, .. } = self;
        match code {
            1 => path.origin = Some(origin(value)?),
            2 => {
                let (as_path, other) = read_as_path(value, *width)?;
                path.as_path = Some(as_path);
                fields.as_width_other = other;
                pending.two_octet ^= other;
            }
            NEXT_HOP => fields.next_hop = Some(four(value)?.into()),
            4 => path.med = Some(u32::from_be_bytes(four(value)?)),
            5 => path.local_pref = Some(u32::from_be_bytes(four(value)?)),
            8 => path.communities = Some(list(value)?),
            // The flags of neither are checked: the NLRI are used as they are.
            MP_REACH_NLRI => fields.reach = Some(Reader::new(value, *end - tail.len() - value.len())),
            MP_UNREACH_NLRI => fields.unreach = Some(Reader::new(value, *end - tail.len() - value.len())),
            16 => path.extended_communities = Some(list(value)?),
            32 => path.large_communities = Some(list(value)?),
            _ => return self.read_other(code, value),
        }
        Ok(())
    }

    #[inline(never)]
    fn read_other(&mut self, code: u8, value: &'a [u8]) -> Result<(), &'static str> {
        let AttributeDecoder { path, pending, faults, place, .. } = self;
        match code {
            6 if value.is_empty() => path.other.push(OtherAttribute::AtomicAggregate),
            6 => return Err("length is not 0"),
            7 => pending.aggregator = Some(aggregator(value)?),
            9 => path.other.push(OtherAttribute::OriginatorId(four(value)?.into())),
            10 => path.other.push(OtherAttribute::ClusterList(list(not_empty(value)?)?)),
            17 => pending.as4_path = Some(as_path::decode_as4(value)?),
            18 => {
                let [a, b, c, d, address @ ..] = value else { return Err("length is not 8") };
                let address = four(address).map_err(|_| "length is not 8")?;
                pending.as4_aggregator = Some((Asn(u32::from_be_bytes([*a, *b, *c, *d])), address.into()));
            }
            25 => path.other.push(OtherAttribute::Ipv6ExtendedCommunities(list(value)?)),
            26 => path.other.push(OtherAttribute::Aigp(aigp(value)?)),
            35 => path.other.push(OtherAttribute::OnlyToCustomer(Asn(u32::from_be_bytes(four(value)?)))),
            128 if *place == Container::AttrSet => return Err("an ATTR_SET in an ATTR_SET"),
            128 => path.other.push(OtherAttribute::AttrSet(attr_set(value, faults)?)),
            code => {
                validate::check(code, value)?;
                path.other.push(OtherAttribute::Opaque { code, value: value.into() });
            }
        }
        Ok(())
    }

    /// Merges AS4_PATH and AS4_AGGREGATOR into the AS_PATH and AGGREGATOR of a two-octet speaker (RFC 6793 section
    /// 4.2.3).
    #[inline(always)]
    fn finish(&mut self) {
        let AttributeDecoder { path, pending, .. } = self;
        let Pending { as4_path, aggregator, as4_aggregator, two_octet } = pending;
        // If both are there, an AGGREGATOR whose AS is not AS_TRANS was added by a two-octet speaker after the
        // four-octet attributes were made: AS4_PATH and AS4_AGGREGATOR are ignored. Without an AS4_AGGREGATOR it has no
        // bearing on AS4_PATH.
        let both = aggregator.zip(*as4_aggregator);
        let is_trusted = *two_octet && both.is_none_or(|((asn, _), _)| asn == Asn::TRANS);
        if is_trusted {
            if both.is_some() {
                *aggregator = *as4_aggregator;
            }
            if let Some(as4_path) = as4_path {
                path.as_path = path.as_path.take().map(|path| as_path::merge(path, as4_path));
            }
        }
        if let Some((asn, address)) = *aggregator {
            path.other.push(OtherAttribute::Aggregator { asn, address });
        }
        if path.other.len() > 1 {
            path.other.sort_by_key(OtherAttribute::code);
        }
    }
}

/// Decodes an ATTR_SET: an AS, and path attributes whose AS numbers have four octets whatever the session's width (RFC
/// 6368 section 5). A malformed attribute in it affects only the set: it is discarded from it, or the set itself is
/// malformed.
#[cold]
fn attr_set<'a>(value: &'a [u8], faults: &mut Vec<Fault>) -> Result<Box<AttrSet<'a>>, &'static str> {
    let (origin_as, contained) = value.split_first_chunk().ok_or("shorter than an AS")?;
    let origin_as = Asn(u32::from_be_bytes(*origin_as));
    let mut set = Box::new(AttrSet { origin_as, next_hop: None, attributes: PathAttributes::default() });
    let mut found = Vec::new();
    let mut fields = Fields::default();
    let mut decoder = AttributeDecoder {
        fields: &mut fields,
        path: &mut set.attributes,
        faults: &mut found,
        pending: Pending::default(),
        width: AsWidth::Four,
        place: Container::AttrSet,
        end: 0,
    };
    walk(Reader::new(contained, 0), &mut decoder);
    if found.iter().any(|fault| fault.action == FaultAction::TreatAsWithdraw) {
        return Err("an attribute in it is malformed");
    }
    if fields.reach.is_some() || fields.unreach.is_some() {
        return Err("NLRI in it");
    }
    set.next_hop = fields.next_hop;
    // Only the first discard is reported: repeated attributes cause one each.
    let discarded = found.into_iter().next();
    faults.extend(discarded.map(|fault| Fault { why: format!("in ATTR_SET: {}", fault.why).into(), ..fault }));
    Ok(set)
}

/// Decodes an AS_PATH in the announced width, or in the other width if only that is well formed; true if it was the
/// other.
fn read_as_path(value: &[u8], width: AsWidth) -> Result<(AsPath<'_>, bool), &'static str> {
    match AsPath::from_wire(value, width) {
        Ok(path) => Ok((path, false)),
        Err(why) => AsPath::from_wire(value, width.other()).map(|path| (path, true)).map_err(|_| why),
    }
}

fn origin(value: &[u8]) -> Result<Origin, &'static str> {
    match value {
        [0] => Ok(Origin::Igp),
        [1] => Ok(Origin::Egp),
        [2] => Ok(Origin::Incomplete),
        [_] => Err("undefined ORIGIN value"),
        _ => Err("length is not 1"),
    }
}

fn four(value: &[u8]) -> Result<[u8; 4], &'static str> {
    value.try_into().map_err(|_| "length is not 4")
}

fn aggregator(value: &[u8]) -> Result<(Asn, Ipv4Addr), &'static str> {
    match *value {
        [a, b, w, x, y, z] => Ok((Asn(u16::from_be_bytes([a, b]).into()), Ipv4Addr::new(w, x, y, z))),
        [a, b, c, d, w, x, y, z] => Ok((Asn(u32::from_be_bytes([a, b, c, d])), Ipv4Addr::new(w, x, y, z))),
        _ => Err("length is neither 6 nor 8"),
    }
}

fn list<T: Fixed>(value: &[u8]) -> Result<List<'_, T>, &'static str> {
    List::from_wire(value).ok_or("length is not a multiple")
}

fn not_empty(value: &[u8]) -> Result<&[u8], &'static str> {
    if value.is_empty() { Err("length is 0") } else { Ok(value) }
}

/// Returns the metric of the first AIGP TLV: type 1, length 11 (RFC 7311 section 3).
fn aigp(value: &[u8]) -> Result<u64, &'static str> {
    let mut rest = value;
    while let [kind, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let size = length.checked_sub(3).ok_or("a TLV is shorter than its header")?;
        let (body, tail) = tail.split_at_checked(size).ok_or("a TLV runs past the end")?;
        if *kind == 1 {
            return match body.try_into().map(u64::from_be_bytes) {
                Ok(u64::MAX) => Err("the metric is the maximum"),
                Ok(metric) => Ok(metric),
                Err(_) => Err("AIGP TLV is not 11 octets long"),
            };
        }
        rest = tail;
    }
    Err("no AIGP TLV")
}
