//! UPDATE (RFC 4271 section 4.3) with the multiprotocol attributes (RFC 4760) and End-of-RIB (RFC 4724).

use std::net::{IpAddr, Ipv6Addr};

use smallvec::SmallVec;

use super::add_path::{AddPath, AddPathFamilies, AddPathSeen};
use super::attributes::{self, Fields, MP_REACH_NLRI};
use super::faults::{Fault, FaultAction};
use super::labels::{LabelReading, MultipleLabels};
use super::nlri::{self, DecodedNlri, Expected, Fit, NlriSet};
use super::route_refresh::RouteRefresh;
use crate::model::{AfiSafi, NextHop, PathAttributes, PathStatus};
use crate::wire::Error;
use crate::wire::bmp::peer::AsWidth;
use crate::wire::reader::Reader;

/// Octets of marker, length and type.
const HEADER_SIZE: usize = 19;

/// BGP message types (RFC 4271 section 4.1, RFC 2918 section 3).
const UPDATE: u8 = 2;
const ROUTE_REFRESH: u8 = 5;

/// How a peer's UPDATEs are to be read; built from its Peer Up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeContext {
    /// How wide AS numbers are.
    pub as_width: AsWidth,
    /// Families whose NLRI carry path identifiers.
    pub add_path: AddPathFamilies,
    /// What other messages have shown of that: it decides where both readings fit.
    pub add_path_seen: AddPathSeen,
    /// The families of which nothing more needs to be shown: a field that is clean as seen is read so without looking at the
    /// other reading.
    pub add_path_settled: AddPathFamilies,
    /// Families whose NLRI may carry more than one label.
    pub labels: MultipleLabels,
}

/// An UPDATE, and where it was not as announced.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'r, 'a> {
    /// What it says.
    pub update: Update<'r, 'a>,
    /// What had to be read another way than announced.
    pub lies: Lies,
    /// What the message shows of path identifiers, by fields that only one reading fits; the last one counts.
    pub add_path_shown: AddPathSeen,
    /// How families were read of which there are NLRI that both readings fit and that no other field of the message decides:
    /// as other messages have shown, or else as announced.
    pub add_path_ambiguous: AddPathSeen,
}

/// Where one message contradicts what the router announced. Each message is judged alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// Path identifiers were announced and are not there.
    pub add_path_missing: bool,
    /// Path identifiers are there and were not announced.
    pub add_path_unannounced: bool,
    /// The AS_PATH has the other width.
    pub as_width_other: bool,
    /// NLRI carry several labels that were not announced.
    pub labels_unannounced: bool,
    /// Octets follow the BGP message.
    pub trailing_bytes: bool,
}

/// What an UPDATE says.
#[derive(Debug, PartialEq, Eq)]
pub enum Update<'r, 'a> {
    /// The dump of this family is complete (RFC 4724 section 2).
    EndOfRib(AfiSafi),
    /// Routes come and go.
    Routes(&'r mut Routes<'a>),
    /// No UPDATE at all, but what stands between UPDATEs on a BGP session. No route comes or goes by it.
    RouteRefresh(RouteRefresh),
}

/// Routes of one UPDATE. Almost every one has one field of NLRI; two more need an allocation.
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
    /// The family.
    pub family: AfiSafi,
    /// The NLRI.
    pub nlri: NlriSet<'a>,
}

/// Announced NLRI of one family, with their next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// The family.
    pub family: AfiSafi,
    /// The next hop; `None` if none was sent.
    pub next_hop: Option<NextHop>,
    /// The NLRI.
    pub nlri: NlriSet<'a>,
    /// What the router made of these routes; BMP version 4 alone says so.
    pub path_status: Option<PathStatus>,
}

/// Decodes one UPDATE, cut at its own length, which begins `offset` octets into the message that holds it.
///
/// `routes` is where its routes are put, and has to be empty: they are several hundred octets, made where they stay.
///
/// # Errors
/// The message is neither an UPDATE nor a ROUTE-REFRESH, or its NLRI cannot be told: nothing of it may be applied.
pub fn decode<'r, 'a>(
    bgp: &'a [u8],
    offset: usize,
    context: &DecodeContext,
    routes: &'r mut Routes<'a>,
) -> Result<Decoded<'r, 'a>, Error> {
    let mut reader = Reader::new(bgp, offset);
    reader.take(16, "marker")?;
    let length = usize::from(reader.u16("length")?);
    let type_code = reader.u8("type")?;
    if !matches!(type_code, UPDATE | ROUTE_REFRESH) {
        let why = format!("BGP message type {type_code} is neither UPDATE nor ROUTE-REFRESH");
        return Err(Error::new(offset + 18, "type", why));
    }
    let Some(body) = length.checked_sub(HEADER_SIZE) else {
        return Err(Error::new(offset + 16, "length", format!("{length} is shorter than a BGP header")));
    };
    let mut body = reader.sub(body, "UPDATE body")?;
    if type_code == ROUTE_REFRESH {
        let lies = Lies { trailing_bytes: !reader.is_empty(), ..Lies::default() };
        return RouteRefresh::decode(body).map(|refresh| Decoded {
            update: Update::RouteRefresh(refresh),
            lies,
            add_path_shown: AddPathSeen::default(),
            add_path_ambiguous: AddPathSeen::default(),
        });
    }
    let withdrawn_length = usize::from(body.u16("Withdrawn Routes Length")?);
    let withdrawn = body.sub(withdrawn_length, "Withdrawn Routes")?;
    let attributes_length = usize::from(body.u16("Total Path Attribute Length")?);
    let attributes = body.sub(attributes_length, "Path Attributes")?;
    let fields = attributes::decode(attributes, context.as_width, routes);
    let lies = Lies { trailing_bytes: !reader.is_empty(), as_width_other: fields.as_width_other, ..Lies::default() };
    let mut decoder = Decoder { context, lies, shown: AddPathSeen::default(), is_alone: false, ties: SmallVec::new() };
    let update = match decoder.nlri_fields(withdrawn, &fields, body, routes)? {
        Some(family) => Update::EndOfRib(family),
        None => Update::Routes(routes),
    };
    let mut add_path_ambiguous = AddPathSeen::default();
    decoder.ties.iter().for_each(|tie| add_path_ambiguous.note(tie.family, tie.add_path));
    Ok(Decoded { update, lies: decoder.lies, add_path_shown: decoder.shown, add_path_ambiguous })
}

struct Decoder<'c, 'a> {
    context: &'c DecodeContext,
    lies: Lies,
    shown: AddPathSeen,
    /// Whether the message has one field of NLRI: no other one can decide it.
    is_alone: bool,
    /// Fields that both readings of Add-Path fit; next to no message has any.
    ties: SmallVec<[Tie<'a>; 1]>,
}

/// A field of NLRI that both readings of Add-Path fit.
#[derive(Clone, Copy)]
struct Tie<'a> {
    place: Place,
    family: AfiSafi,
    octets: Reader<'a>,
    /// The reading that was used.
    add_path: AddPath,
}

/// Where a field's routes are put.
#[derive(Clone, Copy)]
enum Place {
    Withdrawn(usize),
    Announced(usize),
}

impl<'a> Decoder<'_, 'a> {
    /// Reads the NLRI; the family of an End-of-RIB, if the message is one.
    fn nlri_fields(
        &mut self,
        withdrawn: Reader<'a>,
        attributes: &Fields<'a>,
        announced: Reader<'a>,
        routes: &mut Routes<'a>,
    ) -> Result<Option<AfiSafi>, Error> {
        if let Some(at) = attributes.repeated_mp {
            let why = "MP_REACH_NLRI or MP_UNREACH_NLRI stands there twice (RFC 7606 section 3 g)";
            return Err(Error::new(at, "Path Attributes", why));
        }
        // With NLRI at hand those are withdrawn; without any, the routes meant are in what cannot be read.
        let has_nlri = !announced.is_empty() || attributes.reach.is_some() || attributes.unreach.is_some();
        if let Some(at) = attributes.cut_short.filter(|_| !has_nlri) {
            let why = "an attribute runs over the end, and no NLRI stands before it (RFC 7606 section 4)";
            return Err(Error::new(at, "Path Attributes", why));
        }
        let has_plain = !withdrawn.is_empty() || !announced.is_empty();
        if attributes.count == 0 && routes.actions.is_empty() && !has_plain {
            return Ok(Some(AfiSafi::IPV4_UNICAST));
        }
        let fields =
            [!withdrawn.is_empty(), !announced.is_empty(), attributes.reach.is_some(), attributes.unreach.is_some()];
        self.is_alone = fields.map(u8::from).iter().sum::<u8>() == 1;
        if !withdrawn.is_empty() {
            let family = AfiSafi::IPV4_UNICAST;
            let nlri = self.nlri(withdrawn, family, Place::Withdrawn(routes.withdrawn.len()))?;
            routes.withdrawn.push(Withdrawn { family, nlri });
        }
        if let Some(unreach) = attributes.unreach {
            let (family, nlri) = read_unreach(unreach)?;
            if nlri.is_empty() && attributes.count == 1 && routes.actions.is_empty() && !has_plain {
                return Ok(Some(family));
            }
            let nlri = self.nlri(nlri, family, Place::Withdrawn(routes.withdrawn.len()))?;
            routes.withdrawn.push(Withdrawn { family, nlri });
        }
        if !announced.is_empty() {
            let family = AfiSafi::IPV4_UNICAST;
            let nlri = self.nlri(announced, family, Place::Announced(routes.announced.len()))?;
            let next_hop = attributes.next_hop.map(|address| NextHop { address: address.into(), link_local: None });
            routes.announced.push(Announced { family, next_hop, nlri, path_status: None });
        }
        if let Some(reach) = attributes.reach {
            let (family, next_hop, nlri) = read_reach(reach)?;
            let nlri = self.nlri(nlri, family, Place::Announced(routes.announced.len()))?;
            routes.announced.push(Announced { family, next_hop, nlri, path_status: None });
        }
        if !self.ties.is_empty() {
            self.decide(routes)?;
        }
        if !self.context.labels.is_empty() {
            let faults = routes.announced.iter().filter_map(|announced| self.too_many_labels(announced));
            routes.actions.extend(faults);
        }
        if routes.actions.iter().any(|fault| fault.action == FaultAction::TreatAsWithdraw) {
            let announced = routes.announced.drain(..);
            routes.withdrawn.extend(announced.map(|Announced { family, nlri, .. }| Withdrawn { family, nlri }));
        }
        Ok(None)
    }

    #[inline(always)]
    fn nlri(&mut self, octets: Reader<'a>, family: AfiSafi, place: Place) -> Result<NlriSet<'a>, Error> {
        if self.is_alone && self.context.add_path_settled.contains(family) {
            let announced = self.context.add_path.reading(family);
            let add_path = self.context.add_path_seen.reading(family).unwrap_or(announced);
            if let Some(nlri) = nlri::settled(octets, family, add_path) {
                self.compare(announced, add_path);
                return Ok(nlri);
            }
        }
        self.open_nlri(octets, family, place)
    }

    /// NLRI of which no other message says how they are to be read, or that are not clean that way.
    #[inline(never)]
    fn open_nlri(&mut self, octets: Reader<'a>, family: AfiSafi, place: Place) -> Result<NlriSet<'a>, Error> {
        let announced = self.context.add_path.reading(family);
        let labels = self.labels(family, place);
        let expected = Expected { announced, seen: self.context.add_path_seen.reading(family), labels };
        let DecodedNlri { nlri, add_path, fit } = nlri::decode(octets, family, expected)?;
        if let (NlriSet::Labelled(all), LabelReading::One) = (&nlri, labels) {
            self.lies.labels_unannounced |= all.iter().any(|labelled| labelled.labels.len() > 1);
        }
        match fit {
            Fit::One => {
                self.shown.note(family, add_path);
                self.compare(announced, add_path);
            }
            Fit::Both => self.ties.push(Tie { place, family, octets, add_path }),
            Fit::NoNlri => {}
        }
        Ok(nlri)
    }

    #[inline(always)]
    fn labels(&self, family: AfiSafi, place: Place) -> LabelReading {
        match place {
            Place::Withdrawn(_) => self.context.labels.withdrawn(family),
            Place::Announced(_) => self.context.labels.announced(family),
        }
    }

    /// More labels than the receiver has said to take withdraw the routes of the UPDATE (RFC 8277 section 2.1).
    fn too_many_labels(&self, announced: &Announced<'_>) -> Option<Fault> {
        let NlriSet::Labelled(all) = &announced.nlri else { return None };
        let most = usize::from(self.context.labels.most(announced.family));
        let is_over = most != 0 && all.iter().any(|labelled| labelled.labels.len() > most);
        is_over.then(|| Fault {
            attribute: MP_REACH_NLRI,
            action: FaultAction::TreatAsWithdraw,
            why: "more labels than the receiver takes (RFC 8277 section 2.1)".into(),
        })
    }

    /// Reads fields that both readings fit as another field of their family shows, and keeps those that none decides.
    #[cold]
    #[inline(never)]
    fn decide(&mut self, routes: &mut Routes<'a>) -> Result<(), Error> {
        for at in 0..self.ties.len() {
            let Tie { place, family, octets, add_path } = self.ties[at];
            let announced = self.context.add_path.reading(family);
            let shown = self.shown.reading(family);
            if shown.is_some_and(|shown| shown != add_path) {
                let expected = Expected { announced, seen: shown, labels: self.labels(family, place) };
                let DecodedNlri { nlri, .. } = nlri::decode_again(octets, family, expected)?;
                match place {
                    Place::Withdrawn(place) => routes.withdrawn[place].nlri = nlri,
                    Place::Announced(place) => routes.announced[place].nlri = nlri,
                }
            }
            self.compare(announced, shown.unwrap_or(add_path));
        }
        let shown = self.shown;
        self.ties.retain(|tie| shown.reading(tie.family).is_none());
        Ok(())
    }

    #[inline(always)]
    fn compare(&mut self, announced: AddPath, used: AddPath) {
        match (announced, used) {
            (AddPath::Plain, AddPath::WithPathIds) => self.lies.add_path_unannounced = true,
            (AddPath::WithPathIds, AddPath::Plain) => self.lies.add_path_missing = true,
            (AddPath::Plain, AddPath::Plain) | (AddPath::WithPathIds, AddPath::WithPathIds) => {}
        }
    }
}

/// RFC 4760 section 4: AFI, SAFI, withdrawn NLRI.
fn read_unreach(mut value: Reader<'_>) -> Result<(AfiSafi, Reader<'_>), Error> {
    let family = AfiSafi { afi: value.u16("MP_UNREACH_NLRI AFI")?, safi: value.u8("MP_UNREACH_NLRI SAFI")? };
    Ok((family, value))
}

/// RFC 4760 section 3: AFI, SAFI, next hop, a reserved octet, NLRI.
fn read_reach(mut value: Reader<'_>) -> Result<(AfiSafi, Option<NextHop>, Reader<'_>), Error> {
    let family = AfiSafi { afi: value.u16("MP_REACH_NLRI AFI")?, safi: value.u8("MP_REACH_NLRI SAFI")? };
    let length = usize::from(value.u8("next hop length")?);
    let next_hop = value.take(length, "next hop")?;
    value.u8("MP_REACH_NLRI reserved")?;
    Ok((family, read_next_hop(next_hop), value))
}

/// A next hop of any family (RFC 4760, RFC 2545 section 3, RFC 4364 section 4.3.2, RFC 4659 section 3.2.1, RFC 8950):
/// an IPv4 or IPv6 address, perhaps behind a distinguisher of zero, perhaps with a link-local address behind it.
fn read_next_hop(value: &[u8]) -> Option<NextHop> {
    const RD: usize = 8;
    let alone = |address: IpAddr| Some(NextHop { address, link_local: None });
    match value.len() {
        4 => alone(<[u8; 4]>::try_from(value).ok()?.into()),
        12 => alone(<[u8; 4]>::try_from(&value[RD..]).ok()?.into()),
        16 => alone(<[u8; 16]>::try_from(value).ok()?.into()),
        24 => alone(<[u8; 16]>::try_from(&value[RD..]).ok()?.into()),
        32 => two_addresses(&value[..16], &value[16..]),
        48 => two_addresses(&value[RD..24], &value[24 + RD..]),
        _ => None,
    }
}

/// The unspecified address is no next hop (RFC 4291 section 2.5.2): with it in front the link-local one is all there is.
fn two_addresses(global: &[u8], link_local: &[u8]) -> Option<NextHop> {
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(global).ok()?);
    let link_local = Ipv6Addr::from(<[u8; 16]>::try_from(link_local).ok()?);
    Some(match (address.is_unspecified(), link_local.is_unspecified()) {
        (true, false) => NextHop { address: link_local.into(), link_local: None },
        (_, none) => NextHop { address: address.into(), link_local: (!none).then_some(link_local) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OtherAttribute;

    fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
        let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
        body.extend(withdrawn);
        body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        body.extend(attributes);
        body.extend(nlri);
        let mut out = vec![0xff; 16];
        out.extend(u16::try_from(body.len() + HEADER_SIZE).unwrap().to_be_bytes());
        out.push(2);
        out.extend(body);
        out
    }

    fn read(bytes: Vec<u8>) -> Result<Decoded<'static, 'static>, Error> {
        decode(bytes.leak(), 0, &DecodeContext::default(), Box::leak(Box::default()))
    }

    fn decoded(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Result<Decoded<'static, 'static>, Error> {
        read(update(withdrawn, attributes, nlri))
    }

    const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];

    /// Found by fuzzing: taken for an End-of-RIB, it purged what the dump had not yet confirmed.
    #[test]
    fn empty_mp_unreach_with_an_attribute_cut_short_behind_it_is_not_eor() {
        for cut in [&[0x40][..], &[0x40, 1], &[0x40, 1, 1], &[0x40, 1, 9, 0]] {
            let attributes = [&[0x80, 15, 3, 0, 2, 1], cut].concat();
            let is_eor = decoded(&[], &attributes, &[]).is_ok_and(|d| matches!(d.update, Update::EndOfRib(_)));
            assert!(!is_eor, "{cut:?}");
        }
    }

    #[test]
    fn end_of_rib_is_the_exact_encoding_and_nothing_else() {
        let is_eor = |attributes: &[u8], nlri: &[u8]| match decoded(&[], attributes, nlri).unwrap().update {
            Update::EndOfRib(family) => Some((family.afi, family.safi)),
            Update::Routes(_) | Update::RouteRefresh(_) => None,
        };
        assert_eq!(is_eor(&[], &[]), Some((1, 1)));
        assert_eq!(is_eor(&[0x80, 15, 3, 0, 2, 1], &[]), Some((2, 1)));
        assert_eq!(is_eor(&[0x90, 15, 0, 3, 0, 1, 1], &[]), Some((1, 1)));
        assert_eq!(is_eor(&[0x80, 15, 3, 0, 25, 70], &[]), Some((25, 70)));
        assert_eq!(is_eor(&ORIGIN, &[]), None);
        assert_eq!(is_eor(&[&ORIGIN[..], &[0x80, 15, 3, 0, 2, 1]].concat(), &[]), None);
        assert_eq!(is_eor(&[0x80, 15, 3, 0, 2, 1], &[8, 10]), None);
        assert_eq!(is_eor(&[0x80, 15, 4, 0, 2, 1, 0], &[]), None);
        assert_eq!(is_eor(&[0x80, 14, 5, 0, 2, 1, 0, 0], &[]), None);
    }

    #[test]
    fn as4_path_counts_unless_both_aggregators_came_and_the_old_one_names_another_as() {
        // 64496 AS_TRANS, by a peer of two octets; the AS4_PATH has 65551 at its end.
        let path = [0x40, 2, 6, 2, 2, 0xfb, 0xf0, 0x5b, 0xa0];
        let as4_path = [0xc0, 17, 6, 2, 1, 0, 1, 0, 0x0f];
        let aggregator = |asn: [u8; 2]| [&[0xc0, 7, 6][..], &asn, &[192, 0, 2, 9]].concat();
        let as4_aggregator = [0xc0, 18, 8, 0, 1, 0, 0x10, 192, 0, 2, 10];
        let check = |aggregators: &[u8], want_path: &str, want_aggregator: Option<u32>| {
            let attributes = [&ORIGIN[..], &path, &as4_path, aggregators].concat();
            let bytes = update(&[], &attributes, &[8, 10]);
            let mut routes = Routes::default();
            let context = DecodeContext { as_width: AsWidth::Two, ..DecodeContext::default() };
            decode(&bytes, 0, &context, &mut routes).unwrap();
            let got = routes.attributes.other.iter().find_map(|attribute| match attribute {
                OtherAttribute::Aggregator { asn, .. } => Some(asn.0),
                _ => None,
            });
            assert_eq!(routes.attributes.as_path.unwrap().to_string(), want_path, "{aggregators:?}");
            assert_eq!(got, want_aggregator, "{aggregators:?}");
        };
        let (trans, other) = (aggregator([0x5b, 0xa0]), aggregator([0xfb, 0xf3]));
        check(&[], "64496 65551", None);
        check(&trans, "64496 65551", Some(23_456));
        check(&other, "64496 65551", Some(64_499));
        check(&as4_aggregator, "64496 65551", None);
        check(&[&trans[..], &as4_aggregator].concat(), "64496 65551", Some(65_552));
        check(&[&other[..], &as4_aggregator].concat(), "64496 23456", Some(64_499));
    }

    #[test]
    fn an_unspecified_next_hop_gives_way_to_the_link_local_one() {
        let (none, link_local) = ([0; 16], [&[0xfe, 0x80][..], &[0; 13], &[1]].concat());
        let global = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat();
        let rd = [0; 8];
        let check = |parts: &[&[u8]], want: &str, beside: Option<&str>| {
            let want = NextHop { address: want.parse().unwrap(), link_local: beside.map(|it| it.parse().unwrap()) };
            assert_eq!(read_next_hop(&parts.concat()), Some(want), "{parts:?}");
        };
        check(&[&none, &link_local], "fe80::1", None);
        check(&[&rd, &none, &rd, &link_local], "fe80::1", None);
        check(&[&global, &link_local], "2001:db8::1", Some("fe80::1"));
        check(&[&rd, &global, &rd, &link_local], "2001:db8::1", Some("fe80::1"));
        check(&[&global, &none], "2001:db8::1", None);
        check(&[&none, &none], "::", None);
    }

    #[test]
    fn malformed_attributes_cost_what_rfc_7606_says() {
        let check = |attributes: &[u8], announced: usize, actions: &[u8]| {
            let all = [&ORIGIN[..], attributes].concat();
            let Update::Routes(routes) = decoded(&[], &all, &[8, 10]).unwrap().update else { panic!() };
            let got: Vec<u8> = routes.actions.iter().map(|fault| fault.attribute).collect();
            assert_eq!((routes.announced.len(), got.as_slice()), (announced, actions), "{attributes:?}");
            assert_eq!(routes.announced.len() + routes.withdrawn.len(), 1);
        };
        check(&[], 1, &[]);
        check(&[0x40, 1, 1, 9], 1, &[1]); // the second ORIGIN is discarded
        check(&[0x40, 2, 1, 2], 0, &[2]);
        check(&[0x40, 6, 1, 0], 1, &[6]);
        check(&[0x40, 6, 1, 0, 0x80, 4, 1, 0], 0, &[6, 4]);
        check(&[0x80, 5, 4, 0, 0, 0, 1], 0, &[5]); // flags of another kind
        check(&[0x00, 5, 4, 0, 0, 0, 1], 1, &[]); // no flags at all
        check(&[0xff, 5, 0, 4, 0, 0, 0, 1], 1, &[]); // all of them
        check(&[0xc0, 99, 200, 1], 0, &[99]); // runs over the end
        check(&[0x40], 0, &[0]);
    }

    #[test]
    fn more_labels_than_the_receiver_takes_withdraw_the_routes() {
        let check = |labels: MultipleLabels, announced: usize, unannounced: bool| {
            // 10.1.0.0/16 with labels 16, 17 and 18, the last one at the bottom.
            let nlri = [88, 0, 1, 0, 0, 1, 0x10, 0, 1, 0x21, 10, 1];
            let reach = [&[0x80, 14, 21, 0, 1, 4, 4, 192, 0, 2, 1, 0][..], &nlri].concat();
            let bytes = update(&[], &[&ORIGIN[..], &reach].concat(), &[]);
            let mut routes = Routes::default();
            let decoded =
                decode(&bytes, 0, &DecodeContext { labels, ..DecodeContext::default() }, &mut routes).unwrap();
            assert_eq!(decoded.lies.labels_unannounced, unannounced);
            assert_eq!((routes.announced.len(), routes.withdrawn.len()), (announced, 1 - announced));
            let nlri = if announced == 1 { &routes.announced[0].nlri } else { &routes.withdrawn[0].nlri };
            let NlriSet::Labelled(all) = nlri else { panic!("{nlri:?}") };
            assert_eq!(all[0].labels.as_slice(), [16, 17, 18]);
        };
        let most = |count| {
            let mut labels = MultipleLabels::default();
            labels.learn(Some(&[0, 1, 4, count]));
            labels
        };
        check(most(2), 0, false);
        check(most(3), 1, false);
        check(most(255), 1, false);
        check(MultipleLabels::default(), 1, true);
    }

    #[test]
    fn nlri_that_cannot_be_read_fail_the_message_with_the_place() {
        let error = decoded(&[], &ORIGIN, &[33, 1, 2, 3, 4, 5]).unwrap_err();
        assert_eq!((error.offset, error.field), (27, "prefix length"));
        let error = decoded(&[], &[0x80, 15, 2, 0, 2], &[]).unwrap_err();
        assert_eq!((error.offset, error.field), (28, "MP_UNREACH_NLRI SAFI"));
        let error = decoded(&[], &[0x80, 14, 5, 0, 2, 1, 9, 0], &[]).unwrap_err();
        assert_eq!((error.offset, error.field), (30, "next hop"));
        let over = [0x40, 1, 1, 0, 0x80, 14, 90, 0, 2, 1, 16];
        let error = decoded(&[8, 10], &over, &[]).unwrap_err();
        assert_eq!((error.offset, error.field), (29, "Path Attributes"));
        let twice = [0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1];
        let error = decoded(&[], &twice, &[]).unwrap_err();
        assert_eq!((error.offset, error.field), (29, "Path Attributes"));
        let mut open = update(&[], &[], &[]);
        open[18] = 1;
        assert_eq!(read(open.clone()).unwrap_err().field, "type");
        open[17] = 18;
        open[18] = 2;
        assert_eq!(read(open.clone()).unwrap_err().field, "length");
    }

    #[test]
    fn bytes_behind_the_message_are_cut_and_told() {
        let mut bytes = update(&[8, 10], &[], &[]);
        bytes.extend([1, 2, 3]);
        let decoded = read(bytes).unwrap();
        assert!(decoded.lies.trailing_bytes);
        let Update::Routes(routes) = decoded.update else { panic!() };
        assert_eq!(routes.withdrawn.len(), 1);
    }

    #[test]
    fn one_clear_field_decides_the_others_of_its_family() {
        // 198.51.100.0/25, which with identifiers is 0.0.0.0/0; the same of IPv6, with 2001:db8::/32.
        const TIE: [u8; 5] = [25, 198, 51, 100, 0];
        const CLEAR: [u8; 2] = [8, 10];
        let add_path: AddPathFamilies = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST].into_iter().collect();
        let context = DecodeContext { add_path, ..DecodeContext::default() };
        let read = |withdrawn: &[u8], attributes: &[u8], nlri: &[u8], context: &DecodeContext| {
            let bytes = update(withdrawn, attributes, nlri).leak();
            let decoded = decode(bytes, 0, context, Box::leak(Box::default())).unwrap();
            let Update::Routes(routes) = &decoded.update else { panic!("{decoded:?}") };
            let nlri = |nlri: &NlriSet<'_>| match nlri {
                NlriSet::Prefixes(all) => all.iter().map(|nlri| nlri.prefix.to_string()).collect::<Vec<_>>().join(" "),
                other => panic!("{other:?}"),
            };
            let withdrawn: Vec<_> = routes.withdrawn.iter().map(|field| nlri(&field.nlri)).collect();
            let announced: Vec<_> = routes.announced.iter().map(|field| nlri(&field.nlri)).collect();
            let ambiguous = decoded.add_path_ambiguous.families();
            (withdrawn.join(", "), announced.join(", "), ambiguous, decoded.lies.add_path_missing)
        };
        let none = AddPathFamilies::default();
        let v4: AddPathFamilies = [AfiSafi::IPV4_UNICAST].into_iter().collect();
        let text = |withdrawn: &str, announced: &str, ambiguous, missing| {
            (withdrawn.to_owned(), announced.to_owned(), ambiguous, missing)
        };
        assert_eq!(read(&TIE, &ORIGIN, &TIE, &context), text("0.0.0.0/0", "0.0.0.0/0", v4, false));
        let decided = text("198.51.100.0/25", "10.0.0.0/8", none, true);
        assert_eq!(read(&TIE, &ORIGIN, &CLEAR, &context), decided);
        let decided = text("10.0.0.0/8", "198.51.100.0/25", none, true);
        assert_eq!(read(&CLEAR, &ORIGIN, &TIE, &context), decided);
        // MP_UNREACH_NLRI of the same family, and of another one, which decides nothing.
        let unreach = [&[0x80, 15, 5, 0, 1, 1][..], &CLEAR].concat();
        let decided = text("10.0.0.0/8", "198.51.100.0/25", none, true);
        assert_eq!(read(&[], &[&ORIGIN[..], &unreach].concat(), &TIE, &context), decided);
        let unreach = [&[0x80, 15, 8, 0, 2, 1][..], &[32, 0x20, 1, 0xd, 0xb8][..]].concat();
        let (_, announced, ambiguous, _) = read(&[], &[&ORIGIN[..], &unreach].concat(), &TIE, &context);
        assert_eq!((announced.as_str(), ambiguous.contains(AfiSafi::IPV4_UNICAST)), ("0.0.0.0/0", true));
        // What other messages have shown decides what is left; a clear field counts before that.
        let mut seen = context;
        seen.add_path_seen.note(AfiSafi::IPV4_UNICAST, AddPath::Plain);
        assert_eq!(read(&[], &ORIGIN, &TIE, &seen), text("", "198.51.100.0/25", v4, true));
        let with_ids = [0, 0, 0, 1, 8, 10];
        assert_eq!(read(&with_ids, &ORIGIN, &TIE, &seen), text("10.0.0.0/8", "0.0.0.0/0", none, false));
        // An attribute that makes withdrawals of the announcements leaves each field its reading.
        let faulty = [&ORIGIN[..], &[0x80, 4, 1, 0]].concat();
        assert_eq!(read(&CLEAR, &faulty, &TIE, &context), text("10.0.0.0/8, 198.51.100.0/25", "", none, true));
    }
}
