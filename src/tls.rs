//! TLS of the collector: as a client of PostgreSQL, and as a server for routers.
//!
//! Files are PEM and are read when a configuration is made, so a new configuration uses renewed files. TLS 1.2 and 1.3
//! (RFC 5246, RFC 8446), with the cryptography of `ring`, which needs nothing at run time and builds with musl.

mod acceptor;
mod verify;

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub(crate) use acceptor::Acceptor;
pub use acceptor::Files;

use crate::conninfo::{Mode, Roots, Tls};

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

/// Returns the cryptography of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the certificates of authorities that the system trusts; without any, no HTTPS server is trusted.
pub(crate) fn system_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

fn roots(named: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match named {
        Roots::File(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        Roots::System => {
            // Some certificates of a system always fail to parse; an error only if none can be used.
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
                return Err(format!("the system has no CA certificates{why}"));
            }
        }
    }
    Ok(store)
}

/// Reads every certificate in a PEM file; there must be at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(&"contains no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(rustls::pki_types::pem::Error::Io(error)) => Err(wrong(&error)),
        Err(_) => Err(wrong(&"is not PEM")),
    }
}

/// Reads the first private key in a PEM file.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        rustls::pki_types::pem::Error::Io(error) => format!("{}: {error}", file.display()),
        // The error shows nothing else of a file that contains a secret.
        _ => format!("{}: contains no private key in PEM", file.display()),
    })
}
