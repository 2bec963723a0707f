//! The member export of an exchange as the source of watches.

use std::path::Path;

use clap::Args;

use crate::cli::command::{CommandError, connect, print, read_text, say};
use crate::cli::compare::known_routers;
use crate::config::Settings;
use crate::imports::http_json::JsonClient;
use crate::imports::ixf::{self, Export};
use crate::model::text::printable;
use crate::store::watch::watches::{self, ExistingWatches, OtherWatches, PutRules, PutRun, PutWatches, WatchDocument};

/// The size of the largest file that is read.
const BYTES_MAX: u64 = 64 << 20;

/// The export, and what to do with it.
#[derive(Args, Debug)]
pub(crate) struct IxfArguments {
    /// A URL or a JSON file of the exchange, - for standard input
    #[arg(value_name = "URL|FILE")]
    source: String,
    /// A route server that members must have a session with; several times for several. Unset: wherever a session is
    #[arg(long = "router", value_name = "ROUTER")]
    routers: Vec<String>,
    /// Print the differences and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove watches of members that the exchange no longer has
    #[arg(long)]
    prune: bool,
}

/// Imports.
pub(super) fn run(arguments: &IxfArguments, settings: &Settings) -> Result<(), CommandError> {
    let source = &arguments.source;
    let failed = |why: String| CommandError::Failed(printable(&format!("{source}: {why}")).into_owned());
    let text = if source.starts_with("http://") || source.starts_with("https://") {
        JsonClient::new(None).get(source).map_err(failed)?
    } else {
        read_text(Path::new(source), BYTES_MAX)?
    };
    let mut client = connect(settings, "import")?;
    let routers = known_routers(&mut client, &arguments.routers)?;
    let routers: Vec<(String, String)> = routers.into_iter().zip(arguments.routers.iter().cloned()).collect();
    let Export { source, watches, left_out } = ixf::read(&text, &routers).map_err(failed)?;
    for line in left_out {
        say(format_args!("left out: {}", printable(&line)));
    }
    let documents: Vec<WatchDocument> =
        watches.into_iter().enumerate().map(|(i, fields)| WatchDocument { line: i + 1, fields }).collect();
    let rules = PutRules {
        source: &source,
        existing: ExistingWatches::Replaced,
        others: if arguments.prune { OtherWatches::Removed } else { OtherWatches::Stay },
        run: if arguments.dry_run { PutRun::Dry } else { PutRun::Real },
    };
    let put = watches::put(&mut client, &documents, &rules)?;
    if !put.refused.is_empty() {
        let lines = put.refused.iter().map(|refused| printable(&refused.why).into_owned());
        return Err(CommandError::Configuration(lines.chain(["nothing was imported".to_owned()]).collect()));
    }
    print(&report(&put, arguments.dry_run))
}

fn report(put: &PutWatches, is_dry: bool) -> String {
    let PutWatches { added, changed, same, removed, .. } = put;
    let mut out =
        format!("watches: {} added, {} changed, {} removed, {same} equal\n", added.len(), changed.len(), removed.len());
    if is_dry {
        for (sign, names) in [("+", added), ("~", changed), ("-", removed)] {
            names.iter().for_each(|name| out.push_str(&format!("  {sign} {}\n", printable(name))));
        }
        out.push_str("nothing was written: --dry-run\n");
    }
    out
}
