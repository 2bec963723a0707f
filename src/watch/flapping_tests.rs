//! Tables of cases of what [flaps](super).

use serde_json::{Map, Value, json};

use super::*;

fn counted(limit: i64, secs: i64, changes: i64, recent: i64) -> Counted {
    Counted { limit, secs, changes, recent }
}

#[test]
fn what_flaps() {
    for (counted, was, why) in [
        (counted(30, 600, 30, 30), false, "as many as the watch says"),
        (counted(30, 600, 0, 5), true, "not quiet yet"),
        (counted(30, 600, 29, 40), true, "it has not stopped"),
        (counted(2, 86_400, 2, 0), true, "few in a long time"),
        (counted(2, 600, 0, 2), true, "the limit itself is below five"),
        (counted(3, 3_600, 3, 1), false, "three Peer Downs an hour"),
    ] {
        assert!(holds(&counted, was), "{why}");
    }
}

#[test]
fn what_does_not_flap() {
    for (counted, was, why) in [
        (counted(30, 600, 29, 29), false, "one too few"),
        (counted(30, 600, 29, 900), false, "many, but before"),
        (counted(30, 600, 4, 4), true, "quiet"),
        (counted(30, 86_400, 29, 4), true, "quiet for a quarter of an hour"),
        (counted(2, 600, 1, 1), true, "one change is none"),
        (counted(3, 3_600, 2, 2), true, "two Peer Downs an hour"),
    ] {
        assert!(!holds(&counted, was), "{why}");
    }
}

#[test]
fn what_is_told_of_it() {
    let row =
        |minute, path: Option<&str>, announced, withdrawn| (0, minute, path.map(str::to_owned), announced, withdrawn);
    let rows = [
        row(100, Some("64500 64496"), 10, 0),
        row(101, Some("64500 {64496 64497}"), 1, 0),
        row(101, None, 5, 9),
        row(102, Some("64500 64496"), 60, 1),
    ];
    let first = FlapDetail::of(&counted(30, 600, 86, 86), &rows, None, 99, 102);
    assert_eq!((first.total, &first.per_minute), (86, &vec![0, 10, 15, 61]));
    let mut map = Map::new();
    first.put(&mut map);
    let json = Value::Object(map);
    assert_eq!((json["rate_sec"].as_i64(), &json["rate_sec_history"]), (Some(2), &json!([0, 1, 1, 2])));
    assert_eq!(
        json["path_history"][1],
        json!({"Path": [64500, 64496, 64497], "ac": 1, "wc": 0, "path": "64500 {64496 64497}"})
    );
    assert_eq!(FlapDetail::from_json(&json), Some(first.clone()));
    assert_eq!(FlapDetail::from_json(&json!({"changes": 1})), None);
    // The next minute: nine more in the one that was not over, and two in the new one.
    let rows = [row(102, None, 70, 0), row(103, None, 2, 0)];
    let next = FlapDetail::of(&counted(30, 600, 97, 97), &rows, Some(&first), 99, 103);
    assert_eq!((next.total, next.counted), (86 + 9 + 2, (103, 2)));
    assert_eq!(next.words("change"), "97 changes in 10 min");
}

#[test]
fn only_the_rib_that_decides_counts() {
    let row = |router: &str, rib: &str, changes| FlapRow {
        watch: WatchId(1),
        router: RouterId::new(router),
        table: "global".to_owned(),
        rib: rib.to_owned(),
        peer: None,
        counted: counted(30, 600, changes, changes),
    };
    let rows = vec![
        row("a", "loc-rib", 3),
        row("a", "adj-rib-in-pre", 40),
        row("b", "adj-rib-in-post", 20),
        row("b", "adj-rib-in-post", 25),
        row("gone", "loc-rib", 50),
    ];
    let basis = |router: &RouterId| match router.as_str() {
        "a" => Some(Basis::LocRib),
        "b" => Some(Basis::PostPolicy),
        _ => None,
    };
    let mut found: Vec<(String, i64)> =
        worst(rows, basis).into_iter().map(|row| (row.router.to_string(), row.counted.changes)).collect();
    found.sort();
    // Two peers that change at once are one change of the network.
    assert_eq!(found, [("a".to_owned(), 3), ("b".to_owned(), 25)]);
}
