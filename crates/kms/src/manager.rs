//! KeyManager: one method per operation, each the whole way from top to bottom.
//!
//! The only module that composes stages. It owns the home: its lock, its log, its store, its keys.
//! The specification's managers are its faces, always for a caller: [`KeyManager`] itself,
//! [`KeyLifecycleManager`], [`AccessManager`], [`MultiSigManager`], [`AuditManager`].

mod error;
mod answer;
mod options;
mod table;
mod orders;
mod way;
mod flood;
mod approvals;
mod home;
mod rotation;
mod keys;
mod signing;
mod consensus;
mod moves;
mod tokens;
mod policies;
mod people;
mod agreed;
mod multisig;
mod rules;
mod log;
mod session;
mod open;
mod recovery;
mod status;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::access::AccessController;
use crate::audit::AuditLogger;
use crate::audit::Head;
use crate::audit::RecordId;
use crate::consensus::Floors;
use crate::durable::HomeLock;
use crate::key::KeyId;
use crate::key::StorageName;
use crate::lifecycle::Policies;
use crate::multisig::ApprovalRule;
use crate::multisig::Turn;
use crate::storage::FileStorage;
use crate::storage::KeyStorage;
use crate::storage::Keystore;
use crate::storage::MemoryStorage;
use crate::store::Store;
use crate::time::Timestamp;

use crate::manager::flood::Flood;
use crate::manager::home::Layout;
use crate::manager::table::KeyTable;
use crate::manager::table::Naming;

pub use agreed::Completed;
pub use agreed::Listed;
pub use agreed::OperationView;
pub use agreed::Page;
pub use approvals::Awaited;
pub use consensus::ConsensusManager;
pub use consensus::FloorStart;
pub use consensus::FloorState;
pub use consensus::Node;
pub use consensus::Vouched;
pub use error::Error;
pub use error::ErrorKind;
pub use error::Fault;
pub use error::Refused;
pub use home::Initialized;
pub use log::AuditManager;
pub use log::KeyOperation;
pub use moves::KeyLifecycleManager;
pub use multisig::MultiSigManager;
pub use open::Notice;
pub use options::Caller;
pub use options::Client;
pub use options::Init;
pub use options::Login;
pub use options::Mfa;
pub use options::NewKey;
pub use options::NewPrincipal;
pub use options::Options;
pub use people::AccessManager;
pub use rules::NewRule;
pub use signing::MESSAGE_LIMIT;
pub use signing::Signed;
pub use signing::UseCost;
pub use status::KeyGauge;
pub use status::Status;
pub use tokens::TokenObject;

/// A home, open: the one way to its keys.
#[derive(Debug)]
pub struct KeyManager {
    layout: Layout,
    options: Options,
    development: bool,
    _lock: HomeLock,

    store: Store,
    audit: AuditLogger,
    access: AccessController,
    policies: RwLock<Arc<Policies>>,
    changing_policies: Mutex<()>,
    /// The approval rules, by name.
    rules: RwLock<Arc<Vec<ApprovalRule>>>,
    multisig: Turn,
    keys: KeyTable,
    naming: Mutex<Naming>,
    keystore: Arc<Keystore>,
    file: FileStorage,
    memory: MemoryStorage,
    floors: Floors,

    notices: Mutex<Vec<Notice>>,
    /// The head of the log that the store has.
    stored_head: Mutex<Option<Head>>,
    /// The latest moment anything was decided for, in microseconds: time never goes back here.
    high_water: AtomicI64,
    strangers: Mutex<Flood>,
    nodes: Mutex<Flood>,
    repeats: Mutex<Flood>,
    record_prefix: u64,
    record_count: AtomicU64,
}

impl KeyManager {
    /// The specification's `KeyLifecycleManager`, for `caller`.
    pub fn lifecycle<'a>(&'a self, caller: &'a Caller) -> KeyLifecycleManager<'a> {
        KeyLifecycleManager { kms: self, caller }
    }

    /// The specification's `AccessController`, for `caller`.
    pub fn access<'a>(&'a self, caller: &'a Caller) -> AccessManager<'a> {
        AccessManager { kms: self, caller }
    }

    /// The specification's `MultiSigManager`, for `caller`.
    pub fn multisig<'a>(&'a self, caller: &'a Caller) -> MultiSigManager<'a> {
        MultiSigManager { kms: self, caller }
    }

    /// The specification's `AuditLogger`, for `caller`.
    pub fn audit<'a>(&'a self, caller: &'a Caller) -> AuditManager<'a> {
        AuditManager { kms: self, caller }
    }

    /// The floors of consensus keys, for `caller`.
    pub fn consensus<'a>(&'a self, caller: &'a Caller) -> ConsensusManager<'a> {
        ConsensusManager { kms: self, caller }
    }

    /// What an operator should know about this home.
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn notice(&self, notice: Notice) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    /// The present moment, never before one that was decided for already. A clock that is suddenly
    /// far ahead is not believed: what it would expire would stay expired.
    fn now(&self) -> Result<Timestamp, Error> {
        let (now, last) = (self.options.clock.now(), self.last_moment());
        open::check_clock(&self.options, now, last)?;
        let now = now.micros();
        Ok(Timestamp::from_micros(self.high_water.fetch_max(now, Ordering::Relaxed).max(now)))
    }

    /// The present moment, as decisions see it; where the clock is not believed, the last one that was.
    pub fn present(&self) -> Timestamp {
        self.now().unwrap_or_else(|_| self.last_moment())
    }

    /// The latest moment anything was decided for.
    fn last_moment(&self) -> Timestamp {
        Timestamp::from_micros(self.high_water.load(Ordering::Relaxed))
    }

    /// A name for one record: 64 random bits of this opening of the home, and a count.
    fn next_record_id(&self) -> RecordId {
        let count = self.record_count.fetch_add(1, Ordering::Relaxed);
        let id = (u128::from(self.record_prefix) << 64) | u128::from(count);
        RecordId::from_random(id.to_be_bytes())
    }

    /// Every storage, in the order in which they are named to people.
    fn storages(&self) -> impl Iterator<Item = &dyn KeyStorage> {
        let own: [&dyn KeyStorage; 2] = [&self.file, &self.memory];
        own.into_iter().chain(self.options.storages.iter().map(|storage| &**storage))
    }

    fn next_key_id(&self) -> Result<KeyId, Error> {
        home::random_16().map(KeyId::from_random)
    }

    fn storage(&self, name: &StorageName) -> Result<&dyn KeyStorage, Error> {
        match name.as_str() {
            "file" => Ok(&self.file),
            "memory" => Ok(&self.memory),
            StorageName::OFFLINE => Err(Refused::KeptElsewhere.into()),
            other => match self.options.storages.iter().find(|storage| storage.name() == name) {
                Some(storage) => Ok(&**storage),
                None => Err(Refused::StorageNotFound(other.to_owned()).into()),
            },
        }
    }
}
