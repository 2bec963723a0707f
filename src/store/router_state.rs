//! `router_states`: whether a router is connected, where, and what becomes of its routes if not.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::Row;

use super::error::{Error, Result};
use super::events::read_time;
use crate::model::Timestamp;

/// The `state` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterState {
    /// Connected, all dumps are complete.
    Up,
    /// Connected, a dump is not complete.
    Dumping,
    /// Lost, its routes are kept.
    Stale,
    /// Lost together with most others.
    Isolated,
    /// The collector that has its session is not alive.
    NoCollector,
    /// Another collector has taken the router from the one that it speaks to.
    Standby,
    /// No session, and nothing of it is kept.
    Down,
}

impl RouterState {
    /// All of them.
    pub const ALL: [RouterState; 7] = [
        RouterState::Up,
        RouterState::Dumping,
        RouterState::Stale,
        RouterState::Isolated,
        RouterState::NoCollector,
        RouterState::Standby,
        RouterState::Down,
    ];

    /// The column's text.
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

    /// Whether the router has a session with a collector that is alive.
    pub fn is_connected(self) -> bool {
        matches!(self, RouterState::Up | RouterState::Dumping)
    }
}

/// What `router_states` says of one router.
#[derive(Clone, Debug)]
pub struct RouterStanding {
    /// Whether it is connected.
    pub state: RouterState,
    /// Start of that state; `None`: nobody knows any more.
    pub since: Option<Timestamp>,
    /// The collector that has or had the session, unless that is over.
    pub session_collector: Option<String>,
    /// Address that the session came from.
    pub source: Option<IpAddr>,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Since when the first of its tables has had no session.
    pub stale_since: Option<Timestamp>,
    /// When its routes go, unless it comes back; `None`: it is connected, has none, or nobody alive would remove them.
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
