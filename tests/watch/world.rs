//! A database with routers, their routes, and an evaluator whose rounds the test runs itself: no clock is waited for.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use postgres::Client;
use rib_ingester::watch::{Evaluator, Report};

use crate::common::pg::TestDb;

pub struct World {
    pub db: TestDb,
    client: Client,
    evaluator: Evaluator,
}

impl World {
    /// One collector that is alive, no router, no watch.
    pub fn new() -> World {
        let db = TestDb::migrated();
        let mut client = db.client();
        client
            .batch_execute(
                "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
                 VALUES ('c1', gen_random_uuid(), now() + interval '1 day', now(), 'test')",
            )
            .unwrap();
        World { db, client, evaluator: Evaluator::new("test") }
    }

    pub fn sql(&mut self, sql: &str) {
        self.client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A router with a complete Loc-RIB, named like its number: edge1 is 10.0.0.1, of AS 64496.
    pub fn router(&mut self, number: u32) {
        self.sql(&format!(
            "INSERT INTO routers (router_id, hostname, as_number) VALUES ('10.0.0.{number}', 'edge{number}', 64496)
             ON CONFLICT DO NOTHING;
             INSERT INTO bmp_sessions (router_id, collector_id, state) VALUES ('10.0.0.{number}', 'c1', 'up');
             INSERT INTO rib_sync_status (router_id, table_name, afi, session_start_time, synced_at)
             VALUES ('10.0.0.{number}', 'global', 4, now(), now()) ON CONFLICT (router_id, table_name, afi)
             DO UPDATE SET session_start_time = now(), synced_at = now(), stale_since = NULL"
        ));
    }

    /// The session of a router is lost; its routes stay and are stale.
    pub fn lose(&mut self, number: u32, state: &str) {
        self.sql(&format!(
            "UPDATE bmp_sessions SET state = '{state}', since = now() WHERE router_id = '10.0.0.{number}' AND state = 'up';
             UPDATE rib_sync_status SET synced_at = NULL, stale_since = now() WHERE router_id = '10.0.0.{number}';
             UPDATE adj_rib_in_sync_status SET synced_at = NULL, stale_since = now() WHERE router_id = '10.0.0.{number}'"
        ));
    }

    /// A route in the Loc-RIB, noted for the evaluator as the state writers do.
    pub fn announce(&mut self, number: u32, prefix: &str, path: &str) {
        self.sql(&format!(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
             VALUES ('10.0.0.{number}', 'global', 4, '{prefix}', '{path}', {})
             ON CONFLICT (router_id, table_name, afi, prefix, path_id)
             DO UPDATE SET as_path = EXCLUDED.as_path, origin_asn = EXCLUDED.origin_asn",
            origin(path)
        ));
        self.note(number, prefix);
    }

    /// A route in an Adj-RIB-In before the policy.
    pub fn receive(&mut self, number: u32, prefix: &str, path: &str) {
        self.sql(&format!(
            "INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('10.0.0.{number}', '198.51.100.1', false, 'UNKNOWN', 4, now()) ON CONFLICT DO NOTHING;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, as_path,
                 origin_asn)
             VALUES ('10.0.0.{number}', '198.51.100.1', 64500, false, 'UNKNOWN', 4, '{prefix}', '{path}', {})",
            origin(path)
        ));
        self.note(number, prefix);
    }

    pub fn withdraw(&mut self, number: u32, prefix: &str) {
        for table in ["current_routes", "adj_rib_in"] {
            self.sql(&format!("DELETE FROM {table} WHERE router_id = '10.0.0.{number}' AND prefix = '{prefix}'"));
        }
        self.note(number, prefix);
    }

    fn note(&mut self, number: u32, prefix: &str) {
        self.sql(&format!(
            "INSERT INTO watch.outbox (router_id, table_name, afi, prefix, cause)
             VALUES ('10.0.0.{number}', 'global', 1, '{prefix}', 'route')"
        ));
    }

    /// Notes that a session or a peer of a router has changed.
    pub fn note_session(&mut self, number: u32) {
        self.sql(&format!("INSERT INTO watch.outbox (router_id, cause) VALUES ('10.0.0.{number}', 'session')"));
    }

    /// A BGP peer of a router, up or down since now.
    pub fn peer(&mut self, number: u32, address: &str, state: &str, reason: &str) {
        self.sql(&format!(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, description, state, last_reason)
             VALUES ('10.0.0.{number}', 'global', '{address}', 64500, 'Example', '{state}', NULLIF('{reason}', ''))
             ON CONFLICT (router_id, peer_type, distinguisher, peer_address, peer_asn)
             DO UPDATE SET state = EXCLUDED.state, last_reason = EXCLUDED.last_reason, since = now(), updated_at = now();
             INSERT INTO session_events (router_id, peer_address, kind, reason, routes)
             VALUES ('10.0.0.{number}', '{address}', 'peer_{state}', NULLIF('{reason}', ''), 1000);
             INSERT INTO watch.outbox (router_id, peer_address, cause) VALUES ('10.0.0.{number}', '{address}', 'peer')"
        ));
    }

    /// A watch that waits for nothing: `columns` and `values` are those of `watch.watches` beside its name.
    pub fn watch(&mut self, name: &str, columns: &str, values: &str) {
        self.sql(&format!(
            "INSERT INTO watch.watches (name, open_after_secs, close_after_secs, settle_secs, {columns})
             VALUES ('{name}', 0, 0, 0, {values})"
        ));
    }

    /// A watch of a prefix that AS 64496 originates.
    pub fn watch_prefix(&mut self, prefix: &str) {
        self.watch(
            prefix.split('/').next().unwrap(),
            "kind, prefix, expected_origins",
            &format!("'prefix', '{prefix}', '{{64496}}'"),
        );
    }

    /// Moves all times that the evaluator has noted into the past, and starts another one: this much time passes.
    pub fn pass_secs(&mut self, secs: u32) {
        let by = format!("interval '{secs} seconds'");
        self.sql(&format!(
            "UPDATE watch.incidents SET opened_at = opened_at - {by}, cause_at = cause_at - {by}, over_since = over_since - {by},
                 frozen_since = frozen_since - {by}, closed_at = closed_at - {by};
             UPDATE watch.incident_events SET at = at - {by};
             UPDATE watch.deliveries SET next_try_at = next_try_at - {by};
             UPDATE watch.conditions SET since = since - {by};
             UPDATE watch.flap_counts SET minute = minute - {by};
             UPDATE session_events SET event_time = event_time - {by}"
        ));
        self.evaluator.forget();
    }

    /// Sets the communities of the network that say that a route is mitigated.
    pub fn mitigate_by(&mut self, communities: &[String]) {
        self.evaluator = Evaluator::new("test").with_mitigation(communities);
    }

    pub fn round(&mut self) -> Report {
        self.evaluator.round(&mut self.client).unwrap()
    }

    /// Runs a round of an evaluator that has just started: it evaluates everything.
    pub fn restart(&mut self) -> Report {
        self.evaluator.forget();
        self.round()
    }

    /// All incidents in their order, as `state severity summary`, times replaced.
    pub fn incidents(&self) -> Vec<String> {
        self.rows("SELECT state || ' ' || severity || ' ' || summary FROM watch.incidents ORDER BY id")
    }

    /// What callbacks are told, in order, as `event summary`, times replaced.
    pub fn told(&self) -> Vec<String> {
        self.rows("SELECT event || ' ' || summary FROM watch.incident_events WHERE is_told ORDER BY id")
    }

    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.db.rows(sql).iter().map(|row| without_times(row)).collect()
    }
}

fn origin(path: &str) -> String {
    path.rsplit(' ').next().and_then(|last| last.parse::<u32>().ok()).map_or("NULL".to_owned(), |asn| asn.to_string())
}

/// Replaces each `2026-11-26 03:04:05 UTC` by `T`, and the duration after OVER by `D`.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" UTC") {
        let start = before.len().saturating_sub("2026-11-26 03:04:05".len());
        out.push_str(&before[..start]);
        out.push('T');
        rest = after;
    }
    out.push_str(rest);
    match out.split_once("OVER after ").and_then(|(before, after)| Some((before, after.split_once(": ")?.1))) {
        Some((before, after)) => format!("{before}OVER after D: {after}"),
        None => out,
    }
}
