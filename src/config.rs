//! The settings: one table of name, type, default, meaning and allowed values, and the only reader of the environment.
//!
//! The table (`table`) generates the fields of [`Settings`], the parsing, `rib-ingester config`, the table of
//! `docs/settings.md` and `systemd/rib-ingester.env`. All mistakes are reported together; an unknown `RIB_INGESTER_*`
//! name is a mistake, so that a misspelled setting never silently means its default. `RIB_INGESTER_TEST_*` is reserved
//! for the tests.
//!
//! Two settings name files that SIGHUP reads again: `ALLOW_FILE` (`allow::AllowList`) and `LOG_FILTER_FILE`
//! ([`crate::logging`]).

pub mod allow;
pub mod connect;
pub mod env_file;
pub mod md5;
pub mod print;
pub mod problem;
pub mod relay;
pub mod resync;
pub mod router_id;
mod setting;
pub mod stored_views;
mod table;
pub(crate) mod tokens;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use connect::ConnectTarget;
pub use env_file::EnvFile;
pub(crate) use env_file::Environment;
pub(crate) use problem::Problem;
pub(crate) use resync::ResyncOnDrift;
pub(crate) use router_id::RouterIdFrom;
pub use setting::{DefaultValue, PREFIX, Reader, Setting};
pub(crate) use setting::{Effective, ValueSource};
pub use stored_views::StoredViews;
pub use table::{JournalStream, Settings, TABLE};
pub(crate) use value::{HistoryRedump, LogFormat};

use crate::conninfo;
use setting::{DATABASE_URL, TEST_PREFIX};

/// Settings that systemd's credentials may provide, and the file in `$CREDENTIALS_DIRECTORY`. For [`DATABASE_URL`] the
/// file contains the value; for the others the value is the path of the file.
const CREDENTIALS: &[(&str, &str)] = &[
    (DATABASE_URL, "database_url"),
    ("DATABASE_PASSWORD_FILE", "database_password"),
    ("BMP_TLS_KEY_FILE", "bmp_tls_key"),
    ("MD5_FILE", "md5_keys"),
    ("API_TOKEN_FILE", "api_tokens"),
];

/// The state folder without systemd.
const STATE_DIR: &str = "./rib-ingester-state";

/// Returns `COLUMNS`, the terminal's width as shells and users set it, which is not a setting of ours; `None` if it is
/// not a number.
pub(crate) fn terminal_columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

impl Environment {
    /// Reads the environment of this process and the file.
    ///
    /// # Errors
    /// The named file cannot be read, or a file that is read is invalid.
    pub(crate) fn of_process(which: &EnvFile) -> Result<Environment, Vec<Problem>> {
        Environment::read(std::env::vars_os().collect(), which, Path::new(env_file::OF_UNIT))
    }
}

impl Settings {
    /// Returns the settings of a command that uses the database.
    pub fn load(environment: Environment) -> Result<Settings, Vec<Problem>> {
        read(RawEnvironment::of(environment))
    }

    /// Returns the settings of a command that works without a database.
    pub(crate) fn load_offline(environment: Environment) -> Result<Settings, Vec<Problem>> {
        let mut given = RawEnvironment::of(environment);
        given.database = DatabaseUrl::Optional;
        read(given)
    }

    /// Returns a problem for each file that [`Settings::bmp_tls_listen`] or a target with TLS requires and that is not set.
    fn missing_for_tls(&self) -> Vec<Problem> {
        let needed = [
            ("BMP_TLS_CERTIFICATE_FILE", self.bmp_tls_certificate_file.is_none()),
            ("BMP_TLS_KEY_FILE", self.bmp_tls_key_file.is_none()),
        ];
        let missing = needed.into_iter().filter(|(_, is_missing)| self.bmp_tls_listen.is_some() && *is_missing);
        let missing =
            missing.map(|(name, _)| Problem::missing(setting(name), "is required with RIB_INGESTER_BMP_TLS_LISTEN"));
        let lacks_authorities =
            self.connect.iter().any(|target| target.uses_tls) && self.bmp_tls_client_ca_file.is_none();
        let authorities = lacks_authorities.then(|| {
            Problem::missing(setting("BMP_TLS_CLIENT_CA_FILE"), "is required with tls:// in RIB_INGESTER_CONNECT")
        });
        missing.chain(authorities).collect()
    }

    /// Returns a setting for stations that cannot work, and why.
    fn wrong_for_relay(&self) -> Option<(&'static str, &'static str)> {
        if !self.relay.is_empty() && (!self.journal || self.journal_max_bytes == Some(0)) {
            return Some((
                "RELAY",
                "needs the journal, which RIB_INGESTER_JOURNAL or RIB_INGESTER_JOURNAL_MAX_BYTES turns off",
            ));
        }
        let ports = [Some(self.bmp_listen), self.bmp_tls_listen].into_iter().flatten();
        if ports
            .flat_map(|own| self.relay.iter().map(move |station| (own, station)))
            .any(|(own, to)| relay::is_at(to, own))
        {
            return Some(("RELAY", "names this collector, which would relay what it relays"));
        }
        match (&self.relay_certificate_file, &self.relay_key_file) {
            (Some(_), None) => Some(("RELAY_KEY_FILE", "is required with RIB_INGESTER_RELAY_CERTIFICATE_FILE")),
            (None, Some(_)) => Some(("RELAY_CERTIFICATE_FILE", "is required with RIB_INGESTER_RELAY_KEY_FILE")),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// Returns each row of [`TABLE`] with its effective text.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&'static Setting, &Effective)> {
        TABLE.iter().zip(&self.in_force)
    }

    /// Returns whether the password is in its own file or a credential, which may be replaced while the collector
    /// starts or runs.
    pub(crate) fn has_rotated_password(&self) -> bool {
        let is_credential = |(setting, in_force): (&Setting, &Effective)| {
            setting.name == DATABASE_URL && in_force.source == ValueSource::Credential
        };
        self.database_password_file.is_some() || self.in_force().any(is_credential)
    }

    /// Returns the source of the `router_id` of a router with this source address.
    pub(crate) fn router_id_rule(&self, source: IpAddr) -> RouterIdFrom {
        router_id::choose(&self.router_id_from, source)
    }

    /// Returns the RIBs that are stored of a router with this source address.
    pub fn stored_views(&self, source: IpAddr) -> StoredViews {
        stored_views::choose(&self.stored_ribs, source)
    }

    /// Returns whether the key of a route omits the Add-Path identifiers of a router with this source address.
    pub(crate) fn ignores_path_id(&self, source: IpAddr) -> bool {
        allow::contains(&self.ignore_path_id, source)
    }
}

/// Returns a setting by its name.
fn setting(name: &str) -> &'static Setting {
    TABLE.iter().find(|setting| setting.name == name).expect("the table has it")
}

/// The environment before it is parsed.
struct RawEnvironment {
    /// By name without [`PREFIX`].
    settings: BTreeMap<String, OsString>,
    credentials_directory: Option<PathBuf>,
    state_directory: Option<OsString>,
    journal: JournalStream,
    database: DatabaseUrl,
    /// The file that was read, and the names that it set.
    file: Option<(PathBuf, BTreeSet<String>)>,
    /// Possible reasons why no database is named.
    hints: Vec<String>,
    /// Misspelled names with a prefix similar to ours.
    slipped: Vec<Problem>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DatabaseUrl {
    Required,
    Optional,
}

impl RawEnvironment {
    fn of(environment: Environment) -> RawEnvironment {
        let Environment { vars, file, hints } = environment;
        RawEnvironment { file, hints, ..RawEnvironment::collect(vars.into_iter()) }
    }

    fn env_file(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|(path, _)| path.clone())
    }

    fn source(&self, setting: &Setting) -> ValueSource {
        match &self.file {
            Some((_, names)) if names.contains(&setting.variable()) => ValueSource::File,
            Some(_) | None => ValueSource::Environment,
        }
    }

    fn collect(vars: impl Iterator<Item = (OsString, OsString)>) -> RawEnvironment {
        let mut given = RawEnvironment {
            settings: BTreeMap::new(),
            credentials_directory: None,
            state_directory: None,
            journal: JournalStream::default(),
            database: DatabaseUrl::Required,
            file: None,
            hints: Vec::new(),
            slipped: Vec::new(),
        };
        for (name, value) in vars {
            // A name that is not Unicode is not one of ours.
            let Some(name) = name.to_str() else { continue };
            match name {
                "CREDENTIALS_DIRECTORY" => given.credentials_directory = Some(value.into()),
                "STATE_DIRECTORY" => given.state_directory = Some(value),
                "JOURNAL_STREAM" => given.journal = JournalStream(value.into_string().ok()),
                _ if name.starts_with(TEST_PREFIX) => {}
                _ => {
                    if let Some(short) = name.strip_prefix(PREFIX) {
                        given.settings.insert(short.to_string(), value);
                    } else {
                        given.slipped.extend(Problem::slipped(name, TABLE));
                    }
                }
            }
        }
        given
    }

    /// Returns the effective text of `setting`.
    fn in_force(&self, setting: &Setting, problems: &mut Vec<Problem>) -> Effective {
        if let Some(value) = self.settings.get(setting.name) {
            // Text that is not Unicode must not count as given: it is reported, and the default is parsed instead.
            if let Some(text) = value.to_str() {
                return Effective { text: Some(text.to_string()), source: self.source(setting) };
            }
            problems.push(Problem::bad_value(setting, &value.to_string_lossy(), "is not valid UTF-8"));
        }
        if let Some(text) = self.credential(setting, problems) {
            return Effective { text: Some(text), source: ValueSource::Credential };
        }
        let text = match setting.default {
            DefaultValue::Text(text) => Some(text.to_string()),
            DefaultValue::Unset => {
                if setting.name == DATABASE_URL && self.database == DatabaseUrl::Required {
                    let why: Vec<&str> =
                        std::iter::once("is required").chain(self.hints.iter().map(String::as_str)).collect();
                    problems.push(Problem::missing(setting, &why.join("; ")));
                }
                None
            }
            DefaultValue::HostName => match whoami::hostname() {
                Ok(name) => Some(name),
                Err(error) => {
                    problems.push(Problem::missing(setting, &format!("the host name is unknown ({error})")));
                    None
                }
            },
            DefaultValue::StateDirectory => Some(self.state_directory()),
        };
        Effective { text, source: ValueSource::Default }
    }

    /// Returns the state folder. systemd gives several folders separated by colons; the first is ours.
    fn state_directory(&self) -> String {
        let folders = self.state_directory.as_ref().map(|value| value.to_string_lossy().into_owned());
        match folders.as_deref().and_then(|folders| folders.split(':').next()) {
            Some(first) if !first.is_empty() => first.to_string(),
            Some(_) | None => STATE_DIR.to_string(),
        }
    }

    fn credential(&self, setting: &Setting, problems: &mut Vec<Problem>) -> Option<String> {
        let (_, file) = CREDENTIALS.iter().find(|(name, _)| *name == setting.name)?;
        let path = self.credentials_directory.as_ref()?.join(file);
        if !setting.is_secret() {
            return path.exists().then(|| path.to_string_lossy().into_owned());
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                problems.push(Problem::missing(setting, &format!("credential {}: {error}", path.display())));
                None
            }
        }
    }
}

fn read(mut given: RawEnvironment) -> Result<Settings, Vec<Problem>> {
    let mut problems = std::mem::take(&mut given.slipped);
    for name in given.settings.keys() {
        if !TABLE.iter().any(|setting| setting.name == name) {
            problems.push(Problem::unknown(name, TABLE));
        }
    }
    let (journal, file) = (given.journal.clone(), given.env_file());
    let settings = table::parse(|setting, problems| given.in_force(setting, problems), journal, file, &mut problems);
    if let Some(settings) = &settings {
        problems.extend(settings.missing_for_tls());
        problems.extend(settings.wrong_for_relay().map(|(name, wrong)| Problem::missing(setting(name), wrong)));
    }
    match settings {
        Some(mut settings) if problems.is_empty() => {
            if let Some(file) = &settings.database_password_file
                && !settings.database_url.is_empty()
            {
                settings.database_url = conninfo::with_password_file(&settings.database_url, file);
            }
            Ok(settings)
        }
        Some(_) | None => Err(problems),
    }
}

#[cfg(test)]
mod tests;
