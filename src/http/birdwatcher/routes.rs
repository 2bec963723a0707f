//! Routes in birdwatcher's shape, streamed.

use std::borrow::Cow;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::envelope;
use super::reasons::reasons;
use super::router::Router;
use super::selection::{Selection, protocol_id};
use crate::http::reply::{Outcome, Reply, StreamError};
use crate::http::response::{JSON, Response};
use crate::http::service::Service;
use crate::http::stream::{Gone, StreamWriter};
use crate::model::Timestamp;
use crate::store::birdwatcher::{self, BirdPeer, BirdRoute, PeerTable, RouteSet};

/// BIRD's preference of BGP routes.
const PREFERENCE: u32 = 100;

/// A route as birdwatcher writes it.
#[derive(Serialize)]
struct RouteLine<'a> {
    network: &'a str,
    /// The identifier of the peer's protocol.
    from_protocol: &'a str,
    /// Always the peer: Alice-LG drops filtered routes whose gateway is not.
    gateway: &'a str,
    learnt_from: &'a str,
    interface: &'a str,
    metric: u32,
    primary: bool,
    age: &'a str,
    #[serde(rename = "type")]
    kind: [&'a str; 2],
    bgp: BgpAttributes<'a>,
}

#[derive(Serialize)]
struct BgpAttributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    as_path: Vec<&'a str>,
    next_hop: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_pref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    med: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otc: Option<&'a str>,
    communities: Vec<[u32; 2]>,
    large_communities: Vec<[u32; 3]>,
    ext_communities: Vec<[Cow<'a, str>; 3]>,
}

/// Answers with the routes of these tables, while they are read.
pub(super) fn stream(service: &Service, router: &Router, set: RouteSet, selection: Selection) -> Reply {
    let pool = Arc::clone(&service.pool);
    let (id, router_asn) = (router.id.clone(), router.asn);
    let marks = service.birdwatcher.reasons.filter(|_| matches!(set, RouteSet::Rejected { .. }));
    let production = move |out: &mut StreamWriter<'_>| {
        let mut write = |text: &str| out.write(text);
        let mut lines = Lines::begin(&mut write, router_asn, marks)?;
        let mut is_gone = false;
        pool.read_for_api(|client| {
            birdwatcher::routes(client, &id, set, &|table| selection.has(table), &mut |table, route| {
                is_gone = lines.add(table, route).is_err();
                if is_gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })?;
        if is_gone { Err(StreamError::Gone) } else { Ok(lines.end()?) }
    };
    Reply::Stream(Response::of(200, JSON, Vec::new()), Box::new(production))
}

/// Answers with the accepted routes to one prefix.
pub(super) fn to_prefix(service: &Service, router: &Router, prefix: &str) -> Outcome {
    let mut text = String::new();
    let mut write = |part: &str| {
        text.push_str(part);
        Ok(())
    };
    // A text takes everything.
    if let Ok(mut lines) = Lines::begin(&mut write, router.asn, None) {
        service.read(|client| {
            birdwatcher::routes_to(client, &router.id, prefix, &mut |table, route| {
                if lines.add(table, route).is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })?;
        let _ = lines.end();
    }
    Ok(Reply::Whole(Response::json(text)))
}

/// Writes an answer with routes.
struct Lines<'a> {
    write: &'a mut dyn FnMut(&str) -> Result<(), Gone>,
    router_asn: Option<i64>,
    /// The numbers before the reason for which a route is filtered.
    marks: Option<[u32; 2]>,
    /// The peer of the last route, and the identifier of its protocol.
    last: Option<(BirdPeer, String)>,
    is_first: bool,
}

impl<'a> Lines<'a> {
    fn begin(
        write: &'a mut dyn FnMut(&str) -> Result<(), Gone>,
        router_asn: Option<i64>,
        marks: Option<[u32; 2]>,
    ) -> Result<Lines<'a>, Gone> {
        let members = Value::Object(envelope::members(Timestamp::now())).to_string();
        // The brace at the end comes after the routes.
        write(members.strip_suffix('}').unwrap_or(&members))?;
        write(",\"routes\":[")?;
        Ok(Lines { write, router_asn, marks, last: None, is_first: true })
    }

    fn add(&mut self, table: &PeerTable, route: &BirdRoute<'_>) -> Result<(), Gone> {
        if self.last.as_ref().is_none_or(|(peer, _)| *peer != table.peer) {
            self.last = Some((table.peer.clone(), protocol_id(&table.peer)));
        }
        let id = self.last.as_ref().map(|(_, id)| id.as_str()).unwrap_or_default();
        let mut line = line(id, &table.peer.address, route);
        let age = envelope::time(route.updated_at);
        line.age = &age;
        if let Some([first, second]) = self.marks {
            let marks = reasons(route, &table.peer, self.router_asn).into_iter().map(|why| [first, second, why]);
            line.bgp.large_communities.extend(marks);
        }
        // Numbers and texts of a route cannot fail to be JSON.
        let text = serde_json::to_string(&line).unwrap_or_default();
        (self.write)(if mem::take(&mut self.is_first) { "\n" } else { ",\n" })?;
        (self.write)(&text)
    }

    fn end(self) -> Result<(), Gone> {
        (self.write)("\n]}\n")
    }
}

fn line<'a>(id: &'a str, address: &'a str, route: &'a BirdRoute<'_>) -> RouteLine<'a> {
    let next_hop = match (route.nexthop, route.link_local) {
        (Some(global), Some(link_local)) => Cow::Owned(format!("{global} {link_local}")),
        (Some(one), None) | (None, Some(one)) => Cow::Borrowed(one),
        (None, None) => Cow::Borrowed(""),
    };
    RouteLine {
        network: route.prefix,
        from_protocol: id,
        gateway: address,
        learnt_from: address,
        interface: "",
        metric: PREFERENCE,
        primary: route.is_best,
        age: "",
        kind: ["BGP", "univ"],
        bgp: BgpAttributes {
            origin: route.origin.map(|origin| if origin == "INCOMPLETE" { "Incomplete" } else { origin }),
            as_path: route.as_path.unwrap_or_default().split(' ').filter(|part| !part.is_empty()).collect(),
            next_hop,
            local_pref: route.localpref.map(|number| number.to_string()),
            med: route.med.map(|number| number.to_string()),
            otc: route.otc,
            communities: route.communities_std.iter().filter_map(|text| numbers(text)).collect(),
            large_communities: route.communities_large.iter().filter_map(|text| numbers(text)).collect(),
            ext_communities: route.communities_ext.iter().map(|text| extended(text)).collect(),
        },
    }
}

/// Returns the numbers of a community; `None` if it has another count or other parts.
fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let mut all = [0; N];
    let mut parts = text.split(':');
    for number in &mut all {
        *number = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(all)
}

/// Returns the three parts of an extended community, as BIRD shows them.
fn extended(text: &str) -> [Cow<'_, str>; 3] {
    let kind = |text: &str| match text {
        "RT" => "rt",
        "SOO" => "ro",
        _ => "unknown",
    };
    match text.splitn(3, ':').collect::<Vec<_>>().as_slice() {
        [of, administrator, value] => [kind(of).into(), (*administrator).into(), (*value).into()],
        _ => match text.split_at_checked(8) {
            Some((high, low)) => ["generic".into(), format!("0x{high}").into(), format!("0x{low}").into()],
            None => ["unknown".into(), text.into(), "".into()],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_have_the_numbers_that_alice_counts() {
        assert_eq!(numbers("65535:666"), Some([65_535, 666]));
        assert_eq!(numbers("4294967295:0:1"), Some([u32::MAX, 0, 1]));
        assert_eq!(
            [numbers::<2>("1"), numbers::<2>("1:2:3"), numbers::<2>("1:4294967296"), numbers::<2>("")],
            [None; 4]
        );
        for (text, want) in [
            ("RT:64496:100", ["rt", "64496", "100"]),
            ("SOO:192.0.2.1:300", ["ro", "192.0.2.1", "300"]),
            ("4300000000000002", ["generic", "0x43000000", "0x00000002"]),
            ("odd", ["unknown", "odd", ""]),
        ] {
            assert_eq!(extended(text), want.map(Cow::Borrowed), "{text}");
        }
    }
}
