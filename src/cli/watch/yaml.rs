//! YAML as a tree of nodes with line numbers. Anchors are not followed, so that a small file stays small, and depth and
//! number of nodes are bounded.

use saphyr_parser::{BufferedInput, Event, Parser, ScalarStyle, ScanError, Span};

/// The largest depth of a tree.
const DEPTH_MAX: usize = 16;

/// The largest number of nodes of one entry.
const NODES_MAX: usize = 100_000;

/// A value and the line that it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Yaml,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// Text without quotes around it: also a number, a truth value or nothing.
    Plain(String),
    /// Text in quotes, or in a block.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in order, and keys may repeat.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Returns the text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Plain(text) | Yaml::Quoted(text) => Some(text),
            Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// Returns whether nothing is given.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Yaml::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// A line and what is wrong with it.
pub(super) type Wrong = (usize, String);

type Events<'a> = Parser<'a, BufferedInput<std::str::Chars<'a>>>;

/// Calls `entry` with each key and value of the mapping that `text` is. Only one of them is in memory at a time.
///
/// # Errors
/// When the text is not YAML, or not one mapping.
pub(super) fn entries(text: &str, mut entry: impl FnMut(Node, Node)) -> Result<(), Wrong> {
    let mut events: Events<'_> = Parser::new_from_iter(text.chars());
    let mut documents = 0;
    loop {
        let (event, line) = next(&mut events)?;
        match event {
            Event::StreamEnd => return Ok(()),
            Event::MappingStart(..) if documents == 1 => {
                while let Some(key) = node(&mut events)? {
                    let value = node(&mut events)?.ok_or((key.line, "a key has no value".to_owned()))?;
                    entry(key, value);
                }
            }
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err((line, "a second document begins: give it a file of its own".to_owned()));
                }
            }
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::MappingStart(..)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::Alias(_)
            | Event::SequenceEnd
            | Event::MappingEnd => return Err((line, "is not a mapping of prefixes".to_owned())),
        }
    }
}

fn next<'a>(events: &mut Events<'a>) -> Result<(Event<'a>, usize), Wrong> {
    let wrong = |error: &ScanError| (error.marker().line(), format!("is not YAML: {}", error.info()));
    match events.next_event() {
        Some(Ok((event, Span { start, .. }))) => Ok((event, start.line())),
        Some(Err(error)) => Err(wrong(&error)),
        None => Ok((Event::StreamEnd, 0)),
    }
}

/// A list or mapping that is not complete.
struct Open {
    line: usize,
    is_map: bool,
    items: Vec<Node>,
}

/// Reads the next node; `None` at the end of the mapping around it.
fn node(events: &mut Events<'_>) -> Result<Option<Node>, Wrong> {
    let mut open: Vec<Open> = Vec::new();
    for _ in 0..NODES_MAX {
        let (event, line) = next(events)?;
        let done = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => Node { line, value: Yaml::Plain(text.into_owned()) },
            Event::Scalar(text, ..) => Node { line, value: Yaml::Quoted(text.into_owned()) },
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == DEPTH_MAX {
                    return Err((line, format!("is nested more than {DEPTH_MAX} deep")));
                }
                open.push(Open { line, is_map: matches!(event, Event::MappingStart(..)), items: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open { line, is_map: false, items }) => Node { line, value: Yaml::List(items) },
                Some(Open { line, is_map: true, items }) => Node { line, value: Yaml::Map(pairs(items)) },
                None => return Ok(None),
            },
            Event::Alias(_) => return Err((line, "has an alias (*): write out what it stands for".to_owned())),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {
                return Err((line, "ends too early".to_owned()));
            }
        };
        match open.last_mut() {
            Some(around) => around.items.push(done),
            None => return Ok(Some(done)),
        }
    }
    let line = open.first().map_or(0, |first| first.line);
    Err((line, format!("one entry has more than {NODES_MAX} values")))
}

fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(Node, Node)>, Wrong> {
        let mut all = Vec::new();
        entries(text, |key, value| all.push((key, value))).map(|()| all)
    }

    #[test]
    fn values_have_lines() {
        let all = read("# ours\na:\n  - 1\n  - \"2\"\nb: {c: ~}\nb:\n").unwrap();
        let plain = |line, text: &str| Node { line, value: Yaml::Plain(text.to_owned()) };
        let quoted = Node { line: 4, value: Yaml::Quoted("2".to_owned()) };
        assert_eq!(all[0], (plain(2, "a"), Node { line: 3, value: Yaml::List(vec![plain(3, "1"), quoted]) }));
        assert_eq!(all[1].1, Node { line: 5, value: Yaml::Map(vec![(plain(5, "c"), plain(5, "~"))]) });
        assert_eq!(all.len(), 3, "a key that repeats is there twice");
        assert!(all[2].1.is_null());
    }

    #[test]
    fn hostile_yaml_is_refused_at_once() {
        let check = |text: &str, line: usize, want: &str| {
            let (at, why) = read(text).unwrap_err();
            assert!(at == line && why.contains(want), "{at}: {why}");
        };
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\n";
        check(bomb, 2, "has an alias");
        check(&format!("a: {}", "[".repeat(100_000)), 1, "");
        check(&format!("a: {}{}", "[".repeat(20), "]".repeat(20)), 1, "nested more than 16 deep");
        check(&format!("a: [{}]", "1,".repeat(NODES_MAX + 1)), 1, "one entry has more than");
        check("- a\n- b\n", 1, "is not a mapping");
        check("just text", 1, "is not a mapping");
        check("a: 1\n---\nb: 2\n", 2, "a second document");
        check("a: 'x\n", 1, "is not YAML");
        assert_eq!(read("# nothing\n"), Ok(Vec::new()));
    }
}
