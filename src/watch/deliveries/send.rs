//! Sends the messages for one receiver, in a thread of its own: a slow one delays nobody else.

use std::time::Duration;

use super::address::Owner;
use super::formats::Format;
use super::pace::retry_pause;
use super::plan::Outgoing;
use super::post::{Post, Poster, Reply};
use crate::store::watch::callbacks::Callback;
use crate::store::watch::deliveries::{Answered, DeliveryState, FinishedDelivery};

/// The messages for one receiver.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) callback: Callback,
    pub(super) messages: Vec<Outgoing>,
}

/// The result of a job.
#[derive(Debug, Default)]
pub(super) struct JobReport {
    pub(super) callback_id: i64,
    pub(super) finished: Vec<FinishedDelivery>,
    pub(super) answers: Vec<Answered>,
}

/// The meaning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted(u16),
    /// The receiver will never take this message.
    Refused(u16),
    /// It may take it later.
    Failed {
        status: Option<u16>,
        why: String,
        retry_after: Option<Duration>,
    },
}

/// Judges an answer: 2xx is accepted, 400, 413 and 422 are about the message, all else may pass.
pub(super) fn judge(format: Format, reply: Result<Reply, String>) -> Verdict {
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => return Verdict::Failed { status: None, why, retry_after: None },
    };
    let is_accepted = match format {
        Format::FlapAlerted => reply.status == 200,
        Format::Generic
        | Format::Alertmanager
        | Format::PagerDuty
        | Format::Slack
        | Format::Teams
        | Format::Ntfy
        | Format::Heartbeat
        | Format::RegistryPost
        | Format::RegistryGet => (200..300).contains(&reply.status),
    };
    match reply.status {
        status if is_accepted => Verdict::Accepted(status),
        status @ (400 | 413 | 422) => Verdict::Refused(status),
        status => {
            let why = match status {
                300..400 => format!("HTTP {status}: redirects are not followed"),
                _ => format!("HTTP {status}"),
            };
            Verdict::Failed { status: Some(status), why, retry_after: reply.retry_after }
        }
    }
}

/// Sends the messages in order. After a failure the rest waits for the end of the pause.
pub(super) fn send(poster: &Poster, job: &Job) -> JobReport {
    let mut report = JobReport { callback_id: job.callback.id, ..JobReport::default() };
    let Some(format) = Format::parse(&job.callback.format) else { return report };
    for message in &job.messages {
        let verdict = post_to_all(poster, &job.callback, format, message);
        let has_failed = matches!(verdict, Verdict::Failed { .. });
        note(&mut report, &job.callback, message, &verdict);
        if has_failed {
            break;
        }
    }
    report
}

/// Posts a message to each of its URLs; one that accepts is enough.
pub(super) fn post_to_all(poster: &Poster, callback: &Callback, format: Format, message: &Outgoing) -> Verdict {
    let mut worst = None;
    let mut accepted = None;
    for url in &message.urls {
        match judge(format, post(poster, callback, format, message, url)) {
            Verdict::Accepted(status) => accepted = Some(Verdict::Accepted(status)),
            failed @ Verdict::Failed { .. } => worst = Some(failed),
            refused @ Verdict::Refused(_) => worst = worst.or(Some(refused)),
        }
    }
    let nowhere = || Verdict::Failed { status: None, why: "it has no URL".to_owned(), retry_after: None };
    accepted.or(worst).unwrap_or_else(nowhere)
}

/// Posts a message to one URL.
pub(super) fn post(
    poster: &Poster,
    callback: &Callback,
    format: Format,
    message: &Outgoing,
    url: &str,
) -> Result<Reply, String> {
    poster.post(&Post {
        url,
        headers: &callback.headers,
        is_get: format == Format::RegistryGet,
        body: &message.body,
        // PagerDuty's secret is in the message.
        secret: callback.secret.as_deref().filter(|_| format != Format::PagerDuty),
        idempotency_key: &message.idempotency_key,
        owner: if callback.team.is_none() { Owner::Operator } else { Owner::Team },
    })
}

fn note(report: &mut JobReport, callback: &Callback, message: &Outgoing, verdict: &Verdict) {
    let (state, status, error, pause, delay) = match verdict {
        Verdict::Accepted(status) => (DeliveryState::Delivered, Some(*status), None, None, Duration::ZERO),
        Verdict::Refused(status) => {
            (DeliveryState::Dead, Some(*status), Some(format!("HTTP {status}")), None, Duration::ZERO)
        }
        Verdict::Failed { status, why, retry_after } => {
            let pause = retry_pause(callback.failures, *retry_after);
            let delay = retry_pause(message.attempts, *retry_after);
            (DeliveryState::Pending, *status, Some(why.clone()), Some(pause), delay)
        }
    };
    let status = status.map(i32::from);
    let finished =
        |id: &i64| FinishedDelivery { id: *id, state, status, error: error.clone(), delay_secs: delay.as_secs_f64() };
    report.finished.extend(message.ids.iter().map(finished));
    if state != DeliveryState::Pending {
        let superseded = |id: &i64| FinishedDelivery {
            id: *id,
            state: DeliveryState::Superseded,
            status: None,
            error: None,
            delay_secs: 0.0,
        };
        report.finished.extend(message.superseded.iter().map(superseded));
    }
    report.answers = vec![Answered {
        callback_id: callback.id,
        is_accepted: state == DeliveryState::Delivered,
        status,
        error,
        pause_secs: pause.map(|pause| pause.as_secs_f64()),
    }];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged() {
        let check = |format, status, want: &str| {
            let reply = Reply { status, text: String::new(), retry_after: None };
            let got = match judge(format, Ok(reply)) {
                Verdict::Accepted(_) => "accepted",
                Verdict::Refused(_) => "refused",
                Verdict::Failed { .. } => "failed",
            };
            assert_eq!(got, want, "{format:?} {status}");
        };
        for status in [200, 202, 204] {
            check(Format::Generic, status, "accepted");
        }
        for status in [400, 413, 422] {
            check(Format::Generic, status, "refused");
        }
        for status in [301, 307, 401, 403, 404, 408, 429, 500, 503] {
            check(Format::Generic, status, "failed");
        }
        check(Format::FlapAlerted, 200, "accepted");
        check(Format::FlapAlerted, 202, "failed");
    }
}
