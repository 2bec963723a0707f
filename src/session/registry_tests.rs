//! Tests of [`super`]: which session gets a router, in which order, and which routes become stale.

use super::super::peers::PEERS_MAX;
use super::*;
use std::net::TcpListener;

const STALE_TIME: Duration = Duration::from_secs(900);
const TEN: ConnectionLimits = ConnectionLimits { sessions: 10, per_address: 10 };

fn connect(registry: &Registry, source: &str) -> Arc<Connection> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The other end stays open as long as the test runs.
    std::mem::forget(listener);
    registry.connect(source.parse().unwrap(), socket, TEN).unwrap()
}

fn claim(registry: &Registry, router: &RouterId, connection: &Arc<Connection>) {
    registry.claim(router, connection, || panic!("nothing has to be waited for")).unwrap();
    registry.begin(router, connection, Timestamp::from_unix_micros(connection.number().try_into().unwrap()));
}

/// Claims a router without waiting.
fn try_claim(registry: &Registry, router: &RouterId, connection: &Arc<Connection>) -> Result<(), ClaimError> {
    registry.claim(router, connection, || true).map(|_| ())
}

fn peer(number: u8) -> PeerId {
    let kind = crate::wire::bmp::peer::PeerKind::Global;
    let (asn, none) = (crate::model::Asn(64_500), std::net::Ipv4Addr::UNSPECIFIED);
    PeerId { kind, address: Some(IpAddr::from([192, 0, 2, number])), asn, bgp_id: none }
}

/// Claims a peer for the session without waiting for others.
fn speak(registry: &Registry, router: &RouterId, connection: &Connection, number: u8) -> Speech {
    registry.speak(router, connection, peer(number), || true)
}

#[test]
fn one_address_cannot_take_every_place() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = |source: &str| {
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        registry.connect(source.parse().unwrap(), socket, ConnectionLimits { sessions: 3, per_address: 2 })
    };
    let first = connect("192.0.2.1").unwrap();
    connect("192.0.2.1").unwrap();
    assert_eq!(connect("192.0.2.1").err(), Some(LimitReached::Address));
    connect("192.0.2.2").unwrap();
    assert_eq!(connect("192.0.2.3").err(), Some(LimitReached::Sessions));
    registry.disconnect(&first);
    connect("192.0.2.1").unwrap();
}

#[test]
fn sessions_of_one_address_share_a_router_by_peer() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let (first, second) = (connect(&registry, "192.0.2.1"), connect(&registry, "192.0.2.1"));
    claim(&registry, &router, &first);
    let joined = registry.claim(&router, &second, || true).unwrap();
    assert_eq!(joined.others_since, Some(Timestamp::from_unix_micros(100)));
    assert!(registry.is_oldest(&router, &first) && !registry.is_oldest(&router, &second));
    assert_eq!(speak(&registry, &router, &first, 1), Speech::Own);
    assert_eq!(speak(&registry, &router, &first, 2), Speech::Own);
    assert_eq!(speak(&registry, &router, &second, 3), Speech::Own);
    // All that the older session has read is applied before its peer is taken over, and so is what is still on its way
    // to it.
    assert_eq!(speak(&registry, &router, &second, 2), Speech::Wait);
    first.end_work(true);
    assert_eq!(speak(&registry, &router, &second, 2), Speech::Wait);
    let moved = || joined.generation.load(std::sync::atomic::Ordering::Acquire);
    let before = moved();
    assert_eq!(registry.speak(&router, &second, peer(2), || false), Speech::Taken(vec![]));
    assert!(moved() > before && !first.is_superseded());
    assert_eq!(registry.take_lost(&router, &first), [peer(2)]);
    assert_eq!(speak(&registry, &router, &first, 2), Speech::Others);
    assert!(registry.is_of_newer(&router, &first, &peer(2)) && !registry.is_of_newer(&router, &second, &peer(2)));
    assert_eq!(registry.own(&router, &first), (vec![peer(1)], false));
    // When it owns no other peer, the older session ends.
    assert_eq!(speak(&registry, &router, &second, 1), Speech::Taken(vec![]));
    assert!(first.is_superseded() && !second.is_superseded());
    assert_eq!(speak(&registry, &router, &first, 1), Speech::Superseded);
    // The router still has the other session: the collector is not cut off.
    assert_eq!(registry.lose(&router, &first), Loss::Stale);
    assert_eq!(registry.lose(&router, &first), Loss::Replaced);
    assert!(registry.is_oldest(&router, &second) && registry.take_gone().is_empty());
}

#[test]
fn a_full_session_owns_a_peer_that_it_takes_over() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let (first, second) = (connect(&registry, "192.0.2.1"), connect(&registry, "192.0.2.1"));
    claim(&registry, &router, &first);
    claim(&registry, &router, &second);
    let most = u32::try_from(PEERS_MAX).unwrap();
    let other = |number: u32| PeerId { address: Some(IpAddr::from((0x0a00_0000 | number).to_be_bytes())), ..peer(0) };
    let speak_all = |connection: &Connection, numbers: std::ops::Range<u32>| {
        let mut inner = registry.lock();
        let sessions = inner.routers.get_mut(&router).unwrap();
        numbers.for_each(|number| assert_eq!(sessions.speak(connection.number(), other(number), false), Speech::Own));
    };
    let owned = |connection: &Connection| registry.own(&router, connection).0.len();
    speak_all(&second, 0..most + 1);
    assert_eq!((owned(&first), owned(&second)), (0, PEERS_MAX));
    assert_eq!(speak(&registry, &router, &first, 1), Speech::Own);
    assert_eq!(speak(&registry, &router, &first, 2), Speech::Own);
    first.end_work(true);
    assert_eq!(registry.speak(&router, &second, peer(1), || false), Speech::Taken(vec![]));
    for _ in 0..3 {
        assert_eq!(speak(&registry, &router, &second, 1), Speech::Own);
    }
    assert_eq!(speak(&registry, &router, &first, 1), Speech::Others);
    assert!(!first.is_superseded());
    assert_eq!(registry.take_lost(&router, &first), [peer(1)]);
    assert_eq!(registry.own(&router, &first).0, [peer(2)]);
    // Peers taken over do not make room for more than all sessions may own.
    speak_all(&first, most..2 * most);
    assert_eq!(owned(&first) + owned(&second), 2 * PEERS_MAX);
}

#[test]
fn a_busy_session_gives_its_peer_up_after_a_while() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let (first, second) = (connect(&registry, "192.0.2.1"), connect(&registry, "192.0.2.1"));
    claim(&registry, &router, &first);
    claim(&registry, &router, &second);
    assert_eq!(speak(&registry, &router, &first, 1), Speech::Own);
    let is_given_up = std::sync::atomic::AtomicBool::new(false);
    let is_set = || is_given_up.load(std::sync::atomic::Ordering::Acquire);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_set() {
                first.end_work(true);
                first.begin_work();
            }
        });
        // As after ten seconds of waiting.
        let take = |sessions: &mut Sessions| sessions.speak(second.number(), peer(1), true);
        while take(registry.lock().routers.get_mut(&router).unwrap()) == Speech::Wait {
            std::thread::yield_now();
        }
        is_given_up.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(registry.take_lost(&router, &first), [peer(1)]);
}

#[test]
fn peers_of_a_lost_session_are_gone_unless_shared() {
    let registry = Registry::new(Duration::ZERO, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let [first, second] = [(); 2].map(|()| {
        let session = connect(&registry, "192.0.2.1");
        claim(&registry, &router, &session);
        session
    });
    for number in [1, 2, 3] {
        speak(&registry, &router, &first, number);
    }
    registry.forget_peer(&router, &first, &peer(3));
    registry.close(&router, &first);
    assert_eq!(speak(&registry, &router, &second, 2), Speech::Own);
    let gone = registry.take_gone();
    assert_eq!(gone.iter().flat_map(|gone| gone.peers.clone()).collect::<Vec<_>>(), [peer(1)]);
    // The end of the last session affects the whole router, which is reported another way.
    registry.close(&router, &second);
    assert_eq!(registry.take_gone(), []);
}

#[test]
fn a_session_closed_by_its_router_ends_first() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other_end, _) = listener.accept().unwrap();
    let first = registry.connect("192.0.2.1".parse().unwrap(), socket, TEN).unwrap();
    claim(&registry, &router, &first);
    let second = connect(&registry, "192.0.2.1");
    drop(other_end);
    while !first.is_closed_by_router() {
        std::thread::yield_now();
    }
    assert_eq!(try_claim(&registry, &router, &second), Err(ClaimError::GaveUp));
    assert!(first.is_superseded());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.claim(&router, &second, || false).map(|_| ()));
        registry.leave(&router, &first);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn from_another_address_an_answering_session_stays() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let first = connect(&registry, "192.0.2.1");
    claim(&registry, &router, &first);
    let second = connect(&registry, "192.0.2.3");
    let began = Instant::now();
    let conflict = ClaimError::Conflict { holder: first.source };
    // It has sent nothing, but its end of the connection answers the probe: the kernel's answer counts.
    assert_eq!(registry.claim(&router, &second, || false).map(|_| ()), Err(conflict));
    assert!(began.elapsed() < PROBE_MAX && !first.is_superseded());
    // The other end no longer answers.
    first.is_dead.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(try_claim(&registry, &router, &second), Err(ClaimError::GaveUp));
    assert!(first.is_superseded());
    registry.close(&router, &first);
    assert_eq!(try_claim(&registry, &router, &second), Ok(()));
    assert_eq!(registry.known("192.0.2.3".parse().unwrap()), vec![router]);
}

#[test]
fn sessions_wait_in_order_and_after_replayed_input() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let (router, source) = (RouterId::new("10.0.0.1"), "192.0.2.1");
    registry.expect_replays(vec![(Some(router.clone()), source.parse().unwrap()), (None, source.parse().unwrap())]);
    let sessions: Vec<_> = (0..3).map(|_| connect(&registry, source)).collect();
    let order = Mutex::new(Vec::new());
    let note = |session: &Arc<Connection>| order.lock().unwrap().push(session.number());
    std::thread::scope(|scope| {
        for session in &sessions {
            scope.spawn(|| {
                registry.claim(&router, session, || false).unwrap();
                note(session);
                registry.leave(&router, session);
            });
        }
        // Some sessions wait already: replayed ones do not wait for them.
        while registry.lock().waiting.is_empty() {
            std::thread::yield_now();
        }
        for (number, id) in [(3, Some(&router)), (4, None)] {
            let replayed = registry.connect_replay(number, source.parse().unwrap());
            claim(&registry, &router, &replayed);
            note(&replayed);
            assert_eq!(registry.lose(&router, &replayed), Loss::Stale);
            registry.replay_is_over(id, replayed.source);
        }
    });
    assert_eq!(order.into_inner().unwrap(), [3, 4, 100, 101, 102]);
}

#[test]
fn a_new_session_waits_for_older_unidentified_ones() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let [silent, older, newer] = [(); 3].map(|()| connect(&registry, "192.0.2.1"));
    let other = connect(&registry, "192.0.2.2");
    claim(&registry, &RouterId::new("10.0.0.2"), &other);
    let is_over = || Err(ClaimError::GaveUp);
    assert_eq!(try_claim(&registry, &router, &newer), is_over(), "two may be the router's older ones");
    registry.stop_waiting_for(&silent);
    assert_eq!(try_claim(&registry, &router, &newer), is_over(), "the other's thread has not run yet");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.claim(&router, &newer, || false).map(|_| ()));
        claim(&registry, &router, &older);
        registry.leave(&router, &older);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert!(!newer.is_superseded());
}

#[test]
fn a_connection_that_is_gone_is_not_waited_for() {
    let registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    let router = RouterId::new("10.0.0.1");
    let [older, newer] = [(); 2].map(|()| connect(&registry, "192.0.2.1"));
    registry.disconnect(&older);
    claim(&registry, &router, &newer);
    assert!(registry.lock().unnamed.is_empty());
}

/// Returns four routers with a session each, and a registry where a session counts for a mass loss after `lasted`.
fn four(stale_time: Duration, lasted: Duration) -> (Registry, Vec<(RouterId, Arc<Connection>)>) {
    let mut registry = Registry::new(stale_time, STALE_TIME, 100);
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
    let (registry, sessions) = four(STALE_TIME, Duration::ZERO);
    let lose = |i: usize| registry.lose(&sessions[i].0, &sessions[i].1);
    assert_eq!((lose(0), lose(1)), (Loss::Stale, Loss::Stale));
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
        assert_eq!(registry.lose(router, session), Loss::Stale);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn sessions_that_never_lasted_do_not_isolate() {
    let (registry, sessions) = four(STALE_TIME, LASTED_MIN);
    for (router, session) in &sessions {
        assert_eq!(registry.lose(router, session), Loss::Stale);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn a_flapping_router_is_not_mass_loss() {
    let mut registry = Registry::new(STALE_TIME, STALE_TIME, 100);
    registry.lasted_min = Duration::ZERO;
    let router = RouterId::new("10.0.0.1");
    for _ in 0..2 * MASS_LOSS_MIN {
        let session = connect(&registry, "192.0.2.1");
        claim(&registry, &router, &session);
        assert_eq!(registry.lose(&router, &session), Loss::Stale);
    }
    assert!(!registry.is_isolated());
}

#[test]
fn sessions_ended_by_the_collector_are_no_mass_loss() {
    let (registry, sessions) = four(STALE_TIME, Duration::ZERO);
    for (router, session) in &sessions {
        assert_eq!(registry.close(router, session), Loss::Stale);
        assert_eq!(registry.close(router, session), Loss::Replaced);
    }
    assert!(!registry.is_isolated());
}
