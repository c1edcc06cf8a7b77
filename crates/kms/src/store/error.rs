//! Why the store did not do it. All of these are faults of the machine, none a refusal by policy.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::durable::DiskError;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is not there, is there already, or is not to be trusted.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store belongs to another key.
    #[error("the store: sealed under another key")]
    WrongKey,
    /// A row is not what was put there.
    #[error("{kind} `{id}`: changed outside the product")]
    Tampered {
        /// The kind of document, or `history`, `outbox` or `meta`.
        kind: String,
        /// Its id, as the row now says.
        id: String,
    },
    /// Each row is authentic, but they are not all, too many, or some were put back as they once
    /// were.
    #[error("the store: rows were removed, added or put back outside the product")]
    Altered,
    /// The file is no database any more.
    #[error("the store: damaged: {0}")]
    Corrupt(String),
    /// A newer program wrote it.
    #[error(
        "the store: has schema {found}, this program knows schemas up to {known}: use a newer one"
    )]
    NewerSchema {
        /// The schema of the file.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// There is a document of that kind and id already.
    #[error("{kind} `{id}`: there is one already")]
    Exists {
        /// The kind of document.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// An authentic document that this program cannot read or write.
    #[error("{kind} `{id}`: {source}")]
    Unreadable {
        /// The kind of document.
        kind: String,
        /// Its id.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Another process has the store open.
    #[error("the store: in use by another process")]
    Busy,
    /// The disk is full. Nothing was changed.
    #[error("the store: no space left on the disk")]
    NoSpace,
    /// The file system is read-only. Nothing was changed.
    #[error("the store: the file system is read-only")]
    ReadOnly,
    /// The transaction was rolled back by an error in it, and more was asked of it.
    #[error("the store: the transaction was rolled back after an earlier error in it")]
    RolledBack,
    /// The disk failed at an earlier commit; only opening the store anew shows what is there.
    #[error("the store: not written any more after an earlier disk error")]
    GivenUp,
    /// Anything else.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The database's own words.
        source: rusqlite::Error,
    },
}

/// Sorts what the database says while `doing` something.
pub(crate) fn during(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error() {
        Some(error) => sort(*error, source, doing),
        None => StoreError::Database { doing, source },
    }
}

fn sort(error: ffi::Error, source: rusqlite::Error, doing: &'static str) -> StoreError {
    match (error.code, error.extended_code) {
        (ErrorCode::DiskFull, _) => StoreError::NoSpace,
        (ErrorCode::ReadOnly, _) => StoreError::ReadOnly,
        (ErrorCode::DatabaseBusy, _) => StoreError::Busy,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            StoreError::Corrupt(source.to_string())
        }
        // A flipped byte in the text of the schema.
        (ErrorCode::Unknown, ffi::SQLITE_ERROR) => StoreError::Corrupt(source.to_string()),
        (_, ffi::SQLITE_CANTOPEN_SYMLINK) => StoreError::Corrupt(source.to_string()),
        (_, _) => StoreError::Database { doing, source },
    }
}
