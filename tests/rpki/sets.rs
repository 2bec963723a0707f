//! Which sets are taken, held and refused, as a collector that reads files does it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::world::{Entry, Folder, json, rpki, start, text, vrps};

const RIPE: [Entry; 12] = [
    ("10.0.0.0/16", 16, 64496, "ripe"),
    ("10.1.0.0/16", 16, 64496, "ripe"),
    ("10.2.0.0/16", 16, 64496, "ripe"),
    ("10.3.0.0/16", 16, 64496, "ripe"),
    ("10.4.0.0/16", 16, 64496, "ripe"),
    ("10.5.0.0/16", 16, 64496, "ripe"),
    ("10.6.0.0/16", 16, 64496, "ripe"),
    ("10.7.0.0/16", 16, 64496, "ripe"),
    ("10.8.0.0/16", 16, 64496, "ripe"),
    ("10.9.0.0/16", 16, 64496, "ripe"),
    ("10.10.0.0/16", 16, 64496, "ripe"),
    ("10.11.0.0/16", 16, 64496, "ripe"),
];

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn is_alike(db: &TestDb, sql: &str, want: &str) {
    eventually_equal(one(want), || db.rows(sql));
}

const STATE: &str =
    "SELECT vrps, held_since IS NOT NULL, taken_after_hold_at IS NOT NULL, last_error IS NOT NULL FROM rpki.vrp_set";

#[test]
fn a_bad_set_leaves_the_old_one_in_force() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let file = folder.path("vrps.json");
    assert_eq!(db.rows("SELECT rov('10.0.0.0/16', 64496), rpki.is_usable()"), ["unknown|f"]);
    folder.write("vrps.json", &json(&RIPE[..2], 60));
    let mut ingester = start(&db, text(&file), &[]);
    is_alike(&db, STATE, "2|f|f|f");
    assert_eq!(vrps(&db), ["10.0.0.0/16-16 AS64496 ripe", "10.1.0.0/16-16 AS64496 ripe"]);
    assert_eq!(
        db.rows("SELECT rov('10.0.0.0/16', 64496), rov('10.0.0.0/17', 64496), rov('11.0.0.0/8', 1)"),
        ["valid|invalid|not-found"]
    );
    let bad = [
        ("", "is empty"),
        ("{\"roas\": [{\"prefix\": \"10.0.0.0/16\", \"asn\"", "cut short"),
        (&json(&RIPE, 2 * 86_400), "is too old: made 2 d ago"),
        (
            &json(&RIPE, 0).replace("\"generated\"", "\"valid\": 1700000000, \"generated\""),
            "is too old: valid until 2023",
        ),
        (&json(&RIPE[..1], 0).replace("\"asn\"", "\"expires\": 1700000000, \"asn\""), "only VRPs that have expired"),
    ];
    for (content, want) in bad {
        folder.write("vrps.json", content);
        let error = "SELECT last_error FROM rpki.vrp_set WHERE last_error LIKE '%' || $$";
        is_alike(&db, &format!("SELECT count(*) FROM ({error}{want}$$ || '%') AS found"), "1");
        assert_eq!(vrps(&db).len(), 2, "{want}");
    }
    std::fs::remove_file(&file).unwrap();
    is_alike(&db, "SELECT last_error LIKE '%No such file%', failing_since < now() FROM rpki.vrp_set", "t|t");
    let (_, _, metrics) = ingester.get("/metrics");
    assert!(
        metrics.contains("\nrib_ingester_rpki_fetch_failing 1") && metrics.contains("\nrib_ingester_rpki_set_usable 1"),
        "{metrics}"
    );
    assert!(metrics.contains("rib_ingester_rpki_vrps{trust_anchor=\"ripe\"} 2"), "{metrics}");
    // Only the differences are written: these rows are as old as they were.
    let rows = "SELECT count(*) FROM rpki.vrps WHERE xmin = ANY (ARRAY(SELECT xmin FROM rpki.vrps WHERE prefix = '10.0.0.0/16'))";
    folder.write("vrps.json", &json(&RIPE[..3], 0));
    is_alike(&db, STATE, "3|f|f|f");
    assert_eq!(db.rows(rows), ["2"]);
    let changes = "SELECT version, is_added, prefix FROM rpki.vrp_changes ORDER BY id";
    assert_eq!(db.rows(changes), ["2|t|10.2.0.0/16"]);
    assert_eq!(ingester.count_logged("rpki: no set of VRPs"), 1, "logged when it begins");
    // What is in force grows old, too.
    db.client().batch_execute("UPDATE rpki.vrp_set SET generated = now() - INTERVAL '25 h'").unwrap();
    assert_eq!(db.rows("SELECT rov('10.0.0.0/16', 64496), rpki.is_usable()"), ["unknown|f"]);
}

#[test]
fn a_set_that_lacks_too_much_is_held() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let whole: Vec<Entry> =
        RIPE.into_iter().chain(RIPE.map(|(prefix, max, _, _)| (prefix, max, 64497, "arin"))).collect();
    folder.write("vrps.json", &json(&whole, 60));
    let file = folder.path("vrps.json");
    let mut ingester = start(&db, text(&file), &[]);
    // Another one waits for its turn.
    let _other =
        Ingester::start(&db.url(), &[("COLLECTOR_ID", "other"), ("VRPS", text(&file)), ("VRPS_REFRESH_SECS", "1")]);
    is_alike(&db, STATE, "24|f|f|f");
    assert_eq!(rpki(&db, &["accept"]).status.code(), Some(1), "nothing is held");
    folder.write("vrps.json", &json(&RIPE, 50));
    is_alike(&db, STATE, "24|t|f|f");
    let held = "SELECT held_reason, held_vrps, held_until - held_since, rpki.is_usable() FROM rpki.vrp_set";
    assert_eq!(db.rows(held), ["trust anchor arin has 0 VRPs of 12|12|01:00:00|t"]);
    ingester.logged("a set is held for 3600 s: trust anchor arin has 0 VRPs of 12");
    // It comes back by itself.
    folder.write("vrps.json", &json(&whole, 40));
    is_alike(&db, STATE, "24|f|f|f");
    // Somebody accepts it.
    folder.write("vrps.json", &json(&RIPE, 30));
    is_alike(&db, STATE, "24|t|f|f");
    let shown = String::from_utf8(rpki(&db, &["show"]).stdout).unwrap();
    assert!(shown.contains("held     since ") && shown.contains("trust anchor arin has 0 VRPs of 12"), "{shown}");
    let accepted = rpki(&db, &["accept", "--by", "noc"]);
    assert_eq!(accepted.status.code(), Some(0));
    is_alike(&db, STATE, "12|f|f|f");
    // Its hour is over.
    folder.write("vrps.json", &json(&RIPE[..6], 20));
    is_alike(&db, STATE, "12|t|f|f");
    db.client().batch_execute("UPDATE rpki.vrp_set SET held_until = now()").unwrap();
    is_alike(&db, STATE, "6|f|t|f");
    assert_eq!(db.rows("SELECT taken_after_hold_why FROM rpki.vrp_set"), ["6 VRPs of 12"]);
    folder.write("vrps.json", &json(&RIPE, 10));
    is_alike(&db, STATE, "12|f|f|f");
    let loaders = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
                     AND l.objid::bigint = hashtext('rib_rpki')::bigint & 4294967295";
    assert_eq!(db.rows(loaders), ["1"]);
}

#[test]
fn sources_take_turns_and_slurm_excepts() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let (first, second) = (folder.path("first.json"), folder.path("second.csv"));
    folder.write("first.json", &json(&RIPE, 2 * 86_400));
    folder.write(
        "second.csv",
        "ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,10.0.0.0/16,24,ripe\nAS64497,192.0.2.0/24,24,APNIC-AS0\n",
    );
    folder.write("slurm.json", r#"{"slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [{"asn": 64498, "comment": "leased to <us>"}], "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": [{"asn": 64500, "prefix": "198.51.100.0/24", "comment": "ours"}], "bgpsecAssertions": []}}"#);
    let slurm = folder.path("slurm.json");
    let sources = format!("{},{}", text(&first), text(&second));
    let _ingester = start(&db, &sources, &[("SLURM", text(&slurm)), ("VRPS_IGNORE_TA", "apnic-as0")]);
    eventually_equal(vec!["10.0.0.0/16-24 AS64496 ripe".to_owned(), "198.51.100.0/24-24 AS64500 ".to_owned()], || {
        vrps(&db)
    });
    let source = "SELECT source FROM rpki.vrp_set";
    assert_eq!(db.rows(source), [text(&second)]);
    let filtered: [Entry; 3] =
        [("10.0.0.0/16", 24, 64496, "ripe"), ("10.0.0.0/17", 24, 64498, "ripe"), ("203.0.113.0/24", 24, 64498, "ripe")];
    // Not of the second in which the other one was written: an older set does not take the place of one in force.
    folder.write("first.json", &json(&filtered, -1));
    is_alike(&db, source, text(&first));
    let reasons = |prefix: &str, asn: u32| {
        db.rows(&format!(
            "SELECT state, vrp_prefix, max_length, asn, reason, comment FROM rov_reason('{prefix}', {asn})"
        ))
    };
    assert_eq!(reasons("198.51.100.0/24", 64500), ["valid|198.51.100.0/24|24|64500|match|ours"]);
    assert_eq!(reasons("198.51.100.0/25", 64500), ["invalid|198.51.100.0/24|24|64500|length|ours"]);
    assert_eq!(
        reasons("10.0.0.0/25", 64498),
        ["invalid|10.0.0.0/16|24|64496|as and length|-", "invalid|10.0.0.0/17|24|64498|filtered|leased to <us>"]
    );
    assert_eq!(reasons("203.0.113.0/24", 64498), ["not-found|203.0.113.0/24|24|64498|filtered|leased to <us>"]);
    assert_eq!(reasons("203.0.112.0/24", 64498), ["not-found|-|-|-|-|-"]);
    assert_eq!(db.rows("SELECT slurm_filtered, slurm_added FROM rpki.vrp_set"), ["2|1"]);
    // Exceptions are read again although the set has not changed; bad ones change nothing.
    folder.write("slurm.json", "{}");
    is_alike(&db, "SELECT last_error LIKE '%slurm.json: missing field%' FROM rpki.vrp_set", "t");
    assert_eq!(vrps(&db).len(), 2);
    folder.write(
        "slurm.json",
        r#"{"slurmVersion": 1, "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []}}"#,
    );
    eventually_equal(3, || vrps(&db).len());
    assert_eq!(db.rows("SELECT count(*) FROM rpki.filtered_vrps"), ["0"]);
}
