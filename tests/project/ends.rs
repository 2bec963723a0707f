//! The table of docs/architecture.md that tells what follows from the end of a session.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use rib_ingester::session::Cause;
use rib_ingester::session::end::{Consequences, GapAfter, InputAfter, RoutesAfter, WaitingMessages};

const BEGIN: &str = "<!-- ends: RIB_INGESTER_TEST_GOLDEN=write cargo test --test project ends:: -->\n";
const END: &str = "<!-- end of ends -->";

fn table() -> String {
    let head = "| label | text | log | input | routes | gap if input was not applied | messages waiting for a name |\n\
                |---|---|---|---|---|---|---|\n";
    head.to_owned() + &Cause::ALL.into_iter().map(|cause| row(cause.consequences())).collect::<String>()
}

fn row(of: Consequences) -> String {
    let input = match of.input {
        InputAfter::Complete => "kept until stored",
        InputAfter::Left => "left for the next start",
        InputAfter::Discarded => "discarded",
    };
    let routes = match of.routes {
        RoutesAfter::Purged => "removed at once".to_owned(),
        RoutesAfter::Stale(kind) => format!("stale, row `{}`", kind.as_str()),
        RoutesAfter::Kept => "kept, row `collector_stopped`".to_owned(),
        RoutesAfter::LeftToNewer => "stale, left to the newer session".to_owned(),
        RoutesAfter::Untouched => "not touched".to_owned(),
        RoutesAfter::Refused(label) => format!("none, refused as `{label}`"),
    };
    let gap = match of.gap {
        GapAfter::Never => "no",
        GapAfter::ExitStatus => "exit status",
        GapAfter::Reported => "yes, reported when it happened",
        GapAfter::IfUnapplied => "yes",
        GapAfter::IfUnappliedSetAside => "yes, bytes set aside",
        GapAfter::AlwaysSetAside => "always, bytes set aside",
    };
    let waiting = match of.waiting {
        WaitingMessages::Applied => "applied",
        WaitingMessages::Dropped => "dropped",
    };
    let level = of.level.as_str().to_lowercase();
    format!("| `{}` | {} | {level} | {input} | {routes} | {gap} | {waiting} |\n", of.label, of.text)
}

/// `RIB_INGESTER_TEST_GOLDEN=write cargo test --test project ends::` writes the table anew.
#[test]
fn the_architecture_page_has_the_table_of_ends() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the table begins");
    let (documented, after) = rest.split_once(END).expect("the page marks where the table ends");
    let want = table();
    if std::env::var_os("RIB_INGESTER_TEST_GOLDEN").is_some_and(|value| value == "write") {
        return std::fs::write(&path, [before, BEGIN, &want, END, after].concat()).unwrap();
    }
    assert_eq!(documented, want, "RIB_INGESTER_TEST_GOLDEN=write cargo test --test project ends::");
}
