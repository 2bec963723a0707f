//! A server with the roles of `docs/install.md` and `docs/tenants.md`, and two teams, as those pages make them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::common::server::Server;

/// The block of SQL of a page that begins so.
pub fn block(page: &str, begin: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let found = page.split("```sql\n").find(|block| block.starts_with(begin)).unwrap_or_else(|| panic!("no {begin}"));
    found.split("```").next().unwrap().to_owned()
}

/// The server, with the teams `blue` (role `t1`) and `green` (`t2`).
pub struct Scene {
    pub server: Server,
}

impl Scene {
    pub fn new() -> Scene {
        let server = Server::start("", &[]);
        server.super_script("postgres", "DROP DATABASE rib; DROP ROLE rib_reader; DROP ROLE rib;");
        server.super_script("postgres", &block("install.md", "CREATE ROLE rib_ingester"));
        server.super_script("rib", &block("tenants.md", "CREATE ROLE rib_team"));
        let scene = Scene { server };
        let mut owner = scene.owner();
        rib_ingester::store::migrate(&mut owner).unwrap();
        owner.batch_execute(&block("tenants.md", "SELECT tenant.grant_to")).unwrap();
        scene
    }

    pub fn url(&self, role: &str) -> String {
        let password = match role {
            "rib_ingester" => "kettle-7-granite",
            "rib_reader" => "basin-4-lantern",
            "t1" => "anchor-3-willow",
            _ => "candle-8-meadow",
        };
        format!("host=127.0.0.1 port={} dbname=rib user={role} password='{password}'", self.server.port())
    }

    pub fn owner(&self) -> Client {
        self.as_role("rib_ingester")
    }

    pub fn as_role(&self, role: &str) -> Client {
        self.url(role).parse::<Config>().unwrap().connect(NoTls).unwrap()
    }

    /// A client of a role, and the notices that it gets.
    pub fn listening(&self, role: &str) -> (Client, Arc<Mutex<Vec<String>>>) {
        let notices: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&notices);
        let mut config: Config = self.url(role).parse().unwrap();
        config.notice_callback(move |notice| kept.lock().unwrap().push(notice.message().to_owned()));
        (config.connect(NoTls).unwrap(), notices)
    }
}

/// The rows of a statement, each value as text and NULL as `-`, joined by `|`; or the error as `SQLSTATE message`.
pub fn ask(client: &mut Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = client.simple_query(sql).map_err(|error| match error.as_db_error() {
        Some(error) => format!("{} {} {}", error.code().code(), error.message(), error.detail().unwrap_or_default()),
        None => error.to_string(),
    })?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or("-")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    Ok(rows.collect())
}

/// The rows of a statement that succeeds.
pub fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    ask(client, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}
