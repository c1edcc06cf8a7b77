//! Which path leads where: every operation of the catalogue, and what stands beside them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use axum::routing::MethodFilter;
use axum::routing::get;
use axum::routing::on;
use axum::routing::post;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use kms_api::Method;
use kms_api::Operation;
use kms_api::ShowStatus;
use kms_api::Uses;
use kms_api::Visitor;
use kms_api::every;

use crate::app::App;
use crate::exchange;
use crate::exchange::Exchange;
use crate::export;
use crate::failures;
use crate::health;
use crate::sessions;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut routes = Routes(Router::new());
    every(&mut routes);
    routes
        .0
        .route("/v1/sessions", post(sessions::login))
        .route("/v1/self/session", axum::routing::delete(sessions::logout))
        .route(ShowStatus::ROUTE, get(sessions::status))
        .route("/v1/audit/export", get(export::export))
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/v1/sys/health", get(health::sys_health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .fallback(nowhere)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

struct Routes(Router<Arc<App>>);

impl Routes {
    fn add(&mut self, route: &str, handler: axum::routing::MethodRouter<Arc<App>>) {
        self.0 = std::mem::take(&mut self.0).route(route, handler);
    }
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Delete => MethodFilter::DELETE,
    }
}

impl Visitor for Routes {
    fn operation<O: Operation>(&mut self) {
        if O::ROUTE != ShowStatus::ROUTE {
            self.add(O::ROUTE, on(filter(O::METHOD), exchange::operation::<O>));
        }
    }

    fn uses<O: Uses>(&mut self) {
        self.add(O::ROUTE, on(filter(O::METHOD), exchange::uses::<O>));
    }
}

async fn nowhere(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    let admitted = exchange.app.admit(&exchange.peer);
    exchange.answer("none", admitted.and(Err(failures::no_route())))
}

async fn no_method(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    let admitted = exchange.app.admit(&exchange.peer);
    exchange.answer("none", admitted.and(Err(failures::no_method())))
}

/// `GET /openapi.json`.
async fn openapi() -> Response {
    static DOCUMENT: std::sync::LazyLock<bytes::Bytes> = std::sync::LazyLock::new(|| {
        serde_json::to_vec_pretty(&kms_api::document()).unwrap_or_default().into()
    });
    plain(DOCUMENT.clone(), "application/json")
}

/// `GET /metrics`: for this machine, and for who shows a certificate.
async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    let peer = exchange.peer;
    let trusted = peer.address.is_none_or(|address| address.to_canonical().is_loopback())
        || peer.certificate.is_some();
    if !trusted {
        let failure = kms_api::Failure::new(
            kms_api::Kind::NotPermitted,
            "metrics_not_here",
            "metrics are told to this machine and to holders of a client certificate",
        );
        return exchange.answer("metrics", Err(failure));
    }
    let app = Arc::clone(&exchange.app);
    let text = tokio::task::spawn_blocking(move || {
        let busy = app.ordinary.busy() + app.heavy.busy();
        app.metrics.text(&app.kms, app.connections.count(), busy)
    });
    plain(text.await.unwrap_or_default().into(), "text/plain; version=0.0.4")
}

fn plain(body: bytes::Bytes, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
