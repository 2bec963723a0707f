//! Days of the history of other families: as those of routes, in files of their own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use rib_ingester::store::partitions::{NLRI_EVENTS, ensure_in};

use super::{HOSTILE, HOSTILE_KEY, Scene};

const RETENTION: &str = "4";

/// The hash that a file should have, of the events in the database.
const HASHES: &str = "SELECT (ingest_time AT TIME ZONE 'UTC')::date AS day, router_id, count(*) AS rows,
    encode(sha256(string_agg(event_id, ''::bytea ORDER BY (attrs ->> 'nlri_afi')::int, prefix, attrs ->> 'nlri_safi', ingest_time, event_id)), 'hex') AS hash
    FROM nlri_route_events GROUP BY 1, 2";

impl Scene {
    /// Adds events of two families to a day; each seventh withdraws what was never announced.
    pub(super) fn add_nlri(&self, day: Date, router: &str, count: u32, salt: &str) {
        let mut client = self.db.client();
        ensure_in(&mut client, &NLRI_EVENTS, day).unwrap();
        let statement = "INSERT INTO nlri_route_events (event_id, ingest_time, router_id, table_name, afi, prefix, path_id, action,
                nexthop, as_path, origin, localpref, communities_ext, attrs, bmp_raw, received_at, peer_address, is_post_policy, rib)
            SELECT sha256(convert_to(r || n || salt, 'UTF8')), (day || ' 00:00+00')::timestamptz + n * interval '1 ms' + length(salt) * interval '1 us', r,
                   'global|nlri:' || CASE WHEN is_evpn THEN '25/70' ELSE '1/132' END, 6, ('2001:db8::' || to_hex(n % 50) || '/128')::cidr,
                   CASE WHEN n % 5 = 0 THEN 7 END, CASE WHEN n % 7 = 0 THEN 'D' ELSE 'A' END,
                   CASE WHEN n % 7 > 0 THEN '192.0.2.1'::inet END, CASE WHEN n % 7 > 0 THEN '64500 ' || 64501 + n % 3 END,
                   CASE WHEN n % 7 > 0 THEN 'IGP' END, n, CASE WHEN n % 3 = 0 THEN ARRAY['rt:64500:1'] END,
                   jsonb_build_object('nlri_afi', CASE WHEN is_evpn THEN 25 ELSE 1 END, 'nlri_safi', CASE WHEN is_evpn THEN 70 ELSE 132 END)
                   || CASE WHEN n % 7 > 0 THEN jsonb_build_object('nlri_key', CASE WHEN is_evpn THEN 'evpn:2:mac=' ELSE 'rtc:' END || n % 50,
                           'nlri', jsonb_build_object('type', 2, 'mac', n % 50)) ELSE '{}' END
                   || CASE WHEN n % 8 = 0 THEN jsonb_build_object('aigp', n) ELSE '{}' END,
                   CASE WHEN n % 10 = 0 THEN '\\x0300ff'::bytea END, '2026-11-25 12:00:00.123456+00',
                   CASE WHEN n % 2 = 0 THEN '192.0.2.9'::inet END, CASE WHEN n % 2 = 0 THEN true END,
                   CASE WHEN n % 2 = 0 THEN 'nlri-adj-rib-in' ELSE 'nlri-loc-rib' END
            FROM (SELECT $1::text AS day, $2::text AS r, $4::text AS salt) AS v, generate_series(1, $3::int) AS n,
                 LATERAL (SELECT n % 50 < 30) AS of (is_evpn)";
        let count = i32::try_from(count).unwrap();
        client.execute(statement, &[&day.to_string(), &router, &count, &salt]).unwrap();
    }

    /// What `archives` says of days of other families up to this one, and the same of the events themselves.
    fn recorded_nlri(&self, last: Date) -> [Vec<String>; 2] {
        let recorded = format!(
            "SELECT day, router_id, rows, encode(hash, 'hex') AS hash FROM archives
             WHERE starts_with(file, '{}/nlri_events/') AND history = 'nlri_events' ORDER BY 1, 2",
            self.folder()
        );
        let events = format!("SELECT * FROM ({HASHES}) AS h WHERE day <= '{last}' ORDER BY 1, 2");
        [self.db.rows(&recorded), self.db.rows(&events)]
    }

    fn nlri_partitions(&self) -> Vec<String> {
        let sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'nlri_route_events'::regclass ORDER BY 1";
        self.db.rows(sql)
    }
}

#[test]
fn closed_days_of_other_families_are_recorded() {
    let scene = Scene::new();
    scene.add(scene.ago(3), "r", 30, "");
    for days in [0, 3, 4] {
        scene.add_nlri(scene.ago(days), "r", 200, "");
    }
    scene.add_nlri(scene.ago(3), HOSTILE, 9, "");
    let (is_done, text) = scene.archive(&[]);
    assert!(is_done && text.contains("4 files with 439 events"), "{text}");
    assert!(text.contains(&format!("{} of router ../../r/é: 9 events of other families, ", scene.ago(3))), "{text}");
    let [recorded, events] = scene.recorded_nlri(scene.ago(3));
    assert_eq!((recorded.len(), &recorded), (3, &events));
    let three = scene.ago(3);
    let mut files = vec![scene.file(three, "r"), scene.file_of("nlri_events", three, HOSTILE_KEY)];
    files.extend([three, scene.ago(4)].map(|day| scene.file_of("nlri_events", day, "r")));
    files.sort();
    assert_eq!(scene.files(), files);
    // Readers' numbers of the files of route_events are what they were.
    let reach =
        "SELECT (archived_from AT TIME ZONE 'UTC')::date, files, rows, (nlri_archived_from AT TIME ZONE 'UTC')::date,
                        (nlri_archived_until AT TIME ZONE 'UTC')::date, nlri_files, nlri_rows FROM history_reach";
    assert_eq!(scene.db.rows(reach), [format!("{three}|1|30|{}|{}|3|409", scene.ago(4), scene.ago(2))]);
    let (is_done, text) = scene.archive(&[]);
    assert!(is_done && text == "all days that are over are in the archive\n", "{text}");
    // Late ones are added, and messages when they are asked for.
    scene.add_nlri(three, "r", 5, "late");
    let (is_done, text) = scene.archive(&["--raw"]);
    assert!(is_done && text.contains("of router r: 205 events") && text.contains("5 of them new"), "{text}");
    let [recorded, events] = scene.recorded_nlri(three);
    assert_eq!((recorded.len(), &recorded), (3, &events));
}

#[test]
fn days_of_other_families_in_files_are_dropped() {
    let scene = Scene::new();
    for days in [2, 5, 6] {
        scene.add_nlri(scene.ago(days), "r", 50, "");
    }
    let [_, all] = scene.recorded_nlri(scene.ago(2));
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.matches("archived ").count() == 3 && text.matches("dropped ").count() == 2, "{text}");
    assert_eq!((scene.recorded_nlri(scene.ago(2))[0].clone(), scene.nlri_partitions().len()), (all.clone(), 1));
    // An event of a day that is gone: its file gains it and loses none.
    let day = scene.ago(5);
    scene.add_nlri(day, "r", 1, "late");
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains("of router r: 51 events") && text.contains("1 of them new"), "{text}");
    // Between the DETACH and the DROP of a run that was killed.
    scene.add_nlri(day, "r", 1, "later");
    let name = NLRI_EVENTS.name_of(day);
    let detached = format!(
        "INSERT INTO detached_partitions (oid, name) VALUES ('{name}'::regclass, '{name}');
         ALTER TABLE nlri_route_events DETACH PARTITION {name}"
    );
    scene.db.client().batch_execute(&detached).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains(&format!("dropped {name}")), "{text}");
    assert_eq!(scene.db.rows("SELECT rows FROM archives ORDER BY day"), ["50", "52", "50"]);
    assert_eq!(scene.nlri_partitions(), [NLRI_EVENTS.name_of(scene.ago(2))]);
}

#[test]
fn a_full_disk_keeps_events_of_other_families() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 20, "");
    scene.add_nlri(day, "r", 2_000, "");
    let file = scene.file_of("nlri_events", day, "r");
    let draft = file.with_extension("draft");
    std::fs::create_dir_all(draft.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &draft).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    let why = format!("archiving events of other families of {day} of router r: the disk fails: {}: ", draft.display());
    assert!(!is_done && text.contains(&why) && !text.contains("dropped"), "{text}");
    assert_eq!(scene.db.rows("SELECT count(*) FROM nlri_route_events"), ["2000"]);
    let settings = [("RIB_INGESTER_ARCHIVE_DIR", scene.folder())];
    let doctor = super::said(&scene.command(&["doctor", "--json"], &settings).output().unwrap()).1;
    let lacking = format!("partitions that are over and not in it: 1, the first is {}", NLRI_EVENTS.name_of(day));
    assert!(doctor.contains(&lacking), "{doctor}");
    // A file that is damaged keeps them too.
    assert!(scene.archive(&[]).0);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(!is_done && text.contains(&format!("dropping {}: not in the archive", NLRI_EVENTS.name_of(day))), "{text}");
    assert_eq!(scene.db.rows("SELECT count(*) FROM nlri_route_events"), ["2000"]);
    std::fs::write(&file, whole).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains(&format!("dropped {}", NLRI_EVENTS.name_of(day))), "{text}");
}

/// Two commands at a time, ended at many moments of their work; in the end each event is in a file once.
#[test]
fn killed_commands_lose_and_double_no_other_family() {
    let scene = Scene::new();
    for router in ["r1", "r2"] {
        scene.add_nlri(scene.ago(3), router, 4_000, "");
        scene.add(scene.ago(3), router, 1_000, "");
    }
    let mut killed = 0;
    for round in 0..12 {
        let start = || {
            let mut command = scene.command(&["archive", "--to", scene.folder()], &[]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut both = [start(), start()];
        std::thread::sleep(Duration::from_millis(20 + 31 * round));
        for child in &mut both {
            child.kill().unwrap();
            killed += usize::from(!child.wait().unwrap().success());
        }
        if round % 4 == 0 {
            scene.add_nlri(scene.ago(3), "r2", 1, &"x".repeat(1 + usize::try_from(round).unwrap()));
        }
    }
    assert!(killed > 5, "{killed}");
    // The server may not have noticed yet that the last ones are gone.
    let until = Instant::now() + Duration::from_secs(60);
    while !scene.archive(&[]).0 {
        assert!(Instant::now() < until);
    }
    let [recorded, events] = scene.recorded_nlri(scene.ago(3));
    assert_eq!((recorded.len(), &recorded, scene.files().len()), (2, &events, 4));
}
