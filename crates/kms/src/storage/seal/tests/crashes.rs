//! Stops, errors and lies of the disk at every effect of every change to a keystore: afterwards
//! every key opens with a remaining secret, and a slot reported gone is gone.

use super::*;

const FAULTS: [DiskFault; 4] =
    [DiskFault::Stop, DiskFault::Eio, DiskFault::NoSpace, DiskFault::DoneButReported];

/// A home of alice and bob with the keys 5, 6 and, set aside, 7.
fn home() -> (Home, SlotId) {
    let (home, keystore) = Home::create();
    let bob = keystore.add_slot(slot("bob", &seed(2))).unwrap();
    [5, 6, 7].into_iter().for_each(|byte| put(&keystore, byte));
    keystore.set_aside(|known| *known != id(7)).unwrap();
    (home, bob)
}

/// Removes bob's slot on a disk that fails at `fail_at`; whether it was reported done.
fn remove_bob(home: &Home, bob: SlotId, fail_at: usize, fault: DiskFault) -> bool {
    let keystore = home.open_on(Arc::new(FaultyDisk::new(fail_at, fault)));
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    let removed = keystore.remove_slot(bob);
    if !keystore.is_sealed() {
        // Whatever failed, what is open goes on to open its keys.
        assert!(holds(&keystore, 5) && holds(&keystore, 6));
    }
    removed.is_ok()
}

/// Opens the home on a good disk: all keys are there, nothing is pending.
fn check(home: &Home, bob_is_gone: bool) {
    let keystore = home.open();
    let bob = keystore.unseal(SlotRef::Principal("bob"), &seed(2));
    assert!(!bob_is_gone || bob.is_err(), "a slot reported gone opened the keystore");
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(!keystore.rotation_pending());
    assert!(holds(&keystore, 5) && holds(&keystore, 6));
    let name = format!("{}.key", "07".repeat(16));
    fs::rename(home.path().join("orphans").join(&name), home.path().join(&name)).unwrap();
    assert!(holds(&keystore, 7));
}

#[test]
fn removing_a_slot_survives_every_fault_at_every_effect() {
    for fault in FAULTS {
        let mut effects = 0;
        loop {
            let (home, bob) = home();
            let done = remove_bob(&home, bob, effects, fault);
            check(&home, done);
            if done {
                break;
            }
            effects += 1;
        }
        assert_eq!(effects, 5, "slots, three key files, slots; {fault:?}");
    }
}

#[test]
fn going_on_after_a_stop_survives_another_stop() {
    for first in 1..5 {
        for second in 0..6 {
            let (home, bob) = home();
            assert!(!remove_bob(&home, bob, first, DiskFault::Stop));
            let disk = Arc::new(FaultyDisk::new(second, DiskFault::Stop));
            let unsealed = home.open_on(disk).unseal(SlotRef::Principal("alice"), &seed(1));
            // Nothing is built on a file of slots that may not be durable.
            assert_eq!(unsealed.is_ok(), second > 0);
            check(&home, true);
        }
    }
}

#[test]
fn file_of_slots_that_may_not_be_durable_seals_the_keystore() {
    let (home, bob) = home();
    let keystore = home.open_on(Arc::new(FaultyDisk::new(0, DiskFault::DoneButReported)));
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(keystore.remove_slot(bob).is_err());
    assert!(keystore.is_sealed());
}

#[test]
fn full_disk_leaves_the_keystore_open_as_it_was() {
    let (home, bob) = home();
    let keystore = home.open_on(Arc::new(FaultyDisk::new(0, DiskFault::NoSpace)));
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    let removed = keystore.remove_slot(bob);
    assert!(matches!(removed, Err(StorageError::Fault(Fault::NoSpace))));
    assert!(!keystore.is_sealed());
    assert_eq!(keystore.generation(), 1);
    assert!(keystore.remove_slot(bob).is_ok());
}

#[test]
fn adding_a_slot_survives_every_fault() {
    for fault in FAULTS {
        let (home, _bob) = home();
        let keystore = home.open_on(Arc::new(FaultyDisk::new(0, fault)));
        keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
        assert!(keystore.add_slot(slot("carol", &seed(3))).is_err());
        assert!(holds(&keystore, 5));
        check(&home, false);
    }
}

#[test]
fn making_a_keystore_leaves_one_or_none() {
    for fault in FAULTS {
        for fail_at in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("keystore");
            let disk = Arc::new(FaultyDisk::new(fail_at, fault));
            assert!(Keystore::create(disk, &path, slot("alice", &seed(1))).is_err());
            match Keystore::open(Arc::new(OsDisk), &path) {
                Ok(there) => there.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap(),
                Err(StorageError::Fault(Fault::Disk(DiskError::NotFound))) => {
                    let again = Keystore::create(Arc::new(OsDisk), &path, slot("a", &seed(1)));
                    assert!(again.is_ok());
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
