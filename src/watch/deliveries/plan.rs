//! From the deliveries that are due for a receiver to the messages that are sent now. Pure.

use sha2::{Digest, Sha256};

use super::formats::{self, Change, DIGEST_MAX, Format, FormatKind, LATE_SECS};
use crate::model::Timestamp;
use crate::store::watch::callbacks::Callback;
use crate::store::watch::deliveries::{DeliveryState, DueDelivery, FinishedDelivery};

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The deliveries that it tells.
    pub(super) ids: Vec<i64>,
    /// Older ones of the same key, which it makes superfluous.
    pub(super) superseded: Vec<i64>,
    /// The number of earlier tries of the first one.
    pub(super) attempts: i32,
    /// Where it goes; accepted if one of them accepts it.
    pub(super) urls: Vec<String>,
    pub(super) body: Vec<u8>,
    pub(super) idempotency_key: String,
}

/// The result of [`plan`].
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The messages to send, in order.
    pub(super) messages: Vec<Outgoing>,
    /// The deliveries that are done without a message.
    pub(super) settled: Vec<FinishedDelivery>,
}

/// The values that messages need besides the deliveries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) public_url: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A delivery with its parsed body.
struct Item {
    due: DueDelivery,
    change: Change,
}

/// Makes the messages for the deliveries of one callback that are due, in order; at most `allowance` of them.
pub(super) fn plan(callback: &Callback, due: Vec<DueDelivery>, allowance: usize, context: Context<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(format) = Format::parse(&callback.format) else { return plan };
    let mut items = Vec::with_capacity(due.len());
    for due in due {
        match serde_json::from_str(&due.body) {
            _ if due.is_orphan => plan.settled.push(settled(&due, DeliveryState::Dead, "its opening was given up")),
            Ok(body) => items.push(Item { change: Change { body, is_late: due.age_secs >= LATE_SECS }, due }),
            Err(_) => plan.settled.push(settled(&due, DeliveryState::Dead, "its body is not JSON")),
        }
    }
    if format == Format::FlapAlerted {
        // It knows beginnings and ends only.
        let (told, other): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| {
            let is_begin = matches!(item.due.subject.as_str(), "opened" | "reopened" | "flapping");
            is_begin || (item.change.is_end() && callback.url_end.is_some())
        });
        plan.settled
            .extend(other.iter().map(|item| settled(&item.due, DeliveryState::Superseded, "not told in this format")));
        items = told;
    }
    let keys = by_key(items);
    if keys.is_empty() || allowance == 0 {
        return plan;
    }
    plan.messages = match format.kind() {
        FormatKind::Events => events(format, callback, keys, allowance, context),
        FormatKind::Texts => texts(format, callback, keys, allowance, context),
        FormatKind::States => vec![alerts(callback, keys, context)],
        FormatKind::StateOfEach => states(callback, keys, allowance, context),
        FormatKind::Beats => Vec::new(),
        FormatKind::Wakes => {
            let mut message = outgoing(keys.iter().flatten(), vec![callback.url.clone()], &serde_json::Value::Null);
            message.body.clear();
            vec![message]
        }
    };
    plan
}

fn settled(due: &DueDelivery, state: DeliveryState, why: &str) -> FinishedDelivery {
    FinishedDelivery { id: due.id, state, status: None, error: Some(why.to_owned()), delay_secs: 0.0 }
}

/// Groups by ordering key, in the order of the first of each.
fn by_key(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut keys: Vec<Vec<Item>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for item in items {
        let place = *places.entry(item.due.ordering_key.clone()).or_insert(keys.len());
        match keys.get_mut(place) {
            Some(key) => key.push(item),
            None => keys.push(vec![item]),
        }
    }
    keys
}

fn changes<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<Change> {
    items.into_iter().map(|item| item.change.clone()).collect()
}

fn outgoing<'a>(items: impl IntoIterator<Item = &'a Item>, urls: Vec<String>, body: &serde_json::Value) -> Outgoing {
    let items: Vec<&Item> = items.into_iter().collect();
    let ids: Vec<i64> = items.iter().map(|item| item.due.id).collect();
    Outgoing {
        attempts: items.first().map_or(0, |item| item.due.attempts),
        idempotency_key: idempotency_key(items.first().map_or("", |item| &item.due.ordering_key), &ids),
        ids,
        superseded: Vec::new(),
        urls,
        body: body.to_string().into_bytes(),
    }
}

/// The same for the same deliveries, and different in two databases that send to one receiver.
fn idempotency_key(ordering_key: &str, ids: &[i64]) -> String {
    const OCTETS: usize = 8;
    let hash: String = Sha256::digest(ordering_key)[..OCTETS].iter().map(|octet| format!("{octet:02x}")).collect();
    match ids {
        [id] => format!("{hash}-{id}"),
        _ => format!("{hash}-{}-{}-{}", ids.first().unwrap_or(&0), ids.last().unwrap_or(&0), ids.len()),
    }
}

fn url_of(callback: &Callback, item: &Item) -> String {
    item.due.target_url.clone().unwrap_or_else(|| callback.url.clone())
}

/// The oldest change of each key; what is more than the receiver takes is one digest.
fn events(
    format: Format,
    callback: &Callback,
    keys: Vec<Vec<Item>>,
    allowance: usize,
    context: Context<'_>,
) -> Vec<Outgoing> {
    let one = |item: &Item| match format {
        Format::FlapAlerted => {
            let end = callback.url_end.clone().filter(|_| item.change.is_end());
            outgoing([item], vec![end.unwrap_or_else(|| url_of(callback, item))], &formats::flapalerted(&item.change))
        }
        Format::RegistryPost => outgoing([item], vec![url_of(callback, item)], &item.change.body),
        _ => outgoing([item], vec![url_of(callback, item)], &formats::generic(&item.change, context.public_url)),
    };
    let heads: Vec<&Item> = keys.iter().filter_map(|key| key.first()).collect();
    // Deliveries with a target of their own, as those of FlapAlerted, are not put together.
    let may_join = format == Format::Generic && keys.iter().flatten().all(|item| item.due.target_url.is_none());
    if heads.len() <= allowance || !may_join {
        return heads.into_iter().take(allowance).map(one).collect();
    }
    let mut messages: Vec<Outgoing> = heads.into_iter().take(allowance - 1).map(one).collect();
    let rest: Vec<&Item> = keys.iter().skip(allowance - 1).flatten().take(DIGEST_MAX).collect();
    let body = formats::generic_digest(&changes(rest.iter().copied()), context.public_url);
    messages.push(outgoing(rest, vec![callback.url.clone()], &body));
    messages
}

/// All that waits of a key in one text; what is more than the receiver takes is one text too.
fn texts(
    format: Format,
    callback: &Callback,
    keys: Vec<Vec<Item>>,
    allowance: usize,
    context: Context<'_>,
) -> Vec<Outgoing> {
    let one = |items: &[&Item]| {
        let url = items.first().map_or_else(|| callback.url.clone(), |item| url_of(callback, item));
        let (url, topic) = if format == Format::Ntfy { formats::ntfy_target(&url) } else { (url, String::new()) };
        let body = formats::text(format, &changes(items.iter().copied()), context.public_url, &topic);
        outgoing(items.iter().copied(), vec![url], &body)
    };
    let singles = if keys.len() <= allowance { keys.len() } else { allowance - 1 };
    let mut messages: Vec<Outgoing> =
        keys.iter().take(singles).map(|key| one(&key.iter().collect::<Vec<_>>())).collect();
    let rest: Vec<&Item> = keys.iter().skip(singles).flatten().collect();
    if !rest.is_empty() {
        messages.push(one(&rest));
    }
    messages
}

/// The newest state of each key, all in one request.
fn alerts(callback: &Callback, keys: Vec<Vec<Item>>, context: Context<'_>) -> Outgoing {
    let newest: Vec<&Item> = keys.iter().filter_map(|key| key.last()).collect();
    let urls = callback.url.split(' ').filter(|url| !url.is_empty()).map(alerts_url).collect();
    let body = formats::alertmanager(&changes(newest.iter().copied()), context.public_url, context.now);
    let mut message = outgoing(newest, urls, &body);
    message.superseded = keys.iter().flat_map(|key| &key[..key.len() - 1]).map(|item| item.due.id).collect();
    message
}

/// Returns where Alertmanager takes alerts, from its address or the whole URL.
pub(super) fn alerts_url(url: &str) -> String {
    if url.contains("/api/v2/alerts") { url.to_owned() } else { format!("{}/api/v2/alerts", url.trim_end_matches('/')) }
}

/// The newest state of each key, a request each.
fn states(callback: &Callback, keys: Vec<Vec<Item>>, allowance: usize, context: Context<'_>) -> Vec<Outgoing> {
    let routing_key = callback.secret.as_deref().unwrap_or_default();
    let one = |key: &Vec<Item>| {
        let (newest, older) = key.split_last()?;
        let body = formats::pagerduty(&newest.change, context.public_url, routing_key);
        let mut message = outgoing([newest], vec![url_of(callback, newest)], &body);
        message.superseded = older.iter().map(|item| item.due.id).collect();
        Some(message)
    };
    keys.iter().take(allowance).filter_map(one).collect()
}

/// The message that says that alerts still hold, or that all is well.
pub(super) fn heartbeat(urls: Vec<String>, body: &serde_json::Value, now: Timestamp) -> Outgoing {
    Outgoing {
        urls,
        body: body.to_string().into_bytes(),
        idempotency_key: format!("beat-{}", now.unix_micros()),
        ..Outgoing::default()
    }
}

#[cfg(test)]
mod tests;
