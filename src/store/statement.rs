//! One text for each statement, for every kind of RIB.
//!
//! Statements are written for the Loc-RIB, as plain SQL. The additional parts for an Adj-RIB are in comments that begin
//! with `/*adj`: for an Adj-RIB these comments become code, and the tables are renamed.

use crate::model::RibKind;

/// The start of a part of a statement that is for Adj-RIBs only; `*/` ends it.
const ADJ_RIB_PART: &str = "/*adj ";

/// Returns `statement`, written for `current_routes` and `rib_sync_status`, for the tables of `kind`.
pub(super) fn on(kind: RibKind, statement: &str) -> String {
    let (routes, staged) = match kind {
        RibKind::LocRib => return statement.to_owned(),
        RibKind::AdjRibIn => ("adj_rib_in", "staged_in_"),
        RibKind::AdjRibOut => ("adj_rib_out", "staged_out_"),
    };
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some((before, behind)) = rest.split_once(ADJ_RIB_PART) {
        let (part, after) = behind.split_once("*/").unwrap_or((behind, ""));
        out.push_str(before);
        out.push_str(part);
        rest = after;
    }
    out.push_str(rest);
    out.replace("rib_sync_status", &format!("{routes}_sync_status"))
        .replace("current_routes", routes)
        .replace("staged_", staged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_code_for_adj_ribs() {
        let text =
            "SELECT /*adj peer_address, */prefix FROM current_routes, staged_keys -- not rib_sync_status\n/*adj x*/";
        assert_eq!(on(RibKind::LocRib, text), text);
        let want = "SELECT peer_address, prefix FROM adj_rib_out, staged_out_keys -- not adj_rib_out_sync_status\nx";
        assert_eq!(on(RibKind::AdjRibOut, text), want);
    }
}
