//! `decode`: any stream becomes lines of JSON that account for every octet, and none holds NUL.

use rib_ingester::cli::decode;
use serde_json::Value;

use super::MESSAGE_MAX;

/// The input is the stream.
pub fn check(input: &[u8]) {
    let mut out = Vec::new();
    let whole = decode::run(input, &mut out, MESSAGE_MAX).unwrap();
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    let mut offset = 0;
    let mut is_fatal = false;
    for (index, line) in text.lines().enumerate() {
        assert!(!is_fatal, "nothing follows a fatal line");
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        assert_eq!(line["index"], index);
        assert_eq!(line["offset"], offset);
        is_fatal = line["fatal"] == true;
        let length = line["length"].as_u64();
        assert_eq!(length.is_none(), is_fatal);
        if let Some(at) = line["error"]["offset"].as_u64() {
            let end = length.map_or(input.len() as u64, |length| offset + length);
            assert!(offset <= at && at <= end, "an error is inside its message: {line}");
        }
        offset += length.unwrap_or(0);
        check_value(&line);
    }
    assert_eq!(whole, !is_fatal);
    assert!(is_fatal || offset == input.len() as u64, "every octet is in a line");
}

fn check_value(value: &Value) {
    match value {
        Value::Null => panic!("a field without a value is absent"),
        Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => assert!(!text.contains('\0'), "{text:?}"),
        Value::Array(all) => all.iter().for_each(check_value),
        Value::Object(all) => all.values().for_each(check_value),
    }
}
