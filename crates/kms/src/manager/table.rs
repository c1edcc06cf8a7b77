//! The keys of a home in memory: their records, by id and by label.
//!
//! One lock per key orders its uses and its moves: a use holds the read guard from admission until
//! its record is queued, a move holds the write guard, so no signature's record follows the
//! record of the suspension that forbids it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::PublicKey;

/// One key's record behind its lock.
#[derive(Debug)]
pub(crate) struct Slot(RwLock<ManagedKey>);

impl Slot {
    /// For a use: others may use the key meanwhile, none may move it.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, ManagedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a move: waits for the uses under way, holds off the next ones.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, ManagedKey> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All keys of the home.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    inner: RwLock<Inner>,
    /// Held for reading while a key joins its lineage, for writing while a lineage is renamed; taken
    /// before any key's lock.
    lineages: RwLock<()>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<KeyId, Arc<Slot>>,
    /// No two records have one public key.
    by_public: HashMap<PublicKey, Vec<KeyId>>,
    /// The current key of each lineage, under the label's folded form.
    current: HashMap<Box<str>, KeyId>,
}

impl KeyTable {
    /// Keeps every lineage under its label for as long as what is returned lives.
    pub(crate) fn keep_lineages(&self) -> RwLockReadGuard<'_, ()> {
        self.lineages.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps every lineage without new keys for as long as what is returned lives.
    pub(crate) fn close_lineages(&self) -> RwLockWriteGuard<'_, ()> {
        self.lineages.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key; the first of a label is its lineage's current key.
    pub(crate) fn insert(&self, key: ManagedKey) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.current.entry(key.label.folded().into()).or_insert(key.id);
        inner.by_public.entry(key.public_key.clone()).or_default().push(key.id);
        inner.by_id.insert(key.id, Arc::new(Slot(RwLock::new(key))));
    }

    /// Makes `id` the current key of the lineage `label`.
    pub(crate) fn set_current(&self, label: &Label, id: KeyId) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.current.insert(label.folded().into(), id);
    }

    /// Moves a lineage's current key from the label `old` to the label `new`.
    pub(crate) fn rename(&self, old: &Label, new: &Label) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = inner.current.remove(old.folded().as_str()) {
            inner.current.insert(new.folded().into(), id);
        }
    }

    /// Finds a key by id, or the current key by label.
    pub(crate) fn find(&self, key: &KeyRef) -> Option<Arc<Slot>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let id = match key {
            KeyRef::Id(id) => id,
            KeyRef::Label(label) => inner.current.get(label.folded().as_str())?,
        };
        inner.by_id.get(id).map(Arc::clone)
    }

    /// The key with this public half. Takes no key's lock.
    pub(crate) fn find_public(&self, key: &PublicKey) -> Option<KeyId> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.by_public.get(key).and_then(|ids| ids.first()).copied()
    }

    /// All keys with this public half: several, where one was moved into a token. Takes no key's lock.
    pub(crate) fn all_public(&self, key: &PublicKey) -> Vec<KeyId> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.by_public.get(key).cloned().unwrap_or_default()
    }

    /// Whether the home has a record of `id`, whatever its state.
    pub(crate) fn contains(&self, id: &KeyId) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(id)
    }

    /// All keys; in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.by_id.values().map(Arc::clone).collect()
    }

    /// The keys of a lineage; in no order.
    pub(crate) fn lineage(&self, label: &Label) -> Vec<Arc<Slot>> {
        let folded = label.folded();
        self.all().into_iter().filter(|slot| slot.read().label.folded() == folded).collect()
    }

    /// Labels like `label`, nearest first, at most three: for "did you mean".
    pub(crate) fn labels_like(&self, label: &Label) -> Vec<String> {
        let wanted = label.folded();
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut near: Vec<(usize, String)> = inner
            .current
            .keys()
            .map(|known| (distance(&wanted, known), known.to_string()))
            .filter(|(steps, _)| *steps <= 2)
            .collect();
        near.sort();
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

/// Labels that keys are being made under, so that of two who want one label at once one is told.
#[derive(Debug, Default)]
pub(crate) struct Naming(HashSet<String>);

/// A label held for a key that is being made; let go when dropped.
#[derive(Debug)]
pub(crate) struct HeldLabel<'a> {
    held: &'a Mutex<Naming>,
    folded: String,
}

impl<'a> HeldLabel<'a> {
    /// Holds `label`, unless someone else does.
    pub(crate) fn hold(held: &'a Mutex<Naming>, label: &Label) -> Option<Self> {
        let folded = label.folded();
        let mut naming = held.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only when it is held: letting one go that is not would let go of another's.
        naming.0.insert(folded.clone()).then(|| Self { held, folded })
    }
}

impl Drop for HeldLabel<'_> {
    fn drop(&mut self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&self.folded);
    }
}

/// The number of single-character edits between two texts (Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("val", "val"), 0);
        assert_eq!(distance("val", "vla"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
