//! Pages of a large or a strange database: their length, the order of their contents, and the targets of the search
//! box.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Instant;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, answer, eventually};
use crate::common::pg::TestDb;

/// Peers of a large router.
const PEERS: usize = 8_000;

/// No page is longer, whatever is stored.
const BYTES_MAX: usize = 160_000;

/// A collector whose tables and partitions exist.
fn started(db: &TestDb) -> Ingester {
    let ingester = Ingester::start(&db.url(), &[]);
    let partitions = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'route_events'::regclass";
    eventually("the partitions of today and tomorrow", || (db.rows(partitions).len() == 2).then_some(()));
    ingester
}

/// The page, which must exist and be of bounded size.
fn page(ingester: &mut Ingester, target: &str) -> String {
    let began = Instant::now();
    let (status, head, body) = ingester.get(target);
    println!("{target}: {} bytes in {:?}", body.len(), began.elapsed());
    assert_eq!(status, 200, "{target}: {head}");
    assert!(body.len() < BYTES_MAX, "{target}: {} bytes", body.len());
    assert!(!body.contains("could not be read"), "{target}: {body}");
    body
}

/// The part of a page between two texts.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let start = page.find(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    let end = page[start..].find(to).unwrap_or_else(|| panic!("no {to} after {from} in {page}"));
    &page[start..start + end]
}

/// The target that a request is redirected to.
fn redirect(ingester: &mut Ingester, target: &str) -> String {
    let (status, head, _) = ingester.get(target);
    assert_eq!(status, 303, "{target}: {head}");
    let location = head.lines().find_map(|line| line.strip_prefix("Location: "));
    location.unwrap_or_else(|| panic!("{target}: {head}")).to_owned()
}

/// A router with a default route from each of many peers, before and after policy, and with Loc-RIB tables.
fn fill_large_router(db: &TestDb) {
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, hostname, as_number) VALUES ('10.0.0.1', 'large', 64500);
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, last_reason, description)
             SELECT '10.0.0.1', 'global', '10.200.0.0'::inet + i, 64501, CASE WHEN i % 100 = 0 THEN 'down' ELSE 'up' END,
                    'hold timer expired', 'customer <b>' || i FROM generate_series(1, {PEERS}) i;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, nexthop, as_path, origin_asn)
             SELECT '10.0.0.1', '10.200.0.0'::inet + i, 64501, post, 'UNKNOWN', 4, '0.0.0.0/0', '192.0.2.1', '64501 64999', 64999
             FROM generate_series(1, {PEERS}) i, (VALUES (true), (false)) p(post);
             INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen)
             SELECT '10.0.0.1', 'vrf-' || lpad(i::text, 4, '0'), 4, true FROM generate_series(1, 1000) i;
             INSERT INTO routers (router_id) VALUES ('10.0.0.9'), ('10.0.0.10');
             INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path)
             VALUES ('10.0.0.10', 'global', 4, '0.0.0.0/0', '192.0.2.10', ''), ('10.0.0.9', 'global', 4, '0.0.0.0/0', '192.0.2.9', '')"
        ))
        .unwrap();
}

#[test]
fn a_router_with_many_peers_is_a_page_of_bounded_size() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    fill_large_router(&db);
    let first = page(&mut ingester, "/router?id=10.0.0.1");
    assert!(first.contains("8\u{202f}000: 7\u{202f}920 up, 80 down"), "{first}");
    assert!(first.contains("<details><summary>"), "peers are folded");
    let peers = between(&first, "<section id=\"peers\"", "</section>");
    assert!(
        peers.contains("page 1 of 80") && peers.contains("customer &lt;b&gt;100<") && !peers.contains("<b>100"),
        "{peers}"
    );
    assert_eq!(peers.matches("<tr><td>").count(), 100);
    // Peers that are down are first.
    assert_eq!(peers.matches(">down<").count(), 80);
    let tables = between(&first, "<section id=\"tables\"", "</section>");
    assert!(tables.contains("page 1 of 10") && tables.contains("vrf-0100") && !tables.contains("vrf-0101"), "{tables}");

    let last = page(&mut ingester, "/router?id=10.0.0.1&peers=4711&tables=2");
    assert!(
        last.contains("page 80 of 80") && last.contains("10.200.31.63") && last.contains("<details open><summary>")
    );
    // The links of one list leave the other one unchanged.
    assert!(last.contains("tables=2&amp;peers=79") && last.contains("tables=3&amp;peers=4711"), "{last}");
    assert!(last.contains("vrf-0200") && !last.contains("vrf-0201"));
    for nonsense in ["peers=0", "peers=-1", "peers=x", "peers=99999999999999999999"] {
        page(&mut ingester, &format!("/router?id=10.0.0.1&{nonsense}"));
    }
}

#[test]
fn a_lookup_with_thousands_of_answers_has_pages() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    fill_large_router(&db);
    for target in ["/lookup?q=198.51.100.7", "/lookup?q=0.0.0.0/0"] {
        let first = page(&mut ingester, target);
        assert!(first.contains("Longest match on 3 routers, 16\u{202f}002 paths"), "{first}");
        assert_eq!(first.matches("<tr><td class=\"name\">").count(), 100);
        assert!(first.contains("page 1 of 161"));
        // Loc-RIBs first, by address as numbers.
        let place = |text: &str| first.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(
            place("id=10.0.0.9\"") < place("id=10.0.0.10\"")
                && place("id=10.0.0.10\"") < place("in-pre of 10.200.0.1<")
        );
        let last = page(&mut ingester, &format!("{target}&page=4711"));
        assert!(
            last.contains("page 161 of 161")
                && last.contains("in-post of 10.200.31.64")
                && !last.contains("in-pre of 10.200.0.1<")
        );
        assert_eq!(last.matches("<tr><td class=\"name\">").count(), 2);
    }
    let none = page(&mut ingester, "/lookup?q=2001:db8::1&page=9");
    assert!(none.contains("No router has a route that covers it"));
}

#[test]
fn loc_ribs_precede_peers_whatever_their_names() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = ingester.connect();
    let (loc_rib, peer) = (Peer::loc_rib("10.255.0.1"), Peer::global_instance("192.0.2.1", 64_501));
    let open = Open::of(64_500, "10.255.0.1");
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(loc_rib, &open, Some("zz adj-rib-in-pre of 192.0.2.1")));
    router.send(&bmp::peer_up(peer, &open, None));
    let routes = bmp::announce(&Attributes::path(&[64_501]), "192.0.2.1", &["10.1.0.0/16"]);
    router.send(&bmp::route_monitoring(loc_rib, &routes)).send(&bmp::route_monitoring(peer, &routes));
    let page = eventually("both tables are on the page", || {
        let (_, _, page) = ingester.get("/router?id=10.255.0.1");
        (page.contains("UNKNOWN adj-rib-in-pre of 192.0.2.1") && page.contains("<section id=\"peers\"")).then_some(page)
    });
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    let order = [place("id=\"tables\""), place("Changes per minute"), place("id=\"peers\""), place("id=\"adj\"")];
    assert!(order.is_sorted(), "{order:?}");
    let loc_ribs = between(&page, "<section id=\"tables\"", "</section>");
    assert!(loc_ribs.contains("zz adj-rib-in-pre of 192.0.2.1") && !loc_ribs.contains("UNKNOWN"), "{loc_ribs}");
    let adj_ribs = between(&page, "<section id=\"adj\"", "</section>");
    assert!(adj_ribs.contains("UNKNOWN adj-rib-in-pre") && !adj_ribs.contains("zz adj-rib-in-pre"), "{adj_ribs}");
    assert!(page.contains("BMP sessions of edge1") && page.contains("<table class=\"sessions\">"), "{page}");
}

#[test]
fn an_as_leads_to_its_prefixes_routers_and_peers() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, hostname, as_number) VALUES ('10.0.0.1', 'edge1', 64500), ('10.0.0.2', '<i>edge2', 64500),
                 ('10.0.0.3', 'edge3', 645001);
             INSERT INTO current_routes (router_id, table_name, afi, prefix, origin_asn)
             SELECT '10.0.0.' || r, 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), 64500
             FROM generate_series(1, 2) r, generate_series(1, 250) i
             UNION ALL SELECT '10.0.0.1', 'global', 6, '2001:db8:64::/48', 4200000000;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn)
             VALUES ('10.0.0.3', '192.0.2.1', 64500, true, 'UNKNOWN', 4, '10.0.1.0/24', 64500);
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, description)
             VALUES ('10.0.0.3', 'global', '192.0.2.1', 64500, 'up', 'transit <i>'), ('10.0.0.3', 'global', '192.0.2.2', 64501, 'up', 'other')",
        )
        .unwrap();
    for text in ["AS64500", "as+64500", "64500", "AS0.64500"] {
        let found = page(&mut ingester, &format!("/lookup?q={text}"));
        let prefixes = between(&found, "<section id=\"prefixes\"", "</section>");
        assert!(
            prefixes.contains("page 1 of 3") && prefixes.contains("<span class=\"faint\">250</span>"),
            "{prefixes}"
        );
        assert_eq!(prefixes.matches("<tr><td class=\"name\">").count(), 100);
        // In the Loc-RIBs of two routers and in an Adj-RIB-In of a third.
        let counts = between(prefixes, ">10.0.1.0/24<", "</tr>");
        assert!(
            counts.contains("routers\">3<") && counts.contains("Loc-RIB\">2<") && counts.contains("Adj-RIB-In\">1<"),
            "{counts}"
        );
        assert!(
            found.contains("2 routers in this AS") && found.contains("edge1") && found.contains("&lt;i&gt;edge2"),
            "{found}"
        );
        let peers = between(&found, "<section id=\"peers\"", "</section>");
        assert!(
            peers.contains("192.0.2.1<") && peers.contains("transit &lt;i&gt;") && peers.contains(">edge3<"),
            "{peers}"
        );
        assert!(!peers.contains("192.0.2.2"), "{peers}");
    }
    let second = page(&mut ingester, "/lookup?q=AS64500&prefixes=3");
    assert!(second.contains("page 3 of 3") && second.contains(">10.0.250.0/24<") && !second.contains(">10.0.1.0/24<"));
    assert!(page(&mut ingester, "/lookup?q=4200000000").contains(">2001:db8:64::/48<"));
    let none = page(&mut ingester, "/lookup?q=AS4711");
    assert!(none.contains("No router is in this AS") && none.contains("The search box takes"), "{none}");
}

#[test]
fn an_as_with_more_routes_than_are_counted_says_so() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    db.client()
        .batch_execute(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, origin_asn)
             SELECT '10.0.0.1', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), 64500 FROM generate_series(1, 12000) i;
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state)
             SELECT '10.0.0.1', 'global', '10.0.0.0'::inet + i, 64500, 'up' FROM generate_series(1, 12000) i",
        )
        .unwrap();
    let found = page(&mut ingester, "/lookup?q=AS64500");
    assert_eq!(found.matches("10\u{202f}000 or more").count(), 2, "{found}");
    assert!(found.contains("this AS has more") && found.contains("page 1 of 100"), "{found}");
}

#[test]
fn what_one_router_answers_to_leads_to_its_page() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, router_ip, hostname) VALUES
                 ('10.0.0.1', '192.0.2.1', 'edge1.example.net'), ('10.0.0.2', '192.0.2.2', 'edge10'), ('10.0.0.3', '192.0.2.2', 'edge1'),
                 ('a&b c', '192.0.2.4', 'odd'), ('10.0.0.5', '10.0.0.1', 'behind');
             INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES ('10.0.0.1', 'global', 4, '10.0.0.0/24')",
        )
        .unwrap();
    for (text, id) in [
        // A part of one name alone, a whole name that is a part of others, an identifier, an address.
        ("EXAMPLE.NET", "10.0.0.1"),
        ("Edge1", "10.0.0.3"),
        ("10.0.0.2", "10.0.0.2"),
        ("192.0.2.1", "10.0.0.1"),
        ("odd", "a%26b+c"),
        ("a%26b+c", "a%26b+c"),
        // An identifier, although another router connected from that address.
        ("10.0.0.1", "10.0.0.1"),
    ] {
        assert_eq!(redirect(&mut ingester, &format!("/lookup?q={text}")), format!("/router?id={id}"), "{text}");
    }
    assert!(page(&mut ingester, "/router?id=a%26b+c").contains("<h1>odd "));
    // Two routers connected from it: it is an address like any other.
    assert!(page(&mut ingester, "/lookup?q=192.0.2.2").contains("192.0.2.2/32"));
    let several = page(&mut ingester, "/lookup?q=edge");
    assert!(several.contains("3 routers") && several.contains("edge10"), "{several}");
    // A prefix means its routes, and so does a link of an address's own page.
    for target in ["/lookup?q=10.0.0.1/32", "/lookup?q=10.0.0.1&hours=24", "/lookup?q=10.0.0.1&page=1"] {
        assert!(page(&mut ingester, target).contains(">10.0.0.0/24<"), "{target}");
    }
    for (text, shown) in
        [("nobody", "nobody"), ("%3Cb%3E", "&lt;b&gt;"), ("999.1.1.1", "999.1.1.1"), ("4294967296", "4294967296")]
    {
        let none = page(&mut ingester, &format!("/lookup?q={text}"));
        assert!(
            none.contains(&format!("Nothing found for <q>{shown}</q>")) && none.contains("The search box takes"),
            "{none}"
        );
    }
    assert!(page(&mut ingester, "/lookup").contains("The search box takes"));
    // A line end in the text does not end a header.
    let (status, head, _) = ingester.get("/lookup?q=odd%0d%0aSet-Cookie:%20a=b");
    assert!(status == 200 && !head.contains("Set-Cookie"), "{head}");
}

#[test]
fn a_missing_page_helps_a_browser_and_is_short() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    let (status, head, body) = ingester.browse("/no/such/page");
    assert!(status == 404 && head.contains("Content-Type: text/html"), "{head}");
    assert!(head.contains("Content-Security-Policy: default-src 'none'; style-src 'sha256-"), "{head}");
    for piece in ["<h1>Not found</h1>", "role=\"search\"", "href=\"/\"", "href=\"/#routers\"", "The search box takes"] {
        assert!(body.contains(piece), "no {piece} in {body}");
    }
    let (status, head, body) = ingester.get("/no/such/page");
    assert!(status == 404 && head.contains("Content-Type: text/plain"), "{head}");
    assert!(body.contains("/lookup") && body.len() < 200, "{body}");
    let (status, _, body) = ingester.get("/router?id=%3Cnobody%3E");
    assert!(status == 404 && body.contains("<q>&lt;nobody&gt;</q>") && body.contains("The search box takes"), "{body}");
    // A HEAD request gets the head only.
    let (status, head, body) = answer(ingester.http(), b"HEAD /nowhere HTTP/1.1\r\nAccept: text/html\r\n\r\n");
    assert!(status == 404 && body.is_empty() && head.contains("Content-Length: "), "{head}");
}

#[test]
fn lists_of_events_name_routers_and_the_time_zone() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, hostname) VALUES ('10.0.0.1', '<i>edge1');
             INSERT INTO session_events (event_time, router_id, kind) VALUES
                 ('2026-01-02 03:04:05+00', '10.0.0.1', 'session_up'), ('2026-01-02 03:04:06+00', '10.0.0.9', 'session_lost');
             INSERT INTO rib_sync_status (router_id, table_name, afi) VALUES ('10.0.0.1', 'global', 4);
             INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES ('10.0.0.1', 'global', 4, '10.0.0.0/24');
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path) VALUES
                 ('x', clock_timestamp(), '10.0.0.1', 'global', 4, '10.0.0.0/24', 'A', '64500'),
                 ('y', clock_timestamp(), '10.0.0.1', 'global', 4, '10.0.0.0/24', 'A', '64501')",
        )
        .unwrap();
    let overview = page(&mut ingester, "/");
    let events = between(&overview, "<ol class=\"events\">", "</ol>");
    assert!(
        events.contains("02 Jan 03:04:05 UTC<") && events.contains("title=\"2026-01-02 03:04:05 UTC\""),
        "{events}"
    );
    assert!(events.contains(">&lt;i&gt;edge1</a> <span class=\"faint\">10.0.0.1</span>"), "{events}");
    assert!(events.contains(">10.0.0.9</a>"), "{events}");
    // No router is connected: the name is from the database.
    let lookup = page(&mut ingester, "/lookup?q=10.0.0.7");
    assert_eq!(lookup.matches(">&lt;i&gt;edge1</a> <span class=\"faint\">10.0.0.1 global").count(), 4, "{lookup}");
    // A lane that shows what is there now and the latest change.
    let lane = between(&lookup, "<ol class=\"lanes\">", "</ol>");
    assert!(lane.contains("aria-label=\"lane 1: 2 announced, 0 withdrawn\"") && lane.contains(">64501<"), "{lane}");
    assert!(lookup.contains("AS path changed") && lookup.contains("Time (UTC)"), "{lookup}");
}

#[test]
fn two_paths_of_one_prefix_have_lanes_of_their_own() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    db.client()
        .batch_execute(
            "INSERT INTO rib_sync_status (router_id, table_name, afi) VALUES ('10.0.0.1', 'global', 4), ('10.0.0.1', 'blue', 4);
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, path_id, as_path, rib, peer_address, is_post_policy)
             SELECT n::text::bytea, clock_timestamp() - interval '1 s' * n, '10.0.0.1', t, 4, '10.0.0.0/24', a, p, '6450' || n, rib, peer::inet, false
             FROM (VALUES (1, 'global', 'A', 1, NULL, NULL), (2, 'global', 'A', 2, NULL, NULL), (3, 'blue', 'D', NULL, NULL, NULL),
                          (4, 'global', 'A', NULL, 'adj-rib-in', '192.0.2.1'), (5, 'global', 'A', NULL, 'adj-rib-in', '192.0.2.2'),
                          (6, 'global', 'D', 1, NULL, NULL)) v(n, t, a, p, rib, peer)",
        )
        .unwrap();
    let lookup = page(&mut ingester, "/lookup?q=10.0.0.0/24&hours=1");
    let lanes = between(&lookup, "<ol class=\"lanes\">", "</ol>");
    assert_eq!(lanes.matches("<li>").count(), 5, "{lanes}");
    for text in ["path 1<", "path 2<", "in-pre of 192.0.2.1<", "in-pre of 192.0.2.2<", "blue<"] {
        assert_eq!(lanes.matches(text).count(), 1, "{text} in {lanes}");
    }
    assert_eq!(lanes.matches(": 1 announced, 1 withdrawn").count(), 1, "{lanes}");
    // A route whose first event is a withdrawal was there before: from the beginning of its lane.
    assert_eq!(lanes.matches("<rect class=\"there\" x=\"0\"").count(), 2, "{lanes}");
    let entries = between(&lookup, "<table class=\"events\">", "</table>");
    assert_eq!(entries.matches("data-name=\"lane\"").count(), 6, "{entries}");
    assert!(entries.contains("<span class=\"faint\">again</span>"), "{entries}");
}

#[test]
fn a_browser_gets_html_when_the_pages_are_busy() {
    let db = TestDb::migrated();
    let mut ingester = started(&db);
    let http = ingester.http();
    let mut client = db.client();
    let mut locked = client.transaction().unwrap();
    // Pages wait for this lock until their statements end.
    locked.batch_execute("LOCK TABLE routers IN ACCESS EXCLUSIVE MODE").unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    let (answered, answers) = std::sync::mpsc::channel();
    for _ in 0..40 {
        let answered = answered.clone();
        std::thread::spawn(move || answered.send(answer(http, request)));
    }
    // The first answers are those that report it.
    let busy: Vec<_> = answers.iter().take(10).collect();
    locked.rollback().unwrap();
    for (status, head, body) in busy {
        assert!(
            status == 503
                && head.contains("text/html")
                && body.contains("<h1>Not now</h1>")
                && body.contains("try again"),
            "{head}\n{body}"
        );
    }
}
