//! What PostgreSQL itself takes for the same rows: into copies of the tables, in the order in which they arrived.

use std::io::{Read, Write};

use postgres::{Client, NoTls};

use crate::Failure;
use crate::database::Database;
use crate::machine::{Meter, Spent};

/// The columns of `current_routes` that a router tells.
pub const ROUTE_COLUMNS: &str = "router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med, origin_asn, \
     communities_std, communities_ext, communities_large, attrs";

/// How many rows a commit has where others write row by row, and how many rows are measured so: it is slow, and each
/// row costs the same.
const SINGLE: [(usize, usize); 2] = [(1, 3_000), (1_000, 10_000)];

/// Rows of both tables in COPY's binary form, as they arrived.
pub struct Rows {
    routes: Vec<u8>,
    events: Vec<u8>,
    /// How many of each.
    pub count: usize,
}

impl Rows {
    /// Takes them out of the history of a finished dump.
    pub fn of_history(client: &mut Client) -> Result<Rows, Failure> {
        let columns = ROUTE_COLUMNS.replace("path_id", "coalesce(path_id, 0)");
        let mut routes = Vec::new();
        client
            .copy_out(&format!(
                "COPY (SELECT {columns} FROM route_events ORDER BY ingest_time) TO STDOUT (FORMAT binary)"
            ))?
            .read_to_end(&mut routes)?;
        let mut events = Vec::new();
        client
            .copy_out("COPY (SELECT * FROM route_events ORDER BY ingest_time) TO STDOUT (FORMAT binary)")?
            .read_to_end(&mut events)?;
        let count = client.query_one("SELECT count(*) FROM route_events", &[])?.get::<_, i64>(0);
        Ok(Rows { routes, events, count: usize::try_from(count)? })
    }
}

/// What each way took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// COPY of all routes into the table with all its indexes.
    pub routes: Spent,
    /// COPY of all events into a day's partition.
    pub events: Spent,
    /// COPY of all routes with the primary key alone.
    pub bare: Spent,
    /// Then the other ten indexes.
    pub indexes: Spent,
    /// The same on two connections.
    pub indexes_by_two: Spent,
    /// Both tables row by row, a commit each; scaled up to all rows.
    pub single: Spent,
    /// The same with a thousand rows a commit.
    pub thousand: Spent,
}

impl Limits {
    /// Each the lower.
    pub fn best(self, other: Limits) -> Limits {
        Limits {
            routes: self.routes.best(other.routes),
            events: self.events.best(other.events),
            bare: self.bare.best(other.bare),
            indexes: self.indexes.best(other.indexes),
            indexes_by_two: self.indexes_by_two.best(other.indexes_by_two),
            single: self.single.best(other.single),
            thousand: self.thousand.best(other.thousand),
        }
    }

    /// Both tables by COPY on one connection: what everything is compared with.
    pub fn both(&self) -> Spent {
        let (a, b) = (self.routes, self.events);
        Spent {
            wall: a.wall + b.wall,
            server: a.server + b.server,
            kernel: a.kernel + b.kernel,
            collector: a.collector,
            read: a.read + b.read,
        }
    }
}

/// Measures all of it in the database of a finished dump, beside its tables.
pub fn measure(database: &Database, rows: &Rows, postmaster: u32) -> Result<Limits, Failure> {
    let meter = Meter { postmaster, collector: None };
    let mut client = database.client()?;
    let mut limits = Limits::default();
    [limits.routes, limits.events] = both(&mut client, rows, postmaster)?;
    let secondary = secondary_indexes(&mut client)?;
    for by_two in [false, true] {
        client.batch_execute(
            "CREATE TABLE limit_routes (LIKE current_routes INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
             ALTER TABLE limit_routes ADD PRIMARY KEY (router_id, table_name, afi, prefix, path_id)",
        )?;
        let bare = timed(meter, || copy(&mut client, "limit_routes", ROUTE_COLUMNS, &rows.routes))?;
        if by_two {
            // The two dearest ones on one side: GIN over communities and GiST take half of all.
            let (dear, cheap): (Vec<_>, Vec<_>) = secondary
                .iter()
                .cloned()
                .partition(|sql| sql.contains("communities_std") || sql.contains("USING gist"));
            let mut other = database.url().parse::<postgres::Config>()?.connect(NoTls)?;
            limits.bare = limits.bare.best(bare);
            limits.indexes_by_two = timed(meter, || {
                std::thread::scope(|scope| {
                    let second = scope.spawn(|| build(&mut other, &dear));
                    build(&mut client, &cheap)?;
                    second.join().map_err(|_| "a thread panicked")?
                })
            })?;
        } else {
            limits.bare = bare;
            limits.indexes = timed(meter, || build(&mut client, &secondary))?;
        }
        client.batch_execute("DROP TABLE limit_routes")?;
    }
    let partition = partition(&mut client)?;
    [limits.single, limits.thousand] = row_by_row(&mut client, meter, rows.count, &partition)?;
    Ok(limits)
}

/// COPY of all routes and of all events, one after the other, into empty copies of the tables with all their indexes.
pub fn both(client: &mut Client, rows: &Rows, postmaster: u32) -> Result<[Spent; 2], Failure> {
    let meter = Meter { postmaster, collector: None };
    let partition = partition(client)?;
    client.batch_execute("CREATE TABLE limit_routes (LIKE current_routes INCLUDING ALL)")?;
    let routes = timed(meter, || copy(client, "limit_routes", ROUTE_COLUMNS, &rows.routes))?;
    client.batch_execute(&format!(
        "DROP TABLE limit_routes; CREATE TABLE limit_events (LIKE {partition} INCLUDING ALL)"
    ))?;
    let events = timed(meter, || copy(client, "limit_events", "", &rows.events))?;
    client.batch_execute("DROP TABLE limit_events")?;
    Ok([routes, events])
}

/// COPY of all events into a table that has the columns of `route_events` in any order.
pub fn copy_events(client: &mut Client, table: &str, rows: &Rows) -> Result<(), Failure> {
    let columns = client.query_one(
        "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'route_events'::regclass AND attnum > 0",
        &[],
    )?;
    copy(client, table, columns.get(0), &rows.events)
}

/// The day's partition.
fn partition(client: &mut Client) -> Result<String, Failure> {
    Ok(client.query_one("SELECT tableoid::regclass::text FROM route_events LIMIT 1", &[])?.get(0))
}

fn timed(meter: Meter, work: impl FnOnce() -> Result<(), Failure>) -> Result<Spent, Failure> {
    let (spent, result) = meter.time(work);
    result.map(|()| spent)
}

fn copy(client: &mut Client, table: &str, columns: &str, bytes: &[u8]) -> Result<(), Failure> {
    let columns = if columns.is_empty() { String::new() } else { format!("({columns})") };
    let mut writer = client.copy_in(&format!("COPY {table} {columns} FROM STDIN (FORMAT binary)"))?;
    for piece in bytes.chunks(256 * 1024) {
        writer.write_all(piece)?;
    }
    writer.finish()?;
    Ok(())
}

fn build(client: &mut Client, statements: &[String]) -> Result<(), Failure> {
    for sql in statements {
        client.batch_execute(sql)?;
    }
    Ok(())
}

/// The statements for all indexes of `current_routes` but its key, on `limit_routes`.
pub fn secondary_indexes(client: &mut Client) -> Result<Vec<String>, Failure> {
    let rows = client.query(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'current_routes' AND indexname LIKE 'idx%' ORDER BY 1",
        &[],
    )?;
    let without_name = |sql: String| {
        let (head, tail) = sql.split_once(" INDEX ")?;
        let (_, tail) = tail.split_once(" ON ")?;
        Some(format!("{head} INDEX ON {}", tail.replace("current_routes", "limit_routes")))
    };
    rows.iter().map(|row| without_name(row.get(0)).ok_or_else(|| "an index of another form".into())).collect()
}

/// As collectors do it that know no better: an INSERT .. ON CONFLICT for the route and an INSERT for the event,
/// prepared.
///
/// Into copies that hold the first half of the dump: an empty table is no table of a router.
fn row_by_row(client: &mut Client, meter: Meter, count: usize, partition: &str) -> Result<[Spent; 2], Failure> {
    let half = count / 2;
    let routes = ROUTE_COLUMNS.replace("path_id", "coalesce(path_id, 0)");
    client.batch_execute(&format!(
        "CREATE TABLE limit_routes (LIKE current_routes INCLUDING ALL);
         CREATE TABLE limit_events (LIKE {partition} INCLUDING ALL);
         INSERT INTO limit_routes ({ROUTE_COLUMNS}) SELECT {routes} FROM route_events ORDER BY ingest_time LIMIT {half};
         INSERT INTO limit_events SELECT * FROM route_events ORDER BY ingest_time LIMIT {half};
         ANALYZE limit_routes, limit_events"
    ))?;
    let casts = "$1::text, $2::text, $3::text::smallint, $4::text::cidr, $5::text::bigint, $6::text::inet, $7::text, $8::text, \
        $9::text::bigint, $10::text::bigint, $11::text::bigint, $12::text::text[], $13::text::text[], $14::text::text[], \
        $15::text::jsonb";
    let update: Vec<String> =
        ROUTE_COLUMNS.split(", ").skip(5).map(|name| format!("{0} = EXCLUDED.{0}", name.trim())).collect();
    let route = client.prepare(&format!(
        "INSERT INTO limit_routes ({ROUTE_COLUMNS}) VALUES ({casts})
         ON CONFLICT (router_id, table_name, afi, prefix, path_id) DO UPDATE SET {}, updated_at = now()",
        update.join(", ")
    ))?;
    let event = client.prepare(&format!(
        "INSERT INTO limit_events ({ROUTE_COLUMNS}, event_id, ingest_time, received_at, action)
         VALUES ({casts}, $16::text::bytea, clock_timestamp(), now(), 'A')"
    ))?;
    let texts = ROUTE_COLUMNS.replace(", ", "::text, ").replace("path_id::text", "coalesce(path_id, 0)::text");
    let (mut from, mut all) = (half, [Spent::default(); 2]);
    for (spent, (per_commit, measured)) in all.iter_mut().zip(SINGLE) {
        let sql = format!(
            "SELECT {texts}::text, event_id::text FROM route_events ORDER BY ingest_time LIMIT {measured} OFFSET {from}"
        );
        let rows = client.query(&sql, &[])?;
        from += measured;
        *spent = timed(meter, || {
            for together in rows.chunks(per_commit) {
                let mut transaction = client.transaction()?;
                for row in together {
                    let values: Vec<Option<String>> = (0..16).map(|i| row.get(i)).collect();
                    let values: Vec<&(dyn postgres::types::ToSql + Sync)> =
                        values.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)).collect();
                    transaction.execute(&route, &values[..15])?;
                    transaction.execute(&event, &values)?;
                }
                transaction.commit()?;
            }
            Ok(())
        })?;
        let scale = count as f64 / rows.len().max(1) as f64;
        spent.wall = spent.wall.mul_f64(scale);
        spent.server = spent.server.mul_f64(scale);
    }
    client.batch_execute("DROP TABLE limit_routes, limit_events")?;
    Ok(all)
}
