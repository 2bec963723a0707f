//! Patterns of AS paths: AS numbers separated by spaces, `?` for any one AS, `*` for any number of them. A pattern is
//! of the whole path: `64500 *` begins with AS 64500, `* 64500` ends with it, `* 64500 *` has it anywhere.
//!
//! An AS_SET counts as one, written as in the column: `{64500,64501}`. The database gets a regular expression of a few
//! known parts, over the path with a space after each AS; no expression of a client's reaches it.

/// The largest number of parts of a pattern.
const PARTS_MAX: usize = 64;

/// Returns the regular expression of a pattern, for an AS path with a space after it.
///
/// # Errors
/// A part is none of those.
pub(super) fn regular_expression(pattern: &str) -> Result<String, &'static str> {
    let mut parts: Vec<&str> = pattern.split_whitespace().collect();
    // Two of them mean what one means.
    parts.dedup_by(|one, other| *one == "*" && one == other);
    if parts.len() > PARTS_MAX {
        return Err("has more than 64 parts");
    }
    let mut expression = String::from("^");
    for part in parts {
        match part {
            "*" => expression.push_str("([^ ]+ )*"),
            "?" => expression.push_str("[^ ]+ "),
            _ => {
                expression.push_str(&literal(part).ok_or("is not AS numbers, ? and *, separated by spaces")?);
                expression.push(' ');
            }
        }
    }
    expression.push('$');
    Ok(expression)
}

/// Returns an AS or an AS_SET as it is in the column, for a regular expression.
fn literal(part: &str) -> Option<String> {
    let number = |text: &str| (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(list) => list.split(',').try_for_each(number).map(|()| format!("\\{{{list}\\}}")),
        // Confederation segments have brackets around them.
        None => {
            let inner = part.trim_start_matches('(').trim_end_matches(')');
            number(inner).map(|()| part.replace('(', "\\(").replace(')', "\\)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_whole_paths() {
        let check = |pattern: &str, path: &str, want: bool| {
            let expression = regex::Regex::new(&regular_expression(pattern).unwrap()).unwrap();
            let text = if path.is_empty() { String::new() } else { format!("{path} ") };
            assert_eq!(expression.is_match(&text), want, "{pattern} over {path}");
        };
        check("64500", "64500", true);
        check("64500", "64500 64501", false);
        check("64500", "645001", false);
        check("64500 *", "64500", true);
        check("64500 *", "64500 64501 64502", true);
        check("* 64502", "64500 64501 64502", true);
        check("* 4502", "64500 64501 64502", false);
        check("* 64501 *", "64500 64501 64502", true);
        check("* * 64501 * *", "64500", false);
        check("64500 ? 64502", "64500 64501 64502", true);
        check("64500 ? 64502", "64500 64502", false);
        check("* {64501,64502}", "64500 {64501,64502}", true);
        check("(64500 64501) *", "(64500 64501) 64502", true);
        check("*", "", true);
        check("?", "", false);
    }

    #[test]
    fn other_parts_are_refused() {
        for pattern in [".*", "64500.*", "AS64500", "{a}", "{}", "{1", "()", "\\d", "^64500", "$"] {
            assert!(regular_expression(pattern).is_err(), "{pattern}");
        }
        assert!(regular_expression(&"1 ".repeat(65)).is_err());
        assert_eq!(regular_expression("* * 1").unwrap(), "^([^ ]+ )*1 $");
    }
}
