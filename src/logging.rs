//! Log lines on standard error: filter, fold, format.
//!
//! A record passes the active filter (`LOG`, or `LOG_FILTER_FILE`, which SIGHUP reads again), then `fold`, which turns
//! repeats within a minute into one summary, then the writer. On a terminal or in a file a line is
//! `2026-01-31T12:00:00.000Z info  router 10.0.0.2: ...`; under systemd's journal, which stamps time and priority
//! itself, it is `<6>router 10.0.0.2: ...`; as JSON `{"time":..,"level":..,"target":..,"message":..}` (`LOG_FORMAT`).
//! Text from routers never breaks a line: invisible characters are escaped.

mod fold;

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use env_filter::Filter;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::{JournalStream, LogFormat, Problem, Settings, allow, value};
use crate::model::text::printable;
use fold::{FoldDecision, Folds, LogLine};

/// The maximum size of `LOG_FILTER_FILE`, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The program's logger. One exists per process, forever: the `log` crate holds it by reference.
#[derive(Debug)]
pub struct Logging {
    filter: RwLock<Filter>,
    folds: Mutex<Folds>,
    out: env_logger::Logger,
}

impl Logging {
    /// Starts logging with `LOG` or `LOG_FILTER_FILE`. Later calls in one process have no effect.
    ///
    /// # Errors
    /// `LOG_FILTER_FILE` cannot be read or is invalid.
    pub fn start(settings: &Settings) -> Result<&'static Logging, Problem> {
        let filter = read_filter(settings)?;
        let level = filter.filter();
        let logging: &'static Logging = Box::leak(Box::new(Logging {
            filter: RwLock::new(filter),
            folds: Mutex::new(Folds::default()),
            out: writer(format_of(settings)),
        }));
        if log::set_logger(logging).is_ok() {
            log::set_max_level(level);
        }
        Ok(logging)
    }

    /// Reads `LOG_FILTER_FILE` again. An invalid file keeps the old filter.
    ///
    /// # Errors
    /// `LOG_FILTER_FILE` cannot be read or is invalid.
    pub fn reload(&self, settings: &Settings) -> Result<LevelFilter, Problem> {
        let filter = read_filter(settings)?;
        let level = filter.filter();
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
        log::set_max_level(level);
        Ok(level)
    }

    /// Writes the summaries of repeats whose minute is over. It is called periodically, so that the last repeats of a
    /// flood are reported even if nothing else is logged after it.
    pub(crate) fn write_due_summaries(&self) {
        let due = self.folds().due(Instant::now());
        self.write_all(due);
    }

    fn folds(&self) -> MutexGuard<'_, Folds> {
        self.folds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, lines: Vec<LogLine>) {
        for line in lines {
            self.write(line.level, &line.target, &line.text);
        }
    }

    fn write(&self, level: Level, target: &str, text: &str) {
        self.out.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
    }
}

impl Log for Logging {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.read().unwrap_or_else(PoisonError::into_inner).enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        // What the HTTP client says in detail holds URLs and headers, which are secrets of callbacks.
        if record.target().starts_with("ureq") && record.level() > Level::Info {
            return;
        }
        if !self.filter.read().unwrap_or_else(PoisonError::into_inner).matches(record) {
            return;
        }
        let text = printable(&record.args().to_string()).into_owned();
        // Debug and trace lines are never folded: they were asked for.
        if record.level() > Level::Info {
            return self.write(record.level(), record.target(), &text);
        }
        let now = Instant::now();
        let (level, target) = (record.level(), record.target().to_string());
        let line = LogLine { level, target, site: record.line().unwrap_or(0), text };
        let (due, verdict) = {
            let mut folds = self.folds();
            (folds.due(now), folds.see(&line, now))
        };
        self.write_all(due);
        match verdict {
            FoldDecision::Write => self.write(line.level, &line.target, &line.text),
            FoldDecision::Folded => {}
        }
    }

    /// Writes all summaries, due or not, at the end of the program.
    fn flush(&self) {
        let all = self.folds().all();
        self.write_all(all);
        self.out.flush();
    }
}

fn read_filter(settings: &Settings) -> Result<Filter, Problem> {
    let text = match &settings.log_filter_file {
        None => settings.log.clone(),
        Some(path) => read_file(path).map_err(|wrong| {
            Problem::bad_file("LOG_FILTER_FILE", path, &wrong, "allowed: one filter per line, as in RIB_INGESTER_LOG")
        })?,
    };
    let mut builder = env_filter::Builder::new();
    builder.try_parse(&text).expect("value::log_filter has parsed the same text");
    Ok(builder.build())
}

fn read_file(path: &Path) -> Result<String, String> {
    let text = allow::read_bounded(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let filters: Vec<&str> = text.lines().map(allow::without_comment).filter(|line| !line.is_empty()).collect();
    for filter in &filters {
        value::log_filter(filter).map_err(|wrong| format!("{}: {wrong}", value::quoted(filter)))?;
    }
    value::log_filter(&filters.join(","))
}

/// The format of lines, once `auto` is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineFormat {
    Text,
    Journald,
    Json,
}

fn format_of(settings: &Settings) -> LineFormat {
    match settings.log_format {
        LogFormat::Auto if is_journal(&settings.journal_stream) => LineFormat::Journald,
        LogFormat::Auto | LogFormat::Text => LineFormat::Text,
        LogFormat::Journald => LineFormat::Journald,
        LogFormat::Json => LineFormat::Json,
    }
}

fn writer(format: LineFormat) -> env_logger::Logger {
    let mut builder = env_logger::Builder::new();
    // The filter is applied before folding; every line that arrives here is written.
    builder.filter_level(LevelFilter::Trace);
    builder.format(move |out, record| {
        match format {
            LineFormat::Json => return writeln!(out, "{}", json(&out.timestamp_millis().to_string(), record)),
            LineFormat::Journald => write!(out, "<{}>", priority(record.level()))?,
            LineFormat::Text => write!(out, "{} {:5} ", out.timestamp_millis(), word(record.level()))?,
        }
        if record.level() > Level::Info {
            write!(out, "[{}] ", record.target())?;
        }
        writeln!(out, "{}", record.args())
    });
    builder.build()
}

/// Formats a record with its fields in reading order, which a map would not keep.
fn json(time: &str, record: &Record<'_>) -> String {
    let message = record.args().to_string();
    let pairs = [("time", time), ("level", word(record.level())), ("target", record.target()), ("message", &message)];
    let pairs = pairs.map(|(name, value)| format!("\"{name}\":{}", serde_json::Value::from(value)));
    format!("{{{}}}", pairs.join(","))
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Returns the syslog severity (RFC 5424 section 6.2.1), which systemd reads at the start of a line.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Returns whether the journal reads our standard error. Children whose standard error is redirected inherit
/// `$JOURNAL_STREAM`, so it must name the device and inode of our own standard error.
fn is_journal(journal: &JournalStream) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some(expected) = &journal.0 else { return false };
    let Ok(copy) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    let metadata = std::fs::File::from(copy).metadata();
    metadata.is_ok_and(|metadata| *expected == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_file_has_a_filter_per_line() {
        let path = std::env::temp_dir().join(format!("rib-ingester-filter-{}", std::process::id()));
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_file(&path)
        };
        assert_eq!(
            check("# all\nwarn\nrib_ingester::wire=debug # one room\n"),
            Ok("warn,rib_ingester::wire=debug".to_string())
        );
        assert_eq!(check("# nothing\n"), Err("is empty".to_string()));
        assert_eq!(check("info\nverbose\n"), Err("\"verbose\": is not a level".to_string()));
        std::fs::remove_file(&path).unwrap();
        assert!(read_file(&path).is_err());
    }
}
