//! Attacks on the files of a home: edited, swapped, linked, opened to others, opened twice.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use kms::key::KeyState;
use kms::key::Label;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::Refused;

use crate::home::Home;
use crate::home::because;
use crate::home::key_file;
use crate::home::make;
use crate::home::named;
use crate::home::records;

/// The code and the kind of what signing with `val` answers.
fn refusal(kms: &KeyManager, caller: &Caller) -> (&'static str, ErrorKind) {
    let error = kms.sign(caller, &named("val"), b"m", Scheme::default()).unwrap_err();
    (error.code(), error.kind())
}

const ALTERED: (&str, ErrorKind) = ("key_file_altered", ErrorKind::Integrity);

#[test]
fn key_file_with_any_byte_changed_cut_or_added_signs_nothing() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let file = key_file(&home, &make(&kms, &caller, "val"));
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut edited = whole.clone();
        edited[at] ^= 1;
        fs::write(&file, &edited).unwrap();
        assert_eq!(refusal(&kms, &caller), ALTERED, "byte {at} of {}", whole.len());
        fs::write(&file, &whole[..at]).unwrap();
        assert_eq!(refusal(&kms, &caller), ALTERED, "cut after {at} of {}", whole.len());
    }
    fs::write(&file, [whole.as_slice(), b"\n"].concat()).unwrap();
    assert_eq!(refusal(&kms, &caller), ALTERED);
    fs::remove_file(&file).unwrap();
    assert_eq!(refusal(&kms, &caller), ("private_key_not_found", ErrorKind::Integrity));
    assert!(
        !records(&home).iter().any(|record| record.event.name() == "key_signed" && record.success)
    );
}

#[test]
fn key_file_in_the_place_of_anothers_signs_nothing() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let ours = key_file(&home, &make(&kms, &caller, "val"));
    let theirs = key_file(&home, &make(&kms, &caller, "other"));
    let (our_bytes, their_bytes) = (fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());
    fs::write(&ours, their_bytes).unwrap();
    fs::write(&theirs, &our_bytes).unwrap();
    assert_eq!(refusal(&kms, &caller), ALTERED);
    fs::write(&ours, our_bytes).unwrap();
    kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
}

// Attack 36.
#[test]
fn key_file_behind_a_link_or_open_to_others_signs_nothing() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let file = key_file(&home, &make(&kms, &caller, "val"));
    let unsafe_file = ("file_unsafe", ErrorKind::Integrity);
    let aside = home.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    symlink(&aside, &file).unwrap();
    assert_eq!(refusal(&kms, &caller), unsafe_file);
    fs::remove_file(&file).unwrap();
    fs::hard_link(&aside, &file).unwrap();
    assert_eq!(refusal(&kms, &caller), unsafe_file);
    fs::remove_file(&aside).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refusal(&kms, &caller), unsafe_file);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
}

// Attack 36: nothing in a home is open to anyone else.
#[test]
fn everything_in_a_home_is_closed_to_others() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    kms.audit(&caller).checkpoint().unwrap();
    let mut left = vec![home.path()];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        seen += 1;
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(seen > 8, "{seen} files and directories");
    kms.close().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(home.open().unwrap_err().code(), "file_unsafe");
}

// Attack 35.
#[test]
fn label_is_never_a_path_and_names_that_deceive_are_no_labels() {
    let long = "x".repeat(65);
    let bad = [
        "../x",
        "a/b",
        "a\\b",
        "a\0",
        "",
        ".",
        "..",
        "%2e%2e",
        &long,
        "val\u{202e}",
        "v\u{430}l",
        "-x",
    ];
    for bad in bad {
        assert!(bad.parse::<Label>().is_err(), "{bad:?}");
    }
    let home = Home::development();
    let (kms, caller) = home.enter();
    for label in ["CON", "nul", "a.key", "lock"] {
        let file = key_file(&home, &make(&kms, &caller, label));
        let name = file.file_name().unwrap().to_str().unwrap().to_lowercase();
        assert!(!name.contains(&label.to_lowercase()), "{name}");
    }
    let twin = "LOCK".parse().unwrap();
    let error = kms
        .generate_key(&caller, &twin, crate::home::new_key(kms::key::Algorithm::P256))
        .unwrap_err();
    assert_eq!((error.code(), error.kind()), ("key_exists", ErrorKind::Conflict));
}

#[test]
fn second_process_on_a_home_is_refused_and_told_who_has_it() {
    let home = Home::development();
    let kms = home.open().unwrap();
    let error = home.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("home_in_use", ErrorKind::Conflict));
    let pid = std::process::id();
    assert!(error.to_string().ends_with(&format!("is in use by process {pid}")), "{error}");
    let lock = home.path().join("lock");
    let other = |command| Command::new("flock").arg("-n").arg(&lock).arg(command).status();
    assert!(!other("true").unwrap().success());
    drop(kms);
    assert!(other("true").unwrap().success());
    home.open().unwrap();
}

// What cannot be there any more is not what destruction waits for.
#[test]
fn key_whose_file_is_lost_can_still_be_destroyed() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    fs::remove_file(key_file(&home, &key)).unwrap();
    let lifecycle = kms.lifecycle(&caller);
    lifecycle.mark_compromised(&named("val"), &because("lost")).unwrap();
    let gone = lifecycle.destroy_now(&named("val"), &because("lost")).unwrap();
    assert_eq!(gone.state, KeyState::Destroyed);
    let outcomes = records(&home);
    let rids: Vec<_> = outcomes.iter().map(|record| &record.rid).collect();
    let distinct: std::collections::BTreeSet<_> = rids.iter().collect();
    assert_eq!(rids.len(), distinct.len(), "no record is written twice");
}

#[test]
fn missing_home_is_told_from_one_that_cannot_be_read() {
    let home = Home::development();
    let elsewhere = kms::manager::Options::new(home.path().join("nothing"));
    let error = KeyManager::open(elsewhere).unwrap_err();
    assert!(matches!(error, kms::manager::Error::Refused(Refused::NoHome(_))), "{error}");
    let key = home.path().join("state/store.key");
    let bytes = fs::read(&key).unwrap();
    fs::write(&key, b"nonsense").unwrap();
    assert_eq!(home.open().unwrap_err().kind(), ErrorKind::Integrity);
    fs::write(&key, "00".repeat(32)).unwrap();
    assert_eq!(home.open().unwrap_err().code(), "store_altered");
    fs::write(&key, bytes).unwrap();
    home.open().unwrap();
}
