//! A fresh database per test, on the PostgreSQL that `RIB_INGESTER_TEST_DATABASE_URL` names.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, Config, NoTls};

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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("RIB_INGESTER_TEST_DATABASE_URL")
            .expect("no test database: run scripts/test, or set RIB_INGESTER_TEST_DATABASE_URL");
        let admin: Config = url.parse().expect("RIB_INGESTER_TEST_DATABASE_URL is a PostgreSQL URL");
        let name = format!("rib_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut client = admin.connect(NoTls).expect("the test database answers");
        // A test that was killed left it, and its process id was reused.
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 {options}")).unwrap();
        TestDb { admin, name }
    }

    /// A database with the schema.
    pub fn migrated() -> TestDb {
        let db = TestDb::create();
        rib_ingester::store::migrate(&mut db.client()).expect("the migrations apply");
        db
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

    /// Tables whose number in `route_counts` is not that of their routes, as of one moment, and both numbers.
    pub fn wrong_counts(&self) -> Vec<String> {
        self.rows(
            "SELECT * FROM
                 (SELECT router_id, 'loc-rib' AS rib, inet '0.0.0.0' AS peer_address, false AS is_post_policy, table_name, afi,
                         count(*) AS stored FROM current_routes GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM adj_rib_in GROUP BY 1, 2, 3, 4, 5, 6
                  UNION ALL SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*)
                  FROM adj_rib_out GROUP BY 1, 2, 3, 4, 5, 6) AS stored
             FULL JOIN route_counts USING (router_id, rib, peer_address, is_post_policy, table_name, afi)
             WHERE COALESCE(stored, 0) <> COALESCE(routes, 0)",
        )
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Ok(mut client) = self.admin.connect(NoTls) {
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}
