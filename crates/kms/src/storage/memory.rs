//! Keys that live in this process's locked memory and nowhere else.
//!
//! Nothing is written; when the process ends or the storage is locked, they are gone. For
//! development, and for keys whose loss costs nothing.

use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use crate::compromise::Cleared;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::Signature;
use crate::key::StorageName;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Sign;
use crate::storage::Destroyed;
use crate::storage::KeyStorage;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::held::Held;
use crate::storage::named;
use crate::storage::software::SoftwareKey;

/// The storage `memory`.
#[derive(Debug)]
pub struct MemoryStorage {
    name: StorageName,
    keys: RwLock<HashMap<KeyId, Arc<Held>>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self { name: named("memory"), keys: RwLock::default() }
    }

    fn hold(&self, id: KeyId, held: Held) -> Result<PublicKey, StorageError> {
        match self.write().entry(id) {
            hash_map::Entry::Occupied(_) => Err(Refused::Exists(id).into()),
            hash_map::Entry::Vacant(place) => {
                Ok(place.insert(Arc::new(held)).key.public_key().clone())
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<KeyId, Arc<Held>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<KeyId, Arc<Held>>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyStorage for MemoryStorage {
    fn name(&self) -> &StorageName {
        &self.name
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL.to_vec()
    }

    fn generate(&self, cleared: &Cleared<Generate>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let (_, key) = SoftwareKey::generate(what.algorithm)?;
        self.hold(what.id, Held { purpose: what.purpose, key })
    }

    fn import(&self, cleared: &Cleared<Import<'_>>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let key = SoftwareKey::import(what.material, what.claimed_public)?;
        self.hold(what.id, Held { purpose: what.purpose, key })
    }

    fn sign(&self, cleared: &Cleared<Sign<'_>>) -> Result<Signature, StorageError> {
        let what = cleared.what();
        let held = self.read().get(&what.key.id).cloned();
        held.ok_or(Refused::NotFound(what.key.id))?.sign(what)
    }

    fn destroy(&self, cleared: &Cleared<Destroy<'_>>) -> Result<Destroyed, StorageError> {
        let id = cleared.what().key.id;
        self.write().remove(&id).ok_or(Refused::NotFound(id))?;
        Ok(Destroyed { files: Vec::new(), overwritten: true })
    }

    fn key_ids(&self) -> Result<Vec<KeyId>, StorageError> {
        let mut ids: Vec<KeyId> = self.read().keys().copied().collect();
        ids.sort();
        Ok(ids)
    }

    /// Forgets every key for good: this storage has no other copy.
    fn lock(&self) {
        self.write().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::conformance;

    #[test]
    fn memory_storage_conforms() {
        conformance(&MemoryStorage::new());
    }
}
