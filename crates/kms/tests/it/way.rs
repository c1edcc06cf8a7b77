//! The way of an operation, from outside: make, sign, verify, prove.

use kms::audit::EventType;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::time::Timestamp;

use crate::home::Home;
use crate::home::because;
use crate::home::new_key;

#[test]
fn a_key_is_made_signs_verifies_and_stands_in_the_log() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_rsa()) {
        let label = algorithm.name().parse().unwrap();
        let key = kms.generate_key(&caller, &label, new_key(algorithm)).unwrap();
        assert_eq!(key.state, KeyState::Active);
        let name = algorithm.name().parse().unwrap();
        let signed = kms.sign(&caller, &name, b"message", Scheme::default()).unwrap();
        assert_eq!(signed.key_id, key.id);
        let bytes = &signed.signature.bytes;
        assert!(kms.verify(&caller, &name, b"message", bytes, Scheme::default()).unwrap());
        assert!(!kms.verify(&caller, &name, b"other", bytes, Scheme::default()).unwrap());
    }
    let events = kms.audit(&caller).get_events(Timestamp::EPOCH, Some(EventType::KeySigned));
    assert_eq!(events.unwrap().len(), 3);
    kms.close().unwrap();
    let verification = verify_files(&home.path().join("audit"), &VerifyOptions::default()).unwrap();
    assert_eq!(verification.errors, []);
    assert!(verification.valid);
}

#[test]
fn keys_survive_a_restart_and_sign_again() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let label = "val".parse().unwrap();
    let key = kms.generate_key(&caller, &label, new_key(Algorithm::Ed25519)).unwrap();
    let name = "val".parse().unwrap();
    let before = kms.sign(&caller, &name, b"m", Scheme::default()).unwrap();
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert_eq!(kms.get_key(&caller, &name).unwrap(), key);
    assert_eq!(kms.sign(&caller, &name, b"m", Scheme::default()).unwrap(), before);
}

#[test]
fn a_label_follows_rotation_and_the_old_key_steps_back() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let label = "val".parse().unwrap();
    let old = kms.generate_key(&caller, &label, new_key(Algorithm::Ed25519)).unwrap();
    let name = "val".parse().unwrap();
    let new = kms.rotate_key(&caller, &name, &because("yearly")).unwrap();
    assert_ne!(new.id, old.id);
    let sign = |key: &KeyRef| kms.sign(&caller, key, b"m", Scheme::default());
    assert_eq!(sign(&name).unwrap().key_id, new.id);
    assert_eq!(sign(&old.id.into()).unwrap().key_id, old.id);
    let done = kms.lifecycle(&caller).complete_rotation(&name, &because("done")).unwrap();
    assert_eq!((done.id, done.state), (old.id, KeyState::Deactivated));
    assert_eq!(sign(&old.id.into()).unwrap_err().code(), "key_not_usable");
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert_eq!(kms.get_key(&caller, &name).unwrap().id, new.id);
}

#[test]
fn suspended_key_refuses_to_sign_and_the_refusal_is_on_record() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let label = "val".parse().unwrap();
    let key = kms.generate_key(&caller, &label, new_key(Algorithm::Ed25519)).unwrap();
    let name = "val".parse().unwrap();
    let lifecycle = kms.lifecycle(&caller);
    lifecycle.suspend_key(&name, &because("odd traffic")).unwrap();
    let refused = kms.sign(&caller, &name, b"m", Scheme::default()).unwrap_err();
    assert_eq!(refused.code(), "key_not_usable");
    let events = kms.audit(&caller).get_events_by_key(&key.id.into(), Timestamp::EPOCH).unwrap();
    let last = events.last().unwrap();
    assert_eq!((last.event, last.success), (EventType::KeySigned, false));
    assert_eq!(last.error_code.as_deref(), Some("key_not_usable"));
    lifecycle.reactivate_key(&name, &because("explained")).unwrap();
    kms.sign(&caller, &name, b"m", Scheme::default()).unwrap();
}
