//! Slots open and refuse; a rotation survives a stop at every effect.

use std::fs;

use kms_formats::private::PrivateKey;
use tempfile::TempDir;

use super::*;
use crate::durable::Fault as DiskFault;
use crate::durable::FaultyDisk;
use crate::durable::OsDisk;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::Purpose;

mod crashes;

/// A directory that holds one keystore.
struct Home {
    dir: TempDir,
}

fn seed(byte: u8) -> SecretBytes {
    SecretBytes::copy_from(&[byte; 32])
}

fn slot<'a>(principal: &'a str, seed: &'a SecretBytes) -> NewSlot<'a> {
    NewSlot { kind: SlotKind::Passphrase, principal, seed, wrapped: None }
}

fn id(byte: u8) -> KeyId {
    KeyId::from_random([byte; 16])
}

fn header(byte: u8) -> Header {
    let public = PublicKey::new(Algorithm::Ed25519, &[byte; 32]).unwrap();
    Header { id: id(byte), purpose: Purpose::General, public }
}

fn put(keystore: &Keystore, byte: u8) {
    let private = PrivateKey { algorithm: Algorithm::Ed25519, bytes: seed(byte) };
    keystore.create_key(&header(byte), &private).unwrap();
}

fn holds(keystore: &Keystore, byte: u8) -> bool {
    let take = |read: Header, private: PrivateKey| {
        assert_eq!(read, header(byte));
        Ok(private.bytes == seed(byte))
    };
    keystore.with_key(&id(byte), take).unwrap()
}

#[track_caller]
fn refused<T: fmt::Debug>(result: Result<T, StorageError>) -> Refused {
    match result {
        Err(StorageError::Refused(refused)) => refused,
        other => panic!("{other:?} is no refusal"),
    }
}

impl Home {
    /// A keystore of alice (seed 1), open.
    fn create() -> (Self, Keystore) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore");
        let keystore = Keystore::create(Arc::new(OsDisk), &path, slot("alice", &seed(1))).unwrap();
        (Self { dir }, keystore)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keystore")
    }

    fn open(&self) -> Keystore {
        self.open_on(Arc::new(OsDisk))
    }

    fn open_on(&self, disk: Arc<dyn Disk>) -> Keystore {
        Keystore::open(disk, &self.path()).unwrap()
    }
}

#[test]
fn opened_keystore_is_sealed_until_its_secret_comes() {
    let (home, created) = Home::create();
    put(&created, 5);
    let keystore = home.open();
    assert!(keystore.is_sealed());
    let taken = keystore.with_key(&id(5), |_, _| Ok(()));
    assert_eq!(refused(taken), Refused::Locked);
    let other = seed(2);
    let wrong = keystore.unseal(SlotRef::Principal("alice"), &other);
    assert_eq!(refused(wrong), Refused::WrongPassphrase);
    let unknown = keystore.unseal(SlotRef::Principal("nobody"), &seed(1));
    assert_eq!(refused(unknown), Refused::WrongPassphrase);
    assert!(keystore.is_sealed());
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(holds(&keystore, 5));
}

#[test]
fn sealing_keeps_the_keys_and_the_same_secret_opens_again() {
    let (_home, keystore) = Home::create();
    put(&keystore, 5);
    keystore.seal();
    assert!(keystore.is_sealed());
    let taken = keystore.with_key(&id(5), |_, _| Ok(()));
    assert_eq!(refused(taken), Refused::Locked);
    let created = keystore
        .create_key(&header(6), &PrivateKey { algorithm: Algorithm::Ed25519, bytes: seed(6) });
    assert_eq!(refused(created), Refused::Locked);
    let slot = keystore.slots()[0].id;
    keystore.unseal(SlotRef::Id(slot), &seed(1)).unwrap();
    assert!(holds(&keystore, 5));
}

#[test]
fn keystore_is_never_made_over_another() {
    let (home, _keystore) = Home::create();
    let again = Keystore::create(Arc::new(OsDisk), &home.path(), slot("bob", &seed(2)));
    assert_eq!(refused(again), Refused::KeystoreExists(home.path()));
    home.open().unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
}

#[test]
fn added_slot_opens_with_its_own_secret_only() {
    let (home, keystore) = Home::create();
    put(&keystore, 5);
    keystore.add_slot(slot("bob", &seed(2))).unwrap();
    let keystore = home.open();
    let crossed = keystore.unseal(SlotRef::Principal("bob"), &seed(1));
    assert_eq!(refused(crossed), Refused::WrongPassphrase);
    keystore.unseal(SlotRef::Principal("bob"), &seed(2)).unwrap();
    assert!(holds(&keystore, 5));
    let principals: Vec<String> = keystore.slots().into_iter().map(|s| s.principal).collect();
    assert_eq!(principals, ["alice", "bob"]);
}

#[test]
fn sealed_keystore_changes_no_slot() {
    let (home, _created) = Home::create();
    let keystore = home.open();
    assert_eq!(refused(keystore.add_slot(slot("bob", &seed(2)))), Refused::Locked);
    let alice = keystore.slots()[0].id;
    assert_eq!(refused(keystore.remove_slot(alice)), Refused::Locked);
    assert_eq!(refused(keystore.finish_rotation()), Refused::Locked);
}

#[test]
fn slots_that_cannot_be_right_are_refused() {
    let (_home, keystore) = Home::create();
    let (good, short) = (seed(2), SecretBytes::copy_from(&[2; 31]));
    let long = "x".repeat(65);
    for bad in [
        slot("", &good),
        slot(&long, &good),
        slot("a\nb", &good),
        slot("é", &good),
        slot("b", &short),
    ] {
        assert!(matches!(refused(keystore.add_slot(bad)), Refused::InvalidSlot(_)), "{bad:?}");
    }
    for number in 1..slots::MAX_SLOTS {
        keystore.add_slot(slot(&format!("p{number}"), &good)).unwrap();
    }
    assert!(matches!(refused(keystore.add_slot(slot("p", &good))), Refused::InvalidSlot(_)));
}

#[test]
fn removed_slot_opens_nothing_and_the_others_need_no_passphrase() {
    let (home, keystore) = Home::create();
    let bob = keystore.add_slot(slot("bob", &seed(2))).unwrap();
    put(&keystore, 5);
    let before = fs::read(home.path().join("slots.json")).unwrap();
    let rotation = keystore.remove_slot(bob).unwrap();
    assert_eq!(rotation, Rotation { generation: 2, rewritten: 1, damaged: vec![] });
    assert!(holds(&keystore, 5));
    put(&keystore, 6);

    let keystore = home.open();
    let gone = keystore.unseal(SlotRef::Principal("bob"), &seed(2));
    assert_eq!(refused(gone), Refused::WrongPassphrase);
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(holds(&keystore, 5) && holds(&keystore, 6));
    assert!(!keystore.rotation_pending());

    // Bob puts his old file of slots back: he opens the keystore of then and no key of now.
    fs::write(home.path().join("slots.json"), before).unwrap();
    let keystore = home.open();
    keystore.unseal(SlotRef::Principal("bob"), &seed(2)).unwrap();
    assert_eq!(keystore.generation(), 1);
    for byte in [5, 6] {
        let opened = keystore.with_key(&id(byte), |_, _| Ok(()));
        assert!(matches!(opened, Err(StorageError::Fault(Fault::Tampered { .. }))));
    }
}

#[test]
fn slot_of_a_token_keeps_its_wrapped_seed_through_rotations_and_restarts() {
    let (home, keystore) = Home::create();
    put(&keystore, 1);
    let wrapped = WrappedSeed {
        storage: "hsm:soft".parse().unwrap(),
        key: "virtengine:unlock".to_owned(),
        scheme: "rsa-oaep-sha256".to_owned(),
        ciphertext: "00ff".to_owned(),
    };
    let (token, other) = (seed(7), seed(8));
    let (kind, principal) = (SlotKind::Hsm, "hsm:soft");
    let new = NewSlot { kind, principal, seed: &token, wrapped: Some(&wrapped) };
    let id = keystore.add_slot(new).unwrap();
    let bob = keystore.add_slot(slot("bob", &other)).unwrap();
    keystore.remove_slot(bob).unwrap(); // a rotation
    let again = home.open();
    assert_eq!(again.wrapped_seeds(), [(id, wrapped.clone())]);
    again.unseal(SlotRef::Id(id), &token).unwrap();
    assert!(holds(&again, 1));
    // A passphrase has none, and a token always has one.
    let without = NewSlot { wrapped: None, ..new };
    assert!(matches!(refused(again.add_slot(without)), Refused::InvalidSlot(_)));
    let with = NewSlot { kind: SlotKind::Passphrase, ..new };
    assert!(matches!(refused(again.add_slot(with)), Refused::InvalidSlot(_)));
}

#[test]
fn last_slot_and_unknown_slots_are_not_removed() {
    let (_home, keystore) = Home::create();
    let alice = keystore.slots()[0].id;
    assert_eq!(refused(keystore.remove_slot(alice)), Refused::LastSlot);
    let unknown: SlotId = "0123456789abcdef".parse().unwrap();
    let expected = Refused::NoSlot("0123456789abcdef".into());
    assert_eq!(refused(keystore.remove_slot(unknown)), expected);
    assert_eq!(keystore.generation(), 1);
}

#[test]
fn damaged_key_file_keeps_the_rotation_pending_until_it_is_mended() {
    let (home, keystore) = Home::create();
    let bob = keystore.add_slot(slot("bob", &seed(2))).unwrap();
    let carol = keystore.add_slot(slot("carol", &seed(3))).unwrap();
    put(&keystore, 5);
    put(&keystore, 6);
    let path = home.path().join(format!("{}.key", "05".repeat(16)));
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..100]).unwrap();

    let rotation = keystore.remove_slot(bob).unwrap();
    let damaged = vec![path.clone()];
    assert_eq!(rotation, Rotation { generation: 2, rewritten: 1, damaged: damaged.clone() });
    assert!(keystore.rotation_pending());
    let rotation = keystore.remove_slot(carol).unwrap(); // a damaged file keeps nobody in
    assert_eq!(rotation, Rotation { generation: 3, rewritten: 1, damaged });

    fs::write(&path, good).unwrap();
    let keystore = home.open();
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(!keystore.rotation_pending());
    assert!(holds(&keystore, 5) && holds(&keystore, 6));
}

#[test]
fn file_of_slots_that_the_keystore_did_not_write_is_refused() {
    let (home, _keystore) = Home::create();
    let path = home.path().join("slots.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("alice", "alicf")).unwrap();
    let opened = Keystore::open(Arc::new(OsDisk), &home.path());
    assert!(matches!(opened, Err(StorageError::Fault(Fault::SlotsTampered { .. }))));
}

#[test]
fn keys_created_while_the_keystore_key_rotates_stay_readable() {
    let (home, keystore) = Home::create();
    let extra: Vec<SlotId> =
        (0..4).map(|_| keystore.add_slot(slot("bob", &seed(2))).unwrap()).collect();
    std::thread::scope(|scope| {
        for lane in 0..4u8 {
            let keystore = &keystore;
            scope.spawn(move || (0..6).for_each(|n| put(keystore, 10 + lane * 10 + n)));
        }
        extra.iter().for_each(|slot| assert!(keystore.remove_slot(*slot).is_ok()));
    });
    let keystore = home.open();
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert_eq!((keystore.generation(), keystore.rotation_pending()), (5, false));
    for lane in 0..4 {
        (0..6).for_each(|n| assert!(holds(&keystore, 10 + lane * 10 + n)));
    }
}

#[test]
fn orphans_are_set_aside_and_follow_rotations() {
    let (home, keystore) = Home::create();
    let bob = keystore.add_slot(slot("bob", &seed(2))).unwrap();
    put(&keystore, 5);
    put(&keystore, 6);
    let aside = home.path().join("orphans").join(format!("{}.key", "06".repeat(16)));
    let orphans = keystore.set_aside(|known| *known == id(5)).unwrap();
    assert_eq!(orphans, [Orphan { id: id(6), path: aside.clone() }]);
    assert_eq!(keystore.key_ids().unwrap(), [id(5)]);
    assert_eq!(keystore.remove_slot(bob).unwrap().rewritten, 2);

    let back = home.path().join(format!("{}.key", "06".repeat(16)));
    fs::copy(&aside, back).unwrap();
    assert!(holds(&keystore, 6));
    let again = keystore.set_aside(|known| *known == id(5)).unwrap();
    assert!(again[0].path.ends_with(format!("orphans/{}.2.key", "06".repeat(16))));
    assert!(aside.exists());
}

#[test]
fn debug_shows_the_directory_only() {
    let (home, keystore) = Home::create();
    assert_eq!(format!("{keystore:?}"), format!("Keystore {{ dir: {:?}, .. }}", home.path()));
}
