//! The pieces that an outbox passes on.

use std::net::Ipv4Addr;

use super::*;
use crate::model::{Afi, Asn, Nlri, Prefix, Rd, RouterId, SessionEvent, SessionEventKind, Timestamp, View};
use crate::pipeline::{Doubts, Existing, channels};
use crate::session::changes::TableKind;
use crate::session::peer_records::router_note;
use crate::store::copy_encoding::EncodedRoute;
use crate::wire::bmp::peer::PeerKind;

/// Size of each attribute set and of each raw message, bytes: a few of either fill a piece.
const BYTES: usize = 100 * 1024;

/// Returns the pieces that the state writer and the event writer received for `said` routes, each in an UPDATE of
/// its own.
fn pieces(said: u8, is_raw: bool) -> (Vec<StateBatch>, Vec<EventBatch>) {
    let router = RouterId::new("10.0.0.1");
    let (sender, receivers) = channels(1, 1);
    let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
    let mut outbox = Outbox::new(owner, sender.state(&router).clone(), sender.events(&router).cloned());
    let table = Arc::new(Table::loc_rib(router, "global", Afi::Ipv4));
    for octet in 0..said {
        let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
        let change = RouteChange::Announce(EncodedRoute::from_columns(&[octet; BYTES]));
        let event = RouteEvent {
            id: [octet; 32],
            table: Arc::clone(&table),
            nlri,
            change: change.clone(),
            received_at: Timestamp::from_unix_micros(0),
            router_time: None,
            raw: is_raw.then(|| [octet; BYTES].into()),
            doubts: Doubts::default(),
        };
        outbox.event(event).unwrap();
        outbox.op(StateOp::Route { table: Arc::clone(&table), nlri, change, was: Existing::No }).unwrap();
    }
    outbox.flush().unwrap();
    let state = receivers.state[0].try_iter().map(|item| match item {
        StateItem::Batch(batch) => batch,
        other => panic!("{other:?}"),
    });
    (state.collect(), receivers.events[0].try_iter().collect())
}

/// Returns the number of routes in each piece.
fn routes(batches: &[StateBatch]) -> Vec<usize> {
    batches.iter().map(|batch| batch.ops.iter().filter(|op| matches!(op, StateOp::Route { .. })).count()).collect()
}

#[test]
fn large_attribute_sets_end_a_piece_early() {
    let (state, events) = pieces(15, false);
    // The event of the sixth route exceeds 512 KiB; its op is in the next piece.
    assert_eq!(routes(&state), [5, 5, 5]);
    assert_eq!(events.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [6, 5, 4]);
}

#[test]
fn a_piece_of_state_waits_for_all_history_before_it() {
    for (said, is_raw) in [(15, false), (12, true)] {
        let (state, events) = pieces(said, is_raw);
        let mut told = 0;
        for batch in &state {
            told += routes(std::slice::from_ref(batch))[0];
            let awaited = usize::try_from(batch.history).unwrap();
            let stored: usize = events.iter().take(awaited).map(|piece| piece.events.len()).sum();
            assert!(stored >= told, "{told} routes, {stored} events in front of them");
        }
        assert_eq!(told, usize::from(said));
    }
}

#[test]
fn raw_messages_count_too() {
    let (state, events) = pieces(12, true);
    assert_eq!(routes(&state), [2, 3, 3, 3, 1]);
    assert_eq!(events.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [3, 3, 3, 3]);
}

#[test]
fn what_is_said_of_peers_counts_in_bytes_too() {
    let router = RouterId::new("10.0.0.1");
    let (sender, receivers) = channels(1, 1);
    let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
    let mut outbox = Outbox::new(owner, sender.state(&router).clone(), None);
    for _ in 0..20 {
        let note =
            SessionEvent { reason: Some("x".repeat(BYTES)), ..router_note(SessionEventKind::PeerUp, None, None) };
        outbox.op(StateOp::SessionEvent(note)).unwrap();
    }
    outbox.flush().unwrap();
    let pieces = receivers.state[0].try_iter().map(|item| match item {
        StateItem::Batch(batch) => batch.ops.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(pieces.collect::<Vec<_>>(), [6, 6, 6, 2]);
}

#[test]
fn a_table_that_begins_in_a_replay_has_its_later_name() {
    let router = RouterId::new("10.0.0.1");
    let (sender, receivers) = channels(1, 1);
    let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
    let mut outbox = Outbox::new(owner, sender.state(&router).clone(), None);
    outbox.set_replayed(StoredPositions { state: Some(20), history: None });
    let kind = PeerKind::LocRib(Rd::default());
    let peer = PeerId { kind, address: None, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED };
    let origin = TableOrigin { peer, given: "red".into(), unicast: "red".into(), part: TableKind::Unicast };
    let names = || vec![peer_records::table_name(View::LocRib.kind(), &origin, &"red".into())];
    for octet in [10, 20] {
        outbox.set_position(octet);
        let begin = StateOp::SyncStart { tables: Vec::new(), names: names(), beside: Vec::new(), stored: None };
        outbox.op(begin).unwrap();
    }
    outbox.flush().unwrap();
    let Ok(StateItem::Batch(batch)) = receivers.state[0].try_recv() else { panic!("it was passed on") };
    let names = batch.ops.iter().map(|op| match op {
        StateOp::SyncStart { names, .. } => names.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), [0, 1], "what is stored up to octet 20 is not stored again");
}
