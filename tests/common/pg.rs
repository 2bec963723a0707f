//! A fresh database per test, on the PostgreSQL that `RIB_INGESTER_TEST_DATABASE_URL` names.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, Config, NoTls};
use sha2::{Digest, Sha256};

/// A database of its own, dropped with the value.
pub struct TestDb {
    admin: Config,
    name: String,
}

impl TestDb {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An empty database.
    pub fn create() -> TestDb {
        TestDb::create_with("ENCODING 'UTF8'")
    }

    /// An empty database with these options.
    pub fn create_with(options: &str) -> TestDb {
        TestDb::made(&format!("TEMPLATE template0 {options}"))
    }

    /// A database with the schema.
    pub fn migrated() -> TestDb {
        TestDb::made(&format!("TEMPLATE {}", template()))
    }

    fn made(options: &str) -> TestDb {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let admin = admin();
        let name = format!("rib_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut client = admin.connect(NoTls).expect("the test database answers");
        // A test that was killed left it, and its process id was reused.
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} {options}")).unwrap();
        TestDb { admin, name }
    }

    /// The server's host name or socket folder, and its port.
    pub fn server(&self) -> (String, u16) {
        let host = match self.admin.get_hosts().first() {
            Some(postgres::config::Host::Tcp(name)) => name.clone(),
            Some(postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => panic!("RIB_INGESTER_TEST_DATABASE_URL has no host"),
        };
        (host, self.admin.get_ports().first().copied().unwrap_or(5432))
    }

    /// The value of `RIB_INGESTER_DATABASE_URL`.
    pub fn url(&self) -> String {
        let (host, port) = self.server();
        self.url_at(&host, port)
    }

    /// The same through another server address.
    pub fn url_at(&self, host: &str, port: u16) -> String {
        let mut text = format!("dbname={} host={host} port={port}", self.name);
        if let Some(user) = self.admin.get_user() {
            text.push_str(&format!(" user={user}"));
        }
        if let Some(password) = self.admin.get_password() {
            text.push_str(&format!(" password='{}'", String::from_utf8_lossy(password)));
        }
        text
    }

    /// A connection made the way the collector makes them.
    pub fn client(&self) -> Client {
        rib_ingester::store::connect(&self.url(), "test").expect("the fresh database answers")
    }

    /// The rows of a query, each value as text and NULL as `-`, joined by `|`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for message in self.client().simple_query(sql).unwrap() {
            if let postgres::SimpleQueryMessage::Row(row) = message {
                let values: Vec<&str> = (0..row.len()).map(|i| row.get(i).unwrap_or("-")).collect();
                rows.push(values.join("|"));
            }
        }
        rows
    }

    /// Tables whose number in `route_counts` or `nlri_route_counts` is not that of their routes, as of one moment, and both numbers.
    pub fn wrong_counts(&self) -> Vec<String> {
        self.rows(
            "SELECT * FROM
                 (SELECT router_id, 'loc-rib' AS rib, inet '0.0.0.0' AS peer_address, false AS is_post_policy, table_name, afi,
                         count(*) AS stored FROM current_routes GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM adj_rib_in GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM adj_rib_out GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'nlri-loc-rib', inet '0.0.0.0', false, table_name, afi, count(*)
                  FROM nlri_loc_rib GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'nlri-adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM nlri_adj_rib_in GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'nlri-adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM nlri_adj_rib_out GROUP BY 1, 2, 3, 4, 5, 6) AS stored
             FULL JOIN (SELECT * FROM route_counts UNION ALL SELECT * FROM nlri_route_counts) AS kept
                 USING (router_id, rib, peer_address, is_post_policy, table_name, afi)
             WHERE COALESCE(stored, 0) <> COALESCE(routes, 0)",
        )
    }
}

fn admin() -> Config {
    let url = std::env::var("RIB_INGESTER_TEST_DATABASE_URL")
        .expect("no test database: run scripts/test, or set RIB_INGESTER_TEST_DATABASE_URL");
    url.parse().expect("RIB_INGESTER_TEST_DATABASE_URL is a PostgreSQL URL")
}

/// The name of the database that those with the schema are copies of, because a copy takes PostgreSQL a fifth of the
/// time of the migrations. The first test makes it; it has another name when a migration changes.
fn template() -> String {
    let checksums = checksums();
    let name = format!("rib_template_{}", &sha256(checksums.concat().as_bytes())[..16]);
    let mut client = admin().connect(NoTls).expect("the test database answers");
    client.execute("SELECT pg_advisory_lock(hashtext($1))", &[&name]).unwrap();
    if client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]).unwrap().is_none() {
        // Under another name until it is whole.
        let db = TestDb::create();
        rib_ingester::store::migrate(&mut db.client()).expect("the migrations apply");
        let applied = db.rows("SELECT checksum FROM schema_migrations ORDER BY name COLLATE \"C\"");
        assert_eq!(applied, checksums, "the tests were built before a migration changed");
        client.batch_execute(&format!("ALTER DATABASE {} RENAME TO {name}", db.name)).unwrap();
    }
    name
}

/// The checksums of the migrations by name, as the collector stores them.
fn checksums() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| sha256(&std::fs::read(file).unwrap())).collect()
}

fn sha256(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Ok(mut client) = self.admin.connect(NoTls) {
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}
