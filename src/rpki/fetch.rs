//! A set from a file or a URL, with the bounds that keep a bad source from hurting.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::model::Timestamp;
use crate::tls;

/// The time for everything, from the resolution of the name to the end of the last answer.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The largest set, compressed or not.
const BYTES_MAX: u64 = 256 << 20;

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 3;

/// The validators of HTTP that show whether a source has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
    /// Of a file: its time and size.
    file: Option<(SystemTime, u64)>,
}

/// The answer of a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is what the validators are of.
    Unchanged,
    /// Its content.
    Set {
        /// The set, not compressed.
        bytes: Vec<u8>,
        /// When it was made, as the source says.
        made: Option<Timestamp>,
        /// The validators of this answer.
        validators: Validators,
    },
}

/// Fetches from files and URLs.
#[derive(Debug)]
pub(super) struct Fetcher {
    agent: Agent,
    time_max: Duration,
    bytes_max: u64,
}

impl Fetcher {
    pub(super) fn new() -> Fetcher {
        Fetcher::with_bounds(TIME_MAX, BYTES_MAX)
    }

    pub(super) fn with_bounds(time_max: Duration, bytes_max: u64) -> Fetcher {
        // Redirects are followed here: within the scheme.
        let config = tls::http_config(tls::http_client()).max_idle_connections(0).build();
        Fetcher { agent: config.new_agent(), time_max, bytes_max }
    }

    /// Fetches the set, unless it is still the one that `known` is of.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) fn fetch(&self, source: &str, known: &Validators) -> Result<Fetched, String> {
        if source.contains("://") { self.fetch_url(source, known) } else { self.read_file(source, known) }
    }

    fn read_file(&self, path: &str, known: &Validators) -> Result<Fetched, String> {
        let describe = |error: std::io::Error| error.to_string();
        let file = File::open(path).map_err(describe)?;
        let metadata = file.metadata().map_err(describe)?;
        // A device or a pipe may never end.
        if !metadata.is_file() {
            return Err("is not a file".to_owned());
        }
        let modified = metadata.modified().map_err(describe)?;
        let validators = Validators { file: Some((modified, metadata.len())), ..Validators::default() };
        if validators == *known {
            return Ok(Fetched::Unchanged);
        }
        let bytes = self.read(file)?;
        Ok(Fetched::Set { bytes, made: time_of(modified), validators })
    }

    fn fetch_url(&self, url: &str, known: &Validators) -> Result<Fetched, String> {
        let end = Instant::now() + self.time_max;
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.get(&url, known, end)?;
            let status = response.status();
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            match status {
                StatusCode::NOT_MODIFIED if *known != Validators::default() => return Ok(Fetched::Unchanged),
                StatusCode::OK => {
                    let validators = Validators {
                        etag: header("etag").map(str::to_owned),
                        last_modified: header("last-modified").map(str::to_owned),
                        file: None,
                    };
                    let made = validators.last_modified.as_deref().and_then(http_date);
                    let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
                    if length.is_some_and(|length| length > self.bytes_max) {
                        return Err(self.too_large());
                    }
                    let bytes = self.read(response.into_body().into_reader())?;
                    return Ok(Fetched::Set { bytes, made, validators });
                }
                _ if status.is_redirection() => {
                    let location =
                        header("location").ok_or_else(|| format!("HTTP {} without a location", status.as_u16()))?;
                    url = redirected(&url, location)?;
                }
                _ => return Err(format!("HTTP {}", status.as_u16())),
            }
        }
        Err(format!("has more than {REDIRECTS_MAX} redirects"))
    }

    fn get(&self, url: &str, known: &Validators, end: Instant) -> Result<Response<ureq::Body>, String> {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request = self.agent.get(url).header("Accept-Encoding", "gzip");
        for (name, value) in [("If-None-Match", &known.etag), ("If-Modified-Since", &known.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.config().timeout_global(Some(left)).build().call().map_err(|error| self.describe(&error))
    }

    /// Reads all of it, decompressed if it is gzip, whatever its name or header is.
    fn read(&self, reader: impl Read) -> Result<Vec<u8>, String> {
        let bytes = self.read_bounded(reader)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            self.read_bounded(MultiGzDecoder::new(bytes.as_slice())).map_err(|why| format!("gzip: {why}"))
        } else {
            Ok(bytes)
        }
    }

    fn read_bounded(&self, reader: impl Read) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        reader.take(self.bytes_max + 1).read_to_end(&mut bytes).map_err(|error| match error.get_ref() {
            // ureq packs its own errors into those of I/O.
            Some(inner) => match inner.downcast_ref::<ureq::Error>() {
                Some(error) => self.describe(error),
                None => error.to_string(),
            },
            None => error.to_string(),
        })?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > self.bytes_max { Err(self.too_large()) } else { Ok(bytes) }
    }

    fn too_large(&self) -> String {
        format!("is larger than {} MB", self.bytes_max >> 20)
    }

    fn describe(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(_) => format!("no whole answer within {} s", self.time_max.as_secs()),
            ureq::Error::HostNotFound => "its host name is unknown".to_owned(),
            ureq::Error::Tls(why) => format!("TLS: {why}"),
            ureq::Error::Rustls(error) => format!("TLS: {error}"),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => "its URL cannot be asked for".to_owned(),
            ureq::Error::Protocol(_) => "its answer is not HTTP".to_owned(),
            _ => "the request failed".to_owned(),
        }
    }
}

/// Returns where a redirect leads to: the scheme must stay.
fn redirected(from: &str, location: &str) -> Result<String, String> {
    let (scheme, rest) = from.split_once("://").unwrap_or(("http", from));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let to = if let Some((to_scheme, _)) = location.split_once("://").filter(|(before, _)| !before.contains(['/', '?']))
    {
        if !to_scheme.eq_ignore_ascii_case(scheme) {
            return Err(format!("redirects from {scheme} to another scheme"));
        }
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let path = rest[host.len()..].split(['?', '#']).next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{location}")
    };
    Ok(to.split('#').next().unwrap_or_default().to_owned())
}

/// Returns a source for people: a URL without its query, which may be a secret.
pub(super) fn shown(source: &str) -> String {
    match source.split_once("://") {
        Some(_) => source.split(['?', '#']).next().unwrap_or_default().to_owned(),
        None => source.to_owned(),
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Timestamp::from_unix_micros(time.as_microsecond()))
}

fn time_of(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_micros(i64::try_from(since.as_micros()).ok()?))
}

#[cfg(test)]
mod tests;
