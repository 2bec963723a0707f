//! What a malformed path attribute costs: THE table of RFC 7606 actions.
//!
//! The router has decided already; a monitor keeps the truth it can read. So a missing mandatory attribute is no
//! error here, rules for external neighbours are not applied, and a present but empty list of communities
//! is an empty list.

use std::borrow::Cow;

/// What is done about a malformed attribute (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// The UPDATE's announcements count as withdrawals.
    TreatAsWithdraw,
    /// The attribute is dropped, the routes stay.
    AttributeDiscard,
}

/// One action that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The attribute's type code.
    pub attribute: u8,
    /// What was done.
    pub action: FaultAction,
    /// Why, with the section that says so.
    pub why: Cow<'static, str>,
}

/// What a malformed attribute of this type costs, and where it is written. `None`: no rule, nothing to check.
pub fn action_for(attribute: u8) -> Option<(FaultAction, &'static str)> {
    use FaultAction::{AttributeDiscard, TreatAsWithdraw};
    Some(match attribute {
        1 => (TreatAsWithdraw, "RFC 7606 section 7.1"),
        2 => (TreatAsWithdraw, "RFC 7606 section 7.2"),
        3 => (TreatAsWithdraw, "RFC 7606 section 7.3"),
        4 => (TreatAsWithdraw, "RFC 7606 section 7.4"),
        5 => (TreatAsWithdraw, "RFC 7606 section 7.5"),
        6 => (AttributeDiscard, "RFC 7606 section 7.6"),
        7 => (AttributeDiscard, "RFC 7606 section 7.7"),
        8 => (TreatAsWithdraw, "RFC 7606 section 7.8"),
        9 => (TreatAsWithdraw, "RFC 7606 section 7.9"),
        10 => (TreatAsWithdraw, "RFC 7606 section 7.10"),
        16 => (TreatAsWithdraw, "RFC 7606 section 7.14"),
        17 | 18 => (AttributeDiscard, "RFC 6793 section 6"),
        22 => (TreatAsWithdraw, "RFC 6514 section 5"),
        23 => (TreatAsWithdraw, "RFC 9012 section 13"),
        25 => (TreatAsWithdraw, "RFC 7606 section 7.15"),
        26 => (AttributeDiscard, "RFC 7311 section 3.2"),
        32 => (TreatAsWithdraw, "RFC 8092 section 6"),
        35 => (TreatAsWithdraw, "RFC 9234 section 5"),
        128 => (TreatAsWithdraw, "RFC 7606 section 7.16"),
        _ => return None,
    })
}

/// Whether the Optional and Transitive bits are what the attribute's definition says (RFC 7606 section 3 c).
/// Attributes that are not named here are unchecked.
///
/// An octet that cannot have been meant contradicts nothing, and the value is the truth that can be read: neither bit
/// set (no attribute is that), or one of the four low bits set (RFC 4271 section 4.3: zero when sent). Software that
/// makes BMP messages up, rather than passing on what a peer sent, fills in both.
pub fn flags_fit(attribute: u8, flags: u8) -> bool {
    const OPTIONAL: u8 = 0x80;
    const TRANSITIVE: u8 = 0x40;
    const UNUSED: u8 = 0x0f;
    let want = match attribute {
        1..=3 | 5 | 6 => TRANSITIVE,
        // AIGP: RFC 7311 section 3.2.
        4 | 9 | 10 | 26 => OPTIONAL,
        7 | 8 | 16 | 32 | 35 => OPTIONAL | TRANSITIVE,
        _ => return true,
    };
    let got = flags & (OPTIONAL | TRANSITIVE);
    got == want || got == 0 || flags & UNUSED != 0
}
