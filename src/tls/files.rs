//! Certificates and keys in PEM files, and the cryptography.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::conninfo::Roots;

/// Returns the cryptography of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the certificates of authorities that the system trusts; without any, no HTTPS server is trusted.
pub(crate) fn system_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Returns the certificates of the authorities that are trusted.
pub(super) fn roots(named: &Roots) -> Result<RootCertStore, String> {
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
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
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
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        rustls::pki_types::pem::Error::Io(error) => format!("{}: {error}", file.display()),
        // The error shows nothing else of a file that contains a secret.
        _ => format!("{}: contains no private key in PEM", file.display()),
    })
}
