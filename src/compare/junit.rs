//! JUnit XML as CI systems read it: a suite with a test case for each check.

use super::check::{Check, Outcome};
use crate::model::Timestamp;

/// Returns the file: a check that is not good is a failure, one that nobody can tell an error.
pub(crate) fn junit(suite: &str, checks: &[Check], at: Timestamp) -> String {
    let number = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let (failures, errors) = (number(Outcome::Bad), number(Outcome::Unknown));
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\"", checks.len());
    let suite = escaped(suite);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{suite}\" {counts} \
         skipped=\"0\" timestamp=\"{}\">\n",
        at.to_utc().replacen(' ', "T", 1).replace(" UTC", "")
    );
    for check in checks {
        let (name, summary) = (escaped(&check.name), escaped(&check.summary));
        let lines = escaped(&check.lines.join("\n"));
        out.push_str(&format!("    <testcase classname=\"{suite}\" name=\"{name}\""));
        out.push_str(&match check.outcome {
            Outcome::Good if check.lines.is_empty() => "/>\n".to_owned(),
            Outcome::Good => format!(">\n      <system-out>{lines}</system-out>\n    </testcase>\n"),
            Outcome::Bad => format!(">\n      <failure message=\"{summary}\">{lines}</failure>\n    </testcase>\n"),
            Outcome::Unknown => format!(">\n      <error message=\"{summary}\">{lines}</error>\n    </testcase>\n"),
        });
    }
    out + "  </testsuite>\n</testsuites>\n"
}

/// Escapes text for content and attributes. Characters that XML 1.0 section 2.2 does not allow become `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_test_case() {
        let check = |name: &str, outcome, lines: &[&str]| Check {
            name: name.to_owned(),
            outcome,
            summary: "2 \"differ\"".to_owned(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        let checks = [
            check("a & b", Outcome::Good, &[]),
            check("c", Outcome::Bad, &["<x>", "y\u{1b}"]),
            check("d", Outcome::Unknown, &["why"]),
        ];
        let want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuites tests=\"3\" failures=\"1\" errors=\"1\">\n  \
            <testsuite name=\"compare\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\" timestamp=\"2023-11-14T22:13:20\">\n    \
            <testcase classname=\"compare\" name=\"a &amp; b\"/>\n    \
            <testcase classname=\"compare\" name=\"c\">\n      \
            <failure message=\"2 &quot;differ&quot;\">&lt;x&gt;&#10;y?</failure>\n    </testcase>\n    \
            <testcase classname=\"compare\" name=\"d\">\n      \
            <error message=\"2 &quot;differ&quot;\">why</error>\n    </testcase>\n  \
            </testsuite>\n</testsuites>\n";
        assert_eq!(junit("compare", &checks, Timestamp::from_unix_micros(1_700_000_000_000_000)), want);
    }
}
