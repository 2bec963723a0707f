//! A whole session without a socket: octets, frames, peers, UPDATEs, changes, rows.
//!
//! A thread plays the database: it grants every claim and answers that each table holds two routes. Whatever the router
//! says, the ops of `current_routes` and the events of `route_events` must tell the same story, no key may be deleted
//! that is not there, no event id may come twice, and every row must be one that PostgreSQL accepts.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, unbounded};
use rib_ingester::config::StoredViews;
use rib_ingester::journal::Journal;
use rib_ingester::model::{
    Afi, Nlri, OtherFamily, Prefix, RouterId, RouterRecord, SessionEvent, SessionEventKind, StoredRoute, Table,
    TableKey, Timestamp,
};
use rib_ingester::pipeline::{
    Claimed, EventBatch, Existing, Ownership, PipelineSender, Recent, RouteChange, RouteEvent, StateItem, StateOp,
    StoredPositions, WithdrawReason, channels,
};
use rib_ingester::session::connection::Connection;
use rib_ingester::session::drift::Resyncs;
use rib_ingester::session::frame::FrameBuffer;
use rib_ingester::session::identity::IdentityRule;
use rib_ingester::session::input::{Input, Next};
use rib_ingester::session::messages::Session;
use rib_ingester::session::other_protocol::NotBmp;
use rib_ingester::session::refused_connections::Refusals;
use rib_ingester::session::registry::{ConnectionLimits, Registry};
use rib_ingester::session::rules::{Moment, Redump, Rules};
use rib_ingester::session::standby::Standbys;
use rib_ingester::session::{Cause, Options, RawBytes, SessionEnd, Shared};
use rib_ingester::stop::Stop;
use rib_ingester::store::copy_encoding::EncodedRoute;
use rib_ingester::store::events::{Action, EventRow};
use rib_ingester::store::routes::RouteKey;

use super::{MESSAGE_MAX, rows};

/// How long rows stay that nobody confirms.
const STALE_TIME: Duration = Duration::from_secs(900);
/// How long a dump may be silent.
const QUIET: Duration = Duration::from_secs(60);
/// One session at a time.
const ONE: ConnectionLimits = ConnectionLimits { sessions: 1, per_address: 1 };

thread_local! {
    static DATABASE: Database = Database::start();
}

/// The first octet chooses the settings, the rest is what the router sends.
pub fn check(input: &[u8]) {
    let Some((control, stream)) = input.split_first() else { return };
    DATABASE.with(|database| database.run(*control, stream, Cuts::AtMessages, Story::default())).check();
}

/// The same stream in pieces of any length makes the same operations and the same events, in their order: a session
/// depends on its messages and their times alone.
pub fn check_cuts(input: &[u8], pieces: &[usize]) {
    let Some((control, stream)) = input.split_first() else { return };
    let told = |cuts| {
        let story = Story { told: Some(Told::default()), ..Story::default() };
        DATABASE.with(|database| database.run(*control, stream, cuts, story)).told.unwrap()
    };
    let whole = told(Cuts::AtMessages);
    assert!(!whole.ops.is_empty(), "the stream identifies its router");
    for piece in pieces {
        assert_eq!(told(Cuts::Every(*piece)), whole, "in pieces of {piece} octets");
    }
}

/// Where a stream is cut. What was read is passed on to the writers there.
#[derive(Clone, Copy)]
enum Cuts {
    /// Behind each message.
    AtMessages,
    /// After so many octets.
    Every(usize),
}

/// Gives a stream in pieces of at most so many octets.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

/// The far end of the channels, kept from session to session.
struct Database {
    pipeline: PipelineSender,
    state: Receiver<StateItem>,
    /// Each with whether the session waited for it, and all before it, to be stored.
    events: Receiver<(EventBatch, bool)>,
    socket: TcpStream,
}

impl Database {
    fn start() -> Database {
        let (pipeline, mut receivers) = channels(1, 1);
        let (from_session, events) = (receivers.state.remove(0), receivers.events.remove(0));
        let (to_check, state) = unbounded();
        thread::spawn(move || {
            let mut held = BTreeMap::new();
            for item in from_session {
                answer(&item, &mut held);
                if to_check.send(item).is_err() {
                    break;
                }
            }
        });
        let (to_listener, stored_events) = unbounded();
        thread::spawn(move || {
            // A session that waits for its events to be stored goes on when its end of `stored` is dropped.
            for mut batch in events {
                let stored = batch.stored.take();
                if to_listener.send((batch, stored.is_some())).is_err() {
                    break;
                }
                drop(stored);
            }
        });
        // A session has a socket to be woken by; nothing is ever sent on this one.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Database { pipeline, state, events: stored_events, socket }
    }

    fn run(&self, control: u8, stream: &[u8], cuts: Cuts, mut story: Story) -> Story {
        let shared = Arc::new(self.shared(control));
        let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
        let connection = shared.registry.connect(source, self.socket.try_clone().unwrap(), ONE).unwrap();
        let input = Arc::new(Input::new(1, connection.source, &shared.journal));
        let mut session = Session::new(Arc::clone(&shared), Arc::clone(&connection), Arc::clone(&input));
        let end = self.read(stream, cuts, &mut session, &input, &mut story);
        self.finish(end, session, &shared, &connection, &mut story);
        story
    }

    /// Reads the stream as the session's thread does; why it ended.
    fn read(&self, stream: &[u8], cuts: Cuts, session: &mut Session, input: &Input, story: &mut Story) -> SessionEnd {
        let mut buffer = FrameBuffer::new(MESSAGE_MAX);
        let piece = if let Cuts::Every(piece) = cuts { piece } else { usize::MAX };
        let mut stream = Pieces(stream, piece);
        let (mut messages, mut octet) = (0, 0);
        loop {
            loop {
                match buffer.next_message() {
                    Err(error) => return SessionEnd::new(Cause::OutOfStep, NotBmp { error, protocol: None }),
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        messages += 1;
                        let read_at = Timestamp::from_wire(1, messages);
                        // What waits for the router's name is read from there once more.
                        if input.router().is_none() {
                            assert!(input.append(read_at, frame.bytes.into()));
                            assert!(matches!(input.next(Duration::ZERO), Next::Chunk(..)));
                        }
                        if let Err(end) = session.message(&frame, read_at) {
                            return end;
                        }
                        octet += u64::try_from(frame.bytes.len()).unwrap();
                        session.set_position(octet);
                        if let Cuts::AtMessages = cuts {
                            session.flush().expect("the writers are there");
                            self.listen(story);
                        }
                    }
                }
            }
            session.flush().expect("the writers are there");
            self.listen(story);
            if buffer.fill(&mut stream).unwrap() == 0 {
                return Cause::Closed.into();
            }
        }
    }

    /// Silence for a while, then the end.
    fn finish(
        &self,
        end: SessionEnd,
        mut session: Session,
        shared: &Shared,
        connection: &Connection,
        story: &mut Story,
    ) {
        if end.cause == Cause::Closed {
            for waited in [Duration::ZERO, QUIET, STALE_TIME] {
                let now = Moment { at: Timestamp::from_wire(2, 0), age: waited };
                session.idle(waited, now).expect("the writers are there");
                self.listen(story);
            }
        }
        match end.cause {
            Cause::Closed | Cause::OutOfStep | Cause::Termination => {}
            other => panic!("nothing in a stream may cause this end: {other:?}"),
        }
        session.end(&end);
        self.listen(story);
        shared.registry.disconnect(connection);
    }

    /// Takes in everything that the session has said so far. Both threads are asked before either is waited for: on a
    /// busy machine the waiting is what a session costs here.
    fn listen(&self, story: &mut Story) {
        // Comes back behind everything that is on its way.
        self.pipeline.any_state().send(StateItem::Note(None, mark())).unwrap();
        let owner = Arc::new(Ownership::new(RouterId::new("nobody"), 0, Arc::default()));
        let (stored, is_stored) = bounded(0);
        let read_at = Instant::now();
        let last = EventBatch { stored: Some(stored), events: vec![], tables: vec![], owner, read_at, upto: 0 };
        self.pipeline.events(&last.owner.router.clone()).expect("history is kept").send(last).unwrap();
        for item in &self.state {
            match item {
                StateItem::Note(_, event) if event == mark() => break,
                StateItem::Note(_, event) => check_session_event(&event),
                StateItem::Gap(gap) => check_session_event(&gap.row),
                StateItem::Claim(claim) => check_record(&claim.record),
                StateItem::Batch(batch) => {
                    if batch.ops.iter().any(|op| matches!(op, StateOp::TablesDown { event: Some(_), .. })) {
                        self.settle(story);
                    }
                    batch.ops.into_iter().for_each(|op| story.op(op));
                }
            }
        }
        let _ = is_stored.recv();
        for (batch, _) in self.events.try_iter() {
            batch.events.iter().for_each(|event| story.event(event));
        }
    }

    /// Takes in the events that the session waited for before its tables went.
    fn settle(&self, story: &mut Story) {
        for (batch, is_waited_for) in &self.events {
            batch.events.iter().for_each(|event| story.event(event));
            if is_waited_for {
                break;
            }
        }
    }

    fn shared(&self, control: u8) -> Shared {
        let identity = match control & 3 {
            0 | 1 => IdentityRule::BgpId,
            2 => IdentityRule::Address,
            _ => IdentityRule::SysName,
        };
        let ignore_path_id = control & 4 != 0;
        let is_all = control & 32 != 0;
        let stored_views = StoredViews {
            loc_rib: true,
            adj_rib_in_pre: is_all,
            adj_rib_in_post: true,
            adj_rib_out_pre: is_all,
            adj_rib_out_post: is_all,
        };
        let redump = if control & 8 == 0 { Redump::Skip } else { Redump::Record };
        Shared {
            options: Options {
                message_max: MESSAGE_MAX,
                audit_every: Duration::ZERO,
                message_time_max: QUIET,
                rules: Rules { stale_time: STALE_TIME, quiet: QUIET, redump, routes_max: None },
                raw: if control & 16 == 0 { RawBytes::Dropped } else { RawBytes::Stored },
                identity_rule: Box::new(move |_| identity),
                ignore_path_id: Box::new(move |_| ignore_path_id),
                stored_views: Box::new(move |_| stored_views),
                stored_families: [OtherFamily::Evpn, OtherFamily::FlowSpec, OtherFamily::Rtc].into_iter().collect(),
                resync_on_drift: None,
                standby_window: Duration::ZERO,
                // Nothing can be made below a file: what is rejected is not kept.
                rejected_dir: "/dev/null/rejected".into(),
            },
            registry: Registry::new(STALE_TIME, STALE_TIME, 1),
            refusals: Refusals::default(),
            feeds: Arc::default(),
            resyncs: Resyncs::default(),
            standbys: Standbys::default(),
            pipeline: self.pipeline.clone(),
            journal: Journal::off(),
            inputs: Arc::default(),
            stop: Stop::new(),
            meters: Arc::default(),
        }
    }
}

fn mark() -> SessionEvent {
    SessionEvent {
        kind: SessionEventKind::CollectorStopped,
        table_name: None,
        peer_address: None,
        afi: None,
        reason: Some("everything before this has come".to_owned()),
        routes: None,
    }
}

/// Answers as the database would that holds `held`.
fn answer(item: &StateItem, held: &mut BTreeMap<Table, Routes>) {
    match item {
        StateItem::Claim(claim) => {
            held.clear();
            let owner = Arc::new(Ownership::new(claim.record.router.clone(), 1, Arc::default()));
            // A session that is gone needs no answer.
            let _ = claim.reply.send(Ok(Claimed {
                owner,
                taken_from: None,
                tables: vec![TableKey::loc_rib("held", Afi::Ipv4)],
                add_path: Vec::new(),
                names: Vec::new(),
                positions: StoredPositions::default(),
                recent: Recent::default(),
            }));
        }
        StateItem::Batch(batch) => batch.ops.iter().for_each(|op| answer_op(op, held)),
        StateItem::Note(..) | StateItem::Gap(_) => {}
    }
}

fn answer_op(op: &StateOp, held: &mut BTreeMap<Table, Routes>) {
    match op {
        StateOp::SyncStart { tables, stored: None, .. } => {
            for table in tables {
                held.entry(Table::clone(table)).or_default();
            }
        }
        StateOp::SyncStart { tables, beside, stored: Some(stored), .. } => {
            let routes = tables.iter().chain(beside).map(|table| {
                let routes = held.entry(Table::clone(table)).or_insert_with(|| stored_routes(table.afi));
                let route = |(&(prefix, path_id), &fingerprint): (&(Prefix, u32), &u64)| StoredRoute {
                    prefix,
                    path_id,
                    fingerprint,
                };
                routes.iter().map(route).collect()
            });
            let _ = stored.send(routes.collect());
        }
        StateOp::Route { table, nlri, change, .. } => {
            let routes = held.entry(Table::clone(table)).or_default();
            match change {
                RouteChange::Announce(route) => routes.insert(key(nlri), route.fingerprint()),
                RouteChange::Withdraw(_) => routes.remove(&key(nlri)),
            };
        }
        StateOp::EndOfRib { table, stale } | StateOp::PurgeStale { table, stale } => {
            let routes = held.entry(Table::clone(table)).or_default();
            for nlri in stale {
                routes.remove(&key(nlri));
            }
        }
        StateOp::TablesDown { tables, .. } => {
            held.retain(|table, _| !tables.contains(&(table.view, table.name.clone())));
        }
        _ => {}
    }
}

/// What the database holds of every table that is asked for when its dump begins: a default route and 10.0.0.0/8 or
/// a00::/8.
fn stored_routes(afi: Afi) -> Routes {
    let route = |octets: &[u8], length, path_id| ((Prefix::new(afi, octets, length).unwrap(), path_id), 7);
    Routes::from([route(&[], 0, 0), route(&[10], 8, 1)])
}

/// The routes of one table: key to fingerprint.
type Routes = BTreeMap<(Prefix, u32), u64>;

/// Operations, but for those that tell of all tables at once or once for each piece, and events.
#[derive(Debug, Default, PartialEq)]
struct Told {
    ops: Vec<String>,
    events: Vec<String>,
}

/// What the database would hold, told twice: by the ops and by the events.
#[derive(Default)]
struct Story {
    by_ops: BTreeMap<Table, Routes>,
    by_events: BTreeMap<Table, Routes>,
    ids: HashSet<[u8; 32]>,
    checked: Option<EncodedRoute>,
    /// The operations and the events in their order, if they are compared.
    told: Option<Told>,
}

impl Story {
    fn op(&mut self, op: StateOp) {
        if let Some(told) = &mut self.told
            && !matches!(op, StateOp::TableSeen(_) | StateOp::Audit { .. } | StateOp::MarkStale(_))
        {
            told.ops.push(format!("{op:?}"));
        }
        match op {
            StateOp::RouterSeen(record) => check_record(&record),
            StateOp::SyncStart { tables, names, stored, .. } => {
                names.iter().for_each(|name| check_text(&name.table_name));
                for table in tables {
                    check_text(&table.name);
                    if self.by_ops.contains_key(&*table) {
                        // Its peer has another BGP session: what is stored of it stays, and is asked for.
                        assert!(stored.is_some(), "{table} begins twice");
                        continue;
                    }
                    let held = if stored.is_some() { stored_routes(table.afi) } else { Routes::new() };
                    self.by_ops.insert(Table::clone(&table), held.clone());
                    self.by_events.insert(Table::clone(&table), held);
                }
            }
            StateOp::Route { table, nlri, change, was } => {
                self.check_key(&table, &nlri);
                let routes = self.by_ops.get_mut(&*table).expect("a table begins before its routes");
                let really = if routes.contains_key(&key(&nlri)) { Existing::Maybe } else { Existing::No };
                assert_eq!(was, really, "{table} {nlri:?} would be written the wrong way");
                match change {
                    RouteChange::Announce(route) => {
                        routes.insert(key(&nlri), route.fingerprint());
                        self.check_route(&route);
                    }
                    RouteChange::Withdraw(WithdrawReason::Withdrawn | WithdrawReason::Reread) => {
                        assert!(routes.remove(&key(&nlri)).is_some(), "{table} {nlri:?} is not there");
                    }
                    RouteChange::Withdraw(WithdrawReason::Stale) => panic!("stale routes go by End-of-RIB"),
                }
            }
            StateOp::EndOfRib { table, stale } | StateOp::PurgeStale { table, stale } => {
                let routes = self.by_ops.get_mut(&*table).expect("a table begins before it is complete");
                for nlri in &stale {
                    assert!(routes.remove(&key(nlri)).is_some(), "{table} {nlri:?} is not there");
                }
            }
            StateOp::TablesDown { tables, event, .. } => {
                let goes = |table: &Table| tables.contains(&(table.view, table.name.clone()));
                self.by_ops.retain(|table, _| !goes(table));
                self.by_events.retain(|table, _| !goes(table));
                event.iter().for_each(check_session_event);
            }
            StateOp::TableSeen(table) => assert!(self.by_ops.contains_key(&*table), "{table} is seen and not there"),
            StateOp::Audit { table, routes } => {
                let known = self.by_ops.get(&*table).expect("a table begins before it is counted");
                assert_eq!(routes, known.len(), "{table} would be counted wrongly");
            }
            StateOp::PeerSeen(_) | StateOp::AddPathSeen(_) | StateOp::Statistics(_) | StateOp::PeersUnknown(_) => {}
            StateOp::MarkStale(_) | StateOp::SessionState { .. } => {}
            StateOp::SessionEvent(event) => check_session_event(&event),
        }
    }

    fn event(&mut self, event: &RouteEvent) {
        assert!(self.ids.insert(event.id), "an event id comes twice: {event:?}");
        if let Some(told) = &mut self.told {
            told.events.push(format!("{event:?}"));
        }
        let routes = self.by_events.get_mut(&*event.table).expect("a table begins before its events");
        let (action, columns) = match &event.change {
            RouteChange::Announce(route) => {
                routes.insert(key(&event.nlri), route.fingerprint());
                (Action::Announce, route.clone())
            }
            RouteChange::Withdraw(reason) => {
                let was_there = routes.remove(&key(&event.nlri)).is_some();
                match reason {
                    WithdrawReason::Withdrawn => (Action::Withdraw, EncodedRoute::withdrawn()),
                    WithdrawReason::Stale => {
                        assert!(was_there, "{event:?} is not there");
                        (Action::Withdraw, EncodedRoute::stale())
                    }
                    WithdrawReason::Reread => {
                        assert!(was_there, "{event:?} is not there");
                        (Action::Withdraw, EncodedRoute::reread())
                    }
                }
            }
        };
        self.check_route(&columns);
        let mut fields = Vec::new();
        let row = EventRow {
            id: &event.id,
            time: Timestamp::from_wire(1, 0),
            table: &event.table,
            nlri: &event.nlri,
            action,
            route: &columns,
            raw: event.raw.as_deref(),
            received_at: event.received_at,
            router_time: event.router_time,
        };
        row.put_fields(&mut fields);
        rows::check_event(&fields, &columns.columns());
    }

    fn check_key(&self, table: &Table, nlri: &Nlri) {
        assert_eq!(nlri.prefix.afi(), table.afi);
        let mut fields = Vec::new();
        RouteKey { table, prefix: nlri.prefix, path_id: nlri.path_id_column() }.put_fields(&mut fields);
        rows::check_key(table, &fields);
    }

    /// Thousands of prefixes share one route: it is looked at once.
    fn check_route(&mut self, route: &EncodedRoute) {
        if !self.checked.as_ref().is_some_and(|checked| checked == route) {
            rows::check_attributes(&route.columns());
            self.checked = Some(route.clone());
        }
    }

    fn check(&self) {
        // History has nothing of the NLRI of other families.
        let by_ops: Vec<_> = self.by_ops.iter().filter(|(table, _)| !table.view.is_nlri()).collect();
        let by_events: Vec<_> = self.by_events.iter().filter(|(table, _)| !table.view.is_nlri()).collect();
        assert_eq!(by_ops, by_events, "current_routes and route_events tell different stories");
    }
}

fn key(nlri: &Nlri) -> (Prefix, u32) {
    (nlri.prefix, nlri.path_id_column())
}

fn check_record(record: &RouterRecord) {
    check_text(RouterId::as_str(&record.router));
    record.hostname.as_deref().into_iter().chain(record.description.as_deref()).for_each(check_text);
}

fn check_session_event(event: &SessionEvent) {
    event.table_name.as_deref().into_iter().chain(event.reason.as_deref()).for_each(check_text);
}

fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.contains('\0'), "{text:?}");
}
