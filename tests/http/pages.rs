//! The status page as a browser receives it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
const HOSTILE: &str = "<script>alert(1)</script>\"'&";

fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

fn greet(router: &mut FakeRouter) {
    router.send(&bmp::initiation(HOSTILE.as_bytes(), b"made by <b>a test</b>"));
    router.send(&bmp::peer_up(loc_rib(), &Open::of(64_500, ROUTER), Some("<i>global</i>")));
}

fn announce(prefix: &str, path: &[u32]) -> Vec<u8> {
    bmp::route_monitoring(loc_rib(), &bmp::announce(&Attributes::path(path), "192.0.2.1", &[prefix]))
}

/// The page, once it contains `text`.
fn page_with(ingester: &mut Ingester, target: &str, text: &str) -> String {
    let mut last = String::new();
    let found = eventually(&format!("{target} shows {text}"), || {
        let (status, head, body) = ingester.get(target);
        assert_eq!(status, 200, "{head}");
        last = body;
        Some(last.contains(text)).filter(|found| *found)
    });
    assert!(found);
    last
}

#[test]
fn a_router_its_routes_and_history_show_escaped() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let page = page_with(&mut ingester, "/", "No router has connected yet");
    assert!(!page.contains("<script"), "{page}");

    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", &[64_500, 64_501]));
    router.send(&announce("10.1.2.0/24", &[64_500, 64_502]));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()));
    router.send(&announce("10.1.2.0/24", &[64_500, 64_503]));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::withdraw(&["10.1.2.0/24"])));
    router.send(&announce("10.1.2.0/24", &[64_500, 64_504]));
    // The last of them is in the database, so all of them are.
    let lookup = page_with(&mut ingester, "/lookup?q=10.1.2.3", "64500 64504");
    assert!(lookup.contains("10.1.2.0/24") && lookup.contains("192.0.2.1") && !lookup.contains("10.1.0.0/16"));
    let history = page_with(&mut ingester, "/lookup?q=10.1.2.3", "64500 64503");
    assert_eq!(history.matches("<td><span class=\"up\">announced").count(), 3, "{history}");
    assert_eq!(history.matches("<td><span class=\"down\">withdrawn").count(), 1, "{history}");
    assert!(history.contains("<rect class=\"there\""), "the timeline");
    let shorter = page_with(&mut ingester, "/lookup?q=10.1.2.3&prefix=10.1.0.0/16&hours=1", "History of");
    assert_eq!(shorter.matches("<td><span class=\"up\">announced").count(), 1, "{shorter}");
    page_with(&mut ingester, "/lookup?q=203.0.113.1", "No router has a route that covers it");
    let (status, head, _) = ingester.get("/lookup?q=ALERT");
    assert!(status == 303 && head.contains("Location: /router?id=10.255.0.1"), "{head}");
    page_with(&mut ingester, "/lookup?q=%3Cscript%3Ex", "&lt;script&gt;");

    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;";
    let pages = ["/", "/router?id=10.255.0.1", "/lookup?q=10.1.2.3", "/lookup?q=%3Cscript%3Ex"];
    for target in pages {
        let (_, head, body) = ingester.get(target);
        for raw in ["<script", "<i>global", "<b>a test"] {
            assert!(!body.contains(raw), "{target} holds {raw}");
        }
        assert!(head.contains("Content-Security-Policy: default-src 'none'; style-src 'sha256-"), "{head}");
        assert!(body.matches(" src=").count() == 0 && body.matches("<link").count() == 1, "self-contained");
    }
    page_with(&mut ingester, "/", escaped);
    let router_page = page_with(&mut ingester, "/router?id=10.255.0.1", escaped);
    assert!(router_page.contains("made by &lt;b&gt;a test") && router_page.contains("&lt;i&gt;global&lt;/i&gt;"));
    assert_eq!(ingester.get("/router?id=nobody").0, 404);

    drop(router);
    page_with(&mut ingester, "/", ">stale<");
    page_with(&mut ingester, "/router?id=10.255.0.1", "session lost");
}

#[test]
fn routes_of_other_families_are_counted_and_listed() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", &[64_500]));
    page_with(&mut ingester, "/", "10.255.0.1");
    let without = page_with(&mut ingester, "/router?id=10.255.0.1", "Loc-RIB tables");
    assert!(!without.contains("Other families"), "{without}");
    let rows = "INSERT INTO nlri_adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
                VALUES ('10.255.0.1', '192.0.2.7', true, 'UNKNOWN|nlri:1/132', 6, now());
                INSERT INTO nlri_loc_rib_sync_status (router_id, table_name, afi) VALUES ('10.255.0.1', 'global|nlri:25/70', 6);
                INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix, nexthop, attrs)
                SELECT '10.255.0.1', 'global|nlri:25/70', 6, '2001:db8::'::inet + i, '192.0.2.1',
                       jsonb_build_object('nlri_key', '<b>key-' || 1000 + i || '-', 'nlri_afi', 25, 'nlri_safi', 70)
                FROM generate_series(1, 150) i;
                INSERT INTO nlri_route_counts VALUES ('10.255.0.1', 'nlri-loc-rib', '0.0.0.0', false, 'global|nlri:25/70', 6, 150)";
    db.client().batch_execute(rows).unwrap();
    let page = page_with(&mut ingester, "/router?id=10.255.0.1", "Other families");
    assert!(page.contains("+ 150 of other families"), "{page}");
    page_with(&mut ingester, "/", "+ 150 of other families");
    let section = page.split("id=\"nlri\"").nth(1).unwrap();
    let link = "/nlri?id=10.255.0.1&amp;view=loc-rib&amp;table=global%7Cnlri%3A25%2F70";
    assert!(section.contains(link) && section.contains(">150<"), "{section}");
    assert!(section.contains("adj-rib-in-post of 192.0.2.7") && section.contains(">0<"), "{section}");
    let first = page_with(&mut ingester, &link.replace("&amp;", "&"), "key-1100-");
    assert!(first.contains("&lt;b&gt;key-1001-") && !first.contains("key-1101-"), "{first}");
    let last = page_with(&mut ingester, &format!("{}&page=9", link.replace("&amp;", "&")), "key-1150-");
    assert!(!last.contains("key-1100-") && last.contains("page 2 of 2"), "{last}");
    page_with(
        &mut ingester,
        "/nlri?id=10.255.0.1&view=adj-rib-in-post&peer=192.0.2.7&table=UNKNOWN%7Cnlri:1/132",
        "None.",
    );
    assert!(ingester.stop().success());
}

#[test]
fn peers_and_what_they_announce_are_shown() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let partitions = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'route_events'::regclass";
    eventually("the partitions of today and tomorrow", || (db.rows(partitions).len() == 2).then_some(()));
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id) VALUES ('10.0.0.1');
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, peer_bgp_id, is_post_policy, table_name, afi, prefix,
                                     nexthop, as_path)
             VALUES ('10.0.0.1', '192.0.2.9', 64501, '10.0.0.9', true, 'UNKNOWN', 4, '10.1.0.0/16', '192.0.2.9', '64501 64999'),
                    ('10.0.0.1', '192.0.2.9', 64501, '10.0.0.9', true, 'UNKNOWN', 4, '0.0.0.0/0', '192.0.2.9', '64501'),
                    ('10.0.0.1', '192.0.2.9', 64501, '10.0.0.9', false, 'UNKNOWN', 4, '10.0.0.0/8', '192.0.2.9', '64501 1');
             INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi)
             VALUES ('10.0.0.1', '192.0.2.9', true, 'UNKNOWN', 4);
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path, rib,
                                       peer_address, is_post_policy)
             VALUES ('x', clock_timestamp(), '10.0.0.1', 'UNKNOWN', 4, '10.1.0.0/16', 'A', '64501 64999', 'adj-rib-in',
                     '192.0.2.9', true);
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, last_reason)
             VALUES ('10.0.0.1', 'global', '192.0.2.9', 64501, 'down', '<b>hold timer</b>')",
        )
        .unwrap();
    let page = page_with(&mut ingester, "/lookup?q=10.1.2.3", "in-post of 192.0.2.9");
    // Each view has its own longest match.
    assert!(page.contains("64501 64999") && page.contains("in-pre of 192.0.2.9") && page.contains("64501 1"), "{page}");
    assert!(!page.contains("0.0.0.0/0"), "{page}");
    assert_eq!(page.matches("<td><span class=\"up\">announced").count(), 1, "{page}");
    page_with(&mut ingester, "/router?id=10.0.0.1", "&lt;b&gt;hold timer");
}

#[test]
fn a_thousand_routers_are_a_hundred_on_a_page() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, router_ip, hostname, as_number)
             SELECT '10.9.' || i / 250 || '.' || i % 250, ('192.0.2.' || i % 250)::inet, 'edge' || i, 64500 + i
             FROM generate_series(1, 1000) i;
             INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen)
             SELECT router_id, 'global', afi, true FROM routers CROSS JOIN (VALUES (4), (6)) a(afi)",
        )
        .unwrap();
    let page = page_with(&mut ingester, "/", "page 1 of 10");
    assert_eq!(page.matches("<tr><td><span class=\"state").count(), 100);
    assert!(page.len() < 300_000, "{} bytes", page.len());
    // By address as numbers: 10.9.0.9 is before 10.9.0.10.
    assert!(page.find(">10.9.0.9 ").unwrap() < page.find(">10.9.0.10 ").unwrap());
    page_with(&mut ingester, "/?page=10", "10.9.4.0");
    page_with(&mut ingester, "/?page=4711", "page 10 of 10");
    let found = page_with(&mut ingester, "/?find=EDGE777", "edge777");
    assert_eq!(found.matches("<tr><td><span class=\"state").count(), 1);
    page_with(&mut ingester, "/?state=in+sync", "No router matches");
}

#[test]
fn lost_routers_have_a_sign_and_a_link_to_them() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "600"), ("MASS_LOSS_STALE_SECS", "7200")]);
    let page = page_with(&mut ingester, "/", "collector in order");
    assert!(!page.contains("down or stale"), "{page}");
    assert_eq!(db.rows("SELECT stale_routes_secs, mass_loss_stale_secs FROM collectors"), ["600|7200"]);
    db.client()
        .batch_execute(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
                 VALUES ('there', gen_random_uuid(), now() + interval '1 hour', now(), '1');
             INSERT INTO routers (router_id) SELECT '10.9.0.' || i FROM generate_series(1, 103) i;
             INSERT INTO router_owner (router_id, collector_id, epoch)
                 SELECT router_id, CASE router_id WHEN '10.9.0.3' THEN 'there' ELSE 'test' END, 1 FROM routers;
             INSERT INTO bmp_sessions (router_id, collector_id, state, since) VALUES
                 ('10.9.0.1', 'test', 'up', now()), ('10.9.0.2', 'test', 'dumping', now()), ('10.9.0.3', 'there', 'up', now()),
                 ('10.9.0.4', 'test', 'stale', '2098-01-02 03:04:05+00');
             INSERT INTO rib_sync_status (router_id, table_name, afi, synced_at, stale_since) VALUES
                 ('10.9.0.3', 'global', 4, now(), NULL), ('10.9.0.4', 'global', 4, NULL, '2098-01-02 03:04:05+00')",
        )
        .unwrap();
    let page = page_with(&mut ingester, "/", "100 of 103 routers are down or stale");
    assert!(
        page.contains("<a class=\"pill bad\" href=\"/?state=lost#routers\">") && page.contains("collector in order"),
        "{page}"
    );
    assert!(page.contains("<dt>Routers connected</dt><dd><b>3</b><span>of 103"), "{page}");
    let rows = |page: &str, word: &str| page.matches(&format!("\">{word}</span></td><td class=\"name\">")).count();
    let lost = page_with(&mut ingester, "/?state=lost", "10.9.0.4");
    assert_eq!((rows(&lost, "stale"), rows(&lost, "down"), rows(&lost, "up")), (1, 99, 0), "{lost}");
    let sentence = "lost since 2098-01-02 03:04:05 UTC, its routes expire at 2098-01-02 03:14:05 UTC";
    assert!(lost.contains(sentence), "{lost}");
    page_with(&mut ingester, "/router?id=10.9.0.4", sentence);
    // A router that is connected to another collector is connected.
    let there = page_with(&mut ingester, "/?state=up", " at there");
    assert_eq!(rows(&there, "up"), 2, "{there}");
    let there = page_with(&mut ingester, "/router?id=10.9.0.3", "in sync");
    assert!(there.contains(">up<") && !there.contains(">stale<"), "{there}");
}

#[test]
fn a_router_is_connected_until_its_collector_is_gone() {
    let db = TestDb::migrated();
    let mut here = Ingester::start(&db.url(), &[("COLLECTOR_ID", "here")]);
    let there = Ingester::start(&db.url(), &[("COLLECTOR_ID", "there")]);
    let mut router = there.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(loc_rib(), &Open::of(64_500, ROUTER), Some("global")));
    router.send(&announce("10.1.0.0/16", &[64_500]));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib(2, 1)));
    let page = page_with(&mut here, "/?state=up", " at there");
    assert!(
        page.contains("<dt>Routers connected</dt><dd><b>1</b><span>of 1") && !page.contains("down or stale"),
        "{page}"
    );
    page_with(&mut here, "/router?id=10.255.0.1", ">in sync<");
    // The series of that collector, not of this one.
    assert!(!here.get("/metrics").2.contains("rib_ingester_session_up{"));
    there.kill();
    let page = page_with(&mut here, "/?state=no+collector", ">no collector</span>");
    assert!(page.contains("1 of 1 routers is down or stale") && page.contains("lost since "), "{page}");
}

#[test]
fn an_announced_empty_table_keeps_no_router_dumping() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("EOR_TIMEOUT_SECS", "1")]);
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(loc_rib(), &Open::of(64_500, ROUTER), Some("global")));
    let complete = "SELECT count(*), count(synced_at), count(*) FILTER (WHERE eor_seen) FROM rib_sync_status";
    // A router that sends only its Loc-RIB has peers anyway, whose tables are expected and stay empty.
    router.send(&bmp::peer_up(Peer::global_instance("192.0.2.9", 64_501), &Open::of(64_500, ROUTER), None));
    eventually("the empty tables count as complete", || (db.rows(complete) == ["2|2|0"]).then_some(()));
    let adj_ribs = "SELECT count(synced_at) FROM adj_rib_in_sync_status";
    eventually("those of the neighbor too", || (db.rows(adj_ribs) == ["2"]).then_some(()));
    eventually("and the session as up", || {
        (db.rows("SELECT state FROM router_states JOIN bmp_sessions USING (router_id, state)") == ["up"]).then_some(())
    });
    assert_eq!(db.rows("SELECT all_afis_synced FROM routers_overview"), ["t"]);
    let page = page_with(&mut ingester, "/?state=up", ">edge1<");
    assert!(page.contains("<td class=\"number\" data-name=\"tables\">4/4</td>"), "{page}");
    let page = page_with(&mut ingester, "/router?id=10.255.0.1", ">in sync<");
    assert!(page.matches(">in sync<").count() >= 2 && !page.contains(">dumping<"), "{page}");
    let status = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .env_clear()
        .args(["status", ROUTER])
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .output()
        .unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("(edge1): up since ") && status.matches("  complete ").count() == 2, "{status}");
    // The alert on dumps that do not end compares with 0.
    let (_, _, text) = ingester.get("/metrics");
    let series = text.lines().filter(|line| line.starts_with("rib_ingester_table_synced{"));
    assert_eq!(series.map(|line| line.ends_with("} 1")).collect::<Vec<_>>(), [true; 4], "{text}");
}

#[test]
fn a_silent_database_delays_the_page_not_the_writers() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    let mut client = db.client();
    let mut locked = client.transaction().unwrap();
    eventually("the router's row", || {
        let rows = locked.query_one("SELECT count(*) FROM router_owner", &[]).unwrap();
        Some(rows.get::<_, i64>(0)).filter(|count| *count == 1)
    });
    // Until the end of this transaction no other session can read this table, which writers do not.
    locked.batch_execute("LOCK TABLE watch.incidents IN ACCESS EXCLUSIVE MODE").unwrap();
    let page = page_with(&mut ingester, "/", "lock timeout");
    assert!(page.contains("could not be read"), "{page}");
    // Live data is shown anyway.
    assert!(page.contains(ROUTER), "{page}");
    router.send(&announce("10.1.0.0/16", &[64_500]));
    eventually("written while the page waits", || {
        Some(db.rows("SELECT count(*) FROM current_routes")).filter(|rows| rows[0] == "1")
    });
    locked.rollback().unwrap();
}

#[test]
fn without_a_database_the_page_says_so() {
    let db = TestDb::create();
    let mut ingester = Ingester::spawn("postgresql://writer:hunter2@127.0.0.1:1/rib", &[]);
    let page = page_with(&mut ingester, "/", "could not be read");
    assert!(page.contains("not ready") && page.contains("<b>database</b>") && !page.contains("hunter2"), "{page}");
    drop(db);
}
