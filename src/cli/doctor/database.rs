//! The checks of `doctor` on the facts that were read from the database.

use indicatif::HumanBytes;
use jiff::ToSpan;
use jiff::civil::Date;

use super::check::CheckResult;
use super::routers::{add_path, collectors, routers};
use super::server::{clock, connections, encoding, server, server_settings};
use super::watches::watches;
use crate::config::Settings;
use crate::store::diagnostics::{Day, Facts};
use crate::store::lock_waits;
use crate::store::suitable::{self, identifier};

/// Runs all checks of the database.
pub(super) fn checks(settings: &Settings, facts: &Facts) -> Vec<CheckResult> {
    let mut checks = vec![
        server(facts),
        encoding(facts),
        role(facts),
        extension(facts),
        schema(facts),
        partitions(facts),
        retention(settings, facts),
        connections(settings, facts),
    ];
    checks.extend(partition_troubles(facts));
    checks.extend(history_troubles(facts));
    checks.extend(server_settings(facts));
    checks.push(routers(facts));
    checks.extend(add_path(facts));
    checks.extend(collectors(facts));
    checks.extend(watches(facts));
    checks.push(clock(facts));
    checks.push(disk(settings, facts));
    checks
}

fn role(facts: &Facts) -> CheckResult {
    const NAME: &str = "role";
    let role = &facts.role;
    let Some(schema) = &facts.schema else { return without_schema(facts) };
    if facts.foreign_tables > 0 && !facts.is_superuser {
        let owner = facts.foreign_owner.as_deref().unwrap_or("others");
        return CheckResult::fault(
            NAME,
            format!("{role} does not own {} of the tables in schema {schema}, but {owner} does", facts.foreign_tables),
            format!(
                "restore with pg_restore --no-owner --role={role}; or in psql as a superuser: {}",
                suitable::take_ownership(schema, role)
            ),
        );
    }
    if !facts.may_create_in_schema {
        return CheckResult::fault(
            NAME,
            format!("{role} may not create tables in schema {schema}: tomorrow's partition cannot be made"),
            format!("GRANT CREATE, USAGE ON SCHEMA {} TO {}", identifier(schema), identifier(role)),
        );
    }
    if !facts.may_create_temporary {
        let database = &facts.database;
        return CheckResult::fault(
            NAME,
            format!("{role} may not create temporary tables in database {database}: routes cannot be written"),
            format!("GRANT TEMP ON DATABASE {} TO {}", identifier(database), identifier(role)),
        );
    }
    if facts.is_superuser {
        return CheckResult::warning(
            NAME,
            format!("{role} is a superuser"),
            "create a role for the collector as in docs/install.md; it needs no superuser",
        );
    }
    CheckResult::fine(NAME, format!("{role} may write and is not a superuser"))
}

/// Reports that the schema in `search_path` does not exist or is not accessible to this role.
fn without_schema(facts: &Facts) -> CheckResult {
    const NAME: &str = "role";
    let (role, path) = (&facts.role, &facts.search_path);
    let quoted = identifier(role);
    match &facts.named_schema {
        Some(schema) if facts.has_named_schema => CheckResult::fault(
            NAME,
            format!("{role} may not use schema {schema}, which search_path names"),
            format!("GRANT CREATE, USAGE ON SCHEMA {} TO {}", identifier(schema), identifier(role)),
        ),
        Some(schema) => CheckResult::fault(
            NAME,
            format!("search_path is {path}, and there is no schema {schema}"),
            format!(
                "CREATE SCHEMA {} AUTHORIZATION {quoted}; or ALTER ROLE {quoted} SET search_path = public",
                identifier(schema)
            ),
        ),
        None => CheckResult::fault(
            NAME,
            format!("search_path is {path}: tables cannot be created"),
            format!("ALTER ROLE {quoted} SET search_path = public"),
        ),
    }
}

fn extension(facts: &Facts) -> CheckResult {
    const NAME: &str = "extension";
    match (facts.has_extension, facts.may_have_extension, facts.may_create_in_database) {
        (true, _, _) => CheckResult::fine(NAME, "btree_gist is installed"),
        (false, false, _) => CheckResult::fault(
            NAME,
            "btree_gist is not installed",
            "install PostgreSQL's contrib package on the server",
        ),
        (false, true, true) => CheckResult::fine(NAME, "btree_gist will be created by the migration"),
        (false, true, false) => CheckResult::fault(
            NAME,
            "btree_gist is missing, and the role may not create it",
            format!(
                "as the database's owner: CREATE EXTENSION btree_gist; or GRANT CREATE ON DATABASE {} TO {}",
                identifier(&facts.database),
                identifier(&facts.role)
            ),
        ),
    }
}

fn schema(facts: &Facts) -> CheckResult {
    const NAME: &str = "schema";
    if let Some(why) = &facts.unreadable {
        let schema = facts.schema.as_deref().unwrap_or("(none)");
        return CheckResult::fault(
            NAME,
            format!("{} may not read the tables in schema {schema}: {why}", facts.role),
            format!("make {} their owner, as the check of the role says", facts.role),
        );
    }
    if let Some(others) = facts.other_schemas.as_deref().filter(|_| !facts.pending.is_empty()) {
        return CheckResult::fault(
            NAME,
            format!("our tables are in schema {others}, and search_path is {}", facts.search_path),
            format!(
                "ALTER ROLE {} IN DATABASE {} SET search_path = {others}",
                identifier(&facts.role),
                identifier(&facts.database)
            ),
        );
    }
    if facts.pending.is_empty() {
        return CheckResult::fine(NAME, "up to date");
    }
    CheckResult::fault(
        NAME,
        format!("not applied, or not as in this version: {}", facts.pending.join(", ")),
        "run `rib-ingester migrate`, or start the collector, which does it",
    )
}

fn partitions(facts: &Facts) -> CheckResult {
    const NAME: &str = "partitions";
    if facts.uncovered.is_empty() {
        return CheckResult::fine(NAME, "today and tomorrow are covered");
    }
    let found = format!("none for all of {}", facts.uncovered.join(" and "));
    CheckResult::warning(
        NAME,
        found,
        "run `rib-ingester maintenance` and check its output; a running collector does this itself",
    )
}

/// Reports manual changes to the partitions.
fn partition_troubles(facts: &Facts) -> impl Iterator<Item = CheckResult> + '_ {
    facts.troubles.iter().map(|(found, remedy)| CheckResult::warning("partitions", found, remedy))
}

/// Reports the reasons why writers cannot write history, on which state waits.
fn history_troubles(facts: &Facts) -> impl Iterator<Item = CheckResult> + '_ {
    const NAME: &str = "history";
    let lacks = facts.history_lacks.iter().map(|(table, lacks)| {
        CheckResult::fault(
            NAME,
            format!("{} has no right to {lacks} on {table}: nothing is stored, and routes wait for it", facts.role),
            format!("GRANT {lacks} ON {table} TO {}", facts.role),
        )
    });
    let waits =
        facts.lock_waits.iter().map(|wait| CheckResult::warning("locks", wait.to_string(), lock_waits::LOCK_REMEDY));
    lacks.chain(waits)
}

fn retention(settings: &Settings, facts: &Facts) -> CheckResult {
    const NAME: &str = "retention";
    if settings.retention_days == 0 {
        return CheckResult::warning(
            NAME,
            "history is kept forever",
            "set RIB_INGESTER_RETENTION_DAYS, or watch the disk",
        );
    }
    let oldest = facts.today.checked_sub(i64::from(settings.retention_days).days()).unwrap_or(Date::MIN);
    let late: Vec<&str> = facts.days.iter().filter(|day| day.last < oldest).map(|day| day.name.as_str()).collect();
    match late.as_slice() {
        [] => CheckResult::fine(NAME, format!("no day is older than {} days", settings.retention_days)),
        [first, ..] => CheckResult::warning(
            NAME,
            format!("{} partitions are overdue, the first is {first}", late.len()),
            "run `rib-ingester maintenance`: it names what holds them",
        ),
    }
}

/// Estimates the disk usage when the retention is full, from the completed days.
fn disk(settings: &Settings, facts: &Facts) -> CheckResult {
    const NAME: &str = "disk";
    let size = |count: i64| HumanBytes(u64::try_from(count).unwrap_or(0));
    let now = size(facts.database_bytes);
    let over = |day: &&Day| day.day < facts.today;
    let days: Vec<&Day> = facts.days.iter().filter(over).collect();
    let Some(first) = days.iter().map(|day| day.day).min() else {
        return CheckResult::fine(NAME, format!("{now}; no day of history is over yet, so growth is unknown"));
    };
    let span = i64::from((facts.today - first).get_days()).max(1);
    let kept: i64 = facts.days.iter().map(|day| day.bytes).sum();
    let a_day = days.iter().map(|day| day.bytes).sum::<i64>() / span;
    if settings.retention_days == 0 {
        return CheckResult::fine(NAME, format!("{now}, and {} more each day", size(a_day)));
    }
    let full = a_day.saturating_mul(i64::from(settings.retention_days) + 1);
    let total = (facts.database_bytes - kept).saturating_add(full.max(kept));
    CheckResult::fine(
        NAME,
        format!(
            "{now}; {} a day, so about {} with {} days kept: compare with the server's disk",
            size(a_day),
            size(total),
            settings.retention_days
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::check::CheckState;
    use super::*;
    use crate::store::diagnostics::{AddPathDeviation, ClockDifference};
    use crate::store::lock_waits::LockWait;
    use crate::store::router_state::RouterState;
    use crate::store::watch::coverage::Coverage;

    const TODAY: Date = jiff::civil::date(2026, 11, 21);

    fn day(ago: i64, bytes: i64) -> Day {
        let day = TODAY.checked_sub(ago.days()).unwrap();
        Day { name: format!("route_events_{ago}"), day, last: day, bytes, is_attached: true }
    }

    fn coverage() -> Coverage {
        Coverage { enabled: 3, for_hijacks: 1, has_pre_policy: true, evaluators: vec!["c1".to_owned()] }
    }

    fn healthy() -> Facts {
        Facts {
            version: 150_004,
            role: "rib".to_owned(),
            database: "rib".to_owned(),
            encoding: "UTF8".to_owned(),
            schema: Some("public".to_owned()),
            search_path: "\"$user\", public".to_owned(),
            named_schema: Some("public".to_owned()),
            has_named_schema: true,
            other_schemas: None,
            foreign_owner: None,
            unreadable: None,
            is_superuser: false,
            may_create_in_database: true,
            may_create_temporary: true,
            may_create_in_schema: true,
            may_create_in_watch: Some(true),
            watch_coverage: Some(coverage()),
            unusable_watches: Vec::new(),
            is_read_only: false,
            has_extension: true,
            may_have_extension: true,
            foreign_tables: 0,
            connections: 10,
            connections_max: 97,
            database_bytes: 10 << 30,
            autovacuum: true,
            fsync: true,
            full_page_writes: true,
            shared_buffers_bytes: 4 << 30,
            max_wal_bytes: 8 << 30,
            checkpoint_seconds: 900,
            pending: vec![],
            today: TODAY,
            clock_ahead: ClockDifference { micros: 900, round_trip: Duration::from_millis(1) },
            uncovered: vec![],
            troubles: vec![],
            lock_waits: vec![],
            history_lacks: Vec::new(),
            add_path: Vec::new(),
            live_collectors: Vec::new(),
            routers: vec![(RouterState::Up, 3), (RouterState::Dumping, 1)],
            orphans: Vec::new(),
            days: vec![day(2, 2 << 30), day(1, 1 << 30), day(0, 1 << 29), day(-1, 8192)],
        }
    }

    fn settings() -> Settings {
        Settings::from_env_offline(std::iter::empty()).unwrap()
    }

    #[test]
    fn a_healthy_database_has_no_problem() {
        let checks = checks(&settings(), &healthy());
        assert!(checks.iter().all(|check| check.state == CheckState::Fine && check.remedy.is_none()), "{checks:#?}");
    }

    #[test]
    fn each_fault_is_seen_and_has_a_remedy() {
        let check = |name: &str, state: CheckState, found: &str, break_it: &dyn Fn(&mut Facts)| {
            let mut facts = healthy();
            break_it(&mut facts);
            let checks = checks(&settings(), &facts);
            let bad: Vec<&CheckResult> = checks.iter().filter(|check| check.state != CheckState::Fine).collect();
            let [one] = bad.as_slice() else { panic!("{name}: {bad:#?}") };
            assert_eq!((one.name, one.state, one.remedy.is_some()), (name, state, true), "{one:?}");
            assert!(one.found.contains(found), "{one:?}");
        };
        check("history", CheckState::Fault, "rib has no right to INSERT on route_events", &|facts| {
            facts.history_lacks = vec![("route_events".to_owned(), "INSERT".to_owned())];
        });
        check("history", CheckState::Fault, "no right to SELECT, INSERT on nlri_route_events", &|facts| {
            facts.history_lacks = vec![("nlri_route_events".to_owned(), "SELECT, INSERT".to_owned())];
        });
        check("locks", CheckState::Warning, "events-0 waits for a lock on route_events, held by process 7", &|facts| {
            facts.lock_waits = vec![LockWait {
                thread: "events-0".to_owned(),
                relations: Some("route_events".to_owned()),
                holders: Some("process 7 of the server (psql)".to_owned()),
            }];
        });
        check("watches", CheckState::Fault, "there is no schema watch, and rib may not create one", &|facts| {
            (facts.may_create_in_watch, facts.may_create_in_database) = (None, false);
        });
        check("watches", CheckState::Fault, "may not create tables in schema watch", &|facts| {
            facts.may_create_in_watch = Some(false);
        });
        check("watches", CheckState::Warning, "no collector that is alive evaluates watches", &|facts| {
            facts.watch_coverage = Some(Coverage { evaluators: Vec::new(), ..coverage() });
        });
        check("watches", CheckState::Warning, "hijacks that routers drop on import are not seen", &|facts| {
            facts.watch_coverage = Some(Coverage { has_pre_policy: false, ..coverage() });
        });
        check("watches", CheckState::Warning, "watch web: path_match is not", &|facts| {
            facts.unusable_watches =
                vec!["watch web: path_match is not a regular expression: that is not judged".to_owned()];
        });
        check("server", CheckState::Fault, "accepts no writes", &|facts| facts.is_read_only = true);
        check("server", CheckState::Fault, "PostgreSQL 14.9", &|facts| facts.version = 140_009);
        check("role", CheckState::Fault, "may not create tables", &|facts| facts.may_create_in_schema = false);
        check("role", CheckState::Fault, "may not create temporary tables in database rib", &|facts| {
            facts.may_create_temporary = false;
        });
        check("role", CheckState::Fault, "does not own 3", &|facts| facts.foreign_tables = 3);
        check("role", CheckState::Fault, "no schema bmp", &|facts| {
            (facts.schema, facts.search_path) = (None, "bmp".to_owned());
            (facts.named_schema, facts.has_named_schema) = (Some("bmp".to_owned()), false);
        });
        check("role", CheckState::Fault, "may not use schema bmp", &|facts| {
            (facts.schema, facts.named_schema) = (None, Some("bmp".to_owned()));
        });
        check("encoding", CheckState::Fault, "LATIN1", &|facts| facts.encoding = "LATIN1".to_owned());
        check("schema", CheckState::Fault, "permission denied", &|facts| {
            facts.unreadable = Some("permission denied for table schema_migrations".to_owned());
        });
        check("schema", CheckState::Fault, "in schema bmp", &|facts| {
            (facts.other_schemas, facts.pending) = (Some("bmp".to_owned()), vec!["0001_routes"]);
        });
        check("role", CheckState::Warning, "is a superuser", &|facts| facts.is_superuser = true);
        check("extension", CheckState::Fault, "not installed", &|facts| {
            (facts.has_extension, facts.may_have_extension) = (false, false);
        });
        check("extension", CheckState::Fault, "may not create it", &|facts| {
            (facts.has_extension, facts.may_create_in_database) = (false, false);
        });
        check("schema", CheckState::Fault, "0005_reading", &|facts| facts.pending = vec!["0005_reading"]);
        check("partitions", CheckState::Warning, "tomorrow", &|facts| facts.uncovered = vec!["tomorrow"]);
        check("partitions", CheckState::Warning, "DEFAULT", &|facts| {
            facts.troubles = vec![("route_events_default is a DEFAULT partition".to_owned(), "detach it".to_owned())];
        });
        check("retention", CheckState::Warning, "1 partitions are overdue", &|facts| facts.days.push(day(31, 0)));
        let deviation = |is_sent| AddPathDeviation {
            router: "10.0.0.1".to_owned(),
            is_sent,
            places: "loc-rib AFI 1 SAFI 1".to_owned(),
            count: 4,
        };
        let missing =
            "router 10.0.0.1 announces Add-Path and sends no path identifiers: loc-rib AFI 1 SAFI 1 and 1 more";
        check("add-path", CheckState::Warning, missing, &|facts| facts.add_path.push(deviation(false)));
        let unannounced = "sends path identifiers that it did not announce";
        check("add-path", CheckState::Warning, unannounced, &|facts| facts.add_path.push(deviation(true)));
        check("routers", CheckState::Warning, "300 of 304 are not connected: 300 stale", &|facts| {
            facts.routers.push((RouterState::Stale, 300));
        });
        check("connections", CheckState::Fault, "5 free of 97", &|facts| facts.connections = 92);
        check("settings", CheckState::Fault, "autovacuum", &|facts| facts.autovacuum = false);
        check("settings", CheckState::Fault, "fsync", &|facts| facts.fsync = false);
        check("settings", CheckState::Warning, "shared_buffers", &|facts| facts.shared_buffers_bytes = 128 << 20);
        check("settings", CheckState::Warning, "max_wal_size", &|facts| facts.max_wal_bytes = 1 << 30);
        check("clock", CheckState::Warning, "2.4 s behind", &|facts| facts.clock_ahead.micros = -2_400_900);
        check("clock", CheckState::Fault, "100.0 s ahead of", &|facts| facts.clock_ahead.micros = 100_000_900);
    }

    #[test]
    fn the_forecast_is_the_average_of_completed_days() {
        let found = disk(&settings(), &healthy()).found;
        // 10 GiB, of which 3.5 are history; two days of 1.5 on average, thirty-one of which are kept.
        assert!(found.starts_with("10.00 GiB; 1.50 GiB a day, so about 53.00 GiB with 30 days kept"), "{found}");
        let mut young = healthy();
        young.days.retain(|day| day.day >= TODAY);
        assert!(disk(&settings(), &young).found.contains("growth is unknown"));
    }

    #[test]
    fn a_slow_answer_does_not_make_a_clock_wrong() {
        let mut facts = healthy();
        facts.clock_ahead = ClockDifference { micros: 3_000_000, round_trip: Duration::from_secs(6) };
        assert_eq!(clock(&facts).state, CheckState::Fine);
    }
}
