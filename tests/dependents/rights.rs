//! A collector whose role is not the owner of the schemas beside the routes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use postgres::{Client, Config, NoTls};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually};
use crate::common::server::Server;

/// Somebody else, who may read the routes, owns the three schemas. Of `tenant` the collector has all rights but to see through row-level security.
const TAKE_AWAY: &str = r#"
    CREATE ROLE "Records" NOLOGIN;
    DO $$
    DECLARE
        one TEXT;
    BEGIN
        FOR one IN SELECT c.oid::regclass FROM pg_class c
                   WHERE c.relnamespace IN ('registry'::regnamespace, 'inventory'::regnamespace, 'tenant'::regnamespace)
                     AND c.relkind IN ('r', 'p', 'v') LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO "Records"', one);
        END LOOP;
        FOR one IN SELECT p.oid::regprocedure FROM pg_proc p
                   WHERE p.pronamespace IN ('registry'::regnamespace, 'inventory'::regnamespace, 'tenant'::regnamespace) LOOP
            EXECUTE format('ALTER ROUTINE %s OWNER TO "Records"', one);
        END LOOP;
    END $$;
    ALTER SCHEMA registry OWNER TO "Records";
    ALTER SCHEMA inventory OWNER TO "Records";
    ALTER SCHEMA tenant OWNER TO "Records";
    GRANT USAGE ON SCHEMA watch, rpki TO "Records";
    GRANT SELECT ON ALL TABLES IN SCHEMA public, watch, rpki TO "Records";
    GRANT USAGE ON SCHEMA tenant TO rib;
    GRANT ALL ON ALL TABLES IN SCHEMA tenant TO rib;
    INSERT INTO registry.settings VALUES ('down_after_secs', '0'), ('settle_secs', '0');
    INSERT INTO registry.routers (name) VALUES ('edge1');
    INSERT INTO registry.bgp_sessions (router, asn, status, ipv4) SELECT uuid, 65537, 1, '198.51.100.1' FROM registry.routers;
    INSERT INTO tenant.teams (id, name) VALUES ('blue', 'Blue');
"#;

#[test]
fn routes_go_on_without_rights_to_other_schemas() {
    let server = Server::start("", &[]);
    server.super_script("postgres", "ALTER ROLE rib NOSUPERUSER");
    let mut owner: Client = server.url.parse::<Config>().unwrap().connect(NoTls).unwrap();
    rib_ingester::store::migrate(&mut owner).unwrap();
    server.super_script("rib", TAKE_AWAY);
    let mut ingester = Ingester::start(&server.url, &[]);
    let grant = "as a superuser: GRANT \"Records\" TO rib; retrying";
    for (name, why) in [
        ("registry", "permission denied for schema registry"),
        ("inventory", "permission denied for schema inventory"),
        ("tenants", "row-level security hides teams from rib"),
    ] {
        let line = ingester.logged(&format!("{name}: not kept up to date: "));
        assert!(line.contains(why) && line.ends_with(grant), "{line}");
        let (status, _, text) = ingester.get("/readyz");
        assert!(status == 200 && text.contains(name), "{text}");
    }
    // Routes are stored meanwhile, and each fault is one line.
    let (loc_rib, peer) = (Peer::loc_rib("192.0.2.1"), Peer::global_instance("198.51.100.1", 65_537));
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(loc_rib, &Open::of(64_496, "192.0.2.1"), Some("global")))
        .send(&bmp::peer_up(peer, &Open::of(64_496, "192.0.2.1"), None));
    let route = bmp::announce(&Attributes::path(&[65_537]), "198.51.100.1", &["203.0.113.0/24"]);
    router.send(&bmp::route_monitoring(loc_rib, &route));
    for rib in [loc_rib, peer] {
        router.send(&bmp::route_monitoring(rib, &bmp::end_of_rib_ipv4()));
        router.send(&bmp::route_monitoring(rib, &bmp::end_of_rib(2, 1)));
    }
    let mut count = |sql: &str| owner.query_one(sql, &[]).map(|row| row.get::<_, i64>(0)).unwrap_or(-1);
    eventually("the route", || (count("SELECT count(*) FROM current_routes") == 1).then_some(()));
    assert_eq!(ingester.count_logged("registry: not kept up to date"), 1);
    let failures = "rib_ingester_dependents_failures_total{schema=\"registry\"}";
    assert!(ingester.get("/metrics").2.contains(failures));
    // The statement that the lines name is all that is needed.
    server.super_script("rib", "GRANT \"Records\" TO rib");
    eventually("a session is observed", || {
        (count("SELECT count(*) FROM registry.session_observations") == 1).then_some(())
    });
    eventually("nothing is degraded", || (!ingester.get("/readyz").2.contains("not kept up to date")).then_some(()));
    assert!(ingester.stop().success());
}
