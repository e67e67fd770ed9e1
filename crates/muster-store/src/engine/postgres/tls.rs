//! TLS to the server, with the certificate store of this machine.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// Makes a connector that verifies the server's certificate and name.
pub(super) fn connector() -> Result<MakeRustlsConnect, StoreError> {
    let config = || -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        Ok(builder.with_safe_default_protocol_versions()?.with_platform_verifier()?.with_no_client_auth())
    };
    let config = config().map_err(|error| StoreError::database("set up tls", error))?;
    Ok(MakeRustlsConnect::new(config))
}
