//! How the daemon is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where it listens, and within which limits.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The socket for this machine; mode 0600.
    pub unix: Option<PathBuf>,
    /// The address for others.
    pub tls: Option<TlsSettings>,
    /// What everyone has to keep to.
    pub limits: Limits,
}

/// TLS 1.3 on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The address.
    pub listen: SocketAddr,
    /// The server's certificate and those above it, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Whose certificates clients may show, PEM; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What everyone has to keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; one more and the longest idle one goes.
    pub connections: usize,
    /// Bytes of a body from whoever has a session.
    pub body_bytes: usize,
    /// Bytes of a body from anyone else.
    pub unknown_body_bytes: usize,
    /// Bytes of all larger bodies at a time.
    pub bodies_bytes: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// How long a connection may take for a request's headers, and be idle between two.
    pub header_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long a request may wait for its turn.
    pub turn_timeout: Duration,
    /// Requests that wait for their turn or are carried out on a thread.
    pub waiting: usize,
    /// Requests per second from one address; none on the local socket.
    pub requests_per_s: u32,
    /// Logins per minute from one address.
    pub logins_per_min: u32,
    /// What one principal may spend per second, in signatures of Ed25519.
    pub units_per_s: u32,
    /// How long a stop waits for what was begun.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            body_bytes: 24 << 20, // a message of 16 MiB as base64
            unknown_body_bytes: 64 << 10,
            bodies_bytes: 192 << 20,
            header_bytes: 16 << 10,
            header_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            turn_timeout: Duration::from_secs(5),
            waiting: 512,
            requests_per_s: 20_000,
            logins_per_min: 30,
            units_per_s: 50_000,
            stop_timeout: Duration::from_secs(10),
        }
    }
}
