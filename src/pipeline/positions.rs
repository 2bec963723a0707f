//! The positions in the input of sessions up to which a batch completes what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::op::Ownership;
use crate::store::journal_positions::{Position, PositionOf};

/// Returns the position that the pieces complete, for each session that has a journal and whose router is not lost.
pub(super) fn positions_of<'a>(
    writer: PositionOf,
    pieces: impl IntoIterator<Item = &'a (Arc<Ownership>, u64)>,
) -> Vec<Position> {
    let mut of_sessions: BTreeMap<&str, (&Ownership, u64)> = BTreeMap::new();
    for (owner, upto) in pieces.into_iter().filter(|(owner, upto)| !owner.journal.is_empty() && *upto > 0) {
        let entry = of_sessions.entry(&owner.journal).or_insert((owner, 0));
        entry.1 = entry.1.max(*upto);
    }
    let position = |(session, (owner, octet)): (&str, (&Ownership, u64))| Position {
        session: session.to_owned(),
        router: owner.router.clone(),
        octet,
        committed: match writer {
            PositionOf::State => Arc::clone(&owner.progress.state.committed),
            PositionOf::History => Arc::clone(&owner.progress.events.committed),
        },
    };
    of_sessions.into_iter().filter(|(_, (owner, _))| !owner.is_lost()).map(position).collect()
}
