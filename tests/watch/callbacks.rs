//! Deliveries to receivers over HTTP: signed, in order, at least once, and slow ones delay nobody.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use crate::common::incidents::event;
use crate::common::ingester::{eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::{Receiver, Reply};
use crate::scene::{callback, secret, start, states, told, try_now};

#[test]
fn a_delivery_is_signed_and_complete() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    let odd = "sé\"c're\tt\\{}%s\u{1f511}";
    let more = [("headers", "'{\"X-Token\": \"a:b \\\"c\\\" %0d\"}'"), ("time_zone", "'Europe/Berlin'")];
    callback(&mut client, "a", "generic", &receiver.url("/hook?x=%20y&z=1"), &more);
    secret(&mut client, "a", odd);
    let ingester = start(&db, &[("PUBLIC_URL", "https://rib.example/")]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    event(&mut client, "lab/w/missing", "closed", "critical");
    let received = receiver.wait_for(2);
    let request = &received[0];
    assert_eq!(request.path, "/hook?x=%20y&z=1");
    assert!(request.is_signed_with(odd) && !request.is_signed_with("another"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-token"), Some("a:b \"c\" %0d"));
    let body = request.json();
    assert_eq!((&body["type"], &body["event"]), (&"incident".into(), &"opened".into()));
    assert_eq!(body["incident"]["summary"], "GONE lab/w/missing");
    assert_eq!(body["found"]["a"], serde_json::Value::Null);
    assert_eq!(body["local"]["zone"], "Europe/Berlin");
    assert!(body["url"].as_str().unwrap().starts_with("https://rib.example/incidents?id="), "{body}");
    assert!(body["at"].as_str().unwrap().ends_with("+00:00") && body.get("late").is_none(), "{body}");
    assert_eq!(received[1].json()["event"], "closed");
    assert_ne!(request.header("idempotency-key"), received[1].header("idempotency-key"));
    eventually_equal(vec!["opened|delivered".to_owned(), "closed|delivered".to_owned()], || states(&db, "a"));
    assert_eq!(receiver.received().len(), 2);
    assert!(ingester.stop().success());
}

#[test]
fn what_was_committed_is_delivered_after_a_kill() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "a", "generic", &receiver.url("/"), &[]);
    // The process dies while the receiver has the message and has not answered.
    receiver.answer(Reply::After(Duration::from_secs(8)));
    let ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    receiver.wait_for(1);
    ingester.kill();
    // And nothing runs when the end is committed.
    event(&mut client, "lab/w/missing", "closed", "critical");
    receiver.answer(Reply::Status(204));
    let _ingester = start(&db, &[]);
    let received = receiver.wait_for(3);
    let events: Vec<_> = received.iter().map(|one| one.json()["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["opened", "opened", "closed"]);
    assert_eq!(received[0].header("idempotency-key"), received[1].header("idempotency-key"));
    eventually_equal(vec!["opened|delivered".to_owned(), "closed|delivered".to_owned()], || states(&db, "a"));
}

#[test]
fn a_slow_receiver_delays_nobody() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let (slow, quick) = (Receiver::start(), Receiver::start());
    slow.answer(Reply::After(Duration::from_secs(9)));
    callback(&mut client, "a-slow", "generic", &slow.url("/"), &[]);
    callback(&mut client, "quick", "generic", &quick.url("/"), &[("max_per_minute", "600")]);
    let _ingester = start(&db, &[]);
    event(&mut client, "lab/w0/missing", "opened", "critical");
    slow.wait_for(1);
    let began = Instant::now();
    for number in 1..20 {
        event(&mut client, &format!("lab/w{number}/missing"), "opened", "critical");
    }
    quick.wait_for(20);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(slow.received().len(), 1);
}

#[test]
fn everything_arrives_when_the_receiver_is_back() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    receiver.answer(Reply::Status(503));
    receiver.answer_next(&[Reply::Nothing, Reply::Status(404), Reply::Status(401)]);
    callback(&mut client, "a", "generic", &receiver.url("/"), &[("max_per_minute", "600")]);
    let _ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    event(&mut client, "lab/w/missing", "worse", "critical");
    event(&mut client, "lab/x/missing", "opened", "critical");
    for tries in 1..=5 {
        receiver.wait_for(tries);
        eventually("the try is noted", || {
            (db.rows("SELECT failures >= 1 FROM watch.callbacks") == ["t"]).then(|| try_now(&mut client))
        });
    }
    let failing = db.rows("SELECT failing_since IS NOT NULL, (SELECT count(*) FROM watch.deliveries WHERE state = 'pending') FROM watch.callbacks");
    assert_eq!(failing, ["t|3"]);
    // As if an hour had passed.
    client.batch_execute("UPDATE watch.incident_events SET at = at - interval '1 hour'").unwrap();
    receiver.answer(Reply::Status(200));
    let want = ["opened|delivered", "worse|delivered", "opened|delivered"];
    eventually("all of it is delivered", || {
        // A try that was under way sets the time of the next one again.
        try_now(&mut client);
        (states(&db, "a") == want).then_some(())
    });
    let received = receiver.received();
    let accepted = &received[received.len() - 3..];
    assert!(accepted.iter().all(|one| one.json()["late"] == true));
    // In order for each incident, whatever came between.
    let of_w: Vec<_> = received.iter().map(told).filter(|told| told.0 == "lab/w/missing").map(|told| told.1).collect();
    let first_worse = of_w.iter().position(|event| event == "worse").unwrap();
    assert!(
        of_w[..first_worse].iter().all(|event| event == "opened")
            && of_w[first_worse..].iter().all(|event| event == "worse")
    );
    assert_eq!(db.rows("SELECT failing_since, failures, last_status FROM watch.callbacks"), ["-|0|200"]);
}

#[test]
fn a_refused_opening_takes_its_end_along() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    receiver.answer_next(&[Reply::Status(400)]);
    callback(&mut client, "a", "generic", &receiver.url("/"), &[]);
    let _ingester = start(&db, &[]);
    event(&mut client, "lab/w/missing", "opened", "critical");
    eventually_equal(vec!["opened|dead".to_owned()], || states(&db, "a"));
    event(&mut client, "lab/w/missing", "closed", "critical");
    eventually_equal(vec!["opened|dead".to_owned(), "closed|dead".to_owned()], || states(&db, "a"));
    assert_eq!(receiver.received().len(), 1);
    // Another incident is not held up.
    event(&mut client, "lab/x/missing", "opened", "critical");
    receiver.wait_for(2);
    // The receiver has it before the collector has noted that; until then it would be tried again, too.
    let noted = ["opened|dead", "closed|dead", "opened|delivered"];
    eventually("the third is noted", || (states(&db, "a") == noted).then_some(()));
    let id: i64 = client.query_one("SELECT id FROM watch.callbacks", &[]).unwrap().get(0);
    assert_eq!(rib_ingester::store::watch::deliveries::retry(&mut client, id).unwrap(), 2);
    let received = receiver.wait_for(4);
    assert_eq!(received[2..].iter().map(told).map(|told| told.1).collect::<Vec<_>>(), ["opened", "closed"]);
}
