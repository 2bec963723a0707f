//! The connections that pages, health checks and maintenance share.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use postgres::Client;
use rib_ingester::store::{self, Pool, maintenance};

use crate::common::ingester::eventually;
use crate::common::pg::TestDb;

fn backend(client: &mut Client) -> store::Result<i32> {
    Ok(client.query_one("SELECT pg_backend_pid()", &[])?.get(0))
}

/// Asks `count` questions at a time, of which four are answered together. Returns the server processes that answered.
fn at_a_time(pool: &Pool, count: usize) -> BTreeSet<i32> {
    let all_connected = Barrier::new(4);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| {
                let all_connected = &all_connected;
                scope.spawn(move || {
                    pool.read(|client| {
                        if i < 4 {
                            all_connected.wait();
                        }
                        backend(client)
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("an answer")).collect()
    })
}

#[test]
fn a_refused_connect_keeps_its_sqlstate() {
    let db = TestDb::create();
    let pool = Pool::new(&db.url().replace(db.name(), "no_such_database"));
    let begin = Instant::now();
    for _ in 0..3 {
        let error = pool.read(backend).unwrap_err();
        assert_eq!((error.code(), error.is_configuration()), (Some("3D000"), true), "{error}");
        assert_eq!(pool.work("test", backend).unwrap_err().code(), Some("3D000"));
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "took {:?}", begin.elapsed());
}

#[test]
fn readers_share_four_connections() {
    let db = TestDb::create();
    let pool = Pool::new(&db.url());
    assert_eq!(at_a_time(&pool, 8).len(), 4);
    let names = "SELECT application_name, count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1";
    assert_eq!(db.rows(names), ["rib-ingester/reader|4"]);
    let error = pool.read(|client| Ok(client.batch_execute("CREATE TABLE x ()")?)).unwrap_err();
    assert_eq!(error.code(), Some("25006"));
    // An error that is not the connection's closes none.
    assert_eq!(db.rows(names), ["rib-ingester/reader|4"]);
}

#[test]
fn an_outage_costs_readers_one_error() {
    let db = TestDb::create();
    let pool = Pool::new(&db.url());
    let before = at_a_time(&pool, 4);
    let end = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name ~ '/reader' \
               AND datname = current_database()";
    assert_eq!(db.rows(end), ["t"; 4]);
    pool.read(backend).unwrap_err();
    let after = at_a_time(&pool, 4);
    assert_eq!(before.intersection(&after).count(), 0);
}

#[test]
fn a_panic_of_a_reader_costs_its_connection() {
    let db = TestDb::create();
    let pool = Pool::new(&db.url());
    let before = pool.read(backend).unwrap();
    let panicking = || pool.read(|_| -> store::Result<()> { panic!("as a page may") });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).unwrap_err();
    assert_ne!(pool.read(backend).unwrap(), before);
}

#[test]
fn work_leaves_neither_lock_nor_setting() {
    let db = TestDb::migrated();
    let pool = Pool::new(&db.url());
    let locked = |client: &mut Client| {
        let name: String = client.query_one("SELECT current_setting('application_name')", &[])?.get(0);
        assert_eq!(name, "rib-ingester/test");
        // Not released, as when an error comes in between.
        Ok((maintenance::begin(client)?, backend(client)?))
    };
    let (has_lock, backend) = pool.work("test", locked).unwrap();
    assert!(has_lock);
    eventually("the lock to be free", || pool.work("test", locked).unwrap().0.then_some(()));
    assert_ne!(pool.work("test", locked).unwrap().1, backend);
}
