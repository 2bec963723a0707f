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
    time_max: Duration,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

impl JsonClient {
    pub(crate) fn new(authorization: Option<String>) -> JsonClient {
        JsonClient::within(TIME_MAX, authorization)
    }

    /// `time_max` is for one document, from connecting to its last octet.
    fn within(time_max: Duration, authorization: Option<String>) -> JsonClient {
        let config = tls::http_config(tls::http_client()).timeout_global(Some(time_max)).build();
        JsonClient { agent: config.new_agent(), time_max, authorization }
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
        let response = request.call().map_err(|error| self.why(&error))?;
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
        body.read_to_end(&mut bytes).map_err(|error| self.why(&ureq::Error::from(error)))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            return Err(format!("is larger than {} MB", BYTES_MAX >> 20));
        }
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
    }

    fn why(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("was not answered within {} s", self.time_max.as_secs_f32()),
            other => other.to_string(),
        }
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
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    /// Asks a server that sends `answer` and then nothing more, while the connection stays open.
    fn ask_one_that_hangs(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // Until the client gives up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let begin = Instant::now();
        let why = JsonClient::within(Duration::from_millis(300), None).get(&url).unwrap_err();
        assert!(begin.elapsed() < TIME_MAX / 2, "{:?}", begin.elapsed());
        server.join().unwrap();
        why
    }

    #[test]
    fn a_server_that_hangs_is_given_up() {
        for answer in
            ["", "HTTP/1.1 200 OK\r\nContent-Type: appl", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1, "]
        {
            assert_eq!(ask_one_that_hangs(answer), "was not answered within 0.3 s", "{answer}");
        }
        let limits = JsonClient::new(None).agent.config().timeouts();
        assert_eq!(limits.global, Some(TIME_MAX));
    }

    #[test]
    fn an_origin_is_all_before_the_path() {
        assert_eq!(origin("https://netbox.example:8443/api/?limit=1"), "https://netbox.example:8443");
        assert_eq!(origin("http://netbox.example?x"), "http://netbox.example");
        assert_eq!(origin("http://netbox.example"), "http://netbox.example");
    }
}
