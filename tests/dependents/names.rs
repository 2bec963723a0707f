//! Names of ASes and meanings of communities: imported, matched, and shown by command and page.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;

use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;

/// A path through an AS with a hostile name, and communities with and without a meaning.
const ROUTES: &str = "
    INSERT INTO routers (router_id, as_number) VALUES ('10.0.0.1', 64496);
    INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state) VALUES ('10.0.0.1', 'global', '192.0.2.9', 64500, 'up');
    INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn, communities_std, communities_large) VALUES
        ('10.0.0.1', 'global', 4, '198.51.100.0/24', '64500 {64501,64502}', 64501, '{64500:1002,65535:666,64499:1}', '{64500:7:9}')";

const AS_NAMES: &str = "\
asn,name,cc,class
AS64500,\"Example Net <script>alert(1)</script>\",ZZ,Carrier
64501,\"Other\u{1b}[2J\",,
4294967295,Last,ZZ,
";

const COMMUNITIES: &str = r#"{"communities": [
    {"pattern": "64500:1xxx", "text": "learned at site xxx"},
    {"community": "64500:*", "description": "anything of AS64500 <b>"},
    {"pattern": "64500:100x", "text": "learned in town"},
    {"pattern": "64500:7:nnn", "text": "not to AS nnn"},
    {"pattern": "RT:64500:*", "text": "a VPN"},
    {"pattern": "RT:192.0.2.1:*", "text": "a VPN by address"},
    {"pattern": "030b00000000xxxx", "text": "a color"},
    {"pattern": "64500:666", "text": "exactly this"},
    {"pattern": "64501:1*", "text": "begins with 1"}]}"#;

fn run(db: &TestDb, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn import(db: &TestDb, name: &str, text: &str, options: &[&str]) -> (i32, String) {
    let path = std::env::temp_dir().join(format!("{}-{name}", db.name()));
    std::fs::write(&path, text).unwrap();
    let table = if name.ends_with("csv") { &["--table", "as_names"][..] } else { &[] };
    let done = run(db, &[&["import", "names", path.to_str().unwrap()], table, options].concat());
    std::fs::remove_file(path).unwrap();
    done
}

#[test]
fn names_are_imported_and_shown_and_harmless() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    // Without names only the registry of IANA speaks.
    let (_, text) = run(&db, &["lookup", "198.51.100.7"]);
    assert!(text.contains("65535:666") && text.contains("BLACKHOLE") && !text.contains("AS64500"), "{text}");

    let (code, text) = import(&db, "a.csv", AS_NAMES, &[]);
    assert!(code == 0 && text.contains("names.as_names: 3 added"), "{text}");
    let (code, text) = import(&db, "c.json", COMMUNITIES, &[]);
    assert!(code == 0 && text.contains("names.communities: 9 added"), "{text}");
    let (code, text) = import(&db, "c.json", COMMUNITIES, &["--prune"]);
    assert!(code == 0 && text.contains("0 added, 0 changed, 0 removed, 9 equal"), "{text}");
    // A star stands only at the end of a part, and a name has at most 200 characters.
    for pattern in ["", "64500:*1", "64500:(a+)+", "64500: 1", "64500:[12]", "%", &"1".repeat(65)] {
        let (code, text) =
            import(&db, "c.json", &format!(r#"{{"communities": [{{"pattern": "{pattern}", "text": "x"}}]}}"#), &[]);
        assert!(code == 2 && text.contains("nothing was imported"), "{pattern}: {text}");
    }
    let (code, text) = import(&db, "a.csv", &format!("asn,name\n64503,{}\n", "x".repeat(201)), &[]);
    assert!(code == 2 && text.contains("line 2: name: has 201 characters"), "{text}");
    patterns_match_what_they_say(&db);

    let (_, text) = run(&db, &["lookup", "198.51.100.7"]);
    let line = |key: &str| {
        let found = text.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {text}"));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("AS64500"), "AS64500 1 Example Net <script>alert(1)</script> (ZZ)");
    assert_eq!(line("AS64501"), "AS64501 1 Other\\u{1b}[2J");
    assert_eq!(line("64500:1002"), "64500:1002 1 learned in town");
    assert_eq!(line("64500:7:9"), "64500:7:9 1 not to AS nnn");
    assert!(!text.contains('\u{1b}') && !text.contains("64499:1 "), "{text}");
    let (_, json) = run(&db, &["lookup", "198.51.100.7", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["names"]["65535:666"], "BLACKHOLE");
    assert_eq!(rows[0]["names"]["AS64501"], "Other\\u{1b}[2J");
    pages_show_them(&db);

    // A collector whose database has no such schema yet, or whose role may not use it, shows none.
    db.client().batch_execute("ALTER SCHEMA names RENAME TO elsewhere").unwrap();
    let (code, text) = run(&db, &["lookup", "198.51.100.7"]);
    assert!(code == 0 && text.contains("198.51.100.0/24") && !text.contains("BLACKHOLE"), "{text}");
}

fn patterns_match_what_they_say(db: &TestDb) {
    for (community, want) in [
        // The fewest stars, then the fewest x.
        ("64500:1002", "learned in town"),
        ("64500:1999", "learned at site xxx"),
        ("64500:19999", "anything of AS64500 <b>"),
        ("64500:199", "anything of AS64500 <b>"),
        ("64500:666", "exactly this"),
        // A star ends at the part.
        ("64500:1:2", "-"),
        ("64500:7:9", "not to AS nnn"),
        ("64500:77:9", "-"),
        ("164500:1002", "-"),
        ("64501:1", "begins with 1"),
        ("64501:2", "-"),
        ("RT:64500:4294967295", "a VPN"),
        ("SOO:64500:1", "-"),
        // A dot is a dot.
        ("RT:192.0.2.1:10", "a VPN by address"),
        ("RT:192x0.2.1:10", "-"),
        ("030b00000000ffff", "a color"),
        ("030b00010000ffff", "-"),
        ("65535:65281", "NO_EXPORT"),
        ("65535:65285", "-"),
        ("", "-"),
    ] {
        assert_eq!(db.rows(&format!("SELECT names.community_text('{community}')")), [want], "{community}");
    }
    // One's own text goes before IANA's, a pattern of one's own does not.
    let mut client = db.client();
    let mut transaction = client.transaction().unwrap();
    let blackhole = "SELECT names.community_text('65535:666')";
    for (pattern, want) in [("65535:*", "BLACKHOLE"), ("65535:66x", "BLACKHOLE"), ("65535:666", "ours")] {
        transaction.execute("INSERT INTO names.communities (pattern, text) VALUES ($1, 'ours')", &[&pattern]).unwrap();
        assert_eq!(transaction.query_one(blackhole, &[]).unwrap().get::<_, String>(0), want, "{pattern}");
    }
    transaction.rollback().unwrap();
    // However many patterns there are, the index finds the candidates.
    client
        .batch_execute(
            "BEGIN; INSERT INTO names.communities (pattern, text) SELECT '64510:' || i, 'one' FROM generate_series(1, 5000) i;
             ANALYZE names.communities",
        )
        .unwrap();
    let plan = client.query_one("EXPLAIN (ANALYZE, FORMAT JSON) SELECT c.text FROM names.communities c
         WHERE c.head = ANY (ARRAY(SELECT left('64510:4711', n) FROM generate_series(0, 10) n)) AND '64510:4711' ~ c.expression", &[]);
    let plan: serde_json::Value = plan.unwrap().get(0);
    assert!(plan.to_string().contains("idx_communities_head"), "{plan}");
    client.batch_execute("ROLLBACK").unwrap();
}

fn pages_show_them(db: &TestDb) {
    let mut ingester = Ingester::start(&db.url(), &[]);
    let escaped = "Example Net &lt;script&gt;alert(1)&lt;/script&gt; (ZZ)";
    for (target, want) in [
        ("/lookup?q=198.51.100.7", &[escaped, "Other\\u{1b}[2J", "BLACKHOLE", "learned in town"][..]),
        ("/lookup?q=AS64500", &["AS64500 ", escaped]),
        ("/router?id=10.0.0.1", &[escaped]),
        ("/lookup?q=t", &["AS64500", escaped, "AS4294967295"]),
    ] {
        let page = eventually(target, || {
            let (status, _, page) = ingester.get(target);
            (status == 200 && want.iter().all(|text| page.contains(text))).then_some(page)
        });
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{target}: {page}");
    }
    // The only AS of that name.
    let (status, head, _) = ingester.get("/lookup?q=example+net");
    assert!(status == 303 && head.contains("/lookup?q=AS64500"), "{status} {head}");
    assert!(ingester.stop().success());
}
