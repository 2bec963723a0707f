//! The threads that answer programs: a few for short answers, and one for each stream that may run at a time.
//!
//! They share nothing with the thread of the status page but the way back to the thread of the sockets. A thread that
//! produces a stream waits for its client, which has seconds for each piece; all others wait for the database only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use log::{error, warn};

use super::api::{self, form};
use super::birdwatcher;
use super::problem::Problem;
use super::reply::{Answer, Answers, Outcome, Production, Reply, StreamError};
use super::request::{Method, Request, is_api_path};
use super::response::Response;
use super::service::{ProgramRequest, Service};
use super::stream::{StreamWriter, stream};
use crate::metrics::Meters;

/// The number of threads for short answers.
pub(super) const WORKERS: usize = 3;

/// The number of streams that run at a time.
pub(super) const STREAMS_MAX: usize = 8;

/// The number of requests that may wait for a thread; further ones are answered with 503.
pub(super) const QUEUE_MAX: usize = 64;

/// The interval at which a thread without requests looks after the tokens.
const TICK: Duration = Duration::from_secs(1);

/// The longest time that one answer may take: a few statements of three seconds each.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// A thread for short answers.
pub(crate) struct Worker {
    service: Arc<Service>,
    requests: Receiver<ProgramRequest>,
    jobs: Sender<StreamJob>,
    answers: Answers,
}

/// A thread for streams.
pub(crate) struct StreamWorker {
    jobs: Receiver<StreamJob>,
    answers: Answers,
    meters: Arc<Meters>,
}

/// A stream to produce.
struct StreamJob {
    id: u64,
    path: String,
    label: &'static str,
    head: Response,
    production: Production,
}

/// Returns whether a request is one that these threads answer.
pub(super) fn is_for_programs(request: &Request) -> bool {
    is_api_path(request.path.as_bytes()) || birdwatcher::is_path(&request.path) || form::is_form(request)
}

/// Returns the path of a request with its parameters as names: few, whatever clients send.
fn label(request: &Request) -> &'static str {
    if birdwatcher::is_path(&request.path) {
        return birdwatcher::ROOT;
    }
    if form::is_form(request) { "(page)" } else { api::label(&request.path) }
}

/// Returns the response for a request that is refused, as the programs that ask for the path take it.
pub(super) fn refusal(path: &str, problem: &Problem) -> Response {
    if birdwatcher::is_path(path) { birdwatcher::refusal(path, problem) } else { problem.response() }
}

/// Returns all threads' parts.
pub(super) fn threads(
    service: &Arc<Service>,
    requests: &Receiver<ProgramRequest>,
    answers: &Answers,
) -> (Vec<Worker>, Vec<StreamWorker>) {
    // Without room, so that a stream is taken only by a thread that is free.
    let (jobs, taken) = bounded(0);
    let worker = |_| Worker {
        service: Arc::clone(service),
        requests: requests.clone(),
        jobs: jobs.clone(),
        answers: answers.clone(),
    };
    let meters = &service.meters;
    let stream_worker = |_| StreamWorker { jobs: taken.clone(), answers: answers.clone(), meters: Arc::clone(meters) };
    ((0..WORKERS).map(worker).collect(), (0..STREAMS_MAX).map(stream_worker).collect())
}

impl Worker {
    /// Answers requests until the port is closed; `thread` names the caller's thread.
    pub(crate) fn run(&self, thread: &str) {
        let heartbeat = self.service.meters.heartbeat(thread, STANDSTILL_MAX);
        loop {
            match self.requests.recv_timeout(TICK) {
                Ok(request) => {
                    heartbeat.progress();
                    self.answer(&request);
                    heartbeat.idle();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.service.tokens.refresh();
        }
    }

    fn answer(&self, asked: &ProgramRequest) {
        let label = label(&asked.request);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(asked))).unwrap_or_else(|_| {
            error!("http: a request of the API could not be answered: internal error");
            Err(Problem::new(500, "this could not be answered: the log of the collector has more"))
        });
        let has_body = asked.request.method != Method::Head;
        let whole = |response| Answer { id: asked.id, response, has_body, pieces: None };
        let answer = match outcome {
            Ok(Reply::Whole(response)) => whole(self.shared(asked, response)),
            Ok(Reply::Stream(head, _) | Reply::Open(head, _)) if !has_body => whole(self.shared(asked, head)),
            Ok(Reply::Open(head, pieces)) => Answer { pieces: Some(pieces), ..whole(self.shared(asked, head)) },
            Ok(Reply::Stream(head, production)) => {
                let (id, path) = (asked.id, asked.request.path.clone());
                let job = StreamJob { id, path, label, head: self.shared(asked, head), production };
                match self.jobs.try_send(job) {
                    Ok(()) => return,
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                        let why = format!("{STREAMS_MAX} streams run already: try again later");
                        whole(self.shared(asked, refusal(&asked.request.path, &Problem::busy(why))))
                    }
                }
            }
            Err(problem) => whole(self.shared(asked, refusal(&asked.request.path, &problem))),
        };
        let meter = &self.service.meters.api;
        meter.count(label, answer.response.status());
        meter.bytes.add(if has_body { answer.response.body_bytes() } else { 0 });
        self.answers.send(answer);
    }

    fn outcome(&self, asked: &ProgramRequest) -> Outcome {
        if birdwatcher::is_path(&asked.request.path) {
            return birdwatcher::answer(&self.service, &asked.request, &asked.caller);
        }
        let answer = if form::is_form(&asked.request) { form::answer } else { api::answer };
        answer(&self.service, &asked.request, &asked.caller)
    }

    /// Adds what pages of other sites need to read an answer, where they may.
    fn shared(&self, asked: &ProgramRequest, response: Response) -> Response {
        match api::allowed_origin(&self.service.origins, &asked.request) {
            Some(origin) => response.with("Access-Control-Allow-Origin", origin).with("Vary", "Origin"),
            None => response,
        }
    }
}

impl StreamWorker {
    /// Produces streams until the port is closed; `thread` names the caller's thread.
    pub(crate) fn run(&self, thread: &str) {
        let heartbeat = self.meters.heartbeat(thread, STANDSTILL_MAX);
        for job in &self.jobs {
            heartbeat.progress();
            let meter = &self.meters.api;
            let sent = |bytes| {
                heartbeat.progress();
                meter.bytes.add(bytes);
            };
            meter.streams.raise();
            let produced = catch_unwind(AssertUnwindSafe(|| self.produce(job, &sent)));
            meter.streams.lower();
            if produced.is_err() {
                error!("http: a stream was cut: internal error");
            }
            heartbeat.idle();
        }
    }

    fn produce(&self, StreamJob { id, path, label, head, production }: StreamJob, sent: &dyn Fn(usize)) {
        let (sender, pieces) = stream(&self.answers.waker);
        let answers = self.answers.clone();
        let meters = Arc::clone(&self.meters);
        let begin = Box::new(move || {
            meters.api.count(label, head.status());
            answers.send(Answer { id, response: head, has_body: true, pieces: Some(pieces) });
        });
        let mut writer = StreamWriter::new(sender, begin, sent);
        match production(&mut writer) {
            // A client that has gone misses nothing.
            Ok(()) => drop(writer.finish()),
            Err(StreamError::Gone) => {}
            Err(StreamError::Database(error)) if writer.is_unsent() => {
                let response = refusal(&path, &Problem::from(error));
                self.meters.api.count(label, response.status());
                self.answers.send(Answer { id, response, has_body: true, pieces: None });
            }
            Err(StreamError::Database(error)) => warn!("http: a stream was cut: {error}"),
        }
    }
}
