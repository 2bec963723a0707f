//! Two teams that try everything against each other, each as its own role that logs in.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;

use postgres::Client;

use super::scene::{Scene, ask, rows};

/// What only the team green has: names, addresses, mails, texts.
const GREEN: &str = "green|203\\.0\\.113|64497|t2";

/// Views of a team's own rows.
const READABLE: [&str; 9] = [
    "teams",
    "domains",
    "dns_records",
    "record_addresses",
    "proxy_configs",
    "alerts",
    "resources",
    "incidents",
    "analytics_data",
];

/// A route, a watch, an incident, a silence and a callback of each team, as the collector and the teams make them.
fn filled(scene: &Scene) -> Client {
    let mut owner = scene.owner();
    for (team, role, number, asn) in [("blue", "t1", "198.51.100", 64_496), ("green", "t2", "203.0.113", 64_497)] {
        owner
            .batch_execute(&format!(
                "INSERT INTO tenant.users (id, name, email) VALUES ('user-{team}', '{team} ada', 'ada@{team}.example');
                 INSERT INTO tenant.members (team_id, user_id, db_role) VALUES ('{team}', 'user-{team}', '{role}');
                 INSERT INTO tenant.domains (team_id, id, hostname) VALUES ('{team}', '{team}-d', 'www.{team}.example');
                 INSERT INTO tenant.dns_records (team_id, id, domain_id, type, content)
                 VALUES ('{team}', '{team}-r', '{team}-d', 'A', '{number}.10');
                 INSERT INTO tenant.proxy_configs (team_id, domain_id, config) VALUES ('{team}', '{team}-d', '{{\"waf\": \"{team}\"}}');
                 INSERT INTO tenant.alerts (team_id, domain_id, message) VALUES ('{team}', '{team}-d', 'of {team}');
                 INSERT INTO watch.watches (team, name, kind, address, source) VALUES ('{team}', '{team} web', 'address', '{number}.10', 'manual');
                 INSERT INTO tenant.record_addresses SELECT team, '{team}-r', address, id FROM watch.watches WHERE team = '{team}';
                 INSERT INTO watch.conditions (team, watch_id, vantage, router_id, condition, since)
                 SELECT team, id, 'edge1/global', 'edge1', 'missing', now() FROM watch.watches WHERE team = '{team}';
                 INSERT INTO watch.accepted_prefixes (team, watch_id, prefix) SELECT team, id, '{number}.0/24' FROM watch.watches WHERE team = '{team}';
                 INSERT INTO watch.incidents (team, cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known, summary)
                 SELECT team, 'x/{team}:web/missing', id, 'missing', 'critical', 'open', now(), now(), 1, 1, 'GONE {number}.10'
                 FROM watch.watches WHERE team = '{team}';
                 INSERT INTO watch.incident_events (team, incident_id, event, severity, state, affected, known, summary, is_told)
                 SELECT team, id, 'opened', 'critical', 'open', 1, 1, summary, true FROM watch.incidents WHERE team = '{team}';
                 INSERT INTO tenant.incidents (team_id, id, domain_id, incident_id, severity, state, title)
                 SELECT team, '{team}-i', '{team}-d', id, 'critical', 'investigating', summary FROM watch.incidents WHERE team = '{team}';
                 INSERT INTO tenant.analytics_data (team_id, domain_id, bucket, width) VALUES ('{team}', '{team}-d', now(), 'minute');
                 INSERT INTO watch.silences (starts_at, ends_at, team, watch_id, created_by, note)
                 SELECT now(), now() + interval '1 hour', team, id, '{role}', 'of {team}' FROM watch.watches WHERE team = '{team}';
                 INSERT INTO watch.callbacks (team, name, format, url) VALUES ('{team}', '{team} noc', 'generic', 'https://{team}.example/hook');
                 INSERT INTO watch.callback_secrets SELECT id, '{team} secret' FROM watch.callbacks WHERE team = '{team}';
                 INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
                 VALUES ('edge1', 'global', 4, '{number}.0/24', '64500 {asn}', {asn});
                 INSERT INTO rpki.vrps (prefix, max_length, asn, trust_anchor) VALUES ('{number}.0/24', 24, {asn}, 'x')"
            ))
            .unwrap();
    }
    owner.batch_execute("ANALYZE").unwrap();
    owner
}

/// The rows of green that a role sees of each relation that it may read; relations that it may not read are left out.
fn seen_of_green(client: &mut Client) -> Vec<String> {
    let relations = rows(
        client,
        "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')
             AND relnamespace IN ('tenant'::regnamespace, 'watch'::regnamespace, 'rpki'::regnamespace, 'public'::regnamespace)",
    );
    assert!(relations.len() > 40, "{relations:?}");
    let mut seen = Vec::new();
    for relation in relations {
        match ask(client, &format!("SELECT count(*) FROM {relation} AS x WHERE x::text ~ '{GREEN}'")) {
            Ok(count) if count == ["0"] => {}
            Ok(count) => seen.push(format!("{relation}: {count:?}")),
            Err(error) => assert!(error.starts_with("42501 permission denied"), "{relation}: {error}"),
        }
    }
    seen
}

fn refused(client: &mut Client, sql: &str) -> String {
    let error = ask(client, sql).expect_err(sql);
    assert!(error.starts_with("42501 "), "{sql}: {error}");
    error
}

#[test]
fn two_teams_try_everything_against_each_other() {
    let scene = Scene::new();
    let mut owner = filled(&scene);
    let mut blue = scene.as_role("t1");
    reads(&scene, &mut owner, &mut blue);
    functions(&mut blue);
    writes(&mut owner, &mut blue);
    roles_and_settings(&scene, &mut blue);
    searches(&scene, &mut blue);
    plans_and_statistics(&scene, &mut blue);
    others(&scene);
    // After all of it green has what it had, and sees it.
    let mut green = scene.as_role("t2");
    for table in READABLE {
        assert_ne!(rows(&mut green, &format!("SELECT count(*) FROM tenant.own_{table}")), ["0"], "{table}");
    }
    assert_eq!(rows(&mut green, "SELECT id, title FROM tenant.own_incidents"), ["green-i|GONE 203.0.113.10"]);
    assert_eq!(rows(&mut green, "SELECT name, holding FROM tenant.watches()"), ["green web|1"]);
}

fn reads(scene: &Scene, owner: &mut Client, blue: &mut Client) {
    for table in READABLE {
        assert_ne!(rows(blue, &format!("SELECT count(*) FROM tenant.own_{table}")), ["0"], "{table}");
    }
    assert_eq!(seen_of_green(blue), Vec::<String>::new());
    for table in [
        "tenant.users",
        "tenant.domains",
        "tenant.incidents",
        "tenant.changes",
        "watch.watches",
        "watch.callbacks_public",
        "current_routes",
        "route_events",
    ] {
        refused(blue, &format!("SELECT FROM {table}"));
    }
    refused(blue, "COPY tenant.users TO STDOUT");
    refused(blue, "BEGIN; LOCK TABLE tenant.domains IN ACCESS SHARE MODE");
    // A view that is locked locks what it reads: of a function that is nothing.
    rows(blue, "ROLLBACK; BEGIN; LOCK TABLE tenant.own_domains IN EXCLUSIVE MODE");
    assert_eq!(
        rows(
            blue,
            "SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'ExclusiveLock' AND locktype = 'relation'"
        ),
        ["tenant.own_domains"]
    );
    rows(blue, "ROLLBACK");
    refused(blue, "TRUNCATE tenant.domains");
    // Should somebody grant all of it, the rows are still the team's.
    let grant = "SELECT ON ALL TABLES IN SCHEMA tenant, watch";
    owner.batch_execute(&format!("GRANT {grant} TO t1")).unwrap();
    assert_eq!(seen_of_green(blue), Vec::<String>::new());
    assert_eq!(rows(blue, "SELECT name FROM watch.watches"), ["blue web"]);
    assert_eq!(rows(blue, "SELECT name FROM watch.callbacks_public"), ["blue noc"]);
    assert_eq!(rows(blue, "SELECT count(*) FROM watch.callbacks"), ["0"]);
    let (mut watching, notices) = scene.listening("t1");
    let spy = "CREATE FUNCTION pg_temp.spy(text) RETURNS BOOLEAN LANGUAGE plpgsql COST 0.0000001 AS
               $$ BEGIN RAISE NOTICE 'spied %', $1; RETURN true; END $$";
    rows(&mut watching, spy);
    refused(&mut watching, &spy.replace("COST", "LEAKPROOF COST").replace("spy", "leak"));
    for (table, column) in [
        ("watch.watches", "name"),
        ("watch.incidents", "summary"),
        ("tenant.domains", "hostname"),
        ("tenant.own_domains", "hostname"),
    ] {
        rows(&mut watching, &format!("SELECT FROM {table} WHERE pg_temp.spy({column})"));
        // Nor does an error that depends on another's value.
        rows(
            &mut watching,
            &format!("SELECT FROM {table} WHERE 1 / (CASE WHEN {column} ~ '{GREEN}' THEN 0 ELSE 1 END) = 1"),
        );
    }
    rows(&mut watching, "SELECT FROM watch.callbacks_public WHERE pg_temp.spy(name)");
    let notices = notices.lock().unwrap();
    assert!(
        notices.len() >= 5 && notices.iter().all(|notice| !notice.contains("green") && !notice.contains("203.0")),
        "{notices:?}"
    );
    owner.batch_execute(&format!("REVOKE {grant} FROM t1")).unwrap();
}

fn functions(blue: &mut Client) {
    assert_eq!(rows(blue, "SELECT prefix, origin_asn FROM tenant.lookup('198.51.100.10')"), ["198.51.100.0/24|64496"]);
    assert_eq!(rows(blue, "SELECT name FROM tenant.people()"), ["blue ada"]);
    assert_eq!(rows(blue, "SELECT name FROM tenant.callbacks()"), ["blue noc"]);
    assert_eq!(rows(blue, "SELECT note FROM tenant.silences()"), ["of blue"]);
    assert_eq!(
        rows(blue, "SELECT prefix, announced, routers, origins, incidents FROM tenant.overview()"),
        ["198.51.100.0/24|1|1|{64496}|1"]
    );
    // The answer is the same for what is another's and for what does not exist.
    let pairs = [
        ("SELECT FROM tenant.lookup('{}')", "203.0.113.10", "192.0.2.10"),
        ("SELECT FROM tenant.history('{}')", "203.0.113.0/24", "192.0.2.0/24"),
        ("SELECT FROM tenant.overview('{}')", "green", "nobody"),
        ("SELECT tenant.acknowledge('{}')", "green-i", "nobody"),
        ("SELECT tenant.silence('{}', now() + interval '1 hour', 'quiet')", "green web", "nobody"),
        ("SELECT tenant.end_silence({})", "2", "999"),
        ("DELETE FROM tenant.own_domains WHERE id = '{}' RETURNING id", "green-d", "nobody"),
        (
            "INSERT INTO tenant.own_dns_records (domain_id, type, content) VALUES ('{}', 'TXT', 'x')",
            "green-d",
            "nobody",
        ),
        ("INSERT INTO tenant.own_domains (team_id, id, hostname) VALUES ('{}', 'x', 'x')", "green", "nobody"),
        ("INSERT INTO tenant.own_domains (team_id, id, hostname) VALUES ('green', '{}', 'x')", "green-d", "nobody"),
        ("SELECT watch.set_callback('{}', 'generic', NULL)", "green noc", "nobody"),
        ("SELECT FROM watch.silences WHERE watch_id = '{}'", "2", "999"),
    ];
    for (sql, foreign, absent) in pairs {
        let answers = [foreign, absent].map(|name| match ask(blue, &sql.replace("{}", name)) {
            Ok(rows) => rows.join(","),
            Err(error) if name.parse::<u32>().is_err() => error.replace(name, "X"),
            Err(error) => error,
        });
        assert_eq!(answers[0], answers[1], "{sql}");
    }
    let all = rows(
        blue,
        "SELECT p.oid::regproc FROM pg_proc p WHERE p.pronamespace IN ('tenant'::regnamespace, 'watch'::regnamespace)
             AND p.prosecdef AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY p.oid::regproc::text",
    );
    let allowed = "tenant.acknowledge tenant.callbacks tenant.end_silence tenant.history tenant.lookup tenant.overview tenant.own_team
         tenant.people tenant.read_alerts tenant.read_analytics_data tenant.read_dns_records tenant.read_domains
         tenant.read_incidents tenant.read_proxy_configs tenant.read_record_addresses tenant.read_resources tenant.read_teams
         tenant.silence tenant.silences tenant.visible_teams tenant.watches watch.is_operator watch.own_team watch.set_callback";
    assert_eq!(all, allowed.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows(blue, "SELECT tenant.visible_teams()"), ["{blue}"]);
}

fn writes(owner: &mut Client, blue: &mut Client) {
    let before = "SELECT md5(string_agg(x::text, ' ' ORDER BY x::text)) FROM
        (SELECT d::text FROM tenant.domains d WHERE team_id = 'green' UNION ALL SELECT r::text FROM tenant.dns_records r WHERE team_id = 'green'
         UNION ALL SELECT a::text FROM tenant.alerts a WHERE team_id = 'green' UNION ALL SELECT i::text FROM tenant.incidents i WHERE team_id = 'green'
         UNION ALL SELECT r::text FROM tenant.resources r WHERE team_id = 'green') AS all_of_it (x)";
    let was = rows(owner, before);
    // Names and identifiers of another team are free to use, and collide with nothing.
    rows(blue, "INSERT INTO tenant.own_domains (id, hostname) VALUES ('green-d', 'www.green.example')");
    rows(
        blue,
        "INSERT INTO tenant.own_dns_records (id, domain_id, type, content) VALUES ('green-r', 'green-d', 'A', '203.0.113.10')",
    );
    rows(blue, "INSERT INTO tenant.own_alerts (domain_id, message) VALUES ('green-d', 'x')");
    rows(blue, "INSERT INTO tenant.own_proxy_configs (domain_id, config) VALUES ('green-d', '{\"a\": {\"b\": null}}')");
    assert_eq!(
        rows(blue, "SELECT config FROM tenant.own_proxy_configs WHERE domain_id = 'green-d'"),
        ["{\"a\": {\"b\": null}}"]
    );
    rows(blue, "SELECT watch.set_callback('green noc', 'generic', 'https://blue.example/', NULL)");
    let twice =
        ask(blue, "INSERT INTO tenant.own_domains (id, hostname) VALUES ('x', 'www.blue.example')").unwrap_err();
    assert!(twice.starts_with("23505") && twice.contains("(team_id, hostname)=(blue, www.blue.example)"), "{twice}");
    // Without a condition: of all rows, the own ones.
    for sql in [
        "UPDATE tenant.own_domains SET waf_state = 'off', updated_at = now()",
        "UPDATE tenant.own_dns_records SET ttl = 1",
        "UPDATE tenant.own_alerts SET message = 'x'",
        "UPDATE tenant.own_resources SET is_watched = NOT is_watched",
        "UPDATE tenant.own_incidents SET text = 'ours'",
        "DELETE FROM tenant.own_alerts",
    ] {
        rows(blue, sql);
    }
    for sql in [
        "UPDATE tenant.own_domains SET team_id = 'green'",
        "UPDATE tenant.own_domains SET id = 'other'",
        "UPDATE tenant.own_resources SET prefix = '203.0.113.0/24'",
        "INSERT INTO tenant.own_resources (prefix) VALUES ('203.0.113.0/24')",
        "INSERT INTO tenant.resources (team_id, prefix) VALUES ('blue', '203.0.113.0/24')",
        "UPDATE tenant.own_incidents SET state = 'resolved'",
        "DELETE FROM tenant.own_incidents",
        "UPDATE tenant.own_dns_records SET state = 'watched'",
        "INSERT INTO tenant.own_dns_records (domain_id, type, content, state) VALUES ('blue-d', 'A', '203.0.113.1', 'watched')",
        "INSERT INTO tenant.own_domains (id, hostname, created_at) VALUES ('x', 'x', now())",
        "INSERT INTO tenant.domains (team_id, id, hostname) VALUES ('green', 'x', 'x')",
        "INSERT INTO tenant.members (team_id, user_id) VALUES ('blue', 'user-green')",
        "INSERT INTO watch.team_roles VALUES ('t1', 'green')",
        "UPDATE watch.watches SET team = 'blue'",
        "UPDATE tenant.own_teams SET max_watches = 100000",
        "SELECT tenant.grant_to('t1')",
        "SELECT tenant.routes_to('203.0.113.1')",
        "SELECT tenant.overview_of('green')",
        "DELETE FROM tenant.domains",
    ] {
        let error = ask(blue, sql).expect_err(sql);
        assert!(error.starts_with("42501") || error.contains("cannot ") && error.contains("view"), "{sql}: {error}");
    }
    assert_eq!(
        rows(blue, "DELETE FROM tenant.own_domains WHERE id = 'green-d' RETURNING hostname"),
        ["www.green.example"]
    );
    assert_eq!(rows(blue, "SELECT text, edited_by FROM tenant.own_incidents"), ["ours|t1"]);
    assert_eq!(rows(owner, before), was);
}

fn roles_and_settings(scene: &Scene, blue: &mut Client) {
    refused(blue, "SET ROLE t2");
    refused(blue, "SELECT set_config('role', 't2', false)");
    refused(blue, "SET SESSION AUTHORIZATION t2");
    refused(blue, "SET ROLE rib_ingester");
    // A role that it is a member of is another one, and the team the same.
    rows(blue, "SET ROLE rib_team");
    assert_eq!(rows(blue, "SELECT id FROM tenant.own_teams"), ["blue"]);
    assert_eq!(rows(blue, "SELECT tenant.own_team()"), ["blue"]);
    rows(blue, "RESET ROLE; SET tenant.team = 'green'; SET watch.team = 'green'");
    assert_eq!(rows(blue, "SELECT id FROM tenant.own_teams"), ["blue"]);
    rows(blue, "SET row_security = off");
    assert_eq!(rows(blue, "SELECT id FROM tenant.own_teams"), ["blue"]);
    rows(blue, "SET row_security = on");
    // Even with another team's role granted: who logged in decides.
    scene.server.super_sql("rib", "GRANT t2 TO t1");
    rows(blue, "SET ROLE t2");
    assert_eq!(rows(blue, "SELECT id FROM tenant.own_teams"), ["blue"]);
    assert_eq!(rows(blue, "SELECT name FROM tenant.watches()"), ["blue web"]);
    rows(blue, "RESET ROLE");
    scene.server.super_sql("rib", "REVOKE t2 FROM t1");
}

/// Objects of the caller that have the names of those that functions use.
fn searches(scene: &Scene, blue: &mut Client) {
    refused(blue, "CREATE SCHEMA mine");
    refused(blue, "CREATE TABLE public.mine (a INT)");
    refused(blue, "CREATE FUNCTION tenant.mine() RETURNS INT LANGUAGE sql AS 'SELECT 1'");
    // An administrator has given it a schema of its own.
    scene.server.super_sql("rib", "CREATE SCHEMA mine AUTHORIZATION t1");
    for schema in ["pg_temp", "mine"] {
        for sql in [
            "CREATE TABLE {}.resources (team_id TEXT, prefix CIDR)",
            "INSERT INTO {}.resources VALUES ('blue', '203.0.113.0/24')",
            "CREATE TABLE {}.team_roles (db_role TEXT, team TEXT)",
            "INSERT INTO {}.team_roles VALUES ('t1', 'green')",
            "CREATE FUNCTION {}.own_team() RETURNS TEXT LANGUAGE sql AS $$ SELECT 'green' $$",
            "CREATE FUNCTION {}.check_resource(INET) RETURNS VOID LANGUAGE sql AS $$ SELECT $$",
            "CREATE FUNCTION {}.covers(INET, INET) RETURNS BOOLEAN LANGUAGE sql AS $$ SELECT true $$",
            "CREATE OPERATOR {}.>>= (LEFTARG = INET, RIGHTARG = INET, FUNCTION = {}.covers)",
            "CREATE OPERATOR {}.>>= (LEFTARG = CIDR, RIGHTARG = INET, FUNCTION = {}.covers)",
            "CREATE FUNCTION {}.same(TEXT, TEXT) RETURNS BOOLEAN LANGUAGE sql AS $$ SELECT true $$",
            "CREATE OPERATOR {}.= (LEFTARG = TEXT, RIGHTARG = TEXT, FUNCTION = {}.same)",
            "CREATE OPERATOR {}.= (LEFTARG = NAME, RIGHTARG = TEXT, FUNCTION = {}.same)",
        ] {
            // Not all of these can be made; none of them may help.
            let _ = ask(blue, &sql.replace("{}", schema));
        }
        rows(blue, &format!("SET search_path = {schema}, mine, pg_catalog, tenant, watch, public"));
        refused(blue, "SELECT FROM tenant.lookup('203.0.113.10')");
        refused(blue, "SELECT FROM tenant.history('203.0.113.0/24')");
        refused(blue, "SELECT FROM tenant.overview('green')");
        assert_eq!(rows(blue, "SELECT watch.own_team()"), ["blue"]);
        assert_eq!(rows(blue, "SELECT id FROM tenant.own_teams"), ["blue"]);
        assert_eq!(rows(blue, "SELECT name FROM tenant.watches()"), ["blue web"]);
        assert_eq!(rows(blue, "SELECT tenant.acknowledge('green-i')"), ["f"]);
    }
    rows(blue, "RESET search_path");
    scene.server.super_sql("rib", "DROP SCHEMA mine CASCADE");
}

/// A plan tells no more of another's row than of none, and neither does what it has counted.
fn plans_and_statistics(scene: &Scene, blue: &mut Client) {
    let filters = [
        ("teams", "id", "green"),
        ("domains", "hostname", "www.green.example"),
        ("domains", "id", "green-d"),
        ("dns_records", "content", "203.0.113.10"),
        ("dns_records", "team_id", "green"),
        ("record_addresses", "record_id", "green-r"),
        ("proxy_configs", "domain_id", "green-d"),
        ("alerts", "domain_id", "green-d"),
        ("resources", "prefix", "203.0.113.0/24"),
        ("incidents", "id", "green-i"),
        ("analytics_data", "domain_id", "green-d"),
    ];
    for settings in
        ["", "SET LOCAL enable_seqscan = off;", "SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off;"]
    {
        for (table, column, foreign) in filters {
            let absent = foreign.replace("green", "nobod").replace("203.0.113", "203.0.112");
            for more in ["", " AND team_id = 'green'", " AND team_id = 'blue'"] {
                if !more.is_empty() && (table == "teams" || column == "team_id") {
                    continue;
                }
                let plans = [foreign, &absent].map(|value| {
                    let sql = format!(
                        "BEGIN; {settings} EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT FROM tenant.own_{table} WHERE {column} = '{value}'{more}"
                    );
                    let plan = rows(blue, &sql).join("\n").replace(value, "X");
                    rows(blue, "ROLLBACK");
                    plan
                });
                assert_eq!(plans[0], plans[1], "{table}.{column}{more}");
            }
        }
    }
    assert_eq!(rows(blue, "SELECT count(*) FROM pg_stats WHERE schemaname IN ('tenant', 'watch')"), ["0"]);
    let mut green = scene.as_role("t2");
    rows(&mut green, "SELECT 'said by green'");
    assert_eq!(rows(blue, "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'said by gree[n]'"), ["0"]);
}

/// What `doctor` prints for a role.
fn doctor(url: &str) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = run.args(["doctor", "--json"]).env_clear().env("RIB_INGESTER_DATABASE_URL", url).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Readers see all teams as before, and a role of no team sees nothing.
fn others(scene: &Scene) {
    let mut reader = scene.as_role("rib_reader");
    assert_eq!(rows(&mut reader, "SELECT name FROM watch.watches ORDER BY name"), ["blue web", "green web"]);
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM watch.callbacks_public"), ["3"]);
    assert_eq!(rows(&mut reader, "SELECT id FROM tenant.teams ORDER BY id"), ["blue", "green"]);
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM tenant.users"), ["2"]);
    scene.server.super_sql("rib", "CREATE ROLE t3 LOGIN PASSWORD 'candle-8-meadow' IN ROLE rib_team");
    let mut stray = scene.as_role("t3");
    for table in READABLE {
        let error = refused(&mut stray, &format!("SELECT FROM tenant.own_{table}"));
        assert!(error.contains("role t3 belongs to no team"), "{error}");
    }
    scene.server.super_sql("rib", "GRANT SELECT ON tenant.domains, watch.watches TO t3");
    assert_eq!(rows(&mut stray, "SELECT FROM tenant.domains"), Vec::<String>::new());
    // `doctor` names rights that nobody needs, and a role that rows are hidden from.
    scene
        .owner()
        .batch_execute("GRANT SELECT ON watch.watches TO t2; GRANT SELECT ON watch.team_roles TO rib_reader")
        .unwrap();
    let found = doctor(&scene.url("rib_ingester"));
    assert!(
        found.contains("roles of teams have rights on tables: t2 on watch.watches") && !found.contains("does not own"),
        "{found}"
    );
    assert!(doctor(&scene.url("rib_reader")).contains("does not own the tables, rib_ingester does"));
    scene.owner().batch_execute("REVOKE SELECT ON watch.watches FROM t2").unwrap();
    assert_eq!(rows(&mut stray, "SELECT FROM watch.watches"), Vec::<String>::new());
    assert!(refused(&mut stray, "SELECT tenant.own_team()").contains("belongs to no team"));
    refused(&mut stray, "SELECT FROM tenant.overview('blue')");
    refused(&mut stray, "INSERT INTO tenant.own_domains (team_id, id, hostname) VALUES ('blue', 'x', 'x')");
}
