//! Path identifiers in NLRI (RFC 7911): whether they are used, and in which families.

use crate::model::AfiSafi;

/// The use of path identifiers in NLRI (RFC 7911 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddPath {
    /// NLRI carry none.
    Plain,
    /// NLRI carry a path identifier of four octets each.
    WithPathIds,
}

impl AddPath {
    /// Returns the other reading.
    pub fn other(self) -> AddPath {
        match self {
            AddPath::Plain => AddPath::WithPathIds,
            AddPath::WithPathIds => AddPath::Plain,
        }
    }
}

/// The families whose NLRI carry path identifiers, of those whose NLRI are decoded; others are kept as octets, and not
/// recorded here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPathFamilies(u32);

/// The families that the set can contain, each at the index of its bit.
const FAMILIES: [AfiSafi; 20] = [
    AfiSafi { afi: 1, safi: 1 },
    AfiSafi { afi: 2, safi: 1 },
    AfiSafi { afi: 1, safi: 2 },
    AfiSafi { afi: 2, safi: 2 },
    AfiSafi { afi: 1, safi: 4 },
    AfiSafi { afi: 2, safi: 4 },
    AfiSafi { afi: 1, safi: 128 },
    AfiSafi { afi: 2, safi: 128 },
    AfiSafi { afi: 25, safi: 70 },
    AfiSafi { afi: 1, safi: 133 },
    AfiSafi { afi: 2, safi: 133 },
    AfiSafi { afi: 1, safi: 134 },
    AfiSafi { afi: 2, safi: 134 },
    AfiSafi { afi: 16_388, safi: 71 },
    AfiSafi { afi: 16_388, safi: 72 },
    AfiSafi { afi: 1, safi: 73 },
    AfiSafi { afi: 2, safi: 73 },
    AfiSafi { afi: 1, safi: 132 },
    AfiSafi { afi: 1, safi: 5 },
    AfiSafi { afi: 2, safi: 5 },
];

impl AddPathFamilies {
    /// Returns whether the family is in the set.
    pub fn contains(self, family: AfiSafi) -> bool {
        self.0 & AddPathFamilies::bit(family) != 0
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the reading for this family's NLRI.
    pub fn reading(self, family: AfiSafi) -> AddPath {
        // Most peers have none, so most UPDATEs need no lookup of their family.
        if !self.is_empty() && self.contains(family) { AddPath::WithPathIds } else { AddPath::Plain }
    }

    /// Adds a family.
    pub fn insert(&mut self, family: AfiSafi) {
        self.0 |= AddPathFamilies::bit(family);
    }

    /// Returns whether all of `others` are in the set.
    pub(crate) fn includes(self, others: AddPathFamilies) -> bool {
        others.0 & !self.0 == 0
    }

    /// Returns the families that are in exactly one of the two sets.
    pub fn difference(self, other: AddPathFamilies) -> AddPathFamilies {
        AddPathFamilies(self.0 ^ other.0)
    }

    /// Returns the families that are not in `others`.
    pub fn without(self, others: AddPathFamilies) -> AddPathFamilies {
        AddPathFamilies(self.0 & !others.0)
    }

    /// Iterates over the families, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = AfiSafi> {
        FAMILIES.into_iter().filter(move |family| self.contains(*family))
    }

    /// Returns the family's bit, 0 if its NLRI are not decoded. A match, not a search: it is called for every field of
    /// NLRI.
    fn bit(family: AfiSafi) -> u32 {
        match (family.afi, family.safi) {
            (1, 1) => 1,
            (2, 1) => 1 << 1,
            (1, 2) => 1 << 2,
            (2, 2) => 1 << 3,
            (1, 4) => 1 << 4,
            (2, 4) => 1 << 5,
            (1, 128) => 1 << 6,
            (2, 128) => 1 << 7,
            (25, 70) => 1 << 8,
            (1, 133) => 1 << 9,
            (2, 133) => 1 << 10,
            (1, 134) => 1 << 11,
            (2, 134) => 1 << 12,
            (16_388, 71) => 1 << 13,
            (16_388, 72) => 1 << 14,
            (1, 73) => 1 << 15,
            (2, 73) => 1 << 16,
            (1, 132) => 1 << 17,
            (1, 5) => 1 << 18,
            (2, 5) => 1 << 19,
            _ => 0,
        }
    }
}

/// The reading that messages have shown for each family, if any; the newest message of a family counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPathSeen {
    with: AddPathFamilies,
    without: AddPathFamilies,
}

impl AddPathSeen {
    /// Returns whether no reading has been shown.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.with.is_empty() && self.without.is_empty()
    }

    /// Returns the reading shown for this family, if any.
    pub fn reading(self, family: AfiSafi) -> Option<AddPath> {
        if self.is_empty() {
            None
        } else if self.with.contains(family) {
            Some(AddPath::WithPathIds)
        } else {
            self.without.contains(family).then_some(AddPath::Plain)
        }
    }

    /// Records the reading that a message shows; it replaces an earlier one of the family.
    #[inline(always)]
    pub fn note(&mut self, family: AfiSafi, shown: AddPath) {
        let bit = AddPathFamilies::bit(family);
        let (set, unset) = match shown {
            AddPath::WithPathIds => (&mut self.with, &mut self.without),
            AddPath::Plain => (&mut self.without, &mut self.with),
        };
        set.0 |= bit;
        unset.0 &= !bit;
    }

    /// Returns whether every reading in `other` is in `self` as well.
    pub(crate) fn includes(self, other: AddPathSeen) -> bool {
        self.with.includes(other.with) && self.without.includes(other.without)
    }

    /// Returns the families for which a reading was shown.
    pub fn families(self) -> AddPathFamilies {
        AddPathFamilies(self.with.0 | self.without.0)
    }

    /// Iterates over the families with the reading shown for each.
    pub fn iter(self) -> impl Iterator<Item = (AfiSafi, AddPath)> {
        let with = self.with.iter().map(|family| (family, AddPath::WithPathIds));
        with.chain(self.without.iter().map(|family| (family, AddPath::Plain)))
    }
}

impl Extend<AfiSafi> for AddPathFamilies {
    fn extend<I: IntoIterator<Item = AfiSafi>>(&mut self, families: I) {
        families.into_iter().for_each(|family| self.insert(family));
    }
}

impl FromIterator<AfiSafi> for AddPathFamilies {
    fn from_iter<I: IntoIterator<Item = AfiSafi>>(families: I) -> AddPathFamilies {
        let mut set = AddPathFamilies::default();
        set.extend(families);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decoded_family_has_its_place() {
        for family in FAMILIES {
            let set = AddPathFamilies::from_iter([family]);
            assert_eq!(FAMILIES.map(|other| set.contains(other)), FAMILIES.map(|other| other == family));
            assert_eq!((set.reading(family), set.is_empty()), (AddPath::WithPathIds, false));
        }
        assert_eq!(AddPathFamilies::from_iter(FAMILIES).iter().collect::<Vec<_>>(), FAMILIES);
        let unknown = AfiSafi { afi: 25, safi: 65 };
        let set = AddPathFamilies::from_iter([unknown]);
        assert_eq!((set.contains(unknown), set.is_empty(), set.reading(unknown)), (false, true, AddPath::Plain));
    }
    #[test]
    fn of_what_was_shown_the_newest_counts() {
        let (v4, v6) = (FAMILIES[0], FAMILIES[1]);
        let mut seen = AddPathSeen::default();
        assert!(seen.is_empty() && seen.reading(v4).is_none());
        seen.note(v4, AddPath::Plain);
        let before = seen;
        seen.note(v6, AddPath::WithPathIds);
        assert_eq!((seen.reading(v4), seen.reading(v6)), (Some(AddPath::Plain), Some(AddPath::WithPathIds)));
        assert!(seen.includes(before) && !before.includes(seen));
        seen.note(v4, AddPath::WithPathIds);
        assert_eq!(seen.reading(v4), Some(AddPath::WithPathIds));
        assert!(!seen.includes(before));
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(v4, AddPath::WithPathIds), (v6, AddPath::WithPathIds)]);
        seen.note(AfiSafi { afi: 25, safi: 65 }, AddPath::WithPathIds);
        assert_eq!(seen.iter().count(), 2, "a family that is not decoded is not remembered");
    }
}
