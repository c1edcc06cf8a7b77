//! The invariants of ARCHITECTURE.md, as far as one test from outside can hold each.
//!
//! 1. No private byte outside secret types: `attacks::secrets`, and the types' own examples of what
//!    does not compile.
//! 2. No use without the way, no release before the record: below, `attacks::disk`, and the examples
//!    of what does not compile at `Grant`, `Admitted`, `Cleared`, `Unreleased` and `Pending`.
//! 3. State, purpose and algorithm at this moment: below, `attacks::signing`.
//! 4. Moves along the table, recorded, `Destroyed` final: below.
//! 5. Old or new, never half: `attacks::crash`.
//! 6. One process: `attacks::files`.
//! 7. Every input has a limit: below.
//! 8. The clock is an argument: `attacks::clock`, `layers`.

use aws_lc_rs::digest;
use kms::audit::EventType;
use kms::key::Algorithm;
use kms::key::KeyState;
use kms::key::ManagedKey;
use kms::key::Reason;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;
use kms::manager::NewKey;
use kms_formats::private::PRIVATE_KEY_FILE_LIMIT;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::because;
use crate::home::here;
use crate::home::login;
use crate::home::login_with;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;
use crate::home::secret;

// Invariant 2: when a signature can be had, its record can be read, and says what was signed.
#[test]
fn record_of_a_signature_is_in_the_files_before_the_signature_is_out() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let key = make(&kms, &caller, "val");
    for number in 0..20_u8 {
        let message = [number; 40];
        let signed = kms.sign(&caller, &named("val"), &message, Scheme::default()).unwrap();
        let last = records(&home).pop().unwrap();
        assert_eq!(
            (last.event, last.success, last.key),
            (EventType::KeySigned, true, Some(key.id))
        );
        assert_eq!(last.detail_text("message_sha256"), Some(sha256(&message).as_str()));
        let signature = sha256(&signed.signature.bytes);
        assert_eq!(last.detail_text("signature_sha256"), Some(signature.as_str()));
        assert!(last.principal.is_some() && last.session.is_some());
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

// Invariant 3: a date is enough; nothing has to run for a key to be expired.
#[test]
fn key_past_its_date_is_expired_though_nothing_has_said_so() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let short = serde_json::from_str(r#"{"name":"short","expiration_days":30}"#).unwrap();
    kms.lifecycle(&caller).register_policy(short).unwrap();
    let new = NewKey { policy: Some("short".parse().unwrap()), ..new_key(Algorithm::Ed25519) };
    kms.generate_key(&caller, &"val".parse().unwrap(), new).unwrap();
    home.clock().advance_seconds(30 * 86_400 - 1);
    let caller = home.admin(&kms);
    let sign = |m: &[u8]| kms.sign(&caller, &named("val"), m, Scheme::default());
    let signed = sign(b"m").unwrap();
    home.clock().advance_seconds(1);
    assert_eq!(sign(b"m").unwrap_err().code(), "key_not_usable");
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().state, KeyState::Active);
    assert_eq!(kms.status().keys.get("expired"), Some(&1));
    let bytes = &signed.signature.bytes;
    assert!(kms.verify(&caller, &named("val"), b"m", bytes, Scheme::default()).unwrap());
}

type Step = fn(&KeyManager, &Caller, &Reason) -> Result<ManagedKey, Error>;

const STEPS: [(&str, Step); 9] = [
    ("activate", |k, c, why| k.lifecycle(c).activate_key(&named("val"), why)),
    ("suspend", |k, c, why| k.lifecycle(c).suspend_key(&named("val"), why)),
    ("reactivate", |k, c, why| k.lifecycle(c).reactivate_key(&named("val"), why)),
    ("deactivate", |k, c, why| k.lifecycle(c).deactivate_key(&named("val"), why)),
    ("compromise", |k, c, why| k.lifecycle(c).mark_compromised(&named("val"), why)),
    ("archive", |k, c, why| k.lifecycle(c).archive_key(&named("val"), why)),
    ("destroy", |k, c, why| k.lifecycle(c).destroy_now(&named("val"), why)),
    ("schedule", |k, c, why| k.lifecycle(c).schedule_destroy(&named("val"), why)),
    ("rotate", |k, c, why| k.rotate_key(c, &named("val"), why)),
];

// Invariant 4: who, when and why, in the history and in the log alike; a refused move moves nothing.
#[test]
fn every_move_is_recorded_with_who_when_and_why_and_destroyed_is_final() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let inactive = NewKey { activate: false, ..new_key(Algorithm::Ed25519) };
    let key = kms.generate_key(&caller, &"val".parse().unwrap(), inactive).unwrap();
    for name in
        ["activate", "suspend", "reactivate", "deactivate", "compromise", "archive", "destroy"]
    {
        let why = because(&format!("because of {name}"));
        home.clock().advance_seconds(1);
        let moved = step(name)(&kms, &caller, &why).unwrap();
        let last = kms.key_history(&caller, &key.id.into()).unwrap().pop().unwrap();
        let record = records(&home)
            .into_iter()
            .rfind(|r| r.key == Some(key.id) && r.detail_text("to").is_some());
        let record = record.unwrap();
        assert_eq!((last.to, last.reason.as_str()), (moved.state, why.as_str()), "{name}");
        assert_eq!(record.detail_text("to"), Some(moved.state.name()), "{name}");
        assert_eq!(record.detail_text("from"), last.from.map(KeyState::name), "{name}");
        assert_eq!(record.detail_text("reason"), Some(why.as_str()), "{name}");
        assert_eq!((record.principal.as_deref(), record.time), (Some(last.by.as_str()), last.at));
    }
    let before = kms.key_history(&caller, &key.id.into()).unwrap();
    for (name, step) in STEPS {
        let error = step(&kms, &caller, &because("no")).expect_err(name);
        assert_eq!(error.kind(), kms::manager::ErrorKind::Unsafe, "{name}: {error}");
    }
    assert_eq!(kms.key_history(&caller, &key.id.into()).unwrap(), before);
}

fn step(name: &str) -> Step {
    STEPS.iter().find(|(known, _)| *known == name).unwrap().1
}

// Invariant 7: too much of anything is refused with a word for it, and nothing stops the process.
#[test]
fn too_much_of_anything_is_refused() {
    let home = Home::guarded();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    let much = "7".repeat(1 << 20);
    assert_eq!(login(&kms, "alice", &much).unwrap_err().code(), "login_failed");
    let error = login_with(&kms, ("alice", PASSPHRASE), Some(&much)).unwrap_err();
    assert_eq!(error.code(), "login_failed");
    let error = kms.list_keys(&Caller::new(secret(&much), here())).unwrap_err();
    assert_eq!(error.code(), "session_ended");
    let long = vec![7; 1 << 20];
    assert!(!kms.verify(&caller, &named("val"), b"m", &long, Scheme::default()).unwrap());
    let error = kms.access(&caller).change_passphrase(&secret(PASSPHRASE), &secret(&much));
    assert_eq!(error.unwrap_err().code(), "weak_passphrase");
    assert!(much.parse::<kms::key::KeyRef>().is_err());
    assert!(much.parse::<Reason>().is_err());
    assert!(much.parse::<kms::access::PrincipalName>().is_err());
    assert!(much.parse::<kms::access::RoleName>().is_err());
    assert!(much.parse::<kms::access::Glob>().is_err());
    let file = vec![b'A'; PRIVATE_KEY_FILE_LIMIT + 1];
    for format in [PrivateFormat::Pkcs8, PrivateFormat::Raw, PrivateFormat::Privval] {
        assert!(PrivateKey::parse(&file, format, Some(Algorithm::Ed25519)).is_err());
    }
    kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
}
