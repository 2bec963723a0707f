//! `status ROUTER`: one router in full.

use super::tables::{FAMILIES, PEERS, TABLES, adj_ribs, ago, nlri_tables, or_dash, section, tables};
use crate::cli::table::{Column, Table};
use crate::model::Timestamp;
use crate::model::text::printable;
use crate::store::pages::PeerRow;
use crate::store::status::{RouterDetail, RouterStatus, SessionStatus};

/// Formats routers one below the other: several may have the same name.
pub(super) fn text(now: Timestamp, details: &[RouterDetail], width: Option<usize>) -> String {
    let one = |detail: &RouterDetail| {
        let tables = tables(now, std::slice::from_ref(&detail.router));
        let mut out = format!("{}\n{}\n", title(now, &detail.router), facts(&detail.router));
        out.push_str(&section("SESSIONS", "none within the last day", &sessions(&detail.sessions), width));
        if !tables.is_empty() || detail.adj_ribs.is_empty() && detail.nlri_tables.is_empty() {
            out.push_str(&section(TABLES, "no tables are stored", &tables, width));
        }
        if !detail.adj_ribs.is_empty() {
            out.push_str(&section(PEERS, "", &adj_ribs(now, &detail.adj_ribs), width));
        }
        if !detail.nlri_tables.is_empty() {
            out.push_str(&section(FAMILIES, "", &nlri_tables(now, &detail.nlri_tables), width));
        }
        out.push_str(&section("PEERS", "none are known", &peers(&detail.peers), width));
        format!("{}\n", out.trim_end())
    };
    details.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Formats `10.0.0.1 (edge1): stale since 2026-11-21 07:45:12 UTC (3 min ago), its routes expire at 2026-11-21 08:00:12
/// UTC`.
fn title(now: Timestamp, router: &RouterStatus) -> String {
    let standing = &router.standing;
    let name = router.hostname.as_ref().map_or(String::new(), |name| format!(" ({})", printable(name)));
    let since = standing.since.map_or(String::new(), |since| format!(" since {}", moment(now, since)));
    let goes = standing.expires_at.map_or(String::new(), |at| format!(", its routes expire at {}", at.to_utc()));
    format!("{}{name}: {}{since}{goes}", printable(&router.router_id), standing.state.as_str())
}

fn facts(router: &RouterStatus) -> String {
    let standing = &router.standing;
    let facts = [
        ("reason", standing.reason.clone()),
        ("collector", standing.session_collector.clone().or_else(|| router.collector_id.clone())),
        ("standby", router.standby.clone()),
        ("address", standing.source.or(router.address).map(|address| address.to_string())),
        ("AS", router.as_number.map(|number| number.to_string())),
        ("description", router.description.clone()),
        ("first seen", Some(router.first_seen.to_utc())),
        ("last session", Some(router.last_seen.to_utc())),
    ];
    let line =
        |(name, value): (&str, Option<String>)| value.map(|value| format!("  {name:<12}  {}\n", printable(&value)));
    facts.into_iter().filter_map(line).collect()
}

fn sessions(sessions: &[SessionStatus]) -> Table {
    let mut out = Table::new(&[
        ("state", Column::Word),
        ("collector", Column::Text),
        ("source", Column::Word),
        ("since", Column::Word),
        ("lag", Column::Word),
        ("reason", Column::List),
    ]);
    for session in sessions {
        let is_standby = session.state == "standby";
        out.push([
            session.state.clone(),
            session.collector_id.clone(),
            or_dash(session.source),
            session.since.to_utc(),
            or_dash(session.lag_secs.filter(|_| is_standby).map(|seconds| format!("{seconds:.0} s"))),
            or_dash(session.reason.as_ref()),
        ]);
    }
    out
}

fn peers(peers: &[PeerRow]) -> Table {
    let mut columns = vec![
        ("state", Column::Word),
        ("peer", Column::Word),
        ("AS", Column::Number),
        ("since", Column::Word),
        ("flaps", Column::Number),
        ("description", Column::Text),
        ("last reason", Column::List),
    ];
    // The columns are omitted if there is no such view.
    /// Title and routes of a view.
    type RoutesOf = (&'static str, fn(&PeerRow) -> Option<i64>);
    let views: [RoutesOf; 2] =
        [("before policy", |peer| peer.pre_policy_routes), ("after policy", |peer| peer.post_policy_routes)];
    let views: Vec<_> =
        views.into_iter().filter(|(_, routes)| peers.iter().any(|peer| routes(peer).is_some())).collect();
    columns.splice(4..4, views.iter().map(|(name, _)| (*name, Column::Number)));
    // Peers of different VRFs may have the same address. The column is omitted if none is in a VRF.
    let has_vrf = peers.iter().any(|peer| !peer.distinguisher.is_empty());
    if has_vrf {
        columns.insert(2, ("distinguisher", Column::Word));
    }
    let mut out = Table::new(&columns);
    for peer in peers {
        let mut row = vec![
            peer.state.clone(),
            peer.address.clone(),
            peer.asn.to_string(),
            peer.since.to_utc(),
            peer.flaps.to_string(),
            or_dash(peer.description.as_ref()),
            or_dash(peer.last_reason.as_ref()),
        ];
        row.splice(4..4, views.iter().map(|(_, routes)| or_dash(routes(peer))));
        if has_vrf {
            row.insert(2, or_dash(Some(&peer.distinguisher).filter(|text| !text.is_empty())));
        }
        out.push(row);
    }
    out
}

fn moment(now: Timestamp, time: Timestamp) -> String {
    format!("{} ({})", time.to_utc(), ago(now, Some(time)))
}
