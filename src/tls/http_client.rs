//! The HTTPS client of this program: our cryptography, and the authorities that the system trusts.

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::files::{provider, system_roots};

/// Returns the configuration of TLS for HTTPS requests.
pub(crate) fn http_client() -> TlsConfig {
    let certificates: Vec<_> = system_roots().iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(provider())
        .build()
}
