//! Checks that everyone can use the pages: the rules that the text of every page shows, with the contrasts of the
//! style; and all of axe-core's rules in a real browser, on a desktop and on a phone, in light and dark.
//!
//! The latter needs Chromium, and axe-core's file `axe.min.js` named by `RIB_INGESTER_TEST_AXE`, which `scripts/test`
//! fetches.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::browser::{Browser, DARK};
use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;

const STYLE: &str = include_str!("../../src/http/pages/style.css");

/// Pages by their contents.
const PAGES: [(&str, &str, u16); 29] = [
    ("overview", "/", 200),
    ("overview that finds nothing", "/?find=nobody&state=lost", 200),
    ("router", "/router?id=10.0.0.1", 200),
    ("router with its lists open", "/router?id=10.0.0.1&peers=2&tables=2&adj=1", 200),
    ("routes of another family", "/nlri?id=10.0.0.1&view=loc-rib&table=global|nlri:25/70&page=2", 200),
    ("routes of a table that is not there", "/nlri?id=10.0.0.1&view=loc-rib&table=nothing", 200),
    ("router that is not there", "/router?id=nobody", 404),
    ("lookup", "/lookup?q=10.0.0.200", 200),
    ("lookup, a page in the middle", "/lookup?q=10.0.0.200&page=2", 200),
    ("lookup without a route", "/lookup?q=2001:db8::1", 200),
    ("AS", "/lookup?q=AS64500", 200),
    ("AS that is not there", "/lookup?q=4711", 200),
    ("routers by name", "/lookup?q=edge", 200),
    ("nothing found", "/lookup?q=nobody", 200),
    ("empty search", "/lookup?q=", 200),
    ("incidents", "/incidents", 200),
    ("incident", "/incidents?id=1", 200),
    ("incident that is not there", "/incidents?id=4711", 404),
    ("inventory", "/inventory", 200),
    ("inventory that finds nothing", "/inventory?state=bad&find=nobody", 200),
    ("sessions", "/sessions", 200),
    ("sessions that find nothing", "/sessions?bad=yes&find=nobody", 200),
    ("teams", "/tenants", 200),
    ("team", "/tenants?id=blue", 200),
    ("team that is not there", "/tenants?id=nobody", 404),
    ("watches", "/watches", 200),
    ("watch", "/watches?id=1", 200),
    ("watch that is not there", "/watches?id=4711", 404),
    ("no such page", "/nowhere", 404),
];

/// Twelve routers, one with lists of several pages, and a prefix with history.
fn filled(db: &TestDb) -> Ingester {
    // Without an evaluator, the incidents stay.
    let ingester = Ingester::start(&db.url(), &[("WATCH", "off")]);
    let partitions = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'route_events'::regclass";
    eventually("the partitions of today and tomorrow", || (db.rows(partitions).len() == 2).then_some(()));
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, router_ip, hostname, as_number, description)
             SELECT '10.0.0.' || i, '192.0.2.1'::inet + i, 'edge' || i, 64500, 'made by a test' FROM generate_series(1, 120) i;
             INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen)
             SELECT '10.0.0.1', 'vrf-' || i, 4, true FROM generate_series(1, 250) i UNION ALL VALUES ('10.0.0.1', 'global', 4, true);
             INSERT INTO registry.routers (uuid, name) VALUES ('00000000-0000-0000-0000-000000000001', 'edge1');
             INSERT INTO registry.bgp_sessions (router, asn, status, ipv4)
             SELECT '00000000-0000-0000-0000-000000000001', 64500, i % 7, '10.200.0.' || i FROM generate_series(1, 120) i;
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, last_reason, description)
             SELECT '10.0.0.1', 'global', '10.200.0.0'::inet + i, 64500, CASE WHEN i % 2 = 0 THEN 'down' ELSE 'up' END, 'hold timer', 'peer'
             FROM generate_series(1, 250) i;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, nexthop, as_path, origin,
                                     origin_asn, communities_std)
             SELECT '10.0.0.1', '10.200.0.0'::inet + i, 64500, true, 'UNKNOWN', 4, '10.0.0.0/24', '192.0.2.1',
                    '64500 64501 64502 64503 64504 64505 64506 64507', 'IGP', 64500, '{64500:1,64500:2}'
             FROM generate_series(1, 250) i;
             INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path, origin, origin_asn)
             SELECT '10.0.0.1', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), '192.0.2.1', '64500', 'IGP', 64500
             FROM generate_series(0, 250) i;
             INSERT INTO nlri_loc_rib_sync_status (router_id, table_name, afi) VALUES ('10.0.0.1', 'global|nlri:25/70', 6);
             INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix, nexthop, as_path, attrs)
             SELECT '10.0.0.1', 'global|nlri:25/70', 6, '2001:db8::'::inet + i, '192.0.2.1', '64500',
                    jsonb_build_object('nlri', '{}'::jsonb, 'nlri_key', 'evpn:2:rd=0:65000:1:mac=' || i, 'nlri_afi', 25, 'nlri_safi', 70)
             FROM generate_series(1, 250) i;
             INSERT INTO inventory.sites (id, name) VALUES (1, 'fra1');
             INSERT INTO inventory.nodes (id, name, site_id) VALUES (1, 'n1', 1);
             INSERT INTO inventory.containers (id, hostname, node_id, ipv4_address)
             SELECT i, 'container-with-a-long-name-' || i || '.internal.example.com', 1, '10.0.0.0'::inet + i FROM generate_series(1, 120) i;
             INSERT INTO inventory.services (container_id, type, container_port) SELECT i, 'transport', 443 FROM generate_series(1, 120) i;
             INSERT INTO tenant.teams (id, name, mail) SELECT 'team' || i, 'Team ' || i, 'noc@example.net' FROM generate_series(1, 120) i;
             INSERT INTO tenant.teams (id, name) VALUES ('blue', 'Blue');
             INSERT INTO tenant.resources (team_id, prefix, origin_asn) VALUES ('blue', '192.0.2.0/24', 64496);
             INSERT INTO tenant.domains (team_id, id, hostname) VALUES ('blue', 'd', 'www.example.com');
             INSERT INTO tenant.dns_records (team_id, domain_id, type, content, state) VALUES ('blue', 'd', 'A', '203.0.113.1', 'not_permitted');
             INSERT INTO tenant.incidents (team_id, domain_id, severity, state, title)
             SELECT 'blue', 'd', severity, 'investigating', 'GONE 192.0.2.1' FROM unnest('{critical,major,minor}'::text[]) AS severity;
             INSERT INTO watch.watches (name, kind, prefix, note, runbook_url, expected_origins)
             SELECT 'web' || i, 'prefix', '192.0.2.0/24', 'a note', 'https://example.net/', '{64496}' FROM generate_series(1, 120) i;
             INSERT INTO watch.conditions (watch_id, vantage, router_id, table_name, condition, subject, since, detail)
             SELECT 1, '10.0.0.' || i || '/global', '10.0.0.' || i, 'global', 'origin', '192.0.2.0/24 AS64511', now(),
                    '{\"path\": \"64500 64501 64502 64503 64504 64505 64506 64507 64511\"}' FROM generate_series(1, 20) i;
             INSERT INTO watch.incidents (cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known, summary)
             SELECT 'x' || i, 1, 'origin', severity, 'open', now(), now(), 3, 4,
                    'HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; 3 of 4 routers (edge1, edge2, edge3), path 64500 64511'
             FROM unnest('{critical,error,warning,info}'::text[]) WITH ORDINALITY AS of (severity, i);
             INSERT INTO watch.incidents (cause_key, condition, severity, state, opened_at, cause_at, closed_at, affected, known, summary)
             SELECT 'y' || i, 'missing', 'warning', 'closed', now(), now(), now(), 0, 4, 'OVER after 12 min: GONE 192.0.2.0/24'
             FROM generate_series(1, 120) i;
             INSERT INTO watch.incident_events (incident_id, event, who, note, severity, state, affected, known, summary, is_told)
             VALUES (1, 'opened', 'ada', 'a note', 'critical', 'open', 3, 4, 'HIJACK? 192.0.2.0/24', true);
             INSERT INTO watch.silences (starts_at, ends_at, router_id, created_by, note)
             VALUES (now(), now() + interval '1 h', '10.0.0.1', 'ada', 'new cards');
             INSERT INTO bmp_sessions (router_id, collector_id, source, state, reason)
             SELECT '10.0.0.1', 'other', '192.0.2.1', state, 'a reason' FROM unnest('{up,stale,ended}'::text[]) state;
             INSERT INTO session_events (router_id, table_name, peer_address, afi, kind, reason, routes)
             VALUES ('10.0.0.1', 'global', NULL, 4, 'end_of_rib', NULL, 5), ('10.0.0.1', NULL, '192.0.2.1', NULL, 'peer_down', 'a reason', NULL),
                    (NULL, NULL, '192.0.2.99', NULL, 'refused', 'not in the list', NULL);
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, path_id, nexthop, as_path, localpref, med)
             SELECT n::text::bytea, clock_timestamp() - interval '1 s' * n, '10.0.0.1', 'global', 4, '10.0.0.0/24',
                    (CASE WHEN n % 3 = 0 THEN 'D' ELSE 'A' END)::char, n % 30, '192.0.2.1', '64500 64501 64502 64503 64504 64505 64506 64507', 100, n
             FROM generate_series(1, 60) n",
        )
        .unwrap();
    ingester
}

/// The opening tags of a page: names with attributes.
fn tags(page: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let pieces = page.split('<').skip(1).filter(|piece| piece.starts_with(|c: char| c.is_ascii_alphabetic()));
    pieces.map(|piece| tag(piece.split('>').next().unwrap())).collect()
}

fn tag(text: &str) -> (String, BTreeMap<String, String>) {
    let (name, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut attributes = BTreeMap::new();
    while !rest.trim().is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(after) => after.split_once('"').expect("the end of a value"),
            None => ("", after),
        };
        attributes.insert(key.trim().to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    (name.to_owned(), attributes)
}

/// The violations in a page, as far as its text shows them.
fn faults(page: &str) -> Vec<String> {
    let tags = tags(page);
    let all =
        |name: &str| tags.iter().filter(|(of, _)| of == name).map(|(_, attributes)| attributes).collect::<Vec<_>>();
    let mut faults = Vec::new();
    let mut check = |is_good: bool, fault: &str| {
        if !is_good {
            faults.push(fault.to_owned());
        }
    };
    check(all("html").iter().all(|html| html.get("lang").is_some_and(|lang| lang == "en")), "no language");
    let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    check(title.len() > " · rib-ingester".len(), "no title");
    for landmark in ["main", "header", "footer", "h1"] {
        check(all(landmark).len() == 1, &format!("{} of {landmark}", all(landmark).len()));
    }
    let mut level = 0;
    for (name, _) in &tags {
        if let Some(next) = name.strip_prefix('h').and_then(|digit| digit.parse::<u32>().ok()) {
            check(next <= level + 1, &format!("h{next} after h{level}"));
            level = next;
        }
    }
    let labeled: Vec<&String> = all("label").iter().filter_map(|label| label.get("for")).collect();
    for input in all("input").iter().filter(|input| input.get("type").is_none_or(|kind| kind != "hidden")) {
        let has_label = input.contains_key("aria-label") || input.get("id").is_some_and(|id| labeled.contains(&id));
        check(has_label, &format!("an input without a label: {input:?}"));
    }
    check(page.contains("<form class=\"search\" action=\"/lookup\" method=\"get\" role=\"search\">"), "no search box");
    for name in ["nav", "svg"] {
        check(
            all(name).iter().all(|one| one.get("aria-label").is_some_and(|label| !label.is_empty())),
            &format!("a {name} without a label"),
        );
    }
    let mut navs: Vec<&String> = all("nav").iter().filter_map(|nav| nav.get("aria-label")).collect();
    navs.sort();
    check(navs.windows(2).all(|two| two[0] != two[1]), &format!("two of one name: {navs:?}"));
    check(all("th").iter().all(|head| head.contains_key("scope")), "a heading of a table without a scope");
    let mut ids: Vec<&String> = tags.iter().filter_map(|(_, attributes)| attributes.get("id")).collect();
    ids.sort();
    check(ids.windows(2).all(|two| two[0] != two[1]), &format!("two of one id: {ids:?}"));
    let is_scrollable = |attributes: &&BTreeMap<String, String>| {
        attributes.get("class").is_some_and(|class| class.split(' ').any(|one| one == "scroll"))
    };
    for attributes in tags.iter().map(|(_, attributes)| attributes).filter(is_scrollable) {
        let is_reachable = attributes.get("tabindex").is_some_and(|index| index == "0")
            && attributes.get("role").is_some_and(|role| role == "region")
            && attributes.contains_key("aria-label");
        check(is_reachable, &format!("a scroll box that no key reaches: {attributes:?}"));
    }
    faults
}

#[test]
fn every_page_has_headings_landmarks_labels_and_names() {
    let good = "<html lang=\"en\"><title>A · rib-ingester</title><header></header><form class=\"search\" action=\"/lookup\" method=\"get\" \
                role=\"search\"><label for=\"q\"></label><input id=\"q\" type=\"search\"></form><main><h1>A</h1><h2>B</h2></main><footer></footer>";
    assert_eq!(faults(good), Vec::<String>::new());
    for (piece, bad) in [
        ("lang=\"en\"", ""),
        ("<title>A", "<title>"),
        ("<h1>A</h1>", ""),
        ("<h2>", "<h3>"),
        ("<footer>", "<div>"),
        ("<label for=\"q\">", "<label>"),
        ("role=\"search\"", ""),
        ("<main>", "<main><nav></nav>"),
        ("<main>", "<main><nav aria-label=\"a\"></nav><nav aria-label=\"a\"></nav>"),
        ("<main>", "<main><th>"),
        ("<main>", "<main><svg></svg>"),
        ("<main>", "<main id=\"q\">"),
        ("<main>", "<main><div class=\"wide scroll\" tabindex=\"0\">"),
    ] {
        assert!(!faults(&good.replace(piece, bad)).is_empty(), "{piece} -> {bad} is not found");
    }

    let db = TestDb::migrated();
    let mut empty = Ingester::start(&db.url(), &[]);
    let (_, _, page) = empty.browse("/");
    assert!(page.contains("No router has connected yet"), "{page}");
    assert_eq!(faults(&page), Vec::<String>::new(), "the overview of an empty database");
    drop(empty);
    let mut ingester = filled(&db);
    for (name, target, wanted) in PAGES {
        let (status, _, page) = ingester.browse(target);
        assert_eq!(status, wanted, "{name}");
        assert_eq!(faults(&page), Vec::<String>::new(), "{name}: {page}");
    }
    let mut without = Ingester::spawn("postgresql://writer@127.0.0.1:1/rib", &[]);
    for (name, target, _) in PAGES {
        let (_, _, page) = without.browse(target);
        assert_eq!(faults(&page), Vec::<String>::new(), "{name} without a database: {page}");
    }
}

/// The variables of the style, light and dark.
fn colors() -> [BTreeMap<&'static str, u32>; 2] {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    let dark = dark.split("}\n}").next().unwrap();
    [light, dark].map(|scheme| {
        let variables = scheme.split("--").skip(1).filter_map(|piece| {
            let (name, rest) = piece.split_once(": #")?;
            Some((name, u32::from_str_radix(rest.get(..6)?, 16).ok()?))
        });
        variables.collect()
    })
}

/// The contrast of one color on another (WCAG 2.2, "contrast ratio").
fn contrast(one: u32, other: u32) -> f64 {
    let luminance = |color: u32| {
        let part = |shift: u32| {
            let value = f64::from(color >> shift & 0xff) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_color_of_text_stands_out_from_what_it_is_on() {
    assert!((contrast(0, 0xff_ffff) - 21.0).abs() < 0.01 && (contrast(0xc2_762b, 0xff_ffff) - 3.55).abs() < 0.01);
    for colors in colors() {
        let check = |text: &str, on: &str, least: f64| {
            let ratio = contrast(colors[text], colors[on]);
            assert!(ratio >= least, "--{text} on --{on}: {ratio:.2}, at least {least}");
        };
        for text in ["ink", "faint", "accent", "up", "down", "ok", "warn", "bad"] {
            ["page", "card", "soft"].into_iter().for_each(|on| check(text, on, 4.5));
        }
        check("ok", "ok-soft", 4.5);
        check("bad", "bad-soft", 4.5);
        // The words of buttons.
        check("card", "accent", 4.5);
        // The borders of inputs (WCAG 2.2, 1.4.11).
        check("edge", "card", 3.0);
        check("edge", "page", 3.0);
    }
}

#[test]
fn links_are_underlined_and_scroll_boxes_have_keys() {
    let rules: Vec<(&str, &str)> = STYLE.split('}').filter_map(|rule| rule.split_once('{')).collect();
    let of = |selector: &str| rules.iter().find(|(of, _)| of.trim() == selector).map_or("", |(_, rule)| rule);
    assert!(of("a").contains("text-decoration: underline"), "links");
    for (selector, rule) in &rules {
        let is_menu = selector.contains("nav a") || selector.contains(".brand");
        assert!(is_menu || !rule.contains("text-decoration: none"), "{selector} takes the line away");
        // Scroll boxes have this class, which the test searches the pages' tags for.
        let scrolls = ["overflow: auto", "overflow-x: auto", "overflow: scroll", "overflow-x: scroll"]
            .iter()
            .any(|way| rule.contains(way));
        assert!(!scrolls || selector.contains(".scroll"), "{selector} scrolls");
        assert!(!rule.contains("outline: none") && !rule.contains("outline: 0"), "{selector} hides the focus");
    }
}

/// A desktop's and a phone's window.
const WIDTHS: [u32; 2] = [1280, 390];

/// The path of axe-core.
fn axe() -> Option<String> {
    let file = std::env::var_os("RIB_INGESTER_TEST_AXE")?;
    Some(std::fs::read_to_string(Path::new(&file)).unwrap())
}

/// Each page on a desktop and on a phone: the rules that it breaks, and the width by which it exceeds its window; empty
/// where nothing is wrong. Pages are in frames, one after the other, since a browser's own window cannot be as narrow
/// as a phone.
fn verdicts(browser: &Browser, axe: &str, pages: &[(String, String)], more: &[&str]) -> Vec<String> {
    const RUN: &str = "axe.run(document).then(found => { \
                       const wider = document.documentElement.scrollWidth - innerWidth; \
                       const wrong = found.violations.map(rule => `${rule.id}: ${rule.nodes.map(node => node.target)}`); \
                       if (wider > 0) wrong.push(`wider by ${wider}`); \
                       parent.postMessage(wrong.join('; '), '*') })";
    const SHOW: &str = "let i = 0; const frame = document.querySelector('iframe'); \
                        const next = () => { const [file, width] = all[i]; frame.width = width; frame.src = file }; \
                        onmessage = event => { document.querySelector('pre').append(`<<${event.data}>>`); \
                        if (++i < all.length) next(); else document.title = 'done' }; next()";
    let file = |name: &str| browser.profile.join(name);
    std::fs::write(file("axe.js"), axe).unwrap();
    std::fs::write(file("run.js"), RUN).unwrap();
    let mut all = Vec::new();
    for (i, (_, page)) in pages.iter().enumerate() {
        // The page's policy, which would forbid these scripts, is in its head and not in its text.
        let scripts = "<script src=\"axe.js\"></script><script src=\"run.js\"></script></body>";
        std::fs::write(file(&format!("{i}.html")), page.replace("</body>", scripts)).unwrap();
        all.extend(WIDTHS.map(|width| format!("['{i}.html', {width}]")));
    }
    let show = format!("<script>const all = [{}]; {SHOW}</script>", all.join(", "));
    std::fs::write(file("all.html"), format!("<!DOCTYPE html><body><iframe height=900></iframe><pre></pre>{show}"))
        .unwrap();
    let url = format!("file://{}", file("all.html").display());
    let printed = browser.run(&[&["--virtual-time-budget=600000", "--dump-dom"], more, &[&url]].concat());
    assert!(printed.contains("<title>done</title>"), "axe did not end: {printed}");
    printed.split("&lt;&lt;").skip(1).map(|rest| rest.split("&gt;&gt;").next().unwrap().to_owned()).collect()
}

#[test]
fn axe_finds_nothing_in_any_page() {
    axe_finds_nothing(&[]);
}

#[test]
fn axe_finds_nothing_in_any_page_in_the_dark() {
    axe_finds_nothing(&[DARK]);
}

/// Runs axe on every page, in a browser with these flags.
fn axe_finds_nothing(more: &[&str]) {
    let Some(browser) = Browser::find() else { return println!("skipped: no Chromium on this machine") };
    let Some(axe) = axe() else { return println!("skipped: RIB_INGESTER_TEST_AXE names no axe.min.js") };
    let bad = "<!DOCTYPE html><html><body><input><p style=\"width: 2000px\">wide</p></body></html>";
    let found = verdicts(&browser, &axe, &[(String::new(), bad.to_owned())], more);
    assert_eq!(found.len(), WIDTHS.len());
    for found in found {
        assert!(found.contains("html-has-lang") && found.contains("label: ") && found.contains("wider by "), "{found}");
    }

    let db = TestDb::migrated();
    let mut pages = Vec::new();
    let mut empty = Ingester::start(&db.url(), &[]);
    pages.push(("overview of an empty database".to_owned(), empty.browse("/").2));
    drop(empty);
    let mut ingester = filled(&db);
    pages.extend(PAGES.map(|(name, target, _)| (name.to_owned(), ingester.browse(target).2)));
    let mut without = Ingester::spawn("postgresql://writer@127.0.0.1:1/rib", &[]);
    for (name, target) in [("overview", "/"), ("router", "/router?id=10.0.0.1"), ("lookup", "/lookup?q=10.0.0.200")] {
        pages.push((format!("{name} without a database"), without.browse(target).2));
    }
    let windows: Vec<(&str, u32)> =
        pages.iter().flat_map(|(name, _)| WIDTHS.map(|width| (name.as_str(), width))).collect();
    let found = verdicts(&browser, &axe, &pages, more);
    assert_eq!(found.len(), windows.len());
    let wrong: Vec<_> = windows.iter().zip(&found).filter(|(_, found)| !found.is_empty()).collect();
    assert!(wrong.is_empty(), "{more:?}: {wrong:#?}");
}
