//! `migrate`: brings the database's schema up to date.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::command::{CommandError, connect, print, say};
use crate::config::Settings;
use crate::store::migrate::{Step, migrate_telling};
use crate::store::suitable::check_encoding;

/// The interval at which the elapsed time of a running migration is updated.
const TICK: Duration = Duration::from_millis(200);

/// Applies missing migrations: prints a line when each is done, and on a terminal the running one with its elapsed
/// time.
pub(super) fn run(settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "migrate")?;
    check_encoding(&mut client)?;
    // Drawn on standard error, and hidden if that is not a terminal.
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}  {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.set_message("waiting for other migrations");
    bar.enable_steady_tick(TICK);
    let mut printed = Ok(());
    let applied = migrate_telling(&mut client, |name, step| match step {
        Step::Waits { holder } => {
            let line = format!("waiting: the migration lock is held by {holder}");
            bar.suspend(|| say(&line));
            bar.set_message(line);
        }
        Step::Begins { number, of } => {
            bar.set_message(format!("{name} ({number} of {of})"));
            bar.reset_elapsed();
        }
        Step::Applied(took) => {
            let line = format!("applied {name} in {:.1} s\n", took.as_secs_f64());
            bar.suspend(|| printed = print(&line));
        }
    });
    bar.finish_and_clear();
    let applied = applied?;
    printed?;
    if applied.is_empty() { print("the schema is up to date\n") } else { Ok(()) }
}
