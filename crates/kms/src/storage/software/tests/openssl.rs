//! The `openssl` command verifies what we sign: Ed25519, P-256 and RSA with both paddings.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

const MESSAGE: &[u8] = b"signed here, verified by another implementation";

/// DER of SubjectPublicKeyInfo up to the key itself (RFC 8410; RFC 5480; RFC 8017).
const ED25519_SPKI: &str = "302a300506032b6570032100";
const P256_SPKI: &str = "3039301306072a8648ce3d020106082a8648ce3d030107032200";
const RSA2048_SPKI: &str = "30820122300d06092a864886f70d01010105000382010f00";

/// Whether the `openssl` command is there. In continuous integration it must be.
fn openssl_is_here() -> bool {
    if Command::new("openssl").arg("version").output().is_ok_and(|run| run.status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "openssl is missing, and CI needs it");
    eprintln!("SKIP: no openssl command, its verification of our signatures was NOT tested");
    false
}

/// Writes what `openssl` needs into `dir` and returns whether it verifies with `options`.
fn openssl_verifies(dir: &Path, spki: &[u8], signature: &[u8], options: &[&str]) -> bool {
    fs::write(dir.join("key"), spki).unwrap();
    fs::write(dir.join("signature"), signature).unwrap();
    fs::write(dir.join("message"), MESSAGE).unwrap();
    let files = ["-pubin", "-inkey", "key", "-keyform", "DER", "-rawin", "-in", "message"];
    let run = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-sigfile", "signature"])
        .args(files)
        .args(options)
        .current_dir(dir)
        .output()
        .unwrap();
    run.status.success()
}

fn spki(head: &str, key: &SoftwareKey) -> Vec<u8> {
    [&hex::decode(head).unwrap(), key.public_key().as_bytes()].concat()
}

/// Strict DER of an ECDSA signature of r‖s.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let sign = if bytes[zeros] >= 0x80 { vec![0] } else { vec![] };
        let digits = [&sign, &bytes[zeros..]].concat();
        [&[2, u8::try_from(digits.len()).unwrap()], &digits[..]].concat()
    };
    let both = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()], &both[..]].concat()
}

#[test]
fn openssl_verifies_our_ed25519() {
    if !openssl_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let key = SoftwareKey::generate(Algorithm::Ed25519).unwrap().1;
    let mut signature = key.sign(MESSAGE, Scheme::default()).unwrap().bytes;
    assert!(openssl_verifies(dir.path(), &spki(ED25519_SPKI, &key), &signature, &[]));
    signature[5] ^= 1;
    assert!(!openssl_verifies(dir.path(), &spki(ED25519_SPKI, &key), &signature, &[]));
}

#[test]
fn openssl_verifies_our_p256() {
    if !openssl_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let key = SoftwareKey::generate(Algorithm::P256).unwrap().1;
    let signature = der(&key.sign(MESSAGE, Scheme::default()).unwrap().bytes);
    let sha256 = ["-digest", "sha256"];
    assert!(openssl_verifies(dir.path(), &spki(P256_SPKI, &key), &signature, &sha256));
    assert!(verify_der(key.public_key(), MESSAGE, &signature, Scheme::default()));
}

#[test]
fn openssl_verifies_our_rsa_with_both_paddings() {
    if !openssl_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let key = SoftwareKey::generate(Algorithm::Rsa2048).unwrap().1;
    let spki = spki(RSA2048_SPKI, &key);
    let pss = ["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt"];
    let pss = [&pss[..], &["rsa_pss_saltlen:32"]].concat();
    let signature = key.sign(MESSAGE, Scheme::default()).unwrap().bytes;
    assert!(openssl_verifies(dir.path(), &spki, &signature, &pss));

    let pkcs1 = scheme(Prehash::Sha256, Padding::Pkcs1v15);
    let signature = key.sign(MESSAGE, pkcs1).unwrap().bytes;
    assert!(openssl_verifies(dir.path(), &spki, &signature, &["-digest", "sha256"]));
    assert!(!openssl_verifies(dir.path(), &spki, &signature, &pss));
}
