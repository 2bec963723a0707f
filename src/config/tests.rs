//! Tests of the settings that result from an environment.

use std::time::Duration;

use super::*;

const DATABASE: (&str, &str) = ("RIB_INGESTER_DATABASE_URL", "postgresql://u:secret@db/rib");

impl Settings {
    /// Returns settings from name and value pairs, or every mistake in them. `DATABASE_URL` is required.
    pub(crate) fn from_env(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Settings, Vec<Problem>> {
        read(RawEnvironment::collect(vars))
    }

    /// Like [`Settings::from_env`], but `database_url` is empty when it is not given.
    pub(crate) fn from_env_offline(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Settings, Vec<Problem>> {
        let mut given = RawEnvironment::collect(vars);
        given.database = DatabaseUrl::Optional;
        read(given)
    }
}

fn env<'a>(vars: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (OsString, OsString)> + use<'a> {
    vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)))
}

fn problems(vars: &[(&str, &str)]) -> Vec<String> {
    Settings::from_env(env(vars)).unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn defaults_hold() {
    let settings = Settings::from_env(env(&[DATABASE, ("PATH", "/bin")])).unwrap();
    assert_eq!(settings.bmp_listen, "[::]:11019".parse().unwrap());
    assert_eq!(settings.http_listen, Some("127.0.0.1:11020".parse().unwrap()));
    assert_eq!(settings.flush, Duration::from_millis(200));
    assert_eq!(settings.stale_routes, Duration::from_secs(900));
    assert_eq!((settings.history, settings.store_raw_bytes, settings.store_raw_bytes_compress), (true, false, true));
    assert_eq!(settings.state_dir, PathBuf::from("./rib-ingester-state"));
    assert!(!settings.collector_id.is_empty());
    assert_eq!(settings.journal_max_bytes, None);
    assert!(settings.in_force().all(|(_, value)| value.source != ValueSource::Credential));
}

#[test]
fn every_mistake_is_said_at_once() {
    let said = problems(&[
        ("RIB_INGESTER_FLUSH_MS", "abc"),
        ("RIB_INGESTER_FLUHS_MS", "200"),
        ("RIB_INGESTER_TEST_DATABASE_URL", "ignored"),
        ("RIB_INGESTER_MAX_SESSIONS", "0"),
        ("RIB_INGESTER_ZZZ", "secret"),
    ]);
    assert_eq!(
        said,
        [
            "RIB_INGESTER_FLUHS_MS: is not a setting; did you mean RIB_INGESTER_FLUSH_MS?",
            "RIB_INGESTER_ZZZ: is not a setting; `rib-ingester config` lists all settings",
            "RIB_INGESTER_DATABASE_URL: is required; allowed: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or \
             `host=.. user=.. dbname=..`",
            "RIB_INGESTER_MAX_SESSIONS=0: is too small; allowed: 1 to 65536",
            "RIB_INGESTER_FLUSH_MS=abc: is not a whole number; allowed: 1 to 60000",
        ]
    );
}

#[test]
fn a_slip_in_front_of_a_setting_stops_the_start_too() {
    let said = problems(&[DATABASE, ("RIB_INGESTOR_ALLOW", "10.0.0.0/8"), ("MY_LOG", "x")]);
    assert_eq!(said, ["RIB_INGESTOR_ALLOW: is not a setting; did you mean RIB_INGESTER_ALLOW?"]);
}

#[test]
fn an_old_name_names_the_new_one() {
    for (old, new) in super::problem::RENAMED {
        assert!(super::TABLE.iter().any(|setting| setting.name == new), "{new}");
        let said = problems(&[DATABASE, (&format!("{}{old}", super::PREFIX), "1")]);
        let wanted = format!("RIB_INGESTER_{old}: is an old name; the setting is RIB_INGESTER_{new} now");
        assert_eq!(said, [wanted]);
    }
}

#[test]
fn a_bad_secret_is_hidden() {
    let said = problems(&[("RIB_INGESTER_DATABASE_URL", "postgresql://u:hunter2@db:x/rib")]);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("RIB_INGESTER_DATABASE_URL=(hidden): ") && !said[0].contains("hunter2"), "{said:?}");
}

#[test]
fn debug_output_hides_the_password() {
    let settings = Settings::from_env(env(&[DATABASE])).unwrap();
    let shown = format!("{settings:?}");
    assert!(shown.contains("host=db") && !shown.contains(":secret") && !shown.contains("=secret"), "{shown}");
}

#[test]
fn offline_needs_no_database_and_an_empty_one_fails() {
    assert_eq!(Settings::from_env_offline(env(&[])).unwrap().database_url, "");
    assert!(Settings::from_env_offline(env(&[("RIB_INGESTER_DATABASE_URL", "")])).is_err());
}

#[test]
#[cfg(unix)]
fn bytes_that_are_not_text_are_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let bad = (OsString::from("RIB_INGESTER_LOG"), OsString::from_vec(vec![b'i', 0xff]));
    let said = Settings::from_env_offline(std::iter::once(bad)).unwrap_err();
    assert_eq!((said.len(), said[0].wrong.as_str()), (1, "is not valid UTF-8"));
}

#[test]
fn the_database_may_come_from_a_credential() {
    let folder = std::env::temp_dir().join(format!("rib-ingester-credential-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("database_url"), "postgresql://u:secret@other/rib\n").unwrap();
    let folder_text = folder.to_str().unwrap();
    let from = |vars: &[(&str, &str)]| Settings::from_env(env(vars)).unwrap().database_url;
    assert_eq!(from(&[("CREDENTIALS_DIRECTORY", folder_text)]), "postgresql://u:secret@other/rib");
    assert_eq!(from(&[("CREDENTIALS_DIRECTORY", folder_text), DATABASE]), DATABASE.1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn state_directory_is_the_first_of_systemds() {
    let dir = |vars: &[(&str, &str)]| Settings::from_env_offline(env(vars)).unwrap().state_dir;
    assert_eq!(dir(&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")]), PathBuf::from("/var/lib/a"));
    let own = ("RIB_INGESTER_STATE_DIR", "/srv/x");
    assert_eq!(dir(&[("STATE_DIRECTORY", "/var/lib/a"), own]), PathBuf::from("/srv/x"));
}

#[test]
fn every_default_parses_and_names_are_unique() {
    let names: std::collections::BTreeSet<_> = TABLE.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for setting in TABLE {
        let DefaultValue::Text(text) = setting.default else { continue };
        let given = (OsString::from(setting.variable()), OsString::from(text));
        assert!(Settings::from_env_offline(std::iter::once(given)).is_ok(), "{}", setting.name);
    }
}
