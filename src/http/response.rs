//! One HTTP response.

/// Headers of every response: no script, no frame, no other site, no guessing of types. Under `no-referrer` browsers
/// would not say that a form is this site's own.
const SECURITY_HEADERS: &str = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: \
                                same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n";

/// The content security policy of responses that are not pages.
const NOTHING: &str = "default-src 'none'";

/// Text for people.
const TEXT: &str = "text/plain; charset=utf-8";

/// JSON.
pub(in crate::http) const JSON: &str = "application/json";

/// JSON, one value per line.
pub(in crate::http) const NDJSON: &str = "application/x-ndjson";

/// Problem details (RFC 9457).
pub(in crate::http) const PROBLEM_JSON: &str = "application/problem+json";

/// The response that a client gets.
#[derive(Debug)]
pub(in crate::http) struct Response {
    status: u16,
    content_type: &'static str,
    policy: String,
    /// False: clients may keep it, and ask whether it is still the same.
    is_stored_by_nobody: bool,
    /// Further headers. No value has a line end.
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    /// Returns a response of this type.
    pub(in crate::http) fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Response {
        let policy = NOTHING.to_owned();
        Response { status, content_type, policy, is_stored_by_nobody: true, headers: Vec::new(), body }
    }

    /// Returns JSON text.
    pub(in crate::http) fn json(text: String) -> Response {
        Response::of(200, JSON, text.into_bytes())
    }

    /// Returns a plain-text response.
    pub(in crate::http) fn text(status: u16, body: &str) -> Response {
        Response::of(status, TEXT, body.into())
    }

    /// Returns metrics in Prometheus's text format.
    pub(super) fn metrics(body: String) -> Response {
        Response::of(200, "text/plain; version=0.0.4", body.into_bytes())
    }

    /// Returns a page; `policy` is its content security policy.
    pub(super) fn page(status: u16, body: String, policy: &str) -> Response {
        Response { policy: policy.to_owned(), ..Response::of(status, "text/html; charset=utf-8", body.into_bytes()) }
    }

    /// Returns a redirect to another page of this site: a path and query, without spaces or line ends.
    pub(super) fn redirect(location: &str) -> Response {
        Response::text(303, "see the page that Location names\n").with("Location", location)
    }

    /// Returns the status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header.
    pub(in crate::http) fn with(mut self, name: &'static str, value: &str) -> Response {
        // A line end would begin another header.
        self.headers.push((name, value.replace(['\r', '\n'], " ")));
        self
    }

    /// Lets clients keep the response under this tag.
    pub(in crate::http) fn tagged(mut self, tag: &str) -> Response {
        self.is_stored_by_nobody = false;
        self.with("ETag", tag)
    }

    /// Returns the length of the body, in bytes.
    pub(super) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Returns the bytes to send: the head, and the body if `has_body`.
    pub(super) fn bytes(&self, has_body: bool) -> Vec<u8> {
        let mut all = self.head(&format!("Content-Length: {}\r\n", self.body.len()));
        if has_body {
            all.extend_from_slice(&self.body);
        }
        all
    }

    /// Returns the head of a response whose body follows in pieces.
    pub(super) fn stream_head(&self, is_chunked: bool) -> Vec<u8> {
        self.head(if is_chunked { "Transfer-Encoding: chunked\r\n" } else { "" })
    }

    fn head(&self, framing: &str) -> Vec<u8> {
        let mut all = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if !matches!(self.status, 204 | 304) {
            all.push_str(&format!("Content-Type: {}\r\n{framing}", self.content_type));
        }
        let cache = if self.is_stored_by_nobody { "no-store" } else { "no-cache" };
        all.push_str(&format!(
            "Content-Security-Policy: {}\r\n{SECURITY_HEADERS}Cache-Control: {cache}\r\n",
            self.policy
        ));
        for (name, value) in &self.headers {
            all.push_str(&format!("{name}: {value}\r\n"));
        }
        all.push_str("Connection: close\r\n\r\n");
        all.into_bytes()
    }
}

/// Returns the name of a status code.
pub(in crate::http) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
