//! `router_states`: whether a router is connected, where, and when its routes expire if it is not.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::Row;
use serde::{Serialize, Serializer};

use super::error::{Error, Result};
use super::time::read_time;
use crate::model::Timestamp;

/// The `state` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterState {
    /// Connected, and all dumps are complete.
    Up,
    /// Connected, and a dump is not complete.
    Dumping,
    /// Lost; its routes are kept as stale.
    Stale,
    /// Lost together with most others; its routes are kept longer.
    Isolated,
    /// The collector that has its session is not alive.
    NoCollector,
    /// Another collector has claimed the router from the one that it is connected to.
    Standby,
    /// No session, and none of its routes are kept.
    Down,
}

impl RouterState {
    /// All states.
    pub const ALL: [RouterState; 7] = [
        RouterState::Up,
        RouterState::Dumping,
        RouterState::Stale,
        RouterState::Isolated,
        RouterState::NoCollector,
        RouterState::Standby,
        RouterState::Down,
    ];

    /// Returns the column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            RouterState::Up => "up",
            RouterState::Dumping => "dumping",
            RouterState::Stale => "stale",
            RouterState::Isolated => "isolated",
            RouterState::NoCollector => "no collector",
            RouterState::Standby => "standby",
            RouterState::Down => "down",
        }
    }

    /// Returns whether the router has a session with a collector that is alive.
    pub(crate) fn is_connected(self) -> bool {
        matches!(self, RouterState::Up | RouterState::Dumping)
    }
}

impl Serialize for RouterState {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The row of `router_states` for one router.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RouterStanding {
    /// Its state.
    #[serde(rename = "session_state")]
    pub state: RouterState,
    /// The start of that state; `None` if it is no longer known.
    #[serde(rename = "session_since")]
    pub since: Option<Timestamp>,
    /// The collector that has or had the session, unless the session has ended.
    pub(crate) session_collector: Option<String>,
    /// The address that the session came from.
    #[serde(rename = "session_source")]
    pub source: Option<IpAddr>,
    /// The reason for the state.
    #[serde(rename = "session_reason")]
    pub reason: Option<String>,
    /// The time since which the first of its tables has had no session.
    pub stale_since: Option<Timestamp>,
    /// The time at which its routes are deleted unless it comes back; `None` if it is connected, has none, or no live
    /// collector would delete them.
    pub expires_at: Option<Timestamp>,
}

/// Reads the columns of the view.
pub(super) fn read(row: &Row) -> Result<RouterStanding> {
    let time = |column| row.get::<_, Option<SystemTime>>(column).map(read_time).transpose();
    Ok(RouterStanding {
        state: read_state(row)?,
        since: time("since")?,
        session_collector: row.get("session_collector"),
        source: row.get("source"),
        reason: row.get("reason"),
        stale_since: time("stale_since")?,
        expires_at: time("expires_at")?,
    })
}

/// Reads the column `state`.
pub(super) fn read_state(row: &Row) -> Result<RouterState> {
    let text: &str = row.get("state");
    let state = RouterState::ALL.into_iter().find(|state| state.as_str() == text);
    state.ok_or_else(|| Error::Unexpected(format!("router_states has the state {text:?}")))
}
