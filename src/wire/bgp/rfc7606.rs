//! The actions for malformed path attributes: THE table of RFC 7606.
//!
//! The router has decided already; a monitor keeps all the data that it can decode. So a missing mandatory attribute is
//! not an error here, rules for external peers are not applied, and a present but empty list of communities is an empty
//! list.

use std::borrow::Cow;

/// The action for a malformed attribute (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// The routes that the UPDATE announces are withdrawn.
    TreatAsWithdraw,
    /// The attribute is dropped and the routes are kept.
    AttributeDiscard,
}

/// One action that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The attribute's type code.
    pub attribute: u8,
    /// The action.
    pub action: FaultAction,
    /// The reason, with the RFC section that requires the action.
    pub why: Cow<'static, str>,
}

/// Returns the action for a malformed attribute of this type, and the RFC section that requires it. `None`: no rule,
/// nothing to check.
pub(crate) fn action_for(attribute: u8) -> Option<(FaultAction, &'static str)> {
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
        40 => (AttributeDiscard, "RFC 8669 section 6"),
        128 => (TreatAsWithdraw, "RFC 7606 section 7.16"),
        _ => return None,
    })
}

/// Returns whether the Optional and Transitive bits agree with the attribute's definition (RFC 7606 section 3 c).
/// Attributes that are not listed here are unchecked.
///
/// A flags octet that no speaker can have intended counts as agreeing, and the value is used as decoded: neither bit
/// set (no attribute is defined so), or one of the four low bits set (RFC 4271 section 4.3: zero when sent). Software
/// that generates BMP messages, rather than forwarding the attributes of a peer, sends both.
pub(crate) fn flags_fit(attribute: u8, flags: u8) -> bool {
    const UNUSED: u8 = 0x0f;
    let defined = DEFINED_FLAGS[usize::from(attribute)];
    let got = flags & (OPTIONAL | TRANSITIVE);
    defined == got || defined == 0 || got == 0 || flags & UNUSED != 0
}

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;

/// The result of [`defined_flags`] for each type, as a table: it is looked up for every attribute.
static DEFINED_FLAGS: [u8; 256] = {
    let mut all = [0; 256];
    let mut attribute = 0;
    while attribute < u8::MAX {
        all[attribute as usize] = defined_flags(attribute);
        attribute += 1;
    }
    all
};

/// Returns the Optional and Transitive bits of an attribute's definition; neither bit means "not checked".
const fn defined_flags(attribute: u8) -> u8 {
    match attribute {
        1..=3 | 5 | 6 => TRANSITIVE,
        // AIGP: RFC 7311 section 3.2.
        4 | 9 | 10 | 26 => OPTIONAL,
        7 | 8 | 16 | 32 | 35 => OPTIONAL | TRANSITIVE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::attributes;
    use crate::wire::bgp::routes::Routes;
    use crate::wire::bmp::peer::AsWidth;
    use crate::wire::reader::Reader;

    /// Returns the action taken for an UPDATE with this attribute alone.
    fn cost(flags: u8, code: u8, value: &[u8]) -> Option<FaultAction> {
        let length = u8::try_from(value.len()).unwrap();
        let bytes = [&[flags, code, length][..], value].concat();
        let mut routes = Routes::default();
        attributes::decode(Reader::new(&bytes, 0), AsWidth::Four, &mut routes);
        assert!(routes.actions.iter().all(|fault| fault.attribute == code && !fault.why.is_empty()));
        routes.actions.first().map(|fault| fault.action)
    }

    /// Flags, type code, a well-formed value, and some malformed ones.
    type Case = (u8, u8, &'static [u8], &'static [&'static [u8]]);

    const CASES: [Case; 21] = [
        (0x40, 1, &[2], &[&[], &[3], &[0, 0]]),
        (0x40, 2, &[2, 1, 0, 0, 0, 1], &[&[2], &[2, 0], &[9, 1, 0, 0, 0, 1], &[2, 2, 0, 0, 0, 1, 0]]),
        (0x40, 3, &[192, 0, 2, 1], &[&[], &[192, 0, 2], &[0; 5]]),
        (0x80, 4, &[0, 0, 0, 1], &[&[], &[1, 2, 3], &[0; 5]]),
        (0x40, 5, &[0, 0, 0, 1], &[&[], &[1, 2, 3], &[0; 5]]),
        (0x40, 6, &[], &[&[0]]),
        (0xc0, 7, &[0, 0, 0, 1, 10, 0, 0, 1], &[&[], &[0; 5], &[0; 7], &[0; 9]]),
        (0xc0, 8, &[0, 1, 0, 2], &[&[0; 3], &[0; 5]]),
        (0x80, 9, &[10, 0, 0, 1], &[&[], &[0; 3], &[0; 5]]),
        (0x80, 10, &[10, 0, 0, 1], &[&[], &[0; 3], &[0; 5]]),
        (0xc0, 16, &[0; 8], &[&[0; 7], &[0; 9]]),
        (0xc0, 17, &[2, 1, 0, 0, 0, 1], &[&[], &[2, 1, 0, 1], &[9, 1, 0, 0, 0, 1]]),
        (0xc0, 18, &[0; 8], &[&[], &[0; 6], &[0; 9]]),
        (0xc0, 22, &[0; 5], &[&[], &[0; 4]]),
        (0xc0, 23, &[0, 8, 0, 0], &[&[], &[0, 8, 0, 1]]),
        (0xc0, 25, &[0; 20], &[&[0; 19], &[0; 21]]),
        (0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1], &[&[], &[1, 0, 2], &[1, 0, 11, 0], &[2, 0, 3]]),
        (0xc0, 32, &[0; 12], &[&[0; 11], &[0; 13]]),
        (0xc0, 35, &[0, 0, 0, 1], &[&[], &[0; 3], &[0; 5]]),
        (0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9], &[&[1], &[1, 0, 7, 0]]),
        (
            0xc0,
            128,
            &[0; 4],
            &[
                // Too short; with an attribute that runs past the end; with a malformed one; with a set; with NLRI in
                // it.
                &[],
                &[0; 3],
                &[0, 0, 0, 1, 0x40, 1, 2, 0],
                &[0, 0, 0, 1, 0x40, 1, 1, 9],
                &[0, 0, 0, 1, 0xc0, 128, 4, 0, 0, 0, 1],
                &[0, 0, 0, 1, 0x80, 15, 3, 0, 1, 1],
            ],
        ),
    ];

    #[test]
    fn each_malformed_attribute_costs_what_the_table_says() {
        for (flags, code, right, wrong) in CASES {
            assert_eq!(cost(flags, code, right), None, "{code}");
            for value in wrong {
                assert_eq!(cost(flags, code, value), action_for(code).map(|(action, _)| action), "{code} {value:?}");
            }
        }
    }

    #[test]
    fn every_rule_of_the_table_has_a_case() {
        let with_a_rule: Vec<u8> = (0..=u8::MAX).filter(|code| action_for(*code).is_some()).collect();
        assert_eq!(with_a_rule, CASES.map(|(_, code, ..)| code));
    }

    #[test]
    fn flags_that_contradict_the_type_are_malformed() {
        for (flags, code, right, _) in CASES {
            // Optional instead of well-known, non-transitive instead of transitive, and the reverse.
            for wrong in [flags ^ 0x80, flags ^ 0x40].into_iter().filter(|wrong| wrong & 0xc0 != 0) {
                let want = if flags_fit(code, wrong) { None } else { action_for(code).map(|(action, _)| action) };
                assert_eq!(cost(wrong, code, right), want, "{code} {wrong:#x}");
            }
        }
        assert_eq!(cost(0xc0, 1, &[0]), Some(FaultAction::TreatAsWithdraw));
        assert_eq!(cost(0xc0, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]), Some(FaultAction::AttributeDiscard));
        assert_eq!((cost(0x00, 1, &[0]), cost(0xc1, 1, &[0])), (None, None));
    }

    #[test]
    fn what_is_discarded_in_an_attr_set_leaves_the_set() {
        // ATOMIC_AGGREGATE with a value, twice; an AS_PATH of four octets in a session of two.
        let set = [0, 0, 0xfb, 0xf0, 0x40, 6, 1, 0, 0x40, 6, 0, 0x40, 2, 6, 2, 1, 0, 1, 0, 0];
        let bytes = [&[0xc0, 128, u8::try_from(set.len()).unwrap()][..], &set].concat();
        let mut routes = Routes::default();
        attributes::decode(Reader::new(&bytes, 0), AsWidth::Two, &mut routes);
        let why = "in ATTR_SET: length is not 0 (RFC 7606 section 7.6)".into();
        assert_eq!(routes.actions, [Fault { attribute: 6, action: FaultAction::AttributeDiscard, why }]);
        let text = serde_json::Value::from(routes.attributes.attrs()).to_string();
        assert_eq!(text, r#"{"attr_set":{"attributes":{"as_path":"65536"},"origin_as":64496}}"#);
    }

    #[test]
    fn lists_of_communities_may_be_empty() {
        for code in [8, 16, 25, 32] {
            assert_eq!(cost(0xc0, code, &[]), None, "{code}");
        }
    }
}
