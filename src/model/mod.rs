//! The vocabulary of BGP routes: the types that `wire` produces and `store` writes.
//!
//! Nothing here imports another module of this crate; nothing here does I/O. Each type rules out one kind of mistake,
//! which its own documentation names.

pub mod as_path;
pub mod asn;
pub mod attribute;
pub mod attrs;
pub mod community;
pub mod family;
pub mod list;
pub mod path_status;
pub mod prefix;
pub mod route;
pub mod text;
pub mod time;
pub mod tunnels;
pub mod watch;
pub mod write_text;

pub use as_path::{AsPath, AsWidth, Segment, SegmentKind};
pub use asn::Asn;
pub use attribute::{AttrSet, NextHop, Origin, OtherAttribute, PathAttributes};
pub use attrs::ExtraAttributes;
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use family::{Afi, AfiSafi};
pub use list::{Fixed, List};
pub use path_status::PathStatus;
pub use prefix::{Nlri, PathId, Prefix};
pub use route::{AdjRibKey, PeerIds, Policy, RibKind, RouterId, Table, TableKey, View};
pub use text::Text;
pub use time::Timestamp;
pub use write_text::WriteText;
