//! The HTTPS client of this program: our cryptography, and the authorities that the system trusts.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::files::{certificates, provider, system_roots};

/// Returns the configuration of TLS for HTTPS requests.
pub(crate) fn http_client() -> TlsConfig {
    trusting(&system_roots())
}

/// Returns the configuration for requests to servers whose authority may also be one of this file.
///
/// # Errors
/// The file cannot be read or is not valid; the text names it and the reason.
pub(crate) fn http_client_with(authorities: &Path) -> Result<TlsConfig, String> {
    Ok(trusting(&[system_roots(), certificates(authorities)?].concat()))
}

/// Returns the terms that all requests of this program share: a status is no error, a redirect is not followed, as it
/// may lead anywhere and would take credentials along, and there is no proxy, which would resolve names itself.
pub(crate) fn http_config(tls: TlsConfig) -> ConfigBuilder<AgentScope> {
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("rib-ingester/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
}

fn trusting(roots: &[CertificateDer<'_>]) -> TlsConfig {
    let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider())
        .build()
}
