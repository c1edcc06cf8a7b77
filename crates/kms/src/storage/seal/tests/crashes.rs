//! Stops, errors and lies of the disk at every effect of every change to a keystore: afterwards
//! every key opens with a remaining secret, and a slot reported gone is gone.

use std::os::unix::fs::DirBuilderExt;

use super::*;

const FAULTS: [DiskFault; 4] =
    [DiskFault::Stop, DiskFault::Eio, DiskFault::NoSpace, DiskFault::DoneButReported];

/// A home of alice and bob with the keys 5 and, set aside, 7.
fn home() -> (Home, SlotId) {
    let (home, keystore) = Home::create();
    let bob = keystore.add_slot(slot("bob", &seed(2))).unwrap();
    [5, 7].into_iter().for_each(|byte| put(&keystore, byte));
    keystore.set_aside(|known| *known != id(7)).unwrap();
    (home, bob)
}

/// The same home once more, to be broken.
fn copy(home: &Home) -> Home {
    let copy = Home { dir: tempfile::tempdir().unwrap() };
    for dir in [PathBuf::new(), "orphans".into()] {
        fs::DirBuilder::new().mode(0o700).create(copy.path().join(&dir)).unwrap();
        for entry in fs::read_dir(home.path().join(&dir)).unwrap() {
            let name = dir.join(entry.unwrap().file_name());
            if home.path().join(&name).is_file() {
                fs::copy(home.path().join(&name), copy.path().join(&name)).unwrap();
            }
        }
    }
    copy
}

/// The keystore of `home` opened by alice, on a disk that fails at `fail_at`.
fn failing(home: &Home, fail_at: usize, fault: DiskFault) -> (Keystore, Arc<FaultyDisk>) {
    let disk = Arc::new(FaultyDisk::new(fail_at, fault));
    let keystore = home.open_on(Arc::clone(&disk) as Arc<dyn Disk>);
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    (keystore, disk)
}

fn slots_on_disk(home: &Home) -> Vec<u8> {
    fs::read(home.path().join("slots.json")).unwrap()
}

/// Opens the home on a good disk: all keys are there, nothing is pending.
fn check(home: &Home, bob_is_gone: bool) {
    let keystore = home.open();
    let bob = keystore.unseal(SlotRef::Principal("bob"), &seed(2));
    assert!(!bob_is_gone || bob.is_err(), "a slot reported gone opened the keystore");
    keystore.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap();
    assert!(!keystore.rotation_pending());
    assert!(holds(&keystore, 5));
    let name = format!("{}.key", "07".repeat(16));
    fs::rename(home.path().join("orphans").join(&name), home.path().join(&name)).unwrap();
    assert!(holds(&keystore, 7));
}

#[test]
fn removing_a_slot_survives_every_fault_at_every_effect() {
    let (whole, bob) = home();
    for fault in FAULTS {
        for fail_at in 0.. {
            let home = copy(&whole);
            let (keystore, disk) = failing(&home, fail_at, fault);
            let done = keystore.remove_slot(bob).is_ok();
            assert!(done || disk.fired());
            if fault != DiskFault::Stop && !keystore.is_sealed() {
                assert!(holds(&keystore, 5), "what stays open goes on to open its keys");
            }
            check(&home, done);
            if !disk.fired() {
                assert!(fail_at >= 4, "slots, two key files, slots are four effects at least");
                break;
            }
        }
    }
}

#[test]
fn going_on_after_a_stop_survives_another_stop() {
    let (whole, bob) = home();
    for first in 0.. {
        let broken = copy(&whole);
        let (keystore, stopped) = failing(&broken, first, DiskFault::Stop);
        drop(keystore.remove_slot(bob));
        if !stopped.fired() {
            return;
        }
        let pending = slots_on_disk(&broken) != slots_on_disk(&whole);
        for second in 0.. {
            let home = copy(&broken);
            let disk = Arc::new(FaultyDisk::new(second, DiskFault::Stop));
            let again = home.open_on(Arc::clone(&disk) as Arc<dyn Disk>);
            let unsealed = again.unseal(SlotRef::Principal("alice"), &seed(1));
            if second == 0 && disk.fired() {
                // Nothing is built on a file of slots that may not be durable.
                assert!(pending && unsealed.is_err() && again.is_sealed());
            }
            check(&home, pending);
            if !disk.fired() {
                break;
            }
        }
    }
}

#[test]
fn keystore_is_sealed_only_when_its_file_may_not_be_durable() {
    let (whole, bob) = home();
    let mut sealed = 0;
    for fault in [DiskFault::Eio, DiskFault::NoSpace, DiskFault::DoneButReported] {
        for fail_at in 0.. {
            let home = copy(&whole);
            let before = slots_on_disk(&home);
            let (keystore, disk) = failing(&home, fail_at, fault);
            drop(keystore.remove_slot(bob));
            let unchanged = slots_on_disk(&home) == before;
            if keystore.is_sealed() {
                assert!(!unchanged);
                sealed += 1;
            } else {
                assert_eq!(keystore.generation(), if unchanged { 1 } else { 2 });
                keystore.finish_rotation().unwrap();
            }
            if !disk.fired() {
                break;
            }
        }
    }
    assert!(sealed > 0);
}

#[test]
fn full_disk_leaves_the_keystore_open_as_it_was() {
    let (home, bob) = home();
    let (keystore, _) = failing(&home, 0, DiskFault::NoSpace);
    let removed = keystore.remove_slot(bob);
    assert!(matches!(removed, Err(StorageError::Fault(Fault::NoSpace))));
    assert!(!keystore.is_sealed());
    assert_eq!(keystore.generation(), 1);
    assert!(keystore.remove_slot(bob).is_ok());
}

#[test]
fn adding_a_slot_survives_every_fault() {
    let (whole, _bob) = home();
    for fault in FAULTS {
        for fail_at in 0.. {
            let home = copy(&whole);
            let (keystore, disk) = failing(&home, fail_at, fault);
            let added = keystore.add_slot(slot("carol", &seed(3)));
            check(&home, false);
            let carol = home.open().unseal(SlotRef::Principal("carol"), &seed(3));
            assert!(added.is_err() || carol.is_ok());
            if !disk.fired() {
                break;
            }
        }
    }
}

#[test]
fn making_a_keystore_leaves_one_or_none() {
    for fault in FAULTS {
        for fail_at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("keystore");
            let disk = Arc::new(FaultyDisk::new(fail_at, fault));
            let on = Arc::clone(&disk) as Arc<dyn Disk>;
            let made = Keystore::create(on, &path, slot("alice", &seed(1)));
            match Keystore::open(Arc::new(OsDisk), &path) {
                Ok(there) => there.unseal(SlotRef::Principal("alice"), &seed(1)).unwrap(),
                Err(StorageError::Fault(Fault::Disk(DiskError::NotFound))) => {
                    assert!(made.is_err());
                    let again = Keystore::create(Arc::new(OsDisk), &path, slot("a", &seed(1)));
                    assert!(again.is_ok());
                }
                Err(other) => panic!("{other}"),
            }
            if !disk.fired() {
                break;
            }
        }
    }
}
