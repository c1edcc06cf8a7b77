//! The key files of a keystore: written, opened, removed, listed, set aside.
//!
//! Opening and creating hold the keystore's read lock to the end, removing and rewriting its write
//! lock: so nothing is opened with a key that was just forgotten, created under a key that was just
//! replaced, or rewritten after it was destroyed.

use std::path::Path;
use std::path::PathBuf;

use kms_formats::private::PrivateKey;

use crate::durable::DiskError;
use crate::key::KeyId;
use crate::storage::error::Fault;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::seal::Header;
use crate::storage::seal::Keystore;
use crate::storage::seal::State;
use crate::storage::seal::envelope;
use crate::storage::seal::envelope::Envelope;

/// The directory of key files without a record, inside the keystore's.
pub(crate) const ORPHANS: &str = "orphans";

/// A key file that no record knew, and where it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The key's id, by the file's name.
    pub id: KeyId,
    /// Where the file is now.
    pub path: PathBuf,
}

impl Keystore {
    /// Writes the file of a new key. Durable on return.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::Exists`], what the disk says.
    pub(in crate::storage) fn create_key(
        &self,
        header: &Header,
        private: &PrivateKey,
    ) -> Result<(), StorageError> {
        let state = self.read();
        let bytes = envelope::seal(header, &private.bytes, state.current()?)?;
        self.disk.create(&self.key_path(&header.id), &bytes).map_err(|error| match error {
            DiskError::Exists => Refused::Exists(header.id).into(),
            other => other.into(),
        })
    }

    /// Opens the file of a key and hands it to `take`, before anything can seal the keystore or
    /// remove the file.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::NotFound`], [`Fault::Tampered`], what the disk or `take` say.
    pub(in crate::storage) fn with_key<T>(
        &self,
        id: &KeyId,
        take: impl FnOnce(Header, PrivateKey) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let state = self.read();
        state.current()?;
        let bytes = self.read_key(&self.key_path(id), id)?;
        let (header, private) = open(&state, &bytes, id)?;
        take(header, private)
    }

    /// Looks at the file of a key as far as that goes without opening it, sealed or not: that it is
    /// there, this user's alone, a key file, and that key's. Changes nothing.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Fault::Tampered`], what the disk says.
    pub(in crate::storage) fn examine_key(&self, id: &KeyId) -> Result<(), StorageError> {
        let _state = self.read();
        let bytes = self.read_key(&self.key_path(id), id)?;
        envelope_of(&bytes, id).map(drop)
    }

    /// Removes the file of a key, sealed or not. Durable on return.
    ///
    /// The directory forgets the file; its bytes are not overwritten, which flash and copy-on-write
    /// storage would not honour. They are ciphertext under a data key that stood nowhere else.
    ///
    /// # Errors
    /// [`Refused::NotFound`], what the disk says.
    pub(in crate::storage) fn remove_key(&self, id: &KeyId) -> Result<PathBuf, StorageError> {
        let _state = self.write();
        let path = self.key_path(id);
        self.disk.remove(&path).map_err(|error| not_found(error, id))?;
        Ok(path)
    }

    /// The ids of all key files, sorted, sealed or not.
    ///
    /// # Errors
    /// What the disk says.
    pub(in crate::storage) fn key_ids(&self) -> Result<Vec<KeyId>, StorageError> {
        let names = self.disk.list(&self.dir)?;
        let ids = names.iter().filter_map(|name| id_of(name).filter(|id| *name == file_name(id)));
        Ok(ids.collect())
    }

    /// Moves the key files whose ids `known` does not know into `orphans/`; nothing is deleted.
    /// A rotation rewrites them there too.
    ///
    /// # Errors
    /// What the disk says; files moved before stay moved.
    pub(in crate::storage) fn set_aside(
        &self,
        known: impl Fn(&KeyId) -> bool,
    ) -> Result<Vec<Orphan>, StorageError> {
        let _state = self.write();
        let unknown = self.key_ids()?.into_iter().filter(|id| !known(id));
        unknown.map(|id| Ok(Orphan { id, path: self.set_one_aside(&id)? })).collect()
    }

    /// Every key file, those set aside too.
    pub(super) fn key_paths(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut paths = Vec::new();
        for dir in [self.dir.clone(), self.dir.join(ORPHANS)] {
            let names = self.disk.list(&dir)?;
            paths.extend(
                names.iter().filter(|name| name.ends_with(".key")).map(|name| dir.join(name)),
            );
        }
        Ok(paths)
    }

    /// Rewrites one key file under the current keystore key; `false` where that is not needed.
    pub(super) fn rewrap_key(&self, path: &Path) -> Result<bool, StorageError> {
        let state = self.write();
        let Some(id) = path.file_name().and_then(|name| id_of(name.to_str()?)) else {
            return Ok(false);
        };
        let bytes = match self.read_key(path, &id) {
            Err(StorageError::Refused(Refused::NotFound(_))) => return Ok(false),
            other => other?,
        };
        let current = state.current()?;
        let envelope = Envelope::read(&bytes).map_err(|why| Fault::Tampered { key: id, why })?;
        if envelope.generation == current.0 {
            return Ok(false);
        }
        let (header, private) = open(&state, &bytes, &id)?;
        let bytes = envelope::seal(&header, &private.bytes, current)?;
        self.disk.replace(path, &bytes)?;
        Ok(true)
    }

    fn read_key(&self, path: &Path, id: &KeyId) -> Result<Vec<u8>, StorageError> {
        self.disk.read(path, envelope::MAX_FILE_LEN).map_err(|error| match error {
            DiskError::TooLong { .. } => Fault::Tampered { key: *id, why: "it is too long" }.into(),
            other => not_found(other, id),
        })
    }

    /// Where an orphan of that id lies already (somebody copied it back), the next free name.
    fn set_one_aside(&self, id: &KeyId) -> Result<PathBuf, StorageError> {
        let orphans = self.dir.join(ORPHANS);
        let digits = hex::encode(id.as_bytes());
        let copies = (2..=9).map(|copy| format!("{digits}.{copy}.key"));
        for name in std::iter::once(file_name(id)).chain(copies) {
            let path = orphans.join(name);
            match self.disk.rename(&self.key_path(id), &path) {
                Ok(()) => return Ok(path),
                Err(DiskError::Exists) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(DiskError::Exists.into())
    }

    fn key_path(&self, id: &KeyId) -> PathBuf {
        self.dir.join(file_name(id))
    }
}

fn file_name(id: &KeyId) -> String {
    format!("{}.key", hex::encode(id.as_bytes()))
}

/// The id in the name of a key file: `<32 hex digits>.key`, or in `orphans/` `<…>.<n>.key`.
fn id_of(name: &str) -> Option<KeyId> {
    let digits = name.strip_suffix(".key")?.split('.').next()?;
    format!("k-{digits}").parse().ok()
}

fn open(state: &State, bytes: &[u8], id: &KeyId) -> Result<(Header, PrivateKey), StorageError> {
    let tampered = |why| Fault::Tampered { key: *id, why };
    let envelope = envelope_of(bytes, id)?;
    let key = state
        .key_of(envelope.generation)?
        .ok_or_else(|| tampered("it is sealed under a keystore key that is gone"))?;
    let private = envelope.open(key).ok_or_else(|| tampered("it does not open"))?;
    Ok((envelope.header, private))
}

fn envelope_of<'a>(bytes: &'a [u8], id: &KeyId) -> Result<Envelope<'a>, StorageError> {
    let tampered = |why| Fault::Tampered { key: *id, why };
    let envelope = Envelope::read(bytes).map_err(tampered)?;
    if envelope.header.id != *id {
        return Err(tampered("it is the file of another key").into());
    }
    Ok(envelope)
}

fn not_found(error: DiskError, id: &KeyId) -> StorageError {
    match error {
        DiskError::NotFound => Refused::NotFound(*id).into(),
        other => other.into(),
    }
}
