//! One signed HTTP request to a receiver: no redirects, no proxy, ten seconds.
//!
//! Error texts hold no URL, no header and nothing that the receiver answered: all of them may hold secrets.

use std::fmt::Write as _;
use std::io::Read;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::address::{AddressRules, JudgingResolver, Owner};
use crate::tls;

/// The time for everything, from the resolution of the name to the end of the answer.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The part of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// The longest `Retry-After` that is obeyed: after that time a delivery is given up anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends requests.
#[derive(Debug)]
pub(super) struct Poster {
    operator: Agent,
    team: Agent,
}

/// One request.
pub(super) struct Post<'a> {
    pub(super) url: &'a str,
    /// Header fields, a JSON object of strings.
    pub(super) headers: &'a str,
    /// True if it only asks for the URL: `body` is not sent, but signed.
    pub(super) is_get: bool,
    pub(super) body: &'a [u8],
    /// The key of the signature.
    pub(super) secret: Option<&'a str>,
    /// The same for each try of the same message.
    pub(super) idempotency_key: &'a str,
    pub(super) owner: Owner,
}

/// The answer of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub text: String,
    /// The pause that the receiver asks for.
    pub retry_after: Option<Duration>,
}

impl Poster {
    pub(super) fn new(rules: &AddressRules, https: &TlsConfig) -> Poster {
        let config = tls::http_config(https.clone())
            // Each request is judged by the addresses that its name has at this time.
            .max_idle_connections(0)
            .timeout_global(Some(TIME_MAX))
            .build();
        let agent = |owner| {
            let resolver = JudgingResolver { rules: rules.clone(), owner, inner: DefaultResolver::default() };
            Agent::with_parts(config.clone(), DefaultConnector::default(), resolver)
        };
        Poster { operator: agent(Owner::Operator), team: agent(Owner::Team) }
    }

    /// Sends the request once.
    ///
    /// # Errors
    /// The reason why there is no answer, without secrets.
    pub(super) fn post(&self, post: &Post<'_>) -> Result<Reply, String> {
        let agent = match post.owner {
            Owner::Operator => &self.operator,
            Owner::Team => &self.team,
        };
        let headers: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(post.headers).unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut fields: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        fields.push(("Idempotency-Key", post.idempotency_key.to_owned()));
        fields.push(("X-RIB-Timestamp", timestamp.to_string()));
        if let Some(secret) = post.secret {
            let signature = signature(secret.as_bytes(), timestamp, post.body);
            fields.push(("X-RIB-Signature", format!("sha256={signature}")));
        }
        let sent = if post.is_get {
            fields.iter().fold(agent.get(post.url), |request, (name, value)| request.header(*name, value)).call()
        } else {
            let request = agent.post(post.url).header("Content-Type", "application/json");
            fields.iter().fold(request, |request, (name, value)| request.header(*name, value)).send(post.body)
        };
        let mut response = sent.map_err(|error| describe(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
        let mut answer = Vec::new();
        // The status is the answer; a body that breaks off changes nothing.
        let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        Ok(Reply { status, text: String::from_utf8_lossy(&answer).into_owned(), retry_after })
    }
}

/// Returns the HMAC-SHA256 of the timestamp, a dot and the body, in hex.
fn signature(secret: &[u8], timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
            Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(seconds.min(RETRY_AFTER_MAX))
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TIME_MAX.as_secs()),
        ureq::Error::HostNotFound => "its host name is unknown".to_owned(),
        ureq::Error::Tls(why) => format!("TLS: {why}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "its URL or a header cannot be sent".to_owned(),
        ureq::Error::Protocol(_) => "its answer is not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_hmac_sha256() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let want = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature(b"secret", 1_700_000_000, b"{}"), want);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("99999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let later = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert_eq!(later, RETRY_AFTER_MAX);
        assert_eq!(retry_after("soon"), None);
    }
}
