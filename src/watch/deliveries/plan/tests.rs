//! Which deliveries become which messages.

use serde_json::{Value, json};

use super::*;

fn callback(format: &str) -> Callback {
    Callback {
        id: 1,
        team: None,
        name: "a".to_owned(),
        format: format.to_owned(),
        url: "https://a.example/t".to_owned(),
        url_end: None,
        headers: "{}".to_owned(),
        secret: Some("key".to_owned()),
        max_per_minute: 10,
        failures: 0,
    }
}

fn due(id: i64, key: &str, event: &str) -> DueDelivery {
    let body = json!({"event": event, "incident": {"key": key, "id": id, "summary": format!("{key} {event}")}});
    DueDelivery {
        id,
        callback: callback("generic"),
        target_url: None,
        subject: event.to_owned(),
        ordering_key: key.to_owned(),
        attempts: 0,
        body: body.to_string(),
        is_orphan: false,
        age_secs: 0.0,
    }
}

const CONTEXT: Context<'_> = Context { public_url: None, now: Timestamp::from_unix_micros(0) };

/// The deliveries of each message, and those that it supersedes.
fn messages(format: &str, due: Vec<DueDelivery>, allowance: usize) -> Vec<(Vec<i64>, Vec<i64>)> {
    let plan = plan(&callback(format), due, allowance, CONTEXT);
    plan.messages.into_iter().map(|message| (message.ids, message.superseded)).collect()
}

fn three_keys() -> Vec<DueDelivery> {
    vec![due(1, "x", "opened"), due(2, "y", "opened"), due(3, "x", "closed"), due(4, "z", "opened")]
}

#[test]
fn formats_tell_changes_each_in_its_way() {
    let check = |format, allowance, want: &[(&[i64], &[i64])]| {
        let want: Vec<_> = want.iter().map(|(ids, older)| (ids.to_vec(), older.to_vec())).collect();
        assert_eq!(messages(format, three_keys(), allowance), want, "{format} {allowance}");
    };
    // One change of a key at a time.
    check("generic", 10, &[(&[1], &[]), (&[2], &[]), (&[4], &[])]);
    // What is more than the receiver takes is a digest.
    check("generic", 2, &[(&[1], &[]), (&[2, 4], &[])]);
    check("generic", 1, &[(&[1, 3, 2, 4], &[])]);
    check("generic", 0, &[]);
    // Opened and over in one.
    check("slack", 10, &[(&[1, 3], &[]), (&[2], &[]), (&[4], &[])]);
    check("ntfy", 2, &[(&[1, 3], &[]), (&[2, 4], &[])]);
    // The newest state only.
    check("alertmanager", 1, &[(&[3, 2, 4], &[1])]);
    check("pagerduty", 10, &[(&[3], &[1]), (&[2], &[]), (&[4], &[])]);
    check("pagerduty", 2, &[(&[3], &[1]), (&[2], &[])]);
    check("heartbeat", 10, &[]);
}

#[test]
fn the_end_of_what_was_never_told_is_over() {
    let mut orphan = due(2, "x", "closed");
    orphan.is_orphan = true;
    let plan = plan(&callback("generic"), vec![orphan, due(3, "y", "opened")], 10, CONTEXT);
    assert_eq!(plan.settled.iter().map(|one| (one.id, one.state)).collect::<Vec<_>>(), [(2, DeliveryState::Dead)]);
    assert_eq!(plan.messages.len(), 1);
}

#[test]
fn flapalerted_hears_beginnings_and_ends() {
    let changes = || vec![due(1, "x", "opened"), due(2, "y", "worse"), due(3, "z", "closed"), due(4, "u", "flapping")];
    let mut receiver = callback("flapalerted");
    let told = plan(&receiver, changes(), 10, CONTEXT);
    assert_eq!(told.messages.iter().map(|message| message.ids[0]).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(told.settled.len(), 2);
    receiver.url_end = Some("https://a.example/end".to_owned());
    let told = plan(&receiver, changes(), 10, CONTEXT);
    assert_eq!(told.messages[1].urls, ["https://a.example/end"]);
}

#[test]
fn each_member_of_a_cluster_is_told() {
    let mut receiver = callback("alertmanager");
    receiver.url = "http://a:9093 http://b:9093/am/ http://c/api/v2/alerts?x".to_owned();
    let told = plan(&receiver, vec![due(1, "x", "opened")], 1, CONTEXT);
    assert_eq!(
        told.messages[0].urls,
        ["http://a:9093/api/v2/alerts", "http://b:9093/am/api/v2/alerts", "http://c/api/v2/alerts?x"]
    );
}

#[test]
fn keys_of_idempotence_tell_databases_apart() {
    let key = |ordering: &str, id| {
        plan(&callback("generic"), vec![due(id, ordering, "opened")], 1, CONTEXT).messages[0].idempotency_key.clone()
    };
    assert_eq!(key("lab/x", 1), key("lab/x", 1));
    assert_ne!(key("lab/x", 1), key("lab/x", 2));
    assert_ne!(key("lab/x", 1), key("east/x", 1));
    let body: Value =
        serde_json::from_slice(&plan(&callback("generic"), vec![due(1, "x", "opened")], 1, CONTEXT).messages[0].body)
            .unwrap();
    assert_eq!(body["event"], "opened");
}
