//! What PostgreSQL itself takes for the same rows: into copies of the tables, in the order in which they arrived.

use std::io::{Read, Write};

use postgres::{Client, NoTls};

use crate::Failure;
use crate::database::Database;
use crate::machine::{Meter, Spent};

const ROUTE_COLUMNS: &str = "router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med, origin_asn, \
     communities_std, communities_ext, communities_large, attrs";

/// How many rows the row-by-row measurement takes; it is slow, and each row costs the same.
const SINGLE_ROWS: usize = 10_000;

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
    /// INSERT .. ON CONFLICT DO UPDATE row by row, prepared, a commit each thousand; scaled up to all rows.
    pub single: Spent,
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
        }
    }

    /// Both tables by COPY on one connection: what everything is compared with.
    pub fn both(&self) -> Spent {
        let (a, b) = (self.routes, self.events);
        Spent { wall: a.wall + b.wall, server: a.server + b.server, collector: a.collector }
    }
}

/// Measures all of it in the database of a finished dump, beside its tables.
pub fn measure(database: &Database, rows: &Rows, postmaster: u32) -> Result<Limits, Failure> {
    let meter = Meter { postmaster, collector: None };
    let mut client = database.client()?;
    let partition: String = client.query_one("SELECT tableoid::regclass::text FROM route_events LIMIT 1", &[])?.get(0);
    let mut limits = Limits::default();
    client.batch_execute("CREATE TABLE limit_routes (LIKE current_routes INCLUDING ALL)")?;
    limits.routes = timed(meter, || copy(&mut client, "limit_routes", ROUTE_COLUMNS, &rows.routes))?;
    client.batch_execute(&format!(
        "DROP TABLE limit_routes; CREATE TABLE limit_events (LIKE {partition} INCLUDING ALL)"
    ))?;
    limits.events = timed(meter, || copy(&mut client, "limit_events", "", &rows.events))?;
    client.batch_execute("DROP TABLE limit_events")?;
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
    limits.single = row_by_row(&mut client, meter, rows.count)?;
    Ok(limits)
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
fn secondary_indexes(client: &mut Client) -> Result<Vec<String>, Failure> {
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

/// As collectors do it that know no better.
fn row_by_row(client: &mut Client, meter: Meter, count: usize) -> Result<Spent, Failure> {
    client.batch_execute("CREATE TABLE limit_routes (LIKE current_routes INCLUDING ALL)")?;
    let texts = ROUTE_COLUMNS.replace(", ", "::text, ") + "::text";
    let texts = texts.replace("path_id::text", "coalesce(path_id, 0)::text");
    let rows =
        client.query(&format!("SELECT {texts} FROM route_events WHERE action = 'A' LIMIT {SINGLE_ROWS}"), &[])?;
    let casts = "$1::text, $2::text, $3::text::smallint, $4::text::cidr, $5::text::bigint, $6::text::inet, $7::text, $8::text, \
        $9::text::bigint, $10::text::bigint, $11::text::bigint, $12::text::text[], $13::text::text[], $14::text::text[], \
        $15::text::jsonb";
    let update: Vec<String> =
        ROUTE_COLUMNS.split(", ").skip(5).map(|name| format!("{0} = EXCLUDED.{0}", name.trim())).collect();
    let statement = client.prepare(&format!(
        "INSERT INTO limit_routes ({ROUTE_COLUMNS}) VALUES ({casts})
         ON CONFLICT (router_id, table_name, afi, prefix, path_id) DO UPDATE SET {}, updated_at = now()",
        update.join(", ")
    ))?;
    let mut spent = timed(meter, || {
        for thousand in rows.chunks(1000) {
            let mut transaction = client.transaction()?;
            for row in thousand {
                let values: Vec<Option<String>> = (0..15).map(|i| row.get(i)).collect();
                let values: Vec<&(dyn postgres::types::ToSql + Sync)> =
                    values.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)).collect();
                transaction.execute(&statement, &values)?;
            }
            transaction.commit()?;
        }
        Ok(())
    })?;
    client.batch_execute("DROP TABLE limit_routes")?;
    let scale = count as f64 / rows.len().max(1) as f64;
    spent.wall = spent.wall.mul_f64(scale);
    spent.server = spent.server.mul_f64(scale);
    Ok(spent)
}
