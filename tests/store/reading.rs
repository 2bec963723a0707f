//! The data that the `status` and `lookup` commands read.

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, nlri, route, session_event, table};
use rib_ingester::model::{Afi, SessionEventKind};
use rib_ingester::pipeline::{Existing, RouteChange, StateItem, StateOp};
use rib_ingester::store::lookup::longest_match;
use rib_ingester::store::partitions::PartitionState;
use rib_ingester::store::slice::Slice;
use rib_ingester::store::status;

#[test]
fn lookup_finds_the_longest_match_of_each_table() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    for (router, prefixes) in [("10.0.0.1", ["0.0.0.0/0", "10.1.0.0/16"]), ("10.0.0.2", ["10.0.0.0/8", "10.1.2.3/32"])]
    {
        let owner = writers.claim(router).owner;
        let t = table(router, "global", Afi::Ipv4);
        let change = || RouteChange::Announce(route(7));
        let second = StateOp::Route {
            table: t.clone(),
            nlri: nlri("10.1.0.0/16", Some(9)),
            change: change(),
            was: Existing::Maybe,
        };
        writers.send(&owner, prefixes.iter().map(|prefix| announce(&t, prefix, 1)).chain([second]).collect());
        let u = table(router, "global", Afi::Ipv6);
        writers.send(&owner, vec![announce(&u, "2001:db8::/32", 6)]);
    }
    writers.finish();
    let mut client = db.client();
    let mut check = |target: &str, want: &[&str]| {
        let rows = longest_match(&mut client, &nlri(target, None).prefix, None, Slice::ALL).unwrap().rows;
        let got: Vec<_> = rows.iter().map(|row| format!("{} {} {}", row.router_id, row.prefix, row.path_id)).collect();
        assert_eq!(got, want, "{target}");
    };
    check("10.1.2.3/32", &["10.0.0.1 10.1.0.0/16 0", "10.0.0.1 10.1.0.0/16 9", "10.0.0.2 10.1.2.3/32 0"]);
    check("10.1.2.0/24", &["10.0.0.1 10.1.0.0/16 0", "10.0.0.1 10.1.0.0/16 9", "10.0.0.2 10.1.0.0/16 9"]);
    check("192.0.2.1/32", &["10.0.0.1 0.0.0.0/0 0"]);
    check("2001:db8:1::1/128", &["10.0.0.1 2001:db8::/32 0", "10.0.0.2 2001:db8::/32 0"]);
    check("2001:db9::/32", &[]);
    let row =
        &longest_match(&mut client, &nlri("2001:db8::/32", None).prefix, Some("loc-rib"), Slice::ALL).unwrap().rows[0];
    assert_eq!(row.nexthop.as_deref(), Some("192.0.2.1"));
    assert!(row.json.contains(r#""origin_asn":4200000000,"#), "{}", row.json);
    assert!(
        row.json.starts_with(
            r#"{"router_id":"10.0.0.1","table_name":"global","afi":6,"prefix":"2001:db8::/32","path_id":0,"#
        ),
        "{}",
        row.json
    );
}

#[test]
fn status_shows_routers_tables_and_refused_ones() {
    let db = TestDb::migrated();
    rib_ingester::maintenance::run_once(&mut db.client(), 30).unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send(
        &owner,
        vec![announce(&t, "10.0.0.0/8", 1), announce(&t, "11.0.0.0/8", 1), StateOp::TableSeen(t.clone())],
    );
    writers.send(&owner, vec![StateOp::EndOfRib { table: t.clone(), stale: vec![] }]);
    writers.claim("10.0.0.0");
    for reason in ["first", "second"] {
        let mut note = session_event(SessionEventKind::Refused, None);
        note.peer_address = Some("192.0.2.9".parse().unwrap());
        note.reason = Some(reason.to_owned());
        writers.sender.any_state().send(StateItem::Note(None, note)).unwrap();
    }
    writers.finish();
    let status = status::read(&mut db.client()).unwrap();
    let routers: Vec<_> =
        status.routers.iter().map(|r| (r.router_id.as_str(), r.tables.len(), r.collector_id.as_deref())).collect();
    assert_eq!(routers, [("10.0.0.0", 0, Some("c1")), ("10.0.0.1", 1, Some("c1"))]);
    let table = &status.routers[1].tables[0];
    assert_eq!((table.name.as_str(), table.afi, table.routes, table.eor_seen), ("global", Afi::Ipv4, 2, true));
    assert!(
        table.eor_time >= table.session_start_time && table.last_parsed_msg_time.is_some_and(|at| at <= status.now)
    );
    assert_eq!(status.partitions.len(), 2);
    assert!(status.partitions.iter().all(|partition| partition.state == PartitionState::Attached
        && partition.bytes > 0
        && partition.day().is_some()));
    let refused: Vec<_> = status.refused.iter().map(|r| (r.address.to_string(), r.times, r.reason.clone())).collect();
    assert_eq!(refused, [("192.0.2.9".to_owned(), 2, Some("second".to_owned()))]);
}
