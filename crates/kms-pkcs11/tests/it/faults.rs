//! What a bad day does, one fault at a time.

use std::time::Duration;
use std::time::Instant;

use kms::key::Algorithm;
use kms::key::Scheme;
use kms_pkcs11::HsmError;
use kms_pkcs11::HsmKeyHandle;
use kms_pkcs11::HsmProvider;

use crate::faulty::Faulty;

const MESSAGE: (&[u8], Scheme) = (
    b"on a bad day",
    Scheme { prehash: kms::key::Prehash::Sha256, padding: kms::key::Padding::Pss },
);

fn with_key(algorithm: Algorithm) -> Option<(Faulty, HsmProvider, HsmKeyHandle)> {
    let faulty = Faulty::new()?;
    let provider = faulty.token.provider();
    let key = provider.generate_key("key", algorithm).unwrap();
    Some((faulty, provider, key))
}

fn signs(provider: &HsmProvider, key: &HsmKeyHandle) -> Result<(), HsmError> {
    let signature = provider.sign(key, MESSAGE)?;
    assert!(provider.verify(key, MESSAGE, &signature.bytes), "a wrong signature left");
    Ok(())
}

#[test]
fn lost_session_is_replaced_without_anyone_noticing() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    let before = provider.status().unwrap().worker_starts;
    for code in ["0xb3", "0xb0", "0x90"] {
        faulty.script(&format!("C_SignInit 1 error {code}"));
        signs(&provider, &key).unwrap();
        assert_eq!(faulty.calls("C_SignInit"), 2, "{code}");
    }
    assert_eq!(provider.status().unwrap().worker_starts, before, "the library was kept");
}

#[test]
fn removed_device_is_used_again_within_two_seconds_of_its_return() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    faulty.script("* * error 0x32");
    let error = signs(&provider, &key).unwrap_err();
    assert!(error.to_string().contains("CKR_DEVICE_REMOVED"), "{error}");
    for _ in 0..20 {
        signs(&provider, &key).unwrap_err(); // the circuit opens, and calls are told at once
    }
    faulty.script("");
    let back = Instant::now();
    while signs(&provider, &key).is_err() {
        assert!(back.elapsed() < Duration::from_secs(2), "not back after two seconds");
        std::thread::yield_now();
    }
}

#[test]
fn open_circuit_tells_at_once_and_asks_the_token_little() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    faulty.script("* * error 0x32");
    while !signs(&provider, &key).unwrap_err().to_string().contains("does not answer") {}
    let started = provider_starts(&provider);
    let began = Instant::now();
    let mut told = 0;
    while began.elapsed() < Duration::from_millis(400) {
        signs(&provider, &key).unwrap_err();
        told += 1;
    }
    assert!(told > 20, "only {told} callers were told in 400 ms");
    assert!(provider_starts(&provider) - started <= 6, "the library was started all the time");
}

fn provider_starts(provider: &HsmProvider) -> u64 {
    provider.worker_starts()
}

#[test]
fn library_that_hangs_is_ended_and_started_anew() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    let before = provider.status().unwrap().worker_pid;
    faulty.script("C_Sign 1 hang");
    let began = Instant::now();
    let error = signs(&provider, &key).unwrap_err();
    assert!(error.to_string().contains("no answer within 1s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
    signs(&provider, &key).unwrap();
    let after = provider.status().unwrap().worker_pid;
    assert_ne!(before, after);
    assert!(!std::path::Path::new(&format!("/proc/{before}")).exists(), "the hung one is gone");
}

#[test]
fn slow_library_is_waited_for() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    faulty.script("C_Sign 1 delay 300");
    signs(&provider, &key).unwrap();
}

#[test]
fn library_that_crashes_takes_nobody_down() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    faulty.script("C_Sign 1 crash");
    signs(&provider, &key).unwrap();
    assert_eq!(faulty.calls("C_Login"), 1, "once more, with a PIN that is known to be right");
}

#[test]
fn library_that_crashes_under_eight_callers_serves_all_of_them() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    faulty.script("C_Sign 5 crash\nC_Sign 40 crash");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    signs(&provider, &key).unwrap();
                }
            });
        }
    });
}

#[test]
fn wrong_signature_never_leaves() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256, Algorithm::Rsa2048]
    {
        let Some((faulty, provider, key)) = with_key(algorithm) else { return };
        faulty.script("C_Sign 2 corrupt");
        let error = signs(&provider, &key).unwrap_err();
        let expected = "HSM `soft` returned a wrong signature of key `key`";
        assert_eq!(error.to_string(), expected, "{algorithm}");
        signs(&provider, &key).unwrap();
    }
}

#[test]
fn handle_that_names_another_key_signs_nothing() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    provider.generate_key("another", Algorithm::P256).unwrap();
    faulty.script("C_SignInit 1 other-key");
    let error = signs(&provider, &key).unwrap_err();
    assert!(error.to_string().contains("wrong signature"), "{error}");
    signs(&provider, &key).unwrap();
}

#[test]
fn key_that_was_exchanged_under_its_name_is_refused() {
    let Some((_faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    let other = provider.generate_key("another", Algorithm::P256).unwrap();
    let exchanged = HsmKeyHandle { public_key: other.public_key, ..key };
    let error = signs(&provider, &exchanged).unwrap_err();
    assert!(matches!(error, HsmError::KeyChanged(_)), "{error}");
}

#[test]
fn full_token_makes_no_half_key() {
    let Some((faulty, provider, _)) = with_key(Algorithm::P256) else { return };
    faulty.script("C_GenerateKeyPair * error 0x31");
    let error = provider.generate_key("more", Algorithm::P256).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("HSM slot full: `soft` has no room for another key"), "{text}");
    let HsmError::Device(device) = error else { panic!("{error}") };
    assert!(device.advice[0].contains("virtengine hsm list soft"));
    faulty.script("");
    assert!(matches!(provider.get_key("more"), Err(HsmError::NotFound(_))));
}

#[test]
fn key_that_was_made_although_the_library_said_no_is_neither_lost_nor_doubled() {
    let Some((faulty, provider, _)) = with_key(Algorithm::P256) else { return };
    // The token makes the pair, and the answer is lost with the device.
    faulty.script("C_GenerateKeyPair 1 after 0x32");
    let key = provider.generate_key("once", Algorithm::P256).unwrap();
    assert_eq!(faulty.calls("C_GenerateKeyPair"), 1, "the pair that was made is the one");
    signs(&provider, &key).unwrap();
    let named: Vec<_> = provider.list_keys().unwrap();
    assert_eq!(named.iter().filter(|found| found.label == "once").count(), 1);
}

#[test]
fn pin_that_is_refused_is_not_tried_again() {
    let Some(faulty) = Faulty::new() else { return };
    let provider = faulty.token.provider();
    for (code, name) in [("0xa0", "CKR_PIN_INCORRECT"), ("0xa4", "CKR_PIN_LOCKED")] {
        let provider = faulty.token.provider();
        faulty.script(&format!("C_Login * error {code}"));
        for _ in 0..5 {
            let error = provider.status().unwrap_err().to_string();
            assert!(error.starts_with("HSM `soft` refused the PIN: "), "{error}");
            assert!(error.contains(name), "{error}");
        }
        faulty.script("");
        provider.status().unwrap_err();
        assert_eq!(faulty.calls("C_Login"), 0, "not even when it would be taken now");
    }
    // Neither when nobody knows what came of it.
    faulty.script("C_Login 1 hang");
    let timeouts =
        kms_pkcs11::Timeouts { start: Duration::from_millis(700), ..faulty.token.config.timeouts };
    let config = kms_pkcs11::HsmProviderConfig { timeouts, ..faulty.token.config.clone() };
    let unsure = HsmProvider::new(config, crate::token::worker());
    unsure.status().unwrap_err();
    faulty.script("");
    let error = unsure.status().unwrap_err().to_string();
    assert!(error.ends_with("the PIN is not risked"), "{error}");
    assert_eq!(faulty.calls("C_Login"), 0);
    // A device that was away before it looked at the PIN is no failed try.
    faulty.script("C_Login 1 error 0x32");
    provider.status().unwrap_err();
    let until = Instant::now() + Duration::from_secs(2);
    while provider.status().is_err() {
        assert!(Instant::now() < until);
    }
    assert_eq!(faulty.calls("C_Login"), 2);
}

#[test]
fn thousand_signatures_look_a_key_up_once_and_open_no_new_session() {
    let Some((faulty, provider, key)) = with_key(Algorithm::P256) else { return };
    signs(&provider, &key).unwrap();
    faulty.script("");
    for _ in 0..1000 {
        signs(&provider, &key).unwrap();
    }
    assert_eq!(faulty.calls("C_SignInit"), 1000);
    assert_eq!(faulty.calls("C_Sign"), 2000, "one for the length, one for the bytes");
    assert_eq!(faulty.calls("all"), 3000, "and nothing else");
}

#[test]
fn sessions_stay_within_their_bound_and_one_login_serves_all() {
    let Some(faulty) = Faulty::new() else { return };
    let config = kms_pkcs11::HsmProviderConfig { max_sessions: 4, ..faulty.token.config.clone() };
    let provider = HsmProvider::new(config, crate::token::worker());
    let key = provider.generate_key("key", Algorithm::P256).unwrap();
    faulty.script("");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..20).for_each(|_| signs(&provider, &key).unwrap()));
        }
    });
    let opened = faulty.calls("C_OpenSession");
    assert!(opened <= 2, "{opened} more sessions than the one for the login and the first lane");
    assert_eq!(faulty.calls("C_Login"), 0);
}
