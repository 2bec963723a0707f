//! TLS of the collector: as a client of PostgreSQL, and as a server for routers.
//!
//! Files are PEM and are read when a configuration is made, so a new configuration uses renewed files. TLS 1.2 and 1.3
//! (RFC 5246, RFC 8446), with the cryptography of `ring`, which needs nothing at run time and builds with musl.

mod acceptor;
mod connector;
mod files;
mod http_client;
mod verify;

use rustls::ClientConfig;

pub(crate) use acceptor::Acceptor;
pub use acceptor::Files;
pub(crate) use connector::{Connector, is_client};
use files::{certificates, private_key, provider, roots};
pub(crate) use http_client::{http_client, http_client_with, http_config};

use crate::conninfo::{Mode, Tls};

/// PostgreSQL's protocol name in ALPN; servers since version 17 require it for direct TLS.
const ALPN_POSTGRESQL: &[u8] = b"postgresql";

/// Returns the client configuration for PostgreSQL; `None` where TLS is disabled.
///
/// # Errors
/// A file cannot be read or its content is not of the expected kind; the text names it and the reason.
pub fn client(tls: &Tls) -> Result<Option<ClientConfig>, String> {
    let verifier = match (tls.mode, &tls.roots) {
        (Mode::Disable, _) => return Ok(None),
        (Mode::Prefer | Mode::Require, _) | (Mode::VerifyCa | Mode::VerifyFull, None) => verify::nobody(provider()),
        (Mode::VerifyCa, Some(named)) => verify::authority(roots(named)?, provider())?,
        (Mode::VerifyFull, Some(named)) => verify::authority_and_name(roots(named)?, provider())?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))?,
    };
    config.alpn_protocols = vec![ALPN_POSTGRESQL.to_vec()];
    Ok(Some(config))
}
