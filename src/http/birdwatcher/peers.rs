//! A router and its peers: status, protocols, symbols, and counts of their routes.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::envelope::{answer, time};
use super::router::Router;
use super::selection::{MASTER, Selection, clean, protocol_id};
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::service::Service;
use crate::model::{Afi, RibKind, Timestamp};
use crate::store::birdwatcher::{self, BirdPeer, BirdSession, PeerTable};

/// A peer with its tables.
#[derive(Default)]
struct Protocol {
    session: Option<BirdSession>,
    received: Vec<PeerTable>,
    sent: Vec<PeerTable>,
}

/// The number of routes of each table that the policy rejects: by address, name and family.
type Rejected = HashMap<(String, String, Afi), i64>;

/// Answers with the router.
pub(super) fn status(service: &Service, router: &Router) -> Outcome {
    let tables = service.read(|client| birdwatcher::tables(client, &router.id, RibKind::AdjRibIn))?;
    let row = &router.row;
    let state = &row.standing;
    let since = state.since.unwrap_or(row.last_seen);
    let mut message = format!("BMP session {} since {}", state.state.as_str(), since.to_utc());
    if !tables.iter().any(PeerTable::has_both) {
        message.push_str(
            ". Filtered routes are not known: the router does not send, or RIB_INGESTER_STORED_RIBS does not have, both \
             adj-rib-in-pre and adj-rib-in-post",
        );
    }
    let status = json!({
        "current_server": time(Timestamp::now()),
        "last_reboot": time(row.last_seen),
        "last_reconfig": time(row.last_seen),
        "version": row.description.as_deref().unwrap_or("unknown"),
        "message": message,
        "router_id": router.id,
    });
    Ok(answer("status", status))
}

/// Answers with the peers and the numbers of their routes.
pub(super) fn protocols(service: &Service, router: &Router) -> Outcome {
    let protocols = read(service, router)?;
    let rejected = if protocols.values().any(|one| one.received.iter().any(PeerTable::has_both)) {
        service.read(|client| birdwatcher::rejected_counts(client, &router.id))?
    } else {
        Rejected::new()
    };
    let all: Map<String, Value> = protocols
        .into_iter()
        .map(|(id, protocol)| {
            let value = protocol.json(&id, &rejected, router);
            (id, value)
        })
        .collect();
    Ok(answer("protocols", Value::Object(all)))
}

/// Answers with the state of each peer.
pub(super) fn short(service: &Service, router: &Router) -> Outcome {
    let all: Map<String, Value> = read(service, router)?
        .into_iter()
        .map(|(id, protocol)| {
            let (state, since) = protocol.state(router);
            let info = if state == "up" { "Established" } else { "" };
            let value = json!({ "proto": "BGP", "table": MASTER, "state": state, "since": since, "info": info });
            (id, value)
        })
        .collect();
    Ok(answer("protocols", Value::Object(all)))
}

/// Answers with the names that exist, or those of one kind.
pub(super) fn symbols(service: &Service, router: &Router, kind: Option<&str>) -> Outcome {
    let protocols = read(service, router)?;
    let mut tables = vec![MASTER.to_owned(), "master4".to_owned(), "master6".to_owned()];
    let in_vrfs = protocols.values().flat_map(|one| &one.received).filter(|table| !table.peer.distinguisher.is_empty());
    let mut vrfs: Vec<String> = in_vrfs.map(|table| clean(&table.name)).collect();
    vrfs.sort();
    vrfs.dedup();
    tables.append(&mut vrfs);
    let protocols: Vec<String> = protocols.into_keys().collect();
    Ok(match kind {
        Some("protocol") => answer("symbols", json!(protocols)),
        Some(_) => answer("symbols", json!(tables)),
        None => answer("symbols", json!({ "protocol": protocols, "routing table": tables })),
    })
}

/// Answers with the number of routes that are accepted.
pub(super) fn count(service: &Service, router: &Router, selection: &Selection) -> Outcome {
    let tables = service.read(|client| birdwatcher::tables(client, &router.id, RibKind::AdjRibIn))?;
    let routes: i64 = tables.iter().filter(|table| selection.has(table)).map(PeerTable::accepted).sum();
    Ok(answer("routes", json!(routes)))
}

/// Checks that there is such a peer or such a table.
pub(super) fn known(service: &Service, router: &Router, selection: Selection) -> Result<Selection, Problem> {
    match &selection {
        Selection::All | Selection::Family(_) | Selection::Address(_) => {}
        Selection::Peer(id) => {
            if !read(service, router)?.contains_key(id) {
                return Err(Problem::not_found(format!("there is no protocol {id:?}")));
            }
        }
        Selection::Vrf(name) => {
            let tables = service.read(|client| birdwatcher::tables(client, &router.id, RibKind::AdjRibIn))?;
            if !tables.iter().any(|table| selection.has(table)) {
                let why = format!("there is no table {name:?}: {MASTER} has the routes of all peers");
                return Err(Problem::not_found(why));
            }
        }
    }
    Ok(selection)
}

/// Reads the peers, by the identifiers of their protocols.
fn read(service: &Service, router: &Router) -> Result<BTreeMap<String, Protocol>, Problem> {
    let (sessions, received, sent) = service.read(|client| {
        Ok((
            birdwatcher::sessions(client, &router.id)?,
            birdwatcher::tables(client, &router.id, RibKind::AdjRibIn)?,
            birdwatcher::tables(client, &router.id, RibKind::AdjRibOut)?,
        ))
    })?;
    let mut all: BTreeMap<String, Protocol> = BTreeMap::new();
    for session in sessions {
        // Of two that differ in their type only, the one that is up comes first.
        all.entry(protocol_id(&session.peer)).or_default().session.get_or_insert(session);
    }
    for table in received {
        all.entry(protocol_id(&table.peer)).or_default().received.push(table);
    }
    for table in sent {
        all.entry(protocol_id(&table.peer)).or_default().sent.push(table);
    }
    Ok(all)
}

impl Protocol {
    fn peer(&self) -> Option<&BirdPeer> {
        let table = self.received.iter().chain(&self.sent).map(|table| &table.peer).next();
        self.session.as_ref().map(|session| &session.peer).or(table)
    }

    /// Returns BIRD's word for the state, and since when.
    fn state(&self, router: &Router) -> (&'static str, String) {
        let state = match self.session.as_ref().map(|session| session.state.as_str()) {
            Some("up") => "up",
            Some("down") => "down",
            Some(_) | None => "start",
        };
        let since = self.session.as_ref().map_or(router.row.last_seen, |session| session.since);
        (state, time(since))
    }

    fn json(&self, id: &str, rejected: &Rejected, router: &Router) -> Value {
        let (state, since) = self.state(router);
        let session = self.session.as_ref();
        let text = |value: Option<&String>| value.map(String::as_str).unwrap_or_default().to_owned();
        let channel = |afi: Afi| {
            let routes = self.routes(Some(afi), rejected);
            json!({ "state": state, "table": MASTER, "routes_count": routes, "routes": routes })
        };
        json!({
            "protocol": id,
            "bird_protocol": "BGP",
            "table": MASTER,
            "state": state,
            "state_changed": since,
            "bgp_state": if state == "up" { "Established" } else { "Idle" },
            "neighbor_address": self.peer().map(|peer| peer.address.as_str()).unwrap_or_default(),
            "neighbor_as": self.peer().map_or(0, |peer| peer.asn),
            "description": text(session.and_then(|session| session.description.as_ref())),
            "last_error": text(session.and_then(|session| session.last_reason.as_ref())),
            "routes": self.routes(None, rejected),
            "channels": { "ipv4": channel(Afi::Ipv4), "ipv6": channel(Afi::Ipv6) },
        })
    }

    /// Returns the numbers of routes of one family or of both; `filtered` and `exported` only where they are known.
    fn routes(&self, afi: Option<Afi>, rejected: &Rejected) -> Value {
        let is_wanted = |table: &&PeerTable| afi.is_none_or(|afi| table.afi == afi);
        let received: Vec<&PeerTable> = self.received.iter().filter(is_wanted).collect();
        let sent: Vec<&PeerTable> = self.sent.iter().filter(is_wanted).collect();
        let mut routes = Map::new();
        let imported: i64 = received.iter().map(|table| table.accepted()).sum();
        routes.insert("imported".to_owned(), json!(imported));
        if !received.is_empty() && received.iter().all(|table| table.has_both()) {
            let key = |table: &PeerTable| (table.peer.address.clone(), table.name.clone(), table.afi);
            let filtered: i64 = received.iter().filter_map(|table| rejected.get(&key(table))).sum();
            routes.insert("filtered".to_owned(), json!(filtered));
        }
        if !sent.is_empty() {
            let exported: i64 = sent.iter().map(|table| table.accepted()).sum();
            routes.insert("exported".to_owned(), json!(exported));
        }
        Value::Object(routes)
    }
}
