//! Keys in encrypted files, one each, in a [`Keystore`]; parsed at first use and kept ready.
//!
//! A created key is durable before its public half is returned, and is parsed again from its file at
//! first use. Destroying unlinks the file; what remains on the medium is ciphertext under a data key
//! that stood nowhere else, itself under the keystore key. Overwriting is not attempted: flash and
//! copy-on-write storage do not honour it.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use kms_formats::private::PrivateKey;

use crate::compromise::Cleared;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::Signature;
use crate::key::StorageName;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Migrate;
use crate::lifecycle::uses::Sign;
use crate::storage::Destroyed;
use crate::storage::KeyStorage;
use crate::storage::cache::Cache;
use crate::storage::error::Fault;
use crate::storage::error::StorageError;
use crate::storage::held::Held;
use crate::storage::named;
use crate::storage::seal::Header;
use crate::storage::seal::Keystore;
use crate::storage::seal::Orphan;
use crate::storage::software::SoftwareKey;

/// How many parsed keys are kept ready unless told otherwise.
pub const PARSED_KEYS: usize = 1024;

/// The storage `file`.
#[derive(Debug)]
pub struct FileStorage {
    name: StorageName,
    keystore: Arc<Keystore>,
    parsed: Cache,
}

impl FileStorage {
    /// The key files of `keystore`, with room for `parsed_keys` parsed keys ([`PARSED_KEYS`]).
    pub fn new(keystore: Arc<Keystore>, parsed_keys: usize) -> Self {
        Self { name: named("file"), keystore, parsed: Cache::new(parsed_keys) }
    }

    /// Moves key files whose ids `known` does not know into `orphans/` and reports them; nothing is
    /// deleted. To be called before other threads create keys.
    ///
    /// # Errors
    /// What the disk says; files moved before stay moved.
    pub fn orphans(&self, known: impl Fn(&KeyId) -> bool) -> Result<Vec<Orphan>, StorageError> {
        self.keystore.set_aside(known)
    }

    /// Looks at the file of a key without opening it: whether it is there, safe and that key's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn examine(&self, id: &KeyId) -> Result<(), StorageError> {
        self.keystore.examine_key(id)
    }

    /// Opens the file of a key for `take`, once it is sure that it is the key on record.
    pub(in crate::storage) fn hand_over<T, E: From<StorageError>>(
        &self,
        cleared: &Cleared<Migrate<'_>>,
        take: impl FnOnce(&PrivateKey) -> Result<T, E>,
    ) -> Result<T, E> {
        let key = cleared.what().key;
        self.keystore.with_key(&key.id, |header, private| {
            let held = SoftwareKey::from_private(&private)?;
            Held { purpose: header.purpose, key: held }.check(key)?;
            Ok(take(&private))
        })?
    }

    fn parsed(&self, id: &KeyId) -> Result<Arc<Held>, StorageError> {
        if let Some(held) = self.parsed.find(id) {
            return Ok(held);
        }
        // Kept while the keystore holds its lock: nothing is kept after a lock or a removal.
        self.keystore.with_key(id, |header, private| {
            let key = SoftwareKey::from_private(&private).map_err(|error| match error {
                StorageError::Refused(_) => damaged(id).into(),
                fault @ StorageError::Fault(_) => fault,
            })?;
            if *key.public_key() != header.public {
                return Err(damaged(id).into());
            }
            let held = Arc::new(Held { purpose: header.purpose, key });
            self.parsed.keep(*id, Arc::clone(&held));
            Ok(held)
        })
    }
}

impl KeyStorage for FileStorage {
    fn name(&self) -> &StorageName {
        &self.name
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL.to_vec()
    }

    fn generate(&self, cleared: &Cleared<Generate>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let (private, key) = SoftwareKey::generate(what.algorithm)?;
        let public = key.public_key().clone();
        let header = Header { id: what.id, purpose: what.purpose, public };
        self.keystore.create_key(&header, &private)?;
        Ok(header.public)
    }

    fn import(&self, cleared: &Cleared<Import<'_>>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let key = SoftwareKey::import(what.material, what.claimed_public)?;
        let public = key.public_key().clone();
        let header = Header { id: what.id, purpose: what.purpose, public };
        self.keystore.create_key(&header, what.material)?;
        Ok(header.public)
    }

    fn sign(&self, cleared: &Cleared<Sign<'_>>) -> Result<Signature, StorageError> {
        let what = cleared.what();
        self.parsed(&what.key.id)?.sign(what)
    }

    fn destroy(&self, cleared: &Cleared<Destroy<'_>>) -> Result<Destroyed, StorageError> {
        let id = cleared.what().key.id;
        let removed = self.keystore.remove_key(&id);
        self.parsed.forget(&id);
        Ok(Destroyed { files: vec![removed?], overwritten: false })
    }

    fn key_ids(&self) -> Result<Vec<KeyId>, StorageError> {
        self.keystore.key_ids()
    }

    /// Seals the keystore and forgets every parsed key; unsealing brings them back.
    fn lock(&self) {
        self.keystore.seal();
        self.parsed.clear();
    }
}

fn damaged(id: &KeyId) -> Fault {
    Fault::Tampered { key: *id, why: "what it holds is not the private key of its public key" }
}
