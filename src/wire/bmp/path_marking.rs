//! Assigns path statuses to the routes of a version 4 Route Monitoring message
//! (draft-ietf-grow-bmp-path-marking-tlv).

use std::collections::{HashMap, HashSet};

use super::numbering::{GROUP_BIT, Tlv, TlvKind};
use crate::model::{Nlri, PathStatus};
use crate::wire::bgp::nlri::NlriSet;
use crate::wire::bgp::prefixes::Prefixes;
use crate::wire::bgp::routes::{Announced, Routes};

/// Gives every announced route the status that the TLVs assign to it. Routes of one field whose statuses differ become
/// several [`Announced`]s, in order.
///
/// NLRI are numbered from 1, withdrawn ones first. Only prefixes are marked one by one; the routes of a labeled or
/// opaque field get only a status that applies to all routes of the message.
pub fn mark(routes: &mut Routes<'_>, tlvs: &[Tlv<'_>]) {
    let marks = statuses(tlvs);
    if marks.is_empty() {
        return;
    }
    let status_of_all = marks.get(&0).copied();
    if marks.keys().all(|index| *index == 0) {
        for announced in &mut routes.announced {
            announced.path_status = status_of_all;
        }
        return;
    }
    let mut numbers = Numbers::new(&marks, tlvs);
    let mut number = 1 + routes.withdrawn.iter().map(|withdrawn| count(&withdrawn.nlri)).sum::<usize>();
    for announced in std::mem::take(&mut routes.announced) {
        let Announced { family, next_hop, nlri, .. } = announced;
        match nlri {
            NlriSet::Prefixes(all) => {
                for (path_status, nlri) in split(&all, &mut number, &mut numbers, status_of_all) {
                    let nlri = NlriSet::Prefixes(Prefixes::Listed(nlri));
                    routes.announced.push(Announced { family, next_hop, nlri, path_status });
                }
            }
            NlriSet::Labeled(_) | NlriSet::Opaque(_) => {
                number += count(&nlri);
                routes.announced.push(Announced { family, next_hop, nlri, path_status: status_of_all });
            }
        }
    }
}

/// Returns the status of each index that a path marking TLV names; the first TLV of an index counts.
fn statuses(tlvs: &[Tlv<'_>]) -> HashMap<u16, PathStatus> {
    let mut statuses = HashMap::new();
    for tlv in tlvs.iter().filter(|tlv| tlv.kind == TlvKind::PathMarking) {
        if let Some(status) = PathStatus::from_wire(tlv.value) {
            statuses.entry(tlv.index).or_insert(status);
        }
    }
    statuses
}

/// Statuses by NLRI number, ascending, and the position in them up to which they have been looked up.
struct Numbers {
    sorted: Vec<(u16, PathStatus)>,
    next: usize,
}

impl Numbers {
    /// Expands groups: a group TLV contains the numbers of its NLRI, two octets each. Each group is expanded once, so
    /// there are no more numbers than the message has octets.
    fn new(marks: &HashMap<u16, PathStatus>, tlvs: &[Tlv<'_>]) -> Numbers {
        let is_group = |index: u16| index & GROUP_BIT != 0;
        let mut sorted: Vec<(u16, PathStatus)> =
            marks.iter().filter(|(index, _)| !is_group(**index)).map(|(index, status)| (*index, *status)).collect();
        let mut written = HashSet::new();
        for group in tlvs.iter().filter(|tlv| tlv.kind == TlvKind::Group && is_group(tlv.index)) {
            let Some(status) = marks.get(&group.index) else { continue };
            if written.insert(group.index) {
                let members = group.value.as_chunks::<2>().0.iter();
                sorted.extend(members.map(|number| (u16::from_be_bytes(*number), *status)));
            }
        }
        // The sort is stable: a mark of one NLRI comes before that of its group, and the first one counts.
        sorted.sort_by_key(|(number, _)| *number);
        Numbers { sorted, next: 0 }
    }

    /// Returns the status of this NLRI; callers must ask for numbers in ascending order.
    fn status_of(&mut self, number: usize) -> Option<PathStatus> {
        while let Some((marked, status)) = self.sorted.get(self.next) {
            match usize::from(*marked).cmp(&number) {
                std::cmp::Ordering::Less => self.next += 1,
                std::cmp::Ordering::Equal => return Some(*status),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }
}

/// Splits a field's NLRI into runs of the same status, in order. `number` is that of the first NLRI and ends as that
/// of the first one after the field.
fn split(
    all: &Prefixes<'_>,
    number: &mut usize,
    numbers: &mut Numbers,
    status_of_all: Option<PathStatus>,
) -> Vec<(Option<PathStatus>, Vec<Nlri>)> {
    let mut parts: Vec<(Option<PathStatus>, Vec<Nlri>)> = Vec::new();
    for nlri in all {
        let status = numbers.status_of(*number).or(status_of_all);
        *number += 1;
        match parts.last_mut() {
            Some((last, part)) if *last == status => part.push(nlri),
            _ => parts.push((status, vec![nlri])),
        }
    }
    parts
}

/// Returns the number of NLRI in a field; an opaque field, which is not decoded, counts as one.
fn count(nlri: &NlriSet<'_>) -> usize {
    match nlri {
        NlriSet::Prefixes(all) => all.len(),
        NlriSet::Labeled(all) => all.len(),
        NlriSet::Opaque(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::model::{Afi, AfiSafi, Prefix};
    use crate::wire::bgp::routes::Withdrawn;

    fn nlri(octets: &[u8]) -> NlriSet<'static> {
        let nlri = |octet: &u8| Nlri { prefix: Prefix::new(Afi::Ipv4, &[*octet], 8).unwrap(), path_id: None };
        NlriSet::Prefixes(octets.iter().map(nlri).collect())
    }

    /// Marks one withdrawn route (number 1) and three announced ones (2 to 4). Returns the resulting fields, each with
    /// the bits of its status.
    fn marked(tlvs: &[(TlvKind, u16, &[u8])]) -> Vec<(Vec<u8>, Option<u32>)> {
        let family = AfiSafi::IPV4_UNICAST;
        let mut routes = Routes {
            withdrawn: smallvec![Withdrawn { family, nlri: nlri(&[9]) }],
            announced: smallvec![Announced { family, next_hop: None, nlri: nlri(&[10, 11, 12]), path_status: None }],
            ..Routes::default()
        };
        let tlv = |(kind, index, value)| Tlv { type_code: 0, kind, enterprise: None, index, value };
        mark(&mut routes, &tlvs.iter().copied().map(tlv).collect::<Vec<_>>());
        let octets = |announced: &Announced| match &announced.nlri {
            NlriSet::Prefixes(all) => all.iter().map(|nlri| nlri.prefix.octets()[0]).collect(),
            other => panic!("{other:?}"),
        };
        routes.announced.iter().map(|a| (octets(a), a.path_status.map(|status| status.bits))).collect()
    }

    #[test]
    fn a_route_has_the_status_of_its_number_group_or_all() {
        let (mark, group) = (TlvKind::PathMarking, TlvKind::Group);
        let all = |bits| vec![(vec![10, 11, 12], bits)];
        assert_eq!(marked(&[]), all(None));
        assert_eq!(marked(&[(mark, 0, &[0, 0, 0, 2])]), all(Some(2)));
        assert_eq!(marked(&[(mark, 0, &[0, 0])]), all(None));
        assert_eq!(
            marked(&[(mark, 3, &[0, 0, 0, 2]), (mark, 0, &[0, 0, 0, 4])]),
            [(vec![10], Some(4)), (vec![11], Some(2)), (vec![12], Some(4))]
        );
        assert_eq!(
            marked(&[(group, 0x8001, &[0, 4, 0, 2]), (mark, 0x8001, &[0, 0, 0, 1])]),
            [(vec![10], Some(1)), (vec![11], None), (vec![12], Some(1))]
        );
        // A mark of a single number overrides that of its group; a mark of a group that does not exist, or of the
        // withdrawn route, has no effect.
        assert_eq!(
            marked(&[
                (group, 0x8001, &[0, 2, 0, 3]),
                (mark, 0x8001, &[0, 0, 0, 1]),
                (mark, 2, &[0, 0, 0, 8]),
                (mark, 0x8002, &[0, 0, 0, 16]),
                (mark, 1, &[0, 0, 0, 32]),
            ]),
            [(vec![10], Some(8)), (vec![11], Some(1)), (vec![12], None)]
        );
    }
}
