//! The HTTP port: `/metrics`, `/healthz`, `/readyz`, the status page at `/` for people, and the API for programs.
//!
//! One thread accepts, reads and answers without waiting for any client (`connections`); each request and each answer
//! has a deadline and a size limit, so that a slow client does not delay others. It answers from counters; one thread
//! makes pages, a few make answers of the API (`workers`), each with a database connection whose statements are short.
//! Nothing here touches a writer of routes.
//!
//! `httparse` parses the requests. The small HTTP servers that exist (tiny_http) have no read timeouts and start
//! threads on demand; the code needed here is less than the code needed to wrap one of them.

mod access;
mod api;
mod birdwatcher;
mod connections;
mod event_feed;
mod exposition;
mod pages;
pub mod probe;
mod problem;
mod process;
mod reply;
mod request;
mod response;
mod service;
mod stream;
mod waker;
mod workers;

use std::cell::RefCell;
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
pub(crate) use access::Tokens;
use access::{Caller, Rates};
use connections::{CONNECTIONS_MAX, HttpConnection, ReadOutcome};
use event_feed::EventFeeder;
pub use pages::Pages;
use pages::Question;
use problem::Problem;
use reply::{Answer, Answers};
use request::{Method, Request};
use response::Response;
pub(crate) use service::BirdwatcherOptions;
use service::{ProgramRequest, Service};
use waker::Wakeups;
use workers::{StreamWorker, Worker};

/// The maximum number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 128;

/// The largest number of bytes that wait for clients, of all answers together.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// The interval at which the thread checks for a stop and for expired deadlines when no client is active.
const TICK_MS: u8 = 250;

/// The pause after an accept error, so that a lasting one (EMFILE) does not cause a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// The longest time that one round may take; none of its steps waits.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The parts that `/readyz` requires, in the order in which it lists them; other parts follow.
const REQUIRED: [&str; 4] = ["database", "schema", "writers", "journal"];

/// The HTTP port.
pub(crate) struct Http {
    listener: Socket,
    meters: Arc<Meters>,
    health: Arc<Health>,
    stop: Stop,
    pages: Sender<Question>,
    programs: Sender<ProgramRequest>,
    made: Receiver<Answer>,
    wakeups: Wakeups,
    collector_id: String,
    /// The machine's own host name, which may resolve to loopback.
    host_name: Option<String>,
    tokens: Arc<Tokens>,
    rates: RefCell<Rates>,
    /// True if the port is bound to a loopback address.
    is_local: bool,
}

/// The options of the HTTP port.
pub(crate) struct HttpOptions<'a> {
    /// The address to bind.
    pub address: SocketAddr,
    /// The connections to PostgreSQL, for the pages and the API.
    pub pool: &'a Arc<Pool>,
    /// The identifier of this collector.
    pub collector_id: &'a str,
    /// The counters that are shown.
    pub meters: &'a Arc<Meters>,
    /// The health of the writers.
    pub health: &'a Arc<Health>,
    /// The signal to stop.
    pub stop: &'a Stop,
    /// The tokens of the API.
    pub tokens: Tokens,
    /// The number of requests a second that one caller may send to the API.
    pub api_rate: usize,
    /// The origins of web pages that may read the API.
    pub api_origins: &'a [String],
    /// The settings of birdwatcher's API.
    pub birdwatcher: BirdwatcherOptions,
}

/// The parts of the port. The caller runs each in a thread of its own.
pub(crate) struct Parts {
    /// The sockets.
    pub http: Http,
    /// The status page.
    pub pages: Pages,
    /// The short answers of the API.
    pub workers: Vec<Worker>,
    /// The streams of the API.
    pub streams: Vec<StreamWorker>,
    /// The thread that tells of events.
    pub feeder: EventFeeder,
}

impl Http {
    /// Binds the port and logs its address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(options: HttpOptions<'_>) -> io::Result<Parts> {
        let HttpOptions { address, meters, health, stop, .. } = options;
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        listener.set_reuse_address(true)?;
        listener.bind(&address.into())?;
        listener.listen(BACKLOG)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?.as_socket().unwrap_or(address);
        info!("http: status page, metrics and health on {bound}");
        let (waker, wakeups) = waker::pair()?;
        let (answers, made) = unbounded();
        let answers = Answers { answers, waker: waker.clone() };
        let (pages, questions) = bounded(pages::QUEUE_MAX);
        let (programs, requests) = bounded(workers::QUEUE_MAX);
        let collector_id = options.collector_id.to_owned();
        let (meters, health, tokens) = (Arc::clone(meters), Arc::clone(health), Arc::new(options.tokens));
        let pages_part = Pages::new(options.pool, &collector_id, &meters, &tokens, questions, answers.clone());
        let (feed, feeder) = event_feed::feed(options.pool, &meters);
        let service = Arc::new(Service {
            pool: Arc::clone(options.pool),
            meters: Arc::clone(&meters),
            collector_id: collector_id.clone(),
            tokens: Arc::clone(&tokens),
            origins: options.api_origins.to_vec(),
            birdwatcher: options.birdwatcher,
            feed,
            waker,
        });
        let (workers, streams) = workers::threads(&service, &requests, &answers);
        let http = Http {
            listener,
            meters,
            health,
            stop: stop.clone(),
            pages,
            programs,
            made,
            wakeups,
            collector_id,
            host_name: whoami::hostname().ok(),
            tokens,
            rates: RefCell::new(Rates::new(options.api_rate)),
            is_local: bound.ip().to_canonical().is_loopback(),
        };
        Ok(Parts { http, pages: pages_part, workers, streams, feeder })
    }

    /// Answers requests until the collector stops; `thread` names the caller's thread.
    pub fn serve(&self, thread: &str) {
        let heartbeat = self.meters.heartbeat(thread, STANDSTILL_MAX);
        let (mut connections, mut next_id) = (Vec::new(), 0);
        let mut accept_at = Instant::now();
        while !self.stop.is_stopping() {
            heartbeat.progress();
            let is_accepting = Instant::now() >= accept_at;
            if let Err(error) = self.sleep(&connections, is_accepting) {
                warn!("http: cannot wait for clients: {error}");
                std::thread::sleep(ERROR_PAUSE);
            }
            if is_accepting && let Err(error) = self.accept(&mut connections, &mut next_id) {
                warn!("http: accept failed, trying again: {error}");
                accept_at = Instant::now() + ERROR_PAUSE;
            }
            self.wakeups.clear();
            self.hand_out(&mut connections);
            let now = Instant::now();
            connections.retain_mut(|connection| !connection.is_over(now) && self.go_on(connection));
        }
        heartbeat.idle();
    }

    /// Gives finished answers to the connections that wait for them; one whose client has gone away is dropped.
    fn hand_out(&self, connections: &mut [HttpConnection]) {
        for Answer { id, response, has_body, pieces } in self.made.try_iter() {
            let waiting: usize = connections.iter().map(HttpConnection::waiting_bytes).sum();
            let Some(connection) = connections.iter_mut().find(|one| one.id == id && one.is_waiting()) else {
                continue;
            };
            match pieces {
                Some(pieces) => connection.stream(&response, pieces),
                None if waiting + response.body_bytes() > WAITING_BYTES_MAX => {
                    let why = "too many large answers wait for their clients: try again later";
                    connection.answer(&Problem::busy(why).response(), has_body);
                }
                None => connection.answer(&response, has_body),
            }
        }
    }

    /// Sleeps until a client is ready, an answer is finished, or the tick is over.
    fn sleep(&self, connections: &[HttpConnection], is_accepting: bool) -> io::Result<()> {
        let listener = is_accepting.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        let clients = connections.iter().filter_map(|one| Some(PollFd::new(one.socket.as_fd(), one.interest()?)));
        let wakeups = std::iter::once(PollFd::new(self.wakeups.as_fd(), PollFlags::POLLIN));
        let mut all: Vec<PollFd<'_>> = wakeups.chain(listener).chain(clients).collect();
        match poll(&mut all, TICK_MS) {
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
        let has_body = request.method != Method::Head;
        connection.takes_chunks = request.takes_chunks;
        let is_for_programs = workers::is_for_programs(&request);
        if !self.is_addressed(connection, &request) {
            let why = "this port answers to localhost and 127.0.0.1: a proxy in front of it has to send such a Host";
            let response = if is_for_programs {
                workers::refusal(&request.path, &Problem::new(421, why))
            } else {
                Response::text(421, &format!("{why}\n"))
            };
            return connection.answer(&response, has_body);
        }
        if is_for_programs {
            let path = request.path.clone();
            return match self.ask_workers(connection, request) {
                Ok(()) => {
                    connection.wait(&workers::refusal(&path, &Problem::busy("the answer takes too long")), has_body)
                }
                Err(problem) => connection.answer(&workers::refusal(&path, &problem), has_body),
            };
        }
        if !matches!(request.method, Method::Get | Method::Head) {
            let response = Response::text(405, "this path only answers GET and HEAD\n").with("Allow", "GET, HEAD");
            return connection.answer(&response, has_body);
        }
        if !pages::is_page(&request.path) {
            return connection.answer(&self.respond(&request), has_body);
        }
        // The page thread gets the request, unless its queue is full.
        let takes_html = request.takes_html();
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

    /// Hands a request of a program to a thread for such, if its sender has not sent too many.
    fn ask_workers(&self, connection: &HttpConnection, request: Request) -> Result<(), Problem> {
        let presented = request.bearer().map(str::to_owned).or_else(|| Some(request.basic()?.1));
        let token = presented.as_deref().and_then(|presented| self.tokens.find(presented));
        let caller = Caller {
            client: connection.client,
            is_mistaken: request.header("authorization").is_some() && token.is_none(),
            token,
            is_local: self.is_local,
            has_tokens: self.tokens.is_configured(),
        };
        let taken = self.rates.borrow_mut().take(&caller, Instant::now());
        taken.inspect_err(|_| self.meters.api.refused.add(1))?;
        let asked = ProgramRequest { id: connection.id, request, caller };
        self.programs.try_send(asked).map_err(|_| Problem::busy("too many requests wait: try again later"))
    }

    fn unavailable(&self, takes_html: bool, why: &str) -> Response {
        if takes_html {
            return pages::refusal(&self.meters, &self.collector_id, 503, "Not now", why);
        }
        Response::text(503, &format!("{why}\n"))
    }

    /// Returns whether a request over loopback names loopback in its Host header, if it has one (DNS rebinding).
    fn is_addressed(&self, connection: &HttpConnection, request: &Request) -> bool {
        let is_loopback_name = |host| request::is_loopback_name(host, self.host_name.as_deref());
        !connection.is_loopback || request.header("host").is_none_or(is_loopback_name)
    }

    fn respond(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/metrics" => match exposition::text(&self.meters, &self.health) {
                Ok(text) => Response::metrics(text),
                Err(error) => Response::text(500, &format!("metrics cannot be written: {error}\n")),
            },
            "/healthz" => self.alive(),
            "/readyz" => self.ready(),
            _ if request.takes_html() => {
                let text = "There is no such page.";
                pages::refusal(&self.meters, &self.collector_id, 404, "Not found", text)
            }
            _ => Response::text(
                404,
                "there are /, /router, /lookup, /incidents, /inventory, /watches, /metrics, /healthz, /readyz and /api/v1\n",
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
