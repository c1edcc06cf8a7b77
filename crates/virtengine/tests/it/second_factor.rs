//! The second factor: enrolled at init, asked for at login, spent once.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha1::Sha1;

use crate::home::Home;

/// The code of an authenticator app `steps` steps of 30 s from now (RFC 6238).
fn code(uri: &str, steps: i64) -> String {
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let step = u64::try_from(now.unwrap() / 30 + steps).unwrap();
    let mut mac = Hmac::<Sha1>::new_from_slice(&base32(secret)).unwrap();
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let start = usize::from(digest[19] & 15);
    let word: [u8; 4] = digest[start..start + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for c in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|b| *b == c).unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

#[test]
fn second_factor_is_demanded_and_spent_once() {
    let (home, made) = Home::with(&["--mfa", "totp"]);
    assert_eq!(made["admin"], "alice");
    assert_eq!(made["home"], home.path().to_str().unwrap());
    assert_eq!(made["mfa"]["type"], "totp");
    let uri = made["mfa"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/"), "{uri}");
    let recovery = made["recovery_codes"].as_array().unwrap();
    assert!(recovery.len() >= 8);
    assert!(!made["audit_key"].as_str().unwrap().is_empty());

    assert_eq!(home.refused(&["mfa", "verify"], 2)["message"], "no code is given");
    let now = code(uri, 0);
    let verified = home.json(&["mfa", "verify", "--mfa-code", &now]);
    assert_eq!(verified["verified"], true);
    // The same code a second time, a wrong one, none.
    home.refused(&["keys", "add", "k", "--mfa-code", &now], 6);
    home.refused(&["principal", "disable", "alice"], 6);
    // A recovery code serves once in its place.
    let spare = recovery[0].as_str().unwrap();
    home.json(&["keys", "add", "k", "--mfa-code", spare]);
    home.refused(&["keys", "list", "--mfa-code", spare], 6);
}
