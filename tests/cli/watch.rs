//! `watch`: watches by options and by files.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

pub fn run(db: &TestDb, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url());
    command.stdin(Stdio::null()).output().unwrap()
}

/// What a command that has to succeed prints.
pub fn done(db: &TestDb, arguments: &[&str]) -> String {
    let output = run(db, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that has to fail says, and its exit code.
pub fn refused(db: &TestDb, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(db, arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn add(db: &TestDb, more: &[&str]) -> String {
    done(db, &[&["watch", "add"], more].concat())
}

/// A file that is removed with the value.
struct File(PathBuf);

impl File {
    fn new(db: &TestDb, name: &str, text: &str) -> File {
        let folder = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir(self.0.parent().unwrap());
    }
}

#[test]
fn watches_are_added_shown_and_removed() {
    let db = TestDb::migrated();
    assert!(done(&db, &["watch", "list"]).starts_with("no watch yet"));
    let prefix = ["web", "--prefix", "192.0.2.0/24", "--expected-origins", "AS64496,64497", "--note", "the shop"];
    assert_eq!(add(&db, &prefix), "watch web: added\n");
    assert_eq!(
        add(&db, &["dns", "--address", "2001:db8::53", "--conditions", "missing,default_only"]),
        "watch dns: added\n"
    );
    assert_eq!(add(&db, &["transit", "--peer", "198.51.100.1", "--severity", "critical"]), "watch transit: added\n");
    assert_eq!(add(&db, &["ix", "--kind", "session", "--asn", "AS64500", "--min-up", "2"]), "watch ix: added\n");
    assert_eq!(add(&db, &["edge", "--router", "10.255.0.1", "--disabled"]), "watch edge: added\n");
    assert_eq!(add(&db, &["dns", "--address", "192.0.2.53", "--team", "dns"]), "watch dns:dns: added\n");
    assert_eq!(
        db.rows("SELECT team, name, kind, source FROM watch.watches ORDER BY team NULLS FIRST, name"),
        [
            "-|dns|address|manual",
            "-|edge|router|manual",
            "-|ix|session|manual",
            "-|transit|session|manual",
            "-|web|prefix|manual",
            "dns|dns|address|manual"
        ]
    );
    let list = done(&db, &["watch", "list"]);
    let line =
        |name: &str| list.lines().find(|line| line.contains(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line(" web "), ["quiet", "web", "prefix", "192.0.2.0/24", "default", "manual"]);
    assert_eq!(line(" ix "), ["quiet", "ix", "session", "AS64500", "default", "manual"]);
    assert_eq!(line(" edge "), ["off", "edge", "router", "10.255.0.1", "default", "manual"]);

    let shown = done(&db, &["watch", "show", "web"]);
    for line in ["watch web: quiet", "none holds", "none is open"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(shown.contains("expected_origins       64496 64497\n") && shown.contains("the shop"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&done(&db, &["watch", "show", "web", "--json"])).unwrap();
    assert_eq!(json["watch"]["expected_origins"], serde_json::json!([64496, 64497]));

    // A second one of the name is refused, unless it is to replace the first.
    let (code, said) = refused(&db, &[&["watch", "add"], &prefix[..]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("watch \"web\" exists already: add --replace to change it"), "{said}");
    assert_eq!(add(&db, &[&prefix[..], &["--replace"]].concat()), "watch web: is like this already\n");
    let accepted = "SELECT accepted_at = created_at, updated_at > created_at FROM watch.watches WHERE name = 'web'";
    assert_eq!(db.rows(accepted), ["t|f"]);
    assert_eq!(add(&db, &["web", "--prefix", "192.0.2.0/24", "--replace"]), "watch web: changed\n");
    assert_eq!(db.rows(accepted), ["t|t"]);
    // With another prefix it is another watch: what was seen of the old one says nothing.
    assert_eq!(add(&db, &["web", "--prefix", "192.0.2.0/25", "--replace"]), "watch web: changed\n");
    assert_eq!(db.rows(accepted), ["f|t"]);

    assert_eq!(done(&db, &["watch", "remove", "dns", "--team", "dns"]), "watch dns:dns: removed\n");
    let (code, said) = refused(&db, &["watch", "remove", "transti"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "rib-ingester: there is no watch \"transti\"; did you mean transit?\n")
    );
    assert_eq!(db.rows("SELECT count(*) FROM watch.watches"), ["5"]);
}

#[test]
fn a_watch_that_cannot_be_is_refused_in_words() {
    let db = TestDb::migrated();
    let check = |more: &[&str], want: &str| {
        let (code, said) = refused(&db, &[&["watch", "add", "x"], more].concat());
        assert_eq!(code, Some(2), "{more:?}: {said}");
        assert!(said.contains(want), "{more:?}: {said}");
        assert!(!said.contains("SQLSTATE"), "{said}");
    };
    check(&[], "say what to watch: --prefix, --address, --peer or --router");
    check(&["--prefix", "192.0.2.1/24"], "prefix: 192.0.2.1/24 has host bits; did you mean 192.0.2.0/24?");
    check(&["--prefix", "192.0.2.0/24", "--max-length", "33"], "max_length is for a watch of kind prefix only");
    check(&["--kind", "session"], "needs a peer_address or an asn");
    check(&["--prefix", "192.0.2.0/24", "--conditions", "mising"], "does not judge the condition \"mising\"");
    check(&["--prefix", "192.0.2.0/24", "--severity", "bad"], "severity \"bad\" is unknown; allowed: critical");
    check(&["--prefix", "192.0.2.0/24", "--max-length", "99999"], "out of range");
    check(&["--address", "x", "--min-up", "y"], "address: \"x\" is not an IP address");
    check(&["--address", "x", "--min-up", "y"], "min_up: \"y\" is not a whole number");
    let ours = |path: &'static str| ["--prefix", "192.0.2.0/24", "--path-match", path];
    check(&ours("^(?!64500)"), "path_match: has a look-around");
    check(&ours("(64500"), "path_match: is no regular expression: unclosed group");
    check(&ours("((((1{100}){100}){100}){100})"), "path_match: is too large");
    let (_, said) = refused(&db, &["watch", "add", "a/b", "--prefix", "192.0.2.0/24"]);
    assert!(said.contains("the name must have 1 to 128 characters, no slash"), "{said}");
    assert_eq!(db.rows("SELECT count(*) FROM watch.watches"), ["0"]);
}

#[test]
fn what_watches_do_not_see_is_said() {
    let db = TestDb::migrated();
    let output = run(&db, &["watch", "add", "mine", "--kind", "origin", "--asn", "64496"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no collector that is alive evaluates watches"), "{said}");
    assert!(said.contains("hijacks that routers drop on import are not seen"), "{said}");
}

fn import<'a>(file: &'a File, more: &[&'a str]) -> Vec<&'a str> {
    [&["watch", "import", file.path()], more].concat()
}

#[test]
fn files_are_imported_whole_or_not() {
    let db = TestDb::migrated();
    let done_with = |file: &File, more: &[&str]| done(&db, &import(file, more));
    let names = || db.rows("SELECT name, source FROM watch.watches ORDER BY name");
    let bad = File::new(
        &db,
        "bad.csv",
        "name,kind,prefix,conditions\nweb,prefix,192.0.2.0/24,\nmail,prefix,,\ndns,address,,\nx,prefix,nonsense,\n\
         web,prefix,192.0.2.0/25,\ny,prefix,192.0.2.0/24,gone\n",
    );
    let (code, said) = refused(&db, &import(&bad, &[]));
    assert_eq!(code, Some(2), "{said}");
    for want in [
        "line 3: watch \"mail\": a watch of kind prefix needs a prefix\n",
        "line 4: watch \"dns\": a watch of kind address needs an address\n",
        "line 5: prefix: \"nonsense\" is not a CIDR\n",
        "line 6: watch \"web\": the name is given twice\n",
        "line 7: watch \"y\": a watch of kind prefix does not judge the condition \"gone\"; allowed: missing, ",
        "bad.csv: 5 lines refused, nothing was changed\n",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(names().is_empty());

    let ours = "name,kind,prefix,expected_origins,conditions\nweb,prefix,192.0.2.0/24,64496 64497,\n\
                mail,prefix,198.51.100.0/24,AS64496,missing origin\nlab,prefix,203.0.113.0/24,,none\n";
    let file = File::new(&db, "ours.csv", ours);
    let dry = done_with(&file, &["--dry-run"]);
    assert_eq!(dry, "+ web\n+ mail\n+ lab\ndry run, nothing was changed: 3 added, 0 changed, 0 removed, 0 unchanged\n");
    assert!(names().is_empty());
    assert!(done_with(&file, &[]).ends_with("3 added, 0 changed, 0 removed, 0 unchanged\n"));
    assert_eq!(names(), ["lab|ours.csv", "mail|ours.csv", "web|ours.csv"]);
    let stored = "SELECT name, expected_origins, conditions FROM watch.watches ORDER BY name";
    assert_eq!(db.rows(stored), ["lab|-|{}", "mail|{64496}|{missing,origin}", "web|{64496,64497}|-"]);
    let versions = "SELECT xmin::text FROM watch.watches ORDER BY name";
    let before = db.rows(versions);
    assert_eq!(done_with(&file, &[]), "0 added, 0 changed, 0 removed, 3 unchanged\n");
    assert_eq!(db.rows(versions), before, "what is as it was is not written");

    // What the file no longer has goes on request; watches of another source stay, and are not taken over.
    add(&db, &["by-hand", "--prefix", "192.0.2.0/25"]);
    let file = File::new(&db, "ours.csv", "name,kind,prefix\nweb,prefix,192.0.2.0/24\nnew,prefix,192.0.2.0/26\n");
    let want = "+ new\n~ web\n- lab\n- mail\n";
    assert!(done_with(&file, &["--prune", "--dry-run"]).starts_with(want));
    assert_eq!(names().len(), 4);
    assert_eq!(done_with(&file, &["--prune"]), format!("{want}1 added, 1 changed, 2 removed, 0 unchanged\n"));
    assert_eq!(names(), ["by-hand|manual", "new|ours.csv", "web|ours.csv"]);
    let stolen = File::new(&db, "other.csv", "name,kind,prefix\nby-hand,prefix,192.0.2.0/24\n");
    let (_, said) = refused(&db, &import(&stolen, &[]));
    assert!(said.contains("line 2: watch \"by-hand\" belongs to the source \"manual\""), "{said}");
    // A file that was emptied by accident removes nothing.
    let empty = File::new(&db, "ours.csv", "name,kind,prefix\n");
    let (code, said) = refused(&db, &import(&empty, &["--prune"]));
    assert!(code == Some(2) && said.contains("has no watch"), "{said}");
    assert_eq!(names().len(), 3);
}

#[test]
fn a_list_of_bgpalerter_is_imported() {
    let db = TestDb::migrated();
    let text = "# ours\n192.0.2.0/24:\n  description: the shop\n  asn: 64496\n  ignoreMorespecifics: true\n  group: web\n\
                198.51.100.0/24:\n  description: a customer's\n  asn:\n  - 64497\n  ignore: true\n\
                2001:db8::/32:\n  asn: [64496, 64497]\n  includeMonitors: [monitorHijack]\n\
                options:\n  monitorASns:\n    64496: {upstreams: [64500], downstreams: []}\n";
    let file = File::new(&db, "prefixes.yml", text);
    let want = "+ web:192.0.2.0-24\n+ 198.51.100.0-24\n+ 2001:db8::-32\n+ AS64496\n";
    let dry = done(&db, &import(&file, &["--dry-run"]));
    assert_eq!(dry, format!("{want}dry run, nothing was changed: 4 added, 0 changed, 0 removed, 0 unchanged\n"));
    assert!(done(&db, &import(&file, &[])).ends_with("4 added, 0 changed, 0 removed, 0 unchanged\n"));
    assert_eq!(done(&db, &import(&file, &["--prune"])), "0 added, 0 changed, 0 removed, 4 unchanged\n");
    let rows = "SELECT name, kind, coalesce(team, '-'), expected_origins, 'more_specific' = ANY (conditions), cardinality(conditions),
                       expected_upstreams, expected_downstreams, note, source FROM watch.watches ORDER BY name COLLATE \"C\"";
    let stored = db.rows(rows);
    assert!(stored[0].starts_with("192.0.2.0-24|prefix|web|{64496}|f|"), "{stored:?}");
    assert_eq!(
        stored[1..],
        [
            "198.51.100.0-24|prefix|-|{64497}|f|0|-|-|a customer's|prefixes.yml",
            "2001:db8::-32|prefix|-|{64496,64497}|t|2|-|-|-|prefixes.yml",
            "AS64496|origin|-|-|-|-|{64500}|{64496}|-|prefixes.yml"
        ]
    );
    // A prefix that is gone from the list goes with `--prune`, and one mistake keeps all as it was.
    let fewer = File::new(&db, "prefixes.yml", &text[..text.find("2001").unwrap()]);
    assert!(done(&db, &import(&fewer, &["--prune"])).starts_with("- 2001:db8::-32\n- AS64496\n"));
    for (bad, want) in [
        ("192.0.2.0/24:\n  asn: 64496\n  path: {match: a, notMatch: b}\n", "line 3: path: notMatch together with"),
        ("192.0.2.0/24: {asn: 1}\n192.0.2.0/24: {asn: 1}\n", "line 2: \"192.0.2.0/24\" is there already, in line 1"),
        ("a: &a [x]\nb: *a\n", "line 2: has an alias (*): write out what it stands for"),
        ("192.0.2.0/24: {asn: 1, group: \"a\\u0007b\"}\n", "line 1: watch \"192.0.2.0-24\": the team must have"),
    ] {
        let (code, said) = refused(&db, &import(&File::new(&db, "prefixes.yml", bad), &["--prune"]));
        assert!(code == Some(2) && said.contains(want), "{want}: {said}");
    }
    let odd = File::new(&db, "odd.yml", "");
    std::fs::write(&odd.0, b"192.0.2.0/24:\n  description: \xff\n").unwrap();
    assert!(refused(&db, &import(&odd, &[])).1.contains("odd.yml: line 2: is not UTF-8"));
    assert_eq!(db.rows("SELECT count(*) FROM watch.watches"), ["2"]);
}

#[test]
fn lists_come_back_by_import() {
    let db = TestDb::migrated();
    add(&db, &["web", "--prefix", "192.0.2.0/24", "--expected-origins", "64496", "--note", "a, \"b\"\nc"]);
    add(&db, &["dns", "--address", "192.0.2.53", "--conditions", "none", "--team", "dns", "--min-vantages", "2"]);
    add(&db, &["peer", "--peer", "2001:db8::1", "--disabled", "--runbook-url", "https://example.net/a"]);
    let rows = "SELECT to_jsonb(w) - '{id,created_at,updated_at,accepted_at,source}'::text[] FROM watch.watches w ORDER BY name";
    let before = db.rows(rows);
    for form in ["--json", "--csv"] {
        let file = File::new(&db, "all", &done(&db, &["watch", "list", form]));
        let same = done(&db, &["watch", "import", file.path(), "--source", "manual", "--prune"]);
        assert_eq!(same, "0 added, 0 changed, 0 removed, 3 unchanged\n", "{form}");
        db.client().batch_execute("DELETE FROM watch.watches").unwrap();
        done(&db, &["watch", "import", file.path(), "--source", "manual"]);
        assert_eq!(db.rows(rows), before, "{form}");
    }
}

#[test]
fn many_watches_are_imported_in_seconds() {
    let db = TestDb::migrated();
    let mut text = String::from("name,kind,prefix,expected_origins\n");
    for i in 0..5_000 {
        // One of them is wrong: it is found among the others.
        let prefix =
            if i == 3_333 { "10.0.0.0/8,0".to_owned() } else { format!("10.{}.{}.0/24,64496", i / 250, i % 250) };
        text.push_str(&format!("n{i},prefix,{prefix}\n"));
    }
    let file = File::new(&db, "many.csv", &text.replace("10.0.0.0/8,0", "10.0.0.0/8,\"AS0\""));
    let (_, said) = refused(&db, &["watch", "import", file.path()]);
    assert!(said.contains("line 3335: expected_origins: \"AS0\" is not an AS number"), "{said}");
    // The database finds this one.
    let file = File::new(
        &db,
        "many.csv",
        &text.replace("n3333,prefix", "n3333,origin").replace("10.0.0.0/8,0", "10.0.0.0/8,1"),
    );
    let (_, said) = refused(&db, &["watch", "import", file.path()]);
    assert!(said.contains("line 3335: watch \"n3333\": a watch of kind origin has no prefix"), "{said}");
    assert!(said.contains("1 line refused"), "{said}");
    let file = File::new(&db, "many.csv", &text.replace("10.0.0.0/8,0", "10.0.0.0/8,1"));
    let output = done(&db, &["watch", "import", file.path()]);
    assert!(output.ends_with("5000 added, 0 changed, 0 removed, 0 unchanged\n"));
}

/// AS64511 has a route of 192.0.2.0/24, which its VRPs do not allow; they allow others.
fn suggested_by_vrps(db: &TestDb) {
    db.client()
        .batch_execute(
            "INSERT INTO rpki.vrps (prefix, max_length, asn, trust_anchor)
             VALUES ('198.51.100.0/24', 26, 64511, 'a'), ('198.51.100.0/24', 25, 64511, 'b'), ('203.0.113.0/24', 24, 64510, 'a');
             UPDATE rpki.vrp_set SET version = 1, vrps = 3, generated = now()",
        )
        .unwrap();
    let suggest = || run(db, &["watch", "suggest", "--origin", "AS64511", "--from-vrps"]);
    let (fresh, said) =
        (suggest(), |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned());
    let text = String::from_utf8(fresh.stdout.clone()).unwrap();
    let want = "192.0.2.0-24,prefix,192.0.2.0/24,,,64511,64500,,no VRP allows it\n\
                198.51.100.0-24,prefix,198.51.100.0/24,,,64511,,26,\nAS64511,origin,,64511,,,,,\n";
    assert!(text.ends_with(want) && said(&fresh).is_empty(), "{text} {}", said(&fresh));
    db.client().batch_execute("UPDATE rpki.vrp_set SET generated = now() - interval '25 hours'").unwrap();
    let stale = suggest();
    assert!(said(&stale).contains("the VRPs are too old: suggested from routes only"), "{}", said(&stale));
    assert!(!String::from_utf8(stale.stdout).unwrap().contains("198.51.100.0"));
}

#[test]
fn a_check_judges_now_and_opens_nothing() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("WATCH", "off")]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")));
    let routes = bmp::announce(&Attributes::path(&[64_500, 64_511]), "192.0.2.1", &["192.0.2.0/24"]);
    router.send(&bmp::route_monitoring(peer, &routes));
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    let synced = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NOT NULL";
    eventually_equal(vec!["2".to_owned()], || db.rows(synced));
    // What is suggested can be imported, and nothing is wrong with it.
    let suggested = done(&db, &["watch", "suggest", "--origin", "AS64511", "--from-vrps"]);
    let want = "192.0.2.0-24,prefix,192.0.2.0/24,,,64511,64500,,\nAS64511,origin,,64511,,,,,\n";
    assert!(suggested.ends_with(want), "{suggested}");
    let file = File::new(&db, "suggested.csv", &suggested);
    assert!(done(&db, &import(&file, &[])).starts_with("+ 192.0.2.0-24\n+ AS64511\n2 added"));
    assert!(done(&db, &["watch", "list"]).contains("quiet"));
    let none = run(&db, &["watch", "suggest", "--origin", "64499", "--from-vrps"]);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(said.contains("there are no VRPs") && said.contains("no router has a route of these ASes now"), "{said}");
    suggested_by_vrps(&db);
    assert!(refused(&db, &["watch", "suggest", "--origin", "ASx"]).1.contains("--origin: \"ASx\" is not an AS number"));
    done(&db, &["watch", "remove", "192.0.2.0-24"]);
    done(&db, &["watch", "remove", "AS64511"]);
    let watch = ["web", "--prefix", "192.0.2.0/24", "--settle-secs", "0"];
    add(&db, &[&watch[..], &["--expected-origins", "64496"]].concat());
    let checked = done(&db, &["watch", "check", "web"]);
    assert!(checked.starts_with("watch web: judged at 1 of 1 router\n"), "{checked}");
    assert!(checked.contains("192.0.2.0/24 AS64511") && checked.contains("64500 64511"), "{checked}");
    add(&db, &[&watch[..], &["--expected-origins", "64511", "--replace"]].concat());
    assert!(done(&db, &["watch", "check", "web"]).ends_with("nothing is wrong\n"));
    assert_eq!(
        db.rows("SELECT (SELECT count(*) FROM watch.conditions) + (SELECT count(*) FROM watch.incidents)"),
        ["0"]
    );
    db.client().batch_execute("UPDATE watch.watches SET path_match = '(64500'").unwrap();
    assert!(done(&db, &["watch", "list"]).contains("\nwrong path_match  web"));
    assert!(done(&db, &["watch", "show", "web"]).contains("unclosed group: paths are not judged\n"));
    add(&db, &[&watch[..], &["--disabled", "--replace"]].concat());
    assert!(refused(&db, &["watch", "check", "web"]).1.contains("is off and not judged"));
}
