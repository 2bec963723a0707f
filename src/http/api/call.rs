//! One request to an endpoint, with its parameters checked.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xxhash_rust::xxh3::Xxh3;

use super::parameter::{NEXT, Parameter, ParameterKind, Times};
use super::path_pattern;
use crate::config::value;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::NDJSON;

/// The number of rows of a list unless `limit` says another.
const ROWS: i64 = 100;

/// The longest value of a parameter, in bytes.
const VALUE_BYTES_MAX: usize = 2_000;

/// The largest number of values of one parameter.
const VALUES_MAX: usize = 100;

/// A request to an endpoint.
pub(in crate::http) struct Call<'a> {
    /// The request.
    pub(in crate::http) request: &'a Request,
    /// Who asks.
    pub(in crate::http) caller: &'a Caller,
    /// The parameters in the path.
    captured: Vec<(&'static str, &'a str)>,
    /// The parameters of the query, in the form that the database takes.
    values: Vec<(&'static str, String)>,
    /// Tells this request apart from others, whatever its page.
    fingerprint: u64,
}

impl<'a> Call<'a> {
    /// Checks the parameters of a request.
    ///
    /// # Errors
    /// One is unknown, missing, repeated or of another kind.
    pub(super) fn new(
        path: &str,
        captured: Vec<(&'static str, &'a str)>,
        parameters: &'static [Parameter],
        request: &'a Request,
        caller: &'a Caller,
    ) -> Result<Call<'a>, Problem> {
        let mut values: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in &request.query {
            let Some(parameter) = parameters.iter().find(|one| one.name == name) else {
                return Err(unknown(parameters, name));
            };
            let given = values.iter().filter(|(of, _)| of == name).count();
            if given > 0 && parameter.times != Times::Repeated {
                return Err(Problem::bad_request(format!("{name} is given twice")));
            }
            if given >= VALUES_MAX {
                return Err(Problem::bad_request(format!("{name} is given more than {VALUES_MAX} times")));
            }
            values.push((parameter.name, checked(parameter, value)?));
        }
        let missing = parameters.iter().find(|parameter| {
            parameter.times == Times::Required && !values.iter().any(|(name, _)| *name == parameter.name)
        });
        if let Some(parameter) = missing {
            return Err(Problem::bad_request(format!("{} is required", parameter.name)));
        }
        let fingerprint = fingerprint(path, &captured, &values);
        Ok(Call { request, caller, captured, values, fingerprint })
    }

    /// Returns a parameter of the path.
    pub(in crate::http) fn captured(&self, name: &str) -> &str {
        self.captured.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
    }

    /// Returns the value of a parameter that is given once.
    pub(in crate::http) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a parameter, if it is given.
    pub(in crate::http) fn values(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<String> =
            self.values.iter().filter(|(of, _)| *of == name).map(|(_, value)| value.clone()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// Returns the values of a parameter that are numbers, if it is given.
    pub(in crate::http) fn numbers(&self, name: &str) -> Option<Vec<i64>> {
        Some(self.values(name)?.iter().filter_map(|value| value.parse().ok()).collect())
    }

    /// Returns the largest number of rows.
    pub(in crate::http) fn limit(&self) -> i64 {
        self.value("limit").and_then(|text| text.parse().ok()).unwrap_or(ROWS)
    }

    /// Returns whether the client wants a line of JSON for each row, and all of them.
    pub(in crate::http) fn wants_lines(&self) -> bool {
        self.request.accepts(NDJSON)
    }

    /// Returns the key after which the page begins; `None`: it is the first one.
    ///
    /// # Errors
    /// The parameter is none that this path has given, for these parameters.
    pub(in crate::http) fn after(&self) -> Result<Option<String>, Problem> {
        let Some(next) = self.value(NEXT.name) else { return Ok(None) };
        let decoded = URL_SAFE_NO_PAD.decode(next).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((fingerprint, key)) = decoded.as_deref().and_then(|text| text.split_once(' ')) else {
            return Err(Problem::bad_request("next is not one that this path has given"));
        };
        if fingerprint != format!("{:x}", self.fingerprint) {
            return Err(Problem::bad_request("next belongs to a request with other parameters"));
        }
        // The database reads it as JSON.
        match serde_json::from_str::<serde_json::Value>(key) {
            Ok(serde_json::Value::Array(_)) => Ok(Some(key.to_owned())),
            Ok(_) | Err(_) => Err(Problem::bad_request("next is not one that this path has given")),
        }
    }

    /// Returns the parameter `next` for the page after this key.
    pub(super) fn next(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{:x} {key}", self.fingerprint))
    }

    /// Returns the target of the page after this key.
    pub(super) fn next_target(&self, next: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.request.query.iter().filter(|(name, _)| name != NEXT.name) {
            query.append_pair(name, value);
        }
        query.append_pair(NEXT.name, next);
        format!("{}?{}", self.request.path, query.finish())
    }
}

fn unknown(parameters: &[Parameter], name: &str) -> Problem {
    let known: Vec<&str> = parameters.iter().map(|one| one.name).collect();
    let known = match known[..] {
        [] => "this path has none".to_owned(),
        _ => format!("there are {}", known.join(", ")),
    };
    let shown: String = name.chars().take(40).collect();
    Problem::bad_request(format!("there is no parameter {shown:?}: {known}"))
}

/// Returns a value in the form that the database takes.
fn checked(parameter: &Parameter, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let wrong = |why: &str| Problem::bad_request(format!("{}: {why}", parameter.name));
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(wrong("is too long"));
    }
    // PostgreSQL has no such character in text.
    if text.contains('\0') {
        return Err(wrong("contains a NUL character"));
    }
    match parameter.kind {
        ParameterKind::Text => Ok(text.to_owned()),
        ParameterKind::Asn => {
            let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
            let number = digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            number.map(|number| number.to_string()).ok_or_else(|| wrong("is not an AS number"))
        }
        ParameterKind::Prefix => value::network(text).map(|network| network.to_string()).map_err(|why| wrong(&why)),
        ParameterKind::Address => {
            text.parse::<IpAddr>().map(|address| address.to_string()).map_err(|_| wrong("is not an address"))
        }
        ParameterKind::Community => match value::communities(text).as_deref() {
            Ok([community]) => Ok(community.clone()),
            Ok(_) | Err(_) => Err(wrong("is not a community such as 64496:1, 64496:1:2 or rt:64496:1")),
        },
        ParameterKind::Path => path_pattern::regular_expression(text).map_err(wrong),
        ParameterKind::Time => {
            let time = text.parse::<jiff::Timestamp>();
            time.map(|time| time.to_string()).map_err(|_| wrong("is not a time such as 2026-01-31T12:00:00Z"))
        }
        ParameterKind::Number(least, most) => {
            let number = text.parse::<u32>().ok().filter(|number| (least..=most).contains(number));
            number
                .map(|number| number.to_string())
                .ok_or_else(|| wrong(&format!("is not a number from {least} to {most}")))
        }
        ParameterKind::OneOf(words) => match words.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(wrong(&format!("is not one of {}", words.join(", ")))),
        },
    }
}

/// Hashes what decides which rows a list has.
fn fingerprint(path: &str, captured: &[(&str, &str)], values: &[(&str, String)]) -> u64 {
    let mut deciding: Vec<(&str, &str)> = values
        .iter()
        .filter(|(name, _)| !matches!(*name, "next" | "limit"))
        .map(|(name, value)| (*name, value.as_str()))
        .chain(captured.iter().copied())
        .collect();
    deciding.sort_unstable();
    let mut hash = Xxh3::new();
    hash.update(path.as_bytes());
    for (name, value) in deciding {
        for part in [name, value] {
            hash.update(b"\0");
            hash.update(part.as_bytes());
        }
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::super::parameter::{optional, repeated};
    use super::*;

    #[test]
    fn values_are_checked_by_kind() {
        let check = |kind, value: &str, want: Result<&str, &str>| {
            let parameter = optional("p", kind, "");
            let got = checked(&parameter, value).map_err(|problem| problem.detail);
            assert_eq!(got, want.map(str::to_owned).map_err(|why| format!("p: {why}")), "{value}");
        };
        check(ParameterKind::Asn, "AS64500", Ok("64500"));
        check(ParameterKind::Asn, "4294967296", Err("is not an AS number"));
        check(ParameterKind::Asn, "+1", Err("is not an AS number"));
        check(ParameterKind::Prefix, " 192.0.2.0/24 ", Ok("192.0.2.0/24"));
        check(ParameterKind::Prefix, "2001:DB8::1", Ok("2001:db8::1/128"));
        check(ParameterKind::Prefix, "192.0.2.1/24", Err("192.0.2.1/24 has host bits; did you mean 192.0.2.0/24?"));
        check(ParameterKind::Prefix, "x", Err("\"x\" is not a CIDR"));
        check(ParameterKind::Prefix, "::ffff:192.0.2.0/120", Ok("192.0.2.0/24"));
        check(ParameterKind::Address, "192.0.2.1", Ok("192.0.2.1"));
        check(ParameterKind::Address, "192.0.2.0/24", Err("is not an address"));
        check(ParameterKind::Time, "2026-01-31T13:00:00+01:00", Ok("2026-01-31T12:00:00Z"));
        check(ParameterKind::Time, "yesterday", Err("is not a time such as 2026-01-31T12:00:00Z"));
        check(ParameterKind::Number(1, 9), "9", Ok("9"));
        check(ParameterKind::Number(1, 9), "10", Err("is not a number from 1 to 9"));
        check(ParameterKind::OneOf(&["up", "down"]), "up", Ok("up"));
        check(ParameterKind::OneOf(&["up", "down"]), "left", Err("is not one of up, down"));
        check(ParameterKind::Text, "  ", Err("is empty"));
        check(ParameterKind::Text, "a\0b", Err("contains a NUL character"));
        check(ParameterKind::Text, &"x".repeat(2_001), Err("is too long"));
    }

    #[test]
    fn how_often_a_parameter_may_be_given() {
        assert_eq!(repeated("a", ParameterKind::Text, "").times, Times::Repeated);
        assert_eq!(optional("a", ParameterKind::Text, "").times, Times::Optional);
    }
}
