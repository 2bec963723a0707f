//! Retention with an archive: a day goes when every event of it is in a file, and not before.

use super::{Scene, name_of};
use crate::common::ingester::Ingester;

/// The number of days that stay, as settings have it.
const RETENTION: &str = "4";

#[test]
fn only_days_that_are_in_files_are_dropped() {
    let scene = Scene::new();
    for days in [2, 5, 6] {
        scene.add(scene.ago(days), "r", 50, "");
        scene.add(scene.ago(days), "s", 50, "");
    }
    let [_, all] = scene.recorded(scene.ago(2));
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.matches("archived ").count() == 6 && text.matches("dropped ").count() == 2, "{text}");
    assert_eq!(scene.partitions()[0], name_of(scene.ago(2)));
    assert_eq!(scene.recorded(scene.ago(2))[0], all);
    assert_eq!(scene.files().len(), 6);
    // An event of a day that is gone: its file gains it and loses none.
    scene.add(scene.ago(5), "r", 1, "late");
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains("of router r: 51 events") && text.contains("1 of them new"), "{text}");
    assert_eq!(
        scene.db.rows("SELECT rows FROM archives ORDER BY day, router_id"),
        ["50", "50", "51", "50", "50", "50"]
    );
    assert_eq!(scene.partitions()[0], name_of(scene.ago(2)));
}

#[test]
fn without_an_archive_retention_is_as_before() {
    let scene = Scene::new();
    scene.add(scene.ago(6), "r", 50, "");
    let settings = [("RIB_INGESTER_RETENTION_DAYS", RETENTION)];
    let (is_done, text) = super::said(&scene.command(&["maintenance"], &settings).output().unwrap());
    assert!(is_done && text.contains(&format!("dropped {}", name_of(scene.ago(6)))), "{text}");
    assert_eq!(scene.db.rows("SELECT count(*) FROM archives"), ["0"]);
}

#[test]
fn a_history_without_partitions_is_refused() {
    let scene = Scene::new();
    let plain = "ALTER TABLE route_events RENAME TO parted; CREATE TABLE route_events (LIKE parted INCLUDING ALL)";
    scene.db.client().batch_execute(plain).unwrap();
    for (is_done, text) in [scene.archive(&[]), scene.maintain(RETENTION)] {
        assert!(!is_done && text.contains("has no partitions of PostgreSQL's own"), "{text}");
    }
}

/// `/dev/full` in place of a draft fails as a full disk does.
#[test]
fn a_full_disk_keeps_history_and_other_work_goes_on() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 2_000, "");
    let draft = scene.file(day, "r").with_extension("draft");
    std::fs::create_dir_all(draft.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &draft).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    let why = format!("archiving {day} of router r: the disk fails: {}: ", draft.display());
    assert!(!is_done && text.contains(&why) && text.contains("No space left on device"), "{text}");
    assert!(!text.contains("dropped"), "{text}");
    assert!(text.contains("refreshed route_summary") && text.contains("created route_events_"), "{text}");
    assert_eq!(scene.db.rows("SELECT count(*) FROM route_events"), ["2000"]);
    let settings = [("RIB_INGESTER_ARCHIVE_DIR", scene.folder())];
    let doctor = || super::said(&scene.command(&["doctor", "--json"], &settings).output().unwrap()).1;
    let lacking = format!("partitions that are over and not in it: 1, the first is {}", name_of(day));
    assert!(doctor().contains(&lacking), "{}", doctor());
    // The draft is removed: there is room again.
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains(&format!("dropped {}", name_of(day))), "{text}");
    assert_eq!(scene.db.rows("SELECT rows FROM archives"), ["2000"]);
    assert!(doctor().contains(&format!("{}: has the days that are over", scene.folder())), "{}", doctor());
}

#[test]
fn a_folder_or_file_that_fails_keeps_history() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 20, "");
    assert!(scene.archive(&[]).0);
    let check = |want: &str| {
        let (is_done, text) = scene.maintain(RETENTION);
        assert!(!is_done && text.contains(want) && !text.contains("dropped"), "{text}");
        assert_eq!(scene.db.rows("SELECT count(*) FROM route_events"), ["20"]);
    };
    // As where it is not mounted.
    let [top, aside] = ["route_events", "aside"].map(|name| scene.folder.join(name));
    std::fs::rename(&top, &aside).unwrap();
    check("is empty, and archives has files in it: mount it");
    std::fs::rename(&aside, &top).unwrap();
    let elsewhere = scene.folder.with_extension("elsewhere");
    std::fs::rename(&scene.folder, &elsewhere).unwrap();
    check("No such file or directory (os error 2); history is kept");
    std::fs::rename(&elsewhere, &scene.folder).unwrap();
    // An octet of the pages that a disk has lost.
    let file = scene.file(day, "r");
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[40..60].fill(0xff);
    std::fs::write(&file, &damaged).unwrap();
    check(&format!("dropping {}: not in the archive: archiving {day} of router r: ", name_of(day)));
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    check("not in the archive");
    std::fs::write(&file, whole).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains(&format!("dropped {}", name_of(day))), "{text}");
}

/// Between the DETACH and the DROP of a run that was killed: nobody can reach the table but the next run.
#[test]
fn a_detached_day_is_compared_before_it_is_dropped() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 20, "");
    assert!(scene.archive(&[]).0);
    scene.add(day, "r", 1, "late");
    let [_, all] = scene.recorded(day);
    let name = name_of(day);
    let detached = format!(
        "INSERT INTO detached_partitions (oid, name) VALUES ('{name}'::regclass, '{name}');
         ALTER TABLE route_events DETACH PARTITION {name}"
    );
    scene.db.client().batch_execute(&detached).unwrap();
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains(&format!("dropped {name}")), "{text}");
    assert_eq!(scene.recorded(day)[0], all);
}

#[test]
fn partitions_of_half_a_day_become_one_file() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 40, "");
    let halves = format!(
        "CREATE TABLE kept AS SELECT * FROM route_events; DROP TABLE {};
         CREATE TABLE h1 PARTITION OF route_events FOR VALUES FROM ('{day} 00:00+00') TO ('{day} 00:00:00.0205+00');
         CREATE TABLE h2 PARTITION OF route_events FOR VALUES FROM ('{day} 00:00:00.0205+00') TO ('{} 00:00+00');
         INSERT INTO route_events SELECT * FROM kept; DROP TABLE kept",
        name_of(day),
        day.tomorrow().unwrap()
    );
    scene.db.client().batch_execute(&halves).unwrap();
    assert_eq!(scene.db.rows("SELECT count(*) FROM h1"), ["20"]);
    let [_, all] = scene.recorded(day);
    let (is_done, text) = scene.maintain(RETENTION);
    assert!(is_done && text.contains("dropped h1") && text.contains("dropped h2"), "{text}");
    assert_eq!((scene.recorded(day)[0].clone(), scene.files().len()), (all, 1));
}

#[test]
fn the_collector_archives_and_counts_failures() {
    let scene = Scene::new();
    let day = scene.ago(6);
    scene.add(day, "r", 20, "");
    let draft = scene.file(day, "r").with_extension("draft");
    std::fs::create_dir_all(&draft).unwrap();
    let settings = [("ARCHIVE_DIR", scene.folder()), ("RETENTION_DAYS", RETENTION), ("MAINTENANCE_INTERVAL_SECS", "1")];
    let mut ingester = Ingester::start(&scene.db.url(), &settings);
    ingester.logged(&format!("maintenance: archiving {day} of router r: the disk fails: "));
    let (_, _, metrics) = ingester.get("/metrics");
    let failures = metrics.lines().find(|line| line.starts_with("rib_ingester_archive_failures_total ")).unwrap();
    assert!(!failures.ends_with(" 0") && !metrics.contains("rib_ingester_archive_last_success"), "{failures}");
    assert_eq!(scene.db.rows("SELECT count(*) FROM route_events"), ["20"]);
    std::fs::remove_dir(&draft).unwrap();
    ingester.logged(&format!("archive: {day} of router r: 20 events"));
    ingester.logged(&format!("partition {}: dropped at the end of its retention", name_of(day)));
    crate::common::ingester::eventually("the success is counted", || {
        ingester.get("/metrics").2.contains("rib_ingester_archive_last_success_timestamp_seconds").then_some(())
    });
}
