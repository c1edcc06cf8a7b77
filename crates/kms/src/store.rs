//! Everything persistent that is not a key file and not the audit log: one embedded database.
//!
//! Decides how documents are kept, and that they are what was put there. Never decides what they
//! mean. Every SQL statement of the product stands in this folder; values go in and come out.
//!
//! Three things are promised:
//!
//! - **Durable.** A transaction that returned `Ok` is on the disk (write-ahead log, `fsync` at every
//!   commit); one that did not left nothing.
//! - **Authentic.** Each row carries a tag, HMAC-SHA-256 under a key derived from the store key over
//!   everything in the row, looked at on every read: a row edited, exchanged or renamed outside is
//!   refused by name. All rows together are sealed by one more tag, looked at on opening: a row
//!   removed, added, or put back as it once was is noticed too. Putting back the whole file as it
//!   once was is not noticed here, but by the audit log, which is longer then.
//! - **Alone.** One connection, one writer, and the file locked against every other process.

mod error;
mod header;
mod rows;
mod seal;
mod sql;
mod transaction;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use kms_secret::SecretBytes;
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::durable::Disk;
use crate::durable::DiskError;
use crate::durable::OsDisk;
use crate::key::KeyId;
use crate::key::ManagedKey;
use crate::key::Move;
use crate::store::error::during;
use crate::store::rows::Table;
use crate::store::seal::Seal;
use crate::store::seal::Sum;

pub use error::StoreError;
pub use transaction::Transaction;

/// A value that is kept as one JSON document.
pub trait Document: Serialize + DeserializeOwned {
    /// What kind of document it is: a short word, the same for ever.
    const KIND: &'static str;

    /// Names it among its kind. The name never changes: a document of another name is another one.
    fn document_id(&self) -> String;
}

impl Document for ManagedKey {
    const KIND: &'static str = "key";

    fn document_id(&self) -> String {
        self.id.to_string()
    }
}

/// An audit record that was committed together with the change it tells of, and is not yet known
/// to stand in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in the queue; later ones have greater numbers.
    pub position: i64,
    /// Names the record, so that it is appended once.
    pub rid: String,
    /// How many records the audit log had when this one was committed: it is not before there.
    pub log_size: u64,
    /// The exact bytes to append.
    pub body: Vec<u8>,
}

/// The store of one home. `Sync`: calls wait for each other.
pub struct Store {
    path: PathBuf,
    inner: Mutex<Inner>,
    /// A commit's sync failed, so nobody knows what is on the disk. Written under `inner` only.
    given_up: AtomicBool,
}

struct Inner {
    connection: Connection,
    seal: Seal,
    /// The schema's version, which the seal covers.
    schema: i64,
    /// All rows, as the last commit left them.
    sum: Sum,
    /// The next outgoing record's place.
    next_position: i64,
    /// The places of the outgoing records that are not known to be in the log.
    waiting: BTreeSet<i64>,
    /// Outgoing records up to here are in the log; the next transaction removes them.
    cleared_to: i64,
}

impl Store {
    /// Makes a new, empty store at `path`, mode 0600, under a `key` of 32 bytes, and opens it.
    ///
    /// It is built under the name `<path>.new` and renamed when it is whole: a crash leaves no
    /// store or an empty one, and the same call begins anew.
    ///
    /// # Errors
    /// [`DiskError::Exists`] if there is a file at `path`.
    pub fn create(path: &Path, key: &SecretBytes) -> Result<Self, StoreError> {
        Self::create_with(path, key, sql::MIGRATIONS)
    }

    /// Opens the store at `path` and checks every row of it.
    ///
    /// After a crash the file's structure is checked as well.
    ///
    /// # Errors
    /// [`StoreError::Disk`] if the file is not there or not to be trusted (a symbolic link, another
    /// owner, open to others); [`StoreError::WrongKey`]; [`StoreError::Tampered`] and
    /// [`StoreError::Altered`] if it was changed outside; [`StoreError::NewerSchema`] if a newer
    /// program wrote it; [`StoreError::Busy`] if another process has it open.
    pub fn open(path: &Path, key: &SecretBytes) -> Result<Self, StoreError> {
        Self::open_with(path, key, sql::MIGRATIONS)
    }

    /// Hands every document of a kind to `take`, ordered by id, one at a time. `take` must not call
    /// the store.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] names the document that is not what was put there;
    /// [`StoreError::Unreadable`] one that another program put there. What was handed out before
    /// is authentic.
    pub fn for_each<D: Document>(&self, mut take: impl FnMut(D)) -> Result<(), StoreError> {
        let inner = self.inner();
        rows::each(
            &inner.connection,
            &inner.seal,
            (Table::Document, sql::KIND),
            &[&D::KIND],
            |row| {
                take(row.document()?);
                Ok(())
            },
        )
    }

    /// Every document of a kind, ordered by id.
    ///
    /// # Errors
    /// As [`Store::for_each`].
    pub fn read_all<D: Document>(&self) -> Result<Vec<D>, StoreError> {
        let mut all = Vec::new();
        self.for_each(|document| all.push(document))?;
        Ok(all)
    }

    /// At most `limit` documents of a kind whose ids come after `after`, ordered by id. What it
    /// costs does not depend on how many there are.
    ///
    /// # Errors
    /// As [`Store::for_each`].
    pub fn page<D: Document>(&self, after: &str, limit: u32) -> Result<Vec<D>, StoreError> {
        let (inner, mut page) = (self.inner(), Vec::new());
        rows::each(
            &inner.connection,
            &inner.seal,
            (Table::Document, sql::PAGE),
            &[&D::KIND, &after, &limit],
            |row| {
                page.push(row.document()?);
                Ok(())
            },
        )?;
        Ok(page)
    }

    /// The document of that kind and id.
    ///
    /// # Errors
    /// As [`Store::for_each`].
    pub fn read<D: Document>(&self, id: &str) -> Result<Option<D>, StoreError> {
        let inner = self.inner();
        rows::document(&inner.connection, &inner.seal, id)
    }

    /// What happened to a key, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if a step is not what was put there, or one is missing.
    pub fn history(&self, key: KeyId) -> Result<Vec<Move>, StoreError> {
        let inner = self.inner();
        rows::history(&inner.connection, &inner.seal, key)
    }

    /// A small value.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if it is not what was put there.
    pub fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let inner = self.inner();
        rows::meta(&inner.connection, &inner.seal, name)
    }

    /// The audit records that were committed and not yet cleared, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if one is not what was put there.
    pub fn pending_outbox(&self) -> Result<Vec<Outgoing>, StoreError> {
        let inner = self.inner();
        let mut pending = rows::outbox(&inner.connection, &inner.seal)?;
        pending.retain(|outgoing| inner.waiting.contains(&outgoing.position));
        Ok(pending)
    }

    /// Says that the outgoing record at `position` is durable in the audit log; says nothing of
    /// those before it, whose callers may be slower. It is removed with a later transaction, or by
    /// [`Store::close`]; a crash before that leaves it pending, so whoever appends it again looks
    /// for its `rid` first.
    pub fn clear_outbox(&self, position: i64) {
        let mut inner = self.inner();
        inner.waiting.remove(&position);
        let first_waiting = inner.waiting.first().copied();
        inner.cleared_to = first_waiting.unwrap_or(inner.next_position).saturating_sub(1);
    }

    /// Carries out `change` as one transaction: all of it is durable when this returns `Ok`, and
    /// none of it happened when `change` or the commit fails. `name` says in errors what was being
    /// done. `change` must not call the store but through the transaction.
    ///
    /// `BEGIN IMMEDIATE`, the changes, the new seal, `COMMIT` (one `fsync` of the write-ahead log).
    ///
    /// # Errors
    /// What `change` returns; [`StoreError::NoSpace`] and [`StoreError::ReadOnly`] leave all as it
    /// was. If the disk fails at the commit, nobody knows whether it happened, and the store
    /// refuses every later transaction with [`StoreError::GivenUp`]: opening it anew shows.
    pub fn transact<R, E: From<StoreError>>(
        &self,
        name: &'static str,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.inner().transact(&self.given_up, name, change)
    }

    /// Refuses where a commit's sync failed: what stops a key could not be written down either, so
    /// nothing is to be done with one. Waits for nobody.
    ///
    /// # Errors
    /// [`StoreError::GivenUp`].
    pub fn check_not_given_up(&self) -> Result<(), StoreError> {
        check_not_given_up(&self.given_up)
    }

    /// Removes the outgoing records that are in the log, folds the write-ahead log into the file
    /// and closes it.
    ///
    /// # Errors
    /// As [`Store::transact`]. What was committed is durable all the same.
    pub fn close(self) -> Result<(), StoreError> {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        if inner.cleared_to > 0 && check_not_given_up(&self.given_up).is_ok() {
            inner.transact(&self.given_up, "closing the store", |_| Ok::<_, StoreError>(()))?;
        }
        inner.connection.close().map_err(|(_, e)| during("closing the store")(e))
    }

    fn create_with(
        path: &Path,
        key: &SecretBytes,
        migrations: &[&str],
    ) -> Result<Self, StoreError> {
        match durable::check_file(path) {
            Err(DiskError::NotFound) => {}
            Ok(()) => return Err(DiskError::Exists.into()),
            Err(e) => return Err(e.into()),
        }
        let new = beside(path, ".new");
        for leftover in ["", "-journal", "-wal", "-shm"] {
            match OsDisk.remove(&beside(&new, leftover)) {
                Ok(()) | Err(DiskError::NotFound) => {}
                Err(e) => return Err(e.into()),
            }
        }
        OsDisk.create(&new, b"")?;
        header::build(&new, &Seal::new(key)?, migrations)?;
        OsDisk.rename(&new, path)?;
        Self::open_with(path, key, migrations)
    }

    fn open_with(path: &Path, key: &SecretBytes, migrations: &[&str]) -> Result<Self, StoreError> {
        let crashed = check_files(path)?;
        let seal = Seal::new(key)?;
        let mut connection = sql::connect(path)?;
        if crashed {
            sql::quick_check(&connection)?;
        }
        let found = header::read(&connection, &seal, migrations.len())?;
        let (sum, waiting) = rows::check_all(&connection, &seal)?;
        found.check(&seal, &sum)?;
        let schema = header::migrate(&mut connection, &seal, (found.schema, &sum), migrations)?;
        let next_position = waiting.last().copied().unwrap_or(0).saturating_add(1);
        let inner = Inner { connection, seal, schema, sum, next_position, waiting, cleared_to: 0 };
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(inner),
            given_up: AtomicBool::new(false),
        })
    }

    /// A panic in a `change` rolled its transaction back and touched nothing else, so the store
    /// behind a poisoned lock is whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn transact<R, E: From<StoreError>>(
        &mut self,
        given_up: &AtomicBool,
        name: &'static str,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        check_not_given_up(given_up)?;
        let mut transaction = Transaction::begin(self, name)?;
        let result = change(&mut transaction)?;
        transaction.reseal()?;
        match transaction.commit() {
            Ok((sum, next_position)) => {
                self.waiting.extend(self.next_position..next_position);
                (self.sum, self.next_position, self.cleared_to) = (sum, next_position, 0);
                Ok(result)
            }
            Err(e) => {
                // A full disk refuses before the record of the commit is written.
                let harmless = matches!(e, StoreError::NoSpace | StoreError::ReadOnly);
                given_up.store(!harmless, Ordering::Relaxed);
                Err(e.into())
            }
        }
    }
}

#[cfg(test)]
impl Store {
    /// As after a commit whose sync failed, for tests of what comes of that.
    pub(crate) fn give_up_for_test(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.path.display())
    }
}

fn check_not_given_up(given_up: &AtomicBool) -> Result<(), StoreError> {
    if given_up.load(Ordering::Relaxed) { Err(StoreError::GivenUp) } else { Ok(()) }
}

/// Checks the file and those the database keeps beside it. Says whether it was closed by a crash:
/// a clean close leaves no write-ahead log.
fn check_files(path: &Path) -> Result<bool, StoreError> {
    durable::check_file(path)?;
    let mut crashed = false;
    for beside_it in ["-wal", "-journal", "-shm"] {
        match durable::check_file(&beside(path, beside_it)) {
            Ok(()) => crashed = true,
            Err(DiskError::NotFound) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(crashed)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
