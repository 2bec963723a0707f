//! The common part of all commands: failing, reaching the database and files, printing.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::{Problem, Settings};
use crate::logging::Logging;
use crate::store;

/// The reason why a command failed.
#[derive(Debug)]
pub enum CommandError {
    /// Wrong usage or wrong configuration, one line per mistake: nothing was done. Exit code 2.
    Configuration(Vec<String>),
    /// The command was tried and failed. Exit code 1.
    Failed(String),
    /// A comparison found differences, which were printed. Exit code 3.
    Differs,
    /// Nobody can tell, for these reasons. Exit code 4.
    CannotTell(Vec<String>),
}

impl CommandError {
    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::Configuration(_) => 2,
            CommandError::Failed(_) => 1,
            CommandError::Differs => 3,
            CommandError::CannotTell(_) => 4,
        }
    }

    /// Returns the lines to print.
    pub fn lines(&self) -> &[String] {
        match self {
            CommandError::Configuration(lines) | CommandError::CannotTell(lines) => lines,
            CommandError::Failed(line) => std::slice::from_ref(line),
            CommandError::Differs => &[],
        }
    }
}

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> CommandError {
        CommandError::from(vec![problem])
    }
}

/// Classifies an error that waiting does not fix as one of the configuration.
impl From<store::Error> for CommandError {
    fn from(error: store::Error) -> CommandError {
        const UNDEFINED_TABLE: &str = "42P01";
        const UNDEFINED_FUNCTION: &str = "42883";
        let is_older = matches!(error.code(), Some(UNDEFINED_TABLE | UNDEFINED_FUNCTION));
        let remedy = if is_older { ": run `rib-ingester migrate` first" } else { "" };
        let line = format!("database: {error}{remedy}");
        if error.is_configuration() { CommandError::Configuration(vec![line]) } else { CommandError::Failed(line) }
    }
}

impl From<Vec<Problem>> for CommandError {
    fn from(problems: Vec<Problem>) -> CommandError {
        CommandError::Configuration(problems.iter().map(Problem::to_string).collect())
    }
}

/// Reports an empty file, which is not a recording: most likely the program that was to write it has failed.
pub(crate) fn nothing_in(file: &Path) -> CommandError {
    CommandError::Failed(format!("{}: is empty", file.display()))
}

/// Connects a command that is not the collector to the database.
pub(crate) fn connect(settings: &Settings, command: &str) -> Result<store::Client, CommandError> {
    Logging::start(settings)?;
    store::connect(&settings.database_url, command).map_err(|error| {
        // The database that was not reached is half of the information.
        let target = store::connect::describe(&settings.database_url).unwrap_or_else(|_| "database".to_string());
        let line = format!("{target}: {error}");
        if error.is_configuration() { CommandError::Configuration(vec![line]) } else { CommandError::Failed(line) }
    })
}

/// Opens a file, or standard input for `-`; returns it with its length, if known.
pub(crate) fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), CommandError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), length))
}

/// Reads a text of at most `bytes_max` octets, or standard input for `-`.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, CommandError> {
    let (input, _) = open(path)?;
    let failed = |why: String| CommandError::Failed(format!("{}: {why}", path.display()));
    let mut bytes = Vec::new();
    let length = input.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if length as u64 > bytes_max {
        return Err(failed(format!("is larger than {} MiB: split it", bytes_max >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        CommandError::Configuration(vec![format!("{}: line {line}: is not UTF-8", path.display())])
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// Prints a line on standard error. If that is full or closed, the command continues anyway.
pub fn say(line: impl Display) {
    use io::Write;
    // In one piece: other processes may write there too.
    let _ = io::stderr().lock().write_all(format!("rib-ingester: {line}\n").as_bytes());
}

/// Prints a command's result. A reader that stops early (`| head`) is not a failure.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    show(text).map(|_| ())
}

/// Tells if anything still reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Something does.
    Open,
    /// Nothing does.
    Closed,
}

/// Prints a text. Returns whether anything still reads the output.
pub(crate) fn show(text: &str) -> Result<Output, CommandError> {
    use io::Write;
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Output::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Output::Closed),
        Err(error) => Err(CommandError::Failed(format!("standard output: {error}"))),
    }
}

/// Formats a count: `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The similarity from which a name is suggested.
const SIMILAR_MIN: f64 = 0.6;

/// Returns `; did you mean x?` for the most similar name, if one is similar.
pub(crate) fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let best = names
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match best {
        Some((similarity, known)) if similarity >= SIMILAR_MIN => format!("; did you mean {known}?"),
        Some(_) | None => String::new(),
    }
}
