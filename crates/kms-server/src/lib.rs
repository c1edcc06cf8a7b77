//! The daemon's connections, and the client that talks to it: the only async crate.
//!
//! ```text
//! socket ─▶ connection ─▶ [ exchange: bytes in ─▶ one kms_api operation ─▶ bytes out ]
//! unix, TLS  bounded       request id, body and rate limits, problem documents
//! ```
//!
//! Decides nothing about keys: what a caller may do, and what is on record of it, is the library's.
//! What stands here is what the network needs: limits on everything that answers before anyone has
//! shown who they are, lanes so that slow work does not hold up quick work, and a stop that lets what
//! was begun come to its end.

mod settings;
mod failures;
mod peer;
mod body;
mod tls;
mod meter;
mod lanes;
mod connections;
mod idempotency;
mod ids;
mod metrics;
mod app;
mod exchange;
mod sessions;
mod export;
mod health;
mod router;
mod serve;
mod client;
mod notify;
pub mod journal;

pub use client::Address;
pub use client::Client;
pub use client::ClientError;
pub use client::InvalidAddress;
pub use client::Trust;
pub use health::Health;
pub use serve::Server;
pub use serve::ServerError;
pub use serve::Stopper;
pub use settings::Limits;
pub use settings::Settings;
pub use settings::TlsSettings;
pub use tls::certificate_hash;
