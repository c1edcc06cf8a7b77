//! The second factor, from enrolment to confirmation.

use kms_secret::SecretBytes;

use crate::access::ChangeRefused;
use crate::access::EnrollError;
use crate::access::Enrolment;
use crate::access::LoginError;
use crate::access::LoginRefused;
use crate::access::MfaMode;
use crate::access::MfaRequired;
use crate::access::PassphraseCredential;
use crate::access::Proven;
use crate::access::Sensitive;
use crate::access::SensitiveDenied;
use crate::access::StartedSession;
use crate::access::Target;
use crate::access::tests::home::HERE;
use crate::access::tests::home::Home;
use crate::access::tests::home::at;
use crate::access::tests::home::from;
use crate::access::tests::home::passphrase_of;
use crate::access::tests::home::role;
use crate::access::tests::home::secret;
use crate::access::totp::code_for_test;
use crate::time::Timestamp;

fn prove(home: &Home) -> Proven {
    home.prove("root", &passphrase_of("root"), HERE).unwrap()
}

/// A home whose admin has a second factor.
fn enrolled() -> (Home, Enrolment) {
    let home = Home::new(MfaMode::Required);
    let proven = prove(&home);
    let mut changing = home.access.changing();
    let (change, enrolment) = changing.enroll_mfa(&proven, at(0)).unwrap();
    changing.apply(&change);
    drop(changing);
    (home, enrolment)
}

fn code(home: &Home, proven: &Proven, now: Timestamp) -> SecretBytes {
    let credentials = home.access.directory().credentials(home.root).unwrap().clone();
    code_for_test(&credentials.totp.unwrap(), (home.root, proven.stretched()), now)
}

fn give_code(home: &Home, code: &SecretBytes, now: Timestamp) -> Result<Proven, LoginError> {
    let mut changing = home.access.changing();
    let accepted = changing.accept_code(prove(home), (code, &HERE), now)?;
    Ok(changing.apply_code(accepted))
}

fn login_with_code(home: &Home, now: Timestamp) -> StartedSession {
    let proven = give_code(home, &code(home, &prove(home), now), now).unwrap();
    home.access.create_session(proven.into_proof(), HERE, now).unwrap()
}

fn refusal(error: LoginError) -> LoginRefused {
    match error {
        LoginError::Refused(refused) => refused,
        LoginError::Fault(fault) => panic!("{fault}"),
    }
}

#[test]
fn every_sensitive_operation_needs_a_second_factor_of_the_last_five_minutes() {
    let (home, _) = enrolled();
    let plain = home.caller("root");
    let session = login_with_code(&home, at(0));
    let caller = home.validate(&session, HERE, at(0)).unwrap();
    let ask = |operation, caller, now| {
        let asked = (operation, &Target::None);
        home.access.authorize_sensitive(caller, asked, now).map(|_| ())
    };
    for operation in Sensitive::ALL {
        let absent = Err(SensitiveDenied::Mfa(MfaRequired::Absent));
        assert_eq!(ask(operation, &plain, at(0)), absent);
    }
    for operation in Sensitive::ALL {
        assert_eq!(ask(operation, &caller, at(299)), Ok(()));
    }
    for operation in Sensitive::ALL {
        let stale = Err(SensitiveDenied::Mfa(MfaRequired::Stale));
        assert_eq!(ask(operation, &caller, at(300)), stale);
        // Setting the clock back does not make it fresh again.
        assert_eq!(ask(operation, &caller, at(0)), stale);
    }
}

#[test]
fn second_factor_does_not_stand_in_for_a_permission() {
    let home = Home::new(MfaMode::Development);
    home.add("alice", role("signer"));
    let caller = home.caller("alice");
    for operation in Sensitive::ALL {
        let asked = (operation, &Target::None);
        let denied = home.access.authorize_sensitive(&caller, asked, at(0));
        assert!(matches!(denied, Err(SensitiveDenied::Denied(_))), "{operation:?}");
    }
}

// Attack 3.
#[test]
fn token_from_before_a_step_up_is_dead_after_it() {
    let (home, _) = enrolled();
    let before = home.login("root");
    let caller = home.validate(&before, HERE, at(0)).unwrap();
    let proven = give_code(&home, &code(&home, &prove(&home), at(0)), at(0)).unwrap();
    let after = home.access.step_up(&caller, (proven.into_proof(), HERE), at(0)).unwrap();
    assert_ne!(before.token, after.token);
    assert!(home.validate(&before, HERE, at(0)).is_err());
    assert!(home.validate(&after, HERE, at(0)).is_ok());
    assert_eq!(after.session.mfa_at(), Some(at(0)));
}

// Attack 3.
#[test]
fn step_up_takes_the_second_factor_of_the_same_principal() {
    let (home, _) = enrolled();
    let session = home.login("root");
    let caller = home.validate(&session, HERE, at(0)).unwrap();
    let without = home.access.step_up(&caller, (prove(&home).into_proof(), HERE), at(0));
    assert_eq!(refusal(without.unwrap_err()), LoginRefused::WrongCode(home.root));
    assert!(home.validate(&session, HERE, at(0)).is_ok());

    let development = Home::new(MfaMode::Development);
    development.add("alice", role("signer"));
    let alice = development.caller("alice");
    let root = development.prove("root", &passphrase_of("root"), HERE).unwrap();
    let other = development.access.step_up(&alice, (root.into_proof(), HERE), at(0));
    assert_eq!(refusal(other.unwrap_err()), LoginRefused::Changed(development.root));
}

// Attack 10: the same code twice.
#[test]
fn code_makes_one_login() {
    let (home, _) = enrolled();
    let code = code(&home, &prove(&home), at(0));
    assert!(give_code(&home, &code, at(0)).is_ok());
    let again = give_code(&home, &code, at(0)).unwrap_err();
    assert_eq!(refusal(again), LoginRefused::SpentCode(home.root));
}

// Attack 10: the same code by parallel requests.
#[test]
fn code_shown_by_parallel_requests_makes_one_login() {
    let (home, _) = enrolled();
    let code = code(&home, &prove(&home), at(0));
    let granted = std::thread::scope(|scope| {
        let give = || give_code(&home, &code, at(0)).is_ok();
        let requests: Vec<_> = (0..4).map(|_| scope.spawn(give)).collect();
        requests.into_iter().filter_map(|r| r.join().unwrap().then_some(())).count()
    });
    assert_eq!(granted, 1);
}

// Attack 10: guessing.
#[test]
fn sixth_wrong_code_is_not_looked_at_on_the_local_socket_either() {
    let (home, _) = enrolled();
    let right = code(&home, &prove(&home), at(0));
    let [first, ..] = right.expose() else { panic!("a code is empty") };
    let mut wrong = right.expose().to_vec();
    wrong[0] = if *first == b'9' { b'0' } else { first + 1 };
    let wrong = SecretBytes::copy_from(&wrong);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let refused = refusal(give_code(&home, &wrong, at(0)).unwrap_err());
        // Three of a million codes are right at any time; this is one step from the right one.
        assert_eq!(refused, LoginRefused::WrongCode(home.root));
        answers.push(refused.to_string());
    }
    answers.dedup();
    assert_eq!(answers, ["name, passphrase or code is wrong"]);
    let locked = refusal(give_code(&home, &right, at(0)).unwrap_err());
    assert!(matches!(locked, LoginRefused::LockedOut(_)));
    let elsewhere = from("192.0.2.1");
    let changing = home.access.changing();
    assert!(changing.accept_code(prove(&home), (&right, &elsewhere), at(0)).is_ok());
}

#[test]
fn accepted_code_is_not_spent_until_it_is_applied() {
    let (home, _) = enrolled();
    let code = code(&home, &prove(&home), at(0));
    let changing = home.access.changing();
    let accepted = changing.accept_code(prove(&home), (&code, &HERE), at(0)).unwrap();
    let stored = serde_json::to_value(match accepted.change() {
        crate::access::Change::PutCredentials(credentials) => credentials,
        other => panic!("{other:?}"),
    });
    assert!(stored.unwrap()["totp"]["last_step"].is_u64());
    drop((accepted, changing)); // the store failed: nothing was granted, nothing is lost
    assert!(give_code(&home, &code, at(0)).is_ok());
}

#[test]
fn code_without_an_enrolment_is_refused() {
    let home = Home::new(MfaMode::Required);
    let refused = refusal(give_code(&home, &secret("000000"), at(0)).unwrap_err());
    assert_eq!(refused, LoginRefused::NotEnrolled(home.root));
}

#[test]
fn passphrase_alone_does_not_replace_a_second_factor() {
    let (home, shown) = enrolled();
    let changing = home.access.changing();
    let refused = changing.enroll_mfa(&prove(&home), at(0)).unwrap_err();
    assert_eq!(refused, EnrollError::Refused(ChangeRefused::MfaInPlace));
    drop(changing);
    let proven = give_code(&home, &shown.recovery_codes[0], at(0)).unwrap();
    assert!(home.access.changing().enroll_mfa(&proven, at(0)).is_ok());
}

#[test]
fn changed_passphrase_opens_the_same_second_factor() {
    let (home, _) = enrolled();
    let spent = code(&home, &prove(&home), at(0));
    let proven = give_code(&home, &spent, at(0)).unwrap();
    let new = secret("battery staple");
    let mut changing = home.access.changing();
    let (change, _) = changing.change_passphrase(&proven, &new).unwrap();
    changing.apply(&change);
    assert!(home.prove("root", &passphrase_of("root"), HERE).is_err());
    let proven = home.prove("root", "battery staple", HERE).unwrap();
    let fresh = code(&home, &proven, at(30));
    let again = home.prove("root", "battery staple", HERE).unwrap();
    let refused = changing.accept_code(again, (&spent, &HERE), at(0)).unwrap_err();
    assert_eq!(refusal(refused), LoginRefused::SpentCode(home.root));
    assert!(changing.accept_code(proven, (&fresh, &HERE), at(30)).is_ok());
}

#[test]
fn reset_passphrase_takes_the_second_factor_with_it() {
    let home = Home::new(MfaMode::Development);
    let alice = home.add("alice", role("signer"));
    let proven = home.prove("alice", &passphrase_of("alice"), HERE).unwrap();
    home.change(|changing| changing.enroll_mfa(&proven, at(0)).map(|(change, _)| change)).unwrap();
    let by = home.confirmed("root", &Target::Principal(alice));
    let (credential, _) =
        PassphraseCredential::create(home.access.stretcher(), &secret("battery staple")).unwrap();
    home.change(|changing| changing.reset_passphrase(&by, alice, credential)).unwrap();
    assert!(home.prove("alice", &passphrase_of("alice"), HERE).is_err());
    assert!(home.prove("alice", "battery staple", HERE).is_ok());
    assert!(home.access.directory().credentials(alice).unwrap().totp.is_none());
}
