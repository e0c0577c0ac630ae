//! Whom the command line trusts when it speaks https: the system's authorities and one of the user's choice; or, for the server of a data folder,
//! exactly the certificate that the lock file names.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How a server is told from others.
pub(crate) enum Trust<'a> {
    /// By an authority: the system's, or the one of this file.
    Authorities(Option<&'a Path>),
    /// By the BLAKE3 hash of its certificate, in hexadecimal digits.
    Pinned(&'a str),
}

/// Settings of TLS connections.
pub(crate) fn config(trust: &Trust<'_>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Pinned(hash) => Arc::new(Pinned { hash: (*hash).to_owned(), provider: provider.clone() }),
        Trust::Authorities(file) => {
            let given = file.map(certificates).transpose()?.unwrap_or_default();
            let roots = roots(&given, *file)?;
            let by_authority =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
            if given.is_empty() { by_authority } else { Arc::new(Given { certificates: given, by_authority }) }
        }
    };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The certificates of a file.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        read.with_context(|| format!("the certificate authority {shown} cannot be read; it must be a PEM file"))?;
    if found.is_empty() {
        bail!("the file {shown} holds no certificate; it must have a block BEGIN CERTIFICATE (PEM)");
    }
    Ok(found)
}

/// The system's authorities and those of the file `of`.
fn roots(given: &[CertificateDer<'static>], of: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // What of the system's cannot be read is not trusted; a server that needs it is refused with its name.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in given {
        let shown = of.map(Path::display).map(|path| path.to_string()).unwrap_or_default();
        roots.add(authority.clone()).with_context(|| format!("a certificate of {shown} is no authority's"))?;
    }
    if roots.is_empty() {
        bail!("this system knows no certificate authority; name the server's with --ca-cert");
    }
    Ok(roots)
}

/// Trusts what an authority signed, and the very certificates that the user gave: the usual `openssl req -x509` makes one that is its own authority,
/// and a server that shows it proves that it has its key.
#[derive(Debug)]
struct Given {
    certificates: Vec<CertificateDer<'static>>,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.certificates.iter().any(|given| given == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.by_authority.verify_server_cert(end_entity, intermediates, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// Trusts one certificate, whatever its names and dates: who wrote the lock file is the server that shows it.
#[derive(Debug)]
struct Pinned {
    hash: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if blake3::hash(end_entity).to_hex().as_str() == self.hash {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
