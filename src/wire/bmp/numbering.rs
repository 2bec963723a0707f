//! Detects which revision of draft-ietf-grow-bmp-tlv numbers the TLVs of a version 4 Route Monitoring message.
//!
//! | type | up to revision 19 | revision 20 | revision 21 |
//! |---|---|---|---|
//! | 1 | Stateless Parsing | Sequence Number | Group |
//! | 2 | Group | Extended Flags | VRF/Table Name |
//! | 3 | VRF/Table Name | Timestamp | Stateless Parsing |
//! | 4 | BGP Message | Group | BGP Message |
//! | 5 | path marking | VRF/Table Name, path marking | Sequence Number |
//! | 6 | | Stateless Parsing | Extended Flags |
//! | 7 | | BGP Message | Timestamp |
//!
//! All are in use, and no field of a message names the revision. It is inferred from the content of the TLVs: a BGP
//! message begins with a marker, a group's index has the top bit set, capabilities fill their TLV exactly, a sequence
//! number has eight octets. A TLV that cannot be identified is ignored (section 6): it must never be stored as a name
//! or a status that it is not.

/// The top bit of a TLV's index: the index is that of a group, not of one NLRI (draft-ietf-grow-bmp-tlv-20 section
/// 4.3).
pub(crate) const GROUP_BIT: u16 = 0x8000;

/// One indexed TLV of a version 4 message (draft-ietf-grow-bmp-tlv-20 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The type as sent, without the enterprise bit.
    pub type_code: u16,
    /// The meaning of the type.
    pub kind: TlvKind,
    /// The owner of the type, if not IANA: a Private Enterprise Number.
    pub(crate) enterprise: Option<u32>,
    /// The NLRI that the TLV applies to. 0: all; the top bit set: a group; else the number of one NLRI, counted from 1.
    pub index: u16,
    /// The value, without an enterprise number.
    pub value: &'a [u8],
}

/// The meaning of a TLV, independent of its number in the message's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvKind {
    /// A sequence number.
    SequenceNumber,
    /// Extended peer flags.
    ExtendedFlags,
    /// A timestamp.
    Timestamp,
    /// The numbers of the NLRI in the group with the TLV's index.
    Group,
    /// The VRF or table name.
    TableName,
    /// BGP capabilities, as in an OPEN, that are needed to decode this UPDATE.
    StatelessParsing,
    /// The status of routes (draft-ietf-grow-bmp-path-marking-tlv); see [`super::path_marking`].
    PathMarking,
    /// Any other, or one whose numbering is not known.
    Unknown,
}

/// TLV type of the BGP message up to revision 19, and again since revision 21.
pub(super) const BGP_MESSAGE_19_21: u16 = 4;
/// TLV type of the BGP message in revision 20.
pub(super) const BGP_MESSAGE_20: u16 = 7;

/// A revision of the draft, by its numbering of TLV types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    /// Up to revision 19.
    UpTo19,
    /// Revision 20.
    Of20,
    /// Revision 21.
    Of21,
}

/// The numbering that was detected for the TLVs of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// No TLV of the message shows the revision.
    #[default]
    Untold,
    /// The numbering of this revision, and the evidence for it in the message.
    Told(Revision, &'static str),
    /// TLVs contradict each other: none is trusted.
    Contradictory,
}

/// Detects the numbering, and sets each TLV's kind by it.
pub(super) fn tell(bgp_message: u16, tlvs: &mut [Tlv<'_>]) -> Numbering {
    let of_iana = |tlv: &&Tlv<'_>| tlv.enterprise.is_none();
    let numbering = match bgp_message {
        BGP_MESSAGE_20 => Numbering::Told(Revision::Of20, "the BGP message has type 7"),
        _ => tlvs.iter().filter(of_iana).filter_map(vote).fold(
            Numbering::Untold,
            |so_far, (revision, by)| match so_far {
                Numbering::Untold => Numbering::Told(revision, by),
                Numbering::Told(told, _) if told == revision => so_far,
                Numbering::Told(..) | Numbering::Contradictory => Numbering::Contradictory,
            },
        ),
    };
    // Path marking has type 5 in every revision, and its own draft names none: it is decoded without evidence.
    let revision = match numbering {
        Numbering::Told(revision, _) => revision,
        Numbering::Untold => Revision::UpTo19,
        Numbering::Contradictory => return numbering,
    };
    for tlv in tlvs.iter_mut().filter(|tlv| tlv.enterprise.is_none()) {
        tlv.kind = kind(revision, tlv);
    }
    numbering
}

/// Returns the revision that one TLV is evidence of, where the BGP message has type 4.
fn vote(tlv: &Tlv<'_>) -> Option<(Revision, &'static str)> {
    use Revision::{Of21, UpTo19};
    match tlv.type_code {
        1 if is_group(tlv) => Some((Of21, "a group has type 1")),
        1 if is_capability(tlv.value) => Some((UpTo19, "a capability has type 1")),
        2 if is_group(tlv) => Some((UpTo19, "a group has type 2")),
        2 if is_name(tlv) => Some((Of21, "a name has type 2")),
        3 if is_capability(tlv.value) => Some((Of21, "a capability has type 3")),
        3 if is_name(tlv) => Some((UpTo19, "a name has type 3")),
        5 if is_sequence_number(tlv.value) => Some((Of21, "a sequence number has type 5")),
        7 if is_timestamp(tlv.value) => Some((Of21, "a timestamp has type 7")),
        _ => None,
    }
}

fn kind(revision: Revision, tlv: &Tlv<'_>) -> TlvKind {
    use Revision::{Of20, Of21, UpTo19};
    let (kind, fits) = match (revision, tlv.type_code) {
        (UpTo19, 1) | (Of20, 6) | (Of21, 3) => (TlvKind::StatelessParsing, is_capability(tlv.value)),
        (UpTo19, 2) | (Of20, 4) | (Of21, 1) => (TlvKind::Group, is_group(tlv)),
        // The path marking draft claims the number that revision 20 gave to the table name and revision 21 to the
        // sequence number. Its status is four octets that no name begins with: the upper half of the bits is
        // unassigned, so zero.
        (_, 5) if matches!(tlv.value, [0, 0, _, _] | [0, 0, _, _, _, _]) => (TlvKind::PathMarking, true),
        (UpTo19, 3) | (Of20, 5) | (Of21, 2) => (TlvKind::TableName, is_name(tlv)),
        (Of20, 1) | (Of21, 5) => (TlvKind::SequenceNumber, is_sequence_number(tlv.value)),
        (Of20, 2) | (Of21, 6) => (TlvKind::ExtendedFlags, !tlv.value.is_empty()),
        (Of20, 3) | (Of21, 7) => (TlvKind::Timestamp, is_timestamp(tlv.value)),
        _ => (TlvKind::Unknown, true),
    };
    if fits { kind } else { TlvKind::Unknown }
}

/// Returns whether the TLV can be a group: its index has the group bit, and it contains NLRI numbers of two octets
/// each.
fn is_group(tlv: &Tlv<'_>) -> bool {
    tlv.index & GROUP_BIT != 0 && !tlv.value.is_empty() && tlv.value.len().is_multiple_of(2)
}

/// Returns whether the value can be capabilities: each is a code, a length and that many octets, and together they fill
/// the value exactly. A name whose octets happen to do so is recognized as text: a family's capability contains a
/// zero, and the length of a short one is a control character.
fn is_capability(value: &[u8]) -> bool {
    let mut rest = value;
    while let [_, length, tail @ ..] = rest {
        match tail.split_at_checked(usize::from(*length)) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty() && value.iter().any(|octet| *octet < b' ')
}

/// Returns whether the TLV can be a table's name: its index is not that of a group, and its value is not empty and does
/// not begin with zero.
fn is_name(tlv: &Tlv<'_>) -> bool {
    tlv.index & GROUP_BIT == 0 && tlv.value.first().is_some_and(|first| *first != 0)
}

/// Returns whether the value can be a sequence number: eight octets (section 5.6.2).
pub(super) fn is_sequence_number(value: &[u8]) -> bool {
    value.len() == 8
}

/// Returns whether the value can be a timestamp: a type of one or two octets, then seconds and microseconds (section
/// 5.6.1).
fn is_timestamp(value: &[u8]) -> bool {
    matches!(value.len(), 9 | 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(type_code: u16, index: u16, value: &[u8]) -> Tlv<'_> {
        Tlv { type_code, kind: TlvKind::Unknown, enterprise: None, index, value }
    }

    const ADD_PATH: &[u8] = &[69, 4, 0, 1, 1, 3];
    const MARK: &[u8] = &[0, 0, 4, 2, 0, 3];

    #[test]
    fn each_revision_is_told_by_what_its_tlvs_hold() {
        use TlvKind::{
            ExtendedFlags, Group, PathMarking, SequenceNumber, StatelessParsing, TableName, Timestamp, Unknown,
        };
        let check = |bgp, tlvs: &[Tlv<'_>], revision: Option<Revision>, kinds: &[TlvKind]| {
            let mut tlvs = tlvs.to_vec();
            let told = match tell(bgp, &mut tlvs) {
                Numbering::Told(revision, _) => Some(revision),
                Numbering::Untold | Numbering::Contradictory => None,
            };
            assert_eq!(
                (told, tlvs.iter().map(|tlv| tlv.kind).collect::<Vec<_>>()),
                (revision, kinds.to_vec()),
                "{tlvs:?}"
            );
        };
        let group = 0x8001;
        let all_21 = [
            tlv(1, group, &[0, 1, 0, 2]),
            tlv(2, 0, b"red"),
            tlv(3, 0, ADD_PATH),
            tlv(5, 0, &[0, 0, 0, 0, 0, 0, 0, 9]),
            tlv(6, 0, &[0x40]),
            tlv(7, 0, &[0, 1, 1, 1, 1, 0, 0, 0, 0]),
        ];
        let kinds_21 = [Group, TableName, StatelessParsing, SequenceNumber, ExtendedFlags, Timestamp];
        check(4, &all_21, Some(Revision::Of21), &kinds_21);
        for (at, kind) in kinds_21.into_iter().enumerate().filter(|(at, _)| *at != 4) {
            check(4, &all_21[at..=at], Some(Revision::Of21), &[kind]);
        }
        check(4, &[tlv(7, 0, &[0, 4, 1, 1, 1, 1, 0, 0, 0, 0])], Some(Revision::Of21), &[Timestamp]);
        let all_19 = [tlv(1, 0, ADD_PATH), tlv(2, group, &[0, 1]), tlv(3, 0, b"red"), tlv(5, 1, MARK)];
        check(4, &all_19, Some(Revision::UpTo19), &[StatelessParsing, Group, TableName, PathMarking]);
        for (at, kind) in [StatelessParsing, Group, TableName].into_iter().enumerate() {
            check(4, &all_19[at..=at], Some(Revision::UpTo19), &[kind]);
        }
        check(4, &[tlv(3, 0, "zürich|E4".as_bytes())], Some(Revision::UpTo19), &[TableName]);
        let all_20 = [
            tlv(1, 0, &[0; 8]),
            tlv(2, 0, &[0]),
            tlv(3, 0, &[0; 9]),
            tlv(4, group, &[0, 1]),
            tlv(5, 0, b"red"),
            tlv(5, 1, MARK),
            tlv(6, 0, ADD_PATH),
        ];
        let kinds_20 = [SequenceNumber, ExtendedFlags, Timestamp, Group, TableName, PathMarking, StatelessParsing];
        check(7, &all_20, Some(Revision::Of20), &kinds_20);
        // No evidence: a status is one in every revision, everything else is ignored.
        check(
            4,
            &[tlv(5, 1, MARK), tlv(6, 0, &[0x40]), tlv(1, 0, b"x"), tlv(9, 0, b"x")],
            None,
            &[PathMarking, Unknown, Unknown, Unknown],
        );
        // Evidence for two revisions: neither is trusted.
        check(4, &[tlv(2, 0, b"red"), tlv(3, 0, b"blue"), tlv(5, 1, MARK)], None, &[Unknown; 3]);
        // A value that does not fit its type makes the TLV unknown.
        check(
            7,
            &[tlv(6, 0, b"red"), tlv(5, 0, &[0, 1]), tlv(1, 0, &[1]), tlv(3, 0, b"x")],
            Some(Revision::Of20),
            &[Unknown; 4],
        );
    }
}
