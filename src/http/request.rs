//! One request: its head and its body, of bounded sizes. The body of a GET is ignored.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The maximum length of a request's head, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The maximum length of a request's body, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// The maximum number of header lines.
const HEADERS_MAX: usize = 64;

/// The method of a request. Pages are read-only; a path of the API says which it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Method {
    /// GET: the whole answer.
    Get,
    /// HEAD: the head of the answer.
    Head,
    /// POST: a change.
    Post,
    /// DELETE: a removal.
    Delete,
    /// OPTIONS: a browser asks what a page of another site may do.
    Options,
    /// Any other.
    Other,
}

impl Method {
    /// Returns the method's name.
    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other => "another method",
        }
    }
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Request {
    /// The method.
    pub(in crate::http) method: Method,
    /// The path, as sent.
    pub(in crate::http) path: String,
    /// Names and values of the query string, decoded.
    pub(in crate::http) query: Vec<(String, String)>,
    /// The names of the headers in lower case, and their values, trimmed.
    headers: Vec<(String, String)>,
    /// The body of a POST or DELETE.
    pub(in crate::http) body: Vec<u8>,
    /// True if the client takes an answer in chunks (HTTP/1.1).
    pub(in crate::http) takes_chunks: bool,
}

impl Request {
    /// Returns the value of a name in the query, trimmed; empty if the name is absent.
    pub(super) fn value(&self, name: &str) -> &str {
        self.query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.trim())
    }

    /// Returns the value of a header, whose name is in lower case.
    pub(in crate::http) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether the client accepts a media type by name.
    pub(in crate::http) fn accepts(&self, media_type: &str) -> bool {
        let mut accepted = self.headers.iter().filter(|(name, _)| name == "accept");
        accepted.any(|(_, value)| value.to_ascii_lowercase().contains(media_type))
    }

    /// Returns whether the client accepts HTML, as browsers do.
    pub(super) fn takes_html(&self) -> bool {
        self.accepts("text/html")
    }

    /// Returns the token of `Authorization: Bearer` (RFC 6750).
    pub(in crate::http) fn bearer(&self) -> Option<&str> {
        self.credentials("bearer")
    }

    /// Returns user and password of `Authorization: Basic` (RFC 7617).
    pub(in crate::http) fn basic(&self) -> Option<(String, String)> {
        let text = String::from_utf8(STANDARD.decode(self.credentials("basic")?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    fn credentials(&self, scheme: &str) -> Option<&str> {
        let (name, rest) = self.header("authorization")?.split_once(' ')?;
        name.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// The part of a request that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The head is incomplete.
    Head,
    /// The head is complete, the body is not.
    Body,
    /// All of it.
    Request(Request),
}

/// A request that is not one: the status and the reason.
pub(super) type Refused = (u16, String);

/// Parses the request in these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
    let bad = |why: &str| (400, format!("not an HTTP request: {why}"));
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_bytes = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Head),
        Err(error) => return Err(bad(&error.to_string())),
    };
    if head_bytes > HEAD_BYTES_MAX {
        return Err((431, "the request is too long".to_owned()));
    }
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("DELETE") => Method::Delete,
        Some("OPTIONS") => Method::Options,
        Some(_) | None => Method::Other,
    };
    let target = parsed.path.filter(|target| target.starts_with('/')).ok_or_else(|| bad("no path"))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let headers = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned()));
    let takes_chunks = parsed.version == Some(1);
    let mut request =
        Request { method, path: path.to_owned(), query, headers: headers.collect(), body: Vec::new(), takes_chunks };
    let body_bytes = body_bytes(&request)?;
    let Some(body) = bytes.get(head_bytes..head_bytes + body_bytes) else { return Ok(Parsed::Body) };
    request.body = body.to_vec();
    Ok(Parsed::Request(request))
}

/// Returns the length of the body.
fn body_bytes(request: &Request) -> Result<usize, Refused> {
    if !matches!(request.method, Method::Post | Method::Delete) {
        return Ok(0);
    }
    if request.header("transfer-encoding").is_some() {
        return Err((411, "a body needs a Content-Length".to_owned()));
    }
    let Some(text) = request.header("content-length") else { return Ok(0) };
    let length = text.parse().map_err(|_| (400, "not an HTTP request: invalid Content-Length".to_owned()))?;
    if length > BODY_BYTES_MAX {
        return Err((413, format!("a body has at most {BODY_BYTES_MAX} bytes")));
    }
    Ok(length)
}

/// Returns whether the beginning of a request asks for the API, even if the rest of it is not understood.
pub(super) fn is_for_api(bytes: &[u8]) -> bool {
    let target = bytes.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
    is_api_path(target)
}

/// Returns whether a path is one of the API.
pub(super) fn is_api_path(path: &[u8]) -> bool {
    path.strip_prefix(b"/api/v1").is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?')))
}

/// Returns whether a Host header names this machine's loopback, or this machine by its `own` name. A browser that
/// addresses another name that resolves to loopback (DNS rebinding) must not be shown anything.
pub(super) fn is_loopback_name(host: &str, own: Option<&str>) -> bool {
    // Some resolvers know these from /etc/hosts.
    const NAMES: [&str; 4] = ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"];
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    NAMES.contains(&name.as_str())
        || name.ends_with(".localhost")
        || own.is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /routers?q=AS64500&p=%ff%00+a HTTP/1.1\r\nHost: [::1]:11020\r\nAccept: text/html\r\n\r\n";

    #[test]
    fn names_of_loopback() {
        for name in [
            "localhost",
            "LOCALHOST:11020",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:11020",
            "127.8.9.1",
            "[::1]:11020",
            "::1",
            "[::ffff:127.0.0.1]:1",
            "ip6-localhost",
            "box",
            "BOX:11020",
        ] {
            assert!(is_loopback_name(name, Some("box")), "{name}");
        }
        for name in [
            "",
            "evil.example:11020",
            "localhost.evil.example",
            "192.0.2.1",
            "0.0.0.0:1",
            "box.evil.example",
            "[2001:db8::1]",
        ] {
            assert!(!is_loopback_name(name, Some("box")), "{name}");
        }
        assert!(!is_loopback_name("", Some("")) && !is_loopback_name("box", None));
    }

    proptest::proptest! {
        #[test]
        fn a_request_ends_where_its_head_ends(
            at in 0..HEAD.len(),
            octet in proptest::prelude::any::<u8>(),
            cut in 0..HEAD.len(),
        ) {
            assert!(matches!(parse(&HEAD[..cut]), Ok(Parsed::Head)), "{cut}");
            let mut changed = HEAD.to_vec();
            changed[at] = octet;
            for head in [&changed[..], &changed[..cut], &changed[at..]] {
                match parse(head) {
                    Ok(Parsed::Request(request)) => {
                        assert!(request.path.starts_with('/') && !request.path.contains(' '));
                    }
                    Ok(Parsed::Head | Parsed::Body) => {}
                    Err((status, _)) => assert_eq!(status, 400),
                }
            }
        }
    }

    fn parsed(text: &str) -> Result<Request, u16> {
        match parse(text.as_bytes()) {
            Ok(Parsed::Request(request)) => Ok(request),
            Ok(other) => panic!("{text}: {other:?}"),
            Err((status, _)) => Err(status),
        }
    }

    #[test]
    fn requests() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(Parsed::Head));
        let request = parsed("HEAD /x?q=2001%3Adb8%3A%3A%2F32+&r=%ff HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::Head, "/x"));
        assert_eq!((request.header("host"), request.takes_html()), (Some("a"), false));
        let browser = "GET / HTTP/1.1\r\nACCEPT: application/xml;q=0.9, Text/HTML\r\n\r\n";
        assert!(parsed(browser).unwrap().takes_html());
        assert_eq!((request.value("q"), request.value("r"), request.value("s")), ("2001:db8::/32", "\u{fffd}", ""));
        assert_eq!(parsed("PUT / HTTP/1.1\r\n\r\n").unwrap().method, Method::Other);
        assert_eq!(parsed("GET http://other/ HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(parsed("\u{3}\0\0\u{6}"), Err(400));
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(400));
    }

    #[test]
    fn bodies_have_a_length_and_a_limit() {
        let post = |headers: &str, body: &str| format!("POST /api/v1/x HTTP/1.1\r\n{headers}\r\n{body}");
        let request = parsed(&post("Content-Length: 2\r\n", "{}later")).unwrap();
        assert_eq!((request.body.as_slice(), request.takes_chunks), (b"{}".as_slice(), true));
        assert_eq!(parse(post("Content-Length: 3\r\n", "{}").as_bytes()), Ok(Parsed::Body));
        assert_eq!(parsed(&post("", "")).unwrap().body, b"");
        for (headers, status) in [
            ("Content-Length: 65537\r\n", 413),
            ("Content-Length: -1\r\n", 400),
            ("Content-Length: 99999999999999999999\r\n", 400),
            ("Transfer-Encoding: chunked\r\n", 411),
        ] {
            assert_eq!(parsed(&post(headers, "")), Err(status), "{headers}");
        }
        // A GET has none, whatever it says.
        assert_eq!(
            parsed("GET / HTTP/1.0\r\nContent-Length: 9\r\n\r\n").map(|request| request.takes_chunks),
            Ok(false)
        );
    }

    #[test]
    fn credentials_of_both_kinds() {
        let with = |value: &str| parsed(&format!("GET / HTTP/1.1\r\nAuthorization: {value}\r\n\r\n")).unwrap();
        assert_eq!(with("bearer  abc ").bearer(), Some("abc"));
        assert_eq!(with("Basic dTpwOnE=").basic(), Some(("u".to_owned(), "p:q".to_owned())));
        for nonsense in ["Basic !", "Basic dQ==", "Basic", "dTpw"] {
            assert_eq!((with(nonsense).basic(), with(nonsense).bearer()), (None, None), "{nonsense}");
        }
    }

    #[test]
    fn paths_of_the_api() {
        for (target, is_api) in [
            ("/api/v1", true),
            ("/api/v1/", true),
            ("/api/v1?x", true),
            ("/api/v10", false),
            ("/api", false),
            ("/", false),
        ] {
            assert_eq!(is_for_api(format!("GET {target} HTTP").as_bytes()), is_api, "{target}");
        }
        assert!(!is_for_api(b"GET") && !is_for_api(b""));
    }
}
