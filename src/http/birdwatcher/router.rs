//! The router that a request names.

use crate::http::problem::Problem;
use crate::http::service::Service;
use crate::store::status::{self, RouterStatus};

/// A router that is asked for.
pub(super) struct Router {
    pub(super) id: String,
    /// Its AS, which tells external peers from internal ones.
    pub(super) asn: Option<i64>,
    pub(super) row: RouterStatus,
}

impl Router {
    /// Finds the router that has this identifier, name or address.
    pub(super) fn find(service: &Service, name: &str) -> Result<Router, Problem> {
        let mut found = service.read(|client| {
            let named: Vec<String> =
                status::named(client, name)?.into_iter().map(|(router, _)| router.as_str().to_owned()).collect();
            // The identifier has precedence over names.
            let named = if named.iter().any(|id| id == name) { vec![name.to_owned()] } else { named };
            status::routers(client, Some(&named), None)
        })?;
        match (found.pop(), found.len()) {
            (None, _) => Err(Problem::not_found(format!("no router is called {name:?}"))),
            (Some(row), 0) => Ok(Router { id: row.router_id.clone(), asn: row.as_number, row }),
            (Some(_), others) => {
                Err(Problem::not_found(format!("{} routers are called {name:?}: use an identifier", others + 1)))
            }
        }
    }
}
