//! A mistake in a setting, as one line that tells the operator how to fix it.

use std::fmt;

use super::setting::{PREFIX, Setting};
use super::value;

/// The names of settings before the first release, and their present names.
pub(super) const RENAMED: [(&str, &str); 5] = [
    ("ISOLATION_HOLD_SECS", "MASS_LOSS_STALE_SECS"),
    ("RESYNC_QUIET_SECS", "EOR_TIMEOUT_SECS"),
    ("SESSION_HOLD_SECS", "STALE_ROUTES_SECS"),
    ("SINGLE_PATH", "IGNORE_PATH_ID"),
    ("STORE", "STORED_RIBS"),
];

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub name: String,
    /// The value; `None` when nothing was given or when it is secret.
    pub value: Option<String>,
    /// The mistake.
    pub wrong: String,
    /// The allowed values, or the remedy.
    pub allowed: String,
}

impl Problem {
    /// Reports a value that its setting does not accept.
    pub(crate) fn bad_value(setting: &Setting, value: &str, wrong: &str) -> Problem {
        let value = if setting.is_secret() { "(hidden)" } else { value };
        Problem {
            name: setting.variable(),
            value: Some(value.to_string()),
            wrong: wrong.to_string(),
            allowed: format!("allowed: {}", setting.allowed),
        }
    }

    /// Reports a missing value.
    pub fn missing(setting: &Setting, wrong: &str) -> Problem {
        Problem {
            name: setting.variable(),
            value: None,
            wrong: wrong.to_string(),
            allowed: format!("allowed: {}", setting.allowed),
        }
    }

    /// Reports an unknown name with our prefix. Its value is hidden: a misspelled `DATABASE_URL` is secret too.
    pub fn unknown(short: &str, table: &[Setting]) -> Problem {
        let renamed = RENAMED.iter().find(|(old, _)| *old == short);
        let (wrong, allowed) = match (renamed, meant(short, table).as_slice()) {
            (Some((_, new)), _) => ("is an old name", format!("the setting is {PREFIX}{new} now")),
            (None, []) => ("is not a setting", "`rib-ingester config` lists all settings".to_string()),
            (None, names) => ("is not a setting", format!("did you mean {}?", names.join(" or "))),
        };
        Problem { name: format!("{PREFIX}{short}"), value: None, wrong: wrong.to_string(), allowed }
    }

    /// Reports a setting whose prefix is misspelled: `RIB_INGESTOR_ALLOW`, `rib_ingester_allow`.
    pub(crate) fn slipped(name: &str, table: &[Setting]) -> Option<Problem> {
        /// The maximum number of wrong letters.
        const SLIP_MAX: usize = 2;
        let asked = name.to_ascii_uppercase();
        let is_slip = |front: &str| strsim::damerau_levenshtein(front, PREFIX) <= SLIP_MAX;
        let setting = table.iter().find(|setting| asked.strip_suffix(setting.name).is_some_and(is_slip))?;
        let allowed = format!("did you mean {}?", setting.variable());
        Some(Problem { name: name.to_string(), value: None, wrong: "is not a setting".to_string(), allowed })
    }

    /// Reports a file named by a setting that cannot be read or used.
    pub(crate) fn bad_file(short: &str, path: &std::path::Path, wrong: &str, allowed: &str) -> Problem {
        Problem {
            name: format!("{PREFIX}{short}"),
            value: Some(path.display().to_string()),
            wrong: wrong.to_string(),
            allowed: allowed.to_string(),
        }
    }
}

/// Formats a problem as `RIB_INGESTER_FLUSH_MS=abc: is not a whole number; allowed: 1 to 60000`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(text) = &self.value {
            write!(f, "={}", value::plain(text))?;
        }
        write!(f, ": {}; {}", self.wrong, self.allowed)
    }
}

/// Returns the settings that were probably meant: the one with the most similar name, else those whose names contain
/// its words.
fn meant(short: &str, table: &[Setting]) -> Vec<String> {
    const SIMILARITY_MIN: f64 = 0.7;
    /// More suggestions than this would not help.
    const NAMES_MAX: usize = 3;
    let asked = short.to_ascii_uppercase();
    let similarity = |setting: &Setting| strsim::normalized_damerau_levenshtein(setting.name, &asked);
    let nearest = table.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    if let Some(setting) = nearest.filter(|setting| similarity(setting) >= SIMILARITY_MIN) {
        return vec![setting.variable()];
    }
    let words = format!("_{asked}_");
    let holds = |setting: &&Setting| format!("_{}_", setting.name).contains(&words);
    let names: Vec<String> = table.iter().filter(holds).map(Setting::variable).collect();
    if names.len() > NAMES_MAX { Vec::new() } else { names }
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    #[test]
    fn a_misspelt_or_shortened_name_finds_its_setting() {
        let check =
            |short: &str, expected: &str| assert_eq!(Problem::unknown(short, TABLE).allowed, expected, "{short}");
        check("FLUHS_MS", "did you mean RIB_INGESTER_FLUSH_MS?");
        check("RETENTION", "did you mean RIB_INGESTER_RETENTION_DAYS or RIB_INGESTER_INCIDENT_RETENTION_DAYS?");
        check("retention_days", "did you mean RIB_INGESTER_RETENTION_DAYS?");
        check("PASSWORD_FILE", "did you mean RIB_INGESTER_DATABASE_PASSWORD_FILE?");
        check("BMP_TLS_KEY", "did you mean RIB_INGESTER_BMP_TLS_KEY_FILE?");
        check("RAW_BYTES", "did you mean RIB_INGESTER_STORE_RAW_BYTES or RIB_INGESTER_STORE_RAW_BYTES_COMPRESS?");
        // Half a word, and a word of many settings.
        check("RETENT", "`rib-ingester config` lists all settings");
        check("FILE", "`rib-ingester config` lists all settings");
    }

    #[test]
    fn a_misspelled_prefix_is_reported_others_are_not() {
        let slipped = |name: &str| Problem::slipped(name, TABLE).map(|problem| problem.allowed);
        let allow = Some("did you mean RIB_INGESTER_ALLOW?".to_string());
        for name in ["RIB_INGESTOR_ALLOW", "RIBINGESTER_ALLOW", "rib_ingester_allow", "RIB_INGETSER_ALLOW"] {
            assert_eq!(slipped(name), allow, "{name}");
        }
        for name in ["ALLOW", "LOG", "MY_INGESTER_LOG", "RIB_ALLOW", "RIB_INGESTOR_NONSENSE", "PATH"] {
            assert_eq!(slipped(name), None, "{name}");
        }
    }

    #[test]
    fn a_value_is_shown_as_it_was_given() {
        let allow = TABLE.iter().find(|setting| setting.name == "ALLOW").unwrap();
        let shown = Problem::bad_value(allow, "\"10.0.0.0/8\",\u{1b}", "is not").to_string();
        assert!(shown.starts_with("RIB_INGESTER_ALLOW=\"10.0.0.0/8\",\\u{1b}: is not; allowed: "), "{shown}");
    }
}
