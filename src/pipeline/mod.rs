//! The bounded channels between sessions and the database, and the writer threads behind them.
//!
//! One router always maps to one state writer and to one event writer, so everything about one router
//! is written in the order its session said it. A thread that receives here never sends into a
//! pipeline channel: no cycle, no deadlock. A full channel blocks the session, and TCP the router.

pub mod op;
pub mod sender;

pub use crate::store::EncodedRoute;
pub use op::{
    Claim, Claimed, EventBatch, Ownership, RouteChange, RouteEvent, RouterRecord, SessionEvent, SessionEventKind,
    StateBatch, StateItem, StateOp, StoredRoute, WithdrawReason,
};
pub use sender::{BATCH_ITEMS_MAX, PipelineReceivers, PipelineSender, channels};
