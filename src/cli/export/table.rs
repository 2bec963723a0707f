//! A table as TABLE_DUMP_V2.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::output::Output;
use super::selection::Selected;
use super::unsaid::Unsaid;
use crate::cli::command::{CommandError, counted, say};
use crate::model::Timestamp;
use crate::mrt::tables::{TablePeer, TableRoute, TableWriter};
use crate::store::Transaction;
use crate::store::mrt::{MrtPeer, each_route, outline};

/// Writes the table as it is, or as it was `at` a moment. Returns the number of routes and of peers, in words.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    selected: &Selected,
    at: Option<Timestamp>,
    time: Timestamp,
    output: &mut Output,
    unsaid: &mut Unsaid,
) -> Result<String, CommandError> {
    let table = &selected.table;
    let outline = outline(transaction, table, at)?;
    if !outline.is_complete {
        say(format_args!("the history does not tell all of table {} at that time: routes may be missing", table.name));
    }
    let itself = MrtPeer { address: selected.address, asn: selected.asn, bgp_id: selected.bgp_id };
    let (peers, view) = match table.is_post_policy {
        // The router is the peer of its Loc-RIB, and the view is the table.
        None => (vec![itself], if table.name == "UNKNOWN" { "" } else { &*table.name }),
        Some(_) => (outline.peers, ""),
    };
    let places: HashMap<MrtPeer, u16> = peers.iter().copied().zip(0..).collect();
    let of = |peer: &MrtPeer| TablePeer { bgp_id: peer.bgp_id, address: peer.address, asn: peer.asn };
    let written: Vec<TablePeer> = peers.iter().map(of).collect();
    let mut count = 0;
    let begun = TableWriter::begin(output.writer(), time, selected.bgp_id, view, &written);
    let (mut writer, mut failure) = match begun {
        Ok(writer) => (writer, None),
        Err(error) => return Err(output.failed(&error)),
    };
    let read = each_route(transaction, table, at, &mut |route| {
        let peer = route.peer.unwrap_or(itself);
        let (Some(attributes), Some(place)) =
            (unsaid.encode(route.prefix.afi(), &route.columns), places.get(&peer).copied())
        else {
            return ControlFlow::Continue(());
        };
        let path_id = outline.add_path.contains(&route.prefix.afi()).then_some(route.path_id);
        let route =
            TableRoute { prefix: route.prefix, peer: place, path_id, originated: route.time, attributes: &attributes };
        count += 1;
        match writer.route(&route) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let finished = writer.finish().map(|_| ());
    if let Some(error) = failure.or(finished.err()) {
        return Err(output.failed(&error));
    }
    read?;
    let peers = u64::try_from(written.len()).expect("a peer table is short");
    Ok(format!("{} of {}", counted(count, "route"), counted(peers, "peer")))
}
