//! The vocabulary of BGP routes and of the records about peers and sessions: what `wire` produces and `store` writes.
//!
//! Nothing here imports another module of this crate; nothing here does I/O. Each type rules out one kind of mistake,
//! which its own documentation names.

pub mod as_path;
pub mod attribute;
pub mod attrs;
pub mod community;
pub mod family;
pub mod list;
pub mod path_status;
pub mod prefix;
pub mod rd;
pub mod records;
pub mod route;
pub(crate) mod route_columns;
pub mod rpki;
pub mod text;
pub mod time;
pub mod tunnels;
pub mod uuid;
pub mod watch;
pub(crate) mod write_text;

pub use as_path::{AsPath, AsWidth, Asn, Segment, SegmentKind};
pub use attribute::{AttrSet, NextHop, Origin, OtherAttribute, PathAttributes};
pub(crate) use attrs::ExtraAttributes;
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use family::{Afi, AfiSafi, OtherFamily, StoredFamilies};
pub use list::{Fixed, List};
pub(crate) use path_status::PathStatus;
pub use prefix::{Nlri, PathId, Prefix};
pub use rd::Rd;
pub(crate) use records::{AddPathPlace, AddPathRecord, TableNameRecord, cut_reason};
pub use records::{
    PeerName, PeerRecord, PeerState, RouterRecord, SessionEvent, SessionEventKind, SessionState, StatisticRecord,
    StoredRoute,
};
pub use route::{AdjRibKey, NlriView, PeerIds, Policy, RibKind, RouterId, Table, TableKey, View};
pub use route_columns::RouteColumns;
pub use text::Text;
pub use time::Timestamp;
pub use uuid::new_uuid;
pub(crate) use write_text::WriteText;
