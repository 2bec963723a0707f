//! The positions in the input of sessions up to which a batch completes what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::extras::Extras;
use super::op::Ownership;
use super::refused_rows::Writer;
use crate::store::journal_positions::{Position, PositionOf};

/// Returns the position that the pieces complete, for each session that has a journal and whose router is not lost.
pub(super) fn positions_of(writer: PositionOf, pieces: &[(Arc<Ownership>, u64)]) -> Vec<Position> {
    let mut of_sessions: BTreeMap<&str, (&Ownership, u64)> = BTreeMap::new();
    for (owner, upto) in pieces.iter().filter(|(owner, upto)| !owner.journal.is_empty() && *upto > 0) {
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

impl Writer {
    /// Moves positions in a transaction of their own: commands went before, in several transactions.
    pub(super) fn move_positions(&mut self, positions: Vec<Position>) {
        let mut extras = Extras::default();
        extras.push_positions(&self.options.collector_id, positions);
        self.write_extras(&BTreeMap::new(), extras);
    }
}
