//! The opponent of `http-sign`: a handler that does nothing but sign with the fastest library and
//! group-commit a record of equal size, behind the same axum, the same hyper and the same TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::sign::Bare;
use crate::shell::Outcome;

/// The opponent, listening.
pub(super) struct BareServer {
    pub(super) address: SocketAddr,
    _runtime: Runtime,
}

impl BareServer {
    /// Starts it.
    pub(super) fn start(bare: Arc<Bare>, (certificate, key): (&Path, &Path)) -> Outcome<Self> {
        let runtime = Runtime::new().map_err(text)?;
        let acceptor = TlsAcceptor::from(tls(certificate, key)?);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let router = Router::new().route("/sign", post(sign)).with_state(bare);
        runtime.spawn(accept(listener, acceptor, router));
        Ok(Self { address, _runtime: runtime })
    }
}

fn tls(certificate: &Path, key: &Path) -> Outcome<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(text)?
        .with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_file(certificate).map_err(text)?];
    let key = PrivateKeyDer::from_pem_file(key).map_err(text)?;
    builder.with_single_cert(chain, key).map(Arc::new).map_err(text)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                router.clone().call(request.map(Body::new))
            });
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[derive(Deserialize)]
struct Asked {
    message: String,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
}

async fn sign(State(bare): State<Arc<Bare>>, request: Request) -> Response {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else { return Response::default() };
    let message = STANDARD.decode(asked.message).unwrap_or_default();
    let (signature, receipt) = bare.sign_and_submit(&message);
    if receipt.await.is_err() {
        return Response::default();
    }
    let signed = Signed { signature: STANDARD.encode(signature) };
    Response::new(Body::from(serde_json::to_vec(&signed).unwrap_or_default()))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
