//! Vectors from `testdata/rfc6238.txt`, and one test for each guard.

use super::*;
use crate::access::PassphraseCredential;
use crate::access::Principal;
use crate::access::PrincipalKind;
use crate::access::Stretcher;

const NOW: u64 = 1_795_470_300;

fn at(unix_seconds: u64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(unix_seconds)
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from(text.as_bytes())
}

fn stretched(passphrase: &str) -> Stretched {
    PassphraseCredential::create(&Stretcher::quick(), &secret(passphrase)).unwrap().1
}

fn alice() -> Principal {
    Principal {
        id: PrincipalId::from_bytes([1; 8]),
        name: "alice@example.org".parse().unwrap(),
        kind: PrincipalKind::User,
        assignments: Vec::new(),
        enabled: true,
        created_at: Timestamp::EPOCH,
        credential_version: 0,
        has_slot: false,
    }
}

fn enrolled(stretched: &Stretched) -> (TotpCredential, Enrolment) {
    let alice = alice();
    let made = TotpCredential::enroll((alice.id, &alice.name), stretched, at(NOW)).unwrap();
    (made.credential.clone(), made)
}

/// The code of the step `offset` steps from now.
fn code(credential: &TotpCredential, stretched: &Stretched, offset: i64) -> SecretBytes {
    let seed = open(&credential.sealed_seed, alice().id, stretched).unwrap();
    let step = (NOW / STEP_S).checked_add_signed(offset).unwrap();
    secret(&format!("{:06}", hotp(&seed, step, DIGITS)))
}

#[test]
fn totp_agrees_with_rfc_6238_appendix_b() {
    let seed = secret("12345678901234567890");
    let vectors = include_str!("../../../testdata/rfc6238.txt");
    let rows: Vec<(u64, u32)> = vectors
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(time, code)| (time.parse().unwrap(), code.parse().unwrap()))
        .collect();
    assert_eq!(rows.len(), 6);
    for (time, code) in rows {
        assert_eq!(hotp(&seed, time / STEP_S, 8), code, "at {time}");
    }
}

// Attack 10: window.
#[test]
fn code_of_the_step_before_or_after_is_taken_and_no_other() {
    let key = stretched("correct horse");
    let (credential, _) = enrolled(&key);
    for (offset, expected) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let code = code(&credential, &key, offset);
        let taken = credential.accept((alice().id, &key), &code, at(NOW));
        assert_eq!(taken.is_ok(), expected, "step {offset}");
    }
}

// Attack 10: replay.
#[test]
fn accepted_step_and_all_before_it_are_spent() {
    let key = stretched("correct horse");
    let (credential, _) = enrolled(&key);
    let now = code(&credential, &key, 0);
    let used = credential.accept((alice().id, &key), &now, at(NOW)).unwrap();
    for offset in [-1, 0] {
        let again = used.accept((alice().id, &key), &code(&credential, &key, offset), at(NOW));
        assert_eq!(again, Err(CodeError::Spent), "step {offset}");
    }
    let next = code(&credential, &key, 1);
    assert!(used.accept((alice().id, &key), &next, at(NOW)).is_ok());
}

// Attack 10: a code spelled otherwise must not pass for another code.
#[test]
fn only_six_ascii_digits_are_a_code() {
    let key = stretched("correct horse");
    let (credential, _) = enrolled(&key);
    let right = code(&credential, &key, 0);
    let right = std::str::from_utf8(right.expose()).unwrap();
    let spaced = format!("{} {}", &right[..3], &right[3..]);
    for wrong in [format!(" {right}"), format!("{right} "), format!("+{right}"), spaced] {
        let taken = credential.accept((alice().id, &key), &secret(&wrong), at(NOW));
        assert_eq!(taken, Err(CodeError::Wrong), "{wrong:?}");
    }
    for wrong in ["", "12345", "+12345", "１２"] {
        assert_eq!(six_digits(wrong.as_bytes()), None, "{wrong:?}");
    }
    assert_eq!(six_digits(b"000012"), Some(12));
}

#[test]
fn recovery_code_stands_in_for_a_code_once() {
    let key = stretched("correct horse");
    let (credential, shown) = enrolled(&key);
    let code = &shown.recovery_codes[0];
    let used = credential.accept((alice().id, &key), code, at(NOW)).unwrap();
    assert_eq!(used.recovery_codes_left(), 9);
    assert_eq!(used.accept((alice().id, &key), code, at(NOW)), Err(CodeError::Wrong));
}

#[test]
fn seed_moved_to_another_principal_does_not_open() {
    let key = stretched("correct horse");
    let (credential, _) = enrolled(&key);
    let bob = Principal { id: PrincipalId::from_bytes([2; 8]), ..alice() };
    let code = code(&credential, &key, 0);
    let taken = credential.accept((bob.id, &key), &code, at(NOW));
    assert_eq!(taken, Err(CodeError::Fault(AccessFault::SealedSeed(bob.id))));
}

#[test]
fn resealed_seed_opens_with_the_new_passphrase_only_and_keeps_what_is_spent() {
    let (old, new) = (stretched("correct horse"), stretched("battery staple"));
    let (credential, _) = enrolled(&old);
    let now = code(&credential, &old, 0);
    let used = credential.accept((alice().id, &old), &now, at(NOW)).unwrap();
    let resealed = used.reseal(alice().id, (&old, &new)).unwrap();
    assert!(open(&resealed.sealed_seed, alice().id, &old).is_err());
    let again = resealed.accept((alice().id, &new), &now, at(NOW));
    assert_eq!(again, Err(CodeError::Spent));
    let next = code(&resealed, &new, 1);
    assert!(resealed.accept((alice().id, &new), &next, at(NOW)).is_ok());
}

#[test]
fn provisioning_uri_is_what_apps_read() {
    let uri = provisioning_uri(&alice().name, &secret("12345678901234567890"));
    assert_eq!(
        std::str::from_utf8(uri.expose()).unwrap(),
        "otpauth://totp/VirtEngine%20KMS:alice%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
         &issuer=VirtEngine%20KMS&algorithm=SHA1&digits=6&period=30"
    );
}

#[test]
fn stored_second_factor_shows_neither_seed_nor_codes() {
    let key = stretched("correct horse");
    let (credential, shown) = enrolled(&key);
    let seed = open(&credential.sealed_seed, alice().id, &key).unwrap();
    let json = serde_json::to_string(&credential).unwrap();
    let all = format!("{json}{credential:?}{shown:?}");
    assert!(!all.contains(&hex::encode(seed.expose())));
    assert!(!all.contains(std::str::from_utf8(base32::encode(&seed).expose()).unwrap()));
    assert_eq!(serde_json::from_str::<TotpCredential>(&json).unwrap(), credential);
    let more = json.replacen('{', r#"{"x":1,"#, 1);
    assert!(serde_json::from_str::<TotpCredential>(&more).is_err());
}
