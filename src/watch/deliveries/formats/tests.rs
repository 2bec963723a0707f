//! The messages of each format, to the letter where their receivers read them by machine.

use super::*;

fn change(event: &str, more: Value) -> Change {
    let mut body = json!({
        "event": event, "at": "2026-11-26T03:05:05+00:00",
        "incident": {
            "id": 7, "key": "lab/blue:w/more_specific/192.0.2.0/25 AS64511", "condition": "more_specific",
            "subject": "192.0.2.0/25 AS64511", "severity": "critical", "first_severity": "warning", "team": "blue",
            "since": "2026-11-26T03:04:05+00:00", "summary": "MORE SPECIFIC <192.0.2.0/25> & @all",
        },
        "watch": {"name": "w", "prefix": "192.0.2.0/24", "runbook_url": "https://wiki.example/x"},
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Change { body, is_late: false }
}

fn closed() -> Change {
    let mut change = change("closed", json!({}));
    change.body["incident"]["closed_at"] = json!("2026-11-26T03:09:05+00:00");
    change
}

const PUBLIC: Option<&str> = Some("https://rib.example/");
const NOW: Timestamp = Timestamp::from_unix_micros(1_795_662_000_000_000);

#[test]
fn alerts_have_labels_that_never_change() {
    let open = alertmanager(&[change("opened", json!({}))], PUBLIC, NOW);
    assert_eq!(
        open[0]["labels"],
        json!({
            "alertname": "BgpMoreSpecific", "condition": "more_specific", "key": "lab/blue:w/more_specific/192.0.2.0/25 AS64511",
            "site": "lab", "severity": "warning", "team": "blue", "subject": "192.0.2.0/25 AS64511", "watch": "w",
            "prefix": "192.0.2.0/24",
        })
    );
    assert_eq!(open[0]["startsAt"], "2026-11-26T03:04:05+00:00");
    let until = Timestamp::from_unix_micros(NOW.unix_micros() + 240_000_000).to_string();
    assert_eq!(open[0]["endsAt"], until);
    assert_eq!(open[0]["annotations"]["severity_now"], "critical");
    assert_eq!(open[0]["generatorURL"], "https://rib.example/incidents?id=7");
    let over = alertmanager(&[closed()], None, NOW);
    assert_eq!((&over[0]["labels"], &over[0]["endsAt"]), (&open[0]["labels"], &json!("2026-11-26T03:09:05+00:00")));
}

#[test]
fn pagerduty_events() {
    let event = pagerduty(&change("opened", json!({})), PUBLIC, "key\"ö");
    assert_eq!((&event["routing_key"], &event["event_action"]), (&json!("key\"ö"), &json!("trigger")));
    assert_eq!(event["dedup_key"], "lab/blue:w/more_specific/192.0.2.0/25 AS64511");
    assert_eq!(event["payload"]["timestamp"], "2026-11-26T03:05:05+00:00");
    assert_eq!(event["payload"]["custom_details"]["watch"]["name"], "w");
    assert_eq!(pagerduty(&closed(), None, "")["event_action"], "resolve");
    assert_eq!(pagerduty(&change("acknowledged", json!({})), None, "")["event_action"], "acknowledge");
    let mut long = change("opened", json!({"found": "x".repeat(600_000)}));
    long.body["incident"]["key"] = json!("k".repeat(300));
    long.body["incident"]["summary"] = json!("ü".repeat(2_000));
    let event = pagerduty(&long, None, "");
    assert_eq!(event["dedup_key"].as_str().unwrap().len(), 64);
    assert_eq!(event["payload"]["summary"].as_str().unwrap().chars().count(), 1_024);
    assert!(event.to_string().len() < 512_000);
}

#[test]
fn slack_texts_mention_nobody() {
    let text = text(Format::Slack, &[change("opened", json!({})), closed()], PUBLIC, "");
    assert_eq!(
        text,
        json!({"text": "MORE SPECIFIC &lt;192.0.2.0/25&gt; &amp; @\u{200b}all\n\
                        MORE SPECIFIC &lt;192.0.2.0/25&gt; &amp; @\u{200b}all\nhttps://rib.example/incidents?id=7"})
    );
}

#[test]
fn texts_say_who_and_when() {
    let local = json!({"zone": "Europe/Berlin", "at": "2026-11-26 04:05:05", "since": "2026-11-26 04:04:05"});
    let mut one = change("acknowledged", json!({"who": "kim", "local": local}));
    one.body["incident"]["summary"] = json!("GONE");
    one.is_late = true;
    let message = text(Format::Ntfy, &[one], PUBLIC, "ops");
    let line = "ACKNOWLEDGED by kim: GONE (2026-11-26 04:04:05 Europe/Berlin) [late: 2026-11-26T03:05:05+00:00]";
    assert_eq!(
        message,
        json!({
            "topic": "ops", "title": line, "message": line, "priority": 5, "tags": ["rotating_light"],
            "click": "https://rib.example/incidents?id=7",
        })
    );
    assert_eq!(text(Format::Ntfy, &[closed()], None, "ops")["tags"], json!(["white_check_mark"]));
}

#[test]
fn no_text_is_longer_than_its_receiver_takes() {
    let mut long = change("opened", json!({}));
    long.body["incident"]["summary"] = json!("ü\"<&>".repeat(10_000));
    let many = vec![change("opened", json!({})); 5_000];
    for changes in [vec![long], many] {
        let length = |format| text(format, &changes, PUBLIC, "t").to_string().len();
        assert!(length(Format::Slack) < 16_383 && length(Format::Teams) < 27_000, "{}", length(Format::Teams));
        let ntfy = text(Format::Ntfy, &changes, PUBLIC, "t");
        assert!(ntfy["message"].as_str().unwrap().len() <= 4_096 && ntfy["title"].as_str().unwrap().len() <= 250);
    }
    let many = vec![closed(); 500];
    let message = text(Format::Ntfy, &many, None, "t");
    let message = message["message"].as_str().unwrap();
    let (told, others) = message.rsplit_once("\nand ").unwrap();
    let others: usize = others.strip_suffix(" more").unwrap().parse().unwrap();
    assert_eq!(told.lines().count() + others, 500);
}

#[test]
fn teams_gets_an_adaptive_card() {
    let message = text(Format::Teams, &[closed()], PUBLIC, "");
    let attachment = &message["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(attachment["content"]["actions"][0]["url"], "https://rib.example/incidents?id=7");
}

#[test]
fn flapalerted_gets_its_own_names() {
    let found = json!({"total_path_changes": 31, "rate_sec": 2, "rate_sec_history": [1, 2], "path_history": []});
    let message = flapalerted(&change("opened", json!({"found": found})));
    let want = json!({
        "Prefix": "192.0.2.0/24", "FirstSeen": 1_795_662_245, "TotalPathChanges": 31, "RateSec": 2,
        "RateSecHistory": [1, 2], "PathHistory": [],
    });
    assert_eq!(message, want);
}

#[test]
fn ntfy_takes_json_at_its_root() {
    let check = |url, base: &str, topic: &str| assert_eq!(ntfy_target(url), (base.to_owned(), topic.to_owned()));
    check("https://ntfy.sh/ops", "https://ntfy.sh/", "ops");
    check("https://ntfy.example/sub/ops?x=1", "https://ntfy.example/sub/", "ops");
}
