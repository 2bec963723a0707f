//! One UPDATE under any context: prefixes hold no host bits and are of their family, NLRI are no more than the octets,
//! and what is stored of it is well-formed.

use std::collections::HashSet;

use rib_ingester::model::{Afi, AfiSafi, Nlri, Prefix};
use rib_ingester::session::changes::{Changes, FamilyTable, NewRoutes, PathIds};
use rib_ingester::store::copy_encoding::EncodedRoute;
use rib_ingester::wire::bgp::add_path::{AddPath, AddPathSeen};
use rib_ingester::wire::bgp::labels::MultipleLabels;
use rib_ingester::wire::bgp::nlri::NlriSet;
use rib_ingester::wire::bgp::routes::Routes;
use rib_ingester::wire::bgp::update::{self, DecodeContext, Update};
use rib_ingester::wire::bmp::peer::AsWidth;

use super::{nlri, rows};

/// Families that a bit of the second octet puts under Add-Path.
const ADD_PATH: [(u16, u8); 8] = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (2, 4), (1, 128), (2, 128)];

/// The first two octets choose how the UPDATE is read and whether its header is made up; the rest is the UPDATE.
pub fn check(input: &[u8]) {
    let [control, families, rest @ ..] = input else { return };
    let as_width = if control & 1 == 0 { AsWidth::Four } else { AsWidth::Two };
    let add_path = ADD_PATH
        .iter()
        .enumerate()
        .filter(|(bit, _)| families >> bit & 1 == 1)
        .map(|(_, (afi, safi))| AfiSafi { afi: *afi, safi: *safi })
        .collect();
    let path_ids = if control & 2 == 0 { PathIds::Keyed } else { PathIds::Ignored };
    // Two more bits of the first octet: what other messages have shown of all families.
    let mut add_path_seen = AddPathSeen::default();
    let shown = if control & 16 == 0 { AddPath::Plain } else { AddPath::WithPathIds };
    ADD_PATH.iter().filter(|_| control & 8 != 0).for_each(|(afi, safi)| {
        add_path_seen.note(AfiSafi { afi: *afi, safi: *safi }, shown);
    });
    let mut labels = MultipleLabels::default();
    let counts = [[0, 1, 4, 2], [0, 2, 4, 255], [0, 1, 128, 3], [0, 2, 128, 2]];
    labels.learn((control & 32 != 0).then_some(counts.as_flattened()));
    let bytes = if control & 4 == 0 { framed(2, rest) } else { rest.to_vec() };
    check_bytes(
        &bytes,
        &DecodeContext { as_width, add_path, add_path_seen, labels, ..DecodeContext::default() },
        path_ids,
    );
}

/// A BGP message around its body, which is cut where the length would not fit.
pub fn framed(type_code: u8, body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(usize::from(u16::MAX) - 19)];
    let length = u16::try_from(body.len() + 19).unwrap().to_be_bytes();
    [&[0xff; 16][..], &length, &[type_code], body].concat()
}

fn check_bytes(bytes: &[u8], context: &DecodeContext, path_ids: PathIds) {
    let mut routes = Routes::default();
    let decoded = match update::decode(bytes, 0, context, &mut routes) {
        Ok(decoded) => decoded,
        Err(error) => {
            assert!(error.offset <= bytes.len() && !error.field.is_empty(), "{error:?}");
            return;
        }
    };
    assert!(!(decoded.deviations.add_path_missing && context.add_path.is_empty()), "nothing was announced");
    let both = decoded.add_path_shown.iter().find(|(family, _)| decoded.add_path_ambiguous.reading(*family).is_some());
    assert!(both.is_none(), "a field of the family decides: {both:?}");
    match decoded.update {
        Update::EndOfRib(_) => {
            let length = u16::from_be_bytes([bytes[16], bytes[17]]);
            assert!(matches!(length, 23 | 29 | 30), "End-of-RIB has exact encodings (RFC 4724 section 2)");
        }
        Update::RouteRefresh(_) => assert_eq!(bytes[18], 5),
        Update::Routes(routes) => {
            check_routes(routes, bytes.len());
            check_changes(routes, path_ids);
        }
    }
}

fn check_routes(routes: &Routes<'_>, octets: usize) {
    let announced = routes.announced.iter().map(|group| (group.family, &group.nlri));
    let withdrawn = routes.withdrawn.iter().map(|group| (group.family, &group.nlri));
    let mut least = 0;
    for (family, nlri) in announced.chain(withdrawn) {
        least += match nlri {
            NlriSet::Prefixes(all) => {
                assert_eq!(all.len(), all.iter().count());
                all.iter().for_each(|nlri| check_prefix(nlri.prefix, family));
                all.iter().map(|nlri| octets_of(&nlri)).sum()
            }
            NlriSet::Labeled(all) => {
                all.iter().for_each(|nlri| check_prefix(nlri.nlri.prefix, family));
                all.iter().map(|n| octets_of(&n.nlri) + 3 * n.labels.len() + 8 * usize::from(n.rd.is_some())).sum()
            }
            NlriSet::Opaque(field) => nlri::check_field(field, family),
        };
        assert!(family.unicast().is_none() || matches!(nlri, NlriSet::Prefixes(_)));
    }
    assert!(least <= octets, "{least} octets of NLRI in {octets}");
    for (i, attribute) in routes.attributes.other.iter().enumerate().skip(1) {
        assert!(routes.attributes.other[i - 1].code() < attribute.code(), "each attribute once, ascending");
    }
}

/// How many octets an NLRI takes on the wire.
fn octets_of(nlri: &Nlri) -> usize {
    1 + usize::from(nlri.prefix.length().div_ceil(8)) + if nlri.path_id.is_some() { 4 } else { 0 }
}

fn check_prefix(prefix: Prefix, family: AfiSafi) {
    assert_eq!(u16::from(prefix.afi() == Afi::Ipv6) + 1, family.afi, "{prefix} in {family}");
    rows::assert_no_host_bits(prefix.octets(), prefix.length());
}

fn check_changes(routes: &Routes<'_>, path_ids: PathIds) {
    let changes = Changes::of(routes, path_ids);
    let mut announced: HashSet<(FamilyTable, Nlri)> = HashSet::new();
    for (slot, routes) in &changes.announced {
        assert!(!routes.is_empty());
        let mut check = |nlri: Nlri| {
            assert_eq!(nlri.prefix.afi(), slot.afi);
            announced.insert((*slot, nlri));
        };
        match routes {
            NewRoutes::Alike(route, nlri) => {
                rows::check_attributes(&route.columns());
                nlri.iter().for_each(check);
            }
            NewRoutes::Each(all) => all.iter().for_each(|(nlri, route)| {
                rows::check_attributes(&route.columns());
                assert_eq!(route.fingerprint(), EncodedRoute::from_columns(&route.columns()).fingerprint());
                check(*nlri);
            }),
        }
    }
    for (slot, nlri) in &changes.withdrawn {
        assert!(nlri.iter().all(|nlri| nlri.prefix.afi() == slot.afi && !announced.contains(&(*slot, nlri))));
    }
    assert!(changes.not_stored.iter().all(|family| family.unicast().is_none()));
}
