//! What every storage has to do, as one suite that each kind runs in its tests.

use std::thread;

use kms_formats::private::PrivateKey;

use crate::compromise::Cleared;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Origin;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Scheme;
use crate::key::Signature;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Sign;
use crate::storage::KeyStorage;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::software;
use crate::storage::software::random;
use crate::storage::software::verify;
use crate::time::Timestamp;

const MESSAGE: &[u8] = b"every storage signs this";

/// A fresh key outside every storage: its public half, and what signs with it as any message is
/// signed. It stands for a signer who is somewhere else.
///
/// # Panics
/// When no key can be made.
#[cfg(test)]
pub(crate) fn signer(algorithm: Algorithm) -> (PublicKey, impl Fn(&[u8]) -> Vec<u8>) {
    let (_, key) = software::SoftwareKey::generate(algorithm).expect("a key is made");
    let public = key.public_key().clone();
    (public, move |message: &[u8]| key.sign(message, Scheme::default()).expect("it signs").bytes)
}

/// Holds an empty, open storage to the contract of [`KeyStorage`]; leaves it locked.
///
/// # Panics
/// At the first point that does not hold.
#[expect(clippy::panic, clippy::unwrap_used, reason = "a test suite says no by panicking")]
pub fn conformance(storage: &dyn KeyStorage) {
    assert!(storage.key_ids().unwrap().is_empty(), "the suite needs an empty storage");
    assert!(!storage.algorithms().is_empty());
    let mut records = Vec::new();
    for algorithm in Algorithm::ALL {
        if storage.algorithms().contains(&algorithm) {
            records.push(generated_key_signs(storage, algorithm));
            if storage.importable().contains(&algorithm) {
                records.push(imported_key_signs(storage, algorithm));
            } else {
                import_is_refused(storage, algorithm);
            }
        } else {
            unsupported_algorithm_names_the_others(storage, algorithm);
        }
    }
    ids_are_those_of_the_keys(storage, &records);
    id_is_taken_once(storage, &records);
    unknown_id_is_not_found(storage, &records);
    record_of_another_key_gets_no_signature(storage, &records);
    threads_sign_at_once(storage, &records);
    let gone = records.pop().unwrap();
    destroyed_key_is_gone(storage, &gone);
    ids_are_those_of_the_keys(storage, &records);
    storage.lock();
    for record in &records {
        match refusal(sign(storage, record, MESSAGE)) {
            Refused::Locked | Refused::NotFound(_) => {}
            other => panic!("a locked storage answered {other}"),
        }
    }
}

/// The record of a key of this public half, active since the epoch.
pub(in crate::storage) fn record(
    storage: &dyn KeyStorage,
    id: KeyId,
    public_key: PublicKey,
) -> ManagedKey {
    ManagedKey {
        id,
        label: "conformance".parse().expect("a plain word is a label"),
        purpose: Purpose::General,
        storage: storage.name().clone(),
        origin: Origin::Generated,
        public_key,
        policy: "default".parse().expect("a plain word names a policy"),
        state: KeyState::Active,
        created_at: Timestamp::EPOCH,
        activated_at: Some(Timestamp::EPOCH),
        deactivated_at: None,
        expires_at: None,
        destroy_at: None,
        destroyed_at: None,
        successor: None,
        predecessor: None,
    }
}

/// A fresh id.
pub(in crate::storage) fn fresh_id() -> KeyId {
    let bytes = random(16).expect("tests need random bytes");
    KeyId::from_random(bytes.expose().try_into().expect("16 are 16"))
}

/// Makes a key of purpose `general` and its record.
pub(in crate::storage) fn generate(
    storage: &dyn KeyStorage,
    algorithm: Algorithm,
) -> Result<ManagedKey, StorageError> {
    let id = fresh_id();
    let what = Generate { id, algorithm, purpose: Purpose::General };
    let public = storage.generate(&Cleared::for_test(what))?;
    Ok(record(storage, id, public))
}

/// Signs in the algorithm's default way.
pub(in crate::storage) fn sign(
    storage: &dyn KeyStorage,
    key: &ManagedKey,
    message: &[u8],
) -> Result<Signature, StorageError> {
    storage.sign(&Cleared::for_test(Sign { key, message, scheme: Scheme::default() }))
}

fn import(
    storage: &dyn KeyStorage,
    material: &PrivateKey,
    claimed_public: Option<&PublicKey>,
) -> Result<ManagedKey, StorageError> {
    let id = fresh_id();
    let what = Import { id, purpose: Purpose::General, material, claimed_public };
    let public = storage.import(&Cleared::for_test(what))?;
    Ok(record(storage, id, public))
}

#[expect(clippy::panic, reason = "a test suite says no by panicking")]
fn refusal<T: std::fmt::Debug>(result: Result<T, StorageError>) -> Refused {
    match result {
        Err(StorageError::Refused(refused)) => refused,
        other => panic!("{other:?} is no refusal"),
    }
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn generated_key_signs(storage: &dyn KeyStorage, algorithm: Algorithm) -> ManagedKey {
    let key = generate(storage, algorithm).unwrap();
    assert_eq!(key.algorithm(), algorithm);
    signs_and_verifies(storage, &key);
    key
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn imported_key_signs(storage: &dyn KeyStorage, algorithm: Algorithm) -> ManagedKey {
    let (material, public) = software::material(algorithm).unwrap();
    let key = import(storage, &material, Some(&public)).unwrap();
    assert_eq!(key.public_key, public);
    signs_and_verifies(storage, &key);
    let (_, other) = software::material(algorithm).unwrap();
    let refused = refusal(import(storage, &material, Some(&other)));
    assert_eq!(refused, Refused::PublicMismatch(algorithm));
    key
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn import_is_refused(storage: &dyn KeyStorage, algorithm: Algorithm) {
    let (material, _) = software::material(algorithm).unwrap();
    let refused = refusal(import(storage, &material, None));
    assert_eq!(refused, Refused::NoImport { storage: storage.name().clone(), algorithm });
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn signs_and_verifies(storage: &dyn KeyStorage, key: &ManagedKey) {
    let signature = sign(storage, key, MESSAGE).unwrap();
    assert_eq!(signature.algorithm, key.algorithm());
    assert_eq!(signature.recovery_id.is_some(), key.algorithm() == Algorithm::Secp256k1);
    let holds = |message| verify(&key.public_key, message, &signature.bytes, Scheme::default());
    assert!(holds(MESSAGE), "{} signature does not verify", key.algorithm());
    assert!(!holds(b"another"));
    let empty = sign(storage, key, b"").unwrap();
    assert!(verify(&key.public_key, b"", &empty.bytes, Scheme::default()));
}

fn unsupported_algorithm_names_the_others(storage: &dyn KeyStorage, algorithm: Algorithm) {
    let refused = refusal(generate(storage, algorithm));
    let (storage, alternatives) = (storage.name().clone(), storage.algorithms());
    assert_eq!(refused, Refused::Unsupported { storage, algorithm, alternatives });
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn ids_are_those_of_the_keys(storage: &dyn KeyStorage, records: &[ManagedKey]) {
    let mut ids: Vec<KeyId> = records.iter().map(|record| record.id).collect();
    ids.sort();
    assert_eq!(storage.key_ids().unwrap(), ids);
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn id_is_taken_once(storage: &dyn KeyStorage, records: &[ManagedKey]) {
    let key = records.first().unwrap();
    let what = Generate { id: key.id, algorithm: key.algorithm(), purpose: key.purpose };
    let refused = refusal(storage.generate(&Cleared::for_test(what)));
    assert_eq!(refused, Refused::Exists(key.id));
    let (material, _) = software::material(key.algorithm()).unwrap();
    let (purpose, claimed_public) = (key.purpose, None);
    let what = Import { id: key.id, purpose, material: &material, claimed_public };
    if storage.importable().contains(&key.algorithm()) {
        assert_eq!(refusal(storage.import(&Cleared::for_test(what))), Refused::Exists(key.id));
    }
    signs_and_verifies(storage, key);
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn unknown_id_is_not_found(storage: &dyn KeyStorage, records: &[ManagedKey]) {
    let unknown = ManagedKey { id: fresh_id(), ..records.first().unwrap().clone() };
    let expected = Refused::NotFound(unknown.id);
    assert_eq!(refusal(sign(storage, &unknown, MESSAGE)), expected);
    let destroyed = storage.destroy(&Cleared::for_test(Destroy { key: &unknown }));
    assert_eq!(refusal(destroyed), expected);
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn record_of_another_key_gets_no_signature(storage: &dyn KeyStorage, records: &[ManagedKey]) {
    let [one, two] = [records.first().unwrap(), records.get(1).unwrap()];
    let swapped = ManagedKey { public_key: two.public_key.clone(), ..one.clone() };
    assert!(matches!(sign(storage, &swapped, MESSAGE), Err(StorageError::Fault(_))));
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn threads_sign_at_once(storage: &dyn KeyStorage, records: &[ManagedKey]) {
    thread::scope(|scope| {
        for thread in 0..8u8 {
            scope.spawn(move || {
                for (round, key) in records.iter().enumerate() {
                    let message = [thread, u8::try_from(round).unwrap()];
                    let signature = sign(storage, key, &message).unwrap();
                    let scheme = Scheme::default();
                    assert!(verify(&key.public_key, &message, &signature.bytes, scheme));
                }
            });
        }
    });
}

#[expect(clippy::unwrap_used, reason = "a test suite says no by panicking")]
fn destroyed_key_is_gone(storage: &dyn KeyStorage, key: &ManagedKey) {
    signs_and_verifies(storage, key);
    storage.destroy(&Cleared::for_test(Destroy { key })).unwrap();
    assert_eq!(refusal(sign(storage, key, MESSAGE)), Refused::NotFound(key.id));
    let again = storage.destroy(&Cleared::for_test(Destroy { key }));
    assert_eq!(refusal(again), Refused::NotFound(key.id));
}
