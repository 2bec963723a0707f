//! `export mrt` and `replay` of MRT files: what is exported is read by other programs, and comes back by replay.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::{Command, Output};

use crate::common::bmp::{self, Attributes, Open, Peer, attribute};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;

/// The attribute columns of a route as one text.
pub(crate) const ATTRIBUTES: &str =
    "nexthop, as_path, origin, localpref, med, origin_asn, communities_std::text, communities_ext::text,
                          communities_large::text, attrs::text";

pub(crate) fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().env("RIB_INGESTER_DATABASE_URL", url).args(arguments).output().unwrap()
}

/// Runs a command that has to succeed: what it prints, and what it says.
pub(crate) fn done(url: &str, arguments: &[&str]) -> (String, String) {
    let output = run(url, arguments);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// The attributes whose values are structured: a tunnel of ingress replication; a VXLAN tunnel with an endpoint, a color, a
/// label and SRv6; a label index, an SRGB and an SRv6 service; a set with its own path and next hop.
fn structured() -> Vec<u8> {
    let sid = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let service = [&[5, 0, 34, 0, 1, 0, 30, 0][..], &sid, &[0, 0, 19, 0, 1, 0, 6, 40, 24, 16, 0, 16, 64]].concat();
    let sub_tlvs = [
        &[6, 10, 0, 0, 0, 0, 0, 1, 192, 0, 2, 1][..],
        &[4, 8, 3, 11, 0, 0, 0, 0, 0, 100],
        &[10, 4, 0, 1, 0, 255],
        &[11, u8::try_from(service.len()).unwrap()],
        &service,
        &[200, 0, 1, 7],
    ]
    .concat();
    let set = [
        &[0, 0, 0xfb, 0xf0][..],
        &attribute(0x40, 1, &[1]),
        &attribute(0x40, 2, &[2, 1, 0, 1, 0, 2]),
        &attribute(0x40, 3, &[192, 0, 2, 77]),
        &attribute(0x80, 4, &[0, 0, 0, 5]),
        &attribute(0xc0, 8, &[0xfb, 0xf0, 0, 9]),
        &attribute(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]),
    ]
    .concat();
    [
        attribute(0xc0, 22, &[1, 6, 0, 0x27, 0x10, 192, 0, 2, 1]),
        attribute(0xc0, 23, &[&[0, 8, 0, u8::try_from(sub_tlvs.len()).unwrap()][..], &sub_tlvs].concat()),
        attribute(
            0xc0,
            40,
            &[&[1, 0, 7, 0, 0, 0, 0, 0, 0, 9, 3, 0, 8, 0, 0, 0, 0x3e, 0x80, 0, 0x1f, 0x40][..], &service].concat(),
        ),
        attribute(0xc0, 128, &set),
    ]
    .concat()
}

/// A route with every attribute that has a meaning here, and one that has none.
fn full() -> Attributes {
    let raw = [
        attribute(0x40, 6, &[]),
        attribute(0xc0, 7, &[0, 1, 0, 0, 192, 0, 2, 9]),
        attribute(0x80, 9, &[192, 0, 2, 8]),
        attribute(0x80, 10, &[192, 0, 2, 7, 192, 0, 2, 6]),
        attribute(0xc0, 35, &[0, 0, 0xfb, 0xf5]),
        structured(),
        attribute(0xc0, 99, &[1, 2, 0xff]),
    ]
    .concat();
    Attributes {
        med: Some(7),
        communities: vec![0xfbf0_0001, 0xffff_ff01],
        extended: vec![0x0002_fbf0_0000_0064, 0x4300_0000_0000_0000],
        large: vec![[64_496, 1, 2]],
        raw,
        ..Attributes::path(&[64_501, 65_536])
    }
}

/// An AS path with a set in it.
fn with_set() -> Vec<u8> {
    let path = [&[2, 1, 0, 0, 0xfb, 0xf5][..], &[1, 2, 0, 0, 0xfb, 0xf6, 0, 1, 0, 0]].concat();
    [attribute(0x40, 1, &[2]), attribute(0x40, 2, &path), attribute(0x40, 3, &[192, 0, 2, 1])].concat()
}

/// An IPv6 route with a link-local next hop beside the global one.
fn with_link_local(prefix: &str) -> Vec<u8> {
    let mut reach = vec![0, 2, 1, 32];
    for address in ["2001:db8::1", "fe80::1"] {
        reach.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    reach.push(0);
    reach.extend(bmp::nlri(prefix, None));
    let all = [Attributes::path(&[64_501]).bytes(), attribute(0x80, 14, &reach)].concat();
    bmp::update(&[], &all, &[])
}

/// A router with a Loc-RIB of both families, and two peers, one of them with path identifiers.
fn scene() -> Vec<u8> {
    let loc_rib = Peer::loc_rib("192.0.2.1");
    let plain = Peer::global_instance("2001:db8::2", 64_501);
    let add_path = Peer::global_instance("203.0.113.3", 65_550);
    let own = Open::of(64_500, "192.0.2.1");
    let with_paths = |asn, id| Open { add_path: vec![(1, 1)], ..Open::of(asn, id) };
    let route = |peer, bgp: &[u8]| bmp::route_monitoring(peer, bgp);
    let of_med = |med| Attributes { med: Some(med), ..Attributes::path(&[65_550, 64_511]) };
    let paths = |prefix, one, two| {
        [(one, 1), (two, 2)]
            .map(|(med, id)| route(add_path, &bmp::announce_paths(&of_med(med), "203.0.113.3", &[(prefix, Some(id))])))
    };
    let mut stream = [
        bmp::initiation(b"edge1", b"test"),
        bmp::peer_up(loc_rib, &own, Some("global")),
        bmp::peer_up_of(plain, &own.bytes(), &Open::of(64_501, "198.51.100.2").bytes(), &[]),
        bmp::peer_up_of(
            add_path,
            &with_paths(64_500, "192.0.2.1").bytes(),
            &with_paths(65_550, "203.0.113.3").bytes(),
            &[],
        ),
        route(loc_rib, &bmp::announce(&full(), "192.0.2.2", &["198.51.100.0/24", "198.51.100.128/25", "0.0.0.0/0"])),
        route(loc_rib, &bmp::update(&[], &with_set(), &bmp::nlri("203.0.113.0/24", None))),
        route(loc_rib, &bmp::announce(&Attributes::path(&[]), "192.0.2.3", &["203.0.113.64/26", "192.0.2.0/24"])),
        route(loc_rib, &with_link_local("2001:db8:1::/48")),
        route(loc_rib, &bmp::announce(&full(), "2001:db8::9", &["2001:db8:2::/48", "2001:db8:3::/48"])),
        route(loc_rib, &bmp::withdraw(&["192.0.2.0/24"])),
        route(loc_rib, &bmp::withdraw(&["2001:db8:3::/48"])),
        route(loc_rib, &bmp::end_of_rib_ipv4()),
        route(loc_rib, &bmp::end_of_rib(2, 1)),
        route(plain, &bmp::announce(&full(), "2001:db8::2", &["2001:db8:4::/48"])),
        route(plain, &bmp::announce(&Attributes::path(&[64_501]), "192.0.2.5", &["198.51.100.0/24"])),
        route(plain, &bmp::end_of_rib_ipv4()),
        route(plain, &bmp::end_of_rib(2, 1)),
    ]
    .concat();
    stream.extend(paths("198.51.100.0/24", 1, 2).concat());
    stream.extend(paths("203.0.113.0/24", 3, 4).concat());
    stream.extend(route(add_path, &bmp::end_of_rib_ipv4()));
    stream
}

/// The routes of a router's Loc-RIB.
fn loc_rib(db: &TestDb, router: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT afi, prefix, path_id, {ATTRIBUTES} FROM current_routes WHERE router_id = '{router}' ORDER BY 1, 2, 3"
    ))
}

/// The routes of its peers.
fn adj_rib_in(db: &TestDb, router: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT peer_address, peer_asn, peer_bgp_id, afi, prefix, path_id, {ATTRIBUTES} FROM adj_rib_in
         WHERE router_id = '{router}' ORDER BY 1, 2, 4, 5, 6"
    ))
}

fn begun(db: &TestDb) -> Ingester {
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = ingester.connect();
    router.send(&scene());
    eventually_equal(vec!["8".to_owned()], || {
        db.rows("SELECT count(*) FROM session_events WHERE kind IN ('peer_up', 'end_of_rib')")
    });
    eventually_equal(vec!["5|1|6|15".to_owned()], || {
        db.rows(
            "SELECT (SELECT count(*) FROM current_routes WHERE afi = 4), (SELECT count(*) FROM current_routes WHERE afi = 6) - 1,
                    (SELECT count(*) FROM adj_rib_in), (SELECT count(*) FROM route_events) - 2",
        )
    });
    // The peers stay up while the tables are read.
    std::mem::forget(router);
    ingester
}

/// A line for each route or change that bgpdump finds: action, prefix, AS path, next hop, communities. `None` without
/// bgpdump.
pub(crate) fn read_by_bgpdump(file: &str) -> Option<Vec<String>> {
    let Ok(output) = Command::new("bgpdump").args(["-m", file]).output() else {
        println!("skipped: no bgpdump here");
        return None;
    };
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        // Those with path identifiers have one more field.
        let after = if fields[0].ends_with("_AP") { &fields[7..] } else { fields.get(6..)? };
        match (fields[2], after) {
            ("STATE", _) => None,
            (action, [path, _, next_hop, _, _, communities, ..]) => {
                Some(format!("{} {} {path} {next_hop} {communities}", action.replace('B', "A"), fields[5]))
            }
            (action, _) => Some(format!("{action} {}", fields[5])),
        }
    };
    let states = lines.lines().filter(|line| line.contains("|STATE|"));
    assert!(states.clone().all(|line| line.ends_with("|5|6")), "{:?}", states.collect::<Vec<_>>());
    let mut all: Vec<String> = lines.lines().filter_map(line).map(|line| line.trim_end().to_owned()).collect();
    all.sort();
    Some(all)
}

/// The same by bgpkit's parser, with all communities.
pub(crate) fn read_by_bgpkit(files: &[&str]) -> Option<Vec<Vec<String>>> {
    // The newest one that need not be compiled.
    const RELEASE: &str = "pybgpkit-parser==0.6.2";
    const SCRIPT: &str = "import sys, pybgpkit_parser
for element in pybgpkit_parser.Parser(url=sys.argv[1]):
    if element.elem_type == 'A':
        print('A', element.prefix, element.as_path, element.next_hop, ' '.join(element.communities or []))
    else:
        print('W', element.prefix)";
    // It is installed once.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pybgpkit");
    let python = folder.join("bin/python");
    if !folder.join("installed").exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
        let installed = made.ok().filter(|output| output.status.success()).and_then(|_| {
            Command::new(folder.join("bin/pip"))
                .args(["install", "--quiet", "--only-binary", ":all:", RELEASE])
                .output()
                .ok()
        });
        if !installed.is_some_and(|output| output.status.success()) {
            println!("skipped: {RELEASE} cannot be installed here");
            return None;
        }
        std::fs::write(folder.join("installed"), RELEASE).unwrap();
    }
    let read = |file: &&str| {
        let output = Command::new(&python).args(["-c", SCRIPT, file]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.sort();
        lines
    };
    Some(files.iter().map(read).collect())
}

/// What the readers have to find by the rows of a query: of bgpdump, and of bgpkit, which both have words of their own
/// for communities.
fn expected(db: &TestDb, rows: &str) -> (Vec<String>, Vec<String>) {
    let lines = |extra: &str| -> Vec<String> {
        let all = db.rows(&format!(
            "SELECT CASE action WHEN 'D' THEN 'W ' || prefix
                    ELSE rtrim(concat_ws(' ', 'A', prefix, as_path, host(nexthop), array_to_string(communities_std {extra}, ' '))) END AS line
             FROM ({rows}) AS r"
        ));
        let word = |line: &String| {
            let texts = [
                ("65535:65281", "no-export"),
                ("RT:64496:100", "0:2:64496:00000064"),
                ("4300000000000000", "67:0:000000000000"),
            ];
            texts.iter().fold(line.clone(), |line, (ours, theirs)| line.replace(ours, theirs))
        };
        let mut all: Vec<String> = all.iter().map(word).collect();
        all.sort();
        all
    };
    (lines(""), lines("|| communities_ext || communities_large"))
}

/// bgpdump and bgpkit read every record of these files, and find what the database has.
fn readers_agree(db: &TestDb, files: &[(&str, &str)]) {
    let names: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
    let by_bgpkit = read_by_bgpkit(&names);
    for (number, (file, rows)) in files.iter().enumerate() {
        let (of_bgpdump, of_bgpkit) = expected(db, rows);
        assert!(of_bgpdump.len() > 5, "{of_bgpdump:?}");
        if let Some(found) = read_by_bgpdump(file) {
            assert_eq!(found, of_bgpdump, "{file}");
        }
        if let Some(found) = &by_bgpkit {
            // It takes an UPDATE of nothing but the default route for one with a path identifier, and finds no route.
            let is_default = |line: &&String| line.starts_with("A 0.0.0.0/0 ") && rows.contains("route_events");
            let of_bgpkit: Vec<&String> = of_bgpkit.iter().filter(|line| !is_default(line)).collect();
            assert_eq!(found[number].iter().collect::<Vec<_>>(), of_bgpkit, "{file}");
        }
    }
}

/// Each minute has a file; the table as it was now has all routes; what cannot be is refused.
fn files_are_split(url: &str, folder: &Folder) {
    let split = folder.file("split");
    std::fs::create_dir(&split).unwrap();
    let minutes = |back: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(back)).to_string();
    let (from, now) = (minutes(3), minutes(0));
    let export = |more: &[&str]| run(url, &[&["export", "mrt", "--router", "edge1"], more].concat());
    let events = ["--events", "--from", &from, "--split", "1m"];
    let output = export(&[&events[..], &[&split]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut names: Vec<String> =
        std::fs::read_dir(&split).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!((4..=5).contains(&names.len()), "{names:?}");
    assert!(
        names.iter().all(|name| name.starts_with("updates.20") && name.ends_with(".bz2") && name.len() == 25),
        "{names:?}"
    );
    let found: Vec<usize> =
        names.iter().filter_map(|name| Some(read_by_bgpdump(&format!("{split}/{name}"))?.len())).collect();
    assert!(found.is_empty() || found.iter().sum::<usize>() == 11, "{found:?}");
    let output = export(&["--at", &now, &split]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("wrote 7 routes of 1 peer to ") && printed.contains("/rib.20"), "{printed}");
    for (more, why) in [
        (&["--events", "--from", &from, "--split", "90s", &split][..], "--split: names of files are to the minute"),
        (&["--events", "--from", &from, "--split", "1m", "no-folder"], "--split writes into a folder"),
        (&["--policy", "pre", "-"], "--policy is for an Adj-RIB-In"),
    ] {
        let output = export(more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(why), "{more:?}: {said}");
    }
}

#[test]
fn exported_routes_come_back_by_replay() {
    let (from, into, folder) = (TestDb::create(), TestDb::create(), Folder::new());
    let _source = begun(&from);
    let url = from.url();
    let (table, adj, updates) = (folder.file("rib.bz2"), folder.file("adj.gz"), folder.file("updates"));
    let (printed, said) = done(&url, &["export", "mrt", "--router", "edge1", &table]);
    assert_eq!(printed, format!("wrote 7 routes of 1 peer to {table}\n"));
    assert_eq!(said, "", "everything is said");
    let (printed, _) = done(&url, &["export", "mrt", "--router", "edge1", "--rib", "adj-rib-in", &adj]);
    assert_eq!(printed, format!("wrote 6 routes of 2 peers to {adj}\n"));
    let events = ["export", "mrt", "--router", "192.0.2.1", "--events", "--from", "2026-01-01T00:00:00Z"];
    let (printed, _) = done(&url, &[&events[..], &[&updates]].concat());
    assert_eq!(printed, format!("wrote 11 changes, 1 state of peers to {updates}\n"));
    let peers = folder.file("peers.gz");
    done(&url, &[&events[..], &["--rib", "adj-rib-in", &peers]].concat());
    let all = |table: &str| format!("SELECT 'A' AS action, * FROM {table}");
    let changes = |rib: &str| format!("SELECT * FROM route_events WHERE rib = '{rib}'");
    readers_agree(
        &from,
        &[
            (&table, &all("current_routes")),
            (&adj, &all("adj_rib_in")),
            (&updates, &changes("loc-rib")),
            (&peers, &changes("adj-rib-in")),
        ],
    );
    files_are_split(&url, &folder);

    let collector = Ingester::start(&into.url(), &[]);
    let to = collector.address().to_string();
    let replay = |file: &str, more: &[&str]| done(&into.url(), &[&["replay", file, "--to", &to], more].concat());
    replay(&table, &[]);
    replay(&adj, &["--router-id", "192.0.2.11"]);
    replay(&updates, &["--router-id", "192.0.2.12"]);
    replay(&peers, &["--router-id", "192.0.2.13"]);
    // Cut within the last record: what is before it arrives.
    let cut = folder.file("cut");
    let whole = std::fs::read(&updates).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 5]).unwrap();
    let output = run(&into.url(), &["replay", &cut, "--to", &to, "--router-id", "192.0.2.14"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("the file ends within a record of"), "{said}");
    eventually_equal(vec!["8".to_owned()], || {
        into.rows("SELECT count(*) FROM current_routes WHERE router_id = '192.0.2.14'")
    });
    let want = loc_rib(&from, "192.0.2.1");
    for name in ["pmsi_tunnel", "tunnel_encapsulation", "bgp_prefix_sid", "attr_set"] {
        assert_eq!(want.iter().filter(|row| row.contains(&format!("\"{name}\": "))).count(), 4, "{want:?}");
    }
    eventually_equal(want.clone(), || loc_rib(&into, "192.0.2.1"));
    eventually_equal(want, || loc_rib(&into, "192.0.2.12"));
    let want = adj_rib_in(&from, "192.0.2.1");
    eventually_equal(want.clone(), || adj_rib_in(&into, "192.0.2.11"));
    // Sessions name no identifier of an IPv6 peer.
    let without_id =
        |rows: Vec<String>| -> Vec<String> { rows.iter().map(|row| row.replace("|198.51.100.2|", "||")).collect() };
    eventually_equal(without_id(want), || adj_rib_in(&into, "192.0.2.13"));
    assert_eq!(into.rows("SELECT DISTINCT table_name FROM current_routes WHERE router_id = '192.0.2.1'"), ["global"]);
}
