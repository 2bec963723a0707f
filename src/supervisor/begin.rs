//! The threads of the collector, and why it may not start.

use std::fmt;
use std::thread::{self, JoinHandle};

/// The reason why the collector did not start.
#[derive(Debug)]
pub enum StartError {
    /// Only the operator can fix it: wrong credentials, no such database, an invalid file.
    Configuration(String),
    /// The next try may succeed: a port is in use, a resource is exhausted.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Configuration(why) | StartError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StartError {}

/// Starts one of the collector's own threads; without it there is no collector.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has a thread for the collector itself")
}
