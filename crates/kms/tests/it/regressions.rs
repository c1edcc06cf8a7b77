//! Rules that key management software has been seen to break, each held by name.

use std::fs;
use std::path::Path;

use kms::audit::EventType;
use kms::audit::ViolationKind;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Prehash;
use kms::key::Scheme;
use kms::lifecycle::KeyLifecyclePolicy;
use kms::manager::Caller;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::NewKey;
use kms::time::Days;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;

use crate::home::Home;
use crate::home::because;
use crate::home::log_of;
use crate::home::login;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;

/// Only a signature of this key over this message verifies: no random bytes of any length do, and
/// each attempt is on record as a failure.
#[test]
fn random_bytes_never_verify() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let mut attempts = 0;
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_rsa()) {
        let label = algorithm.name().parse().unwrap();
        kms.generate_key(&caller, &label, new_key(algorithm)).unwrap();
        for length in [0, 1, 32, 63, 64, 65, 72, 256] {
            let mut bytes = vec![0; length];
            aws_lc_rs::rand::fill(&mut bytes).unwrap();
            let name = KeyRef::Label(label.clone());
            let valid = kms.verify(&caller, &name, b"message", &bytes, Scheme::default());
            assert!(!valid.unwrap(), "{length} random bytes, {algorithm}");
            attempts += 1;
        }
    }
    let failed = records(&home)
        .into_iter()
        .filter(|event| event.event == EventType::KeyVerified && !event.success);
    assert_eq!(failed.count(), attempts);
}

/// A key that is not active (or rotating) signs by no path: not by label, not by id, not pending,
/// not with any scheme, not after a restart; and every refusal is on record.
#[test]
fn suspended_expired_compromised_and_retired_keys_sign_by_no_path() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let lifecycle = kms.lifecycle(&caller);
    lifecycle.register_policy(short_lived()).unwrap();
    let why = because("test");
    let inactive = NewKey { activate: false, ..new_key(Algorithm::Secp256k1) };
    kms.generate_key(&caller, &"created".parse().unwrap(), inactive).unwrap();
    for label in ["suspended", "deactivated", "compromised", "destroyed", "archived"] {
        let new = new_key(Algorithm::Secp256k1);
        kms.generate_key(&caller, &label.parse().unwrap(), new).unwrap();
    }
    let policy = Some(short_lived().name);
    let expiring = NewKey { policy, ..new_key(Algorithm::Secp256k1) };
    kms.generate_key(&caller, &"expired".parse().unwrap(), expiring).unwrap();

    lifecycle.suspend_key(&named("suspended"), &why).unwrap();
    lifecycle.deactivate_key(&named("deactivated"), &why).unwrap();
    for label in ["compromised", "destroyed", "archived"] {
        lifecycle.mark_compromised(&named(label), &why).unwrap();
    }
    lifecycle.destroy_now(&named("destroyed"), &why).unwrap();
    lifecycle.archive_key(&named("archived"), &why).unwrap();
    home.clock().advance_seconds(30 * 86_400);
    let caller = home.admin(&kms);
    let refusals = refuses_all_that_are_there(&kms, &caller);
    assert_eq!(refusals, 7 * 6);
    let recorded = |event: &kms::audit::AuditEvent| {
        event.event == EventType::KeySigned
            && !event.success
            && event.error_code.as_deref() == Some("key_not_usable")
    };
    assert_eq!(records(&home).iter().filter(|event| recorded(event)).count(), 7 * 6);
    assert!(!records(&home).iter().any(|e| e.event == EventType::KeySigned && e.success));

    kms.close().unwrap();
    let (kms, caller) = home.enter();
    refuses_all_that_are_there(&kms, &caller);
    let expired = kms.get_key(&caller, &named("expired")).unwrap();
    assert_eq!(expired.state, KeyState::Expired);
}

/// Tries every key by every path; returns how many refusals that were.
fn refuses_all_that_are_there(kms: &KeyManager, caller: &Caller) -> usize {
    let mut refused = 0;
    for key in kms.list_keys(caller).unwrap() {
        for name in [KeyRef::Id(key.id), KeyRef::Label(key.label.clone())] {
            for prehash in [Prehash::Sha256, Prehash::Keccak256, Prehash::Prehashed] {
                let scheme = Scheme { prehash, ..Scheme::default() };
                let pending = kms.sign_pending(caller, &name, &[7; 32], scheme);
                let error = pending.expect_err(key.label.as_str());
                assert_eq!((error.code(), error.kind()), ("key_not_usable", ErrorKind::Unsafe));
                refused += 1;
            }
        }
    }
    refused
}

/// A policy under which keys live thirty days.
fn short_lived() -> KeyLifecyclePolicy {
    let defaults = r#"{"name":"short","expiration_days":30}"#;
    let policy: KeyLifecyclePolicy = serde_json::from_str(defaults).unwrap();
    assert_eq!(policy.expiration_days, Some(Days(30)));
    policy.without_mfa()
}

/// A rotation begins from an active key only, and never to the key itself; a refused one leaves
/// nothing behind, neither a key nor a file.
#[test]
fn rotation_of_destroyed_compromised_or_new_keys_and_to_oneself_is_refused() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let lifecycle = kms.lifecycle(&caller);
    let why = because("test");
    let inactive = NewKey { activate: false, ..new_key(Algorithm::Ed25519) };
    kms.generate_key(&caller, &"created".parse().unwrap(), inactive).unwrap();
    for label in ["compromised", "destroyed", "active"] {
        make(&kms, &caller, label);
    }
    lifecycle.mark_compromised(&named("compromised"), &why).unwrap();
    lifecycle.mark_compromised(&named("destroyed"), &why).unwrap();
    lifecycle.destroy_now(&named("destroyed"), &why).unwrap();
    let files = key_files(&home.path());
    for label in ["created", "compromised", "destroyed"] {
        let error = kms.rotate_key(&caller, &named(label), &why).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{label}: {error}");
        let error = lifecycle.rotate_key(&named(label), &named("active"), &why).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{label}: {error}");
    }
    let error = lifecycle.rotate_key(&named("active"), &named("active"), &why).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe);
    assert_eq!(key_files(&home.path()), files);
    assert_eq!(kms.list_keys(&caller).unwrap().len(), 4);
    assert_eq!(kms.get_key(&caller, &named("active")).unwrap().state, KeyState::Active);
}

/// Locking forgets secrets, not keys: after the right passphrase the same keys sign the same; a
/// wrong one opens nothing.
#[test]
fn lock_keeps_keys_and_only_the_passphrase_brings_them_back() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    let sign = |caller| kms.sign(caller, &named("val"), b"m", Scheme::default());
    let before = sign(&caller).unwrap();
    kms.lock(&caller).unwrap();
    assert!(kms.status().sealed);
    assert_eq!(sign(&caller).unwrap_err().code(), "locked");
    let wrong = login(&kms, "alice", "a wrong passphrase of alice").unwrap_err();
    assert_eq!(wrong.code(), "login_failed");
    assert!(kms.status().sealed);
    assert_eq!(sign(&caller).unwrap_err().code(), "locked");
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap(), key);
    let caller = home.admin(&kms);
    assert!(!kms.status().sealed);
    assert_eq!(sign(&caller).unwrap(), before);
}

/// An Ed25519 private key is taken in only with its own public half; what is refused leaves no
/// record, no file and no held name.
#[test]
fn mismatched_public_half_is_refused_on_import() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let label = "imported".parse().unwrap();
    let new = || new_key(Algorithm::Ed25519);
    let mut mismatched = parse(&[7; 32]);
    let other = make(&kms, &caller, "other");
    mismatched.claimed_public = Some(other.public_key.clone());
    let files = key_files(&home.path());
    let error = kms.import_key(&caller, &label, new(), &mismatched).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("public_key_mismatch", ErrorKind::Integrity));
    assert_eq!(key_files(&home.path()), files);
    assert_eq!(kms.list_keys(&caller).unwrap(), [other]);
    let key = kms.import_key(&caller, &label, new(), &parse(&[7; 32])).unwrap();
    assert_eq!(key.state, KeyState::Active);
}

/// A compromised key stays compromised: no move, no time, no restart and no second import of the
/// same key brings it back, and its history says so for ever.
#[test]
fn nothing_turns_a_compromised_key_clean() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let parsed = parse(&[7; 32]);
    let label = "val".parse().unwrap();
    let key = kms.import_key(&caller, &label, new_key(Algorithm::Ed25519), &parsed).unwrap();
    kms.lifecycle(&caller).mark_compromised(&named("val"), &because("leaked")).unwrap();
    home.clock().advance_seconds(390 * 86_400);
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    let (lifecycle, why) = (kms.lifecycle(&caller), because("no"));
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().state, KeyState::Compromised);
    let back = [
        lifecycle.activate_key(&named("val"), &why),
        lifecycle.reactivate_key(&named("val"), &why),
        lifecycle.deactivate_key(&named("val"), &why),
        lifecycle.suspend_key(&named("val"), &why),
    ];
    for refused in back {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsafe);
    }
    let again =
        kms.import_key(&caller, &"again".parse().unwrap(), new_key(Algorithm::Ed25519), &parsed);
    assert_eq!(again.unwrap_err().code(), "key_exists");
    lifecycle.archive_key(&named("val"), &because("forensic")).unwrap();
    let history = kms.key_history(&caller, &key.id.into()).unwrap();
    let states: Vec<_> = history.iter().map(|step| step.to).collect();
    let life = [KeyState::Created, KeyState::Active, KeyState::Compromised, KeyState::Archived];
    assert_eq!(states, life);
    assert_eq!(history[2].reason, "leaked");
    let error = lifecycle.reactivate_key(&key.id.into(), &why).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe);
}

/// Each way to touch the files of the log shows in what an auditor finds; what the product does
/// itself (restarts, going on to the next file, checkpoints) never does.
#[test]
fn whatever_is_done_to_the_log_shows_and_what_the_product_does_does_not() {
    let home = Home::development();
    for _ in 0..2 {
        let (kms, caller) = home.enter();
        let _key = kms.list_keys(&caller).unwrap();
        kms.audit(&caller).checkpoint().unwrap();
        kms.close().unwrap();
    }
    let verification = home.verify_log();
    assert_eq!((verification.errors.as_slice(), verification.valid), (&[][..], true));
    let untouched = home.copy("audit");
    type Attack = fn(&mut Vec<String>);
    let attacks: [(ViolationKind, Attack); 5] = [
        (ViolationKind::Edited, |lines| {
            lines[2] = lines[2].replace("\"success\":true", "\"success\":false")
        }),
        (ViolationKind::Missing, |lines| drop(lines.remove(2))),
        (ViolationKind::Inserted, |lines| lines.insert(2, lines[1].clone())),
        (ViolationKind::Reordered, |lines| lines.swap(2, 3)),
        (ViolationKind::Truncated, |lines| drop(lines.pop())),
    ];
    for (kind, attack) in attacks {
        let text = fs::read_to_string(log_of(&home.path())).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        attack(&mut lines);
        fs::write(log_of(&home.path()), lines.join("\n") + "\n").unwrap();
        let verification = home.verify_log();
        assert!(!verification.valid, "{kind}");
        assert_eq!(verification.errors[0].kind, kind, "{:?}", verification.errors);
        // A start reads the end of the log only; the whole of it is verified when that is asked for.
        match home.open() {
            Err(error) => assert_eq!(error.code(), "audit_damaged", "{kind}"),
            Ok(kms) => {
                assert_ne!(kind, ViolationKind::Truncated);
                let caller = home.admin(&kms);
                assert!(!kms.audit(&caller).verify_integrity().unwrap().valid, "{kind}");
            }
        }
        home.put_back("audit", &untouched);
    }
    let (kms, caller) = home.enter();
    assert!(kms.audit(&caller).verify_integrity().unwrap().valid);
}

/// An Ed25519 private key as its 32 bytes.
fn parse(seed: &[u8; 32]) -> ParsedPrivateKey {
    PrivateKey::parse(seed, PrivateFormat::Raw, Some(Algorithm::Ed25519)).unwrap()
}

/// The names of the key files, also of those set aside.
fn key_files(home: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for directory in ["keystore", "keystore/keys", "keystore/orphans"] {
        let Ok(entries) = fs::read_dir(home.join(directory)) else { continue };
        names.extend(entries.map(|e| e.unwrap().path().display().to_string()));
    }
    names.sort();
    names
}
