//! Tests of [`super`]: who gets a router, in which order, and what is held.

use super::*;
use std::net::TcpListener;

const HOLD: Duration = Duration::from_secs(900);
const TEN: Most = Most { sessions: 10, per_address: 10 };

fn connect(registry: &Registry, source: &str) -> Arc<Connection> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connection = registry.connect(source.parse().unwrap(), socket, TEN).unwrap();
    connection.touch();
    connection
}

fn claim(registry: &Registry, router: &RouterId, connection: &Arc<Connection>) {
    registry.claim(router, connection, || panic!("nothing has to be waited for")).unwrap();
}

#[test]
fn one_address_cannot_take_every_place() {
    let registry = Registry::new(HOLD, HOLD, 100);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = |source: &str| {
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        registry.connect(source.parse().unwrap(), socket, Most { sessions: 3, per_address: 2 })
    };
    let first = connect("192.0.2.1").unwrap();
    connect("192.0.2.1").unwrap();
    assert_eq!(connect("192.0.2.1").err(), Some(Full::Address));
    connect("192.0.2.2").unwrap();
    assert_eq!(connect("192.0.2.3").err(), Some(Full::Sessions));
    registry.disconnect(&first);
    connect("192.0.2.1").unwrap();
}

#[test]
fn the_newest_session_from_one_address_wins_another_address_is_refused() {
    let registry = Registry::new(HOLD, HOLD, 100);
    let router = RouterId::new("10.0.0.1");
    let first = connect(&registry, "192.0.2.1");
    claim(&registry, &router, &first);
    let second = connect(&registry, "192.0.2.1");
    // What the first one has read is applied before.
    assert_eq!(registry.claim(&router, &second, || true), Err(NoClaim::GaveUp));
    assert!(first.is_superseded() && !second.is_superseded());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.claim(&router, &second, || false));
        registry.leave(&router, &first);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert_eq!(registry.lose(&router, &first), Loss::Replaced);
    let third = connect(&registry, "192.0.2.3");
    let conflict = NoClaim::Conflict { holder: second.source };
    assert_eq!(registry.claim(&router, &third, || false), Err(conflict));
    assert_eq!(registry.known("192.0.2.1".parse().unwrap()), vec![router]);
}

#[test]
fn those_that_wait_for_a_router_get_it_in_their_order_and_behind_its_spooled_input() {
    let registry = Registry::new(HOLD, HOLD, 100);
    let (router, source) = (RouterId::new("10.0.0.1"), "192.0.2.1");
    registry.expect_spooled(vec![(Some(router.clone()), source.parse().unwrap()), (None, source.parse().unwrap())]);
    let sessions: Vec<_> = (0..3).map(|_| connect(&registry, source)).collect();
    let order = Mutex::new(Vec::new());
    let note = |session: &Arc<Connection>| order.lock().unwrap().push(session.number);
    std::thread::scope(|scope| {
        for session in &sessions {
            scope.spawn(|| {
                registry.claim(&router, session, || false).unwrap();
                note(session);
                registry.leave(&router, session);
            });
        }
        // Some wait already: the spooled ones do not wait behind them.
        while registry.lock().waiting.is_empty() {
            std::thread::yield_now();
        }
        for (number, id) in [(3, Some(&router)), (4, None)] {
            let spooled = registry.connect_spooled(number, source.parse().unwrap());
            claim(&registry, &router, &spooled);
            note(&spooled);
            assert_eq!(registry.lose(&router, &spooled), Loss::Held);
            registry.spooled_applied(id, spooled.source);
        }
    });
    assert_eq!(order.into_inner().unwrap(), [3, 4, 100, 101, 102]);
}

#[test]
fn a_newer_session_waits_for_older_ones_that_may_be_its_router() {
    let registry = Registry::new(HOLD, HOLD, 100);
    let router = RouterId::new("10.0.0.1");
    let [silent, older, newer] = [(); 3].map(|()| connect(&registry, "192.0.2.1"));
    let other = connect(&registry, "192.0.2.2");
    claim(&registry, &RouterId::new("10.0.0.2"), &other);
    let is_over = || Err(NoClaim::GaveUp);
    assert_eq!(registry.claim(&router, &newer, || true), is_over(), "two may be the router's older ones");
    registry.heard_out(&silent);
    assert_eq!(registry.claim(&router, &newer, || true), is_over(), "the other's thread has not run yet");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.claim(&router, &newer, || false));
        claim(&registry, &router, &older);
        registry.leave(&router, &older);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert_eq!(registry.claim(&router, &silent, || false), Err(NoClaim::Superseded));
    assert!(!newer.is_superseded());
}

#[test]
fn a_connection_that_is_gone_is_not_waited_for() {
    let registry = Registry::new(HOLD, HOLD, 100);
    let router = RouterId::new("10.0.0.1");
    let [older, newer] = [(); 2].map(|()| connect(&registry, "192.0.2.1"));
    registry.disconnect(&older);
    claim(&registry, &router, &newer);
    assert!(registry.lock().unnamed.is_empty());
}

/// Four routers with a session each, and a registry for which a session has lasted when it was there for `lasted`.
fn four(hold: Duration, lasted: Duration) -> (Registry, Vec<(RouterId, Arc<Connection>)>) {
    let mut registry = Registry::new(hold, HOLD, 100);
    registry.lasted_min = lasted;
    let sessions = (1..=4).map(|i| {
        let (router, session) = (RouterId::new(&format!("10.0.0.{i}")), connect(&registry, &format!("192.0.2.{i}")));
        claim(&registry, &router, &session);
        (router, session)
    });
    let sessions = sessions.collect();
    (registry, sessions)
}

#[test]
fn when_most_sessions_vanish_at_once_nothing_expires() {
    let (registry, sessions) = four(HOLD, Duration::ZERO);
    let lose = |i: usize| registry.lose(&sessions[i].0, &sessions[i].1);
    assert_eq!((lose(0), lose(1)), (Loss::Held, Loss::Held));
    assert!(!registry.is_isolated());
    assert_eq!(lose(2), Loss::Isolated { lost: 3 });
    assert!(registry.is_isolated());
    claim(&registry, &sessions[0].0, &connect(&registry, "192.0.2.1"));
    assert!(!registry.is_isolated());
}

#[test]
fn a_hold_of_nothing_is_not_stretched() {
    let (registry, sessions) = four(Duration::ZERO, Duration::ZERO);
    for (router, session) in &sessions {
        assert_eq!(registry.lose(router, session), Loss::Held);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn sessions_that_never_lasted_do_not_isolate() {
    let (registry, sessions) = four(HOLD, LASTED_MIN);
    for (router, session) in &sessions {
        assert_eq!(registry.lose(router, session), Loss::Held);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn a_router_that_comes_and_goes_does_not_cut_off_the_collector() {
    let mut registry = Registry::new(HOLD, HOLD, 100);
    registry.lasted_min = Duration::ZERO;
    let router = RouterId::new("10.0.0.1");
    for _ in 0..2 * MASS_LOSS_MIN {
        let session = connect(&registry, "192.0.2.1");
        claim(&registry, &router, &session);
        assert_eq!(registry.lose(&router, &session), Loss::Held);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn sessions_that_the_collector_ends_itself_do_not_cut_it_off() {
    let (registry, sessions) = four(HOLD, Duration::ZERO);
    for (router, session) in &sessions {
        assert_eq!(registry.close(router, session), Loss::Held);
        assert_eq!(registry.close(router, session), Loss::Replaced);
    }
    assert!(!registry.is_isolated());
}
