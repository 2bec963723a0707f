//! One text for each statement that exists for every kind of RIB.
//!
//! The text has holes for what differs. A list of columns ends with a comma, because it is never the last one:
//!
//! | hole | Loc-RIB | Adj-RIB-In |
//! |---|---|---|
//! | `{routes}` | `current_routes` | `adj_rib_in` |
//! | `{sync}` | `rib_sync_status` | `adj_rib_in_sync_status` |
//! | `{events}`, `{staged_events}` | `route_events`, `staged_events` | the same; of other families with `nlri_` |
//! | `{counts}` | `route_counts` | the same; of other families with `nlri_` |
//! | `{staged}_keys` | `staged_keys` | `staged_in_keys` |
//! | `{peer}` | | `peer_address, is_post_policy, ` |
//! | `{speaker}` | | `peer_asn, peer_bgp_id, ` |
//! | `{c.peer}` | | `c.peer_address, c.is_post_policy, ` |
//! | `{and c.peer = t.peer}` | | `AND c.peer_address = t.peer_address AND c.is_post_policy = t.is_post_policy` |
//! | `{and c.address = t.address}` | | `AND c.peer_address = t.peer_address` |

use std::sync::OnceLock;

use crate::model::RibKind;

/// A statement in its renderings, made when it is first used.
pub(super) struct PerRib {
    text: &'static str,
    rendered: OnceLock<[String; 6]>,
}

impl PerRib {
    pub(super) const fn new(text: &'static str) -> PerRib {
        PerRib { text, rendered: OnceLock::new() }
    }

    /// Returns the statement for the tables of `kind`.
    pub(super) fn on(&self, kind: RibKind) -> &str {
        let [loc_rib, adj_rib_in, adj_rib_out, nlri_loc_rib, nlri_adj_rib_in, nlri_adj_rib_out] =
            self.rendered.get_or_init(|| RibKind::ALL.map(|kind| render(self.text, kind)));
        match kind {
            RibKind::LocRib => loc_rib,
            RibKind::AdjRibIn => adj_rib_in,
            RibKind::AdjRibOut => adj_rib_out,
            RibKind::NlriLocRib => nlri_loc_rib,
            RibKind::NlriAdjRibIn => nlri_adj_rib_in,
            RibKind::NlriAdjRibOut => nlri_adj_rib_out,
        }
    }
}

/// Returns a text with its holes filled for the tables of `kind`. A hole with an unknown name stays, and PostgreSQL
/// rejects it.
pub fn render(text: &str, kind: RibKind) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (hole, after) = behind.split_once('}').unwrap_or((behind, ""));
        out.push_str(before);
        out.push_str(&fill(hole, kind).unwrap_or_else(|| format!("{{{hole}}}")));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn fill(hole: &str, kind: RibKind) -> Option<String> {
    let (routes, sync, staged) = match kind {
        RibKind::LocRib => ("current_routes", "rib_sync_status", "staged"),
        RibKind::AdjRibIn => ("adj_rib_in", "adj_rib_in_sync_status", "staged_in"),
        RibKind::AdjRibOut => ("adj_rib_out", "adj_rib_out_sync_status", "staged_out"),
        RibKind::NlriLocRib => ("nlri_loc_rib", "nlri_loc_rib_sync_status", "staged_nlri"),
        RibKind::NlriAdjRibIn => ("nlri_adj_rib_in", "nlri_adj_rib_in_sync_status", "staged_nlri_in"),
        RibKind::NlriAdjRibOut => ("nlri_adj_rib_out", "nlri_adj_rib_out_sync_status", "staged_nlri_out"),
    };
    match hole {
        "routes" => return Some(routes.to_owned()),
        "sync" => return Some(sync.to_owned()),
        "staged" => return Some(staged.to_owned()),
        "events" => return Some(if kind.is_nlri() { "nlri_route_events" } else { "route_events" }.to_owned()),
        "counts" => return Some(if kind.is_nlri() { "nlri_route_counts" } else { "route_counts" }.to_owned()),
        "staged_events" => return Some(if kind.is_nlri() { "staged_nlri_events" } else { "staged_events" }.to_owned()),
        _ => {}
    }
    let of_peer = match hole.strip_prefix("and ").and_then(|condition| condition.split_once(" = ")) {
        Some((left, right)) => {
            let both = columns(left)?.into_iter().zip(columns(right)?);
            both.map(|(left, right)| format!("AND {left} = {right}")).collect::<Vec<_>>().join(" ")
        }
        None => columns(hole)?.iter().map(|column| format!("{column}, ")).collect(),
    };
    Some(if kind.is_loc_rib() { String::new() } else { of_peer })
}

/// Returns the columns of a list, of a table if one is named before it.
fn columns(list: &str) -> Option<Vec<String>> {
    let (table, list) =
        list.rsplit_once('.').map_or((String::new(), list), |(table, list)| (format!("{table}."), list));
    let columns: &[&str] = match list {
        "peer" => &["peer_address", "is_post_policy"],
        "address" => &["peer_address"],
        "speaker" => &["peer_asn", "peer_bgp_id"],
        _ => return None,
    };
    Some(columns.iter().map(|column| format!("{table}{column}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_per_kind_of_rib() {
        let text = "SELECT {c.peer}prefix, {speaker}'{}' FROM {routes} c, {staged}_keys s, {sync} WHERE true {and c.peer = s.peer}";
        let loc_rib = "SELECT prefix, '{}' FROM current_routes c, staged_keys s, rib_sync_status WHERE true ";
        assert_eq!(render(text, RibKind::LocRib), loc_rib);
        let adj_rib = "SELECT c.peer_address, c.is_post_policy, prefix, peer_asn, peer_bgp_id, '{}' \
                       FROM adj_rib_out c, staged_out_keys s, adj_rib_out_sync_status \
                       WHERE true AND c.peer_address = s.peer_address AND c.is_post_policy = s.is_post_policy";
        assert_eq!(render(text, RibKind::AdjRibOut), adj_rib);
        assert_eq!(
            render("{and t.address = s.address}{x.y}", RibKind::AdjRibIn),
            "AND t.peer_address = s.peer_address{x.y}"
        );
        let all = RibKind::ALL.map(|kind| render("{routes}", kind));
        let nlri = ["nlri_loc_rib", "nlri_adj_rib_in", "nlri_adj_rib_out"];
        assert_eq!(all, [["current_routes", "adj_rib_in", "adj_rib_out"], nlri].concat()[..]);
    }
}
