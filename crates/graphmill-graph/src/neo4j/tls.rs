//! TLS as the rest of graphmill does it: ring, and the system's certificate authorities.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Encryption;
use crate::{Error, Result};

/// The configuration of a client; none for an open connection.
pub(super) fn config(encryption: Encryption) -> Result<Option<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = || {
        let versions = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        versions.map_err(|error| Error::Unusable(format!("TLS cannot be set up: {error}")))
    };
    match encryption {
        Encryption::None => Ok(None),
        Encryption::SystemRoots => {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                let errors = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                return Err(Error::Unusable(format!(
                    "the system has no certificate authorities to check the graph server with ({errors}): install its package \
                     ca-certificates, or name a file in SSL_CERT_FILE"
                )));
            }
            Ok(Some(builder()?.with_root_certificates(roots).with_no_client_auth()))
        }
        Encryption::AnyCertificate => {
            let verifier = Arc::new(AnyCertificate(provider.clone()));
            Ok(Some(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
        }
    }
}

/// Takes any certificate, as `+ssc` asks for; the server must still hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
