//! What a storage answers when it does not do as asked.

use std::path::PathBuf;

use crate::durable::DiskError;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::StorageName;
use crate::storage::device::DeviceError;

/// Why a storage did not do as asked: by rule, or because of the machine. The two never mix.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// By rule; the caller can act on it and may be told all of it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Because of the machine or of damage; details are for the operator.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a storage refuses by rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The keystore is sealed.
    #[error("the keystore is locked; unlock it to use its keys")]
    Locked,
    /// This storage has no such key.
    #[error("{0} is not in this storage")]
    NotFound(KeyId),
    /// This storage has a key of this id.
    #[error("{0} is in this storage already")]
    Exists(KeyId),
    /// This storage has no keys of this algorithm.
    #[error("storage `{storage}` has no {algorithm} keys; it has {}", list(alternatives))]
    Unsupported {
        /// The storage asked.
        storage: StorageName,
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// What the storage has instead, in the specification's order.
        alternatives: Vec<Algorithm>,
    },
    /// This storage makes keys of this algorithm, and takes none in.
    #[error("storage `{storage}` takes in no {algorithm} keys; it can only make its own")]
    NoImport {
        /// The storage asked.
        storage: StorageName,
        /// The algorithm of the key.
        algorithm: Algorithm,
    },
    /// This storage holds no keys but its own.
    #[error("storage `{0}` has no keys of other programs")]
    NoOthers(StorageName),
    /// There is no object of this name.
    #[error("storage `{storage}` has no private key named `{name}`")]
    NoObject {
        /// The storage asked.
        storage: StorageName,
        /// The name asked for.
        name: String,
    },
    /// Several objects have this name.
    #[error("storage `{storage}` has {count} private keys named `{name}`; name one by its id")]
    AmbiguousObject {
        /// The storage asked.
        storage: StorageName,
        /// The name asked for.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The object is of no algorithm of this product, or its public half is not there.
    #[error("`{name}` cannot be taken over: {why}")]
    NotAdoptable {
        /// The name asked for.
        name: String,
        /// Why not.
        why: String,
    },
    /// This storage keeps no seeds of keystore slots.
    #[error("storage `{0}` cannot unlock the keystore")]
    NoUnwrapping(StorageName),
    /// The bytes are no private key of the algorithm.
    #[error("this {algorithm} private key is not usable: {why}")]
    InvalidKey {
        /// The algorithm the key claims.
        algorithm: Algorithm,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The public half that came with a private key belongs to another.
    #[error("the {0} public key that came with this private key belongs to another private key")]
    PublicMismatch(Algorithm),
    /// The algorithm cannot sign that way.
    #[error("{algorithm} cannot sign this: {why}")]
    Scheme {
        /// The key's algorithm.
        algorithm: Algorithm,
        /// Why not.
        why: &'static str,
    },
    /// The secret opens no slot of this name; also the answer when there is no such slot.
    #[error("the keystore does not open with this passphrase")]
    WrongPassphrase,
    /// There is no slot of this id.
    #[error("the keystore has no slot `{0}`")]
    NoSlot(String),
    /// Without its last slot the keystore could never be opened again.
    #[error("this is the keystore's last slot; add another before removing it")]
    LastSlot,
    /// A slot's owner is named by 1 to 64 visible ASCII characters, and there are at most 64 slots.
    #[error("no slot was added: {0}")]
    InvalidSlot(&'static str),
    /// A keystore stands there already.
    #[error("{} holds a keystore already", .0.display())]
    KeystoreExists(PathBuf),
}

/// What broke.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A key's stored form is not as it was written, or does not belong to this key's record.
    #[error("the stored form of {key} was altered: {why}")]
    Tampered {
        /// Whose.
        key: KeyId,
        /// How that shows.
        why: &'static str,
    },
    /// What was signed does not verify under the key's public half; it was discarded.
    #[error("the signature by {0} does not verify and was discarded")]
    WrongSignature(KeyId),
    /// The file of slots is not as it was written.
    #[error("{} was altered: {why}", path.display())]
    SlotsTampered {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: &'static str,
    },
    /// A token or device did not do as asked.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The disk is full; nothing was changed.
    #[error("no space left on the disk of the keystore")]
    NoSpace,
    /// The disk refused or broke.
    #[error("keystore disk: {0}")]
    Disk(#[source] DiskError),
    /// An algorithm gave a wrong answer in its self-test; nothing is signed by this process again.
    #[error("self-test of {0} failed; this process signs no more")]
    SelfTestFailed(Algorithm),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// The cryptographic library refused where it cannot by its documentation.
    #[error("the cryptographic library refused: {0}")]
    Library(&'static str),
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::NoSpace => Self::NoSpace,
            other => Self::Disk(other),
        }
    }
}

impl From<DeviceError> for StorageError {
    fn from(error: DeviceError) -> Self {
        Self::Fault(Fault::Device(error))
    }
}

impl From<DiskError> for StorageError {
    fn from(error: DiskError) -> Self {
        Self::Fault(error.into())
    }
}

fn list(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    names.join(", ")
}
