//! The hosting inventory: its addresses become watches, and what these find becomes the state of each address.

use log::info;

use crate::store::inventory::round::{self, Round};
use crate::store::{self, Client};

/// Works once.
pub(super) fn work(client: &mut Client) -> store::Result<()> {
    let Round { watches, states } = round::round(client)?;
    if watches.added + watches.removed > 0 {
        info!("inventory: {} addresses watched, {} no longer", watches.added, watches.removed);
    }
    if !states.is_empty() {
        let counts: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        info!("inventory: addresses have another state: {}", counts.join(", "));
    }
    Ok(())
}
