//! What tokens and devices have to say that files do not: why they refuse, what else they hold, and
//! how they keep the key of the keystore.

use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;

use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::StorageName;
use crate::storage::error::StorageError;

/// Why a token or device did not do as asked. What is told is for operators; no secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeviceError {
    /// What a caller may conclude.
    pub kind: DeviceErrorKind,
    /// What failed, and why, with the values seen.
    pub message: String,
    /// What to do, most useful first; may be empty.
    pub advice: Vec<String>,
}

/// What a caller may conclude from a [`DeviceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceErrorKind {
    /// The library that reaches it is not there, or is none that can be loaded.
    Library,
    /// The settings are wrong: another token, a slot that moved.
    Settings,
    /// It is away, hung or broken; it is tried again by itself.
    Unavailable,
    /// It has no room for another key.
    Full,
    /// The PIN is wrong, locked, missing, or will not be risked.
    Pin,
    /// It cannot do this.
    Unsupported,
    /// What it answered is not what was asked for: a wrong signature, another key.
    Integrity,
    /// It refused in another way.
    Other,
}

/// A private key in a storage, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// The name it has there.
    pub label: String,
    /// The identifier it has there, in hex.
    pub object_id: String,
    /// Its public half, where that is there and of an algorithm of this product.
    pub public_key: Option<PublicKey>,
    /// The key that this product made it as.
    pub key: Option<KeyId>,
    /// Whether it was made there, and can never be read out.
    pub attributes: ObjectAttributes,
}

/// What a storage says of a private key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectAttributes {
    /// It was made there.
    pub local: bool,
    /// It cannot be read in the clear.
    pub sensitive: bool,
    /// It may leave, encrypted.
    pub extractable: bool,
    /// It was never readable in the clear.
    pub always_sensitive: bool,
    /// It never could leave.
    pub never_extractable: bool,
}

/// A key that another program made in a storage, taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedKey {
    /// Its public half, under which a test signature of it was verified.
    pub public_key: PublicKey,
    /// Whether the storage says that it was made there, not brought.
    pub local: bool,
}

/// The seed of a keystore slot, encrypted to a key that never leaves its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedSeed {
    /// The storage that unwraps it.
    pub storage: StorageName,
    /// The name of the wrapping key there.
    pub key: String,
    /// How it is wrapped, in the storage's own words.
    pub scheme: String,
    /// The ciphertext, in hex.
    pub ciphertext: String,
}

/// A storage that can keep the seed of a keystore slot, so that a home opens without a passphrase.
pub trait SeedKeeper {
    /// Encrypts a seed of 32 bytes to a key of this storage, which is made if there is none.
    ///
    /// # Errors
    /// Faults.
    fn wrap_seed(&self, seed: &SecretBytes) -> Result<WrappedSeed, StorageError>;

    /// Decrypts it again.
    ///
    /// # Errors
    /// Faults.
    fn unwrap_seed(&self, wrapped: &WrappedSeed) -> Result<SecretBytes, StorageError>;
}
