//! The state of a home in one value.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::key::KeyId;
use crate::key::KeyState;
use crate::lifecycle;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::store::StoreError;
use crate::time::Timestamp;

/// What `virtengine status` shows. Needs no session: no name of a key or a person stands in it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// The home.
    pub home: String,
    /// Made with `--mfa none`.
    pub development: bool,
    /// Whether no private key can be used before someone with a slot logs in.
    pub sealed: bool,
    /// How many keys there are in each state.
    pub keys: BTreeMap<&'static str, u64>,
    /// The number of records in the log.
    pub audit_size: u64,
    /// The root of the tree over them, hex.
    pub audit_root: String,
    /// The log's public key.
    pub audit_key: String,
    /// Whether the log can be written.
    pub audit_writable: bool,
    /// The moment of this.
    pub now: Timestamp,
    /// Where secrets are held: `secret`, `locked` or `plain` memory.
    pub locked_memory: String,
    /// How much of it is in use, in bytes.
    pub locked_memory_bytes: usize,
    /// What an operator should know.
    pub notices: Vec<String>,
}

/// A clock this far behind the last record is not sane, in seconds.
const BEHIND_S: u64 = 60;

/// What there is to watch of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGauge {
    /// The key.
    pub id: KeyId,
    /// Its state now.
    pub state: KeyState,
    /// When a rotation is due.
    pub rotate_by: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl KeyManager {
    /// Looks at the files of all keys that should have one, without opening them; returns how many
    /// there should be and what is wrong with which. Whether one opens shows its first use only.
    ///
    /// Needs no session, as [`Self::status`].
    pub fn examine_key_files(&self) -> (usize, Vec<Error>) {
        let slots = self.keys.all();
        let expected = slots.iter().filter_map(|slot| {
            let key = slot.read();
            let gone = matches!(key.state, KeyState::Destroyed | KeyState::Archived);
            (!gone && key.storage.as_str() == "file").then_some(key.id)
        });
        let expected: Vec<KeyId> = expected.collect();
        let found = expected.iter().filter_map(|id| self.file.examine(id).err());
        (expected.len(), found.map(Error::from).collect())
    }

    /// Whether no private key can be used before someone with a slot logs in.
    pub fn is_sealed(&self) -> bool {
        self.keystore.is_sealed()
    }

    /// Whether a record would be taken now.
    pub fn audit_is_writable(&self) -> bool {
        self.audit.fault().is_none() && self.audit.check_room().is_ok()
    }

    /// Whether a change could be stored now.
    pub fn store_is_writable(&self) -> bool {
        self.store.transact("look", |_| Ok::<(), StoreError>(())).is_ok()
    }

    /// What the machine's clock shows.
    pub fn clock_now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Whether the machine's clock is believed: not far ahead of the last record, nor behind it.
    pub fn clock_is_believed(&self) -> bool {
        let behind = self.last_moment().seconds_since(self.clock_now());
        self.now().is_ok() && behind <= BEHIND_S
    }

    /// What there is to watch of each key, by id; of at most `most` keys, and of none where there are
    /// more. Needs no session, as [`Self::status`]: no name stands in it.
    pub fn key_gauges(&self, most: usize) -> Vec<KeyGauge> {
        let (now, keys) = (self.present(), self.keys.all());
        if keys.len() > most {
            return Vec::new();
        }
        let gauge = |slot: &std::sync::Arc<crate::manager::table::Slot>| {
            let key = slot.read();
            KeyGauge {
                id: key.id,
                state: lifecycle::state_at(&key, now),
                rotate_by: self.rotate_by(&key),
                expires_at: key.expires_at,
            }
        };
        keys.iter().map(gauge).collect()
    }

    /// The state of the home.
    pub fn status(&self) -> Status {
        let (now, leapt) = match self.now() {
            Ok(now) => (now, None),
            Err(leapt) => (self.last_moment(), Some(leapt.to_string())),
        };
        let mut keys = BTreeMap::new();
        for slot in self.keys.all() {
            *keys.entry(lifecycle::state_at(&slot.read(), now).name()).or_default() += 1;
        }
        let head = self.audit.head();
        let memory = kms_secret::locked_memory();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            home: self.layout.home.display().to_string(),
            development: self.development,
            sealed: self.keystore.is_sealed(),
            keys,
            audit_size: head.size,
            audit_root: hex::encode(head.root),
            audit_key: self.audit.audit_key().to_owned(),
            audit_writable: self.audit_is_writable(),
            now,
            locked_memory: memory.kind.to_string(),
            locked_memory_bytes: memory.in_use_bytes,
            notices: self.notices().iter().map(ToString::to_string).chain(leapt).collect(),
        }
    }
}
