//! BGPalerter's rules for AS paths as one regular expression of ours.
//!
//! Its paths are numbers with commas, ours numbers with spaces; its rules raise an alert where all fields of one rule
//! hold. `path_match` says what a path must be, or with `!` before it what it must not be.

use super::yaml::{Node, Wrong, Yaml};
use crate::config::value::quoted;

/// The largest length of a path that a rule may name.
const LENGTH_MAX: usize = 255;

/// One rule.
#[derive(Default)]
struct Rule {
    line: usize,
    matching: Option<String>,
    not_matching: Option<String>,
    description: Option<String>,
    max_length: Option<usize>,
    min_length: Option<usize>,
}

/// Returns the text of the column `path_match`, and what the rules say of themselves.
///
/// # Errors
/// When a rule is not one of BGPalerter's, or cannot be said by one regular expression.
pub(super) fn path_match(node: &Node) -> Result<(String, Vec<String>), Wrong> {
    let rules = match &node.value {
        Yaml::List(items) => items.iter().map(rule).collect::<Result<Vec<_>, _>>()?,
        Yaml::Map(_) => vec![rule(node)?],
        Yaml::Plain(_) | Yaml::Quoted(_) => return Err((node.line, "has no keys below it".to_owned())),
    };
    let notes = rules.iter().filter_map(|rule| rule.description.clone()).collect();
    if let [Rule { matching: None, not_matching: Some(regex), max_length: None, min_length: None, .. }] =
        rules.as_slice()
    {
        // A path that does not match it raises the alert: each must match.
        return Ok((if regex.starts_with('!') { format!("(?:{regex})") } else { regex.clone() }, notes));
    }
    let mut alerts: Vec<String> = Vec::new();
    for rule in &rules {
        alerts.extend(rule.alerts()?);
    }
    match alerts.as_slice() {
        [] => Err((node.line, "says nothing: give match, notMatch, maxLength or minLength".to_owned())),
        [one] => Ok((format!("!{one}"), notes)),
        several => {
            let groups: Vec<String> = several.iter().map(|regex| format!("(?:{regex})")).collect();
            Ok((format!("!{}", groups.join("|")), notes))
        }
    }
}

fn rule(node: &Node) -> Result<Rule, Wrong> {
    let Yaml::Map(pairs) = &node.value else { return Err((node.line, "a rule has no keys below it".to_owned())) };
    let mut rule = Rule { line: node.line, ..Rule::default() };
    for (key, value) in pairs {
        if value.is_null() {
            continue;
        }
        let text = value.text().ok_or((value.line, "is not text".to_owned()))?;
        match key.text().unwrap_or_default() {
            // What matches every path says nothing.
            "match" => {
                rule.matching = Some(translated(text)).filter(|regex| !matches!(regex.as_str(), "" | ".*" | "^.*$"))
            }
            "notMatch" => rule.not_matching = Some(translated(text)).filter(|regex| !regex.is_empty()),
            "matchDescription" => rule.description = Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            "maxLength" => rule.max_length = Some(length(value.line, text)?),
            "minLength" => rule.min_length = Some(length(value.line, text)?),
            other => return Err((key.line, format!("{} is not a key of BGPalerter's", quoted(other)))),
        }
    }
    Ok(rule)
}

fn length(line: usize, text: &str) -> Result<usize, Wrong> {
    let number = text.parse().ok().filter(|number| (2..=LENGTH_MAX).contains(number));
    number.ok_or_else(|| (line, format!("{} is not a number from 2 to {LENGTH_MAX}", quoted(text))))
}

impl Rule {
    /// Returns the regular expressions of paths that raise the alert.
    fn alerts(&self) -> Result<Vec<String>, Wrong> {
        let has_length = self.max_length.is_some() || self.min_length.is_some();
        if self.not_matching.is_some() {
            let why = "notMatch together with other rules, match or a length cannot be said by one regular expression";
            return Err((self.line, why.to_owned()));
        }
        if self.matching.is_some() && has_length {
            let why = "match together with maxLength or minLength cannot be said by one regular expression: give the \
                       length in match, or make two watches";
            return Err((self.line, why.to_owned()));
        }
        let longer = self.max_length.map(|max| format!("^[^ ]+(?: [^ ]+){{{max}}}"));
        let shorter = self.min_length.map(|min| format!("^[^ ]+(?: [^ ]+){{0,{}}}$", min - 2));
        Ok(self.matching.iter().cloned().chain(longer).chain(shorter).collect())
    }
}

/// Translates a regular expression for paths with commas into one for paths with spaces. AS_SETs are in brackets there
/// and in braces here, with commas in both.
fn translated(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let (mut is_set, mut is_quantifier) = (false, false);
    let mut characters = regex.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('[') => {
                    is_set = true;
                    out.push_str("\\{");
                }
                Some(']') => {
                    is_set = false;
                    out.push_str("\\}");
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '{' | '}' => {
                is_quantifier = character == '{';
                out.push(character);
            }
            ',' if !is_set && !is_quantifier => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn of(text: &str) -> Result<String, String> {
        let mut found = None;
        yaml::entries(&format!("path: {text}\n"), |_, value| found = Some(value)).unwrap();
        path_match(&found.unwrap()).map(|(regex, _)| regex).map_err(|(_, why)| why)
    }

    #[test]
    fn rules_become_one_regular_expression() {
        let check = |text: &str, want: &str| assert_eq!(of(text), Ok(want.to_owned()), "{text}");
        check("{match: '.*2194,1234$'}", "!.*2194 1234$");
        check("{match: '(,|^)456(,|$)'}", "!( |^)456( |$)");
        check("{match: '^1,[0-9,]{2,3}$'}", "!^1 [0-9 ]{2,3}$");
        check(r"{match: '\[789,101112\]'}", r"!\{789,101112\}");
        check("{notMatch: '^64496,'}", "^64496 ");
        check("{notMatch: '!x'}", "(?:!x)");
        check("{match: '.*', maxLength: 4}", "!^[^ ]+(?: [^ ]+){4}");
        check("{maxLength: 4, minLength: 2}", "!(?:^[^ ]+(?: [^ ]+){4})|(?:^[^ ]+(?: [^ ]+){0,0}$)");
        check("[{match: 'a,b'}, {match: 'c'}]", "!(?:a b)|(?:c)");
        for (text, want) in [
            ("{matchDescription: x}", "says nothing"),
            ("{match: a, notMatch: b}", "notMatch together with other rules"),
            ("{match: a, maxLength: 4}", "match together with maxLength"),
            ("[{match: a}, {notMatch: b}]", "notMatch together with other rules"),
            ("{maxLength: 1}", "\"1\" is not a number from 2 to 255"),
            ("{mtach: a}", "\"mtach\" is not a key of BGPalerter's"),
            ("[a]", "a rule has no keys below it"),
        ] {
            assert!(of(text).is_err_and(|why| why.contains(want)), "{text}: {:?}", of(text));
        }
    }
}
