//! TLS 1.3, and the certificates on both sides.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;

use crate::settings::TlsSettings;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file of certificates.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What does not fit together.
    #[error("{0}")]
    Together(String),
}

/// The server's side.
///
/// # Errors
/// When a file cannot be read, holds nothing of the kind, or key and certificate do not fit.
pub(crate) fn server(settings: &TlsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(together)?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(path)?);
            // Who shows none is let in, and logs in otherwise.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(together)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = (certificates(&settings.certificate)?, key(&settings.key)?);
    let mut config = builder.with_single_cert(chain, key).map_err(together)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(together)?;
    Ok(Arc::new(config))
}

/// The client's side: trusts `ca`, and shows `own` where it is given.
///
/// # Errors
/// As [`server`].
pub(crate) fn client(
    ca: &Path,
    own: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(together)?
        .with_root_certificates(roots(ca)?);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, private)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(private)?)
            .map_err(together)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The SHA-256 of the first certificate of a PEM file: what a connection that shows it attests.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn certificate_hash(path: &Path) -> Result<[u8; 32], String> {
    let certificates = certificates(path).map_err(|e| e.to_string())?;
    let certificate = certificates.first().ok_or("it holds no certificate")?;
    Ok(hash_of(certificate))
}

/// The SHA-256 of a certificate's DER.
pub(crate) fn hash_of(certificate: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| file(path, &e))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|e| file(path, &e))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| file(path, &e))?;
    if all.is_empty() {
        return Err(file(path, &"it holds no certificate"));
    }
    Ok(all)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| file(path, &e))
}

fn file(path: &Path, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: why.to_string() }
}

fn together(error: impl std::fmt::Display) -> TlsError {
    TlsError::Together(error.to_string())
}
