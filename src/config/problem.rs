//! What is wrong with a setting, in one line an operator can act on.

use std::fmt;

use super::{PREFIX, Setting, TABLE};

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub name: String,
    /// Its value; `None` when nothing was given or when it is secret.
    pub value: Option<String>,
    /// What is wrong.
    pub wrong: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl Problem {
    /// A value that its setting does not take.
    pub fn bad_value(setting: &Setting, value: &str, wrong: &str) -> Problem {
        let value = if setting.is_secret() { "(hidden)" } else { value };
        Problem {
            name: setting.variable(),
            value: Some(value.to_string()),
            wrong: wrong.to_string(),
            allowed: format!("allowed: {}", setting.allowed),
        }
    }

    /// A value that is not there.
    pub fn missing(setting: &Setting, wrong: &str) -> Problem {
        Problem {
            name: setting.variable(),
            value: None,
            wrong: wrong.to_string(),
            allowed: format!("allowed: {}", setting.allowed),
        }
    }

    /// A name with our prefix that is no setting. Its value is not shown: a misspelt `DATABASE_URL` is secret too.
    pub fn unknown(short: &str) -> Problem {
        let allowed = match nearest(short) {
            Some(setting) => format!("did you mean {}?", setting.variable()),
            None => "`rib-ingester config` lists all settings".to_string(),
        };
        Problem { name: format!("{PREFIX}{short}"), value: None, wrong: "is not a setting".to_string(), allowed }
    }

    /// A file named by a setting that cannot be read or used.
    pub fn bad_file(short: &str, path: &std::path::Path, wrong: &str, allowed: &str) -> Problem {
        Problem {
            name: format!("{PREFIX}{short}"),
            value: Some(path.display().to_string()),
            wrong: wrong.to_string(),
            allowed: allowed.to_string(),
        }
    }
}

/// `RIB_INGESTER_FLUSH_MS=abc: is not a whole number; allowed: 1 to 60000`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(value) = &self.value {
            write!(f, "={}", value.escape_debug())?;
        }
        write!(f, ": {}; {}", self.wrong, self.allowed)
    }
}

/// The setting that was probably meant.
fn nearest(short: &str) -> Option<&'static Setting> {
    const SIMILARITY_MIN: f64 = 0.7;
    let similarity = |setting: &Setting| strsim::normalized_damerau_levenshtein(setting.name, short);
    TABLE
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|setting| similarity(setting) >= SIMILARITY_MIN)
}
