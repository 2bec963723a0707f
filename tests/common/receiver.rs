//! An HTTP server that receives webhooks and checks their signatures.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::ingester::eventually;

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
    /// The status that it is answered with; 0: none.
    pub status: u16,
}

impl Received {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns whether the signature is that of the secret, as a receiver would check it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.header("x-rib-timestamp").unwrap().as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let hex: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        self.header("x-rib-signature") == Some(format!("sha256={hex}").as_str())
    }
}

/// The way in which a receiver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status at once.
    Status(u16),
    /// This status with further header lines.
    With(u16, &'static str),
    /// Nothing for this time, then 200.
    After(Duration),
    /// The connection is closed without an answer.
    Nothing,
}

/// The server; its threads end with the process.
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    /// Replies to the next requests, and to all after them.
    replies: Arc<Mutex<(VecDeque<Reply>, Reply)>>,
}

impl Receiver {
    /// Starts one on loopback that accepts everything.
    pub fn start() -> Receiver {
        Receiver::start_at("127.0.0.1:0")
    }

    /// Starts one at this address.
    pub fn start_at(address: &str) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let receiver = Receiver {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            replies: Arc::new(Mutex::new((VecDeque::new(), Reply::Status(200)))),
        };
        let (received, replies) = (Arc::clone(&receiver.received), Arc::clone(&receiver.replies));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (received, replies) = (Arc::clone(&received), Arc::clone(&replies));
                std::thread::spawn(move || serve(stream.unwrap(), &received, &replies));
            }
        });
        receiver
    }

    /// Its URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers all requests from now on in this way.
    pub fn answer(&self, reply: Reply) {
        *self.replies.lock().unwrap() = (VecDeque::new(), reply);
    }

    /// Answers the next requests with these.
    pub fn answer_next(&self, next: &[Reply]) {
        self.replies.lock().unwrap().0.extend(next.iter().cloned());
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until there are this many requests, and returns all.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests"), || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Received>>, replies: &Mutex<(VecDeque<Reply>, Reply)>) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    let mut request = loop {
        let mut chunk = [0; 65_536];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
        if let Some(request) = parse(&bytes) {
            break request;
        }
    };
    let reply = {
        let mut replies = replies.lock().unwrap();
        let last = replies.1.clone();
        replies.0.pop_front().unwrap_or(last)
    };
    let (status, more, time) = match reply {
        Reply::Status(status) => (status, "", Duration::ZERO),
        Reply::With(status, more) => (status, more, Duration::ZERO),
        Reply::After(time) => (200, "", time),
        Reply::Nothing => (0, "", Duration::ZERO),
    };
    request.status = status;
    received.lock().unwrap().push(request);
    if status == 0 {
        return;
    }
    std::thread::sleep(time);
    let _ = write!(stream, "HTTP/1.1 {status} X\r\n{more}Content-Length: 2\r\nConnection: close\r\n\r\nok");
}

fn parse(bytes: &[u8]) -> Option<Received> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).unwrap() else { return None };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<(String, String)> =
        request.headers.iter().map(|header| (header.name.to_lowercase(), text(header.value))).collect();
    let method = request.method.unwrap().to_owned();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse::<usize>().unwrap());
    assert!(length.is_some() || method == "GET", "{method} without a length");
    let body = bytes[head..].to_vec();
    let path = request.path.unwrap().to_owned();
    (body.len() >= length.unwrap_or(0)).then(|| Received { method, path, headers, body, at: Instant::now(), status: 0 })
}
