//! The HTTP interface for operators: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.
//!
//! One thread accepts, reads and answers without waiting for any client (`connections`); each request and each answer
//! has a deadline and a size limit, so that a slow client does not delay others. Everything is read-only. Nothing here
//! touches a writer: answers come from counters, or from a separate database connection with short time limits.
//!
//! `httparse` parses the requests. The small HTTP servers that exist (tiny_http) have no read timeouts and start
//! threads on demand; the code needed here is less than the code needed to wrap one of them.

mod connections;
mod exposition;
mod pages;
pub mod probe;
mod process;
mod request;
mod response;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use log::{debug, error, info, warn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::metrics::Meters;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::Pool;
use connections::{CONNECTIONS_MAX, HttpConnection, ReadOutcome};
use pages::Answer;
pub use pages::Pages;
use pages::Question;
use request::{Method, Request};
use response::Response;

/// The maximum number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 128;

/// The interval at which the thread checks for finished pages while a client waits for one.
const PAGE_TICK_MS: u8 = 10;

/// The interval at which the thread checks for a stop and for expired deadlines when no client is active.
const TICK_MS: u8 = 250;

/// The pause after an accept error, so that a lasting one (EMFILE) does not cause a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// The longest time that one round may take; none of its steps waits.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The parts that `/readyz` requires, in the order in which it lists them; other parts follow.
const REQUIRED: [&str; 4] = ["database", "schema", "writers", "spool"];

/// The HTTP port.
#[derive(Debug)]
pub(crate) struct Http {
    listener: Socket,
    meters: Arc<Meters>,
    health: Arc<Health>,
    stop: Stop,
    pages: Sender<Question>,
    made: Receiver<Answer>,
    collector_id: String,
    /// The machine's own host name, which may resolve to loopback.
    host_name: Option<String>,
}

/// The options of the HTTP port.
pub(crate) struct HttpOptions<'a> {
    /// The address to bind.
    pub address: SocketAddr,
    /// The connections to PostgreSQL, for the pages.
    pub pool: &'a Arc<Pool>,
    /// The identifier of this collector.
    pub collector_id: &'a str,
    /// The counters that are shown.
    pub meters: &'a Arc<Meters>,
    /// The health of the writers.
    pub health: &'a Arc<Health>,
    /// The signal to stop.
    pub stop: &'a Stop,
}

impl Http {
    /// Binds the port and logs its address. The caller runs [`Http::serve`] and [`Pages::run`] in a thread each.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(options: &HttpOptions<'_>) -> io::Result<(Http, Pages)> {
        let HttpOptions { address, meters, health, stop, .. } = *options;
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        listener.set_reuse_address(true)?;
        listener.bind(&address.into())?;
        listener.listen(BACKLOG)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?.as_socket().unwrap_or(address);
        info!("http: status page, metrics and health on {bound}");
        let (pages, questions) = bounded(pages::QUEUE_MAX);
        let (answers, made) = unbounded();
        let host_name = whoami::hostname().ok();
        let (meters, health) = (Arc::clone(meters), Arc::clone(health));
        let pages_part = Pages::new(options.pool, options.collector_id, &meters, questions, answers);
        let collector_id = options.collector_id.to_owned();
        Ok((Http { listener, meters, health, stop: stop.clone(), pages, made, collector_id, host_name }, pages_part))
    }

    /// Answers requests until the collector stops; `thread` names the caller's thread.
    pub fn serve(&self, thread: &str) {
        let pulse = self.meters.pulse(thread, STANDSTILL_MAX);
        let (mut connections, mut next_id) = (Vec::new(), 0);
        let mut accept_at = Instant::now();
        while !self.stop.is_stopping() {
            pulse.beat();
            let is_accepting = Instant::now() >= accept_at;
            if let Err(error) = self.sleep(&connections, is_accepting) {
                warn!("http: cannot wait for clients: {error}");
                std::thread::sleep(ERROR_PAUSE);
            }
            if is_accepting && let Err(error) = self.accept(&mut connections, &mut next_id) {
                warn!("http: accept failed, trying again: {error}");
                accept_at = Instant::now() + ERROR_PAUSE;
            }
            for Answer { id, response, has_body } in self.made.try_iter() {
                // The page is dropped if its client has gone away.
                if let Some(connection) = connections.iter_mut().find(|one| one.id == id && one.is_waiting()) {
                    connection.answer(&response, has_body);
                }
            }
            let now = Instant::now();
            connections.retain_mut(|connection| !connection.is_over(now) && self.go_on(connection));
        }
        pulse.rest();
    }

    /// Sleeps until a client is ready or the tick is over.
    fn sleep(&self, connections: &[HttpConnection], is_accepting: bool) -> io::Result<()> {
        let listener = is_accepting.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        let clients = connections.iter().filter_map(|one| Some(PollFd::new(one.socket.as_fd(), one.interest()?)));
        let mut all: Vec<PollFd<'_>> = listener.into_iter().chain(clients).collect();
        let is_page_due = connections.iter().any(HttpConnection::is_waiting);
        match poll(&mut all, if is_page_due { PAGE_TICK_MS } else { TICK_MS }) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Accepts all connections that the kernel has queued.
    fn accept(&self, connections: &mut Vec<HttpConnection>, next_id: &mut u64) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            *next_id += 1;
            match HttpConnection::new(*next_id, socket.into()) {
                Ok(connection) => connections.push(connection),
                Err(error) => debug!("http: nothing to answer: {error}"),
            }
            if connections.len() > CONNECTIONS_MAX {
                // The newest connection is read first; after that it may be evicted like any other.
                if let Some(newest) = connections.last_mut()
                    && !self.go_on(newest)
                {
                    connections.pop();
                    continue;
                }
                let oldest = connections.iter().enumerate().min_by_key(|(_, one)| one.precedence());
                if let Some((place, _)) = oldest {
                    connections.swap_remove(place);
                }
            }
        }
    }

    /// Reads, answers or writes as far as possible without waiting. Returns whether the connection stays open.
    fn go_on(&self, connection: &mut HttpConnection) -> bool {
        if connection.is_reading() {
            match connection.hear() {
                ReadOutcome::Nothing => return true,
                ReadOutcome::Gone => return false,
                ReadOutcome::Bad(response) => connection.answer(&response, true),
                ReadOutcome::Request(request) => {
                    let answered = catch_unwind(AssertUnwindSafe(|| self.answer(connection, request)));
                    if answered.is_err() {
                        error!("http: a request could not be answered: internal error");
                        return false;
                    }
                }
            }
        }
        connection.go_on()
    }

    fn answer(&self, connection: &mut HttpConnection, request: Request) {
        let has_body = request.method == Method::Get;
        if let Some(refusal) = self.refusal(connection, &request) {
            return connection.answer(&refusal, has_body);
        }
        if !pages::is_page(&request.path) {
            return connection.answer(&self.respond(&request), has_body);
        }
        // The page thread gets the request, unless its queue is full.
        let takes_html = request.takes_html;
        match self.pages.try_send(Question { id: connection.id, request }) {
            Ok(()) => {
                let late = self.unavailable(takes_html, "the page takes too long: try again later");
                connection.wait(&late, has_body);
            }
            Err(_) => {
                let busy = "too many requests for the status page: try again later";
                connection.answer(&self.unavailable(takes_html, busy), has_body);
            }
        }
    }

    fn unavailable(&self, takes_html: bool, why: &str) -> Response {
        if takes_html {
            return pages::refusal(&self.meters, &self.collector_id, 503, "Not now", why);
        }
        Response::text(503, &format!("{why}\n"))
    }

    /// Refuses a request over loopback whose Host header does not name loopback (DNS rebinding).
    fn refusal(&self, connection: &HttpConnection, request: &Request) -> Option<Response> {
        let host = request.host.as_deref()?;
        if !connection.is_loopback || request::is_loopback_name(host, self.host_name.as_deref()) {
            return None;
        }
        Some(Response::text(
            421,
            "this port answers to localhost and 127.0.0.1: a proxy in front of it has to send such a Host\n",
        ))
    }

    fn respond(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/metrics" => match exposition::text(&self.meters, &self.health) {
                Ok(text) => Response::metrics(text),
                Err(error) => Response::text(500, &format!("metrics cannot be written: {error}\n")),
            },
            "/healthz" => self.alive(),
            "/readyz" => self.ready(),
            _ if request.takes_html => {
                let text = "There is no such page.";
                pages::refusal(&self.meters, &self.collector_id, 404, "Not found", text)
            }
            _ => Response::text(
                404,
                "there are /, /router, /lookup, /incidents, /watches, /metrics, /healthz and /readyz\n",
            ),
        }
    }

    /// Answers `/healthz`: 200 while all threads make progress.
    fn alive(&self) -> Response {
        match self.meters.threads() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(why) => Response::text(503, &format!("{why}\n")),
        }
    }

    /// Answers `/readyz`: the status of each part of the collector.
    fn ready(&self) -> Response {
        let mut parts = self.meters.parts();
        parts.insert("threads", self.meters.threads());
        let mut is_ready = true;
        let mut text = String::new();
        let required = REQUIRED.map(|name| (name, parts.remove(name).unwrap_or_else(|| Err("not yet".to_owned()))));
        for (name, part) in required.into_iter().chain(parts) {
            match part {
                Ok(()) => text.push_str(&format!("{name}: ok\n")),
                Err(why) => {
                    is_ready = false;
                    text.push_str(&format!("{name}: {why}\n"));
                }
            }
        }
        for (name, why) in self.meters.degraded() {
            text.push_str(&format!("{name}: degraded: {why}\n"));
        }
        Response::text(if is_ready { 200 } else { 503 }, &text)
    }
}
