//! Every recording of the corpus through the socket into SQL: the unicast rows of every view must be exactly the
//! expected ones.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::common::bmp;
use crate::common::corpus;
use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;
use rib_ingester::model::Rd;
use rib_ingester::wire::bmp::next_frame;
use serde_json::Value;

/// One route in a form that both sides share.
type Row = (Key, Vec<String>);
/// View and peer, table, prefix, path identifier.
type Key = (String, String, String, i64);

/// Everything is stored, so that everything can be compared.
const STORE: &str = "loc-rib,adj-rib-in-pre,adj-rib-in-post,adj-rib-out-pre,adj-rib-out-post";

#[test]
fn rows_of_every_recording_are_the_expected_ones() {
    let Some(folder) = corpus::folder() else { return };
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "2"), ("STORED_RIBS", STORE)]);
    let (mut streams, mut routes, mut failures) = (0, 0, Vec::new());
    for name in corpus::names(&folder) {
        let stream = std::fs::read(folder.join(format!("{name}.bmp"))).unwrap();
        // A stream without any route has no such file.
        let expected = std::fs::read_to_string(folder.join(format!("{name}.rib.jsonl"))).unwrap_or_default();
        let (expected, unsure) = expected_rows(&expected);
        let mut router = ingester.connect();
        router.send_or_be_cut(without_termination(&stream));
        let mut last = BTreeSet::new();
        let same = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&name, || {
                last = stored_rows(&db).into_iter().filter(|(key, _)| !unsure.contains(key)).collect();
                (last == expected).then_some(())
            });
        }));
        if same.is_err() {
            let missing: Vec<_> = expected.difference(&last).take(5).collect();
            let surplus: Vec<_> = last.difference(&expected).take(5).collect();
            failures.push(format!("{name}: missing {missing:#?}\nsurplus {surplus:#?}"));
        }
        router.send_or_be_cut(&bmp::termination(0));
        drop(router);
        eventually(&format!("{name} is cleared"), || stored_rows(&db).is_empty().then_some(()));
        streams += 1;
        routes += expected.len();
    }
    println!("{streams} streams, {routes} routes equal");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(streams > 0);
    assert!(ingester.stop().success());
}

/// The expectation is the state before a Termination, which removes all routes.
fn without_termination(stream: &[u8]) -> &[u8] {
    let mut end = 0;
    while let Ok(Some(frame)) = next_frame(&stream[end..], 1 << 20) {
        if frame.type_code == 5 {
            return &stream[..end];
        }
        end += frame.bytes.len();
    }
    stream
}

/// The expected rows, and keys on which more than one behavior is right.
fn expected_rows(jsonl: &str) -> (BTreeSet<Row>, BTreeSet<Key>) {
    let (mut rows, mut unsure) = (BTreeSet::new(), BTreeSet::new());
    for line in jsonl.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(keys) = line["lenient_keys"].as_array() {
            for key in keys {
                let table = table(None, key[2].as_str());
                let view = view(key[0].as_str().unwrap(), key[3].as_str());
                unsure.insert((view, table, key[4].as_str().unwrap().to_owned(), key[5].as_i64().unwrap()));
            }
        }
        let Some(name) = line["view"].as_str() else { continue };
        let view = view(name, line["peer"].as_str());
        let table = table(line["table_name"].as_str(), line["distinguisher_hex"].as_str());
        let key = (view, table, line["prefix"].as_str().unwrap().to_owned(), line["path_id"].as_i64().unwrap());
        if line["outcome"] == "lenient" {
            unsure.insert(key);
            continue;
        }
        let list = |name: &str| {
            let items = line[name].as_array()?;
            Some(items.iter().map(|item| item.as_str().unwrap().trim_start_matches("0x")).collect::<Vec<_>>().join(","))
        };
        let next_hop = line["nexthop"].as_str().map(|text| text.parse::<IpAddr>().unwrap().to_string());
        // AS4_PATH is merged (RFC 6793 section 4.2.3); the expectations have both.
        let merged = |name: &str| {
            let both = format!("{name}_merged");
            if line[&both].is_null() { name.to_owned() } else { both }
        };
        let number = |name: &str| line[name].as_i64().map(|number| number.to_string());
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let columns = [
            next_hop,
            text(&merged("as_path")),
            text("origin"),
            number("localpref"),
            number("med"),
            number(&merged("origin_asn")),
            list("communities_std"),
            list("communities_ext"),
            list("communities_large"),
        ];
        rows.insert((key, columns.into_iter().map(|column| column.unwrap_or("NULL".to_owned())).collect()));
    }
    rows.retain(|(key, _)| !unsure.contains(key));
    (rows, unsure)
}

fn view(name: &str, peer: Option<&str>) -> String {
    match (name, peer) {
        ("loc-rib", _) | (_, None) => name.to_owned(),
        (_, Some(peer)) => format!("{name} {}", peer.parse::<IpAddr>().unwrap()),
    }
}

fn table(name: Option<&str>, distinguisher_hex: Option<&str>) -> String {
    if let Some(name) = name {
        return name.to_owned();
    }
    let rd = u64::from_str_radix(distinguisher_hex.unwrap_or("0"), 16).unwrap();
    if rd == 0 { "UNKNOWN".to_owned() } else { format!("rd:{}", Rd(rd.to_be_bytes())) }
}

fn stored_rows(db: &TestDb) -> BTreeSet<Row> {
    // VPN and labeled unicast have rows of their own, which the expectations do not name.
    let all = |view: &str, peer: &str, table: &str| {
        format!(
            "SELECT {view}, {peer}, table_name, prefix::text, path_id, host(nexthop), as_path, origin, localpref::text,
                med::text, origin_asn::text, array_to_string(communities_std, ','), array_to_string(communities_ext, ','),
                array_to_string(communities_large, ',')
             FROM {table} WHERE table_name !~ '[|](rd:|labelled$)'"
        )
    };
    let adj = |name: &str| format!("CASE WHEN is_post_policy THEN '{name}-post' ELSE '{name}-pre' END");
    let query = [
        all("'loc-rib'", "NULL", "current_routes"),
        all(&adj("in"), "host(peer_address)", "adj_rib_in"),
        all(&adj("out"), "host(peer_address)", "adj_rib_out"),
    ]
    .join(" UNION ALL ");
    let rows = db.client().query(&query, &[]).unwrap();
    rows.iter()
        .map(|row| {
            let columns = (5..14).map(|i| row.get::<_, Option<String>>(i));
            let columns = columns.enumerate().map(|(i, column)| match (i, column) {
                (_, None) => "NULL".to_owned(),
                (0, Some(address)) => address.parse::<IpAddr>().unwrap().to_string(),
                (_, Some(text)) => text,
            });
            let view = view(row.get(0), row.get::<_, Option<String>>(1).as_deref());
            // The expectations have no name for an Adj-RIB's table, unless it is a VRF's.
            let table: String = row.get(2);
            let table = if view == "loc-rib" || table.starts_with("rd:") { table } else { "UNKNOWN".to_owned() };
            ((view, table, row.get(3), row.get(4)), columns.collect())
        })
        .collect()
}
