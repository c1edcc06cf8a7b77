//! KeyStorage: where private keys live, and the only place where one is used.
//!
//! Every use takes a [`Cleared`] and carries out exactly what that says: the storage takes the key,
//! the message and the scheme from it, never from the caller. A storage decides nothing else: not
//! whether a key may be used (that is how one gets a `Cleared`), not whether what it made may leave
//! (that is the audit log's).
//!
//! Two kinds are here: [`MemoryStorage`] and [`FileStorage`]; both sign in software. Tokens and
//! devices are kinds of their own in other crates, held to the same suite (`conformance`).

mod error;
mod device;
mod software;
mod aead;
mod held;
mod cache;
mod seal;
mod memory;
mod file;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;

use std::fmt::Debug;
use std::path::PathBuf;

use kms_formats::private::PrivateKey;

use crate::audit::Draft;
use crate::audit::Unreleased;
use crate::compromise::Cleared;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::Signature;
use crate::key::StorageName;
use crate::lifecycle::uses::Adopt;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Migrate;
use crate::lifecycle::uses::RemoveObject;
use crate::lifecycle::uses::Sign;
use crate::storage::software::SoftwareKey;

pub use device::AdoptedKey;
pub use device::DeviceError;
pub use device::DeviceErrorKind;
pub use device::ObjectAttributes;
pub use device::SeedKeeper;
pub use device::StoredObject;
pub use device::WrappedSeed;
pub use error::Fault;
pub use error::Refused;
pub use error::StorageError;
pub use file::FileStorage;
pub use file::PARSED_KEYS;
pub use memory::MemoryStorage;
pub use seal::Keystore;
pub use seal::NewSlot;
pub(crate) use seal::ORPHANS;
pub use seal::Orphan;
pub use seal::Rotation;
pub(crate) use seal::SLOTS;
pub use seal::SlotId;
pub use seal::SlotInfo;
pub use seal::SlotKind;
pub use seal::SlotRef;
pub use software::run_self_tests;
pub use software::self_test_state;
pub use software::verify;
pub use software::verify_der;

/// A place where private keys live. Shared between threads; every method may block on a disk or a
/// device.
///
/// ```compile_fail,E0308
/// use kms::lifecycle::uses::Sign;
/// fn sign(storage: &dyn kms::storage::KeyStorage, what: &Sign<'_>) {
///     let _ = storage.sign(what); // what to sign is not enough: it has to be cleared
/// }
/// ```
pub trait KeyStorage: Debug + Send + Sync {
    /// Its name in records and configuration.
    fn name(&self) -> &StorageName;

    /// The algorithms it has, in the specification's order.
    fn algorithms(&self) -> Vec<Algorithm>;

    /// The algorithms of which it takes private keys in; most take all they have.
    fn importable(&self) -> Vec<Algorithm> {
        self.algorithms()
    }

    /// Makes a key pair; the private half is durable on return, as far as this storage is durable.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::Exists`], [`Refused::Unsupported`]; faults.
    fn generate(&self, cleared: &Cleared<Generate>) -> Result<PublicKey, StorageError>;

    /// Takes in a private key from outside and returns the public half it computed; durable as
    /// above. The material stays the caller's, to be wiped.
    ///
    /// # Errors
    /// As [`Self::generate`], and [`Refused::InvalidKey`], [`Refused::PublicMismatch`].
    fn import(&self, cleared: &Cleared<Import<'_>>) -> Result<PublicKey, StorageError>;

    /// Signs. The key has to be the one on record: same public half, same purpose.
    ///
    /// # Errors
    /// [`Refused::Locked`], [`Refused::NotFound`], [`Refused::Scheme`]; [`Fault::Tampered`] where
    /// the key is not the one on record, other faults.
    fn sign(&self, cleared: &Cleared<Sign<'_>>) -> Result<Signature, StorageError>;

    /// Removes a private key for ever; durable on return.
    ///
    /// # Errors
    /// [`Refused::NotFound`], also when it was destroyed before; faults.
    fn destroy(&self, cleared: &Cleared<Destroy<'_>>) -> Result<Destroyed, StorageError>;

    /// The ids of all keys here, sorted.
    ///
    /// # Errors
    /// Faults.
    fn key_ids(&self) -> Result<Vec<KeyId>, StorageError>;

    /// Forgets every secret in memory. Signatures being made are finished.
    fn lock(&self);

    /// Allows secrets again that the storage gets from elsewhere; called when someone who may unseal
    /// has logged in.
    fn unlock(&self) {}

    /// The private keys here, also those of other programs; of files and memory there are none.
    ///
    /// # Errors
    /// Faults.
    fn objects(&self) -> Result<Vec<StoredObject>, StorageError> {
        Ok(Vec::new())
    }

    /// Takes over a key that another program made here: finds it, makes a test signature with it and
    /// verifies that. Nothing of it is changed.
    ///
    /// # Errors
    /// [`Refused::NoOthers`], [`Refused::NoObject`], [`Refused::AmbiguousObject`],
    /// [`Refused::NotAdoptable`]; faults.
    fn adopt(&self, _cleared: &Cleared<Adopt<'_>>) -> Result<AdoptedKey, StorageError> {
        Err(Refused::NoOthers(self.name().clone()).into())
    }

    /// Removes a private key that is on nobody's record, and its public half; durable on return.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    fn remove_object(&self, _cleared: &Cleared<RemoveObject<'_>>) -> Result<(), StorageError> {
        Err(Refused::NoOthers(self.name().clone()).into())
    }

    /// What keeps the seeds of keystore slots here, if anything does.
    fn seed_keeper(&self) -> Option<&dyn SeedKeeper> {
        None
    }
}

/// What went when a key was destroyed; for the record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destroyed {
    /// The files that were unlinked.
    pub files: Vec<PathBuf>,
    /// Whether every byte was overwritten; `false` where the medium would not honour that and the
    /// remains are ciphertext without their key.
    pub overwritten: bool,
}

/// The public half of a private key from outside.
///
/// # Errors
/// [`Refused::InvalidKey`] when it is none.
pub fn public_half(material: &PrivateKey) -> Result<PublicKey, StorageError> {
    Ok(SoftwareKey::from_private(material)?.public_key().clone())
}

/// Makes a key pair in `storage`: spends the clearance.
pub(crate) fn generate(
    storage: &dyn KeyStorage,
    cleared: Cleared<Generate>,
) -> Result<PublicKey, StorageError> {
    storage.generate(&cleared)
}

/// Takes a private key in: spends the clearance.
pub(crate) fn import(
    storage: &dyn KeyStorage,
    cleared: Cleared<Import<'_>>,
) -> Result<PublicKey, StorageError> {
    storage.import(&cleared)
}

/// Uses a private key: spends the clearance, and seals the signature with the record that `draft`
/// makes of it. Only the audit log opens what is returned, once that record is durable.
pub(crate) fn sign<T>(
    storage: &dyn KeyStorage,
    cleared: Cleared<Sign<'_>>,
    draft: impl FnOnce(Signature) -> (T, Draft),
) -> Result<Unreleased<T>, StorageError> {
    let (value, draft) = draft(storage.sign(&cleared)?);
    Ok(Unreleased::new(value, draft))
}

/// As [`sign`], for a vote and perhaps its extension: one record for both. What was made is verified
/// before it counts, whatever made it: a wrong signature costs a validator the vote.
pub(crate) fn sign_vote<T>(
    storage: &dyn KeyStorage,
    (vote, extension): (Cleared<Sign<'_>>, Option<Cleared<Sign<'_>>>),
    draft: impl FnOnce(Signature, Option<Signature>) -> (T, Draft),
) -> Result<Unreleased<T>, StorageError> {
    let verified = |cleared: &Cleared<Sign<'_>>| {
        let signature = storage.sign(cleared)?;
        let Sign { key, message, scheme } = cleared.what();
        if !verify(&key.public_key, message, &signature.bytes, *scheme) {
            return Err(Fault::WrongSignature(key.id).into());
        }
        Ok::<_, StorageError>(signature)
    };
    let signature = verified(&vote)?;
    let extension = extension.as_ref().map(verified).transpose()?;
    let (value, draft) = draft(signature, extension);
    Ok(Unreleased::new(value, draft))
}

/// Takes over a key that another program made: spends the clearance.
pub(crate) fn adopt(
    storage: &dyn KeyStorage,
    cleared: Cleared<Adopt<'_>>,
) -> Result<AdoptedKey, StorageError> {
    storage.adopt(&cleared)
}

/// Removes a private key that is on nobody's record: spends the clearance.
pub(crate) fn remove_object(
    storage: &dyn KeyStorage,
    cleared: Cleared<RemoveObject<'_>>,
) -> Result<(), StorageError> {
    storage.remove_object(&cleared)
}

/// Opens the file of a private key for `take`, which puts it into another storage: spends the
/// clearance. The file stays; it goes when its record says so.
pub(crate) fn hand_over<T, E: From<StorageError>>(
    file: &FileStorage,
    cleared: Cleared<Migrate<'_>>,
    take: impl FnOnce(&PrivateKey) -> Result<T, E>,
) -> Result<T, E> {
    file.hand_over(&cleared, take)
}

/// Removes a private key: spends the clearance.
pub(crate) fn destroy(
    storage: &dyn KeyStorage,
    cleared: Cleared<Destroy<'_>>,
) -> Result<Destroyed, StorageError> {
    storage.destroy(&cleared)
}

/// The name of a storage of this module.
fn named(name: &str) -> StorageName {
    name.parse().expect("`memory` and `file` are names of storages")
}
