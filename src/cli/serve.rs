//! `rib-ingester serve`: the collector.

use std::sync::Arc;

use clap::Args;

use super::command::CommandError;
use crate::config::Settings;
use crate::logging::Logging;
use crate::supervisor::{self, Ending, Migrate, StartError};

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Leave the schema unchanged: `rib-ingester migrate` is run separately
    #[arg(long)]
    no_migrate: bool,
}

/// Runs the collector until SIGTERM or SIGINT.
///
/// # Errors
/// The collector could not start, lost input or a thread, or another process has taken its `COLLECTOR_ID`.
pub fn run(arguments: &ServeArguments, settings: Settings) -> Result<(), CommandError> {
    let logging = Logging::start(&settings)?;
    let migrate = if arguments.no_migrate { Migrate::Skip } else { Migrate::First };
    match supervisor::run(&Arc::new(settings), migrate, logging) {
        Ok(Ending::Clean) => Ok(()),
        Ok(Ending::Taken(why) | Ending::WentBack(why)) => Err(CommandError::Failed(why)),
        Ok(Ending::Failed) => Err(CommandError::Failed("not everything was written: see the log".to_owned())),
        Err(StartError::Configuration(why)) => Err(CommandError::Configuration(vec![why])),
        Err(StartError::Failed(why)) => Err(CommandError::Failed(why)),
    }
}
