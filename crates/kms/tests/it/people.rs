//! Who can open a home: slots, passphrases, sessions over a restart.

use kms::access::Assignment;
use kms::access::PrincipalKind;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::NewPrincipal;
use kms::manager::Signed;
use kms::time::Timestamp;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::add_principal;
use crate::home::login;
use crate::home::make;
use crate::home::named;
use crate::home::secret;

fn sign(kms: &KeyManager, caller: &Caller) -> Result<Signed, Error> {
    kms.sign(caller, &named("val"), b"m", Scheme::default())
}

/// A development home with the key `val`, closed.
fn home_with_a_key(principals: &[(&str, &str)]) -> Home {
    let home = Home::development();
    let (kms, admin) = home.enter();
    make(&kms, &admin, "val");
    for principal in principals {
        add_principal(&kms, &admin, *principal);
    }
    kms.close().unwrap();
    home
}

#[test]
fn operator_with_a_slot_opens_a_home_that_was_closed_and_signs() {
    let home = home_with_a_key(&[("olga", "operator"), ("sam", "signer")]);
    for name in ["olga", "sam"] {
        let kms = home.open().unwrap();
        assert!(kms.status().sealed);
        let caller = login(&kms, name, PASSPHRASE).unwrap();
        sign(&kms, &caller).unwrap();
        kms.close().unwrap();
    }
}

#[test]
fn auditor_without_a_slot_reads_the_log_and_opens_no_key() {
    let home = home_with_a_key(&[("audrey", "auditor")]);
    let kms = home.open().unwrap();
    let audrey = login(&kms, "audrey", PASSPHRASE).unwrap();
    assert!(kms.status().sealed);
    assert!(!kms.audit(&audrey).get_events(Timestamp::EPOCH, None).unwrap().is_empty());
    let error = sign(&kms, &audrey).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("permission_denied", ErrorKind::NotPermitted));
}

#[test]
fn signer_without_a_slot_signs_only_once_someone_with_one_has_opened_the_keystore() {
    let home = home_with_a_key(&[]);
    let (kms, admin) = home.enter();
    let new = NewPrincipal {
        name: "svc".parse().unwrap(),
        kind: PrincipalKind::Service,
        assignments: vec![Assignment::everywhere("signer".parse().unwrap())],
        slot: Some(false),
    };
    kms.access(&admin).create_principal(new, &secret(PASSPHRASE)).unwrap();
    kms.close().unwrap();
    let kms = home.open().unwrap();
    let service = login(&kms, "svc", PASSPHRASE).unwrap();
    let error = sign(&kms, &service).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("locked", ErrorKind::Unavailable));
    home.admin(&kms);
    sign(&kms, &service).unwrap();
}

#[test]
fn changed_passphrase_opens_the_home_and_the_old_one_nothing() {
    let home = home_with_a_key(&[]);
    let (kms, admin) = home.enter();
    let next = "the next passphrase of alice";
    kms.access(&admin).change_passphrase(&secret(PASSPHRASE), &secret(next)).unwrap();
    assert_eq!(sign(&kms, &admin).unwrap_err().code(), "session_ended");
    kms.close().unwrap();
    let kms = home.open().unwrap();
    let error = login(&kms, "alice", PASSPHRASE).unwrap_err();
    assert_eq!(error.code(), "login_failed");
    assert!(kms.status().sealed);
    let admin = login(&kms, "alice", next).unwrap();
    sign(&kms, &admin).unwrap();
}

#[test]
fn removed_principal_opens_nothing_and_the_others_still_do() {
    let home = home_with_a_key(&[("olga", "operator"), ("oscar", "operator")]);
    let (kms, admin) = home.enter();
    let slots = home.path().join("keystore/slots.json");
    let before = std::fs::read(&slots).unwrap();
    let olga = login(&kms, "olga", PASSPHRASE).unwrap();
    kms.access(&admin).remove("olga").unwrap();
    assert_eq!(sign(&kms, &olga).unwrap_err().code(), "session_ended");
    let after = std::fs::read(&slots).unwrap();
    assert_ne!(before, after);
    kms.close().unwrap();
    for name in ["oscar", "alice"] {
        let kms = home.open().unwrap();
        assert_eq!(login(&kms, "olga", PASSPHRASE).unwrap_err().code(), "login_failed");
        assert!(kms.status().sealed);
        let caller = login(&kms, name, PASSPHRASE).unwrap();
        sign(&kms, &caller).unwrap();
        kms.close().unwrap();
    }
}

// A keystore put back to how it was would have the slot of someone who is gone.
#[test]
fn keystore_put_back_to_an_older_one_opens_to_nobody() {
    let home = home_with_a_key(&[("olga", "operator")]);
    let old = home.copy("keystore");
    let (kms, admin) = home.enter();
    kms.access(&admin).remove("olga").unwrap();
    kms.close().unwrap();
    home.put_back("keystore", &old);
    let kms = home.open().unwrap();
    let error = login(&kms, "alice", PASSPHRASE).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("keystore_put_back", ErrorKind::Integrity));
    assert!(kms.status().sealed);
}

// Nobody is removed while the slot they know the passphrase of would stay.
#[test]
fn principal_with_a_slot_is_not_removed_while_the_keystore_is_sealed() {
    let home = home_with_a_key(&[("olga", "operator")]);
    let (kms, admin) = home.enter();
    kms.lock(&admin).unwrap();
    let error = kms.access(&admin).remove("olga").unwrap_err();
    assert_eq!((error.code(), error.kind()), ("locked", ErrorKind::Unavailable));
    assert_eq!(kms.access(&admin).principals().unwrap().len(), 2);
    let admin = home.admin(&kms);
    kms.access(&admin).remove("olga").unwrap();
    assert_eq!(kms.access(&admin).principals().unwrap().len(), 1);
}

#[test]
fn session_and_its_age_survive_a_restart() {
    let home = home_with_a_key(&[]);
    let (kms, admin) = home.enter();
    kms.close().unwrap();
    home.clock().advance_seconds(10 * 60);
    let kms = home.open().unwrap();
    assert_eq!(kms.list_keys(&admin).unwrap().len(), 1);
    kms.close().unwrap();
    home.clock().advance_seconds(15 * 60);
    let kms = home.open().unwrap();
    assert_eq!(kms.list_keys(&admin).unwrap_err().code(), "session_ended");
}

#[test]
fn sixth_session_ends_the_first_also_after_a_restart() {
    let home = home_with_a_key(&[]);
    let kms = home.open().unwrap();
    let mut callers = (0..6).map(|_| {
        home.clock().advance_seconds(1);
        home.admin(&kms)
    });
    let first = callers.next().unwrap();
    let others: Vec<Caller> = callers.collect();
    let ended = |kms: &KeyManager| {
        let codes = |caller| kms.list_keys(caller).err().map(|error| error.code());
        (codes(&first), others.iter().filter_map(codes).count())
    };
    assert_eq!(ended(&kms), (Some("session_ended"), 0));
    kms.close().unwrap();
    assert_eq!(ended(&home.open().unwrap()), (Some("session_ended"), 0));
}

#[test]
fn second_factor_is_demanded_of_what_is_grave_and_not_of_what_stops_a_key() {
    let home = Home::guarded();
    let (kms, admin) = home.enter();
    make(&kms, &admin, "val");
    let bare = login(&kms, "alice", PASSPHRASE);
    let why = crate::home::because("test");
    home.clock().advance_seconds(301);
    let grave = |caller: &Caller| {
        let lifecycle = kms.lifecycle(caller);
        lifecycle.suspend_key(&named("val"), &why).unwrap();
        let refused = [
            lifecycle.reactivate_key(&named("val"), &why).map(drop),
            lifecycle.remove_policy(&"default".parse().unwrap()),
            kms.access(caller).disable("alice").map(drop),
            kms.access(caller).set_role("r".parse().unwrap(), reading()),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            assert_eq!((error.code(), error.kind()), ("mfa_required", ErrorKind::Authentication));
        }
    };
    grave(&admin);
    let fresh = home.admin(&kms);
    kms.lifecycle(&fresh).reactivate_key(&named("val"), &why).unwrap();
    if let Ok(bare) = bare {
        grave(&bare);
    }
}

fn reading() -> kms::access::PermissionSet {
    kms::access::PermissionSet::of(&[kms::access::Permission::KeyRead])
}
