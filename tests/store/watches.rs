//! Rows of `watch.watches` that cannot be: each is refused with a sentence.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use postgres::error::SqlState;
use rib_ingester::model::Timestamp;
use rib_ingester::store::watch::{incident_list, peers};

use crate::common::pg::TestDb;

/// Columns and values of wrong rows, and a part of the sentence.
const WRONG: &[(&str, &str, &str)] = &[
    ("kind", "'prefixes'", "kind \"prefixes\" is unknown; allowed: prefix, address"),
    ("kind", "''", "kind \"\" is unknown"),
    ("kind", "'prefix'", "needs a prefix"),
    ("kind, prefix, address", "'prefix', '192.0.2.0/24', '192.0.2.1'", "has no address"),
    ("kind, prefix, asn", "'prefix', '192.0.2.0/24', 1", "has no asn"),
    ("kind, prefix, peer_address", "'prefix', '192.0.2.0/24', '192.0.2.1'", "has no peer_address"),
    ("kind, prefix, max_length", "'prefix', '192.0.2.0/24', 23", "from the length of the prefix"),
    ("kind, prefix, max_length", "'prefix', '192.0.2.0/24', 33", "to that of an address"),
    ("kind, prefix, max_length", "'prefix', '2001:db8::/32', 31", "from the length of the prefix"),
    ("kind, prefix, max_length", "'prefix', '2001:db8::/32', 129", "to that of an address"),
    ("kind, address", "'address', '192.0.2.0/24'", "has a prefix length; watch it as a prefix"),
    ("kind, address", "'address', '2001:db8::/64'", "has a prefix length; watch it as a prefix"),
    ("kind", "'address'", "needs an address"),
    (
        "kind, address, expected_upstreams",
        "'address', '192.0.2.1', '{1}'",
        "judges missing, default_only, origin and rpki_invalid only",
    ),
    ("kind, address, conditions", "'address', '192.0.2.1', '{upstream}'", "does not judge the condition \"upstream\""),
    ("kind", "'origin'", "needs an asn"),
    ("kind, asn", "'origin', 0", "an AS number must be 1 to 4294967295"),
    ("kind, asn", "'origin', 4294967296", "an AS number must be 1 to 4294967295"),
    ("kind, asn", "'origin', -1", "an AS number must be 1 to 4294967295"),
    ("kind, asn, path_match", "'origin', 1, '^1'", "has no path_match"),
    ("kind, asn, conditions", "'origin', 1, '{path}'", "does not judge the condition \"path\""),
    ("kind, asn, conditions", "'origin', 1, '{missing}'", "does not judge the condition \"missing\""),
    ("kind, asn, prefix", "'origin', 1, '192.0.2.0/24'", "has no prefix"),
    ("kind, asn, max_length", "'origin', 1, 24", "for a watch of kind prefix only"),
    ("kind", "'session'", "needs a peer_address or an asn, and not both"),
    ("kind, asn, peer_address", "'session', 1, '192.0.2.1'", "needs a peer_address or an asn, and not both"),
    ("kind, peer_address, min_up", "'session', '192.0.2.1', 2", "only for a watch of kind session that has an asn"),
    ("kind, asn, min_up", "'session', 1, 0", "min_up is 1 or more"),
    ("kind, asn, table_name", "'session', 1, 'global'", "has no table_name"),
    ("kind, asn, expected_via", "'session', 1, '{1}'", "has no expected ASes and no path_match"),
    ("kind", "'router'", "needs a router_id"),
    ("kind, prefix, router_id", "'prefix', '192.0.2.0/24', ''", "must not be empty"),
    ("kind, prefix, table_name", "'prefix', '192.0.2.0/24', ''", "must not be empty"),
    ("kind, peer_address, min_routes, max_routes", "'peer_routes', '192.0.2.1', 2, 1", "at most max_routes"),
    ("kind, prefix, min_routes", "'prefix', '192.0.2.0/24', 1", "of the kind peer_routes only"),
    ("kind, prefix, expected_origins", "'prefix', '192.0.2.0/24', '{64496,NULL}'", "an AS number must be"),
    ("kind, prefix, expected_origins", "'prefix', '192.0.2.0/24', '{-1}'", "an AS number must be"),
    ("kind, prefix, expected_via", "'prefix', '192.0.2.0/24', '{4294967296}'", "an AS number must be"),
    ("kind, prefix, expected_downstreams", "'prefix', '192.0.2.0/24', '{1}'", "which it has none of"),
    ("kind, prefix, conditions", "'prefix', '192.0.2.0/24', '{Origin}'", "does not judge the condition \"Origin\""),
    ("kind, prefix, conditions", "'prefix', '192.0.2.0/24', '{NULL}'", "does not judge the condition"),
    ("kind, prefix, conditions", "'prefix', '192.0.2.0/24', '{bmp_down}'", "does not judge the condition \"bmp_down\""),
    ("kind, prefix, path_match", "'prefix', '192.0.2.0/24', ''", "of 1 to 1000 octets"),
    ("kind, prefix, path_match", "'prefix', '192.0.2.0/24', '!'", "of 1 to 1000 octets"),
    ("kind, prefix, path_match", "'prefix', '192.0.2.0/24', repeat('(1+)+', 1000000)", "of 1 to 1000 octets"),
    ("kind, prefix, path_match", "'prefix', '192.0.2.0/24', '^(?!64500)'", "has a look-around"),
    ("kind, prefix, path_match", "'prefix', '192.0.2.0/24', '1(?<=2)'", "has a look-around"),
    ("kind, prefix, min_vantages", "'prefix', '192.0.2.0/24', 0", "min_vantages must be 1 or more"),
    ("kind, prefix, settle_secs", "'prefix', '192.0.2.0/24', -1", "must be 0 to 604800"),
    ("kind, prefix, open_after_secs", "'prefix', '192.0.2.0/24', 604801", "must be 0 to 604800"),
    ("kind, prefix, flap_changes", "'prefix', '192.0.2.0/24', 1", "flap_changes must be 2 or more"),
    ("kind, prefix, severity", "'prefix', '192.0.2.0/24', 'Critical'", "severity \"Critical\" is unknown"),
    (
        "kind, prefix, runbook_url",
        "'prefix', '192.0.2.0/24', 'javascript:alert(1)'",
        "must begin with http:// or https://",
    ),
    ("kind, prefix, runbook_url", "'prefix', '192.0.2.0/24', E'https://x/\\n'", "must begin with http:// or https://"),
    ("kind, prefix, team", "'prefix', '192.0.2.0/24', 'a:b'", "the team must have 1 to 64 characters"),
    ("kind, prefix, team", "'prefix', '192.0.2.0/24', E'a\\x07'", "the team must have 1 to 64 characters"),
    ("kind, prefix, team", "'prefix', '192.0.2.0/24', ''", "the team must have 1 to 64 characters"),
];

#[test]
fn watches_that_cannot_be_are_refused_in_words() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let mut check = |columns: &str, values: &str, name: &str, want: &str| {
        let began = Instant::now();
        let sql = format!("INSERT INTO watch.watches (name, {columns}) VALUES ({name}, {values})");
        let error = client.batch_execute(&sql).expect_err(&sql);
        let refusal = error.as_db_error().unwrap();
        assert_eq!(refusal.code(), &SqlState::CHECK_VIOLATION, "{sql}: {refusal}");
        assert!(refusal.message().contains(want), "{sql}: {refusal}");
        assert!(began.elapsed() < Duration::from_secs(5), "{sql}");
    };
    for (columns, values, want) in WRONG {
        check(columns, values, "'x'", want);
    }
    let odd = ["''", "' x'", "'x '", "'a/b'", r"E'a\x1b[0m'", r"E'a\nb'", "repeat('x', 129)", r"E'a\x7f'"];
    for name in odd {
        check("kind, prefix", "'prefix', '192.0.2.0/24'", name, "the name must have 1 to 128 characters");
    }
    assert_eq!(db.rows("SELECT count(*) FROM watch.watches"), ["0"]);
}

#[test]
fn peers_are_those_of_the_session_that_is_known() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO routers (router_id) VALUES ('r1');
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, updated_at)
             VALUES ('r1', 'global', '192.0.2.1', 64500, 'up', 'epoch'::timestamptz + interval '7 microseconds')",
        )
        .unwrap();
    let mut transaction = client.transaction().unwrap();
    let mut found = |began: Option<i64>| {
        let began = began.map(Timestamp::from_unix_micros);
        let peers = peers::peers(&mut transaction, (&["192.0.2.1".parse().unwrap()], &[]), |_| began).unwrap();
        peers.iter().map(|peer| (peer.is_up, peer.is_reported)).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(7)), [(true, true)]);
    // A session that began later has not reported it; without a session nothing is known.
    assert_eq!(found(Some(8)), [(false, false)]);
    assert_eq!(found(None), [(false, false)]);
}

#[test]
fn series_of_watches_are_bounded() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO watch.watches (team, name, kind, prefix)
             SELECT CASE WHEN i % 2 = 0 THEN 'blue' END, 'w\"' || i, 'prefix', ('10.0.' || i % 256 || '.0/24')::cidr FROM generate_series(1, 1000) i;
             INSERT INTO watch.incidents (team, cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known, summary)
             SELECT team, name, id, 'missing', 'warning', 'open', now(), now(), 1, 1, '' FROM watch.watches LIMIT 10",
        )
        .unwrap();
    let series = incident_list::counts(&mut client).unwrap().by_watch;
    assert_eq!((series.len(), series.iter().filter(|one| one.incidents == 1).count()), (1_000, 10));
    client
        .batch_execute("INSERT INTO watch.watches (name, kind, prefix) VALUES ('one more', 'prefix', '10.0.0.0/8')")
        .unwrap();
    let series = incident_list::counts(&mut client).unwrap().by_watch;
    let shown: Vec<_> = series.iter().map(|one| (one.team.as_str(), one.name.as_str(), one.incidents)).collect();
    assert_eq!(shown, [("", "", 5), ("blue", "", 5)]);
}
