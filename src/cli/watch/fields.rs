//! The columns of a watch as text and as JSON: options of `watch add`, lines of CSV, and JSON files are the same thing.

use std::net::IpAddr;

use serde_json::Value;

use crate::cli::command::did_you_mean;
use crate::config::value;
use crate::model::watch::path_match::PathMatch;
use crate::store::watch::watches::COLUMNS;

/// The word for a list of conditions that is empty, which is not one that is absent.
const NONE: &str = "none";

/// Columns that the database fills: they are in a list that was saved, and have no effect in one that is read.
pub(super) const IGNORED: [&str; 5] = ["id", "source", "accepted_at", "created_at", "updated_at"];

/// The form of a column's values.
#[derive(Clone, Copy)]
enum ColumnForm {
    Text,
    Path,
    Prefix,
    Address,
    Number,
    Flag,
    Asn,
    Asns,
    Words,
}

fn form(column: &str) -> ColumnForm {
    match column {
        "prefix" => ColumnForm::Prefix,
        "address" | "peer_address" => ColumnForm::Address,
        "asn" => ColumnForm::Asn,
        "expected_origins" | "expected_upstreams" | "expected_downstreams" | "expected_via" => ColumnForm::Asns,
        "path_match" => ColumnForm::Path,
        "conditions" => ColumnForm::Words,
        "enabled" => ColumnForm::Flag,
        "max_length" | "min_routes" | "max_routes" | "drop_percent" | "rise_percent" | "min_up" | "min_vantages"
        | "open_after_secs" | "close_after_secs" | "settle_secs" | "flap_changes" | "flap_secs" => ColumnForm::Number,
        _ => ColumnForm::Text,
    }
}

/// Parses the text of a column; empty text is no value.
pub(super) fn from_text(column: &str, text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let words = || text.split([' ', ',', ';']).filter(|word| !word.is_empty());
    let value = match form(column) {
        ColumnForm::Text => Ok(text.into()),
        ColumnForm::Path => PathMatch::parse(text).map(|_| text.into()),
        ColumnForm::Prefix => value::network(text.trim()).map(|network| network.to_string().into()),
        ColumnForm::Address => match text.trim().parse::<IpAddr>() {
            Ok(address) => Ok(address.to_canonical().to_string().into()),
            Err(_) => Err(format!("{} is not an IP address", value::quoted(text))),
        },
        ColumnForm::Number => whole(text.trim()).map(Value::from),
        ColumnForm::Flag => match text.trim() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(format!("{} is not true or false", value::quoted(text))),
        },
        ColumnForm::Asn => asn(text.trim()).map(Value::from),
        ColumnForm::Asns => {
            words().map(|word| asn(word).map(Value::from)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        ColumnForm::Words if text.trim() == NONE => Ok(Value::Array(Vec::new())),
        ColumnForm::Words => Ok(words().map(Value::from).collect()),
    };
    value.map_err(|wrong| format!("{column}: {wrong}"))
}

/// Parses a JSON value of a column. A list may be an array, or text as in CSV.
pub(super) fn from_json(column: &str, value: &Value) -> Result<Value, String> {
    match (form(column), value) {
        (_, Value::Null) => Ok(Value::Null),
        (_, Value::String(text)) => from_text(column, text),
        (ColumnForm::Asns | ColumnForm::Words, Value::Array(items)) if items.is_empty() => Ok(value.clone()),
        (ColumnForm::Asns | ColumnForm::Words, Value::Array(items)) => {
            let texts = items.iter().map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    Err(format!("{column}: {item} is neither text nor a number"))
                }
            });
            from_text(column, &texts.collect::<Result<Vec<_>, _>>()?.join(" "))
        }
        (ColumnForm::Flag, Value::Bool(_)) => Ok(value.clone()),
        (ColumnForm::Number | ColumnForm::Asn | ColumnForm::Asns, Value::Number(number)) => {
            from_text(column, &number.to_string())
        }
        (
            ColumnForm::Text
            | ColumnForm::Path
            | ColumnForm::Prefix
            | ColumnForm::Address
            | ColumnForm::Number
            | ColumnForm::Flag
            | ColumnForm::Asn
            | ColumnForm::Asns
            | ColumnForm::Words,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(format!("{column}: {value} is of the wrong type")),
    }
}

/// Formats a stored value for a line of CSV.
pub(super) fn to_text(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() && matches!(form(column), ColumnForm::Words) => NONE.to_owned(),
        Value::Array(items) => items.iter().map(|item| to_text("", item)).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Returns the column with this name, or what is wrong with it.
pub(super) fn column(name: &str) -> Result<&'static str, String> {
    if let Some(column) = COLUMNS.into_iter().find(|column| *column == name) {
        return Ok(column);
    }
    Err(format!("there is no column {}{}", value::quoted(name), did_you_mean(name, COLUMNS)))
}

fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{} is not a whole number", value::quoted(text)))
}

/// Parses an AS number, with or without `AS` before it.
pub(in crate::cli) fn asn(text: &str) -> Result<u32, String> {
    let digits = text.get(..2).filter(|front| front.eq_ignore_ascii_case("as")).map_or(text, |_| &text[2..]);
    digits.parse().ok().filter(|asn| *asn > 0).ok_or_else(|| format!("{} is not an AS number", value::quoted(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_values() {
        let check = |column: &str, text: &str, want: Result<Value, &str>| {
            assert_eq!(from_text(column, text), want.map_err(str::to_owned), "{column} {text}");
        };
        check("prefix", "192.0.2.0/24", Ok(json!("192.0.2.0/24")));
        check("prefix", "192.0.2.1/24", Err("prefix: 192.0.2.1/24 has host bits; did you mean 192.0.2.0/24?"));
        check("address", "2001:DB8::1", Ok(json!("2001:db8::1")));
        check("peer_address", "::ffff:192.0.2.1", Ok(json!("192.0.2.1")));
        check("address", "192.0.2.0/24", Err("address: \"192.0.2.0/24\" is not an IP address"));
        check("expected_origins", "AS64496, 64497;as64498", Ok(json!([64496, 64497, 64498])));
        check("expected_origins", "AS0", Err("expected_origins: \"AS0\" is not an AS number"));
        check("asn", "ASé", Err("asn: \"ASé\" is not an AS number"));
        check("conditions", "none", Ok(json!([])));
        check("conditions", " ", Ok(Value::Null));
        check("conditions", "missing origin", Ok(json!(["missing", "origin"])));
        check("min_up", "two", Err("min_up: \"two\" is not a whole number"));
        check("enabled", "no", Err("enabled: \"no\" is not true or false"));
        check("note", "a, b", Ok(json!("a, b")));
        check("path_match", "!^64500 ", Ok(json!("!^64500 ")));
        check("path_match", "(64500", Err("path_match: is no regular expression: unclosed group"));
    }

    #[test]
    fn json_may_have_values_of_several_types() {
        let check = |column: &str, value: Value, want: Result<Value, &str>| {
            assert_eq!(from_json(column, &value), want.map_err(str::to_owned), "{column} {value}");
        };
        check("expected_origins", json!(["AS64496", 64497]), Ok(json!([64496, 64497])));
        check("expected_origins", json!(64496), Ok(json!([64496])));
        check("expected_origins", json!([[1]]), Err("expected_origins: [1] is neither text nor a number"));
        check("conditions", json!([]), Ok(json!([])));
        check("conditions", json!(null), Ok(Value::Null));
        check("enabled", json!(false), Ok(json!(false)));
        check("note", json!({"a": 1}), Err("note: {\"a\":1} is of the wrong type"));
        check("asn", json!(-1), Err("asn: \"-1\" is not an AS number"));
        check("min_up", json!(1.5), Err("min_up: \"1.5\" is not a whole number"));
    }

    #[test]
    fn lists_come_back_from_csv() {
        for (column, value) in [("conditions", json!([])), ("expected_via", json!([1, 2])), ("note", Value::Null)] {
            assert_eq!(from_text(column, &to_text(column, &value)), Ok(value));
        }
    }

    #[test]
    fn a_wrong_column_has_a_hint() {
        assert_eq!(column("prefix"), Ok("prefix"));
        let wrong = "there is no column \"expected_origin\"; did you mean expected_origins?";
        assert_eq!(column("expected_origin"), Err(wrong.to_owned()));
        assert_eq!(column("zzz"), Err("there is no column \"zzz\"".to_owned()));
    }
}
