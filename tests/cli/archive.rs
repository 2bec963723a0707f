//! Days of the history as files: what is in them, when they are written, and what retention makes of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod duckdb;
mod families;
mod kept;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::ToSpan;
use jiff::civil::Date;
use rib_ingester::store::partitions::{ensure, name_of, today};

use crate::common::pg::TestDb;

/// A router whose name tries to leave the folder.
const HOSTILE: &str = "../../r/é";
const HOSTILE_KEY: &str = "..%2F..%2Fr%2F%C3%A9";

/// The hash that a file should have, of the events in the database.
const HASHES: &str = "SELECT (ingest_time AT TIME ZONE 'UTC')::date AS day, router_id, count(*) AS rows,
    encode(sha256(string_agg(event_id, ''::bytea ORDER BY afi, prefix, ingest_time, event_id)), 'hex') AS hash
    FROM route_events GROUP BY 1, 2";

/// A database, a folder for files, and days of the past.
struct Scene {
    db: TestDb,
    folder: PathBuf,
    today: Date,
}

impl Scene {
    fn new() -> Scene {
        let db = TestDb::migrated();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("archive-{}", db.name()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let today = today(&mut db.client()).unwrap();
        Scene { db, folder: folder.canonicalize().unwrap(), today }
    }

    fn ago(&self, days: i64) -> Date {
        self.today.checked_sub(days.days()).unwrap()
    }

    /// Adds events to a day, of all kinds of columns; `salt` tells those of one call from those of another.
    fn add(&self, day: Date, router: &str, count: u32, salt: &str) {
        let mut client = self.db.client();
        ensure(&mut client, day).unwrap();
        let statement = "INSERT INTO route_events
            SELECT sha256(convert_to(r || n || salt, 'UTF8')), (day || ' 00:00+00')::timestamptz + n * interval '1 ms' + length(r) * interval '1 us', r,
                   'table ' || n % 3, CASE WHEN n % 4 = 0 THEN 6 ELSE 4 END,
                   CASE WHEN n % 4 = 0 THEN set_masklen(('2001:db8:' || to_hex(n % 99) || '::')::cidr, 48)
                        ELSE set_masklen(('10.' || n % 3 || '.' || n % 5 || '.0')::cidr, 24) END,
                   CASE WHEN n % 5 = 0 THEN 4294967295 END, CASE WHEN n % 6 = 0 THEN 'D' ELSE 'A' END,
                   CASE WHEN n % 6 > 0 THEN '192.0.2.1'::inet END,
                   CASE WHEN n % 6 > 1 THEN '64500 ' || 64496 + n % 20 || ' {7,8}' WHEN n % 6 = 1 THEN '' END,
                   CASE WHEN n % 6 > 0 THEN 'IGP' END, n % 200, NULL, CASE WHEN n % 6 > 1 THEN 4294967295 END,
                   CASE WHEN n % 3 = 0 THEN ARRAY['64500:1', '64500:' || 660 + n % 10] END, CASE WHEN n % 7 = 0 THEN '{}'::text[] END,
                   CASE WHEN n % 9 = 0 THEN ARRAY['4200000000:1:2'] END,
                   CASE WHEN n % 8 = 0 THEN jsonb_build_object('aigp', n, 'ä', 'ü\"') END,
                   CASE WHEN n % 10 = 0 THEN '\\x0300ff'::bytea END,
                   '2026-11-25 12:00:00.123456+00', CASE WHEN n % 2 = 0 THEN '1969-12-31 23:59:59.999999+00'::timestamptz END,
                   CASE WHEN n % 2 = 0 THEN '2001:db8::9'::inet END, CASE WHEN n % 2 = 0 THEN 64501 END,
                   CASE WHEN n % 2 = 0 THEN '192.0.2.9' END, CASE WHEN n % 2 = 0 THEN n % 4 = 0 END,
                   CASE WHEN n % 2 = 0 THEN 'adj-rib-in' ELSE 'loc-rib' END
            FROM (SELECT $1::text AS day, $2::text AS r, $4::text AS salt) AS v, generate_series(1, $3::int) AS n";
        let count = i32::try_from(count).unwrap();
        client.execute(statement, &[&day.to_string(), &router, &count, &salt]).unwrap();
    }

    fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", self.db.url()).envs(settings.to_vec());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn folder(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    /// Runs `archive` into the folder; returns whether it succeeded, and all that it said.
    fn archive(&self, arguments: &[&str]) -> (bool, String) {
        let all = [&["archive", "--to", self.folder()], arguments].concat();
        said(&self.command(&all, &[]).output().unwrap())
    }

    /// Runs `maintenance` with the folder as its archive.
    fn maintain(&self, retention: &str) -> (bool, String) {
        let settings = [("RIB_INGESTER_ARCHIVE_DIR", self.folder()), ("RIB_INGESTER_RETENTION_DAYS", retention)];
        said(&self.command(&["maintenance"], &settings).output().unwrap())
    }

    fn file(&self, day: Date, key: &str) -> PathBuf {
        self.file_of("route_events", day, key)
    }

    fn file_of(&self, history: &str, day: Date, key: &str) -> PathBuf {
        self.folder.join(format!("{history}/date={day}/router={key}/part-0.parquet"))
    }

    /// All files, also those that are not files of the archive.
    fn files(&self) -> Vec<PathBuf> {
        fn below(folder: &Path) -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
        }
        let mut files = below(&self.folder);
        files.sort();
        files
    }

    /// What `archives` says of days up to this one, and the same of the events themselves.
    fn recorded(&self, last: Date) -> [Vec<String>; 2] {
        let recorded = format!(
            "SELECT day, router_id, rows, encode(hash, 'hex') AS hash FROM archives WHERE starts_with(file, '{}/') ORDER BY 1, 2",
            self.folder()
        );
        let events = format!("SELECT * FROM ({HASHES}) AS h WHERE day <= '{last}' ORDER BY 1, 2");
        [self.db.rows(&recorded), self.db.rows(&events)]
    }

    fn partitions(&self) -> Vec<String> {
        let sql =
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'route_events'::regclass ORDER BY 1";
        self.db.rows(sql)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn said(output: &Output) -> (bool, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn files_have_the_closed_days_and_are_recorded() {
    let scene = Scene::new();
    for days in 0..5 {
        scene.add(scene.ago(days), "10.0.0.1", 300, "");
    }
    scene.add(scene.ago(4), HOSTILE, 7, "");
    let (is_done, text) = scene.archive(&["--older-than", "2d"]);
    assert!(is_done && text.contains("3 files with 607 events"), "{text}");
    assert!(text.contains(&format!("{} of router ../../r/é: 7 events, ", scene.ago(4))), "{text}");
    let [recorded, events] = scene.recorded(scene.ago(3));
    assert_eq!((recorded.len(), &recorded), (3, &events));
    let four = scene.ago(4);
    let mut files =
        vec![scene.file(four, HOSTILE_KEY), scene.file(four, "10.0.0.1"), scene.file(scene.ago(3), "10.0.0.1")];
    files.sort();
    assert_eq!(scene.files(), files);
    let reach =
        "SELECT archived_from AT TIME ZONE 'UTC', archived_until AT TIME ZONE 'UTC', files, rows FROM history_reach";
    assert_eq!(scene.db.rows(reach), [format!("{four} 00:00:00|{} 00:00:00|3|607", scene.ago(2))]);
    // The next day without the ones before, into the same archive by its setting.
    let settings = [("RIB_INGESTER_ARCHIVE_DIR", scene.folder())];
    let (is_done, text) = said(&scene.command(&["archive"], &settings).output().unwrap());
    assert!(is_done && text.contains("1 file with 300 events") && !text.contains(&four.to_string()), "{text}");
    let (is_done, text) = scene.archive(&[]);
    assert!(is_done && text == "all days that are over are in the archive\n", "{text}");
    assert_eq!(scene.partitions().len(), 5, "the command drops nothing");
}

#[test]
fn events_that_come_late_are_added() {
    let scene = Scene::new();
    let day = scene.ago(3);
    scene.add(day, "r", 1_000, "");
    assert!(scene.archive(&[]).0);
    scene.add(day, "r", 3, "late");
    scene.add(day, "s", 1, "late");
    let (is_done, text) = scene.archive(&[]);
    assert!(is_done && text.contains("of router r: 1003 events") && text.contains("3 of them new"), "{text}");
    let [recorded, events] = scene.recorded(day);
    assert_eq!((recorded.len(), &recorded), (2, &events));
    // A file that is gone is written again, one without its record is recorded.
    std::fs::remove_file(scene.file(day, "r")).unwrap();
    scene.db.client().batch_execute("DELETE FROM archives WHERE router_id = 's'").unwrap();
    let (is_done, text) = scene.archive(&[]);
    assert!(is_done && text.contains("of router s: 1 events") && text.contains("which the file had"), "{text}");
    assert_eq!(scene.recorded(day), [events.clone(), events]);
}

#[test]
fn messages_are_written_when_asked_for() {
    let scene = Scene::new();
    scene.add(scene.ago(3), "r", 100, "");
    let size = || std::fs::metadata(scene.file(scene.ago(3), "r")).unwrap().len();
    assert!(scene.archive(&[]).0);
    let without = size();
    let (is_done, text) = scene.archive(&["--raw"]);
    assert!(is_done && text.contains("1 file with 100 events") && size() > without, "{text}");
    // It keeps its messages, and gets those of later events.
    let with = size();
    scene.add(scene.ago(3), "r", 10, "late");
    assert!(scene.archive(&[]).0 && size() > with);
    let (_, text) = scene.archive(&["--raw"]);
    assert_eq!(text, "all days that are over are in the archive\n");
}

#[test]
fn wrong_use_of_archive_says_what_to_do() {
    let scene = Scene::new();
    let check = |arguments: &[&str], want: &str| {
        let output = scene.command(arguments, &[]).output().unwrap();
        let (_, text) = said(&output);
        assert!(output.status.code() == Some(2) && text.contains(want), "{text}");
    };
    check(&["archive"], "name the folder: --to FOLDER, or RIB_INGESTER_ARCHIVE_DIR");
    check(&["archive", "--to", "/nowhere/a"], "archive folder /nowhere/a: No such file or directory");
    check(&["archive", "--to", "/dev/null"], "archive folder /dev/null: is not a folder");
    check(&["archive", "--to", scene.folder(), "--older-than", "soon"], "--older-than: \"soon\" is not a duration");
}

/// Ends the command at many moments of its work; in the end each event is in a file once.
#[test]
fn a_killed_command_is_resumed() {
    let scene = Scene::new();
    for router in ["r1", "r2", "r3"] {
        scene.add(scene.ago(3), router, 4_000, "");
    }
    scene.add(scene.ago(2), "r1", 4_000, "");
    let mut killed = 0;
    for round in 0..30 {
        let mut command = scene.command(&["archive", "--to", scene.folder()], &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + 13 * round));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        // The rows of a router that is in files do not hide those that are not.
        if round % 10 == 0 {
            scene.add(scene.ago(3), "r2", 1, &round.to_string());
        }
    }
    assert!(killed > 5, "{killed}");
    // The server may not have noticed yet that the last one is gone.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !scene.archive(&[]).0 {
        assert!(std::time::Instant::now() < until);
    }
    let [recorded, events] = scene.recorded(scene.ago(2));
    assert_eq!((recorded.len(), &recorded), (4, &events));
    assert_eq!(scene.files().len(), 4, "{:?}", scene.files());
}

#[test]
fn two_commands_at_once_write_each_file_once() {
    let scene = Scene::new();
    for days in 2..5 {
        scene.add(scene.ago(days), "r", 2_000, "");
    }
    let start = || scene.command(&["archive", "--to", scene.folder()], &[]).spawn().unwrap();
    let both = [start(), start()].map(|child| said(&child.wait_with_output().unwrap()));
    for (is_done, text) in &both {
        assert!(*is_done || text.contains("another command writes to the archive"), "{text}");
    }
    assert!(both.iter().any(|(is_done, _)| *is_done));
    let [recorded, events] = scene.recorded(scene.ago(2));
    assert_eq!((recorded.len(), &recorded), (3, &events));
}
