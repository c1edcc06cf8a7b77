//! A private key in memory as the software storages hold it, bound to what its record says.

use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::key::Signature;
use crate::lifecycle::uses::Sign;
use crate::storage::error::Fault;
use crate::storage::error::StorageError;
use crate::storage::software::SoftwareKey;

/// A parsed private key and its purpose.
#[derive(Debug)]
pub(in crate::storage) struct Held {
    pub(in crate::storage) purpose: Purpose,
    pub(in crate::storage) key: SoftwareKey,
}

impl Held {
    /// Signs what was cleared, if this is the key that was cleared.
    pub(in crate::storage) fn sign(&self, what: &Sign<'_>) -> Result<Signature, StorageError> {
        self.check(what.key)?;
        self.key.sign(what.message, what.scheme)
    }

    /// Refuses a record whose public half or purpose is another's: whoever swapped one of the two
    /// gets no signature (PCI DSS 3.7.7).
    pub(in crate::storage) fn check(&self, record: &ManagedKey) -> Result<(), Fault> {
        let why = if *self.key.public_key() != record.public_key {
            "its public key is not the one on record"
        } else if self.purpose != record.purpose {
            "its purpose is not the one on record"
        } else {
            return Ok(());
        };
        Err(Fault::Tampered { key: record.id, why })
    }
}
