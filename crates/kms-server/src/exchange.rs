//! One request: bytes in, one operation, bytes out.
//!
//! ```text
//! id ─▶ rate of the address ─▶ name in the path ─▶ session ─▶ body ─▶ rate of the principal
//!    ─▶ carried out (here, or on a thread when it is its turn) ─▶ answer
//! ```

use std::sync::Arc;
use std::time::Instant;

use axum::RequestExt;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderMap;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use kms::access::PrincipalId;
use kms::manager::Caller;
use kms::manager::Client;
use kms_api::Desk;
use kms_api::Effect;
use kms_api::Failure;
use kms_api::Named;
use kms_api::Operation;
use kms_api::Uses;
use kms_secret::SecretBytes;

use crate::app::App;
use crate::body;
use crate::body::Reading;
use crate::body::Received;
use crate::connections::Busy;
use crate::connections::Connection;
use crate::failures;
use crate::idempotency::Turn;
use crate::peer::Peer;

/// Names the request on every answer.
pub(crate) const REQUEST_ID: &str = "x-request-id";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// A use that costs more than this is made on a thread, not here.
const QUICK_UNITS: u32 = 8;
/// A body longer than this counts against the bytes of all.
const SMALL_BODY: usize = 64 << 10;

/// A request under way.
pub(crate) struct Exchange {
    /// What every request finds.
    pub(crate) app: Arc<App>,
    /// Its name.
    pub(crate) id: String,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// What the request says before its body.
    pub(crate) parts: Parts,
    connection: Option<Arc<Connection>>,
    started: Instant,
    secret: bool,
}

/// Carries out an operation.
pub(crate) async fn operation<O: Operation>(
    State(app): State<Arc<App>>,
    request: Request,
) -> Response {
    let (mut exchange, params, body) = Exchange::begin(app, request).await;
    exchange.secret = O::EFFECT == Effect::Secret;
    let outcome = exchange.operate::<O>(&params, body).await;
    exchange.answer(O::NAME, outcome)
}

/// Uses a key; nothing waits on a thread for the record.
pub(crate) async fn uses<O: Uses>(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, params, body) = Exchange::begin(app, request).await;
    let outcome = exchange.use_key::<O>(&params, body).await;
    exchange.answer(O::NAME, outcome)
}

/// What goes back when it was done.
pub(crate) struct Done {
    body: Bytes,
    link: Option<String>,
}

impl Done {
    /// A body of JSON.
    pub(crate) fn of<T: serde::Serialize>(answer: &T) -> Result<Self, Failure> {
        let body = serde_json::to_vec(answer).map_err(|_| failures::broken())?;
        Ok(Self { body: body.into(), link: None })
    }
}

impl Exchange {
    /// Takes a request apart.
    pub(crate) async fn begin(
        app: Arc<App>,
        mut request: Request,
    ) -> (Self, Option<RawPathParams>, Body) {
        let started = Instant::now();
        let params = request.extract_parts::<RawPathParams>().await.ok();
        let id = app.ids.next();
        let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        let (parts, body) = request.into_parts();
        (Self { app, id, peer, parts, connection, started, secret: false }, params, body)
    }

    /// Keeps its connection while it is carried out. Until its body is there it may have to go for
    /// another: who sends slowly holds no place.
    pub(crate) fn busy(&self) -> Option<Busy> {
        self.connection.as_ref().map(Connection::busy)
    }

    /// Its connection ends behind the answer, and the buffers of secrets with it.
    pub(crate) fn of_secrets(mut self) -> Self {
        self.secret = true;
        self
    }

    async fn operate<O: Operation>(
        &self,
        params: &Option<RawPathParams>,
        body: Body,
    ) -> Result<Done, Failure> {
        self.app.admit(&self.peer)?;
        let on = named::<O::On>(params)?;
        let (caller, principal) = self.caller()?;
        let sent = self.sent::<O>(body, principal.is_some()).await?;
        let _busy = self.busy();
        let what: O = self.read(&sent)?;
        let Some(principal) = principal else { return Err(self.refuse(&caller)) };
        self.app.spend(principal, 1)?;
        let asked = self.idempotency::<O>(principal, &on, sent.bytes())?;
        drop(sent);
        let ticket = match asked {
            Some(Turn::Again(body)) => return Ok(Done { body, link: None }),
            Some(Turn::First(ticket)) => Some(ticket),
            None => None,
        };
        let kms = Arc::clone(&self.app.kms);
        let work = move || what.carry_out(on, &Desk { kms: &kms, caller: &caller });
        let answer = self.app.ordinary.run(principal, work).await??;
        let link = O::next(&answer).map(|next| self.link(&next));
        let done = Done::of(&answer)?;
        if let Some(ticket) = ticket {
            ticket.answered(done.body.clone());
        }
        Ok(Done { link, ..done })
    }

    async fn use_key<O: Uses>(
        &self,
        params: &Option<RawPathParams>,
        body: Body,
    ) -> Result<Done, Failure> {
        self.app.admit(&self.peer)?;
        let on = named::<O::On>(params)?;
        let (caller, principal) = self.caller()?;
        let sent = self.sent::<O>(body, principal.is_some()).await?;
        let _busy = self.busy();
        let what: O = self.read(&sent)?;
        drop(sent);
        let Some(principal) = principal else { return Err(self.refuse(&caller)) };
        let cost = self.app.kms.cost_of(&on);
        let items = u32::try_from(what.items()).unwrap_or(u32::MAX);
        let units = cost.units.saturating_mul(items);
        self.app.spend(principal, units)?;
        let kms = Arc::clone(&self.app.kms);
        let start = move || what.start(on, &Desk { kms: &kms, caller: &caller });
        let underway = match cost.here && units <= QUICK_UNITS {
            true => start(), // quicker than handing it to a thread
            false => self.app.heavy.run(principal, start).await?,
        };
        let outcome = match underway {
            Ok(underway) => underway.await,
            Err(failure) => Err(failure),
        };
        self.app.metrics.used(outcome.is_ok(), items, self.started.elapsed());
        Done::of(&outcome?)
    }

    /// Who calls, and whose session it is, if it is one that lives.
    pub(crate) fn caller(&self) -> Result<(Caller, Option<PrincipalId>), Failure> {
        let token = bearer(&self.parts.headers).ok_or_else(failures::no_session)?;
        let caller = Caller::new(token, self.client()).within(&*self.id);
        let principal = self.app.kms.holder(&caller);
        Ok((caller, principal))
    }

    /// Where the call comes from, as the library looks at it.
    pub(crate) fn client(&self) -> Client {
        let agent = self.parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        Client { source_ip: self.peer.address, user_agent: agent.chars().take(256).collect() }
    }

    /// Refuses someone without a session. Floods of these get one record with a count.
    pub(crate) fn refuse(&self, caller: &Caller) -> Failure {
        if !self.app.records_refusal() {
            return failures::no_session();
        }
        match self.app.kms.check_session(caller) {
            Err(error) => error.into(),
            Ok(()) => failures::no_session(), // it began this very moment
        }
    }

    /// The body, or the query.
    async fn sent<O: Operation>(&self, body: Body, known: bool) -> Result<Received, Failure> {
        if !O::METHOD.has_body() {
            let query = self.parts.uri.query().unwrap_or_default();
            return Ok(Received::Plain(Bytes::copy_from_slice(query.as_bytes())));
        }
        self.receive(body, known).await
    }

    /// The body, within the limit of whoever sends it.
    pub(crate) async fn receive(&self, body: Body, known: bool) -> Result<Received, Failure> {
        body::check_kind(&self.parts.headers)?;
        let limits = &self.app.limits;
        let limit = if known { limits.body_bytes } else { limits.unknown_body_bytes };
        let announced = self.parts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        // A body of unknown length takes the room of the longest.
        let expected: usize = announced.unwrap_or(limit).min(limit);
        let _room = if expected > SMALL_BODY {
            let room = u32::try_from(expected >> 10).unwrap_or(u32::MAX);
            let room = self.app.bodies.try_acquire_many(room);
            Some(room.map_err(|_| failures::overloaded())?)
        } else {
            None
        };
        let (within, secret) = (limits.body_timeout, self.secret);
        let how = Reading { limit, expected, within, secret };
        body::read(body, how).await
    }

    fn read<O: Operation>(&self, sent: &Received) -> Result<O, Failure> {
        match (O::METHOD.has_body(), sent.bytes()) {
            (true, []) => parse_json(b"{}"),
            (true, bytes) => parse_json(bytes),
            (false, query) => {
                serde_urlencoded::from_bytes(query).map_err(|e| failures::unreadable("query", &e))
            }
        }
    }

    fn idempotency<O: Operation>(
        &self,
        principal: PrincipalId,
        on: &O::On,
        body: &[u8],
    ) -> Result<Option<Turn<'_>>, Failure> {
        let Some(key) = self.parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        if O::EFFECT != Effect::Creates {
            return Ok(None);
        }
        let key = key.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
        let key =
            key.ok_or_else(|| Failure::usage("an idempotency key has 1 to 128 characters"))?;
        let mut asked = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        asked.update(O::NAME.as_bytes());
        asked.update(on.text().as_bytes());
        asked.update(body);
        let mut hash = [0; 32];
        hash.copy_from_slice(asked.finish().as_ref());
        self.app.idempotency.enter((principal, key), hash, Instant::now()).map(Some)
    }

    /// The same list, behind where this page ended.
    fn link(&self, next: &str) -> String {
        let query = self.parts.uri.query().unwrap_or_default();
        let mut pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(query).unwrap_or_default();
        pairs.retain(|(name, _)| name != "after");
        pairs.push(("after".to_owned(), next.to_owned()));
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        format!("<{}?{query}>; rel=\"next\"", self.parts.uri.path())
    }

    /// What goes back.
    pub(crate) fn answer(&self, name: &'static str, outcome: Result<Done, Failure>) -> Response {
        let (status, mut response) = match outcome {
            Ok(done) => {
                let mut response = Response::new(Body::from(done.body));
                let link = done.link.and_then(|link| HeaderValue::try_from(link).ok());
                if let Some(link) = link {
                    response.headers_mut().insert(header::LINK, link);
                }
                set(&mut response, header::CONTENT_TYPE.as_str(), "application/json");
                (200, response)
            }
            Err(failure) => (failure.status, problem(failure, &self.id)),
        };
        set(&mut response, REQUEST_ID, &self.id);
        if self.secret {
            set(&mut response, "connection", "close");
            set(&mut response, "cache-control", "no-store");
        }
        let took = self.started.elapsed();
        self.app.metrics.answered(name, status, took);
        crate::journal::request(name, status, (&self.id, self.peer.address, took));
        response
    }
}

/// A failure as a problem document (RFC 9457).
pub(crate) fn problem(mut failure: Failure, id: &str) -> Response {
    failure.request_id = Some(id.into());
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&failure).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    set(&mut response, "content-type", "application/problem+json");
    match status {
        StatusCode::UNAUTHORIZED => set(&mut response, "www-authenticate", "Bearer"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            set(&mut response, "retry-after", "1");
        }
        _ => {}
    }
    response
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Reads JSON; what is wrong is told, shortened.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|e| {
        let why: String = e.to_string().chars().take(300).collect();
        failures::unreadable("body", &why)
    })
}

fn named<N: Named>(params: &Option<RawPathParams>) -> Result<N, Failure> {
    let value = params.as_ref().and_then(|params| params.iter().next()).map(|(_, value)| value);
    N::read(value.unwrap_or_default()).map_err(|why| {
        let parameter = N::PARAMETER.unwrap_or("path");
        Failure::usage(format!("this is no {parameter}")).because(why.0)
    })
}

/// The session that is shown.
fn bearer(headers: &HeaderMap) -> Option<SecretBytes> {
    let shown = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = shown.split_at_checked(7)?;
    let fits = scheme.eq_ignore_ascii_case(b"bearer ") && token.len() <= 128;
    fits.then(|| SecretBytes::copy_from(token))
}
