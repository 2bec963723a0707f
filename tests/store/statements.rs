//! Every statement of `sql/statements`, in all its renderings, fits the schema.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::common::pg::TestDb;
use postgres::Client;
use rib_ingester::model::RibKind;
use rib_ingester::store::Error;
use rib_ingester::store::copy_encoding::{COPY_HEADER, COPY_TRAILER};
use rib_ingester::store::statement::render;

/// The files below a folder of the project.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(path.to_str().unwrap()) } else { vec![path] };
    let mut files: Vec<PathBuf> = entries.flat_map(below).collect();
    files.sort();
    files
}

/// Returns whether a file creates a staging table.
fn is_staging(file: &Path) -> bool {
    file.file_name().unwrap().to_str().unwrap().starts_with("staging")
}

/// Lets PostgreSQL check a statement, and takes back what that changes.
fn check(client: &mut Client, sql: &str) -> Result<(), postgres::Error> {
    let code: String = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let mut transaction = client.transaction()?;
    if code.starts_with("SET ") || code.starts_with("CREATE TEMP TABLE ") {
        transaction.batch_execute(sql)
    } else if code.starts_with("COPY ") && code.contains(" TO STDOUT") {
        let copied = transaction.copy_out(sql).map(|mut reader| reader.read_to_end(&mut Vec::new()).unwrap());
        copied.map(|_| ())
    } else if code.starts_with("COPY ") {
        let mut writer = transaction.copy_in(sql)?;
        writer.write_all(&[COPY_HEADER, &COPY_TRAILER].concat()).unwrap();
        writer.finish().map(|_| ())
    } else {
        transaction.prepare(sql).map(|_| ())
    }
}

#[test]
fn every_statement_is_prepared_in_all_renderings() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let mut staged = db.client();
    for file in files("sql/statements").iter().filter(|file| is_staging(file)) {
        for kind in RibKind::ALL {
            staged.batch_execute(&render(&fs::read_to_string(file).unwrap(), kind)).unwrap();
        }
    }
    assert!(check(&mut client, &render("SELECT {c.nothing}1", RibKind::LocRib)).is_err(), "an unknown hole");
    let (mut checked, mut faults) = (0, Vec::new());
    for file in files("sql/statements") {
        let (name, text) = (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&file).unwrap());
        assert!(!text.contains("/*"), "{name}: a part of it is in a comment");
        let mut renderings = RibKind::ALL.map(|kind| render(&text, kind)).to_vec();
        renderings.dedup();
        for sql in renderings {
            let client = if is_staging(&file) { &mut client } else { &mut staged };
            if let Err(error) = check(client, &sql) {
                faults.push(format!("{name}: {}\n{sql}", Error::from(error)));
            }
            checked += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_statement_is_used() {
    let sources: String = files("src/store").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for file in files("sql/statements") {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(sources.contains(&format!("/sql/statements/{name}\"")), "{name}");
    }
}
