//! Attacks on sessions, roles, second factors and names.

use std::collections::BTreeMap;
use std::thread;

use kms::access::Assignment;
use kms::access::Permission;
use kms::access::PermissionSet;
use kms::access::PrincipalKind;
use kms::access::Scope;
use kms::access::Selection;
use kms::audit::AuditEvent;
use kms::audit::EventType;
use kms::audit::ExportFormat;
use kms::audit::Query;
use kms::key::Algorithm;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::NewPrincipal;
use kms::time::Clock;
use kms::time::Timestamp;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::add_principal;
use crate::home::because;
use crate::home::client;
use crate::home::here;
use crate::home::login;
use crate::home::login_with;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;
use crate::home::secret;

// Attacks 1 and 2.
#[test]
fn no_session_begins_without_proof_and_made_up_tokens_are_recorded() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    let token = std::str::from_utf8(caller.token().expose()).unwrap().to_owned();
    assert_eq!(token.len(), 64);
    let other = login(&kms, "alice", PASSPHRASE).unwrap();
    assert_ne!(other.token().expose(), token.as_bytes());
    let mut flipped = token.clone().into_bytes();
    flipped[63] ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();
    let forged = ["", "alice", &"0".repeat(64), &token.to_uppercase(), &token[..63], &flipped];
    for forged in forged {
        let forger = Caller::new(secret(forged), here());
        let error = kms.sign(&forger, &named("val"), b"m", Scheme::default()).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("session_ended", ErrorKind::Authentication));
    }
    let denied = records(&home).into_iter().filter(|e| e.event == EventType::AccessDenied);
    assert_eq!(denied.count(), 6);
    let error = login(&kms, "alice", "").unwrap_err();
    assert_eq!(error.code(), "login_failed");
    kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
}

// Attack 4; also after a restart, when sessions come from the store.
#[test]
fn session_ended_by_a_change_of_its_principal_stays_dead_after_a_restart() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    for name in ["demoted", "disabled", "renewed", "kept"] {
        add_principal(&kms, &admin, (name, "operator"));
    }
    let sessions: BTreeMap<_, _> = ["demoted", "disabled", "renewed", "kept"]
        .map(|name| (name, login(&kms, name, PASSPHRASE).unwrap()))
        .into();
    let access = kms.access(&admin);
    let auditor = vec![Assignment::everywhere("auditor".parse().unwrap())];
    access.set_roles("demoted", auditor).unwrap();
    access.disable("disabled").unwrap();
    access.enable("disabled").unwrap();
    let (old, new) = (secret(PASSPHRASE), secret("another passphrase entirely"));
    kms.access(&sessions["renewed"]).change_passphrase(&old, &new).unwrap();
    let alive = |kms: &KeyManager| {
        let mut alive = sessions.iter().filter(|(_, session)| kms.list_keys(session).is_ok());
        alive.next().map(|(name, _)| (*name, alive.count()))
    };
    assert_eq!(alive(&kms), Some(("kept", 0)));
    kms.close().unwrap();
    assert_eq!(alive(&home.open().unwrap()), Some(("kept", 0)));
}

// Attack 5.
#[test]
fn expired_session_stays_expired_when_the_clock_goes_back() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let begun = home.clock().now();
    home.clock().advance_seconds(16 * 60);
    assert_eq!(kms.list_keys(&caller).unwrap_err().code(), "session_ended");
    home.clock().set(begun);
    assert_eq!(kms.list_keys(&caller).unwrap_err().code(), "session_ended");
    kms.close().unwrap();
    let kms = home.open().unwrap();
    assert_eq!(kms.list_keys(&caller).unwrap_err().code(), "session_ended");
    let caller = home.admin(&kms);
    for _ in 0..13 * 5 {
        home.clock().advance_seconds(12 * 60);
        _ = kms.list_keys(&caller);
    }
    assert_eq!(kms.list_keys(&caller).unwrap_err().code(), "session_ended");
}

// Attack 6.
#[test]
fn token_from_another_place_ends_its_session_and_is_recorded() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let token = || secret(std::str::from_utf8(caller.token().expose()).unwrap());
    let elsewhere = client(Some("192.0.2.7".parse().unwrap()), "tests");
    let thief = Caller::new(token(), elsewhere);
    assert_eq!(kms.list_keys(&thief).unwrap_err().code(), "session_ended");
    assert_eq!(kms.list_keys(&caller).unwrap_err().code(), "session_ended");
    let records = records(&home);
    let denied: Vec<_> = records.iter().filter(|e| e.event == EventType::AccessDenied).collect();
    assert_eq!(denied[0].source_ip.as_deref(), Some("192.0.2.7"));
}

// Attack 7.
#[test]
fn nobody_gives_themselves_or_others_more_than_they_hold() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    let manager = PermissionSet::of(&[Permission::AccessManage, Permission::KeyRead]);
    kms.access(&admin).set_role("clerk".parse().unwrap(), manager).unwrap();
    add_principal(&kms, &admin, ("carol", "clerk"));
    let carol = login(&kms, "carol", PASSPHRASE).unwrap();
    let access = kms.access(&carol);
    let everything = || vec![Assignment::everywhere("admin".parse().unwrap())];
    let wider = PermissionSet::of(&[Permission::KeySign]);
    let mallory = NewPrincipal {
        name: "mallory".parse().unwrap(),
        kind: PrincipalKind::User,
        assignments: everything(),
        slot: None,
    };
    let attempts = [
        access.set_roles("carol", everything()).map(drop),
        access.set_role("clerk".parse().unwrap(), wider),
        access.set_role("helper".parse().unwrap(), wider),
        access.set_role("admin".parse().unwrap(), PermissionSet::of(&[Permission::Admin])),
        access.create_principal(mallory, &secret(PASSPHRASE)).map(drop),
        access.reset_passphrase("alice", &secret("taken over by carol")).map(drop),
        access.disable("alice").map(drop),
        access.remove("alice"),
    ];
    for (number, attempt) in attempts.into_iter().enumerate() {
        let error = attempt.unwrap_err();
        let codes = ["permission_denied", "role_invalid"];
        assert!(codes.contains(&error.code()), "{number}: {error}");
    }
    assert_eq!(kms.access(&admin).principals().unwrap().len(), 2);
    let error = kms.access(&admin).remove("alice").unwrap_err();
    assert!(["last_admin", "permission_denied"].contains(&error.code()), "{error}");
    assert!("key:*".parse::<Permission>().is_err() && "admin:x".parse::<Permission>().is_err());
}

type Attempt = fn(&KeyManager, &Caller) -> Result<(), Error>;

/// Everything that changes something, by name.
const CHANGES: [(&str, Attempt); 20] = [
    ("generate", |k, c| {
        k.generate_key(c, &"new".parse().unwrap(), new_key(Algorithm::P256)).map(drop)
    }),
    ("rename", |k, c| k.rename_key(c, &named("val"), &"new".parse().unwrap()).map(drop)),
    ("rotate", |k, c| k.rotate_key(c, &named("val"), &because("x")).map(drop)),
    ("sign", |k, c| k.sign(c, &named("val"), b"m", Scheme::default()).map(drop)),
    ("activate", |k, c| k.lifecycle(c).activate_key(&named("val"), &because("x")).map(drop)),
    ("suspend", |k, c| k.lifecycle(c).suspend_key(&named("val"), &because("x")).map(drop)),
    ("reactivate", |k, c| k.lifecycle(c).reactivate_key(&named("val"), &because("x")).map(drop)),
    ("deactivate", |k, c| k.lifecycle(c).deactivate_key(&named("val"), &because("x")).map(drop)),
    ("archive", |k, c| k.lifecycle(c).archive_key(&named("val"), &because("x")).map(drop)),
    ("destroy", |k, c| k.lifecycle(c).destroy_now(&named("val"), &because("x")).map(drop)),
    ("schedule", |k, c| k.lifecycle(c).schedule_destroy(&named("val"), &because("x")).map(drop)),
    ("cancel", |k, c| k.lifecycle(c).cancel_destroy(&named("val"), &because("x")).map(drop)),
    ("compromise", |k, c| k.lifecycle(c).mark_compromised(&named("val"), &because("x")).map(drop)),
    ("complete", |k, c| k.lifecycle(c).complete_rotation(&named("val"), &because("x")).map(drop)),
    ("abort", |k, c| k.lifecycle(c).abort_rotation(&named("val"), &because("x")).map(drop)),
    ("policy", |k, c| k.lifecycle(c).remove_policy(&"default".parse().unwrap())),
    ("disable", |k, c| k.access(c).disable("alice").map(drop)),
    ("remove", |k, c| k.access(c).remove("alice")),
    ("role", |k, c| {
        k.access(c).set_role("r".parse().unwrap(), PermissionSet::of(&[Permission::KeyRead]))
    }),
    ("lock", KeyManager::lock),
];

// Attack 8.
#[test]
fn auditor_changes_nothing_and_every_try_is_recorded() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    let key = make(&kms, &admin, "val");
    add_principal(&kms, &admin, ("audrey", "auditor"));
    let audrey = login(&kms, "audrey", PASSPHRASE).unwrap();
    for (name, attempt) in CHANGES {
        let error = attempt(&kms, &audrey).expect_err(name);
        assert_eq!((name, error.code()), (name, "permission_denied"));
    }
    let denied = records(&home).into_iter().filter(|e| e.event == EventType::AccessDenied);
    assert_eq!(denied.count(), CHANGES.len());
    assert_eq!(kms.get_key(&audrey, &named("val")).unwrap(), key);
    assert!(!kms.status().sealed);
    kms.audit(&audrey).generate_audit_report(Timestamp::EPOCH).unwrap();
    let lines = kms.audit(&audrey).export(&Query::default(), ExportFormat::Jsonl, &mut Vec::new());
    assert!(lines.unwrap() > 20);
}

// Attacks 8 and 12: who may not manage principals does not learn who there is either.
#[test]
fn whom_one_may_not_manage_one_cannot_tell_from_nobody() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    add_principal(&kms, &admin, ("audrey", "auditor"));
    let audrey = login(&kms, "audrey", PASSPHRASE).unwrap();
    type Change = fn(&KeyManager, &Caller, &str) -> Result<(), Error>;
    let attempts: [Change; 5] = [
        |kms, by, name| kms.access(by).disable(name).map(drop),
        |kms, by, name| kms.access(by).remove(name),
        |kms, by, name| kms.access(by).reset_mfa(name).map(drop),
        |kms, by, name| kms.access(by).reset_passphrase(name, &secret(PASSPHRASE)).map(drop),
        |kms, by, name| kms.access(by).principal(name).map(drop),
    ];
    for attempt in attempts {
        let there = attempt(&kms, &audrey, "alice").unwrap_err();
        let nobody = attempt(&kms, &audrey, "nobody").unwrap_err();
        assert_eq!((there.code(), there.to_string()), (nobody.code(), nobody.to_string()));
    }
}

// Attack 9.
#[test]
fn key_outside_ones_scope_looks_like_no_key_and_the_try_is_recorded() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    make(&kms, &admin, "mine");
    let theirs = make(&kms, &admin, "theirs");
    let mine = Selection::new(vec![], vec!["mine".parse().unwrap()], vec![]).unwrap();
    let role = "signer".parse().unwrap();
    let new = NewPrincipal {
        name: "sam".parse().unwrap(),
        kind: PrincipalKind::Service,
        assignments: vec![Assignment { role, scope: Scope::Only(mine) }],
        slot: None,
    };
    kms.access(&admin).create_principal(new, &secret(PASSPHRASE)).unwrap();
    let sam = login(&kms, "sam", PASSPHRASE).unwrap();
    kms.sign(&sam, &named("mine"), b"m", Scheme::default()).unwrap();
    let unknown = kms.sign(&sam, &named("nothing"), b"m", Scheme::default()).unwrap_err();
    for name in [named("theirs"), theirs.id.into()] {
        let refused = [
            kms.sign(&sam, &name, b"m", Scheme::default()).unwrap_err(),
            kms.get_key(&sam, &name).unwrap_err(),
            kms.key_history(&sam, &name).unwrap_err(),
        ];
        for error in refused {
            let same = (unknown.code(), unknown.to_string());
            assert_eq!((error.code(), error.to_string()), same);
        }
        let error = kms.audit(&sam).get_events_by_key(&name, Timestamp::EPOCH).unwrap_err();
        assert!(["key_not_found", "permission_denied"].contains(&error.code()));
    }
    let listed: Vec<_> = kms.list_keys(&sam).unwrap().into_iter().map(|key| key.label).collect();
    assert_eq!(listed, ["mine".parse().unwrap()]);
    let denied = records(&home).into_iter().filter(|e| e.event == EventType::AccessDenied);
    assert_eq!(denied.count(), 9);
}

// Attack 10.
#[test]
fn code_of_the_second_factor_makes_one_session_even_when_shown_at_once_or_after_a_restart() {
    let home = Home::guarded();
    let kms = home.open().unwrap();
    let code = home.code();
    let enter = || login_with(&kms, ("alice", PASSPHRASE), Some(&code));
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(enter)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert_eq!(refused.map(Error::code).collect::<Vec<_>>(), ["login_failed"; 2]);
    kms.close().unwrap();
    let kms = home.open().unwrap();
    let error = login_with(&kms, ("alice", PASSPHRASE), Some(&code)).unwrap_err();
    assert_eq!(error.code(), "login_failed");
    home.clock().advance_seconds(60);
    let error = login_with(&kms, ("alice", PASSPHRASE), Some(&code)).unwrap_err();
    assert_eq!(error.code(), "login_failed");
    login_with(&kms, ("alice", PASSPHRASE), Some(&home.code())).unwrap();
}

// Attack 11: a lock lasts over a restart, and whoever sits elsewhere locks nobody out here.
#[test]
fn failures_are_not_forgiven_by_a_restart_and_lock_out_nobody_else() {
    let home = Home::development();
    let there = || client(Some("192.0.2.7".parse().unwrap()), "tests");
    let guess = |kms: &KeyManager, passphrase: &str| {
        let (name, passphrase) = ("alice".parse().unwrap(), secret(passphrase));
        let login = kms::manager::Login {
            principal: &name,
            passphrase: &passphrase,
            mfa_code: None,
            client: there(),
        };
        kms.login(login).map(drop)
    };
    let kms = home.open().unwrap();
    for _ in 0..5 {
        assert_eq!(guess(&kms, "wrong passphrase").unwrap_err().code(), "login_failed");
    }
    kms.close().unwrap();
    let kms = home.open().unwrap();
    assert_eq!(guess(&kms, PASSPHRASE).unwrap_err().code(), "locked_out");
    home.admin(&kms);
    home.clock().advance_seconds(16 * 60);
    guess(&kms, PASSPHRASE).unwrap();
}

// Attack 12.
#[test]
fn unknown_name_wrong_passphrase_and_wrong_code_read_the_same() {
    let home = Home::guarded();
    let (kms, admin) = home.enter();
    add_principal(&kms, &admin, ("dora", "signer"));
    kms.access(&admin).disable("dora").unwrap();
    let wrong_code = if home.code() == "000000" { "000001" } else { "000000" };
    let attempts = [
        login_with(&kms, ("nobody", PASSPHRASE), Some("123456")),
        login_with(&kms, ("alice", "a wrong passphrase"), None),
        login_with(&kms, ("alice", PASSPHRASE), Some(wrong_code)),
        login_with(&kms, ("dora", PASSPHRASE), None),
    ];
    let told: Vec<_> =
        attempts.into_iter().map(Result::unwrap_err).map(|e| (e.code(), e.to_string())).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(told[0].0, "login_failed");
    let failed = records(&home).into_iter().filter(|e| e.event == EventType::LoginFailed);
    assert_eq!(failed.count(), 4);
}

#[test]
fn flood_of_made_up_tokens_is_a_few_records_and_a_count() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let forger = Caller::new(secret(&"0".repeat(64)), here());
    for _ in 0..1000 {
        let error = kms.list_keys(&forger).unwrap_err();
        assert_eq!(error.code(), "session_ended");
    }
    let denied = |e: &AuditEvent| e.event == EventType::AccessDenied;
    assert_eq!(records(&home).into_iter().filter(denied).count(), 20);
    home.clock().advance_seconds(60);
    kms.list_keys(&forger).unwrap_err();
    (0..30).for_each(|_| _ = kms.list_keys(&forger).unwrap_err());
    kms.list_keys(&caller).unwrap(); // who has a session is not held up by it
    kms.close().unwrap();
    let records = records(&home);
    let told = records.iter().filter_map(|e| e.detail_text("refused_unrecorded"));
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["980", "11"]);
    assert_eq!(records.into_iter().filter(denied).count(), 20 + 20 + 1);
}
