//! A watch by its name, as commands take it.

use clap::Args;

use super::command::{CommandError, did_you_mean};
use crate::model::text::printable;
use crate::store::Client;
use crate::store::watch::watches::{self, ListedWatch};

/// A watch by its name.
#[derive(Args, Debug)]
pub(super) struct WatchName {
    /// Its name
    pub(super) name: String,
    /// The team that it belongs to
    #[arg(long)]
    pub(super) team: Option<String>,
}

/// Returns the watch with this name.
pub(super) fn find(client: &mut Client, WatchName { name, team }: &WatchName) -> Result<ListedWatch, CommandError> {
    if let Some(row) = watches::named(client, team.as_deref(), name)? {
        return Ok(row);
    }
    let names = watches::names(client, team.as_deref())?;
    let hint = did_you_mean(name, names.iter().map(String::as_str));
    let of_team = team.as_deref().map_or(String::new(), |team| format!(" of team {team}"));
    Err(CommandError::Failed(printable(&format!("there is no watch \"{name}\"{of_team}{hint}")).into_owned()))
}

/// Returns a watch by its name alone, for commands whose `--team` is not the watch's.
pub(super) fn find_named(client: &mut Client, name: &str, team: Option<&str>) -> Result<ListedWatch, CommandError> {
    find(client, &WatchName { name: name.to_owned(), team: team.map(str::to_owned) })
}
