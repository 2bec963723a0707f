//! Receivers that are slow, wrong, hostile or out of bounds.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;
use std::net::TcpListener;

use crate::common::incidents::event;
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::{Receiver, Reply};
use crate::scene::{callback, secret, start, states, told, try_now};

#[test]
fn what_is_too_much_comes_in_one_message() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let (machine, people) = (Receiver::start(), Receiver::start());
    callback(&mut client, "machine", "generic", &machine.url("/"), &[("max_per_minute", "4")]);
    callback(&mut client, "people", "slack", &people.url("/"), &[("max_per_minute", "4")]);
    // All at once, as after a mass failure.
    let keys: BTreeSet<String> = (0..40).map(|number| format!("lab/w{number}/missing")).collect();
    for key in &keys {
        event(&mut client, key, "opened", "critical");
    }
    let _ingester = start(&db, &[]);
    let delivered = "SELECT count(*) FROM watch.deliveries WHERE state = 'delivered'";
    eventually_equal(vec!["80".to_owned()], || db.rows(delivered));
    let (machine, people) = (machine.received(), people.received());
    assert!(machine.len() <= 4 && people.len() <= 4, "{} and {} messages", machine.len(), people.len());
    let events = machine.iter().map(|one| one.json()).flat_map(|body| match body["type"].as_str().unwrap() {
        "digest" => body["events"].as_array().unwrap().clone(),
        _ => vec![body],
    });
    let heard: BTreeSet<String> = events.map(|body| body["incident"]["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(heard, keys);
    let texts: Vec<String> = people.iter().map(|one| one.json()["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts.iter().flat_map(|text| text.lines()).count(), 40, "{texts:?}");
}

#[test]
fn a_fallback_hears_what_is_critical() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let (failing, fallback) = (Receiver::start(), Receiver::start());
    failing.answer(Reply::Status(503));
    callback(&mut client, "b", "generic", &fallback.url("/"), &[("conditions", "'{origin}'")]);
    callback(&mut client, "a", "generic", &failing.url("/"), &[("fallback", "1")]);
    let mut ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    event(&mut client, "lab/x/missing", "opened", "warning");
    failing.wait_for(1);
    eventually("the failure is noted", || {
        (db.rows("SELECT failures > 0 FROM watch.callbacks WHERE name = 'a'") == ["t"]).then_some(())
    });
    assert!(fallback.received().is_empty());
    // As if it had failed for longer than five minutes.
    client
        .batch_execute("UPDATE watch.callbacks SET failing_since = now() - interval '6 minutes' WHERE name = 'a'")
        .unwrap();
    let received = fallback.wait_for(1);
    assert_eq!(told(&received[0]), ("lab/w/missing".to_owned(), "opened".to_owned()));
    let metric = eventually("the failure is a metric", || {
        let (_, _, metrics) = ingester.get("/metrics");
        metrics
            .lines()
            .find(|line| line.starts_with("rib_ingester_callback_failing_seconds{callback=\"a\"} "))
            .map(str::to_owned)
    });
    assert!(metric.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 360.0, "{metric}");
    // The end goes to both, once.
    event(&mut client, "lab/w/missing", "closed", "critical");
    fallback.wait_for(2);
    failing.answer(Reply::Status(200));
    try_now(&mut client);
    eventually_equal(
        vec!["opened|delivered".to_owned(), "opened|delivered".to_owned(), "closed|delivered".to_owned()],
        || states(&db, "a"),
    );
    assert_eq!(fallback.received().len(), 2);
}

#[test]
fn critical_incidents_are_repeated_until_acknowledged() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "a", "generic", &receiver.url("/"), &[("repeat_secs", "60")]);
    let _ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    event(&mut client, "lab/x/missing", "opened", "warning");
    receiver.wait_for(2);
    let later = "UPDATE watch.deliveries SET delivered_at = now() - interval '61 seconds' WHERE state = 'delivered'";
    eventually("both are noted", || {
        (db.rows("SELECT count(*) FROM watch.deliveries WHERE state = 'delivered'") == ["2"]).then_some(())
    });
    client.batch_execute(later).unwrap();
    let received = receiver.wait_for(3);
    assert_eq!(told(&received[2]), ("lab/w/missing".to_owned(), "repeated".to_owned()));
    event(&mut client, "lab/w/missing", "acknowledged", "critical");
    receiver.wait_for(4);
    eventually("all are noted", || {
        (db.rows("SELECT count(*) FROM watch.deliveries WHERE state = 'delivered'") == ["4"]).then_some(())
    });
    client.batch_execute(later).unwrap();
    // The next incident comes after anything that would be repeated.
    event(&mut client, "lab/y/missing", "opened", "warning");
    receiver.wait_for(5);
    assert_eq!(db.rows("SELECT count(*) FROM watch.deliveries WHERE subject = 'repeated'"), ["1"]);
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    let headers = [("headers", "'{\"Authorization\": \"Bearer hunter2\"}'")];
    callback(&mut client, "a", "generic", &receiver.url("/hunter2?token=hunter2"), &headers);
    callback(&mut client, "b", "pagerduty", &receiver.url("/hunter2"), &headers);
    callback(&mut client, "c", "slack", "https://127.0.0.1:1/hunter2", &headers);
    callback(&mut client, "d", "slack", "http://nothing.invalid/hunter2", &headers);
    secret(&mut client, "a", "hunter2");
    secret(&mut client, "b", "hunter2");
    let replies = [Reply::With(302, "Location: /hunter2\r\n"), Reply::Status(500), Reply::Nothing, Reply::Status(400)];
    receiver.answer_next(&replies);
    let mut ingester = start(&db, &[("LOG", "trace")]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    for tries in 2..=5 {
        receiver.wait_for(tries);
        try_now(&mut client);
    }
    eventually("each has an error", || {
        (db.rows("SELECT count(*) FROM watch.callbacks WHERE last_at IS NOT NULL") == ["4"]).then_some(())
    });
    for page in ["/", "/metrics", "/readyz", "/healthz", "/incidents"] {
        let (_, head, body) = ingester.browse(page);
        assert!(!head.contains("hunter2") && !body.contains("hunter2"), "{page}");
    }
    let errors = db.rows("SELECT last_error FROM watch.callbacks UNION ALL SELECT last_error FROM watch.deliveries");
    assert!(errors.iter().any(|error| error != "-") && !errors.concat().contains("hunter2"), "{errors:?}");
    let log = ingester.log();
    assert!(log.iter().any(|line| line.contains("callback c (https://127.0.0.1:1/…): ")), "no line of a failure");
    let loud: Vec<_> = log.iter().filter(|line| line.contains("hunter2")).collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn addresses_out_of_bounds_are_not_sent_to() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let team = [("team", "'blue'")];
    callback(&mut client, "own-port", "generic", &format!("http://{own}/"), &[]);
    callback(&mut client, "metadata", "generic", "http://169.254.169.254/latest/", &[]);
    callback(&mut client, "mapped", "generic", "http://[::ffff:169.254.169.254]/latest/", &[]);
    callback(&mut client, "teams", "generic", &receiver.url("/"), &team);
    // Names and other spellings are judged by what they stand for.
    callback(&mut client, "name", "generic", &format!("http://localhost:{}/", receiver.port()), &team);
    callback(&mut client, "number", "generic", &format!("http://2130706433:{}/", receiver.port()), &team);
    event(&mut client, "lab/w/missing", "opened", "critical");
    event(&mut client, "lab/blue:w/missing", "opened", "critical");
    let ingester = Ingester::start(&db.url(), &[("HTTP_LISTEN", &own.to_string()), ("WATCH", "on")]);
    let errors = "SELECT name, last_error FROM watch.callbacks WHERE last_error IS NOT NULL ORDER BY name";
    let private = "the address 127.0.0.1 is not public, and RIB_INGESTER_CALLBACK_ALLOW does not list it";
    let wants = [
        "mapped|nothing is sent to the address 169.254.169.254".to_owned(),
        "metadata|nothing is sent to the address 169.254.169.254".to_owned(),
        format!("name|{private}"),
        format!("number|{private}"),
        format!("own-port|127.0.0.1 port {} is the collector's own", own.port()),
        format!("teams|{private}"),
    ];
    eventually_equal(wants.to_vec(), || db.rows(errors));
    assert!(receiver.received().is_empty());
    assert!(ingester.stop().success());
    let _ingester = Ingester::start(&db.url(), &[("CALLBACK_ALLOW", "127.0.0.0/8")]);
    try_now(&mut client);
    receiver.wait_for(3);
}

#[test]
fn redirects_are_not_followed() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let (receiver, elsewhere) = (Receiver::start(), Receiver::start());
    let location: &'static str = Box::leak(format!("Location: {}\r\n", elsewhere.url("/")).into_boxed_str());
    receiver.answer(Reply::With(308, location));
    callback(&mut client, "a", "generic", &receiver.url("/"), &[]);
    let _ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    eventually_equal(vec!["308|HTTP 308: redirects are not followed".to_owned()], || {
        db.rows("SELECT last_status, last_error FROM watch.deliveries")
    });
    assert!(elsewhere.received().is_empty());
}

#[test]
fn of_two_collectors_one_delivers() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "a", "generic", &receiver.url("/"), &[("max_per_minute", "600")]);
    let first = start(&db, &[("COLLECTOR_ID", "one")]);
    let second = Ingester::start(&db.url(), &[("COLLECTOR_ID", "two")]);
    for number in 0..10 {
        event(&mut client, &format!("lab/w{number}/missing"), "opened", "critical");
    }
    let ten = vec!["10".to_owned()];
    eventually_equal(ten, || db.rows("SELECT count(*) FROM watch.deliveries WHERE state = 'delivered'"));
    assert_eq!(receiver.received().len(), 10);
    let delivers = |ingester: &Ingester| ingester.count_logged("deliveries: this collector delivers");
    assert_eq!(delivers(&first) + delivers(&second), 1);
    let (gone, mut left) = if delivers(&first) == 1 { (first, second) } else { (second, first) };
    gone.kill();
    left.logged("deliveries: this collector delivers");
    event(&mut client, "lab/last/missing", "opened", "critical");
    receiver.wait_for(11);
}

#[test]
fn deliveries_go_on_after_the_connection_is_cut() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "a", "generic", &receiver.url("/"), &[]);
    let mut ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    receiver.wait_for(1);
    let cut =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rib-ingester/deliveries'
                   AND datname = current_database()";
    assert_eq!(db.rows(cut), ["t"]);
    ingester.logged("(deliveries); retrying");
    ingester.logged("database: works again after");
    assert_eq!(ingester.count_logged("error database: "), 1, "one outage is one story");
    let (status, _, body) = ingester.get("/readyz");
    assert_eq!(status, 200, "{body}");
    event(&mut client, "lab/x/missing", "opened", "critical");
    eventually("it goes on", || receiver.received().iter().any(|one| told(one).0 == "lab/x/missing").then_some(()));
    eventually("it is well again", || (!ingester.get("/readyz").2.contains("degraded")).then_some(()));
}
