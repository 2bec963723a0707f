//! The collector as the client of routers that listen with TLS, and of stations; for routers the files are read for each
//! connection, so renewed ones need no restart.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection};

use super::files::{certificates, private_key, provider, roots};
use crate::conninfo::Roots;

/// The client side of TLS with routers and stations.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The authorities that must have signed their certificates, PEM.
    pub authorities: Roots,
    /// The certificate chain and the private key that are presented to them, PEM; `None`: none is.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl Connector {
    /// Returns a new connection to the router with this name or address, before its handshake.
    ///
    /// # Errors
    /// A file cannot be read or is not valid; the text names it and the reason.
    pub(crate) fn connect(&self, host: &str) -> Result<Connection, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connection = ClientConnection::new(Arc::new(self.config()?), name);
        connection.map(Connection::Client).map_err(|error| error.to_string())
    }

    /// Reads the files.
    ///
    /// # Errors
    /// As for [`Connector::connect`].
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(&self.authorities)?);
        match &self.own {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(chain)?, private_key(key)?)
                .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display())),
        }
    }
}

/// Returns true if we are the client of a connection.
pub(crate) fn is_client(connection: &Connection) -> bool {
    matches!(connection, Connection::Client(_))
}
