//! The certificate that routers are shown, renewed without a restart.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::{ServerConfig, ServerConnection};

/// The server's side of every handshake.
#[derive(Debug)]
pub struct Acceptor {
    files: Files,
    current: RwLock<Arc<ServerConfig>>,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and those between it and its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of the routers' certificates; `None` asks routers for none.
    pub client_authorities: Option<PathBuf>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn load(files: Files) -> Result<Acceptor, String> {
        let current = RwLock::new(Arc::new(config(&files)?));
        Ok(Acceptor { files, current })
    }

    /// Reads the files again, for handshakes from now on. A bad one changes nothing.
    ///
    /// # Errors
    /// As [`Acceptor::load`].
    pub fn reload(&self) -> Result<(), String> {
        let renewed = Arc::new(config(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// A connection before its handshake.
    ///
    /// # Errors
    /// What the library says.
    pub fn accept(&self) -> Result<ServerConnection, String> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        ServerConnection::new(config).map_err(|error| error.to_string())
    }
}

fn config(files: &Files) -> Result<ServerConfig, String> {
    super::server(&files.chain, &files.key, files.client_authorities.as_deref())
}
