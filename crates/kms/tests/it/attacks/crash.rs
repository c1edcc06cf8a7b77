//! A crash between the three writers of a change: what was committed is recorded once.

use std::fs;

use kms::audit::EventType;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::manager::ErrorKind;
use kms::manager::Notice;

use crate::home::Home;
use crate::home::because;
use crate::home::key_file;
use crate::home::make;
use crate::home::named;
use crate::home::records;

/// How many suspensions the log has.
fn suspensions(home: &Home) -> usize {
    records(home).iter().filter(|record| record.event == EventType::KeySuspended).count()
}

// The power goes after the store's transaction, before the record is appended.
#[test]
fn change_that_was_committed_is_recorded_once_after_a_crash() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    kms.close().unwrap();
    let log = home.copy("audit");
    let (kms, caller) = home.enter();
    let before = home.copy("audit");
    kms.lifecycle(&caller).suspend_key(&named("val"), &because("odd")).unwrap();
    let whole = records(&home).pop().unwrap();
    drop((kms, log));
    home.put_back("audit", &before);
    assert_eq!(suspensions(&home), 0);

    let (kms, caller) = home.enter();
    assert!(kms.notices().contains(&Notice::Replayed(1)), "{:?}", kms.notices());
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().state, KeyState::Suspended);
    let replayed = records(&home).into_iter().find(|r| r.event == EventType::KeySuspended);
    let replayed = replayed.unwrap();
    assert_eq!(
        (&replayed.rid, replayed.time, &replayed.details),
        (&whole.rid, whole.time, &whole.details)
    );
    kms.close().unwrap();
    let (kms, _) = home.enter();
    assert!(!kms.notices().iter().any(|notice| matches!(notice, Notice::Replayed(_))));
    assert_eq!(suspensions(&home), 1);
    assert!(home.verify_log().valid);
}

// Attack 25: a log from before what the home knows of it.
#[test]
fn log_put_back_to_an_older_one_is_refused() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    kms.close().unwrap();
    let old = home.copy("audit");
    let (kms, _) = home.enter();
    drop(caller);
    make(&kms, &home.admin(&kms), "val");
    kms.close().unwrap();
    home.put_back("audit", &old);
    let error = home.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("audit_damaged", ErrorKind::Integrity));
}

// Attack 25: records of keys from before what the log says of them.
#[test]
fn state_put_back_to_an_older_one_brings_no_stopped_key_back() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    kms.close().unwrap();
    let old = home.copy("state");
    let (kms, caller) = home.enter();
    kms.lifecycle(&caller).mark_compromised(&named("val"), &because("leaked")).unwrap();
    kms.close().unwrap();
    home.put_back("state", &old);
    let error = home.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("state_put_back", ErrorKind::Integrity));
}

// A crash between a key's file and its record: the file is set aside, and signs nothing.
#[test]
fn key_file_without_a_record_is_set_aside_and_told() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let kept = make(&kms, &caller, "kept");
    kms.close().unwrap();
    let file = key_file(&home, &kept);
    let orphan = file.with_file_name(format!("{}.key", "0".repeat(32)));
    fs::copy(&file, &orphan).unwrap();
    let (kms, caller) = home.enter();
    let notices = kms.notices();
    let told = |notice: &Notice| matches!(notice, Notice::Orphans(files) if files.len() == 1);
    assert!(notices.iter().any(told), "{notices:?}");
    assert!(!orphan.exists() && file.exists());
    assert_eq!(kms.list_keys(&caller).unwrap(), [kept]);
    kms.sign(&caller, &named("kept"), b"m", Scheme::default()).unwrap();
    let recorded = records(&home).into_iter().filter(|r| r.event == EventType::OutcomeUnknown);
    assert_eq!(recorded.count(), 1);
}
