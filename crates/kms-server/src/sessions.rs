//! Beginning and ending sessions.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use kms::access::Attestation;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::Login as Shown;
use kms_api::Failure;
use kms_api::LoggedIn;
use kms_api::Login;
use kms_api::Secret;
use kms_secret::SecretBytes;

use crate::app::App;
use crate::exchange::Done;
use crate::exchange::Exchange;
use crate::exchange::parse_json;
use crate::failures;

/// `POST /v1/sessions`.
pub(crate) async fn login(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, body) = Exchange::begin(app, request).await;
    let exchange = exchange.of_secrets();
    let outcome = begin(&exchange, body).await;
    exchange.answer("sessions.begin", outcome)
}

async fn begin(exchange: &Exchange, body: axum::body::Body) -> Result<Done, Failure> {
    let app = &exchange.app;
    app.admit(&exchange.peer)?;
    app.admit_login(&exchange.peer)?;
    let sent = exchange.receive(body, false).await?;
    let _busy = exchange.busy();
    let login: Login = parse_json(sent.bytes())?;
    drop(sent);
    let (kms, id, client) = (Arc::clone(&app.kms), exchange.id.clone(), exchange.client());
    let shown = exchange.peer.attestations();
    let work = move || carry_out(&kms, &id, (login, client, &shown));
    let logged_in = app.logins.run(exchange.peer.address, work).await??;
    Done::of(&logged_in)
}

fn carry_out(
    kms: &kms::manager::KeyManager,
    id: &str,
    (login, client, attested): (Login, Client, &[Attestation]),
) -> Result<LoggedIn, Failure> {
    let Login { principal, passphrase, mfa_code, any_agent } = login;
    let principal = principal.or_else(|| kms.default_principal()).ok_or_else(|| {
        Failure::usage("no principal is named, and there is more than one administrator")
            .fix("name one: \"principal\"")
    })?;
    let code = mfa_code.as_ref().map(|code| std::str::from_utf8(code.0.expose()));
    let code = code.transpose().map_err(|_| Failure::usage("the code is no text"))?;
    let client = if any_agent { client.of_any_agent() } else { client };
    let caller = match &passphrase {
        None => kms.login_attested((&principal, attested), client, Some(id))?,
        Some(Secret(passphrase)) => {
            let shown = Shown { principal: &principal, passphrase, mfa_code: code, client };
            kms.login_within(shown, Some(id))?
        }
    };
    let expires_at = caller.expires_at().unwrap_or_else(|| kms.present());
    let session = Secret(SecretBytes::copy_from(caller.token().expose()));
    Ok(LoggedIn { session, expires_at, principal })
}

/// `DELETE /v1/self/session`.
pub(crate) async fn logout(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    let outcome = end(&exchange).await;
    exchange.answer("self.logout", outcome)
}

async fn end(exchange: &Exchange) -> Result<Done, Failure> {
    exchange.app.admit(&exchange.peer)?;
    let (caller, principal) = exchange.caller()?;
    let Some(principal) = principal else { return Err(exchange.refuse(&caller)) };
    let kms = Arc::clone(&exchange.app.kms);
    let work = move |caller: Caller| kms.logout(caller);
    exchange.app.ordinary.run(principal, move || work(caller)).await??;
    Done::of(&kms_api::Done {})
}

/// `GET /v1/status` on the local socket: no session is needed there, as none is for the command.
pub(crate) async fn status(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    let outcome = show(&exchange).await;
    exchange.answer("status", outcome)
}

async fn show(exchange: &Exchange) -> Result<Done, Failure> {
    exchange.app.admit(&exchange.peer)?;
    if !exchange.peer.is_local() {
        let (caller, principal) = exchange.caller()?;
        if principal.is_none() {
            return Err(exchange.refuse(&caller));
        }
    }
    let kms = Arc::clone(&exchange.app.kms);
    let status = tokio::task::spawn_blocking(move || kms.status()).await;
    Done::of(&kms_api::StatusView::from(status.map_err(|_| failures::broken())?))
}
