//! JSON documents over HTTP, bounded in size and time.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;

use crate::tls;

/// The time for one document.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The largest document.
const BYTES_MAX: u64 = 64 << 20;

/// Fetches documents of one server.
#[derive(Debug)]
pub(crate) struct JsonClient {
    agent: Agent,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

impl JsonClient {
    pub(crate) fn new(authorization: Option<String>) -> JsonClient {
        let config = tls::http_config(tls::http_client()).timeout_global(Some(TIME_MAX)).build();
        JsonClient { agent: config.new_agent(), authorization }
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub(crate) fn get(&self, url: &str) -> Result<String, String> {
        let mut request = self.agent.get(url).header("Accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let response = request.call().map_err(|error| error.to_string())?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(format!("HTTP {}: it wants another token, or one at all", status.as_u16()));
            }
            status if status.is_redirection() => {
                return Err(format!("HTTP {}: redirects are not followed, name the target", status.as_u16()));
            }
            status => return Err(format!("HTTP {}", status.as_u16())),
        }
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_reader().take(BYTES_MAX + 1);
        body.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            return Err(format!("is larger than {} MB", BYTES_MAX >> 20));
        }
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
    }
}

/// Returns the scheme, host and port of a URL: `https://netbox.example`.
pub(crate) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |i| i + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |i| start + i);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_all_before_the_path() {
        assert_eq!(origin("https://netbox.example:8443/api/?limit=1"), "https://netbox.example:8443");
        assert_eq!(origin("http://netbox.example?x"), "http://netbox.example");
        assert_eq!(origin("http://netbox.example"), "http://netbox.example");
    }
}
