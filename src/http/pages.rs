//! The status page: routers, problems, and the paths of a route. Plain HTML without scripts.
//!
//! One thread renders all pages, one at a time, on a read-only database connection whose statements end after three
//! seconds: regardless of the number of viewers, the database has one more client. Live values come from the counters
//! and need no database; a page names the parts that cannot be read and shows the rest. `maud` escapes text from
//! routers.

mod asn;
mod churn;
mod context;
mod history;
mod incidents;
mod inventory;
mod layout;
mod lookup;
mod nlri;
mod overview;
mod plot;
mod router;
mod rpki;
mod search;
mod sessions;
mod tenants;
mod watches;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::error;
use maud::html;

use super::access::Tokens;
use super::reply::{Answer, Answers};
use super::request::{Method, Request};
use super::response::Response;
use crate::metrics::Meters;
use crate::store::Pool;
use churn::Churn;
use context::{Database, PageContext};
use layout::{Made, Page};

/// The maximum number of queued page requests; further ones are answered with 503.
pub(super) const QUEUE_MAX: usize = 16;

/// The interval at which the thread checks whether a minute is over.
const TICK: Duration = Duration::from_secs(1);

/// The longest time that one page may take: several statements of three seconds each.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// A request for a page.
pub(super) struct Question {
    /// The identifier of the connection that asked.
    pub(super) id: u64,
    pub(super) request: Request,
}

/// The thread that renders pages.
pub struct Pages {
    questions: Receiver<Question>,
    answers: Answers,
    context: PageContext,
    database: Database,
}

/// Returns a page for a request that cannot be served, with its status and reason; it needs no database.
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

/// Returns whether the path is that of a page.
pub(super) fn is_page(path: &str) -> bool {
    matches!(
        path,
        "/" | "/router" | "/nlri" | "/lookup" | "/incidents" | "/inventory" | "/sessions" | "/tenants" | "/watches"
    )
}

impl Pages {
    /// Creates the page thread's state with its queue of requests.
    pub(super) fn new(
        pool: &Arc<Pool>,
        collector_id: &str,
        meters: &Arc<Meters>,
        tokens: &Tokens,
        questions: Receiver<Question>,
        answers: Answers,
    ) -> Pages {
        let context = PageContext {
            meters: Arc::clone(meters),
            collector_id: collector_id.to_owned(),
            churn: Churn::new(),
            has_tokens: tokens.is_configured(),
        };
        Pages { questions, answers, context, database: Database(Arc::clone(pool)) }
    }

    /// Renders pages until the HTTP port is closed.
    pub fn run(mut self) {
        let heartbeat = self.context.meters.heartbeat("http-pages", STANDSTILL_MAX);
        loop {
            match self.questions.recv_timeout(TICK) {
                Ok(question) => {
                    heartbeat.progress();
                    self.answer(question);
                    heartbeat.idle();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.context.churn.sample_when_due(&self.context.meters);
        }
    }

    fn answer(&self, Question { id, request }: Question) {
        let began = Instant::now();
        let page = catch_unwind(AssertUnwindSafe(|| self.page(&request)));
        let PageContext { meters, collector_id, .. } = &self.context;
        let response = match page {
            Ok(Made::Page(page)) => layout::whole(meters, collector_id, page, Some(began.elapsed())),
            Ok(Made::Elsewhere(location)) => Response::redirect(&location),
            Err(_) => {
                error!("http: a page could not be made: internal error");
                refusal(meters, collector_id, 500, "Internal error", "The page could not be made. The log has more.")
            }
        };
        self.answers.send(Answer { id, response, has_body: request.method == Method::Get, pieces: None });
    }

    fn page(&self, request: &Request) -> Made {
        let Pages { context, database, .. } = self;
        match request.path.as_str() {
            "/router" => Made::Page(router::page(context, database, request)),
            "/nlri" => Made::Page(nlri::page(context, database, request)),
            "/incidents" => Made::Page(incidents::page(context, database, request)),
            "/inventory" => Made::Page(inventory::page(database, request)),
            "/sessions" => Made::Page(sessions::page(database, request)),
            "/tenants" => Made::Page(tenants::page(database, request)),
            "/watches" => Made::Page(watches::page(database, request)),
            "/lookup" => search::page(context, database, request),
            _ => Made::Page(overview::page(context, database, request)),
        }
    }
}
