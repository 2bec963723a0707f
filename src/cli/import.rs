//! `import`: rows of other systems into the schemas beside the routes.

mod inventory_job;
mod ixf;
mod netbox;

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::command::{CommandError, connect, counted, print, read_text, say};
use crate::config::Settings;
use crate::dependents::registry::numbers;
use crate::imports::fit::{self, Fitted};
use crate::imports::source::{self, SourceTable};
use crate::imports::{Schema, inventory, name_lists, registry, tenants};
use crate::model::text::printable;
use crate::store::imports::{self, Difference, Gone, ImportTable, Imported, TableDifferences};
use crate::store::{self, Client, Transaction};

/// The size of the largest file that is read.
const BYTES_MAX: u64 = 256 << 20;

/// The import of one schema.
#[derive(Args, Debug)]
pub struct ImportArguments {
    #[command(subcommand)]
    what: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Routers, sessions and users of a peering registry
    Registry(ImportOptions),
    /// Sites, nodes, containers and services of a hosting inventory
    Inventory(ImportOptions),
    /// The same from NetBox: its API, or a file of its answers
    Netbox(netbox::NetboxArguments),
    /// Watches of the members of an exchange, from its IX-F member export
    #[command(name = "ix-f")]
    IxF(ixf::IxfArguments),
    /// Teams, users, domains, DNS records and resources of tenants; also a CSV file of asn,prefixes,team,mail
    Tenants(ImportOptions),
    /// Names of ASes (asn,name,country) and meanings of communities (pattern,text)
    Names(ImportOptions),
}

/// The source, and what to do with it.
#[derive(Args, Debug)]
pub(super) struct ImportOptions {
    /// A JSON or CSV file, a folder of them, - for standard input, or the URL of a database that has the tables
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The table of an array of rows or a CSV file. Unset: the name of the file
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Print the differences and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove rows that the source does not have, of the tables that it has
    #[arg(long)]
    prune: bool,
}

/// The schema's own part of an import, before it is committed: what it prints, or why it refuses.
type Review = fn(&mut Transaction<'_>) -> Result<(), CommandError>;

/// Imports.
pub(super) fn run(arguments: &ImportArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.what {
        ImportCommand::Registry(options) => import(&registry::SCHEMA, options, settings, review_registry),
        ImportCommand::Inventory(options) => {
            let sources = read(&inventory::SCHEMA, options)?;
            fill_inventory(sources, options, &mut connect(settings, "import")?)
        }
        ImportCommand::Netbox(arguments) => {
            let mut client = connect(settings, "import")?;
            let sources = netbox::read(arguments, &mut client)?;
            let netbox::NetboxArguments { source, dry_run, prune, .. } = arguments;
            let options = ImportOptions { source: source.clone(), table: None, dry_run: *dry_run, prune: *prune };
            fill_inventory(sources, &options, &mut client)
        }
        ImportCommand::IxF(arguments) => ixf::run(arguments, settings),
        ImportCommand::Tenants(options) => import_tenants(options, settings),
        ImportCommand::Names(options) => {
            let sources = name_lists::prepare(read(&name_lists::SCHEMA, options)?);
            write(&name_lists::SCHEMA, sources, options, &mut connect(settings, "import")?, |_| Ok(())).map(drop)
        }
    }
}

/// Says which numbers sessions have, and refuses what the collector would follow to the harm of sessions that are up.
fn review_registry(transaction: &mut Transaction<'_>) -> Result<(), CommandError> {
    let numbers = numbers::numbers(transaction)?;
    print(&numbers.lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    match numbers.refusal {
        None => Ok(()),
        Some(why) => Err(refused_rows(vec![why])),
    }
}

/// Writes tables of the inventory, and records that as one of its jobs.
fn fill_inventory(sources: Vec<SourceTable>, options: &ImportOptions, client: &mut Client) -> Result<(), CommandError> {
    let result = write(&inventory::SCHEMA, sources, options, client, |_| Ok(()));
    if !options.dry_run {
        let source = if is_database(&options.source) { "a database" } else { &options.source };
        inventory_job::record(client, source, &result)?;
    }
    result.map(drop)
}

fn import(schema: &Schema, options: &ImportOptions, settings: &Settings, review: Review) -> Result<(), CommandError> {
    let sources = read(schema, options)?;
    write(schema, sources, options, &mut connect(settings, "import")?, review).map(drop)
}

fn import_tenants(options: &ImportOptions, settings: &Settings) -> Result<(), CommandError> {
    let sources = tenants::prepare(read(&tenants::SCHEMA, options)?).map_err(|why| refused_source(options, &why))?;
    write(&tenants::SCHEMA, sources, options, &mut connect(settings, "import")?, |_| Ok(())).map(drop)
}

/// Writes the tables of a source in one transaction, prints what has changed and returns it.
pub(super) fn write(
    schema: &Schema,
    sources: Vec<SourceTable>,
    options: &ImportOptions,
    client: &mut Client,
    review: Review,
) -> Result<Vec<TableDifferences>, CommandError> {
    let (matched, left_out) = fit::matched(schema, sources).map_err(|why| refused_source(options, &why))?;
    if matched.is_empty() {
        let names: Vec<_> = schema.tables.iter().map(|table| table.name).collect();
        let why = format!("has none of the tables of {}: {}", schema.name, names.join(", "));
        return Err(refused_source(options, &why));
    }
    let mut fitted = Fitted { left_out, ..Fitted::default() };
    for (table, source) in matched {
        fitted.add(table, imports::shape(client, schema.name, table.name)?, &source);
    }
    for line in &fitted.left_out {
        say(printable(line));
    }
    if !fitted.refused.is_empty() {
        return Err(refused_rows(fitted.refused));
    }
    let mut transaction = client.transaction().map_err(store::Error::from)?;
    let gone = if options.prune { Gone::Removed } else { Gone::Stay };
    let results = match imports::import(&mut transaction, &fitted.tables, gone)? {
        Imported::Refused(lines) => return Err(refused_rows(lines)),
        Imported::Done(results) => results,
    };
    print(&report(&results, options))?;
    review(&mut transaction)?;
    if options.dry_run {
        return Ok(results);
    }
    finish(transaction, &fitted.tables)?;
    Ok(results)
}

fn finish(mut transaction: Transaction<'_>, tables: &[ImportTable]) -> Result<(), CommandError> {
    imports::advance_sequences(&mut transaction, tables)?;
    transaction.commit().map_err(store::Error::from)?;
    Ok(())
}

fn refused_source(options: &ImportOptions, why: &str) -> CommandError {
    let source = if is_database(&options.source) { "the database" } else { &options.source };
    CommandError::Configuration(vec![printable(&format!("{source}: {why}")).into_owned()])
}

fn refused_rows(lines: Vec<String>) -> CommandError {
    let mut lines: Vec<String> = lines.iter().map(|line| printable(line).into_owned()).collect();
    lines.push("nothing was imported".to_owned());
    CommandError::Configuration(lines)
}

/// Returns whether a source is a connection string, as a URL or as `host=… dbname=…`.
fn is_database(source: &str) -> bool {
    let is_url = source.starts_with("postgresql://") || source.starts_with("postgres://");
    is_url || source.contains("dbname=") && !Path::new(source).exists()
}

/// Reads the tables of the source.
fn read(schema: &Schema, options: &ImportOptions) -> Result<Vec<SourceTable>, CommandError> {
    if is_database(&options.source) {
        let mut client = store::connect(&options.source, "import")
            .map_err(|error| CommandError::Failed(format!("the source's database: {error}")))?;
        return source::read_database(&mut client, schema)
            .map_err(|error| CommandError::Failed(format!("the source's database: {error}")));
    }
    let path = Path::new(&options.source);
    if !path.is_dir() {
        return read_file(path, options.table.as_deref());
    }
    let failed = |error: std::io::Error| CommandError::Failed(format!("{}: {error}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|end| end == "csv" || end == "json") {
            files.push(file);
        }
    }
    files.sort();
    let mut tables = Vec::new();
    for file in files {
        tables.extend(read_file(&file, None)?);
    }
    Ok(tables)
}

/// Reads a file of JSON or CSV; its name is that of the table, if `table` names none.
fn read_file(path: &Path, table: Option<&str>) -> Result<Vec<SourceTable>, CommandError> {
    let text = read_text(path, BYTES_MAX)?;
    let name = table.or_else(|| path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "-"));
    let tables = if text.trim_start().starts_with(['[', '{']) {
        source::read_json(&text, name)
    } else {
        name.ok_or_else(|| "is CSV: name its table with --table".to_owned())
            .and_then(|name| source::read_csv(&text, name).map(|table| vec![table]))
    };
    tables
        .map_err(|why| CommandError::Configuration(vec![printable(&format!("{}: {why}", path.display())).into_owned()]))
}

/// Returns a line for each table, and with `--dry-run` one for each difference.
fn report(results: &[TableDifferences], options: &ImportOptions) -> String {
    let mut lines = Vec::new();
    for result in results {
        let counts = format!(
            "{} added, {} changed, {} removed, {} equal",
            result.added, result.changed, result.removed, result.equal
        );
        let stay = match result.stay {
            0 => String::new(),
            stay => format!(", {} not in the source (--prune removes them)", counted(stay as u64, "row")),
        };
        lines.push(format!("{}: {counts}{stay}", result.table));
        if !options.dry_run {
            continue;
        }
        lines.extend(result.differences.iter().map(line_of));
        let more = result.added + result.changed + result.removed
            - result.differences.len().min(result.added + result.changed + result.removed);
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
    }
    if options.dry_run {
        lines.push("nothing was written: --dry-run".to_owned());
    }
    lines.iter().map(|line| format!("{}\n", printable(line))).collect()
}

/// Returns a difference as a line: `+` is added, `~` changed, `-` removed.
fn line_of(difference: &Difference) -> String {
    let values = |row: &Value| -> String {
        let fields = row.as_object().into_iter().flatten();
        fields.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    let key = values(&difference.key);
    match (&difference.stored, &difference.given) {
        (None, given) => format!("  + {key}: {}", given.as_ref().map(values).unwrap_or_default()),
        (Some(_), None) => format!("  - {key}"),
        (Some(stored), Some(given)) => {
            let names = given.as_object().into_iter().flatten();
            let changes =
                names.map(|(name, new)| format!("{name} {} -> {new}", stored.get(name).unwrap_or(&Value::Null)));
            format!("  ~ {key}: {}", changes.collect::<Vec<_>>().join(", "))
        }
    }
}
