//! The commands, one file each.
//!
//! Exit codes: 0 done, 1 failed or nothing found, 2 wrong usage or wrong configuration; of `compare` and `change`
//! also 3 different, 4 nobody can tell. A message states what was wrong, where, and what to do. A command's result goes to standard output, everything else to standard error, through
//! [`say`], which works even if nothing reads it.
//!
//! Settings come from the environment; if that has none, every command but `serve` reads the unit's file, and
//! `--env-file` names another ([`crate::config::env_file`]).

pub mod archive;
pub mod callbacks;
pub mod capture;
pub mod change;
mod command;
pub mod compare;
pub mod complete;
pub mod config;
pub mod decode;
pub mod doctor;
pub mod export;
pub mod forget;
pub mod hand_over;
mod health;
pub(crate) mod impact;
pub mod import;
pub mod incidents;
pub(crate) mod inventory;
pub mod lookup;
pub mod maintenance;
mod manual;
pub mod migrate;
mod mrt_input;
pub mod record;
pub mod replay;
pub mod rpki;
pub mod serve;
pub mod sessions;
pub mod silence;
pub mod status;
pub mod table;
pub mod tenants;
pub mod token;
mod unreached;
pub mod watch;
mod watch_name;
mod when;

use std::io;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};

pub use self::command::{CommandError, say};
use self::command::{nothing_in, open};
use crate::config::{EnvFile, Environment, Settings};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "rib-ingester",
    version,
    about = "BGP Monitoring Protocol collector: routers in, PostgreSQL tables out"
)]
#[command(after_help = "Settings are environment variables: see `rib-ingester config`.\n\
                        Exit codes: 0 done, 1 failed or nothing found, 2 wrong usage or configuration;\n\
                        of compare and change also 3 different, 4 nobody can tell.")]
pub struct CommandLine {
    /// Read settings from this file too, as systemd does; the environment wins. Unset: the unit's, if no setting is
    /// given
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The end of the help of commands that use the database.
const NEEDS_DATABASE: &str = "Needs RIB_INGESTER_DATABASE_URL; see `rib-ingester config`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector until SIGTERM
    #[command(after_help = NEEDS_DATABASE)]
    Serve(serve::ServeArguments),
    /// Bring the database's schema up to date
    #[command(after_help = NEEDS_DATABASE)]
    Migrate,
    /// Do one maintenance run: partitions, archive, retention, summary
    #[command(after_help = NEEDS_DATABASE)]
    Maintenance,
    /// Write days of the history that are over as Parquet files
    #[command(after_help = NEEDS_DATABASE)]
    Archive(archive::ArchiveArguments),
    /// Show routers, tables, history and refused sources
    #[command(after_help = NEEDS_DATABASE)]
    Status(status::StatusArguments),
    /// Check settings, host and database for problems, and print remedies
    #[command(after_help = NEEDS_DATABASE)]
    Doctor(doctor::DoctorArguments),
    /// Ask the running collector how it is, over HTTP_LISTEN; exit code 0 if its threads make progress
    Health(health::HealthArguments),
    /// Remove a retired router with everything stored about it
    #[command(after_help = NEEDS_DATABASE)]
    Forget(forget::ForgetArguments),
    /// Give a router, or all, to another collector that has a session of it too; exit code 0 when it is taken
    #[command(after_help = NEEDS_DATABASE)]
    HandOver(hand_over::HandOverArguments),
    /// Find the longest match for an address or prefix, with all its paths; exit code 1 if nothing matches
    #[command(after_help = NEEDS_DATABASE)]
    Lookup(lookup::LookupArguments),
    /// Show the sessions of the peering registry and what the routers say of them, or for how long they were up
    #[command(after_help = NEEDS_DATABASE)]
    Sessions(sessions::SessionsArguments),
    /// Add, list and change watches: prefixes, addresses, sessions and routers of which someone wants to be told
    #[command(after_help = NEEDS_DATABASE)]
    Watch(watch::WatchArguments),
    /// List what watches have found; acknowledge, snooze, close or accept it
    #[command(after_help = NEEDS_DATABASE)]
    Incidents(incidents::IncidentsArguments),
    /// Announce planned work, of which incidents are recorded and not delivered
    #[command(after_help = NEEDS_DATABASE)]
    Silence(silence::SilenceArguments),
    /// List, add, remove and try callbacks: who is told of incidents, over HTTP
    #[command(after_help = NEEDS_DATABASE)]
    Callbacks(callbacks::CallbacksArguments),
    /// Show the teams that share the collector, or one of them: resources, incidents, the last day
    #[command(after_help = NEEDS_DATABASE)]
    Tenants(tenants::TenantsArguments),
    /// Show the VRPs in force and the validity of routes; accept a held set; ask what a ROA would do
    #[command(after_help = NEEDS_DATABASE)]
    Rpki(rpki::RpkiArguments),
    /// Show sites, nodes, containers and services, and whether routes reach them
    #[command(after_help = NEEDS_DATABASE)]
    Inventory(inventory::InventoryArguments),
    /// Show which services would lose their covering route if a prefix, a peer or a router went; exit code 3 if any
    /// would, 4 if nobody can tell
    #[command(after_help = NEEDS_DATABASE)]
    Impact(impact::ImpactArguments),
    /// Compare two routers, a policy's two sides, or two times; exit code 3 if they differ, 4 if nobody can tell
    #[command(after_help = NEEDS_DATABASE)]
    Compare(compare::CompareArguments),
    /// Store the state of routers before planned work, and compare it afterwards; exit codes as for compare
    #[command(after_help = NEEDS_DATABASE)]
    Change(change::ChangeArguments),
    /// Import rows of other systems into the schemas beside the routes
    #[command(after_help = NEEDS_DATABASE)]
    Import(import::ImportArguments),
    /// Write a table or its events in a format of other programs: MRT
    #[command(after_help = NEEDS_DATABASE)]
    Export(export::ExportArguments),
    /// Print raw BMP bytes, or those in a packet capture, as JSON lines, one per message
    Decode {
        /// The file, raw BMP, pcap or pcapng, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        port: capture::Port,
    },
    /// Play raw BMP bytes, those in a packet capture, or an MRT file, to a collector, as a router would
    Replay(replay::ReplayArguments),
    /// Store the BMP bytes of one router's session in a file, for a bug report
    Record(record::RecordArguments),
    /// Make a token for the API: the token on standard error, its line for RIB_INGESTER_API_TOKEN_FILE on standard output
    Token(token::TokenArguments),
    /// Print the settings in force
    Config(config::ConfigArguments),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions(complete::CompleteArguments),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Runs the command.
///
/// # Errors
/// The reason why the command failed.
pub fn run(arguments: CommandLine) -> Result<(), CommandError> {
    let env_file = match (arguments.env_file, &arguments.command) {
        (Some(file), _) => EnvFile::Named(file),
        (None, Command::Serve(_)) => EnvFile::None,
        (None, _) => EnvFile::OfUnit,
    };
    let environment = || -> Result<Environment, CommandError> {
        let environment = Environment::of_process(&env_file)?;
        if let Some(file) = environment.unit_file(&env_file) {
            say(format_args!("settings from {}", file.display()));
        }
        Ok(environment)
    };
    let load = || Ok::<_, CommandError>(Settings::load(environment()?)?);
    let load_offline = || Ok::<_, CommandError>(Settings::load_offline(environment()?)?);
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, load()?),
        Command::Migrate => migrate::run(&load()?),
        Command::Maintenance => maintenance::run(&load()?),
        Command::Archive(arguments) => archive::run(&arguments, &load()?),
        Command::Status(arguments) => status::run(&arguments, &load()?),
        Command::Doctor(arguments) => doctor::run(&arguments, &load()?),
        Command::Health(arguments) => health::run(&arguments, &load_offline()?),
        Command::Forget(arguments) => forget::run(&arguments, &load()?),
        Command::HandOver(arguments) => hand_over::run(&arguments, &load()?),
        Command::Lookup(arguments) => lookup::run(&arguments, &load()?),
        Command::Sessions(arguments) => sessions::run(&arguments, &load()?),
        Command::Watch(arguments) => watch::run(&arguments, &load()?),
        Command::Incidents(arguments) => incidents::run(&arguments, &load()?),
        Command::Silence(arguments) => silence::run(&arguments, &load()?),
        Command::Tenants(arguments) => tenants::run(&arguments, &load()?),
        Command::Rpki(arguments) => rpki::run(&arguments, &load()?),
        Command::Callbacks(arguments) => callbacks::run(&arguments, &load()?),
        Command::Inventory(arguments) => inventory::run(&arguments, &load()?),
        Command::Impact(arguments) => impact::run(&arguments, &load()?),
        Command::Compare(arguments) => compare::run(&arguments, &load()?),
        Command::Change(arguments) => change::run(&arguments, &load()?),
        Command::Export(arguments) => export::run(&arguments, &load()?),
        Command::Import(arguments) => import::run(&arguments, &load()?),
        Command::Decode { file, port } => print_decoded(&file, &port, &load_offline()?),
        Command::Replay(arguments) => replay::run(&arguments, &load_offline()?),
        Command::Record(arguments) => record::run(&arguments, &load_offline()?),
        Command::Token(arguments) => token::run(&arguments),
        Command::Config(arguments) => config::run(&arguments, load_offline),
        Command::Completions(arguments) => complete::completions(&arguments, CommandLine::command()),
        Command::Man => complete::man(CommandLine::command()),
    }
}

fn print_decoded(file: &Path, port: &capture::Port, settings: &Settings) -> Result<(), CommandError> {
    let failed = |error: io::Error| CommandError::Failed(format!("{}: {error}", file.display()));
    let (input, _) = open(file)?;
    let out = io::BufWriter::new(io::stdout().lock());
    let message_max = settings.max_message_bytes;
    let is_whole = match capture::tell(input, port, message_max).map_err(failed)? {
        capture::Input::Empty => return Err(nothing_in(file)),
        capture::Input::Raw(input) => match decode::run(input, out, message_max) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
            result => result.map_err(failed)?,
        },
        capture::Input::Capture(capture) => {
            capture::decode(*capture, &file.display().to_string(), port, message_max, out)?
        }
    };
    if is_whole {
        return Ok(());
    }
    Err(CommandError::Failed(format!("{}: the stream is damaged, its last line says where", file.display())))
}
