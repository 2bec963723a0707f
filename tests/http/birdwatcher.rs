//! birdwatcher's API: every answer is read as Alice-LG reads it ([`Alice`]).

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::alice::{Alice, Route};
use crate::common::ingester::{Ingester, answer, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// A route server with this many networks from twenty peers: every seventh has two paths, every tenth is rejected; with
/// what keys and counts a session would store.
fn route_server(networks: usize) -> String {
    format!(
        "INSERT INTO routers (router_id, hostname, as_number, description) VALUES ('192.0.2.10', 'rs1', 64496, 'BIRD 3.1');
         INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, description, last_reason)
         SELECT '192.0.2.10', 'global', ('198.51.100.' || p)::inet, 64500 + p, CASE p WHEN 1 THEN 'down' WHEN 2 THEN 'unknown' ELSE 'up' END,
                CASE WHEN p > 10 THEN 'member ' || p END, CASE p WHEN 1 THEN 'hold timer expired' END
         FROM generate_series(1, 20) p;
         INSERT INTO names.as_names (asn, name) VALUES (64503, 'Third Example'), (64504, 'not shown');
         INSERT INTO watch.watches (name, kind, peer_address, source, note) VALUES ('x', 'session', '198.51.100.4', 'ix-f EX', 'Fourth, AS64504, at EX');
         INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, path_id, nexthop, as_path,
                                 origin, localpref, med, origin_asn, communities_std, communities_ext, communities_large)
         SELECT '192.0.2.10', ('198.51.100.' || p)::inet, 64500 + p, post, 'UNKNOWN', 4, network(set_masklen('10.0.0.0'::inet + n * 16, 28)), path,
                ('198.51.100.' || p)::inet, (64500 + p) || ' 4200000001 ' || 65536 + n % 9, 'IGP', 100, n % 5, 65536 + n % 9,
                ARRAY['64496:' || n % 1000, '65535:65281'], CASE WHEN n % 3 = 0 THEN '{{RT:64496:7}}'::text[] END,
                CASE WHEN n % 2 = 0 THEN ARRAY['64496:1:' || n] END
         FROM (SELECT n, n % 20 + 1 AS p FROM generate_series(1, {networks}) n) AS networks, generate_series(0, 1) path, (VALUES (true), (false)) s(post)
         WHERE (path = 0 OR n % 7 = 0) AND NOT (post AND (n / 20 % 10 = 0 OR path = 1));
         "
    )
}

/// The keys and counts of what was inserted, as sessions store them.
const KEPT: &str = "
    INSERT INTO route_counts
    SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*) FROM adj_rib_in GROUP BY 1, 3, 4, 5, 6
    UNION ALL
    SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*) FROM adj_rib_out GROUP BY 1, 3, 4, 5, 6;
    INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, eor_seen, synced_at)
    SELECT router_id, peer_address, is_post_policy, table_name, afi, true, now() FROM route_counts WHERE rib = 'adj-rib-in';
    INSERT INTO adj_rib_out_sync_status (router_id, peer_address, is_post_policy, table_name, afi, eor_seen, synced_at)
    SELECT router_id, peer_address, is_post_policy, table_name, afi, true, now() FROM route_counts WHERE rib = 'adj-rib-out'";

/// A router with what is rare: AS 0, empty and missing paths, sets, IPv6 with link-local next hops, communities of all
/// kinds and values, a VRF, a peer of which one view is stored, and routes that are not exported.
const ODD: &str = "
    INSERT INTO routers (router_id, hostname, as_number) VALUES ('192.0.2.11', 'odd', 64496), ('192.0.2.12', 'empty', NULL), ('192.0.2.13', 'same', NULL), ('192.0.2.14', 'same', NULL);
    INSERT INTO peers (router_id, peer_type, distinguisher, peer_address, peer_asn, state) VALUES
        ('192.0.2.11', 'global', '', '2001:db8::1', 0, 'up'), ('192.0.2.11', 'vrf', '64496:1', '2001:db8::1', 64501, 'up'),
        ('192.0.2.11', 'global', '', '198.51.100.9', 64509, 'up'), ('192.0.2.11', 'loc_rib', '', '0.0.0.0', 64496, 'up');
    INSERT INTO registry.users (asn, person) VALUES (64509, 'Example Networks');
    INSERT INTO table_names (router_id, rib, peer_type, distinguisher, peer_address, peer_asn, name, table_name, unicast_table_name, safi) VALUES
        ('192.0.2.11', 'adj-rib-in', 'global', '', '2001:db8::1', 0, 'UNKNOWN', 'UNKNOWN', 'UNKNOWN', 1),
        ('192.0.2.11', 'adj-rib-in', 'vrf', '64496:1', '2001:db8::1', 64501, 'red', 'red', 'red', 1),
        ('192.0.2.11', 'adj-rib-in', 'global', '', '198.51.100.9', 64509, 'UNKNOWN', 'UNKNOWN|labelled', 'UNKNOWN', 4);
    INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med,
                            communities_std, communities_ext, communities_large, attrs) VALUES
        ('192.0.2.11', '2001:db8::1', 0, false, 'UNKNOWN', 6, '::/0', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        ('192.0.2.11', '2001:db8::1', 0, false, 'UNKNOWN', 6, '2001:db8:1::/48', 0, '2001:db8::1', '', 'EGP', 4294967295, 4294967295, '{0:0,65535:65535}',
         '{RT:64496:100,RT:192.0.2.1:300,SOO:4200000001:5,4300000000000002}', '{4294967295:4294967295:0}',
         '{\"link_local_next_hop\": \"fe80::1\", \"only_to_customer\": 4294967295, \"path_status\": {\"status\": [\"best\", \"primary\"]}}'),
        ('192.0.2.11', '2001:db8::1', 0, false, 'UNKNOWN', 6, '2001:db8:2::/48', 4294967295, '::', '64500 {64501,64502}', 'INCOMPLETE', 0, 0, '{}', '{}', '{}', '{}'),
        ('192.0.2.11', '2001:db8::1', 64501, true, 'red', 6, '2001:db8:1::/48', 0, '2001:db8::1', '(65001 65002) [65003] 64501', 'IGP', 1, 1, NULL, NULL, NULL, NULL),
        ('192.0.2.11', '198.51.100.9', 64509, true, 'UNKNOWN', 4, '10.0.0.0/8', 0, '198.51.100.9', '64509', 'IGP', 1, 1, NULL, NULL, NULL, NULL),
        ('192.0.2.11', '198.51.100.9', 64509, true, 'UNKNOWN|labelled', 4, '10.7.0.0/16', 0, '198.51.100.9', '64509', 'IGP', 1, 1, NULL, NULL, NULL, NULL);
    INSERT INTO adj_rib_out (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, nexthop, as_path) VALUES
        ('192.0.2.11', '198.51.100.9', 64509, false, 'UNKNOWN', 4, '10.1.0.0/16', '192.0.2.11', '64496 64501'),
        ('192.0.2.11', '198.51.100.9', 64509, false, 'UNKNOWN', 4, '10.2.0.0/16', '192.0.2.11', '64496 64501'),
        ('192.0.2.11', '198.51.100.9', 64509, true, 'UNKNOWN', 4, '10.2.0.0/16', '192.0.2.11', '64496 64501');";

fn networks(routes: &[Route]) -> Vec<&str> {
    routes.iter().map(|route| route.network.as_str()).collect()
}

/// The reasons for which filtered routes may be filtered.
fn reasons(routes: &[Route]) -> Vec<i64> {
    let marked = |one: &&Vec<i64>| one.starts_with(&[64_496, 65_666]);
    let mut all: Vec<i64> =
        routes.iter().flat_map(|route| route.large_communities.iter().filter(marked).map(|one| one[2])).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn check_route_server(ingester: &mut Ingester) {
    let mut alice = Alice { ingester, router: "rs1", headers: String::new() };
    let found = alice.refresh();
    assert_eq!(found.neighbors.len(), 20);
    let of = |p: i64| &found.neighbors[&format!("R{}_198.51.100.{p}", 64_500 + p)];
    let states: Vec<&str> = (1..=3).map(|p| of(p).state.as_str()).collect();
    assert_eq!(states, ["down", "start", "up"]);
    let names = [11, 3, 4, 5].map(|p| of(p).description.as_str());
    assert_eq!(names, ["member 11", "Third Example", "Fourth, AS64504, at EX", ""]);
    assert!(!found.status["message"].as_str().unwrap().contains("not known"), "{:?}", found.status);
    assert_eq!((&found.status["version"], &found.status["router_id"]), (&json!("BIRD 3.1"), &json!("192.0.2.10")));
    // Every tenth network, with both paths of every seventieth.
    let total = found.imported.len() + found.filtered.len();
    let paths = found.filtered.len();
    assert!(found.neighbors.values().all(|one| one.filtered.is_some()) && paths * 8 < total, "{paths} of {total}");
    assert_eq!(reasons(&found.filtered), [2, 3, 5]);
    assert_eq!(reasons(&found.imported), [0; 0]);
    let one = &found.imported[0];
    assert_eq!(one.as_path.len(), 3);
    assert_eq!((one.communities[0][0], &one.communities[1]), (64_496, &vec![65_535, 65_281]));
}

fn check_odd_values(ingester: &mut Ingester) {
    let mut alice = Alice { ingester: &mut *ingester, router: "odd", headers: String::new() };
    let found = alice.refresh();
    let ids: Vec<&str> = found.neighbors.keys().map(String::as_str).collect();
    assert_eq!(ids, ["R0_2001:db8::1", "R64501_2001:db8::1_64496:1", "R64509_198.51.100.9"]);
    assert!(found.status["message"].as_str().unwrap().contains("Filtered routes are not known"));
    assert!(found.neighbors.values().all(|one| one.filtered.is_none()) && found.filtered.is_empty());
    let last = &found.neighbors["R64509_198.51.100.9"];
    assert_eq!((last.description.as_str(), last.accepted, last.exported), ("Example Networks", 1, Some(1)));
    let mut odd = alice.routes("/routes/protocol/R0_2001:db8::1");
    odd.sort_by_key(|route| (route.network.len(), route.network.clone()));
    assert_eq!(networks(&odd), ["::/0", "2001:db8:1::/48", "2001:db8:2::/48"]);
    assert_eq!((odd[0].as_path.len(), odd[0].next_hop.as_str()), (0, ""));
    assert_eq!((odd[1].next_hop.as_str(), odd[1].is_primary), ("2001:db8::1 fe80::1", true));
    assert_eq!(
        (&odd[1].bgp["otc"], &odd[1].bgp["med"], &odd[1].bgp["origin"]),
        (&json!("4294967295"), &json!("4294967295"), &json!("EGP"))
    );
    let ext = |kind: &str, first: &str, second: &str| [kind, first, second].map(str::to_owned);
    let all = [
        ext("rt", "64496", "100"),
        ext("rt", "192.0.2.1", "300"),
        ext("ro", "4200000001", "5"),
        ext("generic", "0x43000000", "0x00000002"),
    ];
    assert_eq!(odd[1].ext_communities, all);
    assert_eq!(odd[1].communities, [[0, 0], [65_535, 65_535]]);
    assert_eq!(odd[1].large_communities, [[4_294_967_295, 4_294_967_295, 0]]);
    assert_eq!(odd[2].as_path, ["64500", "{64501,64502}"]);
    assert_eq!(networks(&alice.routes("/routes/noexport/R64509_198.51.100.9")), ["10.1.0.0/16"]);
    assert_eq!(networks(&alice.routes("/routes/table/red")), ["2001:db8:1::/48"]);
    assert_eq!(networks(&alice.routes("/routes/table/master4")), ["10.0.0.0/8"]);
    assert_eq!(alice.routes("/routes/prefix?prefix=2001:db8:1::/48").len(), 2);
    assert_eq!(networks(&alice.routes("/routes/peer?peer=198.51.100.9")), ["10.0.0.0/8"]);
    assert_eq!(alice.object("/routes/count/protocol/R0_2001:db8::1")["routes"], 3);
    assert_eq!(alice.object("/routes/count/table/master")["routes"], 5);
    assert_eq!(alice.object("/symbols")["symbols"]["routing table"], json!(["master", "master4", "master6", "red"]));
    assert_eq!(alice.object("/symbols/protocols")["symbols"], json!(ids));
    assert_eq!(alice.get("/version").0, 200);
    // The errors of calls with routes are no JSON: a reader of a stream would take them for an answer without routes.
    for (call, status, words) in [
        ("/routes/protocol/R1_192.0.2.1", 404, "there is no protocol"),
        ("/routes/table/blue", 404, "there is no table \"blue\": master has the routes of all peers"),
        ("/routes/pipe/filtered?table=a&pipe=b", 404, "multi_table, which is not served: set type = single_table"),
        ("/routes/table/master/peer/192.0.2.1", 404, "multi_table"),
        ("/routes/count/primary/R0_2001:db8::1", 404, "not known"),
        ("/routes/prefix?prefix=x", 400, "is not a prefix"),
        ("/routes/prefix?prefix=10.0.0.0/8&prefix=10.0.0.0/8", 400, "need a prefix as single query parameter"),
        ("/routes/peer", 400, "need a peer"),
    ] {
        let (is, body) = alice.get(call);
        assert!(is == status && body.contains(words) && !body.starts_with('{'), "{call}: {is} {body}");
    }
    for (router, call, words) in [
        ("odd", "/nothing", "birdwatcher has no such call"),
        ("nobody", "/status", "no router is called"),
        ("same", "/protocols/bgp", "2 routers are called"),
        ("%ff", "/status", "not UTF-8"),
        ("", "/status", "name a router"),
    ] {
        let (_, body) = Alice { ingester: &mut *ingester, router, headers: String::new() }.get(call);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(value["error"].as_str().unwrap().contains(words) && value["api"].is_null(), "{call}: {body}");
    }
    let empty = Alice { ingester, router: "empty", headers: String::new() }.refresh();
    assert!(empty.neighbors.is_empty() && empty.imported.is_empty());
}

/// A recording of BIRD, whose policy rejects one route of feeder 1.
fn check_bird(db: &TestDb, ingester: &mut Ingester) -> Vec<String> {
    let mut router = ingester.connect();
    router.send(include_bytes!("../data/bird3-adjribin.bmp"));
    let stored = "SELECT count(*) FILTER (WHERE is_post_policy), count(*) FILTER (WHERE NOT is_post_policy),
                         (SELECT state FROM router_states WHERE router_id = '10.255.0.4')
                  FROM adj_rib_in WHERE router_id = '10.255.0.4'";
    eventually_equal(vec!["82|83|up".to_owned()], || db.rows(stored));
    let mut alice = Alice { ingester, router: "bird", headers: String::new() };
    let found = alice.refresh();
    assert_eq!((found.imported.len(), networks(&found.filtered)), (82, vec!["10.99.1.0/24"]));
    assert_eq!(found.neighbors["R65010_127.0.0.21"].filtered, Some(1));
    assert!(found.status["message"].as_str().unwrap().starts_with("BMP session up since"), "{:?}", found.status);
    // A bogon, with a bogon in its path, and the next hop of another address.
    assert_eq!(reasons(&found.filtered), [2, 3, 6]);
    found.neighbors.into_keys().collect()
}

#[test]
fn alice_reads_every_answer() {
    let networks = std::env::var("RIB_INGESTER_TEST_ROUTES").map_or(2_000, |text| text.parse::<usize>().unwrap());
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("SET statement_timeout = 0").unwrap();
    if networks > 100_000 {
        // They take most of the time of filling, and nothing here reads them.
        client.batch_execute("DROP INDEX idx_adj_rib_in_comm_std_gin, idx_adj_rib_in_comm_ext_gin, idx_adj_rib_in_comm_large_gin, idx_adj_rib_in_prefix_gist").unwrap();
    }
    client.batch_execute(&format!("{} {ODD} {KEPT}", route_server(networks))).unwrap();
    client.batch_execute("VACUUM ANALYZE adj_rib_in").unwrap();
    let stored = ("STORED_RIBS", "adj-rib-in-pre,adj-rib-in-post");
    // On a fast machine these are more requests a second than one client may make.
    let mut ingester = Ingester::start(&db.url(), &[stored, ("ALICE_REASONS", "64496:65666"), ("API_RATE", "10000")]);
    if networks > 100_000 {
        let request = b"GET /birdwatcher/rs1/routes/table/master HTTP/1.0\r\n\r\n";
        for request in [&request[..], b"GET /birdwatcher/rs1/protocols/bgp HTTP/1.0\r\n\r\n"] {
            let begun = Instant::now();
            let (status, _, body) = answer(ingester.http(), request);
            println!("{networks} networks: {status}, {} bytes in {:?}", body.len(), begun.elapsed());
        }
        return;
    }
    check_route_server(&mut ingester);
    check_odd_values(&mut ingester);
    let ids = check_bird(&db, &mut ingester);
    assert!(ingester.stop().success());
    check_access(&db, &ids);
}

/// Beyond this machine a token or a listed address is needed; and identifiers are the same after a restart.
fn check_access(db: &TestDb, ids: &[String]) {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_rib-ingester")).args(["token", "alice"]).output().unwrap();
    let word = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (line, said) = (word(output.stdout), word(output.stderr));
    let token = said.split_whitespace().last().unwrap().to_owned();
    let file = std::env::temp_dir().join(format!("rib-ingester-alice-{}", std::process::id()));
    std::fs::write(&file, line).unwrap();
    let (file_name, outside) = (file.to_str().unwrap().to_owned(), ("HTTP_LISTEN", "0.0.0.0:0"));
    let mut ingester = Ingester::start(
        &db.url(),
        &[outside, ("API_TOKEN_FILE", &file_name), ("API_RATE", "3"), ("BIRDWATCHER_ALLOW", "192.0.2.0/24,127.0.0.2")],
    );
    let basic = |token: &str| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("alice:{token}"));
        format!("Authorization: Basic {text}\r\n")
    };
    for (headers, status) in [(String::new(), 401), (basic("wrong"), 401), (basic(&token), 200)] {
        let mut alice = Alice { ingester: &mut ingester, router: "bird", headers };
        assert_eq!(alice.get("/status").0, status);
    }
    let mut alice = Alice { ingester: &mut ingester, router: "bird", headers: basic(&token) };
    let protocols = alice.object("/protocols/bgp")["protocols"].clone();
    assert!(protocols.as_object().unwrap().keys().eq(ids), "{protocols}");
    // A flood is answered in text, too.
    let mut alice = Alice { headers: String::new(), ..alice };
    let flood = eventually("a flood is refused", || {
        let (status, body) = alice.get("/routes/table/master");
        (status == 429).then_some(body)
    });
    assert!(flood.starts_with("more than 3 requests a second"), "{flood}");
    let (listed, other) = (from("127.0.0.2", ingester.http()), from("127.0.0.3", ingester.http()));
    assert!(listed.contains("R65010_127.0.0.21") && listed.split(' ').nth(1) == Some("200"), "{listed}");
    assert!(other.contains("RIB_INGESTER_BIRDWATCHER_ALLOW") && other.split(' ').nth(1) == Some("401"), "{other}");
    let _ = std::fs::remove_file(file);
}

/// The answer to a client at this address.
fn from(source: &str, to: SocketAddr) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&SocketAddr::new("127.0.0.1".parse().unwrap(), to.port()).into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.write_all(b"GET /birdwatcher/bird/protocols/short HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
