//! Whether the daemon lives, and whether it can sign. Needs no session; tells nothing of keys.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde::Serialize;

use crate::app::App;

/// Whether it can sign, and what keeps it from that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it can.
    pub ready: bool,
    /// Whether keys can be used: someone has unlocked.
    pub unlocked: bool,
    /// Whether records can be written.
    pub audit_writable: bool,
    /// Whether changes can be stored.
    pub store_writable: bool,
    /// Whether the clock is believed.
    pub clock_sane: bool,
}

impl Health {
    /// Looks.
    pub(crate) fn of(app: &App) -> Self {
        let (unlocked, audit_writable) = (!app.kms.is_sealed(), app.kms.audit_is_writable());
        let (store_writable, clock_sane) = (app.kms.store_is_writable(), app.clock_is_sane());
        let ready = unlocked && audit_writable && store_writable && clock_sane;
        Self { ready, unlocked, audit_writable, store_writable, clock_sane }
    }
}

/// `GET /live`: the process answers.
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "live": true }))
}

/// `GET /ready`: it can sign.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let health = look(app).await;
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &health)
}

/// `GET /v1/sys/health`, as load balancers know it from Vault: 200 active, 503 sealed; with
/// `?sealedcode=N` that code instead.
pub(crate) async fn sys_health(State(app): State<Arc<App>>, request: Request) -> Response {
    let health = look(app).await;
    let query = request.uri().query().unwrap_or_default();
    let asked: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let code = |name: &str, otherwise: StatusCode| {
        let given = asked.iter().find(|(asked, _)| asked == name);
        let code = given.and_then(|(_, code)| code.parse().ok());
        code.and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|code| code.as_u16() >= 200)
            .unwrap_or(otherwise)
    };
    let status = match (health.unlocked, health.ready) {
        (false, _) => code("sealedcode", StatusCode::SERVICE_UNAVAILABLE),
        (true, true) => code("activecode", StatusCode::OK),
        (true, false) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = serde_json::json!({
        "initialized": true,
        "sealed": !health.unlocked,
        "standby": false,
        "version": env!("CARGO_PKG_VERSION"),
    });
    json(status, &body)
}

async fn look(app: Arc<App>) -> Health {
    let looked = tokio::task::spawn_blocking(move || Health::of(&app)).await;
    looked.unwrap_or(Health {
        ready: false,
        unlocked: false,
        audit_writable: false,
        store_writable: false,
        clock_sane: false,
    })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
