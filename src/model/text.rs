//! Text that came from a router.

use std::fmt;

/// Text from the wire, safe for PostgreSQL: valid UTF-8 without NUL.
///
/// RFC 7854 section 4.4 promises UTF-8 in Initiation TLVs; routers send what they like. What is not
/// valid becomes U+FFFD, so that no byte of a router can fail a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    text: String,
    replaced: bool,
}

impl Text {
    /// Reads `bytes` as UTF-8 and replaces what is not.
    pub fn from_wire(bytes: &[u8]) -> Text {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Text { text: text.to_owned(), replaced: false },
            _ => Text { text: String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}"), replaced: true },
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether bytes had to be replaced.
    pub fn was_replaced(&self) -> bool {
        self.replaced
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_bad_utf8_are_replaced() {
        let check = |bytes: &[u8], text: &str, replaced| {
            let got = Text::from_wire(bytes);
            assert_eq!((got.as_str(), got.was_replaced()), (text, replaced));
        };
        check(b"edge1", "edge1", false);
        check("é".as_bytes(), "é", false);
        check(b"a\0b", "a\u{fffd}b", true);
        check(b"a\xffb", "a\u{fffd}b", true);
    }
}
