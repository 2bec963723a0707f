//! BGPalerter's list of prefixes: each prefix becomes a watch of kind `prefix`, each AS of `options.monitorASns` one of
//! kind `origin`. `docs/watch.md` lists what each key becomes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::yaml::{self, Node, Wrong, Yaml};
use super::{bgpalerter_path, fields};
use crate::cli::command::did_you_mean;
use crate::config::value::{network, quoted};
use crate::model::watch::Kind;

/// A line of the file, and the watch that begins there or the reason why there is none.
pub(super) type Entry = (usize, Result<Map<String, Value>, String>);

/// The groups that are told of everything: watches of theirs are the operator's.
const OPERATOR_GROUPS: [&str; 2] = ["default", "noc"];

/// BGPalerter's monitors by their name in its `config.yml`, and by their file, and the conditions of each.
const MONITORS: [(&str, &str, &[&str]); 8] = [
    ("basic-hijack-detection", "monitorHijack", &["origin", "more_specific"]),
    ("prefix-detection", "monitorNewPrefix", &["more_specific_own"]),
    ("path-matching", "monitorPath", &["path"]),
    ("withdrawal-detection", "monitorVisibility", &["missing"]),
    ("asn-monitor", "monitorAS", &[]),
    ("rpki-monitor", "monitorRPKI", &["rpki_invalid", "rpki_uncovered", "roa_expiring", "roa_changed"]),
    ("rpki-monitor", "monitorROAS", &["roa_expiring", "roa_changed"]),
    ("path-neighbors", "monitorPathNeighbors", &["upstream", "downstream"]),
];

/// Returns whether a file is such a list: its first line that says something has a colon, which no name of a column
/// has.
pub(super) fn is_list(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.contains(':') || line.starts_with("---") || line.starts_with('%'))
}

/// Reads a list.
///
/// # Errors
/// When the text is not YAML, or no list of prefixes.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Wrong> {
    let mut found: Vec<Entry> = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    yaml::entries(text, |key, value| {
        let name = key.text().unwrap_or_default();
        let before = lines.len();
        let first = *lines
            .entry(network(name).map_or_else(|_| name.to_owned(), |prefix| prefix.to_string()))
            .or_insert(key.line);
        if lines.len() == before {
            found.push((key.line, Err(format!("{} is there already, in line {first}", quoted(name)))));
        } else if name == "options" {
            options(&key, &value, &mut found);
        } else {
            match prefix(name, &value) {
                Ok(fields) => found.push((key.line, Ok(fields))),
                Err(wrong) => found.extend(wrong.into_iter().map(|(line, why)| (line, Err(why)))),
            }
        }
    })?;
    Ok(found)
}

/// The entry of one prefix.
#[derive(Default)]
struct Given {
    fields: Map<String, Value>,
    description: Option<String>,
    path_notes: Vec<String>,
    /// The conditions of `includeMonitors`.
    included: Option<Vec<&'static str>>,
    /// Those of `excludeMonitors`.
    excluded: Vec<&'static str>,
    are_more_specifics_ignored: bool,
    is_ignored: bool,
}

fn prefix(name: &str, value: &Node) -> Result<Map<String, Value>, Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut given = Given::default();
    let target = match network(name) {
        Ok(prefix) => prefix.to_string(),
        Err(why) => return Err(vec![(value.line, why)]),
    };
    let Yaml::Map(pairs) = &value.value else {
        return Err(vec![(value.line, format!("{target} has no keys below it"))]);
    };
    let mut known: Vec<&str> = Vec::new();
    for (key, value) in pairs {
        let word = key.text().unwrap_or_default();
        if known.contains(&word) {
            wrong.push((key.line, format!("{word} is given twice")));
        } else if let Err((line, why)) = given.take(word, value) {
            wrong.push((if line == 0 { key.line } else { line }, format!("{word}: {why}")));
        }
        known.push(word);
    }
    if !known.contains(&"asn") {
        wrong.push((value.line, format!("{target} has no asn")));
    }
    if known.contains(&"includeMonitors") && known.contains(&"excludeMonitors") {
        wrong.push((value.line, format!("{target} has includeMonitors and excludeMonitors: give one of them")));
    }
    if wrong.is_empty() { Ok(given.finish(&target)) } else { Err(wrong) }
}

impl Given {
    fn take(&mut self, key: &str, value: &Node) -> Result<(), Wrong> {
        match key {
            "description" => self.description = Some(text(value)?).filter(|text| !text.trim().is_empty()),
            "asn" => drop(self.fields.insert("expected_origins".to_owned(), asns(value)?.into())),
            "ignoreMorespecifics" => self.are_more_specifics_ignored = flag(value)?,
            "ignore" => self.is_ignored = flag(value)?,
            "group" => drop(self.fields.insert("team".to_owned(), group(value)?)),
            "includeMonitors" => self.included = Some(monitors(value)?),
            "excludeMonitors" => self.excluded = monitors(value)?,
            "path" if value.is_null() => {}
            "path" => {
                let (path_match, notes) = bgpalerter_path::path_match(value)?;
                fields::from_text("path_match", &path_match).map_err(|why| (value.line, why))?;
                self.fields.insert("path_match".to_owned(), path_match.into());
                self.path_notes = notes;
            }
            _ => {
                let known = [
                    "description",
                    "asn",
                    "ignoreMorespecifics",
                    "ignore",
                    "group",
                    "includeMonitors",
                    "excludeMonitors",
                    "path",
                ];
                return Err((0, format!("is not a key of BGPalerter's{}", did_you_mean(key, known))));
            }
        }
        Ok(())
    }

    fn finish(mut self, target: &str) -> Map<String, Value> {
        if let Some(conditions) = self.conditions() {
            self.fields.insert("conditions".to_owned(), conditions.into());
        }
        let note: Vec<String> = self.description.into_iter().chain(self.path_notes).collect();
        if !note.is_empty() {
            self.fields.insert("note".to_owned(), note.join("; path: ").into());
        }
        self.fields.insert("name".to_owned(), target.replace('/', "-").into());
        self.fields.insert("kind".to_owned(), Kind::Prefix.as_str().into());
        self.fields.insert("prefix".to_owned(), target.into());
        self.fields
    }

    /// Returns the conditions of the watch; `None`: those of its kind.
    fn conditions(&self) -> Option<Vec<&'static str>> {
        if self.is_ignored {
            return Some(Vec::new());
        }
        if self.included.is_none() && self.excluded.is_empty() && !self.are_more_specifics_ignored {
            return None;
        }
        let defaults = || Kind::Prefix.default_conditions().iter().map(|condition| condition.as_str()).collect();
        let mut conditions: Vec<&str> = self.included.clone().unwrap_or_else(defaults);
        let is_ignored = |condition: &&str| self.are_more_specifics_ignored && condition.starts_with("more_specific");
        conditions.retain(|condition| !self.excluded.contains(condition) && !is_ignored(condition));
        Some(conditions)
    }
}

/// Adds the watches of `options`.
fn options(key: &Node, value: &Node, found: &mut Vec<Entry>) {
    let Yaml::Map(pairs) = &value.value else {
        if !value.is_null() {
            found.push((key.line, Err("options: has no keys below it".to_owned())));
        }
        return;
    };
    for (key, value) in pairs {
        match (key.text().unwrap_or_default(), &value.value) {
            // How BGPalerter made the list.
            ("generate", _) => {}
            ("monitorASns", Yaml::Map(ases)) => {
                let mut known = Vec::new();
                for (key, value) in ases {
                    let watch = autonomous_system(key, value).and_then(|(asn, fields)| {
                        let is_new = !known.contains(&asn);
                        known.push(asn);
                        if is_new { Ok(fields) } else { Err((key.line, format!("AS{asn} is there already"))) }
                    });
                    found.push(match watch {
                        Ok(fields) => (key.line, Ok(fields)),
                        Err((line, why)) => (line, Err(format!("monitorASns: {why}"))),
                    });
                }
            }
            ("monitorASns", _) if value.is_null() => {}
            ("monitorASns", _) => found.push((key.line, Err("monitorASns: has no AS numbers below it".to_owned()))),
            (other, _) => {
                let known = ["monitorASns", "generate"];
                let hint = did_you_mean(other, known);
                found.push((key.line, Err(format!("options: {} is not one of BGPalerter's{hint}", quoted(other)))));
            }
        }
    }
}

fn autonomous_system(key: &Node, value: &Node) -> Result<(i64, Map<String, Value>), Wrong> {
    let word = key.text().unwrap_or_default();
    let asn = fields::asn(word).map(i64::from).map_err(|why| (key.line, why))?;
    let mut watch = Map::new();
    let pairs = match &value.value {
        Yaml::Map(pairs) => pairs.as_slice(),
        _ if value.is_null() => &[],
        Yaml::Plain(_) | Yaml::Quoted(_) | Yaml::List(_) => {
            return Err((value.line, format!("AS{asn} has no keys below it")));
        }
    };
    for (key, value) in pairs {
        let column = match key.text().unwrap_or_default() {
            "group" => {
                watch.insert("team".to_owned(), group(value)?);
                continue;
            }
            "upstreams" => "expected_upstreams",
            "downstreams" => "expected_downstreams",
            other => {
                let hint = did_you_mean(other, ["group", "upstreams", "downstreams"]);
                return Err((key.line, format!("AS{asn}: {} is not a key of BGPalerter's{hint}", quoted(other))));
            }
        };
        // None at all is expected there. An AS is never beside itself, so each other one is unexpected.
        let is_empty = value.is_null() || matches!(&value.value, Yaml::List(items) if items.is_empty());
        let listed = if is_empty { vec![asn] } else { asns(value)? };
        if watch.insert(column.to_owned(), listed.into()).is_some() {
            return Err((key.line, format!("AS{asn}: {column} is given twice")));
        }
    }
    watch.insert("name".to_owned(), format!("AS{asn}").into());
    watch.insert("kind".to_owned(), Kind::Origin.as_str().into());
    watch.insert("asn".to_owned(), asn.into());
    Ok((asn, watch))
}

pub(super) fn text(node: &Node) -> Result<String, Wrong> {
    node.text().map(str::to_owned).ok_or((node.line, "is not text".to_owned()))
}

fn flag(node: &Node) -> Result<bool, Wrong> {
    match &node.value {
        Yaml::Plain(text) if matches!(text.as_str(), "true" | "True" | "TRUE") => Ok(true),
        Yaml::Plain(text) if matches!(text.as_str(), "false" | "False" | "FALSE") => Ok(false),
        Yaml::Plain(text) | Yaml::Quoted(text) => Err((node.line, format!("{} is not true or false", quoted(text)))),
        Yaml::List(_) | Yaml::Map(_) => Err((node.line, "is not true or false".to_owned())),
    }
}

/// Returns the texts of a list, or of one value.
fn texts(node: &Node) -> Result<Vec<(usize, &str)>, Wrong> {
    match &node.value {
        Yaml::List(items) => {
            let word = |item: &'_ Node| (item.line, "is a list of other things than texts".to_owned());
            items.iter().map(|item| item.text().map(|text| (item.line, text)).ok_or_else(|| word(item))).collect()
        }
        Yaml::Plain(text) | Yaml::Quoted(text) => Ok(vec![(node.line, text)]),
        Yaml::Map(_) => Err((node.line, "is neither a value nor a list".to_owned())),
    }
}

fn asns(node: &Node) -> Result<Vec<i64>, Wrong> {
    let mut all: Vec<i64> = Vec::new();
    for (line, text) in texts(node)? {
        all.push(fields::asn(text).map(i64::from).map_err(|why| (line, why))?);
    }
    if all.is_empty() { Err((node.line, "names no AS".to_owned())) } else { Ok(all) }
}

fn group(node: &Node) -> Result<Value, Wrong> {
    let names = texts(node)?;
    match names.as_slice() {
        [(_, name)] if OPERATOR_GROUPS.contains(name) => Ok(Value::Null),
        [(_, name)] => Ok(json!(name)),
        [] => Ok(Value::Null),
        [_, second, ..] => Err((second.0, "a watch belongs to one team: name one group".to_owned())),
    }
}

fn monitors(node: &Node) -> Result<Vec<&'static str>, Wrong> {
    let mut conditions = Vec::new();
    let named = if node.is_null() { Vec::new() } else { texts(node)? };
    for (line, name) in named {
        let Some((.., of_monitor)) = MONITORS.iter().find(|(monitor, file, _)| [*monitor, *file].contains(&name))
        else {
            let hint = did_you_mean(name, MONITORS.map(|(monitor, ..)| monitor));
            return Err((line, format!("{} is no monitor that is known here{hint}", quoted(name))));
        };
        conditions.extend_from_slice(of_monitor);
    }
    conditions.sort_unstable();
    conditions.dedup();
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "192.0.2.0/24:\n  description: the shop\n  asn: [64496, AS64497]\n  ignoreMorespecifics: false\n  \
                        path: {match: '64511', maxLength: 4}\n2001:db8::/32:\n  asn:\n  - 64496\n  group: \"web\"\n  \
                        excludeMonitors: [rpki-monitor]\noptions:\n  monitorASns:\n    64496:\n      group: noc\n";

    fn lines(text: &str) -> Vec<String> {
        let line = |(line, entry): Entry| match entry {
            Ok(fields) => format!("{line} {}", Value::Object(fields)),
            Err(why) => format!("{line} {why}"),
        };
        read(text).unwrap().into_iter().map(line).collect()
    }

    fn fields(text: &str) -> Value {
        let mut all = read(&format!("192.0.2.0/24:\n{text}\n")).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        Value::Object(all.remove(0).1.unwrap())
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_read_or_refused_by_line(
            at in 0..LIST.len(),
            with in "[-\\[\\]{}:,&*!|>'\"#%@`~?0a \n\t]{0,4}",
            until in 0..LIST.len(),
        ) {
            let changed = format!("{}{with}{}", &LIST[..at], &LIST[at.max(until)..]);
            let lines = changed.lines().count() + 1;
            match read(&changed) {
                Ok(entries) => assert!(entries.iter().all(|(line, _)| (1..=lines).contains(line)), "{changed}"),
                Err((line, why)) => assert!((1..=lines).contains(&line) && !why.is_empty(), "{line} {why}: {changed}"),
            }
        }
    }

    #[test]
    fn a_prefix_becomes_a_watch() {
        assert_eq!(
            fields(
                "  description: the shop\n  asn: [64496, AS64497]\n  ignoreMorespecifics: false\n  group: web\n  \
                 path: {match: '64511', matchDescription: via 64511}"
            ),
            json!({
                "name": "192.0.2.0-24", "kind": "prefix", "prefix": "192.0.2.0/24", "team": "web",
                "expected_origins": [64496, 64497], "path_match": "!64511", "note": "the shop; path: via 64511",
            })
        );
        let conditions = |text: &str| fields(&format!("  asn: 64496\n{text}"))["conditions"].clone();
        assert_eq!(conditions(""), Value::Null);
        assert_eq!(conditions("  ignore: true"), json!([]));
        assert_eq!(conditions("  includeMonitors: [basic-hijack-detection]"), json!(["more_specific", "origin"]));
        let both = "  includeMonitors: [monitorHijack, prefix-detection]\n  ignoreMorespecifics: true";
        assert_eq!(conditions(both), json!(["origin"]));
        let without = conditions("  excludeMonitors:\n  - withdrawal-detection\n  - rpki-monitor");
        assert_eq!(
            without,
            json!(["origin", "more_specific", "upstream", "downstream", "path", "mitigated", "flapping"])
        );
        assert_eq!(fields("  asn: 64496\n  group: noc")["team"], Value::Null);
    }

    #[test]
    fn an_as_becomes_a_watch() {
        let text = "options:\n  generate: {asnList: [1]}\n  monitorASns:\n    64496:\n      group: noc\n      \
                    upstreams: [64500, 64501]\n      downstreams:\n    64497:\n";
        assert_eq!(
            lines(text),
            [
                r#"4 {"asn":64496,"expected_downstreams":[64496],"expected_upstreams":[64500,64501],"kind":"origin","name":"AS64496","team":null}"#,
                r#"8 {"asn":64497,"kind":"origin","name":"AS64497"}"#,
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_by_line() {
        let text = "192.0.2.0/24:\n  asn: 0\n  ignore: 'true'\n  asn: 1\n  maxLength: 3\n\
                    192.0.2.1/24:\n  asn: 64496\n\
                    2001:db8::/32: {asn: 64496}\n\
                    2001:0db8::/32: {asn: 64496}\n\
                    nonsense: {asn: 1}\n\
                    10.0.0.0/8: {description: x}\n\
                    10.1.0.0/16: {asn: 1, includeMonitors: [a-monitor]}\n\
                    10.2.0.0/16: {asn: 1, includeMonitors: [], excludeMonitors: []}\n\
                    10.3.0.0/16: {asn: 1, group: [a, b]}\n\
                    10.4.0.0/16: {asn: 1, path: {match: a, maxLength: 4}}\n\
                    options: {monitorASns: {0: , 64496: {upstream: [1]}, 1: , 1: }, x: y}\n";
        let lines = lines(text);
        let want = [
            "2 asn: \"0\" is not an AS number",
            "3 ignore: \"true\" is not true or false",
            "4 asn is given twice",
            "5 maxLength: is not a key of BGPalerter's",
            "7 192.0.2.1/24 has host bits; did you mean 192.0.2.0/24?",
            r#"8 {"expected_origins":[64496],"kind":"prefix","name":"2001:db8::-32","prefix":"2001:db8::/32"}"#,
            "9 \"2001:0db8::/32\" is there already, in line 8",
            "10 \"nonsense\" is not a CIDR",
            "11 10.0.0.0/8 has no asn",
            "12 includeMonitors: \"a-monitor\" is no monitor that is known here",
            "13 10.2.0.0/16 has includeMonitors and excludeMonitors: give one of them",
            "14 group: a watch belongs to one team: name one group",
            "15 path: match together with maxLength",
            "16 monitorASns: \"0\" is not an AS number",
            "16 monitorASns: AS64496: \"upstream\" is not a key of BGPalerter's; did you mean upstreams?",
            r#"16 {"asn":1,"kind":"origin","name":"AS1"}"#,
            "16 monitorASns: AS1 is there already",
            "16 options: \"x\" is not one of BGPalerter's",
        ];
        for (line, want) in lines.iter().zip(want) {
            assert!(line.starts_with(want), "{line}");
        }
        assert_eq!(lines.len(), want.len(), "{lines:#?}");
    }

    #[test]
    fn a_list_is_known_by_its_first_line() {
        for text in ["# ours\n\n192.0.2.0/24:\n", "---\n", "options:\n"] {
            assert!(is_list(text), "{text}");
        }
        assert!(!is_list("# a: b\nname,kind,prefix\n") && !is_list(""));
    }
}
