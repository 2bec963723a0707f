//! The expression that a watch has for the AS path.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// The longest expression, in octets.
const LENGTH_MAX: usize = 1_000;

/// The most memory that the program of one expression takes, in octets. An expression is matched in a time that is
/// proportional to its program and to the path, whatever is in it.
const SIZE_MAX: usize = 64 * 1_024;

/// The deepest nesting of an expression.
const NEST_MAX: u32 = 50;

/// A rule for AS paths: a regular expression, with `!` before it where the path must not match.
#[derive(Clone)]
pub struct PathMatch {
    regex: Regex,
    is_forbidden: bool,
}

impl PathMatch {
    /// Parses the text of the column `path_match`.
    ///
    /// # Errors
    /// A sentence, when it is no expression or one that is not supported.
    pub fn parse(text: &str) -> Result<PathMatch, String> {
        let (pattern, is_forbidden) = match text.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (text, false),
        };
        if pattern.is_empty() {
            return Err("has no regular expression".to_owned());
        }
        if text.len() > LENGTH_MAX {
            return Err(format!("has {} octets; allowed: {LENGTH_MAX}", text.len()));
        }
        // Paths are ASCII.
        let built = RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(SIZE_MAX)
            .nest_limit(NEST_MAX)
            .build();
        let regex = built.map_err(|error| sentence(&error))?;
        Ok(PathMatch { regex, is_forbidden })
    }

    /// Returns whether a path, its confederation segments left out, is as it must be.
    pub fn is_met(&self, path: &str) -> bool {
        self.regex.is_match(path.as_bytes()) != self.is_forbidden
    }

    /// Returns whether it says how paths must not be.
    pub fn is_forbidden(&self) -> bool {
        self.is_forbidden
    }

    /// Returns the expression without `!`.
    pub fn pattern(&self) -> &str {
        self.regex.as_str()
    }
}

fn sentence(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "is too large: repeat less, or list fewer alternatives".to_owned(),
        error => {
            let text = error.to_string();
            let why = text.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(&text);
            if why.starts_with("look-around") {
                return "has a look-around, (?=, (?!, (?<= or (?<!, which is not supported; where the path must not \
                        match, put ! before the whole expression"
                    .to_owned();
            }
            format!("is no regular expression: {why}")
        }
    }
}

impl PartialEq for PathMatch {
    fn eq(&self, other: &PathMatch) -> bool {
        (self.pattern(), self.is_forbidden) == (other.pattern(), other.is_forbidden)
    }
}

impl Eq for PathMatch {}

/// Writes the text of the column.
impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_forbidden { "!" } else { "" }, self.pattern())
    }
}

impl fmt::Debug for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn paths_match_or_must_not() {
        let check = |text: &str, path: &str, want: bool| {
            let expression = PathMatch::parse(text).unwrap();
            assert_eq!(expression.is_met(path), want, "{text} {path}");
            assert_eq!(expression.to_string(), text);
        };
        check("^64500 64496$", "64500 64496", true);
        check("^64500 64496$", "64500 64496 64496", false);
        check("!^64500", "64500 64496", false);
        check("!^64500", "64501 64496", true);
        check(r"\b6449[0-9]( 64496)+$", "64500 64499 64496 64496", true);
        check(r"^(\d+ ){0,3}64496$", "1 2 3 4 64496", false);
        check(r"\{64496,64497\}$", "64500 {64496,64497}", true);
    }

    #[test]
    fn expressions_that_are_refused() {
        let check = |text: &str, want: &str| {
            let began = Instant::now();
            let why = PathMatch::parse(text).unwrap_err();
            assert!(why.contains(want), "{text}: {why}");
            assert!(!why.contains('\n') && began.elapsed() < Duration::from_secs(1), "{text}: {why}");
        };
        for around in ["(?=64496)", "(?!64496)", "^(?<=1)2", "(?<!1)2"] {
            check(around, "look-around");
        }
        check("", "no regular expression");
        check("!", "no regular expression");
        check("(64496", "unclosed group");
        check("[64496", "unclosed character class");
        check("*", "repetition operator missing expression");
        check(r"(1)\1", "backreferences are not supported");
        check(r"\p{Greek}", "Unicode");
        check("a{2,1}", "invalid repetition count range");
        check(&"1".repeat(1_001), "1001 octets; allowed: 1000");
        check(&"(".repeat(500), "unclosed group");
        check(&format!("{}1{}", "(".repeat(300), ")".repeat(300)), "nest");
        // Programs that grow with the exponent of their nesting.
        check("((((1{100}){100}){100}){100})", "too large");
        check("(1|22|333){5000}", "too large");
    }

    #[test]
    fn hostile_expressions_are_matched_in_time() {
        let path = format!("{} x", "1".repeat(4_000));
        for text in ["(1+)+$", "(1|11)+$", "(.*)*64496", "(1*)*(1*)*$", "^(([0-9])+.)+([0-9 ]+)+$"] {
            let expression = PathMatch::parse(text).unwrap();
            let began = Instant::now();
            let _ = expression.is_met(&path);
            assert!(began.elapsed() < Duration::from_secs(1), "{text}: {:?}", began.elapsed());
        }
    }
}
