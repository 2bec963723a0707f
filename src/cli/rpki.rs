//! `rpki`: the VRPs in force, a set that is held, and what a ROA would do.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::command::{CommandError, connect, counted, print};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::rpki::RouteState;
use crate::model::text::{printable, printable_json};
use crate::model::{Asn, Prefix, Timestamp};
use crate::rpki::parsed::{check_max_length, parse_asn, parse_prefix};
use crate::store::Client;
use crate::store::rpki::validity::{self, ConcernedRoute, RouterCounts};
use crate::store::rpki::{self, SetState};

/// The commands for RPKI.
#[derive(Args, Debug)]
pub struct RpkiArguments {
    #[command(subcommand)]
    action: RpkiCommand,
}

#[derive(Debug, Subcommand)]
enum RpkiCommand {
    /// Show the VRPs in force, a set that is held, and how many routes of each router are valid, invalid and not-found
    Show {
        /// Print an object
        #[arg(long)]
        json: bool,
    },
    /// Take the set that is held because it lacks too much, at the collector's next look; exit code 1 if none is held
    Accept {
        /// Who accepts it
        #[arg(long, value_name = "NAME", default_value = "the command line")]
        by: String,
    },
    /// Show which stored routes would change their state if a ROA existed; exit code 1 without usable VRPs
    WhatIf(WhatIfOptions),
}

/// The ROA that does not exist yet.
#[derive(Args, Debug)]
struct WhatIfOptions {
    /// Its prefix
    prefix: String,
    /// The AS that it authorizes, as AS64500
    #[arg(value_name = "AS")]
    asn: String,
    /// The longest prefix inside it that the AS may originate. Unset: the prefix's own length
    #[arg(long, value_name = "LENGTH")]
    max_length: Option<i64>,
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

/// Shows VRPs, accepts a set, or asks what a ROA would do.
pub(super) fn run(arguments: &RpkiArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        RpkiCommand::Show { json } => show(*json, &mut connect(settings, "rpki")?),
        RpkiCommand::Accept { by } => accept(by, &mut connect(settings, "rpki")?),
        RpkiCommand::WhatIf(options) => what_if(options, settings),
    }
}

fn show(is_json: bool, client: &mut Client) -> Result<(), CommandError> {
    let state = rpki::state(client)?;
    let trust_anchors = rpki::trust_anchors(client)?;
    let routers = validity::router_counts(client)?;
    if is_json {
        return print(&printable_json(&format!("{:#}\n", json_of(&state, &trust_anchors, &routers))));
    }
    print(&text(&state, &trust_anchors, &routers))
}

fn json_of(state: &SetState, trust_anchors: &[(String, i64)], routers: &[RouterCounts]) -> serde_json::Value {
    let held = state.held.as_ref().map(|held| {
        json!({"since": held.since, "until": held.until, "reason": held.reason, "source": held.source, "vrps": held.vrps})
    });
    let routers = routers.iter().map(|router| {
        json!({"router_id": router.router, "valid": router.valid, "invalid": router.invalid,
               "not_found": router.not_found, "scanned_at": router.scanned_at})
    });
    json!({
        "usable": state.is_usable,
        "in_use": state.is_in_use,
        "version": state.version,
        "source": state.source,
        "generated": state.generated,
        "fetched_at": state.fetched_at,
        "valid_until": state.valid_until,
        "vrps": state.vrps,
        "aspas": state.aspas,
        "slurm_filtered": state.slurm.0,
        "slurm_added": state.slurm.1,
        "trust_anchors": trust_anchors.iter().map(|(name, vrps)| json!({"name": name, "vrps": vrps})).collect::<Vec<_>>(),
        "last_error": state.last_error,
        "failing_since": state.failing_since,
        "held": held,
        "scanned_at": state.scanned_at,
        "routers": routers.collect::<Vec<_>>(),
    })
}

fn text(state: &SetState, trust_anchors: &[(String, i64)], routers: &[RouterCounts]) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<8} {}", printable(value));
    };
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), Timestamp::to_utc);
    match &state.source {
        None => line("set", "none: the state of every route is unknown"),
        Some(source) => {
            line("set", &format!("{source}, made {}, fetched {}", time(state.generated), time(state.fetched_at)));
            if !state.is_usable {
                line("", "too old: the state of every route is unknown");
            }
            if !state.is_in_use {
                line("", "not in use: no collector has RIB_INGESTER_VRPS");
            }
            let of_anchors: Vec<String> = trust_anchors
                .iter()
                .map(|(name, vrps)| format!("{} {vrps}", if name.is_empty() { "(none)" } else { name }))
                .collect();
            line("VRPs", &format!("{} ({}), ASPAs {}", state.vrps, of_anchors.join(", "), state.aspas));
            if state.slurm != (0, 0) {
                line("SLURM", &format!("{} filtered, {} added", state.slurm.0, state.slurm.1));
            }
        }
    }
    if let Some(since) = state.failing_since {
        line("failing", &format!("since {}: {}", since.to_utc(), state.last_error.as_deref().unwrap_or_default()));
    }
    if let Some(held) = &state.held {
        line("held", &format!("since {}: {} of {}", held.since.to_utc(), held.reason, held.source));
        line("", &format!("taken {}, or by `rib-ingester rpki accept`", held.until.to_utc()));
    }
    if let Some((at, why)) = &state.taken_after_hold {
        line("taken", &format!("{}, after its hold: {why}", at.to_utc()));
    }
    if !routers.is_empty() {
        let mut table = Table::new(&[
            ("ROUTER", Column::Text),
            ("VALID", Column::Number),
            ("INVALID", Column::Number),
            ("NOT-FOUND", Column::Number),
            ("SCANNED", Column::Word),
        ]);
        for router in routers {
            let counts = [router.valid, router.invalid, router.not_found].map(|count| count.to_string());
            let cells = [router.router.clone()].into_iter().chain(counts).chain([router.scanned_at.to_utc()]);
            table.push(cells);
        }
        out.push('\n');
        out.push_str(&table.render(table::line_width()));
    }
    out
}

fn accept(by: &str, client: &mut Client) -> Result<(), CommandError> {
    match rpki::accept(client, by)? {
        Some(held) => print(&format!(
            "accepted: {} with {}, {}\n",
            printable(&held.source),
            counted(u64::try_from(held.vrps).unwrap_or(0), "VRP"),
            printable(&held.reason)
        )),
        None => Err(CommandError::Failed("rpki: no set is held".to_owned())),
    }
}

fn what_if(options: &WhatIfOptions, settings: &Settings) -> Result<(), CommandError> {
    let wrong = |why: String| CommandError::Configuration(vec![why]);
    let prefix = parse_prefix(&options.prefix).map_err(wrong)?;
    let asn = parse_asn(&options.asn).map_err(wrong)?;
    let max_length = check_max_length(&prefix, options.max_length).map_err(wrong)?;
    let mut client = connect(settings, "rpki")?;
    if !rpki::state(&mut client)?.is_usable {
        return Err(CommandError::Failed("rpki: there is no set of VRPs, or it is too old".to_owned()));
    }
    let routes = validity::concerned(&mut client, &prefix, max_length, asn)?;
    if options.json {
        let routes: Vec<_> = routes.iter().map(|route| {
            json!({"prefix": route.prefix, "origin": route.origin, "now": route.state, "then": then(route), "routers": route.routers})
        }).collect();
        return print(&printable_json(&format!("{:#}\n", json!(routes))));
    }
    print(&what_if_text(&prefix, max_length, asn, &routes))
}

/// Returns the state with the VRP of the ROA: it covers all of these routes.
fn then(route: &ConcernedRoute) -> &'static str {
    if route.is_matched || route.state == RouteState::Valid.name() {
        RouteState::Valid.name()
    } else {
        RouteState::Invalid.name()
    }
}

fn what_if_text(prefix: &Prefix, max_length: u8, asn: Asn, routes: &[ConcernedRoute]) -> String {
    let changed: Vec<_> = routes.iter().filter(|route| then(route) != route.state).collect();
    let becoming = |state: RouteState| changed.iter().filter(|route| then(route) == state.name()).count();
    let mut out = format!(
        "A ROA for {prefix} up to /{max_length} and AS{asn} covers {} stored routes: {} would become valid, {} invalid, {} stay.\n",
        routes.len(),
        becoming(RouteState::Valid),
        becoming(RouteState::Invalid),
        routes.len() - changed.len()
    );
    if routes.is_empty() {
        return out;
    }
    let mut table = Table::new(&[
        ("PREFIX", Column::Word),
        ("ORIGIN", Column::Word),
        ("NOW", Column::Word),
        ("THEN", Column::Word),
        ("ROUTERS", Column::Number),
    ]);
    for route in routes {
        let origin = if route.origin == 0 { "none".to_owned() } else { format!("AS{}", route.origin) };
        table.push([
            route.prefix.clone(),
            origin,
            route.state.clone(),
            then(route).to_owned(),
            route.routers.to_string(),
        ]);
    }
    out.push('\n');
    out.push_str(&table.render(table::line_width()));
    out
}
