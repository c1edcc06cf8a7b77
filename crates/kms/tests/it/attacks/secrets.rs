//! Attack 42: planted secrets are looked for wherever they could leak.

use std::fmt::Write;
use std::fs;

use kms::key::Algorithm;
use kms::key::Scheme;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::because;
use crate::home::login_with;
use crate::home::named;
use crate::home::new_key;
use crate::home::secret;

const SEED: [u8; 32] = *b"canary-seed-of-an-ed25519-key-32";
const WRONG: &str = "canary wrong passphrase";
const NEXT: &str = "canary next passphrase";

#[test]
fn no_passphrase_seed_token_code_or_key_byte_stands_in_any_text_or_file() {
    let home = Home::guarded();
    let (kms, caller) = home.enter();
    let mut told = String::new();
    let parsed = PrivateKey::parse(&SEED, PrivateFormat::Raw, Some(Algorithm::Ed25519)).unwrap();
    write!(told, "{parsed:?}").unwrap();
    let label = "val".parse().unwrap();
    let key = kms.import_key(&caller, &label, new_key(Algorithm::Ed25519), &parsed).unwrap();
    let signed = kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
    let code = home.code();
    let errors = [
        login_with(&kms, ("alice", WRONG), Some(&code)).map(drop).unwrap_err(),
        login_with(&kms, ("alice", PASSPHRASE), Some(&code)).map(drop).unwrap_err(),
        kms.import_key(&caller, &"again".parse().unwrap(), new_key(Algorithm::Ed25519), &parsed)
            .map(drop)
            .unwrap_err(),
        kms.access(&caller).change_passphrase(&secret(WRONG), &secret(NEXT)).unwrap_err(),
        kms.access(&caller).change_passphrase(&secret(PASSPHRASE), &secret("short")).unwrap_err(),
    ];
    for error in &errors {
        write!(told, "{error} {error:?} {:?}", error.advice()).unwrap();
    }
    kms.rotate_key(&caller, &named("val"), &because("yearly")).unwrap();
    let recovery = home.recovery_codes();
    write!(told, "{kms:?} {caller:?} {key:?} {signed:?} {:?}", kms.status()).unwrap();
    let token = String::from_utf8(caller.token().expose().to_vec()).unwrap();
    kms.access(&caller).change_passphrase(&secret(PASSPHRASE), &secret(NEXT)).unwrap();
    kms.close().unwrap();

    let mut canaries: Vec<Vec<u8>> = Vec::new();
    let seed = home.seed();
    let raw_seed = crate::home::base32(seed);
    let texts = [PASSPHRASE, WRONG, NEXT, seed, &token];
    for text in texts.into_iter().chain(recovery.iter().map(String::as_str)) {
        canaries.extend(spellings(text.as_bytes()));
    }
    canaries.extend(spellings(&SEED));
    canaries.extend(spellings(&raw_seed));
    canaries.extend(spellings(&hex::decode(&token).unwrap()));
    assert!(canaries.len() > 50);
    expect_none(&canaries, told.as_bytes(), "a text");
    let mut left = vec![home.path()];
    let mut files = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            expect_none(&canaries, &fs::read(&path).unwrap(), &path.display().to_string());
            files += 1;
        }
    }
    assert!(files > 6, "{files} files");
}

/// A secret as it is, in hex of both cases, in base64 and as a list of numbers.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine;
    let hex = hex::encode(secret);
    let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
    vec![
        secret.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret).into_bytes(),
        numbers.join(", ").into_bytes(),
    ]
}

fn expect_none(canaries: &[Vec<u8>], place: &[u8], name: &str) {
    for canary in canaries {
        let found = place.windows(canary.len()).any(|window| window == canary);
        assert!(!found, "{name} holds the canary {:?}", String::from_utf8_lossy(canary));
    }
}

#[test]
fn search_for_canaries_finds_them() {
    let canaries = spellings(&SEED);
    for place in &canaries {
        let hidden = [b"before ", place.as_slice(), b" after"].concat();
        let found = std::panic::catch_unwind(|| expect_none(&canaries, &hidden, "a place"));
        assert!(found.is_err());
    }
}
