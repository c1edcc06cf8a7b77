//! Key files as an attacker, a crash and many threads meet them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use kms_secret::SecretBytes;
use tempfile::TempDir;

use super::*;
use crate::durable::Disk;
use crate::durable::Fault as DiskFault;
use crate::durable::FaultyDisk;
use crate::durable::OsDisk;
use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::storage::Refused;
use crate::storage::conformance::conformance;
use crate::storage::conformance::fresh_id;
use crate::storage::conformance::generate;
use crate::storage::conformance::record;
use crate::storage::conformance::sign;
use crate::storage::seal::NewSlot;
use crate::storage::seal::SlotKind;
use crate::storage::seal::SlotRef;

/// A directory with one keystore, and the storage on it, open.
struct Home {
    dir: TempDir,
    storage: FileStorage,
}

fn seed() -> SecretBytes {
    SecretBytes::copy_from(&[1; 32])
}

fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore");
    let first =
        NewSlot { kind: SlotKind::Passphrase, principal: "alice", seed: &seed(), wrapped: None };
    let keystore = Keystore::create(Arc::new(OsDisk), &path, first).unwrap();
    Home { storage: FileStorage::new(Arc::new(keystore), PARSED_KEYS), dir }
}

impl Home {
    /// The same home as another process would open it: nothing parsed yet.
    fn reopened(&self) -> FileStorage {
        self.reopened_on(Arc::new(OsDisk))
    }

    fn reopened_on(&self, disk: Arc<dyn Disk>) -> FileStorage {
        let keystore = Keystore::open(disk, &self.dir.path().join("keystore")).unwrap();
        keystore.unseal(SlotRef::Principal("alice"), &seed()).unwrap();
        FileStorage::new(Arc::new(keystore), PARSED_KEYS)
    }

    fn file(&self, id: &KeyId) -> PathBuf {
        self.dir.path().join("keystore").join(format!("{}.key", hex::encode(id.as_bytes())))
    }

    fn key(&self) -> ManagedKey {
        generate(&self.storage, Algorithm::Ed25519).unwrap()
    }
}

/// What a fresh process says to a signature with `key`.
fn tampered(home: &Home, key: &ManagedKey) -> &'static str {
    match sign(&home.reopened(), key, b"m") {
        Err(StorageError::Fault(Fault::Tampered { key: named, why })) if named == key.id => why,
        other => panic!("{other:?} is no tampering of {}", key.id),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, StorageError>) -> Refused {
    match result {
        Err(StorageError::Refused(refused)) => refused,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn file_storage_conforms() {
    conformance(&home().storage);
}

#[test]
fn keys_survive_the_process_and_a_lock() {
    let home = home();
    let key = home.key();
    let first = sign(&home.storage, &key, b"m").unwrap();
    assert_eq!(sign(&home.reopened(), &key, b"m").unwrap(), first);
    home.storage.lock();
    assert_eq!(refused(sign(&home.storage, &key, b"m")), Refused::Locked);
    assert_eq!(refused(generate(&home.storage, Algorithm::P256)), Refused::Locked);
    home.storage.keystore.unseal(SlotRef::Principal("alice"), &seed()).unwrap();
    assert_eq!(sign(&home.storage, &key, b"m").unwrap(), first);
}

#[test]
fn swapped_key_files_are_refused() {
    let home = home();
    let (one, two) = (home.key(), home.key());
    let aside = home.dir.path().join("aside");
    fs::rename(home.file(&one.id), &aside).unwrap();
    fs::rename(home.file(&two.id), home.file(&one.id)).unwrap();
    fs::rename(&aside, home.file(&two.id)).unwrap();
    assert_eq!(tampered(&home, &one), "it is the file of another key");
    assert_eq!(tampered(&home, &two), "it is the file of another key");
}

#[test]
fn renamed_key_file_is_no_other_key() {
    let home = home();
    let key = home.key();
    let other = record(&home.storage, fresh_id(), key.public_key.clone());
    fs::rename(home.file(&key.id), home.file(&other.id)).unwrap();
    assert_eq!(tampered(&home, &other), "it is the file of another key");
    assert_eq!(refused(sign(&home.reopened(), &key, b"m")), Refused::NotFound(key.id));
}

#[test]
fn edited_cut_and_overlong_key_files_are_refused() {
    let home = home();
    let key = home.key();
    let storage = home.reopened();
    let good = fs::read(home.file(&key.id)).unwrap();
    for at in 0..good.len() {
        let mut edited = good.clone();
        edited[at] ^= 1;
        fs::write(home.file(&key.id), edited).unwrap();
        let signed = sign(&storage, &key, b"m");
        assert!(matches!(signed, Err(StorageError::Fault(Fault::Tampered { .. }))), "byte {at}");
    }
    for len in [0, 8, 31, 64, good.len() - 1] {
        fs::write(home.file(&key.id), &good[..len]).unwrap();
        assert!(!tampered(&home, &key).is_empty());
    }
    fs::write(home.file(&key.id), vec![0; 9000]).unwrap();
    assert_eq!(tampered(&home, &key), "it is too long");
    fs::write(home.file(&key.id), good).unwrap();
    sign(&storage, &key, b"m").unwrap();
}

#[test]
fn key_file_behind_a_symlink_is_not_read() {
    let home = home();
    let key = home.key();
    let aside = home.dir.path().join("aside");
    fs::rename(home.file(&key.id), &aside).unwrap();
    symlink(&aside, home.file(&key.id)).unwrap();
    let signed = sign(&home.reopened(), &key, b"m");
    assert!(matches!(signed, Err(StorageError::Fault(Fault::Disk(_)))), "{signed:?}");
}

#[test]
fn record_with_another_purpose_gets_no_signature() {
    let home = home();
    let key = home.key();
    sign(&home.storage, &key, b"m").unwrap();
    let moved = ManagedKey { purpose: Purpose::Consensus, ..key };
    for storage in [&home.storage, &home.reopened()] {
        let signed = sign(storage, &moved, b"m");
        assert!(matches!(signed, Err(StorageError::Fault(Fault::Tampered { .. }))));
    }
}

#[test]
fn destroyed_key_leaves_no_file_and_no_parsed_copy() {
    let home = home();
    let key = home.key();
    sign(&home.storage, &key, b"m").unwrap();
    let destroyed = home.storage.destroy(&Cleared::for_test(Destroy { key: &key })).unwrap();
    assert_eq!(destroyed, Destroyed { files: vec![home.file(&key.id)], overwritten: false });
    assert!(!home.file(&key.id).exists());
    assert_eq!(refused(sign(&home.storage, &key, b"m")), Refused::NotFound(key.id));
}

#[test]
fn key_is_destroyed_while_the_keystore_is_sealed() {
    let home = home();
    let key = home.key();
    home.storage.lock();
    home.storage.destroy(&Cleared::for_test(Destroy { key: &key })).unwrap();
    assert!(home.storage.key_ids().unwrap().is_empty());
}

#[test]
fn key_files_without_a_record_are_set_aside_and_not_used() {
    let home = home();
    let (known, orphan) = (home.key(), home.key());
    let found = home.storage.orphans(|id| *id == known.id).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, orphan.id);
    assert!(found[0].path.exists());
    assert_eq!(refused(sign(&home.reopened(), &orphan, b"m")), Refused::NotFound(orphan.id));
    sign(&home.reopened(), &known, b"m").unwrap();
}

#[test]
fn more_keys_than_are_kept_parsed_all_sign() {
    let home = home();
    let keys = [home.key(), home.key(), home.key()];
    let storage = FileStorage::new(Arc::clone(&home.storage.keystore), 1);
    for key in keys.iter().chain(&keys) {
        sign(&storage, key, b"m").unwrap();
    }
}

#[test]
fn creating_a_key_leaves_a_whole_file_or_none() {
    for fault in [DiskFault::Stop, DiskFault::NoSpace, DiskFault::DoneButReported] {
        for fail_at in 0.. {
            let home = home();
            let disk = Arc::new(FaultyDisk::new(fail_at, fault));
            let made =
                generate(&home.reopened_on(Arc::clone(&disk) as Arc<dyn Disk>), Algorithm::Ed25519);
            let storage = home.reopened();
            let there = storage.key_ids().unwrap();
            assert!(made.is_err() || there.len() == 1);
            for id in there {
                let public = storage.keystore.with_key(&id, |header, _| Ok(header.public)).unwrap();
                sign(&storage, &record(&storage, id, public), b"m").unwrap();
            }
            if !disk.fired() {
                break;
            }
        }
    }
}

#[test]
fn nothing_is_parsed_or_signed_after_a_lock_returned() {
    let home = home();
    let keys = [home.key(), home.key(), home.key(), home.key()];
    std::thread::scope(|scope| {
        for key in &keys {
            let storage = &home.storage;
            scope.spawn(move || {
                while sign(storage, key, b"m").is_ok() {}
                assert_eq!(refused(sign(storage, key, b"m")), Refused::Locked);
            });
        }
        home.storage.lock();
        for key in &keys {
            assert_eq!(refused(sign(&home.storage, key, b"m")), Refused::Locked);
        }
    });
}
