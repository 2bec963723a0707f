//! Files of watches: CSV with a header of column names, a JSON array of objects with columns as keys, or BGPalerter's
//! list of prefixes.

use std::path::Path;

use serde_json::{Map, Value};

use super::bgpalerter;
use super::fields::{self, IGNORED};
use crate::cli::command::{CommandError, read_text};
use crate::imports::csv_text;
use crate::store::watch::watches::{RefusedWatch, WatchDocument};

/// The size of the largest file that is read: a million watches.
const BYTES_MAX: u64 = 256 << 20;

/// The watches of a file, and the lines that are none.
#[derive(Debug, Default)]
pub(super) struct WatchFile {
    /// The word for a watch's place in the file: `line` or `item`.
    pub(super) place: &'static str,
    pub(super) watches: Vec<WatchDocument>,
    pub(super) refused: Vec<RefusedWatch>,
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<WatchFile, CommandError> {
    let text = read_text(path, BYTES_MAX)?;
    let text = text.as_str();
    let content = if text.trim_start().starts_with(['[', '{']) {
        json(text)
    } else if bgpalerter::is_list(text) {
        list_of_prefixes(text)
    } else {
        csv(text)
    };
    content.map_err(|why| CommandError::Configuration(vec![format!("{}: {why}", path.display())]))
}

fn list_of_prefixes(text: &str) -> Result<WatchFile, String> {
    let mut content = WatchFile { place: "line", ..WatchFile::default() };
    for (line, watch) in bgpalerter::read(text).map_err(|(line, why)| format!("line {line}: {why}"))? {
        content.add(line, watch);
    }
    Ok(content)
}

fn csv(text: &str) -> Result<WatchFile, String> {
    let text = csv_text::read(text)?;
    let mut columns = Vec::new();
    for name in &text.header {
        columns.push(if IGNORED.contains(&name.as_str()) { None } else { Some(fields::column(name)?) });
    }
    for required in ["name", "kind"] {
        if !columns.contains(&Some(required)) {
            return Err(format!("its header has no column {required}"));
        }
    }
    let mut content = WatchFile { place: "line", ..WatchFile::default() };
    for (line, record) in text.records {
        let watch = if record.len() == columns.len() {
            let given = columns.iter().zip(&record).filter_map(|(column, text)| column.map(|column| (column, text)));
            given.map(|(column, text)| Ok((column.to_owned(), fields::from_text(column, text)?))).collect()
        } else {
            Err(format!("{} values, the header has {}", record.len(), columns.len()))
        };
        content.add(line, watch);
    }
    Ok(content)
}

fn json(text: &str) -> Result<WatchFile, String> {
    let items = match serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))? {
        Value::Array(items) => items,
        one @ Value::Object(_) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let mut content = WatchFile { place: "item", ..WatchFile::default() };
    for (i, item) in items.iter().enumerate() {
        let watch = match item {
            Value::Object(fields) => object(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err("is not an object".to_owned())
            }
        };
        content.add(i + 1, watch);
    }
    Ok(content)
}

fn object(fields: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let given = fields.iter().filter(|(name, _)| !IGNORED.contains(&name.as_str()));
    given
        .map(|(name, value)| {
            let column = fields::column(name)?;
            Ok((column.to_owned(), fields::from_json(column, value)?))
        })
        .collect()
}

impl WatchFile {
    fn add(&mut self, line: usize, watch: Result<Map<String, Value>, String>) {
        let named = watch.and_then(|fields| match fields.get("name") {
            Some(Value::String(_)) => Ok(fields),
            Some(_) | None => Err("has no name".to_owned()),
        });
        match named {
            Ok(fields) => self.watches.push(WatchDocument { line, fields }),
            Err(why) => self.refused.push(RefusedWatch { line, why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &WatchFile) -> Vec<String> {
        content.refused.iter().map(|refused| format!("{} {}: {}", content.place, refused.line, refused.why)).collect()
    }

    #[test]
    fn csv_is_read_by_its_header() {
        let content = csv("name,kind,prefix,expected_origins,id\n\
                           # ours\r\n\
                           web, prefix ,192.0.2.0/24,\"64496 64497\",7\n\
                           mail,prefix,192.0.2.1/24,,\n\
                           \n\
                           short,prefix\n\
                           ,prefix,192.0.2.0/24,,\n")
        .unwrap();
        assert_eq!(content.watches.len(), 1);
        let web = &content.watches[0];
        assert_eq!((web.line, web.fields["expected_origins"].to_string()), (3, "[64496,64497]".to_owned()));
        assert_eq!(web.fields.len(), 4, "the database fills the id");
        assert_eq!(
            refused(&content),
            [
                "line 4: prefix: 192.0.2.1/24 has host bits; did you mean 192.0.2.0/24?",
                "line 6: 2 values, the header has 5",
                "line 7: has no name"
            ]
        );
    }

    #[test]
    fn a_header_is_required() {
        let check = |text, want: &str| assert_eq!(csv(text).map(|_| ()), Err(want.to_owned()), "{text}");
        check("", "has no header of column names");
        check("name,kind,pefix\n", "there is no column \"pefix\"; did you mean prefix?");
        check("name,prefix\n", "its header has no column kind");
    }

    #[test]
    fn json_is_an_array_of_objects() {
        let content = json(
            r#"[{"name": "web", "kind": "prefix", "source": "x"}, 7, {"name": 1, "kind": "prefix"},
                               {"name": "x", "knid": "prefix"}]"#,
        )
        .unwrap();
        assert_eq!(content.watches.len(), 1);
        assert_eq!(
            refused(&content),
            [
                "item 2: is not an object",
                "item 3: name: 1 is of the wrong type",
                "item 4: there is no column \"knid\"; did you mean kind?"
            ]
        );
        assert!(json("[{]").is_err_and(|why| why.starts_with("is not JSON: ")));
        assert!(json("[]").unwrap().watches.is_empty());
    }
}
