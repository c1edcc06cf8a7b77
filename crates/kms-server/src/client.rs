//! The client of the daemon, for the command line: it waits, and knows nothing of tasks.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::header;
use hyper_util::rt::TokioIo;
use kms_api::Done;
use kms_api::Failure;
use kms_api::LoggedIn;
use kms_api::Login;
use kms_api::Method;
use kms_api::Operation;
use kms_api::StatusView;
use kms_secret::SecretBytes;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::tls;

/// Where certificates of this machine's trust are, on Debian and most others.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read into memory, in bytes.
const ANSWER_LIMIT: usize = 256 << 20;

/// Where a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// TLS.
    Https {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
}

/// A text that says no daemon's place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no server; it is https://HOST:PORT or unix:PATH")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let refuse = || InvalidAddress(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(refuse()) } else { Ok(Self::Unix(path.into())) };
        }
        let rest = text.strip_prefix("https://").ok_or_else(refuse)?.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| refuse())?)
            }
            _ => (rest, 8443),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(refuse());
        }
        Ok(Self::Https { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Https { host, port } => write!(f, "https://{host}:{port}"),
        }
    }
}

/// Whom to trust, and what to show, over TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whose certificates are trusted, PEM; this machine's if absent.
    pub ca: Option<PathBuf>,
    /// A certificate to show, and its key, PEM.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Why something did not come of asking a daemon.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It said no.
    #[error("{}", .0.detail)]
    Failed(Failure),
    /// There is none.
    #[error("{address}: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke off, or what came back is no answer.
    #[error("{0}")]
    Broken(String),
    /// What was read could not be written on.
    #[error("{0}")]
    Output(io::Error),
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A connection to a daemon.
pub struct Client {
    runtime: Runtime,
    address: Address,
    trust: Trust,
    agent: String,
    session: Option<SecretBytes>,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects. `agent` is what it calls itself.
    ///
    /// # Errors
    /// When nobody listens there, or it is not who it should be.
    pub fn connect(address: &Address, trust: &Trust, agent: &str) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| ClientError::Broken(e.to_string()))?;
        let (address, trust) = (address.clone(), trust.clone());
        let mut client =
            Self { runtime, address, trust, agent: agent.to_owned(), session: None, open: None };
        client.open = Some(client.reach()?);
        Ok(client)
    }

    /// Shows this session from now on.
    pub fn with_session(&mut self, session: SecretBytes) {
        self.session = Some(session);
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Begins a session and shows it from now on.
    ///
    /// # Errors
    /// When the login is refused.
    pub fn login(&mut self, login: &Login) -> Result<LoggedIn, ClientError> {
        let body = serde_json::to_vec(login).map_err(broken)?;
        let logged_in: LoggedIn = self.json(Method::Post, "/v1/sessions", body)?;
        self.session = Some(SecretBytes::copy_from(logged_in.session.0.expose()));
        Ok(logged_in)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn logout(&mut self) -> Result<(), ClientError> {
        let _: Done = self.json(Method::Delete, "/v1/self/session", Vec::new())?;
        self.session = None;
        Ok(())
    }

    /// The state of the home; on the local socket without a session.
    ///
    /// # Errors
    /// When it is not told.
    pub fn status(&mut self) -> Result<StatusView, ClientError> {
        self.json(Method::Get, "/v1/status", Vec::new())
    }

    /// Has an operation carried out.
    ///
    /// # Errors
    /// When it was refused, went wrong, or the connection broke off.
    pub fn ask<O: Operation>(&mut self, on: &O::On, what: &O) -> Result<O::Answer, ClientError> {
        let mut path = kms_api::path::<O>(on);
        let mut body = Vec::new();
        if O::METHOD.has_body() {
            body = serde_json::to_vec(what).map_err(broken)?;
        } else {
            let query = serde_urlencoded::to_string(what).map_err(broken)?;
            if !query.is_empty() {
                path = format!("{path}?{query}");
            }
        }
        self.json(O::METHOD, &path, body)
    }

    /// Writes what a path gives to `out`, as it comes.
    ///
    /// # Errors
    /// As [`Self::ask`]; also when `out` takes no more.
    pub fn copy(&mut self, path: &str, out: &mut dyn Write) -> Result<(), ClientError> {
        let response = self.send(Method::Get, path, Vec::new())?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let bytes = self.runtime.block_on(collect(&mut body))?;
            return Err(failed(&bytes, status.as_u16()));
        }
        while let Some(frame) = self.runtime.block_on(body.frame()) {
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                out.write_all(&data).map_err(ClientError::Output)?;
            }
        }
        Ok(())
    }

    fn json<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, body)?;
        let status = response.status();
        let bytes = self.runtime.block_on(collect(&mut response.into_body()))?;
        if !status.is_success() || status.as_u16() == 202 {
            return Err(failed(&bytes, status.as_u16()));
        }
        serde_json::from_slice(&bytes).map_err(broken)
    }

    fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method.name())
            .uri(path)
            .header(header::HOST, host(&self.address))
            .header(header::USER_AGENT, &self.agent);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(session) = &self.session {
            let mut shown = b"Bearer ".to_vec();
            shown.extend_from_slice(session.expose());
            let mut value = header::HeaderValue::from_bytes(&shown).map_err(broken)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(broken)?;
        // Asked before anything is sent: a connection that has ended is no lost request.
        let mut open = match self.open.take() {
            Some(open) if self.still(&open) => open,
            Some(_) | None => self.reach()?,
        };
        let response = self.runtime.block_on(open.send_request(request)).map_err(broken)?;
        self.open = Some(open);
        Ok(response)
    }

    /// Whether a connection still stands; the other end says when it has ended it.
    fn still(&self, open: &SendRequest<Full<Bytes>>) -> bool {
        self.runtime.block_on(tokio::task::yield_now());
        !open.is_closed() && open.is_ready()
    }

    fn reach(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let unreachable =
            |source| ClientError::Unreachable { address: self.address.to_string(), source };
        self.runtime.block_on(async {
            match &self.address {
                Address::Unix(path) => {
                    open(UnixStream::connect(path).await.map_err(unreachable)?).await
                }
                Address::Https { host, port } => {
                    let connecting = TcpStream::connect((&**host, *port));
                    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
                    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
                    let stream = stream.map_err(late).and_then(|s| s).map_err(unreachable)?;
                    _ = stream.set_nodelay(true);
                    let ca = self.trust.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
                    let own = self.trust.own.as_ref().map(|(c, k)| (&**c, &**k));
                    let config =
                        tls::client(ca, own).map_err(|e| ClientError::Tls(e.to_string()))?;
                    let name = ServerName::try_from(host.clone()).map_err(broken)?;
                    let stream = TlsConnector::from(config).connect(name, stream).await;
                    open(stream.map_err(|e| ClientError::Tls(e.to_string()))?).await
                }
            }
        })
    }
}

async fn open<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn collect(body: &mut Incoming) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_LIMIT {
            return Err(ClientError::Broken("the answer is too long".to_owned()));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn failed(body: &[u8], status: u16) -> ClientError {
    match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => ClientError::Failed(failure),
        Err(_) => ClientError::Broken(format!("the answer was {status}, without a reason")),
    }
}

fn host(address: &Address) -> &str {
    match address {
        Address::Unix(_) => "localhost",
        Address::Https { host, .. } => host,
    }
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["unix:/run/kms.sock", "https://kms.example:8443", "https://10.0.0.1:443"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let six: Address = "https://[::1]:9".parse().unwrap();
        assert_eq!(six, Address::Https { host: "::1".to_owned(), port: 9 });
        for text in ["", "unix:", "http://x:1", "https://", "https://a:b", "https://a@b:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
