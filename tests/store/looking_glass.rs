//! The questions of a looking glass that reads the tables: each of its shapes is answered through an index, planned for
//! the values that it asks for and for any values.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::pg::TestDb;
use postgres::Client;
use rib_ingester::store::partitions::{ensure, today};

/// The days of history that are asked for.
const DAYS: i32 = 7;

/// Four routers with 5,000 prefixes each, two peers with as many, and a week of events of the same prefixes.
fn fill(client: &mut Client) {
    let mut day = today(client).unwrap();
    for _ in 0..DAYS {
        ensure(client, day).unwrap();
        day = day.yesterday().unwrap();
    }
    let prefix = "network(set_masklen('10.0.0.0'::inet + i * 256, 16 + i % 9))";
    let mut sql = format!(
        "SET statement_timeout = 0;
         INSERT INTO routers (router_id, hostname) SELECT '10.0.0.' || r, 'edge' || r FROM generate_series(1, 4) r;
         INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path, origin_asn, communities_std, updated_at)
         SELECT '10.0.0.' || r, 'global', 4, {prefix}, '192.0.2.0'::inet + i % 50, '64500 ' || 64501 + i % 100, 64501 + i % 100,
                ARRAY['64500:' || i % 200], now() - i * interval '1 minute'
         FROM generate_series(1, 4) r, generate_series(1, 5000) i ON CONFLICT DO NOTHING;
         INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn)
         SELECT '10.0.0.' || r, '198.51.100.0'::inet + p, 64500, p = 1, 'UNKNOWN', 4, {prefix}, 64501 + i % 100
         FROM generate_series(1, 2) r, generate_series(1, 2) p, generate_series(1, 5000) i ON CONFLICT DO NOTHING;"
    );
    for day in 0..DAYS {
        sql += &format!(
            "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path)
             SELECT decode(md5('{day} ' || r || ' ' || i), 'hex'), date_trunc('day', now(), 'UTC') - interval '{day} days' + i * interval '1 ms',
                    '10.0.0.' || r, 'global', 4, {prefix}, 'A', '64500'
             FROM generate_series(1, 4) r, generate_series(1, 1500) i;"
        );
    }
    client.batch_execute(&sql).unwrap();
    client.batch_execute("ANALYZE current_routes; ANALYZE adj_rib_in; ANALYZE route_events; ANALYZE routers").unwrap();
}

#[test]
fn a_looking_glass_is_answered_through_indexes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    fill(&mut client);
    let week = "ingest_time > now() - interval '7 days'";
    let questions = [
        // A prefix, exactly and by its longest match, at one router and at all.
        ("current_routes WHERE router_id = $1 AND prefix = $2::cidr", "(prefix)::inet = "),
        (
            "current_routes WHERE router_id = $1 AND prefix >>= $2 ORDER BY masklen(prefix) DESC LIMIT 1",
            "(prefix)::inet >>= ",
        ),
        (
            "current_routes WHERE router_id = $1 AND afi = 4 AND prefix >>= $2 ORDER BY masklen(prefix) DESC",
            "(prefix)::inet >>= ",
        ),
        ("current_routes WHERE prefix = $2::cidr AND $1 <> '' ORDER BY router_id", "(prefix)::inet = "),
        (
            "current_routes WHERE prefix >>= $2 AND $1 <> '' ORDER BY router_id, masklen(prefix) DESC",
            "(prefix)::inet >>= ",
        ),
        ("adj_rib_in WHERE router_id = $1 AND prefix = $2::cidr", "(prefix)::inet = "),
        (
            "adj_rib_in WHERE router_id = $1 AND prefix >>= $2 ORDER BY masklen(prefix) DESC LIMIT 50",
            "(prefix)::inet >>= ",
        ),
        (
            "adj_rib_in WHERE router_id = $1 AND peer_address = '198.51.100.1' AND is_post_policy AND prefix = $2::cidr",
            "(prefix)::inet = ",
        ),
        // What else routes are looked for by.
        ("current_routes WHERE router_id = $1 AND origin_asn = 64510 AND $2 IS NOT NULL", "origin_asn = "),
        (
            "current_routes WHERE communities_std @> '{64500:7}' AND router_id = $1 AND $2 IS NOT NULL",
            "communities_std @> ",
        ),
        ("current_routes WHERE nexthop = '192.0.2.7' AND router_id = $1 AND $2 IS NOT NULL", "nexthop = "),
        (
            "current_routes WHERE updated_at > now() - interval '5 minutes' AND $1 <> '' AND $2 IS NOT NULL ORDER BY updated_at DESC",
            "updated_at > ",
        ),
        // The history of a prefix over a week, and of a router over an hour.
        (
            &format!(
                "route_events WHERE router_id = $1 AND prefix = $2::cidr AND {week} ORDER BY ingest_time DESC LIMIT 100"
            ),
            "(prefix)::inet = ",
        ),
        (
            &format!(
                "route_events WHERE router_id = $1 AND table_name = 'global' AND afi = 4 AND prefix = $2::cidr AND {week} ORDER BY ingest_time DESC LIMIT 100"
            ),
            "(prefix)::inet = ",
        ),
        (
            "route_events WHERE router_id = $1 AND ingest_time > now() - interval '1 hour' AND $2 IS NOT NULL ORDER BY ingest_time DESC LIMIT 100",
            "router_id = ",
        ),
        // Counts.
        (
            "(SELECT table_name, afi, count(*) FROM current_routes WHERE router_id = $1 AND $2 IS NOT NULL GROUP BY 1, 2) c",
            "router_id = ",
        ),
        ("(SELECT count(*) FROM current_routes WHERE router_id = $1 AND prefix <<= $2) c", "(prefix)::inet <<= "),
    ];
    let mut faults = Vec::new();
    for (question, condition) in questions {
        client.batch_execute(&format!("PREPARE q (text, inet) AS SELECT * FROM {question}")).unwrap();
        for mode in ["force_custom_plan", "force_generic_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).unwrap();
            let rows = client.query_typed("EXPLAIN EXECUTE q ('10.0.0.2', '10.0.32.0/21')", &[]).unwrap();
            let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
            let by_index = plan.lines().any(|line| line.contains("Index Cond") && line.contains(condition));
            let whole = plan.contains("Seq Scan on");
            if !by_index || whole {
                faults.push(format!("{mode}: {question}\n{plan}"));
            }
        }
        client.batch_execute("DEALLOCATE q").unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
