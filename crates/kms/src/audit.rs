//! The audit log: what was done is on the disk, linked and signed, before its result leaves.
//!
//! ```text
//! Draft ─encode─▶ Encoded ─place─▶ number, link ─batch─▶ write, fdatasync ─▶ Pending::wait
//!        (no lock)         (one lock)            (one thread)        └─▶ tree ─▶ checkpoint
//! ```
//!
//! Three things hold the log together. Every line carries the hash of the line before it. The same
//! lines are the leaves of one Merkle tree (RFC 6962) whose size and root a key used for nothing
//! else signs ([C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint)). And the newest size and
//! root are kept elsewhere too ([`AuditLogger::anchor`]), so that cutting and rewriting show.
//!
//! What it decides: which bytes are a record, their order, when they are durable, whether files are
//! what was written. What it never does: hold key material, let a result go before its record,
//! write after an error of the disk, change or delete a line.
//!
//! Beside whoever owns the machine, and so the audit key, only a head kept elsewhere convinces.

mod event;
mod line;
mod fault;
mod draft;
mod tree;
mod config;
mod files;
mod growth;
mod checkpoint;
#[doc(hidden)]
pub mod group;
mod ledger;
mod notary;
mod segment;
mod recover;
mod release;
mod verify;
mod query;
mod report;
mod export;
mod logger;
#[cfg(test)]
mod tests;

pub use checkpoint::AuditKey;
pub use config::AuditLogConfig;
pub use config::MIN_FILE_BYTES;
pub use draft::BODY_BYTES;
pub use draft::DETAILS;
pub use draft::Detail;
pub use draft::Draft;
pub use draft::Encoded;
pub use draft::LONG_TEXT_BYTES;
pub use draft::RecordId;
pub use draft::SHORT_TEXT_BYTES;
pub use event::Cause;
pub use event::EventType;
pub use event::Phase;
pub use event::UnknownWord;
pub use export::ExportError;
pub use export::ExportFormat;
pub use export::UnknownFormat;
pub use fault::AuditFault;
pub use line::AuditEvent;
pub use line::Hash;
pub use logger::AuditLogger;
pub use logger::OpenAudit;
pub use logger::Opened;
pub use query::AuditFiles;
pub use query::Query;
pub use recover::Torn;
pub use release::Pending;
pub use release::Unreleased;
pub use report::AuditReport;
pub use tree::Head;
pub use tree::InvalidHead;
pub use verify::Verification;
pub use verify::VerifyOptions;
pub use verify::Violation;
pub use verify::ViolationKind;
pub use verify::verify_files;
