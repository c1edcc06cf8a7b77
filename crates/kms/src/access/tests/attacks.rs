//! Attacks on sessions, logins and scopes.

use crate::access::AccessSettings;
use crate::access::Denied;
use crate::access::LoginError;
use crate::access::LoginRefused;
use crate::access::MfaMode;
use crate::access::Permission;
use crate::access::Presented;
use crate::access::SessionPolicy;
use crate::access::SessionRefused;
use crate::access::Target;
use crate::access::tests::home::HERE;
use crate::access::tests::home::Home;
use crate::access::tests::home::at;
use crate::access::tests::home::from;
use crate::access::tests::home::passphrase_of;
use crate::access::tests::home::role;
use crate::access::tests::home::role_on;
use crate::access::tests::home::secret;
use crate::key::KeyId;
use crate::key::Label;
use crate::key::Purpose;

fn development() -> Home {
    Home::new(MfaMode::Development)
}

// Attack 1. That no session is made without a `Proof` is a matter of types: it has private fields
// and one maker. This holds that the maker asks for the passphrase.
#[test]
fn name_without_its_passphrase_makes_no_proof() {
    let home = development();
    for (name, passphrase) in
        [("root", ""), ("root", "wrong wrong"), ("", ""), (&home.root.to_string(), "")]
    {
        let refused = home.prove(name, passphrase, HERE);
        assert!(matches!(refused, Err(LoginError::Refused(_))), "{name:?} {passphrase:?}");
    }
    assert!(home.access.sessions().is_empty());
}

// Attack 2.
#[test]
fn forged_tokens_open_no_session() {
    let home = development();
    let session = home.login("root");
    let tag = session.session.tag().to_string();
    let mut flipped = session.token.expose().to_vec();
    flipped[63] ^= 1;
    let shorter = &session.token.expose()[..63];
    let upper = session.token.expose().to_ascii_uppercase();
    for forged in [tag.as_bytes(), &[], &flipped, shorter, &upper, &[b'0'; 64]] {
        let token = secret(std::str::from_utf8(forged).unwrap());
        let presented = Presented { token: &token, client: HERE };
        let refused = home.access.validate_session(&presented, at(0));
        assert_eq!(refused.unwrap_err(), SessionRefused::Unknown);
    }
    let stored = serde_json::to_string(&home.access.session_records()).unwrap();
    assert!(!stored.contains(std::str::from_utf8(session.token.expose()).unwrap()));
}

// Attack 4.
#[test]
fn session_is_dead_at_the_next_call_after_its_principal_was_changed() {
    type Alter = fn(&Home, crate::access::PrincipalId);
    let alterations: [(&str, Alter); 5] = [
        ("roles", |home, id| {
            let by = home.confirmed("root", &Target::Principal(id));
            home.change(|changing| changing.set_roles(&by, id, role("auditor"))).unwrap();
        }),
        ("disabled", |home, id| {
            let by = home.confirmed("root", &Target::Principal(id));
            home.change(|changing| changing.set_enabled(&by, id, false)).unwrap();
        }),
        ("removed", |home, id| {
            let by = home.confirmed("root", &Target::Principal(id));
            home.change(|changing| changing.remove_principal(&by, id)).unwrap();
        }),
        ("passphrase", |home, _| {
            let proven = home.prove("alice", &passphrase_of("alice"), HERE).unwrap();
            let new = secret("battery staple");
            let decide = |c: &crate::access::Changing<'_>| c.change_passphrase(&proven, &new);
            home.change(|changing| decide(changing).map(|(change, _)| change)).unwrap();
        }),
        ("second factor", |home, _| {
            let proven = home.prove("alice", &passphrase_of("alice"), HERE).unwrap();
            let decide = |c: &crate::access::Changing<'_>| c.enroll_mfa(&proven, at(0));
            home.change(|changing| decide(changing).map(|(change, _)| change)).unwrap();
        }),
    ];
    for (what, alter) in alterations {
        let home = development();
        let alice = home.add("alice", role("signer"));
        let session = home.login("alice");
        let under_way = home.validate(&session, HERE, at(0)).unwrap();
        alter(&home, alice);
        assert!(home.validate(&session, HERE, at(0)).is_err(), "{what}");
        let denied = home.access.authorize(&under_way, Permission::KeyRead, &Target::None);
        assert_eq!(denied.unwrap_err(), Denied::SessionEnded, "{what}");
        assert!(home.access.sessions().iter().all(|s| s.principal() != alice), "{what}");
    }
}

// Attack 4: a proof is bound to the credentials it was made with, too.
#[test]
fn proof_from_before_a_change_makes_no_session() {
    let home = development();
    let alice = home.add("alice", role("signer"));
    let proven = home.prove("alice", &passphrase_of("alice"), HERE).unwrap();
    let by = home.confirmed("root", &Target::Principal(alice));
    home.change(|changing| changing.set_roles(&by, alice, role("auditor"))).unwrap();
    let refused = home.access.create_session(proven.into_proof(), HERE, at(0));
    assert_eq!(refused.unwrap_err(), LoginRefused::Changed(alice).into());
}

// Attack 5.
#[test]
fn session_ends_after_fifteen_idle_minutes_and_after_twelve_hours() {
    let home = development();
    let idle = home.login("root");
    home.validate(&idle, HERE, at(899)).unwrap();
    assert!(home.validate(&idle, HERE, at(899 + 899)).is_ok());
    let refused = home.validate(&idle, HERE, at(899 + 899 + 960)).unwrap_err();
    assert_eq!(refused, SessionRefused::Idle(idle.session.tag()));

    let home = development();
    let busy = home.login("root");
    for minute in 0..12 * 60 {
        assert!(home.validate(&busy, HERE, at(minute * 60)).is_ok(), "minute {minute}");
    }
    let refused = home.validate(&busy, HERE, at(12 * 3600)).unwrap_err();
    assert_eq!(refused, SessionRefused::Expired(busy.session.tag()));
}

// Attack 5: the clock is set back.
#[test]
fn clock_set_back_revives_no_session_and_lengthens_none() {
    let home = development();
    let (first, second) = (home.login("root"), home.login("root"));
    assert!(home.validate(&first, HERE, at(960)).is_err());
    // The second was not looked at while it was over: it stays over all the same.
    for earlier in [at(60), at(0)] {
        assert!(home.validate(&first, HERE, earlier).is_err());
        assert!(home.validate(&second, HERE, earlier).is_err());
    }

    let home = development();
    let session = home.login("root");
    home.validate(&session, HERE, at(600)).unwrap();
    home.validate(&session, HERE, at(0)).unwrap(); // set back by ten minutes: it lives on,
    home.validate(&session, HERE, at(800)).unwrap();
    let refused = home.validate(&session, HERE, at(800 + 900)).unwrap_err(); // with its own time
    assert_eq!(refused, SessionRefused::Idle(session.session.tag()));
}

#[test]
fn sessions_made_after_a_clock_ran_ahead_live_their_time_and_no_longer() {
    let home = development();
    let early = home.login("root");
    let far = at(2_000_000_000);
    assert!(home.validate(&early, HERE, far).is_err());
    let session = home.login("root");
    assert!(home.validate(&session, HERE, at(899)).is_ok());
    assert!(home.validate(&session, HERE, at(899 + 900)).is_err());
}

// Attack 6.
#[test]
fn token_from_elsewhere_is_refused_and_its_session_ended() {
    let home = development();
    let elsewhere = [
        from("192.0.2.2"),
        HERE,
        crate::access::Client { user_agent: "curl/8", ..from("192.0.2.1") },
    ];
    for client in elsewhere {
        let session = home.login_from("root", from("192.0.2.1"));
        assert!(home.validate(&session, from("::ffff:192.0.2.1"), at(0)).is_ok());
        let refused = home.validate(&session, client, at(0)).unwrap_err();
        assert_eq!(refused, SessionRefused::Moved(session.session.tag()));
        let refused = home.validate(&session, from("192.0.2.1"), at(0)).unwrap_err();
        assert_eq!(refused, SessionRefused::Unknown);
    }
}

#[test]
fn unbound_sessions_may_move_where_the_policy_says_so() {
    let json = r#"{"bind_address":false,"bind_user_agent":false}"#;
    let sessions: SessionPolicy = serde_json::from_str(json).unwrap();
    let home = Home::with(AccessSettings { sessions, mfa: MfaMode::Development });
    let session = home.login_from("root", from("192.0.2.1"));
    assert!(home.validate(&session, from("192.0.2.2"), at(0)).is_ok());
}

// Attack 9.
#[test]
fn key_out_of_scope_and_unknown_key_get_one_answer() {
    let home = development();
    home.add("alice", role_on("signer", "alice-*"));
    let caller = home.caller("alice");
    let id = KeyId::from_random([1; 16]);
    let ask = |label: &str, permission| {
        let label: Label = label.parse().unwrap();
        let target = Target::Key { id: &id, label: &label, purpose: Purpose::General };
        home.access.authorize(&caller, permission, &target).map(|grant| grant.target())
    };
    for permission in [Permission::KeySign, Permission::KeyRead] {
        let unknown = home.access.authorize(&caller, permission, &Target::UnknownKey);
        assert_eq!(ask("bob-1", permission), Err(unknown.unwrap_err()));
        assert!(ask("alice-1", permission).is_ok());
    }
    // What no role gives is missing for every key alike, whether it exists or not.
    let unknown = home.access.authorize(&caller, Permission::KeyRotate, &Target::UnknownKey);
    assert_eq!(ask("alice-1", Permission::KeyRotate), Err(unknown.unwrap_err()));
    assert!(matches!(ask("bob-1", Permission::KeyRotate), Err(Denied::Missing { .. })));
}

#[test]
fn unknown_key_is_hidden_from_the_admin_too() {
    let home = development();
    let caller = home.caller("root");
    let denied = home.access.authorize(&caller, Permission::KeySign, &Target::UnknownKey);
    assert_eq!(denied.unwrap_err(), Denied::Hidden);
}

// Attack 11.
#[test]
fn admin_cannot_be_locked_out_from_afar() {
    let home = development();
    for _ in 0..5 {
        assert!(home.prove("root", "wrong wrong", from("192.0.2.1")).is_err());
    }
    let right = passphrase_of("root");
    let locked = home.prove("ROOT", &right, from("192.0.2.1")).unwrap_err();
    assert!(matches!(locked, LoginError::Refused(LoginRefused::LockedOut(_))));
    let by_id = home.prove(&home.root.to_string(), &right, from("192.0.2.1"));
    assert!(by_id.is_err(), "another spelling went round the lock");
    assert!(home.prove("root", &right, from("192.0.2.2")).is_ok());
    assert!(home.prove("root", &right, HERE).is_ok());
}

// Attack 12.
#[test]
fn unknown_disabled_and_wrong_look_alike_and_run_argon2_once_each() {
    let home = development();
    let carol = home.add("carol", role("signer"));
    let by = home.confirmed("root", &Target::Principal(carol));
    home.change(|changing| changing.set_enabled(&by, carol, false)).unwrap();
    let client = from("192.0.2.1");
    let mut answers = Vec::new();
    for (name, passphrase) in [
        ("nobody", "wrong wrong"),
        ("no\nbody", "wrong wrong"),
        ("root", "wrong wrong"),
        ("carol", "wrong wrong"),
        ("carol", &passphrase_of("carol")),
    ] {
        let before = home.access.stretcher().started();
        answers.push(home.prove(name, passphrase, client).unwrap_err().to_string());
        assert_eq!(home.access.stretcher().started() - before, 1, "{name:?}");
    }
    answers.dedup();
    assert_eq!(answers, ["name, passphrase or code is wrong"]);
    for _ in 0..4 {
        assert!(home.prove("nobody", "wrong wrong", client).is_err());
    }
    let locked = home.prove("Nobody", "wrong wrong", client).unwrap_err();
    assert!(matches!(locked, LoginError::Refused(LoginRefused::LockedOut(_))));
}

#[test]
fn sixth_login_ends_the_oldest_session() {
    let home = development();
    let sessions: Vec<_> = (0..6)
        .map(|second| {
            let proven = home.prove("root", &passphrase_of("root"), HERE).unwrap();
            home.access.create_session(proven.into_proof(), HERE, at(second)).unwrap()
        })
        .collect();
    let first = sessions[0].session.tag();
    assert_eq!(sessions[5].ended, [first]);
    assert!(home.validate(&sessions[0], HERE, at(6)).is_err());
    assert!(sessions[1..].iter().all(|session| home.validate(session, HERE, at(6)).is_ok()));
}

#[test]
fn parallel_logins_do_not_exceed_the_limit() {
    let home = development();
    let proofs: Vec<_> = (0..12)
        .map(|_| home.prove("root", &passphrase_of("root"), HERE).unwrap().into_proof())
        .collect();
    std::thread::scope(|scope| {
        for proof in proofs {
            scope.spawn(|| home.access.create_session(proof, HERE, at(0)).unwrap());
        }
    });
    assert_eq!(home.access.sessions().len(), 5);
}

#[test]
fn ending_a_session_twice_is_well() {
    let home = development();
    let session = home.login("root");
    let tag = session.session.tag();
    home.access.end_session(tag);
    home.access.end_session(tag);
    assert_eq!(home.validate(&session, HERE, at(0)).unwrap_err(), SessionRefused::Unknown);
}

#[test]
fn sessions_and_their_age_survive_being_stored() {
    let home = development();
    let session = home.login("root");
    home.validate(&session, HERE, at(100)).unwrap();
    let json = serde_json::to_string(&home.access.session_records()).unwrap();
    let contents = crate::access::AccessContents {
        principals: home.access.principals(),
        credentials: vec![home.access.directory().credentials(home.root).unwrap().clone()],
        sessions: serde_json::from_str(&json).unwrap(),
        ..Default::default()
    };
    let settings = AccessSettings { sessions: SessionPolicy::default(), mfa: MfaMode::Development };
    let access = crate::access::AccessController::quick(contents, settings).unwrap();
    let again = Home { access, root: home.root };
    assert!(again.validate(&session, HERE, at(999)).is_ok());
    assert!(again.validate(&session, HERE, at(999 + 900)).is_err());
}

#[test]
fn sweep_ends_what_is_over() {
    let home = development();
    let session = home.login("root");
    assert!(home.access.sweep_sessions(at(899)).is_empty());
    assert_eq!(home.access.sweep_sessions(at(900)), [session.session.tag()]);
    assert!(home.access.sessions().is_empty());
}
