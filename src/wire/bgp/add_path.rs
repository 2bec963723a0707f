//! Path identifiers in NLRI (RFC 7911): whether there are any, and of which families.

use crate::model::AfiSafi;

/// Whether NLRI carry path identifiers (RFC 7911 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddPath {
    /// They do not.
    Plain,
    /// They do.
    WithPathIds,
}

impl AddPath {
    /// The other reading.
    pub fn other(self) -> AddPath {
        match self {
            AddPath::Plain => AddPath::WithPathIds,
            AddPath::WithPathIds => AddPath::Plain,
        }
    }
}

/// The families whose NLRI carry path identifiers, of those whose NLRI are decoded; others are kept as octets, and
/// what is said of them is not remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPathFamilies(u8);

/// Each family's place in the set.
const FAMILIES: [AfiSafi; 8] = [
    AfiSafi { afi: 1, safi: 1 },
    AfiSafi { afi: 2, safi: 1 },
    AfiSafi { afi: 1, safi: 2 },
    AfiSafi { afi: 2, safi: 2 },
    AfiSafi { afi: 1, safi: 4 },
    AfiSafi { afi: 2, safi: 4 },
    AfiSafi { afi: 1, safi: 128 },
    AfiSafi { afi: 2, safi: 128 },
];

impl AddPathFamilies {
    /// Whether the family is one of them.
    pub fn contains(self, family: AfiSafi) -> bool {
        self.0 & AddPathFamilies::bit(family) != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How this family's NLRI are to be read.
    pub fn reading(self, family: AfiSafi) -> AddPath {
        // Most peers have none, so most UPDATEs need not look for theirs.
        if !self.is_empty() && self.contains(family) { AddPath::WithPathIds } else { AddPath::Plain }
    }

    fn bit(family: AfiSafi) -> u8 {
        FAMILIES.iter().position(|known| *known == family).map_or(0, |place| 1 << place)
    }
}

impl Extend<AfiSafi> for AddPathFamilies {
    fn extend<I: IntoIterator<Item = AfiSafi>>(&mut self, families: I) {
        families.into_iter().for_each(|family| self.0 |= AddPathFamilies::bit(family));
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
        let unknown = AfiSafi { afi: 25, safi: 70 };
        let set = AddPathFamilies::from_iter([unknown]);
        assert_eq!((set.contains(unknown), set.is_empty(), set.reading(unknown)), (false, true, AddPath::Plain));
    }
}
