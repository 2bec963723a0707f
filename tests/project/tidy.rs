//! Holds the sources to the layout that `src/lib.rs` describes: which room may import which, and which file may do
//! what.
//!
//! Each rule judges the code lines of a file, without comments and without its unit tests, and each rule is tried on a
//! bad and on a good sample first: a rule that cannot fail guards nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};

use rib_ingester::config::{Reader, TABLE};

/// Lines of a function. A person reads one in one sitting. Unit tests, where the long ones are tables of cases, are not
/// judged.
const FUNCTION_LINES_MAX: usize = 70;

/// Lines of `main.rs`.
const MAIN_LINES_MAX: usize = 80;

/// The rooms of ours, or single modules of them, that each room may import. A room that is not named here may import
/// any: it is wiring (`supervisor`, `cli`) or has no rule yet.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("wire", &["wire", "model"]),
    ("store", &["store", "model", "conninfo", "tls"]),
    ("metrics", &["metrics", "model"]),
    ("pipeline", &["pipeline", "store", "model", "metrics", "quarantine", "stop"]),
    // `config` for the tokens of the API, which change while the collector runs.
    ("http", &["http", "pipeline", "store", "model", "metrics", "stop", "config"]),
    // `config` for the allow-list, which SIGHUP changes while sessions come and go.
    // Of `store` only the encoding of a route's attributes, which is the work of sessions.
    (
        "session",
        &[
            "session",
            "pipeline",
            "wire",
            "model",
            "journal",
            "metrics",
            "quarantine",
            "stop",
            "config",
            "tls",
            "store::copy_encoding",
        ],
    ),
    ("journal", &["journal", "model", "quarantine"]),
    ("relay", &["relay", "journal", "metrics", "stop"]),
    ("capture", &["capture", "wire"]),
    ("mrt", &["mrt", "model", "wire"]),
    ("quarantine", &[]),
    ("stop", &[]),
    ("config", &["config", "conninfo", "model"]),
    ("conninfo", &[]),
    ("tls", &["tls", "conninfo"]),
    ("logging", &["logging", "config", "model"]),
    ("archive", &["archive", "model", "store"]),
    ("compare", &["compare", "model", "store"]),
    ("dependents", &["dependents", "model", "store", "metrics", "stop", "exclusive"]),
    ("imports", &["imports", "store", "tls"]),
    ("exclusive", &["exclusive", "store", "metrics", "stop"]),
    ("watch", &["watch", "model", "store", "metrics", "stop", "tls", "exclusive"]),
];

/// One thing that only some files may do.
struct Rule {
    name: &'static str,
    /// Files (`wire/bmp/mod.rs`) or folders (`wire/`) that the rule is for; empty: all.
    only_for: &'static [&'static str],
    /// Files or folders that may do it.
    except: &'static [&'static str],
    /// Any of these in a line of code breaks the rule.
    offending: &'static [&'static str],
    bad_sample: &'static str,
    good_sample: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "wire has no I/O, no clock, no log, no SQL",
        only_for: &["wire/"],
        except: &[],
        offending: &[
            "std::io",
            "io::Read",
            "io::Write",
            "std::fs",
            "std::time",
            "SystemTime",
            "Instant",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "log::",
            "warn!(",
            "info!(",
            "error!(",
            "debug!(",
            "println!(",
            "eprintln!(",
            "postgres",
        ],
        bad_sample: "use std::net::TcpStream;",
        good_sample: "use std::net::{IpAddr, Ipv4Addr};",
    },
    Rule {
        name: "session::changes is pure",
        only_for: &["session/changes.rs", "session/route_map.rs", "session/peer_id.rs"],
        except: &[],
        offending: &[
            "std::io",
            "std::fs",
            "std::thread",
            "SystemTime::now",
            "Instant::now",
            "TcpStream",
            "Sender<",
            "Receiver<",
            ".send(",
            ".recv(",
            "log::",
            "warn!(",
            "info!(",
            "println!(",
        ],
        bad_sample: "    self.events.send(event)?;",
        good_sample: "    events.push(event);",
    },
    Rule {
        // They ask and tell through `session/host.rs` and `session/outbox.rs` alone.
        name: "what decides the meaning of a message has no effects of its own",
        only_for: &[
            "session/add_path.rs",
            "session/anomalies.rs",
            "session/begin.rs",
            "session/capabilities.rs",
            "session/changes.rs",
            "session/due.rs",
            "session/earlier_tables.rs",
            "session/event_id.rs",
            "session/flaps.rs",
            "session/identity.rs",
            "session/messages.rs",
            "session/missing_withdrawals.rs",
            "session/peer_changes.rs",
            "session/peer_records.rs",
            "session/peer_state.rs",
            "session/peers.rs",
            "session/reading.rs",
            "session/removal.rs",
            "session/reread.rs",
            "session/resume.rs",
            "session/rib_filter.rs",
            "session/rib_source.rs",
            "session/rib_table.rs",
            "session/route_map.rs",
            "session/rules.rs",
            "session/sharing.rs",
            "session/table_names.rs",
            "session/table_owners.rs",
            "session/tables.rs",
            "session/unnamed.rs",
        ],
        except: &[],
        offending: &[
            "Arc<Shared>",
            "host.shared",
            "host.connection",
            "Meters",
            "SystemTime",
            "Instant",
            "Timestamp::now",
            "crossbeam_channel",
            "Sender<",
            "Receiver<",
            ".recv(",
            ".send(",
            "RejectedFile",
            "std::io",
            "std::fs",
            "std::thread",
            "log!(",
            "error!(",
            "warn!(",
            "info!(",
            "debug!(",
        ],
        bad_sample: "        info!(\"{subject}: {peer} was taken over by a newer session\");",
        good_sample: "        self.host.say(Level::Info, format_args!(\"{subject}: {peer} was taken over\"));",
    },
    Rule {
        name: "only store names SQL",
        only_for: &[],
        except: &["store/"],
        offending: &[
            "SELECT ",
            "INSERT INTO",
            "DELETE FROM",
            "CREATE TABLE",
            "ALTER TABLE",
            "DROP TABLE",
            "TRUNCATE ",
            "COPY ",
            "REFRESH MATERIALIZED",
            ".sql\"",
            "batch_execute(",
            ".query_one(",
            ".query_opt(",
            "copy_in(",
            "copy_out(",
        ],
        bad_sample: "    client.query(\"SELECT 1 FROM routers\", &[])",
        good_sample: "    store::status::read(&mut client)",
    },
    Rule {
        name: "only store converts for SQL",
        only_for: &[],
        except: &["store/"],
        offending: &["ToSql", "FromSql", "to_sql(", "from_sql("],
        bad_sample: "    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error>> {",
        good_sample: "    let route = EncodedRoute::encode(next_hop, attributes);",
    },
    Rule {
        name: "sessions and what is below them know no database connection",
        only_for: &["model/", "wire/", "session/"],
        except: &[],
        offending: &["postgres::", "Client"],
        bad_sample: "use crate::store::Client;",
        good_sample: "use crate::pipeline::PipelineSender;",
    },
    Rule {
        name: "only config reads the environment",
        only_for: &[],
        except: &["config.rs"],
        offending: &["env::var", "env::vars", "vars_os(", "var_os("],
        bad_sample: "    let url = std::env::var(\"RIB_INGESTER_DATABASE_URL\");",
        good_sample: "    let version = env!(\"CARGO_PKG_VERSION\");",
    },
    Rule {
        // A connection is made in a thread that may be abandoned, and one thread watches over all of them.
        name: "only the supervisor, sessions, the pipeline and the database's connections start threads",
        only_for: &[],
        except: &[
            "supervisor.rs",
            "supervisor/",
            "session/dialer.rs",
            "session/listener.rs",
            "session/run.rs",
            "pipeline/",
            "store/connect.rs",
            "store/watchdog.rs",
            // One for each receiver of callbacks that is being sent to.
            "watch/deliveries.rs",
        ],
        offending: &["thread::spawn", "thread::Builder", "thread::scope", "Builder::new().name("],
        bad_sample: "    std::thread::spawn(move || read(stream));",
        good_sample: "    std::thread::sleep(pause);",
    },
    Rule {
        name: "nothing is left to be done",
        only_for: &[],
        except: &[],
        offending: &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"],
        bad_sample: "    todo!()",
        good_sample: "    Ok(())",
    },
];

impl Rule {
    fn is_for(&self, file: &str) -> bool {
        let is_in = |places: &[&str]| {
            places.iter().any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)))
        };
        (self.only_for.is_empty() || is_in(self.only_for)) && !is_in(self.except)
    }

    fn is_broken_by(&self, line: &str) -> bool {
        self.offending.iter().any(|word| line.contains(word))
    }
}

/// A file below `src`, its name with `/` and relative to `src`.
struct Source {
    file: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 20, "the sources are not where they are looked for");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { file, text: std::fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Returns whether a file holds only the unit tests of its parent module.
fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.ends_with("_tests.rs") || file.contains("/tests/")
}

/// The lines with code, numbered from 1: no comments, and no unit tests, which are last in a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The room that a file belongs to: `wire` for `wire/bmp/mod.rs`, `config` for `config.rs`.
fn room(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The rooms that a line of code names through `crate::`.
fn imported(line: &str) -> Vec<&str> {
    let after = line.split("crate::").skip(1);
    after
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(first_word).filter(|word| !word.is_empty()).collect(),
            None => vec![first_word(rest)],
        })
        .collect()
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Returns whether a room may import another one, or that module of it which the line names.
fn is_allowed_import(room: &str, imported: &str, line: &str) -> bool {
    let is_named = |module: &str| module.starts_with(&format!("{imported}::")) && line.contains(&format!("{module}::"));
    IMPORTS
        .iter()
        .find(|(name, _)| *name == room)
        .is_none_or(|(_, allowed)| allowed.iter().any(|one| *one == imported || is_named(one)))
}

fn report(offences: &[String]) {
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for rule in RULES {
        assert!(rule.is_broken_by(rule.bad_sample), "{}: {}", rule.name, rule.bad_sample);
        assert!(!rule.is_broken_by(rule.good_sample), "{}: {}", rule.name, rule.good_sample);
    }
    assert_eq!(imported("use crate::store::copy_encoding::put_text;"), ["store"]);
    assert_eq!(imported("use crate::{model::Asn, pipeline};"), ["model", "pipeline"]);
    assert!(!is_allowed_import("wire", "session", "") && !is_allowed_import("model", "wire", ""));
    assert!(is_allowed_import("wire", "model", "") && is_allowed_import("supervisor", "anything", ""));
    assert!(is_allowed_import("session", "store", "use crate::store::copy_encoding::EncodedRoute;"));
    assert!(!is_allowed_import("session", "store", "use crate::store::Client;"));
    let text = "//! wire has no todo!()\nfn f() {}\n    // dbg!()\n\n#[cfg(test)]\nmod tests {\n    todo!()\n}\n";
    assert_eq!(code(text).collect::<Vec<_>>(), [(2, "fn f() {}")]);
    assert_eq!((room("wire/bmp/mod.rs"), room("config.rs")), ("wire", "config"));
}

#[test]
fn rooms_keep_to_themselves() {
    let mut offences = Vec::new();
    for Source { file, text } in sources().iter().filter(|source| !is_test_file(&source.file)) {
        for rule in RULES.iter().filter(|rule| rule.is_for(file)) {
            for (number, line) in code(text).filter(|(_, line)| rule.is_broken_by(line)) {
                offences.push(format!("{}: src/{file}:{number}: {}", rule.name, line.trim()));
            }
        }
    }
    report(&offences);
}

#[test]
fn rules_name_files_that_exist() {
    let sources = sources();
    for rule in RULES {
        for place in rule.only_for {
            assert!(sources.iter().any(|source| source.file.starts_with(place)), "{}: {place}", rule.name);
        }
    }
    for (room_name, _) in IMPORTS {
        assert!(sources.iter().any(|source| room(&source.file) == *room_name), "{room_name}");
    }
}

#[test]
fn imports_follow_the_data() {
    let mut offences = Vec::new();
    for Source { file, text } in sources().iter().filter(|source| !is_test_file(&source.file)) {
        for (number, line) in code(text) {
            for other in imported(line) {
                if !is_allowed_import(room(file), other, line) {
                    offences.push(format!("src/{file}:{number}: {} must not import {other}", room(file)));
                }
            }
        }
    }
    report(&offences);
}

/// The functions of a file with their numbers of lines: from `fn` to the brace in the column where that line begins.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<(usize, &str)> = code(text).collect();
    let mut found = Vec::new();
    for (i, (first, line)) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else { continue };
        let is_declared = before.split_whitespace().all(|word| word.starts_with("pub") || word == "const");
        if !is_declared || line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let last = lines[i..].iter().find(|(_, line)| line.strip_prefix(indent).is_some_and(|rest| rest == "}"));
        found.extend(last.map(|(last, _)| (first_word(after), last - first + 1)));
    }
    found
}

#[test]
fn functions_are_read_in_one_sitting() {
    let sample =
        "fn a() {}\npub(super) fn b<T>(\n    c: T,\n) -> T\nwhere\n    T: Copy,\n{\n    c\n}\n    fn d() {\n    }\n";
    assert_eq!(functions(sample), [("b", 8), ("d", 2)]);
    let mut offences = Vec::new();
    for Source { file, text } in sources().iter().filter(|source| !is_test_file(&source.file)) {
        for (name, lines) in functions(text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX) {
            offences.push(format!("src/{file}: {name}: {lines} lines, at most {FUNCTION_LINES_MAX}"));
        }
    }
    report(&offences);
}

#[test]
fn main_only_calls() {
    let main = sources().into_iter().find(|source| source.file == "main.rs").unwrap();
    assert!(main.text.lines().count() <= MAIN_LINES_MAX, "src/main.rs: at most {MAIN_LINES_MAX} lines");
}

/// A collector on its default ports fails beside another one.
#[test]
fn tests_take_no_port_of_their_own() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = Vec::new();
    collect(&root, &root, &mut tests);
    let starts = |source: &&Source| source.text.contains(".arg(\"serve\")");
    let mut found: Vec<&str> = tests.iter().filter(starts).map(|source| source.file.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["bench/write/src/collector.rs", "common/ingester.rs"]);
}

#[test]
fn every_file_says_what_it_is() {
    let sources = sources();
    let silent: Vec<_> = sources.iter().filter(|source| !source.text.starts_with("//!")).collect();
    report(&silent.iter().map(|source| format!("src/{}: no module documentation", source.file)).collect::<Vec<_>>());
}

/// Returns whether a line of a file reads a field of the settings: `settings.flush`, in `config` itself
/// `self.ignore_path_id`.
fn reads_setting(file: &str, line: &str, field: &str) -> bool {
    let owner = if room(file) == "config" { ["settings.", "self."].as_slice() } else { &["settings."] };
    owner.iter().any(|owner| {
        line.split(&format!("{owner}{field}")).skip(1).any(|rest| {
            // `settings.log` is not `settings.log_filter_file`, and `self.log()` is no field.
            !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(')
        })
    })
}

#[test]
fn settings_say_truly_whether_they_are_used() {
    assert!(reads_setting("a.rs", "f(settings.log, 1)", "log") && reads_setting("config.rs", "&self.log", "log"));
    assert!(!reads_setting("a.rs", "settings.log_filter_file", "log") && !reads_setting("a.rs", "&self.log", "log"));
    let sources = sources();
    for setting in TABLE {
        let is_read = sources
            .iter()
            .filter(|source| !is_test_file(&source.file))
            .any(|source| code(&source.text).any(|(_, line)| reads_setting(&source.file, line, setting.field)));
        let says = match setting.reader {
            Reader::Present => true,
            Reader::NotYet => false,
        };
        assert_eq!(says, is_read, "{}: the table must say whether something reads it", setting.name);
    }
}

/// All other files have a place in one of these folders, or are dot files.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "docs",
    "scripts",
    "sql",
    "src",
    "systemd",
    "tests",
];

#[test]
fn the_top_level_holds_nothing_else() {
    let ignored = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".gitignore")).unwrap();
    let mut found: Vec<String> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !ignored.lines().any(|line| line == format!("/{name}")))
        .collect();
    found.sort();
    assert_eq!(found, TOP_LEVEL);
}

/// The migrations, applied once and never edited; the statements, edited and run all the time; and the files that
/// operators run by hand.
#[test]
fn sql_has_a_folder_for_each_life() {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&sql), ["compat", "migrations", "scale-out", "statements"]);
    let is_numbered = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
    assert!(names(&sql.join("migrations")).iter().all(is_numbered));
    assert!(!names(&sql.join("statements")).iter().any(is_numbered));
}
