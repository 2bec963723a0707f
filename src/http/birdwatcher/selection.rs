//! The peers and tables that a request names: identifiers of protocols, and names of tables.

use crate::model::Afi;
use crate::store::birdwatcher::{BirdPeer, PeerTable};

/// The maximum length of a name, in characters.
const NAME_MAX: usize = 80;

/// The name that birdwatcher's clients use for all routes.
pub(super) const MASTER: &str = "master";

/// The tables that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Those of one protocol, by its identifier.
    Peer(String),
    /// Those of peers at one address.
    Address(String),
    /// All of them.
    All,
    /// Those of one family.
    Family(Afi),
    /// Those of a VRF, by its name or its distinguisher.
    Vrf(String),
}

impl Selection {
    /// Returns the tables that a name of a table stands for.
    pub(super) fn of_table(name: &str) -> Selection {
        match name {
            MASTER => Selection::All,
            "master4" => Selection::Family(Afi::Ipv4),
            "master6" => Selection::Family(Afi::Ipv6),
            other => Selection::Vrf(other.to_owned()),
        }
    }

    /// Returns whether a table is one of them.
    pub(super) fn has(&self, table: &PeerTable) -> bool {
        match self {
            Selection::Peer(id) => protocol_id(&table.peer) == *id,
            Selection::Address(address) => table.peer.address == *address,
            Selection::All => true,
            Selection::Family(afi) => table.afi == *afi,
            Selection::Vrf(name) => {
                clean(&table.name) == *name
                    || !table.peer.distinguisher.is_empty() && clean(&table.peer.distinguisher) == *name
            }
        }
    }
}

/// Returns the identifier of a peer's protocol: `R64496_192.0.2.1`, in a VRF with its distinguisher. It is made of what the
/// peer is, so that it stays the same over restarts of the router and of the collector.
pub(super) fn protocol_id(peer: &BirdPeer) -> String {
    let BirdPeer { asn, address, distinguisher } = peer;
    let id = match distinguisher.as_str() {
        "" => format!("R{asn}_{address}"),
        distinguisher => format!("R{asn}_{address}_{distinguisher}"),
    };
    clean(&id)
}

/// Returns a text with the characters that Alice-LG takes in identifiers and names of tables.
pub(super) fn clean(text: &str) -> String {
    let is_fine = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':' | '.');
    text.chars().map(|character| if is_fine(character) { character } else { '.' }).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_that_alice_takes() {
        let id = |asn, address: &str, distinguisher: &str| {
            protocol_id(&BirdPeer { asn, address: address.to_owned(), distinguisher: distinguisher.to_owned() })
        };
        assert_eq!(id(64_496, "192.0.2.1", ""), "R64496_192.0.2.1");
        assert_eq!(id(4_294_967_295, "2001:db8::1", "64496:1"), "R4294967295_2001:db8::1_64496:1");
        let longest = id(4_294_967_295, "2001:db8:1111:2222:3333:4444:5555:6666", &"9".repeat(99));
        assert_eq!(longest.len(), 80);
        assert_eq!(clean("UNKNOWN|as:64496 {é}"), "UNKNOWN.as:64496....");
    }
}
