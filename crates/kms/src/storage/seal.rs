//! The keystore: a directory of sealed key files, and the slots that open it.
//!
//! One keystore key (32 random bytes) seals the data key of every key file. It is never on disk in
//! the clear; each *slot* holds it encrypted to one recipient, as disk encryption does:
//!
//! ```text
//! passphrase ─Argon2id─▶ seed ─▶ slot's private half ─▶ keystore key ─▶ data key ─▶ private key
//!             (access)           (`recipient`)           (`slots`)        (`envelope`)
//! ```
//!
//! Because a slot is a *public* key, slots are added, and the keystore key is rotated, without
//! anybody else's passphrase. Removing a slot rotates: new key to the remaining slots, old key under
//! the new one until every key file is rewritten, then dropped (`rotation`).
//!
//! The directory: `slots.json`, `<32 hex digits>.key` (`envelope`), `orphans/` (key files without a
//! record). All of it through [`Disk`]: old or new, never half.
//!
//! Never decides who may unseal, never stretches a passphrase, never uses a private key.

mod hex_bytes;
mod recipient;
mod slots;
mod envelope;
mod files;
mod rotation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::durable::Disk;
use crate::durable::DiskError;
use crate::storage::aead;
use crate::storage::device::WrappedSeed;
use crate::storage::error::Fault;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::seal::hex_bytes::HexBytes;
use crate::storage::seal::slots::File;
use crate::storage::seal::slots::Slot;
use crate::storage::seal::slots::Slots;
use crate::storage::software::random;

pub(in crate::storage) use envelope::Header;
pub(crate) use files::ORPHANS;
pub use files::Orphan;
pub use rotation::Rotation;

/// Names a slot for ever: 8 random bytes, shown as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(HexBytes<8>);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0.0))
    }
}

impl FromStr for SlotId {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| Refused::NoSlot(text.chars().take(40).collect()))?;
        Ok(Self(HexBytes(bytes)))
    }
}

/// Where a slot's seed comes from; the slot itself works the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// A passphrase, stretched by Argon2id; salt and cost stand in the principal's credential.
    Passphrase,
    /// A token: the seed stands in the slot itself, encrypted to a key that never leaves the token.
    Hsm,
}

impl SlotKind {
    /// The name in the file and in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Hsm => "hsm",
        }
    }
}

/// A slot as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its id.
    pub id: SlotId,
    /// Where its seed comes from.
    pub kind: SlotKind,
    /// Whose it is.
    pub principal: String,
}

/// A slot to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewSlot<'a> {
    /// Where the seed comes from.
    pub kind: SlotKind,
    /// Whose it is: 1 to 64 visible ASCII characters.
    pub principal: &'a str,
    /// 32 bytes with the strength of the secret behind them.
    pub seed: &'a SecretBytes,
    /// The seed as a token keeps it; for [`SlotKind::Hsm`] and for no other.
    pub wrapped: Option<&'a WrappedSeed>,
}

/// Which slot to open with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRef<'a> {
    /// This one.
    Id(SlotId),
    /// Any of this principal's.
    Principal(&'a str),
}

/// The keystore of one home, sealed or open. Shared between threads; never two on one directory.
pub struct Keystore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    state: RwLock<State>,
    /// Held by whoever rotates or finishes a rotation; taken before `state`.
    rotating: Mutex<()>,
}

/// The slots as they stand on disk, and the keys while open.
struct State {
    slots: Slots,
    bytes: Vec<u8>,
    keys: Option<Keys>,
}

/// Keystore keys in the clear, in locked memory.
struct Keys {
    current: SecretBytes,
    older: Vec<(u32, SecretBytes)>,
}

impl Keystore {
    /// Makes a keystore in `dir` with its first slot and leaves it open. Durable on return.
    ///
    /// # Errors
    /// [`Refused::KeystoreExists`], [`Refused::InvalidSlot`], or what the disk says; a directory
    /// left without `slots.json` holds nothing and can be used again.
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        first: NewSlot<'_>,
    ) -> Result<Self, StorageError> {
        let current = random(aead::KEY_LEN)?;
        let mut slots = Slots::new(1);
        slots.slots.push(new_slot(first, (1, &current))?);
        let bytes = slots.encode(&current)?;
        disk.create_dir(dir)?;
        disk.create_dir(&dir.join(ORPHANS))?;
        disk.create(&dir.join(SLOTS), &bytes).map_err(|error| match error {
            DiskError::Exists => Refused::KeystoreExists(dir.into()).into(),
            other => StorageError::from(other),
        })?;
        let keys = Some(Keys { current, older: Vec::new() });
        Ok(Self::with(disk, dir, State { slots, bytes, keys }))
    }

    /// Reads the slots of the keystore in `dir`; it is sealed.
    ///
    /// # Errors
    /// [`Fault::SlotsTampered`] where the file is not as it was written; what the disk says.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StorageError> {
        let (file, bytes) = load(&*disk, dir)?;
        Ok(Self::with(disk, dir, State { slots: file.slots, bytes, keys: None }))
    }

    /// Opens the keystore, and finishes a rotation that was interrupted as far as it can be
    /// (see [`Self::rotation_pending`]). The file is read again, so what is on disk decides.
    ///
    /// # Errors
    /// [`Refused::WrongPassphrase`] when no slot of `who` belongs to `seed`, also when there is no
    /// such slot. [`Fault::SlotsTampered`] when the seed is right and the file is not as the
    /// keystore wrote it: at a login the two are to look the same, the log may tell them apart.
    pub fn unseal(&self, who: SlotRef<'_>, seed: &SecretBytes) -> Result<(), StorageError> {
        let rotating = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.write();
        let (file, bytes) = load(&*self.disk, &self.dir)?;
        let keys = self.open_slots(&file, who, seed)?;
        let pending = !keys.older.is_empty();
        if pending {
            // Whoever wrote this may have died before it was durable; nothing may build on it yet.
            self.disk.replace(&self.slots_path(), &bytes)?;
        }
        *state = State { slots: file.slots, bytes, keys: Some(keys) };
        drop(state);
        if pending {
            // What cannot be finished now (no space, a damaged file) stays pending and is usable.
            let _still_pending = self.rewrap(&rotating);
        }
        Ok(())
    }

    /// Forgets every keystore key. Parsed keys are their holder's to forget:
    /// [`crate::storage::FileStorage`] does both.
    pub(in crate::storage) fn seal(&self) {
        self.write().keys = None;
    }

    /// Whether no keystore key is in memory.
    pub fn is_sealed(&self) -> bool {
        self.read().keys.is_none()
    }

    /// The number of the keystore key, from 1; grows with each rotation. Whoever keeps it outside
    /// the directory can tell when the directory was put back to an older state.
    pub fn generation(&self) -> u32 {
        self.read().slots.generation
    }

    /// Whether key files may still be under an older keystore key.
    pub fn rotation_pending(&self) -> bool {
        !self.read().slots.older.is_empty()
    }

    /// The slots, in the order they were added.
    pub fn slots(&self) -> Vec<SlotInfo> {
        let info = |slot: &Slot| SlotInfo {
            id: slot.id,
            kind: slot.kind,
            principal: slot.principal.clone(),
        };
        self.read().slots.slots.iter().map(info).collect()
    }

    /// The seeds that tokens keep, with the slots that they open.
    pub fn wrapped_seeds(&self) -> Vec<(SlotId, WrappedSeed)> {
        let state = self.read();
        let kept = |slot: &Slot| Some((slot.id, slot.unwrap.clone()?));
        state.slots.slots.iter().filter_map(kept).collect()
    }

    /// Adds a slot; needs an open keystore and nobody else's secret. Durable on return; after an
    /// error the slot may or may not be in the file, and is dropped from it by the next change.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::InvalidSlot`], what the disk says.
    pub fn add_slot(&self, new: NewSlot<'_>) -> Result<SlotId, StorageError> {
        let mut state = self.write();
        let keys = state.keys.as_ref().ok_or(Refused::Locked)?;
        if state.slots.slots.len() >= slots::MAX_SLOTS {
            return Err(Refused::InvalidSlot("there are 64 already").into());
        }
        let mut slots = state.slots.clone();
        let slot = new_slot(new, (slots.generation, &keys.current))?;
        let id = slot.id;
        slots.slots.push(slot);
        let bytes = slots.encode(&keys.current)?;
        self.disk.replace(&self.slots_path(), &bytes)?;
        (state.slots, state.bytes) = (slots, bytes);
        Ok(id)
    }

    fn with(disk: Arc<dyn Disk>, dir: &Path, state: State) -> Self {
        let (state, rotating) = (RwLock::new(state), Mutex::new(()));
        Self { disk, dir: dir.into(), state, rotating }
    }

    /// The keys, with the first slot of `who` that belongs to `seed`.
    fn open_slots(
        &self,
        file: &File,
        who: SlotRef<'_>,
        seed: &SecretBytes,
    ) -> Result<Keys, StorageError> {
        let generation = file.slots.generation;
        for slot in file.slots.slots.iter().filter(|slot| who.names(slot)) {
            let public = recipient::public(seed, &slot.id.0.0)?;
            if bool::from(public.ct_eq(&slot.public.0)) {
                let current = slot
                    .open(seed, generation)
                    .filter(|current| file.is_authentic(current))
                    .ok_or_else(|| {
                        self.tampered("its slots are not the ones the keystore wrote")
                    })?;
                return self.open_older(file, current);
            }
        }
        Err(Refused::WrongPassphrase.into())
    }

    fn open_older(&self, file: &File, current: SecretBytes) -> Result<Keys, StorageError> {
        let open = |older: &slots::Older| {
            let key = older.open((file.slots.generation, &current));
            let key = key.ok_or_else(|| self.tampered("an older key in it does not open"))?;
            Ok((older.generation, key))
        };
        let older = file.slots.older.iter().map(open).collect::<Result<_, StorageError>>()?;
        Ok(Keys { current, older })
    }

    fn tampered(&self, why: &'static str) -> StorageError {
        Fault::SlotsTampered { path: self.slots_path(), why }.into()
    }

    fn slots_path(&self) -> PathBuf {
        self.dir.join(SLOTS)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl SlotRef<'_> {
    fn names(self, slot: &Slot) -> bool {
        match self {
            Self::Id(id) => slot.id == id,
            Self::Principal(principal) => slot.principal == principal,
        }
    }
}

impl State {
    /// The current keystore key with its generation.
    fn current(&self) -> Result<(u32, &SecretBytes), Refused> {
        let keys = self.keys.as_ref().ok_or(Refused::Locked)?;
        Ok((self.slots.generation, &keys.current))
    }

    /// The keystore key of `generation`, if there is one still.
    fn key_of(&self, generation: u32) -> Result<Option<&SecretBytes>, Refused> {
        let (current, key) = self.current()?;
        if generation == current {
            return Ok(Some(key));
        }
        let older = self.keys.iter().flat_map(|keys| &keys.older);
        Ok(older.into_iter().find(|older| older.0 == generation).map(|older| &older.1))
    }
}

/// The file of slots, inside the keystore's directory.
pub(crate) const SLOTS: &str = "slots.json";

fn load(disk: &dyn Disk, dir: &Path) -> Result<(File, Vec<u8>), StorageError> {
    let path = dir.join(SLOTS);
    let bytes = disk.read(&path, slots::MAX_FILE_LEN)?;
    let file = File::decode(&bytes).map_err(|why| Fault::SlotsTampered { path, why })?;
    Ok((file, bytes))
}

fn new_slot(
    new: NewSlot<'_>,
    (generation, key): (u32, &SecretBytes),
) -> Result<Slot, StorageError> {
    let visible = new.principal.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=64).contains(&new.principal.len()) {
        return Err(Refused::InvalidSlot("a principal is 1 to 64 visible ASCII characters").into());
    }
    if new.seed.len() != 32 {
        return Err(Refused::InvalidSlot("a seed has 32 bytes").into());
    }
    if new.wrapped.is_some() != (new.kind == SlotKind::Hsm) {
        return Err(Refused::InvalidSlot("a token's slot, and no other, has a wrapped seed").into());
    }
    let id = HexBytes::exactly(random(8)?.expose()).ok_or(Fault::Random)?;
    let public = recipient::public(new.seed, &id.0)?;
    let mut slot = Slot::seal((SlotId(id), new.kind, new.principal), public, (generation, key))?;
    slot.unwrap = new.wrapped.cloned();
    Ok(slot)
}
