//! DuckDB reads the files: the queries and the restore of the pages, and every value beside the database's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOSTILE, Scene};

/// The release that the test runs.
const RELEASE: &str = "duckdb==2.0.1";

/// Runs the statements of standard input, which are separated by lines of dashes, and prints the rows of each.
const SCRIPT: &str = r#"
import sys, duckdb
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for statement in sys.stdin.read().split('\n--\n'):
    if not statement.startswith('COPY'):
        statement = f"SELECT COLUMNS(*)::VARCHAR FROM ({statement})"
    for row in connection.execute(statement).fetchall():
        print('|'.join('-' if value is None else str(value) for value in row))
    print('--')
"#;

/// Installs DuckDB once; `None` where the registry does not serve it.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("duckdb");
    if !folder.join("installed").exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
        let pip = |_| {
            let arguments = ["install", "--quiet", "--only-binary", ":all:", RELEASE];
            Command::new(folder.join("bin/pip")).args(arguments).output().ok()
        };
        let installed = made.ok().filter(|output| output.status.success()).and_then(pip);
        if !installed.is_some_and(|output| output.status.success()) {
            println!("skipped: {RELEASE} cannot be installed here");
            return None;
        }
        std::fs::write(folder.join("installed"), RELEASE).unwrap();
    }
    Some(folder.join("bin/python"))
}

/// The rows of each statement.
fn ask(python: &Path, statements: &[String]) -> Vec<Vec<String>> {
    use std::io::Write;
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(statements.join("\n--\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "DuckDB refuses one of {statements:#?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut all: Vec<Vec<String>> = text.split("--\n").map(|rows| rows.lines().map(str::to_owned).collect()).collect();
    all.pop();
    all
}

/// The statements for DuckDB on a page by heading, with the folder and the day of the scene.
fn documented(scene: &Scene, page: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let (mut heading, mut found) = (String::new(), BTreeMap::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix('#') {
            heading = title.trim_start_matches('#').trim().to_owned();
        } else if line == "```duckdb" {
            let sql: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let sql = sql.join("\n").replace("/srv/rib-archive", scene.folder());
            let sql =
                sql.replace("2026-11-25", &scene.ago(3).to_string()).replace("2026-11-01", &scene.ago(9).to_string());
            let sql = sql.replace("2026-11-30", &scene.today.to_string()).replace(';', "");
            assert!(found.insert(heading.clone(), sql).is_none(), "{heading}");
        }
    }
    found
}

fn archived() -> Scene {
    let scene = Scene::new();
    scene.add(scene.ago(4), "10.0.0.2", 120, "");
    scene.add(scene.ago(3), "10.0.0.2", 3_000, "");
    scene.add(scene.ago(3), HOSTILE, 40, "");
    scene.add_nlri(scene.ago(3), "10.0.0.2", 400, "");
    let (is_done, text) = scene.archive(&["--raw"]);
    assert!(is_done, "{text}");
    scene
}

#[test]
fn duckdb_reads_the_files_as_the_pages_say() {
    // Two tests would install it at once.
    let Some(python) = python() else { return };
    let scene = archived();
    it_answers_the_queries(&scene, &python);
    it_finds_every_value_and_restores_a_day(&scene, &python);
    it_finds_every_value_of_other_families(&scene, &python);
}

fn it_answers_the_queries(scene: &Scene, python: &Path) {
    let day = scene.ago(3);
    // The same questions to the database.
    let expected = [
        (
            "One prefix in files",
            "SELECT ingest_time, router_id, action, as_path FROM route_events WHERE prefix = '10.1.1.0/24' ORDER BY 2, 1".to_owned(),
        ),
        (
            "Prefixes in files that cover an address",
            format!("SELECT DISTINCT prefix, masklen(prefix) FROM route_events WHERE prefix >>= '10.1.1.9/32' AND ingest_time >= '{day} 00:00+00' ORDER BY 2 DESC"),
        ),
        (
            "Prefixes in files inside a prefix",
            format!("SELECT prefix, count(*) FROM route_events WHERE prefix <<= '2001:db8::/32' AND ingest_time >= '{day} 00:00+00' GROUP BY prefix ORDER BY prefix"),
        ),
        (
            "Paths in files through an AS",
            "SELECT router_id, as_path, count(*) FROM route_events WHERE as_path ~ '\\y64502\\y' GROUP BY 1, 2 ORDER BY router_id COLLATE \"C\", as_path COLLATE \"C\"".to_owned(),
        ),
        (
            "Events in files with a community",
            "SELECT (ingest_time AT TIME ZONE 'UTC')::date, router_id, prefix, '[''' || array_to_string(communities_std, ''', ''') || ''']' FROM route_events WHERE '64500:666' = ANY (communities_std) ORDER BY ingest_time, prefix".to_owned(),
        ),
        (
            "The last event of each route up to a moment",
            "SELECT router_id, prefix, as_path, ingest_time FROM (SELECT DISTINCT ON (router_id, table_name, prefix, path_id) * FROM route_events WHERE peer_address IS NULL ORDER BY router_id, table_name, prefix, path_id, ingest_time DESC) AS l WHERE action = 'A' ORDER BY router_id COLLATE \"C\", prefix, ingest_time".to_owned(),
        ),
        (
            "One NLRI in files",
            "SELECT ingest_time, router_id, action, host(nexthop), nlri ->> 'mac' FROM nlri_events WHERE nlri_key = 'evpn:2:mac=7' ORDER BY 2, 1".to_owned(),
        ),
        (
            "Files and their events",
            "SELECT (ingest_time AT TIME ZONE 'UTC')::date, router_id, count(*), count(DISTINCT event_id) FROM route_events GROUP BY 1, 2 ORDER BY 1, router_id COLLATE \"C\"".to_owned(),
        ),
    ];
    let mut queries = documented(scene, "queries.md");
    let asked: Vec<String> =
        expected.iter().map(|(title, _)| queries.remove(*title).unwrap_or_else(|| panic!("{title}"))).collect();
    assert!(queries.is_empty(), "documented and not tested: {:?}", queries.keys());
    for ((title, sql), mut found) in expected.iter().zip(ask(python, &asked)) {
        let mut want = scene.db.rows(sql);
        assert!(!want.is_empty(), "{title}: the scene has none");
        // DuckDB's order of the rows of one key is another.
        if title.starts_with("The last") {
            want.sort();
            found.sort();
        }
        assert_eq!(found, want, "{title}");
    }
}

/// All but the hash of the key is as in the view; times as text, lists as DuckDB prints them.
fn it_finds_every_value_of_other_families(scene: &Scene, python: &Path) {
    let file = scene.file_of("nlri_events", scene.ago(3), "10.0.0.2").display().to_string();
    let columns = "table_name, afi, safi, nlri_key, path_id, action, nexthop, as_path, origin, localpref, peer_address, is_post_policy, rib";
    let statement = format!(
        "SELECT lower(hex(event_id)), epoch_us(ingest_time), epoch_us(received_at), {columns}, nlri ->> '$.mac', attrs ->> '$.aigp',
                array_to_string(communities_ext, ','), lower(hex(bmp_raw)), lower(hex(key_hash))
         FROM read_parquet('{file}', hive_partitioning = false) ORDER BY event_id"
    );
    let in_database = columns
        .replace("nexthop", "host(nexthop)")
        .replace("peer_address", "host(peer_address)")
        .replace("is_post_policy", "is_post_policy::text");
    let micros = |column: &str| format!("(extract(epoch FROM {column}) * 1000000)::bigint");
    let beside = format!(
        "SELECT encode(event_id, 'hex'), {}, {}, {in_database}, nlri ->> 'mac', attrs ->> 'aigp', array_to_string(communities_ext, ','),
                encode(bmp_raw, 'hex'), (SELECT encode(substring(inet_send(i.prefix) FROM 5), 'hex') FROM nlri_route_events i WHERE i.event_id = e.event_id)
         FROM nlri_events e ORDER BY event_id",
        micros("ingest_time"),
        micros("received_at")
    );
    let want = scene.db.rows(&beside);
    assert_eq!(want.len(), 400);
    assert_eq!(ask(python, &[statement])[0], want);
}

fn it_finds_every_value_and_restores_a_day(scene: &Scene, python: &Path) {
    let file = scene.file(scene.ago(3), "10.0.0.2").display().to_string();
    let read = format!("FROM read_parquet('{file}', hive_partitioning = false)");
    let restore = documented(scene, "operations.md").remove("A day back into the database").unwrap();
    let csv = scene.folder.join("day.csv");
    let statements = [
        format!("SELECT column_name, column_type FROM (DESCRIBE SELECT * {read})"),
        format!("SELECT hex(event_id), hex(first), hex(last), prefix_len, as_list {read} ORDER BY event_id"),
        restore.replace("'day.csv'", &format!("'{}'", csv.display())),
    ];
    let found = ask(python, &statements);
    let types: BTreeMap<&str, &str> = found[0].iter().map(|row| row.split_once('|').unwrap()).collect();
    let check = |names: &[&str], want: &str| names.iter().for_each(|name| assert_eq!(types[name], want, "{name}"));
    check(&["event_id", "first", "last", "bmp_raw"], "BLOB");
    check(&["ingest_time", "received_at", "router_time"], "TIMESTAMP WITH TIME ZONE");
    check(&["prefix", "as_path", "nexthop", "peer_address", "router_id", "rib"], "VARCHAR");
    check(&["communities_std", "communities_ext", "communities_large"], "VARCHAR[]");
    check(&["as_list"], "UINTEGER[]");
    check(&["attrs"], "JSON");
    check(&["path_id", "med", "origin_asn", "peer_asn"], "BIGINT");
    check(&["is_post_policy"], "BOOLEAN");
    let of_day = format!("router_id = '10.0.0.2' AND ingest_time >= '{} 00:00+00'", scene.ago(3));
    let address = |network: &str| {
        format!(
            "upper(CASE family(prefix) WHEN 4 THEN '00000000000000000000ffff' ELSE '' END
                   || encode(substring(inet_send({network}(prefix)) FROM 5), 'hex'))"
        )
    };
    let beside = format!(
        "SELECT upper(encode(event_id, 'hex')), {}, {}, masklen(prefix),
                '[' || array_to_string(CASE WHEN as_path IS NOT NULL THEN ARRAY(SELECT m[1] FROM regexp_matches(as_path, '\\d+', 'g') m) END, ', ') || ']'
         FROM route_events WHERE {of_day} ORDER BY event_id",
        address("network"),
        address("broadcast")
    );
    assert_eq!(found[1], scene.db.rows(&beside));
    // As the page says.
    let mut client = scene.db.client();
    client.batch_execute("CREATE TABLE events_of_20261125 (LIKE route_events)").unwrap();
    let mut copy = client.copy_in("COPY events_of_20261125 FROM STDIN (FORMAT csv, HEADER)").unwrap();
    std::io::copy(&mut std::fs::File::open(&csv).unwrap(), &mut copy).unwrap();
    assert_eq!(copy.finish().unwrap(), 3_000);
    let original = format!("SELECT * FROM route_events WHERE {of_day}");
    for sides in [[original.as_str(), "TABLE events_of_20261125"], ["TABLE events_of_20261125", original.as_str()]] {
        assert_eq!(scene.db.rows(&format!("{} EXCEPT {} LIMIT 1", sides[0], sides[1])), Vec::<String>::new());
    }
    let hash =
        "SELECT sha256(string_agg(event_id, '' ORDER BY afi, prefix, ingest_time, event_id)) FROM events_of_20261125";
    let recorded = format!("SELECT hash FROM archives WHERE file = '{file}'");
    assert_eq!(scene.db.rows(hash), scene.db.rows(&recorded));
}
