//! Parses `DATABASE_URL`: PostgreSQL's connection string, with the rules of libpq.
//!
//! The client crate parses all of it except the options for certificates and files; those are taken out here before it
//! sees the rest: `sslmode=verify-ca` and `verify-full`, `sslrootcert`, `sslcert`, `sslkey`, and one of our own,
//! `password_file`, which `DATABASE_PASSWORD_FILE` adds. No error text contains a value that may be a password.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use postgres::config::{Host, SslMode};

/// The options that are taken out before the client crate parses the rest.
const OURS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", PASSWORD_FILE];

/// The option for a file that contains only the password and is read again for each connection.
const PASSWORD_FILE: &str = "password_file";

/// The error for a URL with a second `@`: its parts cannot be determined, so none is shown.
const SECOND_AT: &str = "has more than one @: write an @ in a user, password or file name as %40, or put the password into \
                         the file that RIB_INGESTER_DATABASE_PASSWORD_FILE names";

/// libpq's options that the client crate does not know. Any other unknown option may be part of a password with a blank
/// or a `&` in it, and is not repeated in an error.
const NOT_KNOWN: [&str; 20] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslsni",
];

/// A parsed connection string.
#[derive(Clone)]
pub(crate) struct ConnInfo {
    /// Everything that the client crate parses; its `ssl_mode` follows from [`ConnInfo::tls`].
    pub config: postgres::Config,
    /// The TLS settings.
    pub tls: Tls,
    /// The file that contains the password, if there is one.
    pub(crate) password_file: Option<PathBuf>,
}

/// The TLS mode and the certificates for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `sslmode`: the level of protection.
    pub mode: Mode,
    /// `sslrootcert`: the authorities that are trusted.
    pub roots: Option<Roots>,
    /// `sslcert` and `sslkey`: the files of the client's own certificate chain and key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The values of `sslmode`, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No TLS.
    Disable,
    /// TLS if the server supports it, without verifying the server.
    Prefer,
    /// TLS is required, without verifying the server.
    Require,
    /// TLS is required, with a certificate of a trusted authority.
    VerifyCa,
    /// TLS is required, with such a certificate for this host's name.
    VerifyFull,
}

/// The trusted authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl ConnInfo {
    /// Parses a URL or a `key=value` string.
    ///
    /// # Errors
    /// The string is not valid. The text is the reason; it contains no value but that of `sslmode`, and no part of a
    /// password that is written incorrectly.
    pub fn parse(text: &str) -> Result<ConnInfo, String> {
        let (rest, ours) = match query_of(text) {
            Some(_) if text.matches('@').count() > 1 => return Err(SECOND_AT.to_owned()),
            Some(query) => split_url(text, query),
            None if text.contains("://") => return Err("begins with neither postgres:// nor postgresql://".to_owned()),
            None => split_keywords(text),
        };
        let mut config: postgres::Config = rest.parse().map_err(|error: postgres::Error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            in_public(&why)
        })?;
        if config.get_hosts().is_empty() {
            // An address serves as the name: the certificate is compared with it.
            let addresses: Vec<_> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
            if addresses.is_empty() {
                return Err("has no host".to_owned());
            }
            for address in addresses {
                config.host(&address);
            }
        }
        let last = |key: &str| ours.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let tls = Tls::of(last("sslmode"), last("sslrootcert"), last("sslcert"), last("sslkey"))?;
        config.ssl_mode(match tls.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        Ok(ConnInfo { config, tls, password_file: last(PASSWORD_FILE).map(PathBuf::from) })
    }

    /// Returns the target in libpq's `key=value` form, without the password.
    pub fn describe(&self) -> String {
        let config = &self.config;
        let hosts: Vec<String> = config.get_hosts().iter().map(host_text).collect();
        let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
        let mut words = vec![format!("host={}", hosts.join(","))];
        words.extend((!ports.is_empty()).then(|| format!("port={}", ports.join(","))));
        words.extend(config.get_user().map(|user| format!("user={user}")));
        words.extend(config.get_dbname().map(|name| format!("dbname={name}")));
        words.extend(config.get_password().map(|_| "password=(hidden)".to_string()));
        words.extend(self.password_file.as_ref().map(|file| format!("{PASSWORD_FILE}={}", file.display())));
        words.extend((self.tls.mode != Mode::Prefer).then(|| format!("sslmode={}", self.tls.mode.as_str())));
        words.join(" ")
    }
}

/// Returns the connection string with the option for the file that contains the password, which is read again for each
/// connection.
pub(crate) fn with_password_file(text: &str, file: &Path) -> String {
    let file = file.to_string_lossy();
    match query_of(text) {
        Some(query) => {
            let separator = if query == text.len() { '?' } else { '&' };
            format!("{text}{separator}{PASSWORD_FILE}={}", utf8_percent_encode(&file, NON_ALPHANUMERIC))
        }
        None => format!("{text} {PASSWORD_FILE}={}", quoted(&file)),
    }
}

impl Tls {
    fn of(mode: Option<&str>, roots: Option<&str>, cert: Option<&str>, key: Option<&str>) -> Result<Tls, String> {
        let roots = roots.map(|roots| match roots {
            "system" => Roots::System,
            file => Roots::File(file.into()),
        });
        // As in libpq: naming authorities enables their verification, and the system's have signed far too many servers
        // for verification without the name.
        let mode = match (mode, &roots) {
            (None, Some(Roots::System)) => Mode::VerifyFull,
            (None, Some(Roots::File(_)) | None) => Mode::Prefer,
            (Some("require"), Some(Roots::File(_))) => Mode::VerifyCa,
            (Some(mode), _) => Mode::read(mode)?,
        };
        match (mode, &roots) {
            (Mode::VerifyFull, _) | (_, Some(Roots::File(_)) | None) => {}
            (_, Some(Roots::System)) => return Err("sslrootcert=system needs sslmode=verify-full".to_owned()),
        }
        let roots = match (mode, roots) {
            (Mode::VerifyFull, None) => Some(Roots::System),
            (Mode::VerifyCa, None) => return Err("sslmode=verify-ca needs sslrootcert".to_owned()),
            (_, roots) => roots,
        };
        let client = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err("sslcert and sslkey need each other".to_owned()),
        };
        Ok(Tls { mode, roots, client })
    }
}

impl Mode {
    const ALL: [Mode; 5] = [Mode::Disable, Mode::Prefer, Mode::Require, Mode::VerifyCa, Mode::VerifyFull];

    fn read(text: &str) -> Result<Mode, String> {
        Mode::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
            let all = Mode::ALL.map(Mode::as_str).join(", ");
            format!("sslmode={text} is none of {all}")
        })
    }

    /// Returns libpq's name of the mode.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Disable => "disable",
            Mode::Prefer => "prefer",
            Mode::Require => "require",
            Mode::VerifyCa => "verify-ca",
            Mode::VerifyFull => "verify-full",
        }
    }
}

/// Returns the client crate's error about a connection string, without a word that may be part of a password. Its texts
/// contain no values, but after a value that is quoted incorrectly the rest of it is taken for a key.
fn in_public(why: &str) -> String {
    const UNKNOWN: &str = "unknown option `";
    let Some((_, rest)) = why.split_once(UNKNOWN) else { return why.to_owned() };
    match rest.trim_end_matches('`') {
        known if NOT_KNOWN.contains(&known) => format!("option {known} is not supported"),
        _ => {
            "has an option that is not known: in a URL write & as %26 and ? as %3F, in key=value form put a value with \
              blanks between single quotes"
                .to_owned()
        }
    }
}

/// Returns the text of a host: its name, its address or the folder of its socket.
pub(crate) fn host_text(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

/// Returns the index at which the query of a URL begins, with its `?`; the end if it has none. `None` if the text is
/// not a URL.
fn query_of(text: &str) -> Option<usize> {
    let body = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
    let begin = text.len() - body.len();
    // A password may contain any character but `@`.
    let host = begin + body.find('@').map_or(0, |at| at + 1);
    Some(text[host..].find('?').map_or(text.len(), |at| host + at))
}

/// Splits a URL into the URL without [`OURS`], and those options.
fn split_url(text: &str, query: usize) -> (String, Vec<(String, String)>) {
    let (mut rest, mut ours, mut separator) = (text[..query].to_owned(), Vec::new(), '?');
    for word in text[query..].trim_start_matches('?').split('&').filter(|word| !word.is_empty()) {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match word.split_once('=') {
            Some((key, value)) if OURS.contains(&decoded(key).as_str()) => ours.push((decoded(key), decoded(value))),
            Some(_) | None => {
                rest.push(separator);
                rest.push_str(word);
                separator = '&';
            }
        }
    }
    (rest, ours)
}

/// The same for a `key=value` string. One that cannot be parsed is left to the client crate, which reports the error.
fn split_keywords(text: &str) -> (String, Vec<(String, String)>) {
    let Some(words) = keywords(text) else { return (text.to_owned(), Vec::new()) };
    let (ours, others): (Vec<_>, Vec<_>) = words.into_iter().partition(|(key, _)| OURS.contains(&key.as_str()));
    let mut rest = String::new();
    for (key, value) in others {
        // Writing into a String cannot fail.
        let _ = write!(rest, "{key}={} ", quoted(&value));
    }
    (rest, ours)
}

/// Splits `key = value` pairs; `None` if they are malformed. A value may be in single quotes, and a backslash makes the
/// next character literal.
fn keywords(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = Vec::new();
    let mut left = text.trim_start();
    while !left.is_empty() {
        let (key, after) = left.split_once('=')?;
        let after = after.trim_start();
        let is_quoted = after.starts_with('\'');
        let mut characters = after.char_indices().skip(usize::from(is_quoted));
        let mut value = String::new();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => value.push(characters.next()?.1),
                Some((at, '\'')) if is_quoted => break at + 1,
                Some((at, c)) if !is_quoted && c.is_whitespace() => break at,
                Some((_, c)) => value.push(c),
                None if is_quoted => return None,
                None => break after.len(),
            }
        };
        words.push((key.trim_end().to_owned(), value));
        left = after[end..].trim_start();
    }
    Some(words)
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        ConnInfo::parse(text).err().unwrap_or_else(|| panic!("{text} was read"))
    }

    #[test]
    fn both_forms_say_the_same() {
        let check = |text: &str, mode: Mode, roots: Option<Roots>, client: bool| {
            let info = ConnInfo::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((info.tls.mode, &info.tls.roots, info.tls.client.is_some()), (mode, &roots, client), "{text}");
            assert_eq!(info.config.get_hosts(), [Host::Tcp("db".to_owned())], "{text}");
        };
        let file = || Some(Roots::File("/etc/a b.pem".into()));
        check("postgres://me:s?e@db/rib", Mode::Prefer, None, false);
        check("postgres://db/rib?sslmode=disable", Mode::Disable, None, false);
        check("host=db sslmode = require", Mode::Require, None, false);
        check("host=db sslmode=require sslrootcert='/etc/a b.pem'", Mode::VerifyCa, file(), false);
        check("postgres://db/rib?sslrootcert=/etc/a%20b.pem&sslmode=verify-ca", Mode::VerifyCa, file(), false);
        check("host=db sslmode=verify-full", Mode::VerifyFull, Some(Roots::System), false);
        check("host=db sslrootcert=system", Mode::VerifyFull, Some(Roots::System), false);
        check("host=db sslcert=a sslkey=b sslmode=require", Mode::Require, None, true);
        check(r"host=db sslmode='verify-full' sslrootcert=/etc/a\ b.pem", Mode::VerifyFull, file(), false);
        let named = ConnInfo::parse("hostaddr=192.0.2.1 user=me").unwrap();
        assert_eq!(named.config.get_hosts(), [Host::Tcp("192.0.2.1".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        assert_eq!(error("user=me dbname=rib"), "has no host");
        assert_eq!(
            error("host=db sslmode=allow"),
            "sslmode=allow is none of disable, prefer, require, verify-ca, verify-full"
        );
        assert_eq!(error("host=db sslmode=verify-ca"), "sslmode=verify-ca needs sslrootcert");
        assert_eq!(error("host=db sslcert=a"), "sslcert and sslkey need each other");
        assert_eq!(error("host=db sslmode=require sslrootcert=system"), "sslrootcert=system needs sslmode=verify-full");
        for text in [
            "postgres://me:hunter2@db:port/rib?sslmode=disable",
            "host=db password=hunter2 port=x",
            "host=db password='hunter2",
            "host=db password='hunter2' nonsense",
            "hunter2",
        ] {
            assert!(!error(text).contains("hunter2"), "{}", error(text));
        }
    }

    #[test]
    fn no_part_of_a_password_written_wrong_is_shown() {
        for text in [
            "postgres://rib:pa@hunter2@db/rib",
            "postgres://rib:pa@hunter2:5432/x@db/rib",
            "postgres://rib:pa@x?hunter2@db/rib",
            "postgresql://rib:pa@x/hunter2@db/rib?sslmode=require",
            "postgres://rib:pa@db/rib?sslmode=require&hunter2=x@y",
        ] {
            let why = error(text);
            assert!(!why.contains("hunter2") && why.contains("%40") && why.contains("PASSWORD_FILE"), "{text}: {why}");
        }
        for text in [
            "postgre://rib:hunter2@db/rib?sslmode=require",
            " postgres://rib:hunter2@db/rib?sslmode=require",
            "\u{feff}postgres://rib:hunter2@db/rib?sslmode=require",
            "\"postgres://rib:hunter2@db/rib?sslmode=require\"",
            "host=db user=rib password=pa hunter2=x",
            "host=db user=rib password=pa hunter2 dbname=rib",
            "postgres://rib@db/rib?password=pa&hunter2=x",
        ] {
            assert!(!error(text).contains("hunter2"), "{text}: {}", error(text));
        }
        assert_eq!(error("host=db sslcrl=/x"), "option sslcrl is not supported");
        let escaped = ConnInfo::parse("postgres://rib:pa%40ss@db/rib?sslrootcert=/a%40b.pem").unwrap();
        assert_eq!(escaped.config.get_password(), Some(b"pa@ss".as_slice()));
    }

    #[test]
    fn a_password_file_comes_through_both_forms() {
        let file = Path::new("/run/it's a=b&c%.txt");
        for text in ["postgres://me@db/rib", "postgres://me@db/rib?sslmode=disable", "host=db user=me sslmode=disable"]
        {
            let info = ConnInfo::parse(&with_password_file(text, file)).unwrap();
            assert_eq!(info.password_file.as_deref(), Some(file), "{text}");
            assert_eq!(info.config.get_user(), Some("me"), "{text}");
        }
    }

    #[test]
    fn descriptions_hold_no_password() {
        let url = "postgresql://writer:hunter2@db.example:5433/rib?sslmode=verify-ca&sslrootcert=/ca.pem";
        let shown = ConnInfo::parse(url).unwrap().describe();
        assert_eq!(shown, "host=db.example port=5433 user=writer dbname=rib password=(hidden) sslmode=verify-ca");
    }
}
