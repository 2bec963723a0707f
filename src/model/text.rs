//! Text from a router: made safe for PostgreSQL, bounded, and displayed without moving a cursor.
//!
//! Every text from the wire that is stored is made here, as a [key](Text::key) or as a [note](Text::note); no longer
//! one reaches an index or a payload.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};

/// The longest key, in characters. RFC 9069 section 5.2.1 allows table names of 255 octets, so none that it allows is
/// cut.
pub(crate) const KEY_CHARACTERS_MAX: usize = 255;

/// The longest key, in octets of UTF-8.
///
/// A B-tree accepts rows of at most 2,704 octets. The widest index of ours may contain three texts of a router: its
/// `router_id` (512), a table's own name and the `table_name` made of it. A name with each `|` and `%` written as three
/// octets has at most 850 (85 characters of four octets and 170 bars), and the suffix after a name (`|labelled` or
/// `|rd:`, `|as:`, `|id:` or `|instance:`) less than 100. That makes 512 + 850 + 950 = 2,312, which leaves 392 for an
/// address, a prefix, numbers, a distinguisher and the lengths of all of them.
pub(crate) const KEY_OCTETS_MAX: usize = 512;

/// The longest note, in octets of UTF-8.
pub(crate) const NOTE_OCTETS_MAX: usize = 1_024;

/// Hexadecimal digits of the hash that marks a cut key.
const MARK_DIGITS: usize = 16;

/// The character at the end of a cut note.
const CUT: char = '…';

/// Text from the wire, safe for PostgreSQL: valid UTF-8 without NUL.
///
/// RFC 7854 section 4.4 requires UTF-8 in Initiation TLVs; routers also send other octets. Invalid sequences become
/// U+FFFD, so that no byte of a router can fail a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    text: String,
    replaced: bool,
    cut: bool,
}

impl Text {
    /// Returns text that becomes part of a key: a table's or a router's name. Text longer than `KEY_CHARACTERS_MAX`
    /// or `KEY_OCTETS_MAX` is cut at a character and ends in `~` and a hash of all of it: two different long names
    /// stay different.
    pub fn key(bytes: &[u8]) -> Text {
        // Longer input has more characters than a key in any case; the rest need not be scanned.
        let front = front(bytes, 4 * KEY_CHARACTERS_MAX + 4);
        let mut key = Text::whole(front);
        let is_long = key.text.len() > KEY_OCTETS_MAX || key.text.chars().nth(KEY_CHARACTERS_MAX).is_some();
        if is_long || front.len() < bytes.len() {
            cut_to(&mut key.text, KEY_CHARACTERS_MAX - MARK_DIGITS - 1, KEY_OCTETS_MAX - MARK_DIGITS - 1);
            let hash = Sha256::digest(bytes);
            key.text.push('~');
            key.text.extend(hash[..MARK_DIGITS / 2].iter().map(|octet| format!("{octet:02x}")));
            key.cut = true;
        }
        key
    }

    /// Returns text that is read by people: a description, the reason of an end. It is cut at a character to
    /// `NOTE_OCTETS_MAX` octets, which include an ellipsis at its end.
    pub fn note(bytes: &[u8]) -> Text {
        let front = front(bytes, NOTE_OCTETS_MAX + 4);
        let mut note = Text::whole(front);
        if note.text.len() > NOTE_OCTETS_MAX || front.len() < bytes.len() {
            cut_to(&mut note.text, NOTE_OCTETS_MAX, NOTE_OCTETS_MAX - CUT.len_utf8());
            note.text.push(CUT);
            note.cut = true;
        }
        note
    }

    /// Returns the whole text, however long, for `decode`; stored text is a [`Text::key`] or a [`Text::note`].
    pub fn whole(bytes: &[u8]) -> Text {
        let (text, replaced) = match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => (text.to_owned(), false),
            _ => (String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}"), true),
        };
        Text { text, replaced, cut: false }
    }

    /// Returns the text as a string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns whether bytes were replaced because they were invalid.
    pub fn was_replaced(&self) -> bool {
        self.replaced
    }

    /// Returns whether the text was cut.
    pub fn was_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the first `octets` of `bytes`, without those of a character that extends past them.
fn front(bytes: &[u8], octets: usize) -> &[u8] {
    let is_start = |end: &usize| bytes.get(*end).is_none_or(|octet| octet & 0xc0 != 0x80);
    let end = bytes.len().min(octets);
    // A character has four octets at most; more continuation octets in a row are not UTF-8.
    &bytes[..(end.saturating_sub(3)..=end).rev().find(is_start).unwrap_or(end)]
}

/// Cuts `text` to as many whole characters as both bounds allow.
fn cut_to(text: &mut String, characters: usize, octets: usize) {
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = ends.take(characters).take_while(|end| *end <= octets).last().unwrap_or(0);
    text.truncate(end);
}

/// Returns `text` for a terminal or a log line: a character that moves the cursor, changes the direction of writing or
/// is invisible becomes an escape, `\u{202e}` for example. A router's name must not be able to forge a line.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The same for a text in JSON, which already contains JSON's own escapes: `\u202e`.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    let is_raw = |c: char| c != '\n' && is_unprintable(c);
    // Most lines are ASCII, whose control characters JSON has already escaped.
    if json.bytes().all(|octet| octet < 0x7f) || !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_raw(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns whether the character is a control character, in the Unicode category Cf (format), or a line or paragraph
/// separator.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_bad_utf8_are_replaced() {
        let check = |bytes: &[u8], text: &str, replaced| {
            for made in [Text::whole(bytes), Text::key(bytes), Text::note(bytes)] {
                assert_eq!((made.as_str(), made.was_replaced(), made.was_cut()), (text, replaced, false));
            }
        };
        check(b"edge1", "edge1", false);
        check("é".as_bytes(), "é", false);
        check(b"a\0b", "a\u{fffd}b", true);
        check(b"a\xffb", "a\u{fffd}b", true);
    }

    #[test]
    fn keys_are_bounded_at_every_length_and_distinct() {
        for piece in ["a", "|", "é", "€", "\u{10348}", "ab\u{10348}", "\u{7}"] {
            for count in (0..400).chain([1_000, 70_000]) {
                let long = piece.repeat(count);
                let key = Text::key(long.as_bytes());
                let (characters, octets) = (key.as_str().chars().count(), key.as_str().len());
                assert!(characters <= KEY_CHARACTERS_MAX && octets <= KEY_OCTETS_MAX, "{piece} {count}");
                let fits = long.chars().count() <= KEY_CHARACTERS_MAX && long.len() <= KEY_OCTETS_MAX;
                assert_eq!((key.was_cut(), key.as_str() == long), (!fits, fits), "{piece} {count}");
                assert!(!key.was_replaced(), "cut inside a character: {piece} {count}");
            }
        }
        let (one, two) = ("x".repeat(60_000), format!("{}y", "x".repeat(59_999)));
        let keys = [Text::key(one.as_bytes()), Text::key(two.as_bytes())];
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0], Text::key(one.as_bytes()));
        assert_eq!(keys[0].as_str().len(), 255);
        // Invalid octets have three octets each once replaced.
        assert!(Text::key(&[0xff; 70_000]).as_str().len() <= KEY_OCTETS_MAX);
    }

    #[test]
    fn notes_are_cut_at_a_character() {
        assert_eq!(Text::note(&[b'a'; NOTE_OCTETS_MAX]).as_str().len(), NOTE_OCTETS_MAX);
        for piece in ["a", "é", "€", "\u{10348}", "a€"] {
            let note = Text::note(piece.repeat(70_000).as_bytes());
            assert!(note.as_str().len() <= NOTE_OCTETS_MAX && note.as_str().ends_with('…') && note.was_cut());
            let kept = note.as_str().trim_end_matches('…');
            assert!(kept.len() > NOTE_OCTETS_MAX - 8 && piece.repeat(1_024).starts_with(kept), "{piece}");
            assert!(!note.was_replaced(), "cut inside a character: {piece}");
        }
    }

    #[test]
    fn what_is_not_seen_is_escaped() {
        let check = |text: &str, want: &str| assert_eq!(printable(text), want);
        check("Zürich 東京", "Zürich 東京");
        check("edge1\n<3>forged\u{1b}[2J", "edge1\\n<3>forged\\u{1b}[2J");
        check(
            "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}\u{2028}\u{9b}",
            "\\u{202e}txt.exe\\u{2066}\\u{200b}\\u{feff}\\u{2028}\\u{9b}",
        );
        assert_eq!(printable_json("{\"a\":\"b\u{202e}\u{e0041}\"}\n"), "{\"a\":\"b\\u202e\\udb40\\udc41\"}\n");
        assert_eq!(printable_json("{\"a\":\"é\"}\n"), "{\"a\":\"é\"}\n");
    }
}
