//! `doctor`: checks the settings, the machine and the database, and reports each fault in one line with its remedy.

mod archive;
mod callbacks;
mod check;
mod database;
mod machine;
mod routers;
mod rpki;
mod server;
mod tenants;
mod watches;

use clap::Args;
use serde_json::json;

use self::check::{CheckResult, CheckState};
use super::command::{CommandError, print};
use super::table::line_width;
use super::unreached;
use crate::config::Settings;
use crate::config::print::{WIDTH, wrap};
use crate::logging::Logging;
use crate::model::text::{printable, printable_json};
use crate::store::{self, diagnostics};

/// The output format.
#[derive(Args, Debug)]
pub(crate) struct DoctorArguments {
    /// Print an array of objects: check, state (ok, warning, fault), found, remedy
    #[arg(long)]
    json: bool,
}

/// Prints all checks; a fault is a failure.
pub(super) fn run(arguments: &DoctorArguments, settings: &Settings) -> Result<(), CommandError> {
    Logging::start(settings)?;
    let facts = store::connect(&settings.database_url, "doctor").and_then(|mut client| {
        let facts = diagnostics::read(&mut client)?;
        // Before the migration, and for a reader, there is nothing to say of them.
        let of_callbacks = store::watch::callbacks::health(&mut client).unwrap_or_default();
        let of_tenants = store::tenants::rights::read(&mut client).unwrap_or_default();
        let unreached = unreached::read(&mut client, settings).unwrap_or_default();
        let of_archive = archive::check(settings.archive_dir.as_deref(), &mut client).unwrap_or_default();
        Ok((facts, of_callbacks, store::rpki::state(&mut client).ok(), of_tenants, (unreached, of_archive)))
    });
    let checks: Vec<CheckResult> = match facts {
        Ok((facts, of_callbacks, of_rpki, of_tenants, (unreached, of_archive))) => {
            let machine = machine::checks(settings, !facts.live_collectors.is_empty());
            let database = database::checks(settings, &facts);
            let of_rpki = of_rpki.map(|state| rpki::checks(!settings.vrps.is_empty(), &state)).unwrap_or_default();
            let of_callbacks = callbacks::checks(&of_callbacks);
            let of_tenants = tenants::checks(&of_tenants);
            let is_running = facts.live_collectors.contains(&settings.collector_id);
            let connect = routers::connect(settings.connect.len(), &unreached, is_running);
            machine
                .into_iter()
                .chain(database)
                .chain(of_archive)
                .chain(connect)
                .chain(of_callbacks)
                .chain(of_rpki)
                .chain(of_tenants)
                .collect()
        }
        // The machine can be checked anyway, and may show the reason.
        Err(error) => {
            let mut checks = machine::checks(settings, false);
            checks.push(connection(settings, &error));
            checks
        }
    };
    print(&if arguments.json { json_text(&checks) } else { text(&checks, line_width().unwrap_or(WIDTH)) })?;
    match checks.iter().filter(|check| check.state == CheckState::Fault).count() {
        0 => Ok(()),
        1 => Err(CommandError::Failed("doctor: one fault".to_owned())),
        faults => Err(CommandError::Failed(format!("doctor: {faults} faults"))),
    }
}

/// Reports the reason why the database could not be queried.
fn connection(settings: &Settings, error: &store::Error) -> CheckResult {
    const NAME: &str = "connection";
    let target = store::connect::describe(&settings.database_url).unwrap_or_else(|_| "database".to_owned());
    match error {
        store::Error::Unsuitable { found, remedy } => CheckResult::fault(NAME, format!("{target}: {found}"), remedy),
        error => {
            let remedy = "correct RIB_INGESTER_DATABASE_URL, or start PostgreSQL, and ask again";
            CheckResult::fault(NAME, format!("{target}: {error}"), remedy)
        }
    }
}

fn text(checks: &[CheckResult], width: usize) -> String {
    const INDENT: usize = 22;
    let room = width.saturating_sub(INDENT);
    let mut out = String::new();
    for check in checks {
        let state = match check.state {
            CheckState::Fine => "ok",
            CheckState::Warning => "warn",
            CheckState::Fault => "FAULT",
        };
        let found = wrap(&printable(&check.found), room);
        let remedy = check.remedy.iter().flat_map(|text| wrap(&format!("-> {}", printable(text)), room));
        for (i, line) in found.into_iter().chain(remedy).enumerate() {
            let (state, name) = if i == 0 { (state, check.name) } else { ("", "") };
            out.push_str(&format!("{state:<5}  {name:<13}  {line}\n"));
        }
    }
    out
}

fn json_text(checks: &[CheckResult]) -> String {
    let checks = checks.iter().map(|check| {
        let state = match check.state {
            CheckState::Fine => "ok",
            CheckState::Warning => "warning",
            CheckState::Fault => "fault",
        };
        json!({ "check": check.name, "state": state, "found": check.found, "remedy": check.remedy })
    });
    printable_json(&format!("{:#}\n", serde_json::Value::from_iter(checks))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_its_state_its_name_and_what_to_do() {
        let fault = CheckResult::fault("partitions", "none for today", "run `rib-ingester maintenance`");
        assert_eq!(
            text(&[CheckResult::fine("clock", "same"), fault.clone()], WIDTH),
            "ok     clock          same\n\
             FAULT  partitions     none for today\n                      -> run `rib-ingester maintenance`\n"
        );
        let narrow = text(&[fault], 46);
        assert!(narrow.lines().all(|line| line.chars().count() <= 46) && narrow.lines().count() == 3, "{narrow}");
    }
}
