//! The commands, one file each.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong use or wrong configuration. A message says what was wrong, where, and what to
//! do. What a command was asked for goes to standard output, everything else to standard error.

pub mod capture;
pub mod complete;
pub mod config;
pub mod decode;
pub mod doctor;
pub mod lookup;
pub mod maintenance;
pub mod migrate;
pub mod record;
pub mod replay;
pub mod serve;
pub mod status;
pub mod table;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::config::{Problem, Settings};
use crate::logging::Logging;
use crate::store;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "rib-ingester",
    version,
    about = "BGP Monitoring Protocol collector: routers in, PostgreSQL tables out"
)]
#[command(after_help = "Settings are environment variables: see `rib-ingester config`.\n\
                        Exit codes: 0 done, 1 failed, 2 wrong use or wrong configuration.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector until SIGTERM
    Serve(serve::Arguments),
    /// Bring the database's schema up to date
    Migrate,
    /// Do one maintenance run: partitions, retention, summary
    Maintenance,
    /// Show routers, tables, history and refused sources
    Status(status::Arguments),
    /// Look for faults of settings, machine and database, and say what to do
    Doctor(doctor::Arguments),
    /// Find the longest match for an address or prefix, with all its paths
    Lookup(lookup::Arguments),
    /// Print raw BMP bytes, or those in a packet capture, as JSON lines, one per message
    Decode {
        /// The file, raw BMP, pcap or pcapng, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        port: capture::Port,
    },
    /// Play raw BMP bytes, or those in a packet capture, to a collector, as a router would
    Replay(replay::Arguments),
    /// Store the BMP bytes of one router's session in a file, for a bug report
    Record(record::Arguments),
    /// Print the settings in force
    Config(config::Arguments),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions(complete::Arguments),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use or wrong configuration, one line per mistake: nothing was done. Exit code 2.
    Configuration(Vec<String>),
    /// It was tried and went wrong. Exit code 1.
    Failed(String),
}

impl Failure {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Configuration(_) => 2,
            Failure::Failed(_) => 1,
        }
    }

    /// What to print.
    pub fn lines(&self) -> &[String] {
        match self {
            Failure::Configuration(lines) => lines,
            Failure::Failed(line) => std::slice::from_ref(line),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::from(vec![problem])
    }
}

/// What waiting would not mend is the configuration's fault.
impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        const UNDEFINED_TABLE: &str = "42P01";
        const UNDEFINED_FUNCTION: &str = "42883";
        let is_older = matches!(error.code(), Some(UNDEFINED_TABLE | UNDEFINED_FUNCTION));
        let remedy = if is_older { ": run `rib-ingester migrate` first" } else { "" };
        let line = format!("database: {error}{remedy}");
        if error.is_configuration() { Failure::Configuration(vec![line]) } else { Failure::Failed(line) }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Failure {
        Failure::Configuration(problems.iter().map(Problem::to_string).collect())
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, Settings::load()?),
        Command::Migrate => migrate::run(&Settings::load()?),
        Command::Maintenance => maintenance::run(&Settings::load()?),
        Command::Status(arguments) => status::run(&arguments, &Settings::load()?),
        Command::Doctor(arguments) => doctor::run(&arguments, &Settings::load()?),
        Command::Lookup(arguments) => lookup::run(&arguments, &Settings::load()?),
        Command::Decode { file, port } => print_decoded(&file, &port, &Settings::load_offline()?),
        Command::Replay(arguments) => replay::run(&arguments, &Settings::load_offline()?),
        Command::Record(arguments) => record::run(&arguments, &Settings::load_offline()?),
        Command::Config(arguments) => config::run(&arguments),
        Command::Completions(arguments) => complete::completions(&arguments),
        Command::Man => complete::man(),
    }
}

fn print_decoded(file: &Path, port: &capture::Port, settings: &Settings) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    let (input, _) = open(file)?;
    let out = io::BufWriter::new(io::stdout().lock());
    let message_max = settings.max_message_bytes;
    let is_whole = match capture::tell(input, port, message_max).map_err(failed)? {
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
    Err(Failure::Failed(format!("{}: the stream breaks, its last line says where", file.display())))
}

/// The database of a command that is not the collector.
fn connect(settings: &Settings, command: &str) -> Result<store::Client, Failure> {
    Logging::start(settings)?;
    store::connect(&settings.database_url, command).map_err(|error| {
        // Which database was not reached is half of what there is to know.
        let target = store::connect::describe(&settings.database_url).unwrap_or_else(|_| "database".to_string());
        let line = format!("{target}: {error}");
        if error.is_configuration() { Failure::Configuration(vec![line]) } else { Failure::Failed(line) }
    })
}

/// A file, or standard input for `-`, and its length where it has one.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), length))
}

/// Prints a command's result. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    show(text).map(|_| ())
}

/// Whether anyone still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    ToReader,
    ToNobody,
}

fn show(text: &str) -> Result<Shown, Failure> {
    use io::Write;
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Shown::ToReader),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Shown::ToNobody),
        Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
    }
}

/// `1 message`, `2 messages`.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
