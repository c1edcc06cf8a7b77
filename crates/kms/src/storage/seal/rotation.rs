//! Rotating the keystore key when a slot goes, without anybody's passphrase.
//!
//! 1. `slots.json` is replaced: next generation, new key sealed to each remaining slot's public key,
//!    the keys so far sealed under the new one. From here on the removed slot opens nothing new.
//! 2. Each key file under an older key is replaced by one under the new key (fresh data key too).
//! 3. `slots.json` is replaced by one without older keys.
//!
//! A crash before 1 leaves the old state; after it, key files of both generations open, and the next
//! unsealing goes on from 2 (it first makes 1 durable once more, since the crash may have been
//! between its rename and the directory's sync). A key file that does not open is reported, and the
//! older keys stay as long as there is one, so that mending it from a copy remains possible.
//!
//! What the removed slot could read before, its holder may have kept: rotate the keys themselves
//! where that matters.

use std::path::PathBuf;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::storage::aead;
use crate::storage::error::Fault;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::seal::Keys;
use crate::storage::seal::Keystore;
use crate::storage::seal::Slot;
use crate::storage::seal::SlotId;
use crate::storage::seal::State;
use crate::storage::seal::slots;
use crate::storage::seal::slots::Older;
use crate::storage::seal::slots::Slots;
use crate::storage::software::random;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The number of the keystore key now.
    pub generation: u32,
    /// How many key files were rewritten.
    pub rewritten: usize,
    /// Key files that do not open; while there are any, the rotation stays pending.
    pub damaged: Vec<PathBuf>,
}

impl Keystore {
    /// Removes a slot and rotates the keystore key. On return the slot is gone durably; key files
    /// are rewritten as far as [`Rotation::damaged`] allows.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::NoSlot`], [`Refused::LastSlot`], what the disk says. If the
    /// disk failed so that it is unknown which `slots.json` will be there after a power cut, the
    /// keystore is sealed. If it failed later, [`Keystore::rotation_pending`] says so, the slot is
    /// gone, and [`Keystore::finish_rotation`] or the next unsealing goes on.
    pub fn remove_slot(&self, id: SlotId) -> Result<Rotation, StorageError> {
        let rotating = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace_key_without(id)?;
        self.rewrap(&rotating)
    }

    /// Goes on with a pending rotation; does nothing where none is pending.
    ///
    /// # Errors
    /// [`Refused::Locked`], what the disk says; it stays pending.
    pub fn finish_rotation(&self) -> Result<Rotation, StorageError> {
        let rotating = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        self.rewrap(&rotating)
    }

    /// Steps 2 and 3.
    pub(super) fn rewrap(&self, _rotating: &MutexGuard<'_, ()>) -> Result<Rotation, StorageError> {
        let generation = self.read().current()?.0;
        let mut rotation = Rotation { generation, rewritten: 0, damaged: Vec::new() };
        if !self.rotation_pending() {
            return Ok(rotation);
        }
        for path in self.key_paths()? {
            match self.rewrap_key(&path) {
                Ok(rewritten) => rotation.rewritten += usize::from(rewritten),
                Err(StorageError::Fault(Fault::Tampered { .. })) => rotation.damaged.push(path),
                Err(other) => return Err(other),
            }
        }
        if rotation.damaged.is_empty() {
            self.drop_older()?;
        }
        Ok(rotation)
    }

    /// Step 1.
    fn replace_key_without(&self, id: SlotId) -> Result<(), StorageError> {
        let mut state = self.write();
        let (slots, keys) = next_generation(&state, id)?;
        let bytes = slots.encode(&keys.current)?;
        let replaced = self.disk.replace(&self.slots_path(), &bytes);
        if let Err(error) = replaced {
            let now = self.disk.read(&self.slots_path(), slots::MAX_FILE_LEN);
            if now.ok().as_ref() != Some(&state.bytes) {
                state.keys = None;
            }
            return Err(error.into());
        }
        *state = State { slots, bytes, keys: Some(keys) };
        Ok(())
    }

    /// Step 3.
    fn drop_older(&self) -> Result<(), StorageError> {
        let mut state = self.write();
        let keys = state.keys.as_ref().ok_or(Refused::Locked)?;
        let mut slots = state.slots.clone();
        slots.older.clear();
        let bytes = slots.encode(&keys.current)?;
        self.disk.replace(&self.slots_path(), &bytes)?;
        (state.slots, state.bytes) = (slots, bytes);
        if let Some(keys) = state.keys.as_mut() {
            keys.older.clear();
        }
        Ok(())
    }
}

/// The slots without `id` around a new key, and all keys.
fn next_generation(state: &State, id: SlotId) -> Result<(Slots, Keys), StorageError> {
    let keys = state.keys.as_ref().ok_or(Refused::Locked)?;
    let remaining: Vec<&Slot> = state.slots.slots.iter().filter(|slot| slot.id != id).collect();
    if remaining.len() == state.slots.slots.len() {
        return Err(Refused::NoSlot(id.to_string()).into());
    }
    if remaining.is_empty() {
        return Err(Refused::LastSlot.into());
    }
    if keys.older.len() >= slots::MAX_OLDER {
        return Err(Refused::InvalidSlot("16 rotations wait for damaged key files").into());
    }
    let generation = state.slots.generation.saturating_add(1);
    let current = random(aead::KEY_LEN)?;
    let mut slots = Slots::new(generation);
    for slot in remaining {
        let named = (slot.id, slot.kind, &*slot.principal);
        let mut renewed = Slot::seal(named, slot.public.0, (generation, &current))?;
        renewed.unwrap = slot.unwrap.clone(); // the seed stays; only what it opens is new
        slots.slots.push(renewed);
    }
    let mut older = Vec::new();
    let so_far = keys.older.iter().map(|(generation, key)| (*generation, key));
    for (number, key) in so_far.chain([state.current()?]) {
        slots.older.push(Older::seal((number, key), (generation, &current))?);
        older.push((number, kms_secret::SecretBytes::copy_from(key.expose())));
    }
    Ok((slots, Keys { current, older }))
}
