//! Why the log did not do what it was asked.

use std::path::PathBuf;
use std::sync::Arc;

use crate::durable::DiskError;

/// A fault of the log: the machine's, never a policy's. Whoever gets one must not release what the
/// record was about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditFault {
    /// The disk is full. Nothing was written and no number given out; it works again by itself
    /// when there is room.
    #[error("no space left for the audit log; free space on its disk, nothing else is needed")]
    NoSpace,
    /// A write or a sync went wrong earlier, so what the disk holds is not known. Final for this
    /// process.
    #[error("the audit log cannot be written by this process any more: {0}; restart it")]
    Poisoned(Arc<str>),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The log is not what was written.
    #[error(
        "the audit log is damaged: {0}; look with `audit verify`, restore it or open read-only"
    )]
    Integrity(String),
    /// The audit key is not the one that the log was begun with.
    #[error("the audit key is {got}, expected {expected}")]
    WrongKey {
        /// The verifier the log was begun with.
        expected: String,
        /// The verifier of the key given.
        got: String,
    },
    /// The file of the audit key could not be read or used.
    #[error("audit key {}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A setting that cannot be taken.
    #[error("{0}")]
    Setting(String),
    /// A file of the log could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<DiskError>,
    },
    /// Bytes that are no content of a record.
    #[error("stored bytes are no audit record")]
    NotARecord,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// A thread could not be started.
    #[error("a thread of the audit log did not start: {0}")]
    Thread(Arc<str>),
}

impl AuditFault {
    /// A fault of the disk at `path`; a full disk is [`AuditFault::NoSpace`].
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(DiskError) -> Self {
        let path = path.into();
        |source| match source {
            DiskError::NoSpace => Self::NoSpace,
            other => Self::File { path, source: Arc::new(other) },
        }
    }
}
