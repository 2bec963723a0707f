//! UPDATE (RFC 4271 section 4.3) with the multiprotocol attributes (RFC 4760) and End-of-RIB (RFC 4724).

use std::net::{IpAddr, Ipv6Addr};

use super::add_path::{AddPath, AddPathFamilies, AddPathSeen};
use super::attributes::{self, Fields, MP_REACH_NLRI};
use super::labels::{LabelReading, MultipleLabels};
use super::nlri::{self, DecodedNlri, Expected, Fit, NlriSet};
use super::rfc7606::{Fault, FaultAction};
use super::route_refresh::RouteRefresh;
use super::routes::{Announced, Routes, Withdrawn};
use crate::model::{AfiSafi, NextHop};
use crate::wire::DecodeError;
use crate::wire::bmp::peer::AsWidth;
use crate::wire::reader::Reader;

/// Octets of a BGP header: marker, length and type.
const HEADER_SIZE: usize = 19;

/// BGP message types (RFC 4271 section 4.1, RFC 2918 section 3).
const UPDATE: u8 = 2;
const ROUTE_REFRESH: u8 = 5;

/// The parameters for decoding a peer's UPDATEs; built from its Peer Up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeContext {
    /// The width of AS numbers.
    pub as_width: AsWidth,
    /// Families whose NLRI carry path identifiers.
    pub add_path: AddPathFamilies,
    /// The use of path identifiers that other messages have shown: it decides where both readings fit.
    pub add_path_seen: AddPathSeen,
    /// The families whose reading is settled: a field that is clean in the reading shown so far is decoded without
    /// checking the other one.
    pub add_path_settled: AddPathFamilies,
    /// Families whose NLRI may carry more than one label.
    pub labels: MultipleLabels,
}

/// A decoded UPDATE, and its deviations from what the router announced.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'r, 'a> {
    /// The content.
    pub update: Update<'r, 'a>,
    /// The fields that had to be decoded in another way than announced.
    pub deviations: Deviations,
    /// The use of path identifiers that the message shows, by fields that only one reading fits; the last one counts.
    pub add_path_shown: AddPathSeen,
    /// The reading used for families with NLRI that both readings fit and that no other field of the message decides:
    /// as other messages have shown, or else as announced.
    pub add_path_ambiguous: AddPathSeen,
}

/// The ways in which one message contradicts what the router announced. Each message is judged on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deviations {
    /// Path identifiers were announced but are missing.
    pub add_path_missing: bool,
    /// Path identifiers are present but were not announced.
    pub add_path_unannounced: bool,
    /// The AS_PATH has the other AS number width than announced.
    pub(crate) as_width_other: bool,
    /// NLRI carry several labels that were not announced.
    pub(crate) labels_unannounced: bool,
    /// Octets follow the BGP message.
    pub trailing_bytes: bool,
}

/// The content of an UPDATE.
#[derive(Debug, PartialEq, Eq)]
pub enum Update<'r, 'a> {
    /// End-of-RIB: the dump of this family is complete (RFC 4724 section 2).
    EndOfRib(AfiSafi),
    /// Routes are announced or withdrawn.
    Routes(&'r mut Routes<'a>),
    /// Not an UPDATE but a ROUTE-REFRESH, which a BGP session sends between UPDATEs. It neither announces nor withdraws
    /// a route.
    RouteRefresh(RouteRefresh),
}

/// Decodes one UPDATE, which ends at its own length and begins `offset` octets into the message that contains it.
///
/// Its routes are put into `routes`, which has to be empty: they are several hundred octets, built in place.
///
/// # Errors
/// The message is neither an UPDATE nor a ROUTE-REFRESH, or its NLRI cannot be determined: no part of it may be
/// applied.
pub fn decode<'r, 'a>(
    bgp: &'a [u8],
    offset: usize,
    context: &DecodeContext,
    routes: &'r mut Routes<'a>,
) -> Result<Decoded<'r, 'a>, DecodeError> {
    let mut reader = Reader::new(bgp, offset);
    reader.take(16, "marker")?;
    let length = usize::from(reader.u16("length")?);
    let type_code = reader.u8("type")?;
    if !matches!(type_code, UPDATE | ROUTE_REFRESH) {
        let why = format!("BGP message type {type_code} is neither UPDATE nor ROUTE-REFRESH");
        return Err(DecodeError::new(offset + 18, "type", why));
    }
    let Some(body) = length.checked_sub(HEADER_SIZE) else {
        return Err(DecodeError::new(offset + 16, "length", format!("{length} is shorter than a BGP header")));
    };
    let mut body = reader.sub(body, "UPDATE body")?;
    if type_code == ROUTE_REFRESH {
        let deviations = Deviations { trailing_bytes: !reader.is_empty(), ..Deviations::default() };
        return RouteRefresh::decode(body).map(|refresh| Decoded {
            update: Update::RouteRefresh(refresh),
            deviations,
            add_path_shown: AddPathSeen::default(),
            add_path_ambiguous: AddPathSeen::default(),
        });
    }
    let withdrawn_length = usize::from(body.u16("Withdrawn Routes Length")?);
    let withdrawn = body.sub(withdrawn_length, "Withdrawn Routes")?;
    let attributes_length = usize::from(body.u16("Total Path Attribute Length")?);
    let attributes = body.sub(attributes_length, "Path Attributes")?;
    let mut fields = Fields::default();
    attributes::decode_into(attributes, context.as_width, routes, &mut fields);
    let deviations = Deviations {
        trailing_bytes: !reader.is_empty(),
        as_width_other: fields.as_width_other,
        ..Deviations::default()
    };
    let mut decoder =
        UpdateDecoder { context, deviations, shown: AddPathSeen::default(), is_alone: false, ties: Vec::new() };
    let update = match decoder.nlri_fields(withdrawn, &fields, body, routes)? {
        Some(family) => Update::EndOfRib(family),
        None => Update::Routes(routes),
    };
    let mut add_path_ambiguous = AddPathSeen::default();
    decoder.ties.iter().for_each(|tie| add_path_ambiguous.note(tie.family, tie.add_path));
    Ok(Decoded { update, deviations: decoder.deviations, add_path_shown: decoder.shown, add_path_ambiguous })
}

struct UpdateDecoder<'c, 'a> {
    context: &'c DecodeContext,
    deviations: Deviations,
    shown: AddPathSeen,
    /// True if the message has one field of NLRI: no other field can decide its reading.
    is_alone: bool,
    /// Fields that both readings of Add-Path fit; almost no message has any.
    ties: Vec<Tie<'a>>,
}

/// A field of NLRI that both readings of Add-Path fit.
#[derive(Clone, Copy)]
struct Tie<'a> {
    place: Destination,
    family: AfiSafi,
    octets: Reader<'a>,
    /// The reading that was used.
    add_path: AddPath,
}

/// The index at which a field's NLRI are put in the routes.
#[derive(Clone, Copy)]
enum Destination {
    Withdrawn(usize),
    Announced(usize),
}

impl<'a> UpdateDecoder<'_, 'a> {
    /// Decodes the NLRI; returns the family of an End-of-RIB, if the message is one.
    fn nlri_fields(
        &mut self,
        withdrawn: Reader<'a>,
        attributes: &Fields<'a>,
        announced: Reader<'a>,
        routes: &mut Routes<'a>,
    ) -> Result<Option<AfiSafi>, DecodeError> {
        if let Some(at) = attributes.repeated_mp {
            let why = "MP_REACH_NLRI or MP_UNREACH_NLRI appears twice (RFC 7606 section 3 g)";
            return Err(DecodeError::new(at, "Path Attributes", why));
        }
        // With other NLRI in the message, those are withdrawn; with none, the affected routes are in the octets that
        // cannot be decoded.
        let has_nlri = !announced.is_empty() || attributes.reach.is_some() || attributes.unreach.is_some();
        if let Some(at) = attributes.cut_short.filter(|_| !has_nlri) {
            let why = "an attribute runs past the end, and no NLRI comes before it (RFC 7606 section 4)";
            return Err(DecodeError::new(at, "Path Attributes", why));
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
            let nlri = self.nlri(withdrawn, family, Destination::Withdrawn(routes.withdrawn.len()))?;
            routes.withdrawn.push(Withdrawn { family, nlri });
        }
        if let Some(unreach) = attributes.unreach {
            let (family, nlri) = read_unreach(unreach)?;
            if nlri.is_empty() && attributes.count == 1 && routes.actions.is_empty() && !has_plain {
                return Ok(Some(family));
            }
            let nlri = self.nlri(nlri, family, Destination::Withdrawn(routes.withdrawn.len()))?;
            routes.withdrawn.push(Withdrawn { family, nlri });
        }
        if !announced.is_empty() {
            let family = AfiSafi::IPV4_UNICAST;
            let nlri = self.nlri(announced, family, Destination::Announced(routes.announced.len()))?;
            let next_hop = attributes.next_hop.map(|address| NextHop { address: address.into(), link_local: None });
            routes.announced.push(Announced { family, next_hop, nlri, path_status: None });
        }
        if let Some(reach) = attributes.reach {
            let (family, next_hop, nlri) = read_reach(reach)?;
            let nlri = self.nlri(nlri, family, Destination::Announced(routes.announced.len()))?;
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
    fn nlri(&mut self, octets: Reader<'a>, family: AfiSafi, place: Destination) -> Result<NlriSet<'a>, DecodeError> {
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

    /// Decodes NLRI whose reading no other message has settled, or that are not clean in that reading.
    #[inline(never)]
    fn open_nlri(
        &mut self,
        octets: Reader<'a>,
        family: AfiSafi,
        place: Destination,
    ) -> Result<NlriSet<'a>, DecodeError> {
        let announced = self.context.add_path.reading(family);
        let labels = self.labels(family, place);
        let expected = Expected { announced, seen: self.context.add_path_seen.reading(family), labels };
        let DecodedNlri { nlri, add_path, fit } = nlri::decode(octets, family, expected)?;
        if let (NlriSet::Labeled(all), LabelReading::One) = (&nlri, labels) {
            self.deviations.labels_unannounced |= all.iter().any(|labeled| labeled.labels.len() > 1);
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
    fn labels(&self, family: AfiSafi, place: Destination) -> LabelReading {
        match place {
            Destination::Withdrawn(_) => self.context.labels.withdrawn(family),
            Destination::Announced(_) => self.context.labels.announced(family),
        }
    }

    /// Returns the fault of more labels than the receiver has announced to accept, which withdraws the routes of the
    /// UPDATE (RFC 8277 section 2.1).
    fn too_many_labels(&self, announced: &Announced<'_>) -> Option<Fault> {
        let NlriSet::Labeled(all) = &announced.nlri else { return None };
        let most = usize::from(self.context.labels.most(announced.family));
        let is_over = most != 0 && all.iter().any(|labeled| labeled.labels.len() > most);
        is_over.then(|| Fault {
            attribute: MP_REACH_NLRI,
            action: FaultAction::TreatAsWithdraw,
            why: "more labels than the receiver takes (RFC 8277 section 2.1)".into(),
        })
    }

    /// Decodes fields that both readings fit in the reading that another field of their family shows, and keeps as ties
    /// those that no field decides.
    #[cold]
    #[inline(never)]
    fn decide(&mut self, routes: &mut Routes<'a>) -> Result<(), DecodeError> {
        for at in 0..self.ties.len() {
            let Tie { place, family, octets, add_path } = self.ties[at];
            let announced = self.context.add_path.reading(family);
            let shown = self.shown.reading(family);
            if shown.is_some_and(|shown| shown != add_path) {
                let expected = Expected { announced, seen: shown, labels: self.labels(family, place) };
                let DecodedNlri { nlri, .. } = nlri::decode_again(octets, family, expected)?;
                match place {
                    Destination::Withdrawn(place) => routes.withdrawn[place].nlri = nlri,
                    Destination::Announced(place) => routes.announced[place].nlri = nlri,
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
            (AddPath::Plain, AddPath::WithPathIds) => self.deviations.add_path_unannounced = true,
            (AddPath::WithPathIds, AddPath::Plain) => self.deviations.add_path_missing = true,
            (AddPath::Plain, AddPath::Plain) | (AddPath::WithPathIds, AddPath::WithPathIds) => {}
        }
    }
}

/// Splits MP_UNREACH_NLRI (RFC 4760 section 4): AFI, SAFI, withdrawn NLRI.
fn read_unreach(mut value: Reader<'_>) -> Result<(AfiSafi, Reader<'_>), DecodeError> {
    let family = AfiSafi { afi: value.u16("MP_UNREACH_NLRI AFI")?, safi: value.u8("MP_UNREACH_NLRI SAFI")? };
    Ok((family, value))
}

/// Splits MP_REACH_NLRI (RFC 4760 section 3): AFI, SAFI, next hop, a reserved octet, NLRI.
fn read_reach(mut value: Reader<'_>) -> Result<(AfiSafi, Option<NextHop>, Reader<'_>), DecodeError> {
    let family = AfiSafi { afi: value.u16("MP_REACH_NLRI AFI")?, safi: value.u8("MP_REACH_NLRI SAFI")? };
    let length = usize::from(value.u8("next hop length")?);
    let next_hop = value.take(length, "next hop")?;
    value.u8("MP_REACH_NLRI reserved")?;
    Ok((family, read_next_hop(next_hop), value))
}

/// Decodes a next hop of any family (RFC 4760, RFC 2545 section 3, RFC 4364 section 4.3.2, RFC 4659 section 3.2.1, RFC
/// 8950): an IPv4 or IPv6 address, optionally after a distinguisher of zero, optionally followed by a link-local
/// address. `None` for any other length.
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

/// Returns the next hop of a global and a link-local address. The unspecified address is not a next hop (RFC 4291
/// section 2.5.2): if it is the global one, the link-local address is the only next hop.
fn two_addresses(global: &[u8], link_local: &[u8]) -> Option<NextHop> {
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(global).ok()?);
    let link_local = Ipv6Addr::from(<[u8; 16]>::try_from(link_local).ok()?);
    Some(match (address.is_unspecified(), link_local.is_unspecified()) {
        (true, false) => NextHop { address: link_local.into(), link_local: None },
        (_, none) => NextHop { address: address.into(), link_local: (!none).then_some(link_local) },
    })
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
