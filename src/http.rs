//! What an operator sees over HTTP: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.
//!
//! One thread accepts, reads and answers without waiting for any client (`connections`); each request and each answer has a
//! deadline and a size, so that nobody who is slow keeps others waiting. Everything is read-only. Nothing here touches a writer: what
//! is answered comes from counters, or from one database connection of its own with short time limits.
//!
//! `httparse` reads the requests. The small servers that exist (tiny_http) have no time limits for reading and start
//! threads as they are asked to; what is needed here is less than what would have to be built around them.

mod connections;
mod exposition;
mod pages;
pub mod probe;
mod process;
mod request;
mod response;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use log::{debug, error, info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::metrics::{ComponentStatus, Meters};
use crate::pipeline::Health;
use crate::stop::Stop;
use connections::{CONNECTIONS_MAX, Connection, Heard};
use pages::Answer;
pub use pages::Pages;
use pages::Question;
use request::{Method, Request};
use response::Response;

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 128;

/// How often the thread looks for pages that are made while somebody waits for one.
const PAGE_TICK: Duration = Duration::from_millis(10);

/// How often a thread without clients looks for a stop, and for deadlines that are over.
const TICK: Duration = Duration::from_millis(250);

/// A pause after an accept error, so that one that stays (EMFILE) does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// How long one round may take; none of its steps waits.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// What must be in order for `/readyz`, in the order in which it is listed; others are listed behind them.
const REQUIRED: [&str; 4] = ["database", "schema", "writers", "spool"];

/// The HTTP port.
#[derive(Debug)]
pub struct Http {
    listener: Socket,
    meters: Arc<Meters>,
    health: Arc<Health>,
    stop: Stop,
    pages: Sender<Question>,
    made: Receiver<Answer>,
    collector_id: String,
    /// The machine's own name, which may resolve to loopback.
    host_name: Option<String>,
}

/// What the port needs to know.
pub struct HttpOptions<'a> {
    /// Where it is.
    pub address: SocketAddr,
    /// Where PostgreSQL is, for the pages.
    pub database_url: &'a str,
    /// Who we are.
    pub collector_id: &'a str,
    /// What is shown.
    pub meters: &'a Arc<Meters>,
    /// The writers' part of it.
    pub health: &'a Arc<Health>,
    /// When to end.
    pub stop: &'a Stop,
}

impl Http {
    /// Binds the port and says so in the log. Each part has to be given a thread: [`Http::serve`] and
    /// [`Pages::run`].
    ///
    /// # Errors
    /// What the system says.
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
        let pages_part = Pages::new(options.database_url, options.collector_id, &meters, questions, answers);
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
                // One whose client did not wait is for nobody.
                if let Some(connection) = connections.iter_mut().find(|one| one.id == id && one.is_waiting()) {
                    connection.answer(&response, has_body);
                }
            }
            let now = Instant::now();
            connections.retain_mut(|connection| !connection.is_over(now) && self.go_on(connection));
        }
        pulse.rest();
    }

    /// Sleeps until a client does something, or a tick is over.
    fn sleep(&self, connections: &[Connection], is_accepting: bool) -> io::Result<()> {
        let listener = is_accepting.then(|| PollFd::new(&self.listener, PollFlags::IN));
        let clients = connections.iter().filter_map(|one| Some(PollFd::new(&one.socket, one.interest()?)));
        let mut all: Vec<PollFd<'_>> = listener.into_iter().chain(clients).collect();
        let is_page_due = connections.iter().any(Connection::is_waiting);
        let tick = if is_page_due { PAGE_TICK } else { TICK };
        let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(tick.subsec_nanos()) };
        match poll(&mut all, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes who waits to be let in.
    fn accept(&self, connections: &mut Vec<Connection>, next_id: &mut u64) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            *next_id += 1;
            match Connection::new(*next_id, socket.into()) {
                Ok(connection) => connections.push(connection),
                Err(error) => debug!("http: nothing to answer: {error}"),
            }
            if connections.len() > CONNECTIONS_MAX {
                // The newest is heard first; after that it may have to go like any other.
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

    /// Reads, answers or writes as far as it goes without waiting. Whether anything is left to do.
    fn go_on(&self, connection: &mut Connection) -> bool {
        if connection.is_reading() {
            match connection.hear() {
                Heard::Nothing => return true,
                Heard::Gone => return false,
                Heard::Bad(response) => connection.answer(&response, true),
                Heard::Request(request) => {
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

    fn answer(&self, connection: &mut Connection, request: Request) {
        let has_body = request.method == Method::Get;
        if let Some(refusal) = self.refusal(connection, &request) {
            return connection.answer(&refusal, has_body);
        }
        if !pages::is_page(&request.path) {
            return connection.answer(&self.respond(&request), has_body);
        }
        // The thread that makes pages gets it, unless too many wait there.
        let takes_html = request.takes_html;
        match self.pages.try_send(Question { id: connection.id, request }) {
            Ok(()) => connection.wait(self.unavailable(takes_html, "the page takes too long: try again in a moment")),
            Err(_) => {
                let busy = "too many people look at the status page: try again in a moment";
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

    /// Over loopback only who names loopback is answered.
    fn refusal(&self, connection: &Connection, request: &Request) -> Option<Response> {
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
            _ => Response::text(404, "there are /, /router, /lookup, /metrics, /healthz and /readyz\n"),
        }
    }

    /// Whether the process does anything: its threads move.
    fn alive(&self) -> Response {
        match threads(&self.meters) {
            Ok(()) => Response::text(200, "ok\n"),
            Err(why) => Response::text(503, &format!("{why}\n")),
        }
    }

    /// Whether the collector does its whole work, part by part.
    fn ready(&self) -> Response {
        let mut parts = self.meters.parts();
        parts.insert("threads", threads(&self.meters));
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
        Response::text(if is_ready { 200 } else { 503 }, &text)
    }
}

/// Whether all threads of the collector's own move.
pub fn threads(meters: &Meters) -> ComponentStatus {
    let stuck: Vec<String> = meters
        .pulses()
        .iter()
        .filter(|pulse| pulse.is_stuck())
        .map(|pulse| format!("{} has not moved for {} s", pulse.name(), pulse.stalled_for().as_secs()))
        .collect();
    if stuck.is_empty() { Ok(()) } else { Err(stuck.join(", ")) }
}
