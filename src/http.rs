//! What an operator sees over HTTP: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.
//!
//! A few threads accept, read and answer; each request has a deadline, a size and a connection of its own, so that nobody
//! who is slow can hold more than a thread for a few seconds. Everything is read-only. Nothing here touches a writer: what
//! is answered comes from counters, or from one database connection of its own with short time limits.
//!
//! `httparse` reads the requests. The small servers that exist (tiny_http) have no time limits for reading and start
//! threads as they are asked to; what is needed here is less than what would have to be built around them.

mod exposition;
mod pages;
pub mod probe;
mod process;
mod request;
mod response;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use log::{debug, error, info, warn};
use socket2::{Domain, Protocol, Socket, Type};

use crate::metrics::{Meters, Part};
use crate::pipeline::Health;
use crate::stop::Stop;
pub use pages::Pages;
use pages::Question;
use request::{Method, Request};
use response::Response;

/// Threads that answer. One is enough for Prometheus; the others keep it so when somebody is slow.
pub const THREADS: usize = 3;

/// Connections that the kernel queues while all threads are busy.
const BACKLOG: i32 = 64;

/// How often a waiting thread looks for a stop.
const ACCEPT_TICK: Duration = Duration::from_millis(500);

/// A pause after an accept error, so that one that stays (EMFILE) does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// How long one round of a thread may take: reading, answering and writing have deadlines of seconds.
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
    /// Binds the port and says so in the log. Each part has to be given its threads: [`THREADS`] for [`Http::serve`], one
    /// for [`Pages::run`].
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(options: &HttpOptions<'_>) -> io::Result<(Http, Pages)> {
        let HttpOptions { address, meters, health, stop, .. } = *options;
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        listener.set_reuse_address(true)?;
        listener.bind(&address.into())?;
        listener.listen(BACKLOG)?;
        // On Linux the receive time-out bounds accept as well.
        listener.set_read_timeout(Some(ACCEPT_TICK))?;
        let bound = listener.local_addr()?.as_socket().unwrap_or(address);
        info!("http: status page, metrics and health on {bound}");
        let (pages, questions) = bounded(pages::QUEUE_MAX);
        let http = Http { listener, meters: Arc::clone(meters), health: Arc::clone(health), stop: stop.clone(), pages };
        Ok((http, Pages::new(options.database_url, options.collector_id, meters, questions)))
    }

    /// Answers requests until the collector stops; `thread` names the caller's thread.
    pub fn serve(&self, thread: &str) {
        let pulse = self.meters.pulse(thread, STANDSTILL_MAX);
        while !self.stop.is_stopping() {
            pulse.beat();
            match self.listener.accept() {
                Ok((socket, _)) => {
                    let answered = catch_unwind(AssertUnwindSafe(|| self.answer(socket.into())));
                    if answered.is_err() {
                        error!("http: a request could not be answered: internal error");
                    }
                }
                Err(error) if is_tick(&error) => {}
                Err(error) => {
                    warn!("http: accept failed, trying again: {error}");
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
        }
        pulse.rest();
    }

    fn answer(&self, mut socket: TcpStream) {
        let (method, response) = match request::read(&mut socket) {
            Ok(request) if pages::is_page(&request.path) => return self.pass_on(socket, request),
            Ok(request) => (request.method, self.respond(&request)),
            Err(request::Refusal::Gone(error)) => return debug!("http: nothing to answer: {error}"),
            Err(request::Refusal::Bad(response)) => (Method::Get, response),
        };
        if let Err(error) = response.write(&mut socket, method) {
            debug!("http: answer not taken: {error}");
        }
    }

    /// Gives the request to the thread that makes pages, unless too many wait there.
    fn pass_on(&self, socket: TcpStream, request: Request) {
        if let Err(TrySendError::Full(question) | TrySendError::Disconnected(question)) =
            self.pages.try_send(Question { socket, request })
        {
            let Question { mut socket, request } = question;
            let busy = Response::text(503, "too many people look at the status page: try again in a moment\n");
            if let Err(error) = busy.write(&mut socket, request.method) {
                debug!("http: answer not taken: {error}");
            }
        }
    }

    fn respond(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/metrics" => match exposition::text(&self.meters, &self.health) {
                Ok(text) => Response::metrics(text),
                Err(error) => Response::text(500, &format!("metrics cannot be written: {error}\n")),
            },
            "/healthz" => self.alive(),
            "/readyz" => self.ready(),
            _ => Response::text(404, "there are /, /metrics, /healthz and /readyz\n"),
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
pub fn threads(meters: &Meters) -> Part {
    let stuck: Vec<String> = meters
        .pulses()
        .iter()
        .filter(|pulse| pulse.is_stuck())
        .map(|pulse| format!("{} has not moved for {} s", pulse.name(), pulse.standing_still().as_secs()))
        .collect();
    if stuck.is_empty() { Ok(()) } else { Err(stuck.join(", ")) }
}

fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
