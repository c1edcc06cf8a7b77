//! Parsed keys kept ready, so that no signature pays for decrypting and parsing: a bounded number,
//! the least recently used going first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::key::KeyId;
use crate::storage::held::Held;

/// Parsed keys by id; reading takes a shared lock and two counters.
#[derive(Debug)]
pub(in crate::storage) struct Cache {
    capacity: usize,
    /// Counts uses, to tell which entry was used last.
    uses: AtomicU64,
    entries: RwLock<HashMap<KeyId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    held: Arc<Held>,
    last_use: AtomicU64,
}

impl Cache {
    /// Room for `capacity` keys.
    pub(in crate::storage) fn new(capacity: usize) -> Self {
        Self { capacity, uses: AtomicU64::new(0), entries: RwLock::default() }
    }

    /// The key, if it is here.
    pub(in crate::storage) fn find(&self, id: &KeyId) -> Option<Arc<Held>> {
        let entries = self.read();
        let entry = entries.get(id)?;
        entry.last_use.store(self.next_use(), Ordering::Relaxed);
        Some(Arc::clone(&entry.held))
    }

    /// Keeps a key; where there is no room, the least recently used one goes.
    pub(in crate::storage) fn keep(&self, id: KeyId, held: Arc<Held>) {
        let mut entries = self.write();
        while entries.len() >= self.capacity.max(1) && !entries.contains_key(&id) {
            let oldest =
                entries.iter().min_by_key(|(_, entry)| entry.last_use.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            entries.remove(&oldest);
        }
        let last_use = AtomicU64::new(self.next_use());
        entries.insert(id, Entry { held, last_use });
    }

    /// Forgets one key.
    pub(in crate::storage) fn forget(&self, id: &KeyId) {
        self.write().remove(id);
    }

    /// Forgets every key.
    pub(in crate::storage) fn clear(&self) {
        self.write().clear();
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<KeyId, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<KeyId, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;
    use crate::key::Purpose;
    use crate::storage::software::SoftwareKey;

    fn id(byte: u8) -> KeyId {
        KeyId::from_random([byte; 16])
    }

    fn held() -> Arc<Held> {
        let (_, key) = SoftwareKey::generate(Algorithm::Ed25519).unwrap();
        Arc::new(Held { purpose: Purpose::General, key })
    }

    #[test]
    fn least_recently_used_key_goes_first() {
        let cache = Cache::new(2);
        cache.keep(id(1), held());
        cache.keep(id(2), held());
        assert!(cache.find(&id(1)).is_some());
        cache.keep(id(3), held());
        let here = [1, 2, 3].map(|byte| cache.find(&id(byte)).is_some());
        assert_eq!(here, [true, false, true]);
    }

    #[test]
    fn keeping_a_key_again_takes_no_room() {
        let cache = Cache::new(2);
        cache.keep(id(1), held());
        cache.keep(id(2), held());
        cache.keep(id(2), held());
        assert!(cache.find(&id(1)).is_some());
    }
}
