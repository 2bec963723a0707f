//! Values of a source, read by the types of our columns.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::store::imports::ColumnShape;

/// The characters of a value that a message shows.
const SHOWN_MAX: usize = 60;

/// Returns the value as the column takes it. Text of CSV is read by the column's type, and an empty one is no value.
///
/// # Errors
/// A sentence, when the column cannot take it.
pub(super) fn read(column: &ColumnShape, value: &Value, is_text: bool) -> Result<Value, String> {
    if value.is_null() || is_text && value == "" && !(column.is_required && column.type_name == "text") {
        return Ok(Value::Null);
    }
    if column.is_array {
        return array(column, value);
    }
    scalar(column, value, is_text)
}

fn array(column: &ColumnShape, value: &Value) -> Result<Value, String> {
    let items = match value {
        Value::Array(items) => items.iter().map(|item| scalar(column, item, false)).collect::<Result<Vec<_>, _>>()?,
        // As PostgreSQL writes arrays, or words with spaces or commas between them.
        Value::String(text) => {
            let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
            let words = inner.split([' ', ',', ';']).filter(|word| !word.is_empty());
            words.map(|word| scalar(column, &word.into(), true)).collect::<Result<Vec<_>, _>>()?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong(value, "a list")),
    };
    Ok(Value::Array(items))
}

fn scalar(column: &ColumnShape, value: &Value, is_text: bool) -> Result<Value, String> {
    match column.type_name.as_str() {
        "int2" => integer(value, i64::from(i16::MIN), i64::from(i16::MAX)),
        "int4" => integer(value, i64::from(i32::MIN), i64::from(i32::MAX)),
        "int8" => integer(value, i64::MIN, i64::MAX),
        "bool" => boolean(value),
        "jsonb" | "json" => document(value, is_text),
        "uuid" => checked(value, "a UUID", is_uuid),
        "inet" => checked(value, "an address", |text| text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()),
        "cidr" => checked(value, "a prefix without host bits", is_prefix),
        "macaddr" => checked(value, "a MAC address", is_mac_address),
        "timestamptz" | "timestamp" => checked(value, "a time", is_time),
        _ => text(column, value),
    }
}

fn wrong(value: &Value, expected: &str) -> String {
    let shown = match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if shown.chars().count() > SHOWN_MAX {
        return format!("{}… is not {expected}", shown.chars().take(SHOWN_MAX).collect::<String>());
    }
    format!("{shown} is not {expected}")
}

fn integer(value: &Value, min: i64, max: i64) -> Result<Value, String> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let number = number.ok_or_else(|| wrong(value, "a whole number"))?;
    if number < min || number > max {
        return Err(wrong(value, &format!("in {min} to {max}")));
    }
    Ok(number.into())
}

fn boolean(value: &Value) -> Result<Value, String> {
    let truth = match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) | None => None,
        },
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    truth.map(Value::Bool).ok_or_else(|| wrong(value, "true or false"))
}

/// JSON stays as it is; text of CSV is parsed.
fn document(value: &Value, is_text: bool) -> Result<Value, String> {
    match value {
        Value::String(text) if is_text => serde_json::from_str(text).map_err(|_| wrong(value, "JSON")),
        _ => Ok(value.clone()),
    }
}

fn checked(value: &Value, expected: &str, is_right: impl Fn(&str) -> bool) -> Result<Value, String> {
    match value {
        Value::String(text) if is_right(text.trim()) => Ok(text.trim().into()),
        _ => Err(wrong(value, expected)),
    }
}

fn is_uuid(text: &str) -> bool {
    let plain = text.trim_start_matches('{').trim_end_matches('}').replace('-', "");
    plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_mac_address(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    digits == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-' | b'.'))
}

fn is_prefix(text: &str) -> bool {
    text.parse::<IpNet>().is_ok_and(|net| net.trunc() == net) || text.parse::<IpAddr>().is_ok()
}

/// With a zone, or without, which the database takes as the zone of the session: UTC.
fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
}

fn text(column: &ColumnShape, value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return Err(wrong(value, "a text")),
    };
    if text.contains('\0') {
        return Err(wrong(value, "a text without NUL"));
    }
    let length = text.chars().count();
    match column.length_max {
        Some(max) if length > max => Err(format!("has {length} characters, the most are {max}")),
        Some(_) | None => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn column(type_name: &str) -> ColumnShape {
        ColumnShape {
            name: "x".to_owned(),
            type_name: type_name.trim_end_matches("[]").to_owned(),
            is_array: type_name.ends_with("[]"),
            length_max: (type_name == "varchar").then_some(3),
            is_required: false,
            has_default: false,
            default_value: None,
            sequence: None,
        }
    }

    const TYPES: [&str; 12] = [
        "int2",
        "int4",
        "int8",
        "bool",
        "jsonb",
        "uuid",
        "inet",
        "cidr",
        "macaddr",
        "timestamptz",
        "varchar",
        "int4[]",
    ];

    proptest::proptest! {
        #[test]
        fn a_value_is_refused_or_read_the_same_again(
            text in "\\PC{0,12}|[-0-9a-fT.:/{},\" ]{0,40}",
            type_name in proptest::sample::select(&TYPES[..]),
            is_text in proptest::prelude::any::<bool>(),
        ) {
            let parsed = serde_json::from_str(&text).unwrap_or(Value::Null);
            for value in [json!(text), json!([text, 7]), json!({ "a": text }), parsed] {
                match read(&column(type_name), &value, is_text) {
                    Ok(got) => assert_eq!(read(&column(type_name), &got, false), Ok(got.clone()), "{type_name} {value}"),
                    Err(why) => assert!(why.chars().count() <= SHOWN_MAX + 40, "{why}"),
                }
            }
        }
    }

    #[test]
    fn values_are_read_by_type() {
        let check = |type_name: &str, value: Value, is_text: bool, want: Result<Value, &str>| {
            let got = read(&column(type_name), &value, is_text);
            assert_eq!(got, want.map_err(str::to_owned), "{type_name} {value}");
        };
        check("int2", json!(7), false, Ok(json!(7)));
        check("int8", json!("4294967295"), true, Ok(json!(4_294_967_295_i64)));
        check("int2", json!(70_000), false, Err("70000 is not in -32768 to 32767"));
        check("int4", json!("a"), true, Err("\"a\" is not a whole number"));
        check("int4", json!(1.5), false, Err("1.5 is not a whole number"));
        check("int4", json!(""), true, Ok(Value::Null));
        check("bool", json!("Yes"), true, Ok(json!(true)));
        check("bool", json!(2), false, Err("2 is not true or false"));
        check("jsonb", json!("{\"a\": 1}"), true, Ok(json!({"a": 1})));
        check("jsonb", json!({"a": 1}), false, Ok(json!({"a": 1})));
        check("jsonb", json!("{"), true, Err("\"{\" is not JSON"));
        check("varchar", json!("abcd"), false, Err("has 4 characters, the most are 3"));
        check("text", json!("a\0"), false, Err("\"a\0\" is not a text without NUL"));
        check("text", json!({}), false, Err("{} is not a text"));
        check(
            "uuid",
            json!("0190163d-8694-739b-aea5-966c26f8ad91"),
            false,
            Ok(json!("0190163d-8694-739b-aea5-966c26f8ad91")),
        );
        check("uuid", json!("7"), false, Err("\"7\" is not a UUID"));
        check("inet", json!("192.0.2.1"), false, Ok(json!("192.0.2.1")));
        check("inet", json!("192.0.2.256"), false, Err("\"192.0.2.256\" is not an address"));
        check("cidr", json!("192.0.2.1/24"), false, Err("\"192.0.2.1/24\" is not a prefix without host bits"));
        check("macaddr", json!("00:00:5e:00:53:01"), false, Ok(json!("00:00:5e:00:53:01")));
        check("macaddr", json!("00:00"), false, Err("\"00:00\" is not a MAC address"));
        check("timestamptz", json!("2026-11-26 12:00:00+00"), false, Ok(json!("2026-11-26 12:00:00+00")));
        check("timestamp", json!("2026-11-26T12:00:00.123Z"), false, Ok(json!("2026-11-26T12:00:00.123Z")));
        check("timestamp", json!("2026-11-26"), false, Ok(json!("2026-11-26")));
        check("timestamp", json!("yesterday"), false, Err("\"yesterday\" is not a time"));
        check("int8[]", json!([64496, "64497"]), false, Ok(json!([64496, 64497])));
        check("int8[]", json!("{64496,64497}"), true, Ok(json!([64496, 64497])));
        check("cidr[]", json!("192.0.2.0/24 198.51.100.0/24"), true, Ok(json!(["192.0.2.0/24", "198.51.100.0/24"])));
        check("int8[]", json!(7), false, Err("7 is not a list"));
    }
}
