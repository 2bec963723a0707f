//! The values that the handlers of the API share: the database, the counters, the way of their answers.

use std::sync::Arc;

use ipnet::IpNet;

use super::access::{Caller, Tokens};
use super::event_feed::EventFeed;
use super::problem::Problem;
use super::request::Request;
use super::waker::Waker;
use crate::metrics::Meters;
use crate::store::{self, Client, Pool};

/// The values that all handlers share.
pub(in crate::http) struct Service {
    pub(in crate::http) pool: Arc<Pool>,
    pub(in crate::http) meters: Arc<Meters>,
    /// The identifier of this collector.
    pub(in crate::http) collector_id: String,
    pub(in crate::http) tokens: Arc<Tokens>,
    /// The origins of web pages that may read the API.
    pub(in crate::http) origins: Vec<String>,
    pub(in crate::http) birdwatcher: BirdwatcherOptions,
    /// The way to the thread that tells of events.
    pub(in crate::http) feed: EventFeed,
    /// Wakes the thread of the sockets, for streams that a thread of its own feeds.
    pub(in crate::http) waker: Waker,
}

/// The settings of birdwatcher's API.
#[derive(Clone, Debug, Default)]
pub(crate) struct BirdwatcherOptions {
    /// The addresses that need no token.
    pub(crate) allow: Vec<IpNet>,
    /// The first two numbers of the large communities that say why a route is filtered.
    pub(crate) reasons: Option<[u32; 2]>,
}

impl Service {
    /// Reads on a connection of the API, whose statements end after seconds.
    ///
    /// # Errors
    /// The database does not answer, or not in time.
    pub(in crate::http) fn read<T>(
        &self,
        question: impl FnOnce(&mut Client) -> store::Result<T>,
    ) -> Result<T, Problem> {
        Ok(self.pool.read_for_api(question)?)
    }
}

/// A request of a program.
pub(super) struct ProgramRequest {
    /// The identifier of the connection that asked.
    pub(super) id: u64,
    pub(super) request: Request,
    pub(super) caller: Caller,
}
