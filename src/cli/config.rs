//! `config`: the effective settings, or the table of all settings.

use clap::Args;

use super::command::{CommandError, print};
use super::table::line_width;
use crate::config::{Settings, print as forms};

/// The form of the output.
#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    /// Print the table of all settings as Markdown instead
    #[arg(long, conflicts_with = "env_template")]
    markdown: bool,
    /// Print a commented environment file for systemd instead
    #[arg(long)]
    env_template: bool,
}

/// Prints the settings. The two tables do not depend on the environment, so a mistake in it does not affect them.
pub(super) fn run(
    arguments: &ConfigArguments,
    settings: impl FnOnce() -> Result<Settings, CommandError>,
) -> Result<(), CommandError> {
    if arguments.markdown {
        return print(&forms::markdown());
    }
    if arguments.env_template {
        return print(&forms::env_file());
    }
    print(&forms::in_force(&settings()?, line_width().unwrap_or(forms::WIDTH)))
}
