//! The settings file of the systemd unit, for commands that systemd does not start.
//!
//! It is parsed as systemd parses `EnvironmentFile=` (systemd.exec(5)): `#` and `;` begin a comment, both kinds of
//! quotes are removed, a backslash escapes the next character and joins lines. The command's environment overrides the
//! file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::allow::read_bounded;
use super::problem::Problem;
use super::setting::{PREFIX, TEST_PREFIX};
use super::table::TABLE;

/// The file that `systemd/rib-ingester.service` names.
pub(crate) const OF_UNIT: &str = "/etc/rib-ingester/rib-ingester.env";

/// The unit's `StateDirectory=`.
const STATE_OF_UNIT: &str = "/var/lib/rib-ingester";

/// The maximum size of the file, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// The file that a command reads in addition to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvFile {
    /// This file. It must exist.
    Named(PathBuf),
    /// `OF_UNIT`, if the environment has no setting of ours and the file can be read.
    OfUnit,
    /// No file: systemd has put its contents into the environment.
    None,
}

/// The environment of a process, and the settings that a file adds to it.
#[derive(Debug, Default)]
pub struct Environment {
    pub(super) vars: Vec<(OsString, OsString)>,
    /// The file that provided settings, and their names.
    pub(super) file: Option<(PathBuf, BTreeSet<String>)>,
    /// Possible reasons why a setting is missing.
    pub(super) hints: Vec<String>,
}

impl Environment {
    /// Returns the unit's file if it provided settings and was not named by the user.
    pub(crate) fn unit_file(&self, which: &EnvFile) -> Option<&Path> {
        let (path, names) = self.file.as_ref()?;
        (*which == EnvFile::OfUnit && !names.is_empty()).then_some(path)
    }

    pub(super) fn read(
        vars: Vec<(OsString, OsString)>,
        which: &EnvFile,
        of_unit: &Path,
    ) -> Result<Environment, Vec<Problem>> {
        let mut environment = Environment { hints: hints(&vars), vars, file: None };
        match which {
            EnvFile::Named(path) => {
                let text = read_bounded(path, BYTES_MAX).map_err(|error| vec![bad(path, error.to_string())])?;
                environment.take(path, &text)?;
            }
            _ if environment.is_given() => {
                if of_unit.exists() {
                    let path = of_unit.display();
                    environment.hints.push(format!("{path} is read if no setting is given, or with --env-file {path}"));
                }
            }
            EnvFile::OfUnit => match read_bounded(of_unit, BYTES_MAX) {
                Ok(text) => {
                    environment.take(of_unit, &text)?;
                    environment.take_state_directory();
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let path = of_unit.display();
                    environment
                        .hints
                        .push(format!("{path} may set it: {error}; run as root, or use another --env-file"));
                }
            },
            EnvFile::None if of_unit.exists() => {
                let path = of_unit.display();
                environment.hints.push(format!("systemd reads {path} for it, this command with --env-file {path}"));
            }
            EnvFile::None => {}
        }
        Ok(environment)
    }

    /// Returns whether the environment already provides settings or systemd credentials.
    fn is_given(&self) -> bool {
        self.vars
            .iter()
            .any(|(name, _)| name.to_str().is_some_and(|name| is_ours(name) || name == "CREDENTIALS_DIRECTORY"))
    }

    fn take(&mut self, path: &Path, text: &str) -> Result<(), Vec<Problem>> {
        let (pairs, wrong) = parse(text);
        if !wrong.is_empty() {
            return Err(wrong.into_iter().map(|wrong| bad(path, wrong)).collect());
        }
        let mut names = BTreeSet::new();
        let given: BTreeSet<OsString> = self.vars.iter().map(|(name, _)| name.clone()).collect();
        // A misspelled prefix is reported as in the environment, where systemd puts it.
        let is_taken = |name: &str| is_ours(name) || Problem::slipped(name, TABLE).is_some();
        // If a name occurs twice, the last line counts, as in systemd.
        for (name, value) in
            pairs.into_iter().filter(|(name, _)| is_taken(name) && !given.contains(&OsString::from(name)))
        {
            self.vars.push((OsString::from(&name), OsString::from(value)));
            names.insert(name);
        }
        self.hints.push(format!("{} does not set it", path.display()));
        self.file = Some((path.to_owned(), names));
        Ok(())
    }

    /// Makes the unit's state folder the default for the settings in its file.
    fn take_state_directory(&mut self) {
        const NAME: &str = "STATE_DIRECTORY";
        if Path::new(STATE_OF_UNIT).is_dir() && !self.vars.iter().any(|(name, _)| name == NAME) {
            self.vars.push((NAME.into(), STATE_OF_UNIT.into()));
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX)
}

/// Returns hints about variables that other programs use to find a database.
fn hints(vars: &[(OsString, OsString)]) -> Vec<String> {
    const LIBPQ: [&str; 5] = ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"];
    let has = |name: &str| vars.iter().any(|(other, _)| other == name);
    let mut hints = Vec::new();
    if has("DATABASE_URL") {
        hints.push("DATABASE_URL is set, but the setting is RIB_INGESTER_DATABASE_URL".to_owned());
    }
    match LIBPQ.into_iter().filter(|name| has(name)).collect::<Vec<_>>().as_slice() {
        [] => {}
        [name] => hints.push(format!("{name} is set, but only psql reads it")),
        names => hints.push(format!("{} are set, but only psql reads them", names.join(", "))),
    }
    hints
}

fn bad(path: &Path, wrong: String) -> Problem {
    let allowed = "allowed: lines of NAME=VALUE, as systemd reads them".to_owned();
    Problem { name: path.display().to_string(), value: None, wrong, allowed }
}

/// The state of the parser, as in systemd's `env-file.c`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

/// Returns the assignments of a file, and each line that mentions one of our settings but is not an assignment.
fn parse(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    if text.starts_with('\u{feff}') {
        return (Vec::new(), vec!["begins with a byte-order mark: save it as plain UTF-8".to_owned()]);
    }
    let mut parser = Parser::default();
    for c in text.chars() {
        parser.take(c);
        if c == '\n' {
            parser.line += 1;
        }
    }
    if let At::SingleQuoted | At::DoubleQuoted | At::DoubleQuotedEscape = parser.at {
        parser.wrong.push(format!("line {}: its quote is not closed", parser.quote_line));
    }
    parser.take('\n');
    // A backslash at the end of the file joins nothing.
    parser.take('\n');
    (parser.pairs, parser.wrong)
}

struct Parser {
    at: At,
    line: usize,
    quote_line: usize,
    name: String,
    value: String,
    /// The length of `value` without trailing unquoted blanks, which count only if something follows.
    kept: usize,
    pairs: Vec<(String, String)>,
    wrong: Vec<String>,
}

impl Default for Parser {
    fn default() -> Parser {
        let (name, value) = (String::new(), String::new());
        let (pairs, wrong) = (Vec::new(), Vec::new());
        Parser { at: At::BeforeName, line: 1, quote_line: 1, name, value, kept: 0, pairs, wrong }
    }
}

impl Parser {
    fn take(&mut self, c: char) {
        let is_end = c == '\n' || c == '\r';
        let is_blank = is_end || c == ' ' || c == '\t';
        self.at = match self.at {
            At::BeforeName if c == '#' || c == ';' => At::Comment,
            At::BeforeName if is_blank => At::BeforeName,
            At::BeforeName => self.next_name(c),
            At::Name if is_end => self.end_without_value(),
            At::Name if c == '=' => At::BeforeValue,
            At::Name => self.next_name(c),
            At::BeforeValue | At::Value if is_end => self.end_of_line(),
            At::BeforeValue if c == '\'' => self.begin_quote(At::SingleQuoted),
            At::BeforeValue if c == '"' => self.begin_quote(At::DoubleQuoted),
            At::BeforeValue | At::Value if c == '\\' => At::ValueEscape,
            At::BeforeValue if is_blank => At::BeforeValue,
            At::BeforeValue | At::Value => {
                self.value.push(c);
                if !is_blank {
                    self.kept = self.value.len();
                }
                At::Value
            }
            // A line that ends in a backslash continues on the next one.
            At::ValueEscape if is_end => At::Value,
            At::ValueEscape => self.next(c, At::Value),
            At::SingleQuoted if c == '\'' => At::BeforeValue,
            At::SingleQuoted => self.next(c, At::SingleQuoted),
            At::DoubleQuoted if c == '"' => At::BeforeValue,
            At::DoubleQuoted if c == '\\' => At::DoubleQuotedEscape,
            At::DoubleQuoted => self.next(c, At::DoubleQuoted),
            At::DoubleQuotedEscape if c == '\n' => At::DoubleQuoted,
            At::DoubleQuotedEscape => {
                if !matches!(c, '"' | '\\' | '`' | '$') {
                    self.value.push('\\');
                }
                self.next(c, At::DoubleQuoted)
            }
            At::Comment if c == '\\' => At::CommentEscape,
            At::Comment | At::CommentEscape if is_end => At::BeforeName,
            At::Comment | At::CommentEscape => At::Comment,
        };
    }

    fn next_name(&mut self, c: char) -> At {
        self.name.push(c);
        At::Name
    }

    fn next(&mut self, c: char, at: At) -> At {
        self.value.push(c);
        self.kept = self.value.len();
        at
    }

    fn begin_quote(&mut self, at: At) -> At {
        self.quote_line = self.line;
        at
    }

    fn end_of_line(&mut self) -> At {
        let mut value = std::mem::take(&mut self.value);
        value.truncate(std::mem::take(&mut self.kept));
        let name = std::mem::take(&mut self.name).trim_end().to_owned();
        if name.chars().all(is_of_name) && name.chars().next().is_some_and(|c| !c.is_ascii_digit()) {
            self.pairs.push((name, value));
        } else {
            self.complain(&name);
        }
        At::BeforeName
    }

    fn end_without_value(&mut self) -> At {
        let name = std::mem::take(&mut self.name);
        self.complain(&name);
        At::BeforeName
    }

    /// Reports a line that systemd silently ignores, so that the setting keeps its default. Only the name is shown:
    /// what follows it may be a secret, as in `RIB_INGESTER_DATABASE_URL:postgres://..`.
    fn complain(&mut self, front: &str) {
        if let Some(start) = front.find(PREFIX) {
            let name: String = front[start..].chars().take_while(|c| is_of_name(*c)).collect();
            self.wrong.push(format!("line {}: no NAME=VALUE of {name}, systemd ignores it", self.line));
        }
    }
}

/// Returns whether the name of a variable may contain this character.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_systemd_reads_it() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let (pairs, wrong) = parse(text);
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!((pairs.as_slice(), wrong.len()), (expected, 0), "{text:?}: {wrong:?}");
        };
        check("A=1\nB = 2 \n\n# C=3\n;D=4\n  E=5", &[("A", "1"), ("B", "2"), ("E", "5")]);
        check("A=\nB=''\nC=\"\"\n", &[("A", ""), ("B", ""), ("C", "")]);
        check(
            "A='a b'\nB=\"a b\" # no comment\nC=a b  c  \n",
            &[("A", "a b"), ("B", "a b# no comment"), ("C", "a b  c")],
        );
        check("A='a \\ $x'\nB=\"\\\"\\\\\\$\\x\"\nC=\\ a\\ \n", &[("A", "a \\ $x"), ("B", "\"\\$\\x"), ("C", " a ")]);
        check("A=1,\\\n2,\\\n3\nB=\"1,\\\n2\"\nC='1\n2'\n", &[("A", "1,2,3"), ("B", "1,2"), ("C", "1\n2")]);
        check("A=1\r\nB='2'\r\n", &[("A", "1"), ("B", "2")]);
        check("A=a=b#c\nA=2\nA=3\\", &[("A", "a=b#c"), ("A", "2"), ("A", "3")]);
        // As since systemd 254: a comment does not continue on the next line.
        check("# ends \\\nA=1\nno line of ours\nexport B=2\n", &[("A", "1")]);
    }

    #[test]
    fn settings_that_systemd_would_ignore_are_reported() {
        let wrong = |text: &str| parse(text).1.join("|");
        assert_eq!(
            wrong("A=1\nexport RIB_INGESTER_ALLOW=10.0.0.0/8\nRIB_INGESTER_LOG\n"),
            "line 2: no NAME=VALUE of RIB_INGESTER_ALLOW, systemd ignores it|\
             line 3: no NAME=VALUE of RIB_INGESTER_LOG, systemd ignores it"
        );
        assert_eq!(
            wrong("RIB_INGESTER_DATABASE_URL:postgres://rib:secret@db1/rib?sslmode=require\n"),
            "line 1: no NAME=VALUE of RIB_INGESTER_DATABASE_URL, systemd ignores it"
        );
        assert_eq!(wrong("\u{feff}RIB_INGESTER_LOG=info\n"), "begins with a byte-order mark: save it as plain UTF-8");
        assert_eq!(wrong("A=1\nB='2\nC=3\n"), "line 2: its quote is not closed");
    }

    struct Folder(PathBuf);

    impl Folder {
        fn create(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("rib-ingester-env-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn write(&self, text: &str) -> PathBuf {
            let path = self.0.join("rib-ingester.env");
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Returns the names that the file set, and the hints.
    fn given(vars: &[(&str, &str)], which: &EnvFile, of_unit: &Path) -> (String, String) {
        let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let environment = Environment::read(vars, which, of_unit).unwrap();
        let names = environment
            .file
            .map_or_else(|| "none".to_owned(), |(_, names)| names.into_iter().collect::<Vec<_>>().join(" "));
        (names, environment.hints.join("|"))
    }

    #[test]
    fn the_units_file_is_read_when_nothing_is_given() {
        let folder = Folder::create("unit");
        let file = folder.write("RIB_INGESTER_LOG=warn\nRIB_INGESTER_TEST_X=1\nPATH=/bin\nRIB_INGESTER_FLUSH_MS=50\n");
        let both = "RIB_INGESTER_FLUSH_MS RIB_INGESTER_LOG";
        let names = |vars: &[(&str, &str)], which: &EnvFile| given(vars, which, &file).0;
        assert_eq!(names(&[("PATH", "/bin"), ("RIB_INGESTER_TEST_DATABASE_URL", "x")], &EnvFile::OfUnit), both);
        // A setting or systemd credentials are given, so the file is not read.
        assert_eq!(names(&[("RIB_INGESTER_LOG", "info")], &EnvFile::OfUnit), "none");
        assert_eq!(names(&[("CREDENTIALS_DIRECTORY", "/run/credentials/x")], &EnvFile::OfUnit), "none");
        assert_eq!(names(&[], &EnvFile::None), "none");
        // A named file is read, and the environment overrides it.
        assert_eq!(names(&[("RIB_INGESTER_LOG", "info")], &EnvFile::Named(file.clone())), "RIB_INGESTER_FLUSH_MS");
        let missing = folder.0.join("missing");
        assert_eq!(given(&[], &EnvFile::OfUnit, &missing), ("none".to_owned(), String::new()));
        let named = Environment::read(Vec::new(), &EnvFile::Named(missing), &file).unwrap_err();
        assert!(named[0].to_string().contains("missing: No such file"), "{}", named[0]);
    }

    #[test]
    fn a_missing_setting_is_explained() {
        let folder = Folder::create("hints");
        let file = folder.write("# nothing\n");
        let hints = |vars: &[(&str, &str)], which: &EnvFile, of_unit: &Path| given(vars, which, of_unit).1;
        let path = file.display();
        assert_eq!(hints(&[], &EnvFile::OfUnit, &file), format!("{path} does not set it"));
        assert_eq!(
            hints(&[], &EnvFile::None, &file),
            format!("systemd reads {path} for it, this command with --env-file {path}")
        );
        assert_eq!(
            hints(&[("RIB_INGESTER_LOG", "debug")], &EnvFile::OfUnit, &file),
            format!("{path} is read if no setting is given, or with --env-file {path}")
        );
        // A folder cannot be read as a file, even by root.
        let said = hints(&[], &EnvFile::OfUnit, &folder.0);
        assert!(said.contains("may set it: Is a directory") && said.contains("--env-file"), "{said}");
        let nowhere = Path::new("/nonexistent");
        assert_eq!(
            hints(&[("DATABASE_URL", "x"), ("PGHOST", "db"), ("PGUSER", "rib")], &EnvFile::OfUnit, nowhere),
            "DATABASE_URL is set, but the setting is RIB_INGESTER_DATABASE_URL|PGHOST, PGUSER are set, but only psql reads them"
        );
    }
}
