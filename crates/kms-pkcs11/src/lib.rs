//! HSMs over PKCS#11: keys that never leave their token.
//!
//! ```text
//!  KeyManager ─▶ HsmStorage ─▶ HsmProvider ─▶ supervisor ═══ sockets ═══ worker ─▶ vendor's library ─▶ token
//!                (KeyStorage)   names, checks   deadlines,                a process of its own
//!                               each signature  restarts
//! ```
//!
//! A vendor's library is foreign code that may hang, crash, or hold another's handle under ours. So it
//! is loaded in a process of its own, the *worker*, which is this same program started anew; this
//! process sets the deadlines, kills it when one passes, and starts it again. What comes back is
//! believed only as far as it can be checked: every signature is verified here before it is handed
//! on.
//!
//! [`HsmProvider`] is the token with the specification's methods. [`HsmStorage`] makes it a
//! [`kms::storage::KeyStorage`], which is the only way the product uses one.
//!
//! No `unsafe` of our own: what PKCS#11 needs of it is in `cryptoki`.

mod error;
mod uri;
mod library;
mod profile;
mod config;
mod wire;
mod point;
mod worker;
mod slots;
mod ledger;
mod lane;
mod process;
mod supervisor;
mod provider;
mod storage;
mod doctor;
mod setup;

pub use config::HsmProviderConfig;
pub use config::PinSource;
pub use config::Timeouts;
pub use doctor::DoctorStep;
pub use error::HsmError;
pub use ledger::PinTrouble;
pub use process::WorkerProgram;
pub use profile::Import;
pub use profile::PROFILES;
pub use profile::Profile;
pub use profile::Tested;
pub use provider::HsmKeyHandle;
pub use provider::HsmProvider;
pub use provider::HsmStatus;
pub use setup::NewToken;
pub use slots::SlotSeen;
pub use storage::HsmStorage;
pub use uri::Pkcs11Uri;
pub use uri::UriError;
pub use worker::worker_main;
