//! Approvals of the product's own operations.

use std::collections::BTreeSet;

use kms::access::Assignment;
use kms::access::PermissionSet;
use kms::access::PrincipalKind;
use kms::access::Scope;
use kms::access::Selection;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::lifecycle::KeyLifecyclePolicy;
use kms::manager::Completed;
use kms::manager::ErrorKind;
use kms::manager::NewPrincipal;
use kms::manager::NewRule;
use kms::manager::Refused;
use kms::multisig::ActKind;
use kms::multisig::ApprovalRule;

use super::*;
use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::add_principal;
use crate::home::because;
use crate::home::login;
use crate::home::make;
use crate::home::named;
use crate::home::records;
use crate::home::secret;

const BOARD: [&str; 3] = ["ann", "ben", "cem"];

/// A home with a board of three, of whom two approve.
struct Guarded {
    home: Home,
    kms: KeyManager,
    admin: Caller,
}

impl Guarded {
    fn new() -> Self {
        let home = Home::development();
        let (kms, admin) = home.enter();
        for member in BOARD {
            add_principal(&kms, &admin, (member, "signer"));
        }
        let signers = BOARD.map(|member| signer(member, 1, Some(member))).into();
        make_key(&kms, &admin, ("board", 2), signers).unwrap();
        Self { home, kms, admin }
    }

    fn rule(&self, name: &str, acts: &[ActKind]) -> Result<ApprovalRule, Error> {
        self.kms.multisig(&self.admin).set_rule(NewRule {
            name: label(name),
            acts: acts.iter().copied().collect::<BTreeSet<_>>(),
            scope: Scope::All,
            quorum: "board".to_owned(),
            initiator_counts: false,
        })
    }

    fn approve(&self, operation: OperationId, members: &[&str]) {
        for member in members {
            add(&self.kms, &self.admin, (operation, member)).unwrap();
        }
    }

    fn complete(&self, operation: OperationId) -> Result<Completed, Error> {
        self.kms.multisig(&self.admin).complete_operation(operation)
    }
}

/// The operations that a refusal names.
#[track_caller]
fn awaited<T: std::fmt::Debug>(refused: Result<T, Error>) -> Vec<OperationId> {
    match refused {
        Err(Error::Refused(Refused::ApprovalAwaited { awaited, .. })) => {
            awaited.into_iter().map(|one| one.operation).collect()
        }
        other => panic!("nothing is waited for: {other:?}"),
    }
}

#[track_caller]
fn waits<T: std::fmt::Debug>(refused: Result<T, Error>) -> OperationId {
    let all = awaited(refused);
    assert_eq!(all.len(), 1);
    all[0]
}

// Each of the product's own operations, unapproved, approved by one of two, and approved.
#[test]
fn every_guarded_act_waits_and_is_carried_out_with_its_approval() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    let (lifecycle, access) = (kms.lifecycle(admin), kms.access(admin));
    for name in ["a", "b", "c", "d", "e", "f"] {
        make(kms, admin, name);
    }
    let why = because("over");
    lifecycle.suspend_key(&named("b"), &why).unwrap();
    for name in ["c", "d", "e"] {
        lifecycle.mark_compromised(&named(name), &why).unwrap();
    }
    let new = kms::manager::NewKey { activate: false, ..crate::home::new_key(Algorithm::Ed25519) };
    kms.generate_key(admin, &label("g"), new).unwrap();
    make(kms, admin, "h");
    add_principal(kms, admin, ("dan", "auditor"));
    access.disable("dan").unwrap();
    guarded.rule("all", &ActKind::ALL).unwrap();

    let newcomer = || NewPrincipal {
        name: "eve".parse().unwrap(),
        kind: PrincipalKind::User,
        assignments: vec![Assignment::everywhere("signer".parse().unwrap())],
        slot: Some(false),
    };
    let viewer = || vec![Assignment::everywhere("auditor".parse().unwrap())];
    let policy = || KeyLifecyclePolicy { name: label("short"), ..KeyLifecyclePolicy::standard() };
    let reads = PermissionSet::of(&[kms::access::Permission::KeyRead]);
    type Try<'t> = (&'t str, Box<dyn Fn() -> Result<String, Error> + 't>);
    let moved = |key: Result<kms::key::ManagedKey, Error>| key.map(|key| key.state.to_string());
    let done = |unit: Result<(), Error>| unit.map(|()| String::new());
    let tries: Vec<Try<'_>> = vec![
        ("activate", Box::new(|| moved(lifecycle.activate_key(&named("g"), &why)))),
        ("rotate", Box::new(|| moved(kms.rotate_key(admin, &named("a"), &why)))),
        ("reactivate", Box::new(|| moved(lifecycle.reactivate_key(&named("b"), &why)))),
        ("schedule", Box::new(|| moved(lifecycle.schedule_destroy(&named("c"), &why)))),
        ("destroy", Box::new(|| moved(lifecycle.destroy_now(&named("d"), &why)))),
        ("archive", Box::new(|| moved(lifecycle.archive_key(&named("e"), &why)))),
        (
            "sign",
            Box::new(|| {
                kms.sign(admin, &named("f"), b"m", Scheme::default()).map(|_| String::new())
            }),
        ),
        ("successor", Box::new(|| moved(lifecycle.rotate_key(&named("f"), &named("h"), &why)))),
        ("enable", Box::new(|| access.enable("dan").map(|_| String::new()))),
        (
            "principal",
            Box::new(|| {
                access.create_principal(newcomer(), &secret(PASSPHRASE)).map(|_| String::new())
            }),
        ),
        ("roles", Box::new(|| access.set_roles("ann", viewer()).map(|_| String::new()))),
        ("mfa", Box::new(|| access.reset_mfa("ben").map(|_| String::new()))),
        (
            "passphrase",
            Box::new(|| access.reset_passphrase("ben", &secret(PASSPHRASE)).map(|_| String::new())),
        ),
        ("role", Box::new(|| done(access.set_role("watcher".parse().unwrap(), reads)))),
        ("policy", Box::new(|| done(lifecycle.register_policy(policy())))),
        ("no policy", Box::new(|| done(lifecycle.remove_policy(&label("short"))))),
        ("no role", Box::new(|| done(access.remove_role(&"watcher".parse().unwrap())))),
        ("rule", Box::new(|| guarded.rule("all", &ActKind::ALL).map(|_| String::new()))),
        ("no rule", Box::new(|| done(kms.multisig(admin).remove_rule(&label("all"))))),
    ];
    for (what, attempt) in &tries {
        let operation = waits(attempt());
        assert_eq!(waits(attempt()), operation, "{what}: asked for once");
        assert_eq!(guarded.complete(operation).unwrap_err().code(), "threshold_not_met", "{what}");
        guarded.approve(operation, &["ann"]);
        assert_eq!(waits(attempt()), operation, "{what}: one of two is not enough");
        guarded.approve(operation, &["cem"]);
        if ["principal", "passphrase"].contains(what) {
            // What takes a passphrase is carried out by whoever has it.
            assert_eq!(guarded.complete(operation).unwrap_err().code(), "run_again", "{what}");
        }
        let outcome = attempt();
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
        let view = kms.multisig(admin).get_operation(operation).unwrap();
        assert_eq!(view.tally.state, kms::multisig::OperationState::Complete, "{what}");
    }
    assert_eq!(kms.get_key(admin, &named("d")).unwrap().state, KeyState::Destroyed);
    assert_eq!(kms.get_key(admin, &named("b")).unwrap().state, KeyState::Active);
    // The record of what was done names its approval.
    let events = records(&guarded.home);
    let destroyed = events.iter().filter(|event| event.event.name() == "key_destroyed");
    let approved = |event: &&kms::audit::AuditEvent| event.detail_text("approvals").is_some();
    assert_eq!(destroyed.filter(approved).count(), 2, "the intent and the outcome");
    // What only takes rights away waits for nobody.
    guarded.rule("all", &ActKind::ALL).unwrap();
    access.disable("ben").unwrap();
    lifecycle.suspend_key(&named("b"), &why).unwrap();
}

// A transaction for a joint account is signed with the key like any other.
#[test]
fn joint_account_is_no_way_round_an_approval_to_sign() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    let multisig = kms.multisig(admin);
    let secp = |label: &str| {
        let new = crate::home::new_key(Algorithm::Secp256k1);
        kms.generate_key(admin, &label.parse().unwrap(), new).unwrap()
    };
    let key = secp("treasury");
    guarded.rule("r", &[ActKind::Sign]).unwrap();
    let member = AuthorizedSigner { public_key: key.public_key, ..signer("treasury", 1, None) };
    multisig
        .create_multisig_key(NewMultiSigKey {
            label: label("joint"),
            description: "an account".parse().unwrap(),
            form: Form::Cosmos { sorted: true },
            config: MultiSigConfig {
                threshold: 1,
                total_signers: 1,
                timeout_s: 3600,
                allow_partial_sig: false,
                require_ordered: false,
            },
            signers: vec![member],
        })
        .unwrap();
    let document = br#"{"account_number":"7","chain_id":"c","fee":{"amount":[],"gas":"1"},"memo":"","msgs":[],"sequence":"0"}"#;
    let begun = multisig.initiate_operation("joint", document, "pay".parse().unwrap()).unwrap();
    let operation = waits(multisig.sign(begun.id, &named("treasury")));
    guarded.approve(operation, &["ann", "ben"]);
    let signed = multisig.sign(begun.id, &named("treasury")).unwrap();
    assert_eq!(signed.tally.weight, 1);
}

// Invariant 3: a consensus key signs votes and proposals only, and so approves nothing.
#[test]
fn consensus_keys_are_no_signers() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    let new = kms::manager::NewKey {
        purpose: kms::key::Purpose::Consensus,
        ..crate::home::new_key(Algorithm::Ed25519)
    };
    let key = kms.generate_key(admin, &label("val"), new).unwrap();
    let val = AuthorizedSigner { public_key: key.public_key, ..signer("val", 1, None) };
    let refused = make_key(kms, admin, ("votes", 1), vec![val]).unwrap_err();
    assert_eq!(refused.code(), "multisig_invalid");
    let begun =
        kms.multisig(admin).initiate_operation("board", b"m", "x".parse().unwrap()).unwrap();
    let refused = kms.multisig(admin).sign(begun.id, &named("val")).unwrap_err();
    assert_eq!(refused.code(), "not_a_signer");
}

// Semantics: state, policy and permission are looked at again when it is carried out.
#[test]
fn what_was_approved_is_decided_again_when_it_is_carried_out() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    let lifecycle = kms.lifecycle(admin);
    guarded.rule("r", &[ActKind::Reactivate]).unwrap();
    make(kms, admin, "k");
    let why = because("back");
    assert_eq!(
        lifecycle.reactivate_key(&named("k"), &why).unwrap_err().code(),
        "state_not_allowed"
    );
    assert!(kms.multisig(admin).list_operations(true, "", 9).unwrap().operations.is_empty());
    lifecycle.suspend_key(&named("k"), &why).unwrap();
    let operation = waits(lifecycle.reactivate_key(&named("k"), &why));
    guarded.approve(operation, &["ann", "ben"]);
    // Whoever may not, may not with an approval either.
    let signer = login(kms, "cem", PASSPHRASE).unwrap();
    let refused = kms.multisig(&signer).complete_operation(operation).unwrap_err();
    assert_eq!(refused.code(), "permission_denied");
    // Its state has moved on.
    lifecycle.mark_compromised(&named("k"), &because("found out")).unwrap();
    assert_eq!(guarded.complete(operation).unwrap_err().code(), "state_not_allowed");
    assert_eq!(kms.get_key(admin, &named("k")).unwrap().state, KeyState::Compromised);
}

#[test]
fn approval_is_for_exactly_what_was_asked_under_the_rule_as_it_was() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    guarded.rule("r", &[ActKind::Sign]).unwrap();
    make(kms, admin, "k");
    make(kms, admin, "other");
    let sign = |key: &str, message: &[u8]| kms.sign(admin, &named(key), message, Scheme::default());
    let operation = waits(sign("k", b"pay 1"));
    guarded.approve(operation, &["ann", "ben"]);
    assert_ne!(waits(sign("k", b"pay 2")), operation);
    assert_ne!(waits(sign("other", b"pay 1")), operation);
    // The rule changes, with its quorum's approval; the approval of its old version is worth nothing.
    let change = waits(guarded.rule("r", &[ActKind::Sign, ActKind::Destroy]));
    guarded.approve(change, &["ann", "ben"]);
    assert_eq!(guarded.rule("r", &[ActKind::Sign, ActKind::Destroy]).unwrap().version, 2);
    assert_eq!(guarded.complete(operation).unwrap_err().code(), "rule_changed");
    let under_the_new = waits(sign("k", b"pay 1"));
    assert_ne!(under_the_new, operation);
    guarded.approve(under_the_new, &["ben", "cem"]);
    sign("k", b"pay 1").unwrap();
    assert_ne!(waits(sign("k", b"pay 1")), under_the_new, "once only");
}

// Attack 20, OpenBao control groups: one approval, one execution, however many try at once.
#[test]
fn of_many_who_carry_out_one_approval_one_does() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    guarded.rule("r", &[ActKind::Sign, ActKind::Policy]).unwrap();
    make(kms, admin, "k");
    for round in 0..8_u8 {
        let message = [round; 9];
        let sign = || kms.sign(admin, &named("k"), &message, Scheme::default());
        let operation = waits(sign());
        guarded.approve(operation, &["ann", "ben"]);
        let done: usize = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..4).map(|_| scope.spawn(|| usize::from(sign().is_ok()))).collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(done, 1, "round {round}");
    }
}

// A key's lock comes before the turn of approvals, everywhere: else these would wait for ever.
#[test]
fn guarded_moves_and_uses_do_not_wait_for_each_other() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    make(kms, admin, "k");
    guarded.rule("r", &[ActKind::Sign, ActKind::Rotate]).unwrap();
    let why = because("yearly");
    for round in 0..4_u8 {
        let rotate = || kms.rotate_key(admin, &named("k"), &why);
        let operation = waits(rotate());
        guarded.approve(operation, &["ann", "ben"]);
        let sign = || kms.sign(admin, &named("k"), &[round], Scheme::default());
        std::thread::scope(|scope| {
            let signing = scope.spawn(|| (0..40).filter(|_| sign().is_ok()).count());
            rotate().unwrap();
            assert_eq!(signing.join().unwrap(), 0, "nothing is signed without an approval");
        });
    }
}

#[test]
fn every_rule_that_covers_an_act_is_satisfied_by_itself() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    guarded.rule("one", &[ActKind::Sign]).unwrap();
    guarded.rule("two", &[ActKind::Sign]).unwrap();
    make(kms, admin, "k");
    let sign = || kms.sign(admin, &named("k"), b"m", Scheme::default());
    let both = awaited(sign());
    assert_eq!(both.len(), 2);
    guarded.approve(both[0], &["ann", "ben"]);
    assert_eq!(awaited(sign()), [both[1]]);
    guarded.approve(both[1], &["ben", "cem"]);
    sign().unwrap();
}

#[test]
fn initiator_and_those_who_are_gone_do_not_count() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    let roles = vec![
        Assignment::everywhere("operator".parse().unwrap()),
        Assignment::everywhere("signer".parse().unwrap()),
    ];
    kms.access(admin).set_roles("ann", roles).unwrap();
    guarded.rule("r", &[ActKind::Sign]).unwrap();
    make(kms, admin, "k");
    let ann = login(kms, "ann", PASSPHRASE).unwrap();
    let operation = waits(kms.sign(&ann, &named("k"), b"m", Scheme::default()));
    // Whoever brings it.
    let own = add(kms, admin, (operation, "ann")).unwrap_err();
    assert_eq!(own.code(), "own_request");
    guarded.approve(operation, &["ben", "cem"]);
    kms.access(admin).disable("cem").unwrap();
    let refused = guarded.complete(operation).unwrap_err();
    assert_eq!(refused.code(), "threshold_not_met");
    kms.access(admin).enable("cem").unwrap();
    guarded.complete(operation).unwrap();
    // Without two who are left, nobody is asked: that says what to do instead.
    kms.access(admin).disable("cem").unwrap();
    let refused = kms.sign(&ann, &named("k"), b"n", Scheme::default()).unwrap_err();
    assert_eq!(refused.code(), "nobody_left");
    assert!(refused.to_string().contains("ann: they asked for it"), "{refused}");
}

// Invariant 5: approvals, rules and operations survive a process that ends without closing.
#[test]
fn approvals_survive_a_crash_and_are_still_spent_once() {
    let guarded = Guarded::new();
    guarded.rule("r", &[ActKind::Policy]).unwrap();
    let policy = || KeyLifecyclePolicy { name: label("short"), ..KeyLifecyclePolicy::standard() };
    let set = |kms: &KeyManager, by: &Caller| kms.lifecycle(by).register_policy(policy());
    let operation = waits(set(&guarded.kms, &guarded.admin));
    guarded.approve(operation, &["ann", "ben"]);
    let Guarded { home, kms, admin } = guarded;
    drop((kms, admin));
    let (kms, admin) = home.enter();
    set(&kms, &admin).unwrap();
    drop((kms, admin));
    let (kms, admin) = home.enter();
    let late = waits(set(&kms, &admin));
    assert_ne!(late, operation);
    // Time ends what nobody approved, and says so on record when the home is opened.
    drop((kms, admin));
    home.clock().advance_seconds(25 * 3600);
    let (kms, admin) = home.enter();
    assert!(kms.multisig(&admin).list_operations(true, "", 9).unwrap().operations.is_empty());
    // SPEC: "Multi-Sig Timeout".
    let refused = kms.multisig(&admin).complete_operation(late).unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("multisig_expired", ErrorKind::Threshold));
    assert!(refused.to_string().starts_with("operation timed out waiting for signatures"));
    assert!(refused.to_string().ends_with("signed: nobody; missing: ann, ben, cem"), "{refused}");
    let expired = |event: &kms::audit::AuditEvent| event.operation.as_deref() == Some("expire");
    assert_eq!(records(&home).iter().filter(|event| expired(event)).count(), 1);
}

// A successor that was there before is put into use, and is used under the old one's name: a rule over
// one of the two alone is not gone round.
#[test]
fn successor_of_its_own_leads_round_no_rule() {
    let guarded = Guarded::new();
    let (kms, admin) = (&guarded.kms, &guarded.admin);
    for name in ["treasury", "dev", "plain"] {
        make(kms, admin, name);
    }
    for (rule, act) in [("signing", ActKind::Sign), ("use", ActKind::Activate)] {
        let only = Selection::new(vec![], vec!["treasury".parse().unwrap()], vec![]).unwrap();
        let scope = Scope::Only(only);
        let acts = BTreeSet::from([act]);
        let (name, quorum) = (label(rule), "board".to_owned());
        let new = NewRule { name, acts, scope, quorum, initiator_counts: false };
        kms.multisig(admin).set_rule(new).unwrap();
    }
    let why = because("round it");
    for (old, new) in [("treasury", "dev"), ("dev", "treasury")] {
        let refused = kms.lifecycle(admin).rotate_key(&named(old), &named(new), &why);
        match refused {
            Err(Error::Refused(Refused::RuleNotAsked { .. })) => {}
            other => panic!("{old} to {new}: {other:?}"),
        }
    }
    let moved = kms.migrate_key(admin, &named("treasury"), (&"memory".parse().unwrap(), &why));
    match moved {
        Err(Error::Refused(Refused::RuleNotAsked { .. })) => {}
        other => panic!("into another storage: {other:?}"),
    }
    kms.lifecycle(admin).rotate_key(&named("dev"), &named("plain"), &why).unwrap();
}
