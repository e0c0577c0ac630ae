//! TLS: the certificate and its key from two PEM files, read again when asked.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graphmill_core::Timestamp;
use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, Result};

/// A certificate with its key, for HTTP/1.1 and HTTP/2.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    fingerprint: String,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`Error::Tls`]: one is missing, unreadable or no PEM, they do not belong together, or the certificate is not valid `now`. Names the file.
    pub fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self> {
        let loaded = RwLock::new(read(certificate, key, now)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), loaded })
    }

    /// Reads the files again; new connections get what they hold now.
    ///
    /// # Errors
    /// As of [`Tls::load`]; then what was read before stays.
    pub fn reload(&self, now: Timestamp) -> Result<()> {
        *self.loaded.write() = read(&self.certificate, &self.key, now)?;
        Ok(())
    }

    /// BLAKE3 hash of the server's own certificate, in hexadecimal digits: by it a client on this machine knows the server without an authority.
    pub fn fingerprint(&self) -> String {
        self.loaded.read().fingerprint.clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.loaded.read().config.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path, now: Timestamp) -> Result<Loaded> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| unreadable("certificate", certificate, e))?;
    let leaf = chain.first().ok_or_else(|| {
        let shown = certificate.display();
        Error::Tls(format!("the file {shown} holds no certificate; it must have a block BEGIN CERTIFICATE (PEM)"))
    })?;
    check_dates(leaf, certificate, now)?;
    let fingerprint = blake3::hash(leaf).to_hex().to_string();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable("key", key, e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| unusable(certificate, key, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), fingerprint })
}

fn unreadable(what: &str, path: &Path, e: impl Display) -> Error {
    Error::Tls(format!(
        "the TLS {what} {} cannot be read ({e}); it must be a PEM file that this user may read",
        path.display()
    ))
}

fn unusable(certificate: &Path, key: &Path, e: &rustls::Error) -> Error {
    let (certificate, key) = (certificate.display(), key.display());
    Error::Tls(match e {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!(
                "the TLS key {key} does not belong to the certificate {certificate}; give the pair that was made together"
            )
        }
        e => format!("the TLS certificate {certificate} with the key {key} cannot be used: {e}"),
    })
}

fn check_dates(leaf: &CertificateDer<'_>, path: &Path, now: Timestamp) -> Result<()> {
    let shown = path.display();
    let parsed = X509Certificate::from_der(leaf)
        .map_err(|e| Error::Tls(format!("the TLS certificate {shown} is no X.509 certificate: {e}")))?;
    let validity = parsed.1.validity();
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
    let (from, until) = (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()));
    if now > until {
        return Err(Error::Tls(format!("the TLS certificate {shown} expired at {until}; renew it")));
    }
    if now < from {
        return Err(Error::Tls(format!(
            "the TLS certificate {shown} is valid only from {from} on; wait, or set the clock of this machine"
        )));
    }
    Ok(())
}
