//! Bytes and CPU time of an event in partitions of other forms: COPY of the events of dumps into each, in turn.

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::limits::{self, Rows};
use crate::machine;
use crate::router::Router;
use crate::{Bench, Failure};

/// The columns, those of a fixed width first: none of them has to be padded then.
const FIXED_FIRST: &str = "ingest_time, received_at, router_time, path_id, localpref, med, origin_asn, peer_asn, afi, is_post_policy, \
     event_id, router_id, table_name, prefix, action, nexthop, as_path, origin, communities_std, communities_ext, communities_large, \
     attrs, bmp_raw, peer_address, peer_bgp_id, rib";

/// The two indexes of a partition beside its key.
const PREFIX_HISTORY: &str =
    "CREATE INDEX prefix_history ON limit_events (router_id, table_name, afi, prefix, ingest_time DESC)";
const ROUTER_CHURN: &str = "CREATE INDEX router_churn ON limit_events (router_id, table_name, afi, ingest_time DESC)";

/// The forms: the name, and the statements that make it.
fn forms() -> Vec<(&'static str, Vec<String>)> {
    let of = |statements: &[&str]| statements.iter().map(|sql| (*sql).to_owned()).collect::<Vec<String>>();
    let table = "CREATE TABLE limit_events (LIKE route_events INCLUDING ALL)";
    let ascending = ROUTER_CHURN.replace(" DESC", "");
    let full = ["limit_events_pkey", "prefix_history", "router_churn"]
        .map(|index| format!("ALTER INDEX {index} SET (fillfactor = 100)"));
    let lz4 = ["as_path", "communities_std", "communities_ext", "communities_large", "attrs", "bmp_raw"]
        .map(|column| format!("ALTER TABLE limit_events ALTER {column} SET COMPRESSION lz4"));
    let reordered = format!(
        "CREATE TABLE limit_events AS SELECT {FIXED_FIRST} FROM route_events WITH NO DATA;
         ALTER TABLE limit_events ADD CONSTRAINT limit_events_pkey PRIMARY KEY (event_id, ingest_time)"
    );
    let usual = of(&[table, PREFIX_HISTORY, ROUTER_CHURN]);
    vec![
        ("as they are", usual.clone()),
        ("time ascends in router_churn", of(&[table, PREFIX_HISTORY, &ascending])),
        (
            "BRIN of ingest_time for it",
            of(&[table, PREFIX_HISTORY, "CREATE INDEX router_churn ON limit_events USING brin (ingest_time)"]),
        ),
        ("without it", of(&[table, PREFIX_HISTORY])),
        ("without prefix_history", of(&[table, ROUTER_CHURN])),
        ("indexes filled to 100 %", [usual.clone(), full.to_vec()].concat()),
        ("lz4", [usual, lz4.to_vec()].concat()),
        ("columns of fixed width first", of(&[&reordered, PREFIX_HISTORY, ROUTER_CHURN])),
    ]
}

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, routers: u8, rounds: usize) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let mut all = (2..2 + routers).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let collector = Collector::start(&bench.binary, &database.url(), &[])?;
    let mut client = database.client()?;
    let sessions = all.iter_mut().map(|router| router.dump(collector.address)).collect::<Result<Vec<_>, _>>()?;
    let events: usize = all.iter().map(Router::routes).sum();
    wait(&mut client, "all events", &format!("SELECT count(*) >= {events} FROM route_events"))?;
    drop(sessions);
    collector.stop()?;
    let rows = Rows::of_history(&mut client)?;
    println!("{} events of {routers} routers\n", rows.count);
    println!("| partition | µs of CPU an event | bytes an event: heap | key | prefix_history | router_churn | all |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let forms = forms();
    let mut took = vec![Vec::new(); forms.len()];
    let mut sizes = Vec::new();
    for _ in 0..rounds {
        sizes.clear();
        for ((_, statements), took) in forms.iter().zip(&mut took) {
            statements.iter().try_for_each(|sql| client.batch_execute(sql))?;
            let pid = u32::try_from(number(&mut client, "SELECT pg_backend_pid()")?)?;
            let before = machine::used(pid);
            limits::copy_events(&mut client, "limit_events", &rows)?;
            took.push((machine::used(pid) - before).as_secs_f64() * 1e6 / rows.count as f64);
            sizes.push(size(&mut client, rows.count)?);
            client.batch_execute("DROP TABLE limit_events")?;
        }
    }
    for (((name, _), took), sizes) in forms.iter().zip(took).zip(sizes) {
        let took: Vec<String> = took.iter().map(|micros| format!("{micros:.1}")).collect();
        let all: f64 = sizes.iter().sum();
        let sizes: Vec<String> = sizes.iter().chain([&all]).map(|bytes| format!("{bytes:.1}")).collect();
        println!("| {name} | {} | {} |", took.join(", "), sizes.join(" | "));
    }
    Ok(())
}

/// Bytes an event of the heap, the key and the two other indexes.
fn size(client: &mut Client, count: usize) -> Result<Vec<f64>, Failure> {
    let of = |client: &mut Client, name: &str| {
        number(client, &format!("COALESCE(pg_relation_size(to_regclass('{name}')), 0)"))
    };
    let names = ["limit_events", "limit_events_pkey", "prefix_history", "router_churn"];
    names.iter().map(|name| Ok(of(client, name)? as f64 / count as f64)).collect()
}
