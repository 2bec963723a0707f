//! The buttons of the pages, pressed in a real browser: headless Chromium, whose user has a token.

#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

use serde_json::json;

use crate::common::browser::Browser;
use crate::common::devtools::Tab;
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// Each button that changes something, and what is in the database afterwards of the incident with its number: its state,
/// for how many minutes it is snoozed, the origins that its watch expects, and its last change.
const BUTTONS: [(&str, &str); 5] = [
    ("ack", "acknowledged by pager, snoozed for - min, expected {64496}: acknowledged by pager: on it"),
    ("snooze-hour", "snoozed by -, snoozed for 60 min, expected {64496}: snoozed by pager: on it"),
    ("snooze-day", "snoozed by -, snoozed for 1440 min, expected {64496}: snoozed by pager: on it"),
    ("close", "closed by -, snoozed for - min, expected {64496}: closed by pager: on it"),
    ("accept", "open by -, snoozed for - min, expected {64496,64511}: accepted by pager: on it"),
];

/// An incident for each button, and a last one.
const FOUND: &str = "
    INSERT INTO watch.watches (id, name, kind, prefix, expected_origins)
    SELECT i, 'ours' || i, 'prefix', ('198.51.' || i || '.0/24')::cidr, '{64496}' FROM generate_series(1, 6) i;
    INSERT INTO watch.incidents (cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, affected, known, summary)
    SELECT 'a' || i, i, 'origin', '198.51.' || i || '.0/24 AS64511', 'critical', 'open', now(), now(), 1, 1, 'HIJACK? 198.51.' || i || '.0/24'
    FROM generate_series(1, 6) i";

const LAST: &str = "
    SELECT i.state || ' by ' || COALESCE(i.acknowledged_by, '-')
           || ', snoozed for ' || COALESCE(round(extract(epoch FROM i.snoozed_until - e.at) / 60)::text, '-')
           || ' min, expected ' || w.expected_origins::text || ': ' || e.event || ' by ' || e.who || ': ' || e.note
    FROM watch.incidents i JOIN watch.watches w ON w.id = i.watch_id
    JOIN LATERAL (SELECT * FROM watch.incident_events e WHERE e.incident_id = i.id ORDER BY e.at DESC LIMIT 1) e ON true
    WHERE i.id = ";

#[test]
fn every_button_is_pressed_in_a_browser() {
    let Some(browser) = Browser::find() else { return println!("skipped: no Chromium on this machine") };
    let db = TestDb::migrated();
    db.client().batch_execute(FOUND).unwrap();
    let made =
        Command::new(env!("CARGO_BIN_EXE_rib-ingester")).args(["token", "pager", "--scope", "write"]).output().unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    let token = said.trim().rsplit(' ').next().unwrap();
    let file = browser.profile.join("tokens");
    std::fs::write(&file, made.stdout).unwrap();
    let mut ingester = Ingester::start(&db.url(), &[("API_TOKEN_FILE", file.to_str().unwrap()), ("WATCH", "off")]);
    let site = format!("http://{}", ingester.http());

    let mut tab = Tab::open(&browser, token);
    tab.visit(&format!("{site}/incidents?id=6"));
    let buttons = tab.value("[...document.querySelectorAll('form[method=post] button')].map(one => one.value)");
    assert_eq!(buttons, json!(BUTTONS.map(|(button, _)| button)), "each button that changes something is tried here");
    for (number, (button, want)) in (1..).zip(BUTTONS) {
        tab.visit(&format!("{site}/incidents?id={number}"));
        tab.press("#note");
        tab.write("on it");
        tab.press(&format!("button[value={button}]"));
        tab.until(
            "the page of the incident again",
            "document.body.innerText.includes('on it') && location.pathname === '/incidents'",
        );
        eventually_equal(vec![want.to_owned()], || db.rows(&format!("{LAST}{number}")));
        // It is asked once, and sends the token with each form from then on.
        assert_eq!(tab.asked, 1, "{button}");
    }
    // What another site shows as a button of ours does nothing.
    let form = format!(
        "<form method=post action='{site}/incidents'><input name=id value=6><button name=do value=ack>Win</button></form>"
    );
    tab.visit(&format!("data:text/html,{form}"));
    tab.press("button");
    tab.until("the form of another site is refused", "document.body.innerText.includes('not of this site')");
    assert_eq!(db.rows("SELECT state FROM watch.incidents WHERE id = 6"), ["open"]);
    // Those that only read.
    for (page, form, want) in [
        ("/", "form.search", "/lookup?q=198.51.1.1"),
        ("/inventory", "main form", "/inventory?find=198.51.1.1"),
        ("/sessions", "main form", "/sessions?find=198.51.1.1"),
        ("/watches", "main form", "/watches?find=198.51.1.1"),
    ] {
        tab.visit(&format!("{site}{page}"));
        tab.press(&format!("{form} input[type=search]"));
        tab.write("198.51.1.1");
        tab.press(&format!("{form} button"));
        tab.until(
            want,
            &format!("location.pathname + location.search === {want:?} && document.readyState === 'complete'"),
        );
    }
    drop(tab);
    assert!(ingester.stop().success());
}
