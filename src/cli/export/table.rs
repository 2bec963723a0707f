//! A table as TABLE_DUMP_V2.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::ops::ControlFlow;

use super::output::Output;
use super::selection::{Selected, part_of};
use super::unsaid::Unsaid;
use crate::cli::command::{CommandError, counted, say};
use crate::model::{Afi, Timestamp};
use crate::mrt::destinations::RibPart;
use crate::mrt::tables::{TablePeer, TableRoute, TableWriter};
use crate::store::Transaction;
use crate::store::mrt::{MrtPeer, MrtRoute, MrtTable, each_route, outline};

/// Writes the table as it is, or as it was `at` a moment. Returns the number of routes and of peers, in words.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    selected: &Selected,
    at: Option<Timestamp>,
    time: Timestamp,
    output: &mut Output,
    unsaid: &mut Unsaid,
) -> Result<String, CommandError> {
    let (mut add_path, mut peers) = (Vec::new(), BTreeSet::new());
    let named = |name: &String| MrtTable { name: name.clone(), unicast: part_of(name).0.to_owned() };
    let tables: Vec<MrtTable> = selected.tables.iter().map(named).collect();
    for table in &tables {
        let outline = outline(transaction, &selected.rib, table, at)?;
        if !outline.is_complete {
            say(format_args!("the history of table {} is incomplete at that time: routes may be missing", table.name));
        }
        add_path.push(outline.add_path);
        peers.extend(outline.peers);
    }
    let itself = MrtPeer { address: selected.address, asn: selected.asn, bgp_id: selected.bgp_id };
    let (peers, view) = match selected.rib.is_post_policy {
        // The router is the peer of its Loc-RIB, and the view is the table.
        None => (vec![itself], if selected.name == "UNKNOWN" { "" } else { &*selected.name }),
        Some(_) => (peers.into_iter().collect(), ""),
    };
    let places: HashMap<MrtPeer, u16> = peers.iter().copied().zip(0..).collect();
    let of = |peer: &MrtPeer| TablePeer { bgp_id: peer.bgp_id, address: peer.address, asn: peer.asn };
    let written: Vec<TablePeer> = peers.iter().map(of).collect();
    let writer = TableWriter::begin(output.writer(), time, selected.bgp_id, view, &written);
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => return Err(output.failed(&error)),
    };
    let mut dump = Dump { writer, unsaid, places, itself, count: 0, failure: None };
    let mut read = Ok(());
    for (table, add_path) in tables.iter().zip(&add_path) {
        let part = part_of(&table.name).1;
        read = each_route(transaction, &selected.rib, table, at, &mut |route| dump.route(part, add_path, route));
        if read.is_err() || dump.failure.is_some() {
            break;
        }
    }
    let Dump { writer, count, failure, .. } = dump;
    let finished = writer.finish().map(|_| ());
    if let Some(error) = failure.or(finished.err()) {
        return Err(output.failed(&error));
    }
    read?;
    let peers = u64::try_from(written.len()).expect("a peer table is short");
    Ok(format!("{} of {}", counted(count, "route"), counted(peers, "peer")))
}

/// A file that is being written.
struct Dump<'a, W> {
    writer: TableWriter<W>,
    unsaid: &'a mut Unsaid,
    /// The places of the peers in the peer table.
    places: HashMap<MrtPeer, u16>,
    itself: MrtPeer,
    count: u64,
    failure: Option<std::io::Error>,
}

impl<W: Write> Dump<'_, W> {
    fn route(&mut self, part: RibPart, add_path: &[Afi], route: &MrtRoute<'_>) -> ControlFlow<()> {
        let peer = route.peer.unwrap_or(self.itself);
        let (Some((destination, attributes)), Some(place)) =
            (self.unsaid.encode(part, &route.prefix, &route.columns), self.places.get(&peer).copied())
        else {
            return ControlFlow::Continue(());
        };
        let path_id = add_path.contains(&route.prefix.afi()).then_some(route.path_id);
        let route = TableRoute {
            destination: &destination,
            peer: place,
            path_id,
            originated: route.time,
            attributes: &attributes,
        };
        self.count += 1;
        match self.writer.route(&route) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}
