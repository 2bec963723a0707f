//! Sites, nodes, containers and services with their states.

use postgres::Client;

use super::super::error::Result;
use crate::model::Timestamp;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `site`, `node`, `container` or `service`.
    pub(crate) kind: String,
    /// Its number in its table.
    pub(crate) id: i32,
    /// Its name.
    pub(crate) name: String,
    /// Of a container its status, if it is not running; of a service its type and whose address decides.
    pub(crate) note: Option<String>,
    /// Its address, or the one that decides.
    pub(crate) address: Option<String>,
    /// The text of its state.
    pub(crate) state: String,
    /// Since when it is so.
    pub(crate) since: Option<Timestamp>,
    /// The number of vantages that can tell, and of those at which it is not reachable.
    pub(crate) vantages: (i64, i64),
    /// Why nobody can tell.
    pub(crate) why: Option<String>,
}

impl Entry {
    /// Returns how deep it is in the tree.
    pub(crate) fn depth(&self) -> usize {
        match self.kind.as_str() {
            "site" => 0,
            "node" => 1,
            "container" => 2,
            _ => 3,
        }
    }

    /// Returns whether it is known that something is wrong.
    pub(crate) fn is_bad(&self) -> bool {
        !matches!(self.state.as_str(), "reachable" | "unknown")
    }
}

/// Returns all of them, each before what is in it.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn tree(client: &mut Client) -> Result<Vec<Entry>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/inventory_tree.sql"), &[])?;
    let entry = |row: &postgres::Row| Entry {
        kind: row.get("kind"),
        id: row.get("id"),
        name: row.get("name"),
        note: row.get("note"),
        address: row.get("address"),
        state: row.get("state"),
        since: row.get::<_, Option<i64>>("since").map(Timestamp::from_unix_micros),
        vantages: (row.get("known_vantages"), row.get("bad_vantages")),
        why: row.get("why"),
    };
    Ok(rows.iter().map(entry).collect())
}

/// Keeps what `is_wanted` names, and the places that it is in.
pub(crate) fn with_places(entries: Vec<Entry>, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
    let mut kept = Vec::new();
    let mut above: Vec<Entry> = Vec::new();
    for entry in entries {
        above.retain(|place| place.depth() < entry.depth());
        if is_wanted(&entry) {
            kept.append(&mut above);
            kept.push(entry);
        } else {
            above.push(entry);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_keeps_its_places() {
        let entry = |kind: &str, name: &str| Entry {
            kind: kind.to_owned(),
            id: 1,
            name: name.to_owned(),
            note: None,
            address: None,
            state: if name.ends_with('!') { "unreachable" } else { "reachable" }.to_owned(),
            since: None,
            vantages: (1, 0),
            why: None,
        };
        let all = [
            ("site", "a"),
            ("node", "a1"),
            ("container", "a1c"),
            ("service", "s!"),
            ("service", "t!"),
            ("container", "a1d"),
            ("site", "b"),
            ("node", "b1!"),
            ("container", "b1c"),
        ];
        let kept = with_places(all.iter().map(|(kind, name)| entry(kind, name)).collect(), Entry::is_bad);
        let names: Vec<&str> = kept.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "a1", "a1c", "s!", "t!", "b", "b1!"]);
    }
}
