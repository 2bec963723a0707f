//! `impact`: which services would lose their covering route if a prefix, a peer or a router went.
//!
//! It says what stored routes say. Another route that is known is named, never called safe: nobody has tried it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::command::{CommandError, connect, counted, print};
use super::compare::known_routers;
use crate::config::{Settings, value};
use crate::model::text::{printable, printable_json};
use crate::store::inventory::impact::{self, Gone, Loss, ServicePlace};
use crate::store::{Client, status};

/// The target.
#[derive(Args, Debug)]
pub(crate) struct ImpactArguments {
    /// A prefix, the address of a peer, or a router: identifier, name or address
    #[arg(value_name = "PREFIX|PEER|ROUTER")]
    target: String,
    /// Take it as this, where it could be two things
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<TargetKind>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TargetKind {
    Prefix,
    Peer,
    Router,
}

/// Prints the impact; exit code 3 if something is lost, 4 if nothing is known to be and something cannot be told.
pub(super) fn run(arguments: &ImpactArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "impact")?;
    let gone = target(&mut client, &arguments.target, arguments.kind)?;
    let losses = impact::impact(&mut client, &gone)?;
    let services = services(&mut client, &losses)?;
    if arguments.json {
        print(&printable_json(&format!("{}\n", as_json(&gone, &losses, &services))))?;
    } else {
        let lines = lines(&gone, &losses, &services);
        print(&lines.iter().map(|line| format!("{}\n", printable(line))).collect::<String>())?;
    }
    if losses.iter().any(Loss::is_loss) {
        return Err(CommandError::Differs);
    }
    let unknown: BTreeSet<String> = losses
        .iter()
        .filter(|loss| loss.outcome == "cannot_tell")
        .map(|loss| format!("{}: {}", router(loss), loss.reason.as_deref().unwrap_or("the routes are not stored")))
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(CommandError::CannotTell(unknown.into_iter().collect())) }
}

/// Returns what is meant.
fn target(client: &mut Client, word: &str, kind: Option<TargetKind>) -> Result<Gone, CommandError> {
    let wrong = |why: String| CommandError::Configuration(vec![why]);
    let gone = match (kind, word.parse::<IpAddr>()) {
        (Some(TargetKind::Prefix), _) => Gone::Prefix(value::network(word).map_err(wrong)?.to_string()),
        (None, Err(_)) if word.contains('/') => Gone::Prefix(value::network(word).map_err(wrong)?.to_string()),
        (Some(TargetKind::Peer), Ok(address)) => Gone::Peer(address.to_string()),
        (Some(TargetKind::Peer), Err(_)) => {
            return Err(wrong(format!("{} is not the address of a peer", value::quoted(word))));
        }
        (None, Ok(address)) => {
            let peer = Gone::Peer(address.to_string());
            let is_router = !status::named(client, word)?.is_empty();
            match (is_router, impact::is_known(client, &peer)?) {
                (true, true) => {
                    return Err(wrong(format!(
                        "{word} is a router and a peer of another: add --as router or --as peer"
                    )));
                }
                (false, true) => peer,
                (_, false) => one_router(client, word)?,
            }
        }
        (Some(TargetKind::Router), _) | (None, Err(_)) => one_router(client, word)?,
    };
    if impact::is_known(client, &gone)? {
        return Ok(gone);
    }
    let why = match &gone {
        Gone::Prefix(prefix) => {
            format!("no table has a route to exactly {prefix}: `rib-ingester lookup` shows what covers it")
        }
        Gone::Peer(peer) => format!("no router has a peer {peer}"),
        Gone::Router(router) => format!("no router {router} is stored"),
    };
    Err(CommandError::Failed(why))
}

fn one_router(client: &mut Client, word: &str) -> Result<Gone, CommandError> {
    let mut found = known_routers(client, &[word.to_owned()])?;
    Ok(Gone::Router(found.remove(0)))
}

/// Returns all services that need one of the addresses, by number.
fn services(client: &mut Client, losses: &[Loss]) -> Result<BTreeMap<i32, ServicePlace>, CommandError> {
    let ids: BTreeSet<i32> = losses.iter().flat_map(|loss| loss.services.iter().copied()).collect();
    let ids: Vec<i32> = ids.into_iter().collect();
    Ok(impact::services(client, &ids)?.into_iter().map(|service| (service.id, service)).collect())
}

fn router(loss: &Loss) -> &str {
    loss.hostname.as_deref().unwrap_or(&loss.router_id)
}

/// Returns the services that lose a covering route somewhere.
fn lost<'a>(losses: &[Loss], services: &'a BTreeMap<i32, ServicePlace>) -> Vec<&'a ServicePlace> {
    let ids: BTreeSet<i32> =
        losses.iter().filter(|loss| loss.is_loss()).flat_map(|loss| loss.services.clone()).collect();
    ids.iter().filter_map(|id| services.get(id)).collect()
}

fn lines(gone: &Gone, losses: &[Loss], services: &BTreeMap<i32, ServicePlace>) -> Vec<String> {
    let name = match gone {
        Gone::Prefix(prefix) => format!("without {prefix}"),
        Gone::Peer(peer) => format!("without the peer {peer}"),
        Gone::Router(router) => format!("without the router {router}"),
    };
    if losses.is_empty() {
        return vec![format!("{name}: no address of the inventory is known to use it")];
    }
    let lost = lost(losses, services);
    let distinct = |place: fn(&ServicePlace) -> &str| {
        u64::try_from(lost.iter().map(|service| place(service)).collect::<BTreeSet<_>>().len()).unwrap_or(u64::MAX)
    };
    let mut out = vec![format!(
        "{name}: {} on {}, {}, {} lose their covering route",
        counted(u64::try_from(lost.len()).unwrap_or(u64::MAX), "service"),
        counted(distinct(|service| &service.hostname), "container"),
        counted(distinct(|service| &service.node), "node"),
        counted(distinct(|service| &service.site), "site"),
    )];
    for loss in losses {
        out.push(one(loss));
        out.push(format!("    {}", loss.owners.join(", ")));
        for service in loss.services.iter().filter_map(|id| services.get(id)) {
            let ServicePlace { kind, name, hostname, node, site, .. } = service;
            out.push(format!("    service {name} ({kind}) on {hostname}, node {node}, site {site}"));
        }
    }
    out
}

/// Returns the line of an address at a vantage.
fn one(loss: &Loss) -> String {
    let router = router(loss);
    let path =
        loss.path.as_deref().filter(|path| !path.is_empty()).map_or(String::new(), |path| format!(" path {path}"));
    let others = match loss.others.as_slice() {
        [] => format!("other routes known to {router}: none"),
        others => format!("other routes known to {router}: {} ({})", others.len(), others.join("; ")),
    };
    let reason = loss.reason.as_ref().map_or(String::new(), |reason| format!("; {reason}"));
    format!(
        "{} {} at {router} table {}: {}{path}; {others}{reason}",
        loss.outcome.replace('_', " "),
        loss.address,
        loss.table_name,
        loss.prefix,
    )
}

fn as_json(gone: &Gone, losses: &[Loss], services: &BTreeMap<i32, ServicePlace>) -> Value {
    let (kind, target) = match gone {
        Gone::Prefix(prefix) => ("prefix", prefix),
        Gone::Peer(peer) => ("peer", peer),
        Gone::Router(router) => ("router", router),
    };
    let service = |service: &ServicePlace| {
        json!({"id": service.id, "type": service.kind, "name": service.name, "container": service.hostname,
               "node": service.node, "site": service.site})
    };
    let loss = |loss: &Loss| {
        json!({"address": loss.address, "router_id": loss.router_id, "router": router(loss), "table": loss.table_name,
               "prefix": loss.prefix, "path": loss.path, "outcome": loss.outcome, "next_prefix": loss.next_prefix,
               "other_routes": loss.others, "reason": loss.reason, "owners": loss.owners, "services": loss.services})
    };
    json!({"kind": kind, "target": target, "lost": lost(losses, services).into_iter().map(service).collect::<Vec<_>>(),
           "addresses": losses.iter().map(loss).collect::<Vec<_>>()})
}
