//! BGP messages inside BMP: OPEN (RFC 4271 section 4.2), UPDATE (section 4.3), NOTIFICATION (section 4.5)
//! and ROUTE-REFRESH (RFC 2918).

pub mod add_path;
pub mod as_path;
pub mod attributes;
pub mod labels;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod prefixes;
pub(crate) mod rfc7606;
pub mod route_refresh;
pub mod routes;
pub mod update;
pub(crate) mod validate;
