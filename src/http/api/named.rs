//! The parameter `router`, whose values are identifiers or host names.

use super::call::Call;
use super::parameter::ROUTER;
use crate::http::problem::Problem;
use crate::http::service::Service;
use crate::store::api::routers;

/// Returns the identifiers of the routers that a request names, in order; `None`: it names none.
///
/// # Errors
/// No router is called so, or the database does not answer.
pub(super) fn named_routers(service: &Service, call: &Call<'_>) -> Result<Option<Vec<String>>, Problem> {
    let Some(names) = call.values(ROUTER.name) else { return Ok(None) };
    identifiers(service, &names).map(Some)
}

/// Returns the identifier of the router that the path names.
///
/// # Errors
/// No router is called so, or several are, or the database does not answer.
pub(super) fn router_of_path(service: &Service, call: &Call<'_>) -> Result<String, Problem> {
    let none = || Problem::not_found("no router, or more than one, is called so");
    let found = service.read(|client| routers::named(client, &[call.captured("router").to_owned()]))?;
    match found.map_err(|_| none())?.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(none()),
    }
}

fn identifiers(service: &Service, names: &[String]) -> Result<Vec<String>, Problem> {
    let found = service.read(|client| routers::named(client, names))?;
    found.map_err(|name| Problem::bad_request(format!("router: no router is called {name:?}")))
}
