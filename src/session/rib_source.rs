//! The peer and RIB that a message is about.

use super::peer_id::PeerId;
use crate::model::{PeerIds, View};

/// The peer and RIB that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RibSource {
    /// The peer or instance whose Peer Down removes the tables.
    pub peer: PeerId,
    /// The RIB of the peer.
    pub view: View,
    /// The peer's AS and BGP identifier.
    pub speaker: PeerIds,
}
