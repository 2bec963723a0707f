//! The certificate that is presented to routers, renewed without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{Connection, ServerConfig, ServerConnection};

use super::files::{certificates, private_key, provider, roots};
use crate::conninfo::Roots;

/// The server side of every TLS handshake.
#[derive(Debug)]
pub struct Acceptor {
    files: Files,
    current: RwLock<Arc<ServerConfig>>,
}

/// The PEM files of the server side.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and the intermediate ones up to its authority.
    pub chain: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities that must have signed the routers' certificates; `None` requests no certificate from routers.
    pub(crate) client_authorities: Option<PathBuf>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or is not valid; the text names it and the reason.
    pub fn load(files: Files) -> Result<Acceptor, String> {
        let current = RwLock::new(Arc::new(config(&files)?));
        Ok(Acceptor { files, current })
    }

    /// Reads the files again, for handshakes from now on. A bad file changes nothing.
    ///
    /// # Errors
    /// As for [`Acceptor::load`].
    pub fn reload(&self) -> Result<(), String> {
        let renewed = Arc::new(config(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// Returns a new connection, before its handshake.
    ///
    /// # Errors
    /// `rustls` cannot create a connection from the configuration.
    pub fn accept(&self) -> Result<Connection, String> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        ServerConnection::new(config).map(Connection::Server).map_err(|error| error.to_string())
    }
}

fn config(files: &Files) -> Result<ServerConfig, String> {
    server(&files.chain, &files.key, files.client_authorities.as_deref())
}

/// Returns the server configuration for routers. With `client_authorities` a router needs a certificate signed by one
/// of them.
///
/// # Errors
/// A file cannot be read or its content is not of the expected kind; the text names it and the reason.
fn server(chain: &Path, key: &Path, client_authorities: Option<&Path>) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots(&Roots::File(file.to_owned()))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    builder
        .with_single_cert(certificates(chain)?, private_key(key)?)
        .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))
}
