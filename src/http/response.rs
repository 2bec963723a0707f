//! One HTTP response.

/// Headers of every response: no script, no frame, no other site, no guessing of types, no caching.
const SECURITY_HEADERS: &str = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: \
                                no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\n";

/// The content security policy of responses that are not pages.
const NOTHING: &str = "default-src 'none'";

/// The response that a client gets.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    policy: String,
    /// The target of a redirect: a path and query of this site, without spaces or line ends.
    location: Option<String>,
    body: String,
}

impl Response {
    /// Returns a plain-text response.
    pub(super) fn text(status: u16, body: &str) -> Response {
        let (content_type, policy) = ("text/plain; charset=utf-8", NOTHING.to_owned());
        Response { status, content_type, policy, location: None, body: body.to_owned() }
    }

    /// Returns metrics in Prometheus's text format.
    pub(super) fn metrics(body: String) -> Response {
        let content_type = "text/plain; version=0.0.4";
        Response { status: 200, content_type, policy: NOTHING.to_owned(), location: None, body }
    }

    /// Returns a page; `policy` is its content security policy.
    pub(super) fn page(status: u16, body: String, policy: &str) -> Response {
        Response { status, content_type: "text/html; charset=utf-8", policy: policy.to_owned(), location: None, body }
    }

    /// Returns a redirect to another page of this site.
    pub(super) fn redirect(location: String) -> Response {
        Response { location: Some(location), ..Response::text(303, "see the page that Location names\n") }
    }

    /// Returns the status code.
    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Returns the bytes to send: the head, and the body if `has_body`.
    pub(super) fn bytes(&self, has_body: bool) -> Vec<u8> {
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let location = self.location.as_ref().map_or(String::new(), |location| format!("Location: {location}\r\n"));
        let mut all = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nContent-Security-Policy: \
             {}\r\n{SECURITY_HEADERS}{allow}{location}Connection: close\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
            self.policy,
        );
        if has_body {
            all.push_str(&self.body);
        }
        all.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
