//! The status page: what there is, what is wrong, where a route goes. Plain HTML without scripts.
//!
//! One thread renders all pages, one at a time, on one database connection that only reads and whose statements end after
//! three seconds: however many people look, the writers have one peer more. What is live comes from the counters and
//! needs no database; what cannot be read is said and the rest is shown. `maud` escapes whatever a router is called.

mod asn;
mod churn;
mod history;
mod layout;
mod lookup;
mod overview;
mod plot;
mod router;
mod search;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use log::error;
use maud::{Markup, html};

use super::request::{Method, Request};
use super::response::Response;
use crate::metrics::Meters;
use crate::model::RouterId;
use crate::store::{self, Client};
use churn::Churn;

/// So many requests for pages wait; more are told to come back.
pub(super) const QUEUE_MAX: usize = 16;

/// How often the thread looks whether a minute is over.
const TICK: Duration = Duration::from_secs(1);

/// How long a connection that nobody uses is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long one page may take: some statements of three seconds.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// Somebody wants a page.
pub(super) struct Question {
    /// Whose it is.
    pub(super) id: u64,
    pub(super) request: Request,
}

/// A page for who asked.
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) response: Response,
    pub(super) has_body: bool,
}

/// The thread that renders pages.
pub struct Pages {
    questions: Receiver<Question>,
    answers: Sender<Answer>,
    context: Context,
    database: Database,
}

/// What all pages know.
struct Context {
    meters: Arc<Meters>,
    collector_id: String,
    churn: Churn,
}

/// The one connection, made when it is needed.
struct Database {
    url: String,
    client: Option<Client>,
    used: Instant,
}

/// A page before it gets its frame.
struct Page {
    status: u16,
    title: String,
    /// The text that stays in the search box.
    query: String,
    body: Markup,
}

/// The answer to a question.
enum Made {
    Page(Page),
    /// Another page has it: its path and query.
    Elsewhere(String),
}

impl Page {
    fn new(title: impl Into<String>, body: Markup) -> Page {
        Page { status: 200, title: title.into(), query: String::new(), body }
    }

    fn searched(self, query: &str) -> Page {
        Page { query: query.to_owned(), ..self }
    }
}

/// A router by its name, where one is known, with a way to its page.
struct RouterName {
    id: String,
    name: Option<String>,
}

impl RouterName {
    /// With its table, and the view of an Adj-RIB.
    fn with(&self, table: &str, view: &str) -> Markup {
        html! {
            a href=(overview::router_link(&self.id)) { (self.name.as_deref().unwrap_or(&self.id)) } " "
            span.faint { @if self.name.is_some() { (self.id) " " } (table) @if !view.is_empty() { " " (view) } }
        }
    }
}

impl Context {
    /// The router by the name that its session tells, else by the stored one.
    fn router(&self, id: &str, stored: Option<&str>) -> RouterName {
        let live = self.meters.known_router(&RouterId::new(id)).and_then(|meter| meter.hostname());
        RouterName { id: id.to_owned(), name: live.or_else(|| stored.map(str::to_owned)) }
    }
}

/// A page for whoever asks for something that is not there, or at a bad moment; it needs no database.
pub(super) fn refusal(meters: &Meters, collector_id: &str, status: u16, title: &str, text: &str) -> Response {
    let body = html! {
        section {
            h1 { (title) }
            p { (text) }
            @if status == 404 { (layout::search_help()) }
        }
    };
    layout::whole(meters, collector_id, Page { status, ..Page::new(title, body) }, None)
}

/// The paths of pages.
pub(super) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/router" | "/lookup")
}

impl Pages {
    /// A thread's worth of pages for the questions that come.
    pub(super) fn new(
        url: &str,
        collector_id: &str,
        meters: &Arc<Meters>,
        questions: Receiver<Question>,
        answers: Sender<Answer>,
    ) -> Pages {
        let context =
            Context { meters: Arc::clone(meters), collector_id: collector_id.to_owned(), churn: Churn::new() };
        Pages {
            questions,
            answers,
            context,
            database: Database { url: url.to_owned(), client: None, used: Instant::now() },
        }
    }

    /// Answers until nobody can ask any more.
    pub fn run(mut self) {
        let pulse = self.context.meters.pulse("http-pages", STANDSTILL_MAX);
        loop {
            match self.questions.recv_timeout(TICK) {
                Ok(question) => {
                    pulse.beat();
                    self.answer(question);
                    pulse.rest();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.context.churn.sample_when_due(&self.context.meters);
            if self.database.used.elapsed() > IDLE_MAX {
                self.database.client = None;
            }
        }
    }

    fn answer(&mut self, Question { id, request }: Question) {
        let began = Instant::now();
        let page = catch_unwind(AssertUnwindSafe(|| self.page(&request)));
        let Context { meters, collector_id, .. } = &self.context;
        let response = match page {
            Ok(Made::Page(page)) => layout::whole(meters, collector_id, page, Some(began.elapsed())),
            Ok(Made::Elsewhere(location)) => Response::redirect(location),
            Err(_) => {
                error!("http: a page could not be made: internal error");
                self.database.client = None;
                refusal(meters, collector_id, 500, "Internal error", "The page could not be made. The log has more.")
            }
        };
        // Without the port nobody waits any more.
        let _ = self.answers.send(Answer { id, response, has_body: request.method == Method::Get });
    }

    fn page(&mut self, request: &Request) -> Made {
        let Pages { context, database, .. } = self;
        match request.path.as_str() {
            "/router" => Made::Page(router::page(context, database, request)),
            "/lookup" => search::page(context, database, request),
            _ => Made::Page(overview::page(context, database, request)),
        }
    }
}

impl Database {
    /// Asks one question; a connection that broke is made again for the next one.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Client) -> store::Result<T>) -> Result<T, String> {
        self.used = Instant::now();
        let result = match &mut self.client {
            Some(client) => question(client),
            none => store::connect_reader(&self.url, "page").and_then(|client| question(none.insert(client))),
        };
        if self.client.as_ref().is_some_and(|client| client.is_closed()) {
            self.client = None;
        }
        result.map_err(|error| error.to_string())
    }
}
