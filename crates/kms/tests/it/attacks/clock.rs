//! Attacks with the clock: set back, set forwards, at a start and while the home is open.
//!
//! What time has done stays done, and a clock that is far
//! ahead does nothing at all.

use kms::audit::EventType;
use kms::key::Algorithm;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::NewKey;
use kms::manager::Notice;
use kms::manager::Options;
use kms::time::Clock;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::because;
use crate::home::login_with;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;

const DAY_S: u64 = 86_400;
const TEN_YEARS_S: u64 = 3_653 * DAY_S;

#[test]
fn clock_set_back_reactivates_no_key_and_lets_the_log_go_back_nowhere() {
    let home = Home::development();
    let begun = home.clock().now();
    let (kms, caller) = home.enter();
    let short = serde_json::from_str(r#"{"name":"short","expiration_days":30}"#).unwrap();
    kms.lifecycle(&caller).register_policy(short).unwrap();
    let new = NewKey { policy: Some("short".parse().unwrap()), ..new_key(Algorithm::Ed25519) };
    kms.generate_key(&caller, &"val".parse().unwrap(), new).unwrap();
    home.clock().advance_seconds(30 * DAY_S);
    let caller = home.admin(&kms);
    let sign = |kms: &KeyManager, caller| kms.sign(caller, &named("val"), b"m", Scheme::default());
    assert_eq!(sign(&kms, &caller).unwrap_err().code(), "key_not_usable");
    home.clock().set(begun);
    assert_eq!(sign(&kms, &caller).unwrap_err().code(), "key_not_usable");
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert!(kms.notices().iter().any(|notice| matches!(notice, Notice::ClockBehind { .. })));
    assert_eq!(sign(&kms, &caller).unwrap_err().code(), "key_not_usable");
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().state, KeyState::Expired);
    let records = records(&home);
    assert!(records.iter().any(|record| record.event == EventType::ClockStep));
    assert!(records.is_sorted_by_key(|record| record.time));
}

#[test]
fn clock_set_back_makes_no_code_of_the_second_factor_good_again() {
    let home = Home::guarded();
    let earlier = home.clock().now();
    let old_code = home.code();
    let (kms, _) = home.enter();
    home.clock().advance_seconds(600);
    let used = home.code();
    login_with(&kms, ("alice", PASSPHRASE), Some(&used)).unwrap();
    kms.close().unwrap();
    home.clock().set(earlier);
    let kms = home.open().unwrap();
    for code in [&old_code, &used] {
        let error = login_with(&kms, ("alice", PASSPHRASE), Some(code)).unwrap_err();
        assert_eq!(error.code(), "login_failed");
    }
}

#[test]
fn clock_ten_years_ahead_is_refused_at_the_start_and_expires_nothing() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    kms.close().unwrap();
    let before = (records(&home), home.clock().now());
    home.clock().advance_seconds(TEN_YEARS_S);
    let error = home.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("clock_leapt", ErrorKind::Unsafe));
    assert_eq!(records(&home), before.0);
    home.clock().set(before.1);
    let (kms, caller) = home.enter();
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap(), key);
    kms.close().unwrap();
    home.clock().advance_seconds(TEN_YEARS_S);
    let kms = KeyManager::open(Options { accept_clock: true, ..home.options() }).unwrap();
    assert_eq!(kms.status().keys.get("expired"), Some(&1));
}

#[test]
fn clock_that_leaps_ahead_while_the_home_is_open_stops_everything_and_expires_nothing() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    let right = home.clock().now();
    home.clock().advance_seconds(TEN_YEARS_S);
    let sign = |kms: &KeyManager| kms.sign(&caller, &named("val"), b"m", Scheme::default());
    let error = sign(&kms).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("clock_leapt", ErrorKind::Unsafe));
    let error = kms.lifecycle(&caller).suspend_key(&named("val"), &because("x")).unwrap_err();
    assert_eq!(error.code(), "clock_leapt");
    let error = login_with(&kms, ("alice", PASSPHRASE), None).unwrap_err();
    assert_eq!(error.code(), "clock_leapt");
    assert!(kms.status().notices.iter().any(|notice| notice.contains("the clock says")));
    home.clock().set(right);
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap(), key);
    sign(&kms).unwrap();
    let records = records(&home);
    assert!(records.iter().all(|record| record.time <= right));
    let refused = records.iter().filter(|r| r.error_code.as_deref() == Some("clock_leapt"));
    assert_eq!(refused.count(), 3);
}
