//! A disk that is full, or may not be written. Needs a file system of its own, so root.

use std::env;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use kms::audit::EventType;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::manager::ErrorKind;

use crate::home::Home;
use crate::home::because;
use crate::home::key_file;
use crate::home::make;
use crate::home::named;
use crate::home::records;

/// More signatures than there is space kept back for on a small disk.
const MANY: usize = 20_000;

/// A file system of a few MiB that goes with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts it; where this user may not, says so loudly, and in CI fails.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=4m,mode=0700", "kms-test"];
        let mounted = Command::new("mount").args(mount).arg(directory.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        assert!(env::var_os("CI").is_none(), "this test needs to mount a file system");
        eprintln!("SKIP: this test needs to mount a file system");
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Writes until there is no space left.
    fn fill(&self) {
        let mut file = File::create(self.0.path().join("filler")).unwrap();
        for size in [65_536, 4096, 1] {
            let block = vec![7; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

// Attacks 26 and 37.
#[test]
fn full_disk_lets_nothing_be_signed_or_changed_and_is_recovered_from_without_a_restart() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = Home::development_in(disk.path());
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    let sign = || kms.sign(&caller, &named("val"), b"m", Scheme::default());
    disk.fill();
    let mut released = 0;
    let error = loop {
        match sign() {
            Ok(_) => released += 1,
            Err(error) => break error,
        }
        assert!(released < MANY, "a full disk is never noticed");
    };
    assert_eq!((error.code(), error.kind()), ("no_space", ErrorKind::Unavailable));
    let lifecycle = kms.lifecycle(&caller);
    let errors = [
        sign().unwrap_err(),
        kms.rotate_key(&caller, &named("val"), &because("x")).unwrap_err(),
        lifecycle.suspend_key(&named("val"), &because("x")).unwrap_err(),
        kms.generate_key(
            &caller,
            &"new".parse().unwrap(),
            crate::home::new_key(kms::key::Algorithm::P256),
        )
        .unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.code(), error.kind()), ("no_space", ErrorKind::Unavailable), "{error}");
    }
    assert!(!kms.status().audit_writable);
    disk.free();
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap(), key);
    sign().unwrap();
    released += 1;
    assert!(kms.audit(&caller).verify_integrity().unwrap().valid);
    let signed = |r: &&kms::audit::AuditEvent| r.event == EventType::KeySigned && r.success;
    assert_eq!(records(&home).iter().filter(signed).count(), released);
    assert_eq!(kms.list_keys(&caller).unwrap().len(), 1);
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().state, KeyState::Active);
    assert!(home.verify_log().valid);
    assert!(key_file(&home, &key).exists());
}

#[test]
fn home_that_cannot_be_written_is_not_opened_and_says_so() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = Home::development_in(disk.path());
    let remount = |how| {
        let mount = Command::new("mount").args(["-o", how]).arg(disk.path()).status();
        assert!(mount.unwrap().success());
    };
    remount("remount,ro");
    let error = home.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("read_only", ErrorKind::Unavailable), "{error}");
    assert!(error.advice()[0].contains("for writing"));
    remount("remount,rw");
    home.open().unwrap();
}
