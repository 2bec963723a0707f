//! NetBox as the source of an inventory.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::cli::command::{CommandError, read_text, say};
use crate::imports::http_json::{JsonClient, origin};
use crate::imports::netbox::{self, Numbers, OBJECTS, Objects};
use crate::imports::source::SourceTable;
use crate::model::text::printable;
use crate::store::Client;
use crate::store::inventory::numbers;

/// The size of the largest file that is read.
const BYTES_MAX: u64 = 256 << 20;

/// The objects that one page is asked for.
const PAGE_OBJECTS: u32 = 500;

/// The most pages of one kind of object.
const PAGES_MAX: u32 = 2_000;

/// NetBox, and the treatment of the rows that the inventory has.
#[derive(Args, Debug)]
pub(crate) struct NetboxArguments {
    /// The URL of NetBox, as https://netbox.example, or a JSON file of its answers by the names of docs/inventory.md
    #[arg(value_name = "URL|FILE")]
    pub(super) source: String,
    /// The file whose first line is the API token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the differences and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Remove rows that NetBox does not have, also those that came from elsewhere
    #[arg(long)]
    pub(super) prune: bool,
}

/// Reads the tables, and says what is left out.
pub(super) fn read(arguments: &NetboxArguments, client: &mut Client) -> Result<Vec<SourceTable>, CommandError> {
    let source = &arguments.source;
    let failed = |why: String| CommandError::Failed(printable(&format!("{source}: {why}")).into_owned());
    let objects = if source.starts_with("http://") || source.starts_with("https://") {
        fetch(arguments).map_err(failed)?
    } else {
        netbox::read(&read_text(Path::new(source), BYTES_MAX)?).map_err(failed)?
    };
    let mut known = Numbers::default();
    for (kind, name, id) in numbers::numbers(client)? {
        known.note(&kind, &name, i64::from(id));
    }
    let (tables, left_out) = netbox::tables(&objects, &mut known);
    for line in left_out {
        say(format_args!("left out: {line}"));
    }
    Ok(tables)
}

fn fetch(arguments: &NetboxArguments) -> Result<Objects, String> {
    let token = match &arguments.token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let token = text.lines().next().unwrap_or_default().trim();
            Some(format!("Token {token}"))
        }
        None => None,
    };
    let client = JsonClient::new(token);
    let base = arguments.source.trim_end_matches('/').trim_end_matches("/api");
    let mut objects = Objects::new();
    for (name, path) in OBJECTS {
        let list = pages(&client, &format!("{base}/api/{path}?limit={PAGE_OBJECTS}"));
        objects.insert(name.to_owned(), list.map_err(|why| format!("{path}: {why}"))?);
    }
    Ok(objects)
}

/// Fetches all pages of a list. The next one must be of the same server, because the token goes there.
fn pages(client: &JsonClient, first: &str) -> Result<Vec<Value>, String> {
    let (mut all, mut url) = (Vec::new(), first.to_owned());
    for _ in 0..PAGES_MAX {
        let answer = serde_json::from_str(&client.get(&url)?).map_err(|error| format!("is not JSON: {error}"))?;
        let (results, next) = netbox::results(answer)?;
        all.extend(results);
        match next {
            None => return Ok(all),
            Some(next) if origin(&next) != origin(first) => {
                return Err(format!("its next page is at {}, which is another server", origin(&next)));
            }
            Some(next) => url = next,
        }
    }
    Err(format!("has more than {PAGES_MAX} pages"))
}
