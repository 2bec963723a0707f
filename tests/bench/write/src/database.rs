//! Databases for single runs, and what is asked of them.

use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use crate::Failure;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(7200);

/// A fresh database, dropped with the value.
pub struct Database {
    admin: Config,
    name: &'static str,
}

impl Database {
    /// An empty database of this name; one that was left behind goes.
    pub fn fresh(admin: &Config, name: &'static str) -> Result<Database, Failure> {
        let mut client = admin.connect(NoTls)?;
        drop_database(&mut client, name)?;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))?;
        Ok(Database { admin: admin.clone(), name })
    }

    /// What `RIB_INGESTER_DATABASE_URL` has to be.
    pub fn url(&self) -> String {
        let host = match self.admin.get_hosts().first() {
            Some(postgres::config::Host::Tcp(name)) => name.clone(),
            Some(postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        let password = self.admin.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        format!(
            "dbname={} host={host} port={} user={} password='{}'",
            self.name,
            self.admin.get_ports().first().copied().unwrap_or(5432),
            self.admin.get_user().unwrap_or("postgres"),
            password.unwrap_or_default()
        )
    }

    /// A connection.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(self.url().parse::<Config>()?.connect(NoTls)?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut client) = self.admin.connect(NoTls)
            && let Err(error) = drop_database(&mut client, self.name)
        {
            eprintln!("write-bench: {} stays: {error}", self.name);
        }
    }
}

/// Only a superuser may send autovacuum away, which ends by itself.
fn drop_database(client: &mut Client, name: &str) -> Result<(), Failure> {
    let until = Instant::now() + DEADLINE;
    loop {
        match client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")) {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(200));
            }
            result => return Ok(result?),
        }
    }
}

/// Waits until a query's first value is true.
pub fn wait(client: &mut Client, what: &str, sql: &str) -> Result<(), Failure> {
    let until = Instant::now() + DEADLINE;
    while !client.query_one(sql, &[])?.get::<_, bool>(0) {
        if Instant::now() > until {
            return Err(format!("waited in vain for: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    Ok(())
}

/// The time by the server's clock.
pub fn now(client: &mut Client) -> Result<String, Failure> {
    Ok(client.query_one("SELECT clock_timestamp()::text", &[])?.get(0))
}

/// One number.
pub fn number(client: &mut Client, sql: &str) -> Result<i64, Failure> {
    Ok(client.query_one(&format!("SELECT ({sql})::bigint"), &[])?.get(0))
}
