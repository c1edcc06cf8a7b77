//! Two places for a floor in one file, written in turn: a write that a power cut spoils leaves the
//! other.
//!
//! ```text
//! slot = 64 hex digits of HMAC-SHA-256 ‖ ' ' ‖ the floor as JSON ‖ line feed ‖ spaces   4,096 bytes
//! file = slot ‖ slot                                                                     8,192 bytes
//! ```
//!
//! The tag is over the JSON, under a key derived from the home's store key: a floor that was edited,
//! or is of another home, is none.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;

use crate::consensus::Floor;
use crate::durable::Disk;
use crate::durable::DiskError;
use crate::durable::FileIdentity;
use crate::durable::InPlaceFile;

/// Bytes of a slot: no sector of the disk is part of both.
const SLOT: usize = 4096;
const FILE: usize = 2 * SLOT;
/// Hex digits of a tag.
const TAG: usize = 64;

/// Why a file holds no floor.
#[derive(Debug, thiserror::Error)]
pub enum SlotsFault {
    /// Neither slot is one that this home wrote.
    #[error("neither slot is one that this home wrote")]
    Damaged,
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The key of the tags.
pub(crate) struct FloorKey(Box<hmac::Key>);

impl FloorKey {
    /// Derives it from the store key, which is not kept.
    pub(crate) fn new(store_key: &SecretBytes) -> Self {
        let store_key = hmac::Key::new(hmac::HMAC_SHA256, store_key.expose());
        let derived = hmac::sign(&store_key, b"virtengine kms consensus floor v1");
        let key = Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())));
        drop((store_key, derived));
        burn_stack();
        key
    }

    fn tag(&self, json: &[u8]) -> String {
        hex::encode(hmac::sign(&self.0, json))
    }

    fn is_tag(&self, tag: &[u8], json: &[u8]) -> bool {
        let mut bytes = [0; TAG / 2];
        let read = hex::decode_to_slice(tag, &mut bytes);
        read.is_ok() && hmac::verify(&self.0, json, &bytes).is_ok()
    }
}

impl fmt::Debug for FloorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FloorKey")
    }
}

/// An open file of two slots.
#[derive(Debug)]
pub(crate) struct Slots(Box<dyn InPlaceFile>);

impl Slots {
    /// Makes a file with two empty slots; durable on return.
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        disk.create(path, &[b' '; FILE])?;
        Ok(Self(disk.in_place(path, FILE as u64)?))
    }

    /// Opens a file and reads the newest floor in it.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        key: &FloorKey,
    ) -> Result<(Self, Floor), SlotsFault> {
        let file = match disk.in_place(path, FILE as u64) {
            Err(DiskError::TooLong { .. }) => return Err(SlotsFault::Damaged),
            opened => opened?,
        };
        let bytes = file.read()?;
        let floors = bytes.chunks(SLOT).filter_map(|slot| read(slot, key));
        let newest = floors.max_by_key(|floor| floor.sequence);
        Ok((Self(file), newest.ok_or(SlotsFault::Damaged)?))
    }

    /// Which file it is.
    pub(crate) fn identity(&self) -> FileIdentity {
        self.0.identity()
    }

    /// Writes a floor over the older one; durable on return.
    pub(crate) fn write(&mut self, floor: &Floor, key: &FloorKey) -> Result<(), DiskError> {
        let slot = encode(floor, key)?;
        let place = floor.sequence % 2;
        self.0.write(place * SLOT as u64, &slot)?;
        self.0.sync()
    }
}

fn encode(floor: &Floor, key: &FloorKey) -> Result<Vec<u8>, DiskError> {
    let json = serde_json::to_vec(floor).map_err(|e| DiskError::Io(e.into()))?;
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(key.tag(&json).as_bytes());
    slot.push(b' ');
    slot.extend_from_slice(&json);
    slot.push(b'\n');
    if slot.len() > SLOT {
        return Err(DiskError::NoSpace); // what is in it is bounded to far less
    }
    slot.resize(SLOT, b' ');
    Ok(slot)
}

fn read(slot: &[u8], key: &FloorKey) -> Option<Floor> {
    let (tag, rest) = slot.split_at_checked(TAG)?;
    let rest = rest.strip_prefix(b" ")?;
    let json = rest.get(..rest.iter().position(|byte| *byte == b'\n')?)?;
    key.is_tag(tag, json).then(|| serde_json::from_slice(json).ok()).flatten()
}
