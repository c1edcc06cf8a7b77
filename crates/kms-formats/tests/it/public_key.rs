//! Public keys in the forms other software reads and writes.

use kms_formats::PemError;
use kms_formats::algorithm::Algorithm;
use kms_formats::identifier::UnsupportedKind;
use kms_formats::public::InvalidPublicKey;
use kms_formats::public::PublicKey;
use kms_formats::public::SpkiError;
use kms_formats::rsa::UnsupportedRsa;
use sha2::Digest;
use sha2::Sha256;

use crate::fixture;

fn error(file: &[u8]) -> SpkiError {
    PublicKey::from_spki(file).unwrap_err()
}

#[test]
fn spki_is_written_as_openssl_writes_it() {
    for algorithm in Algorithm::ALL {
        let der = fixture::bytes(&format!("openssl/{algorithm}.spki.der"));
        let pem = fixture::text(&format!("openssl/{algorithm}.spki.pem"));
        for file in [&der[..], pem.as_bytes()] {
            let key = PublicKey::from_spki(file).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.to_spki_der().unwrap(), der, "{algorithm}");
            assert_eq!(key.to_spki_pem().unwrap(), pem, "{algorithm}");
        }
    }
}

#[test]
fn compressed_points_are_the_same_key() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::P256] {
        let file = fixture::bytes(&format!("openssl/{algorithm}.spki-compressed.pem"));
        assert_eq!(PublicKey::from_spki(&file).unwrap(), fixture::public(algorithm));
    }
}

#[test]
fn rfc_8410_public_key_is_read_and_written() {
    let pem = fixture::text("rfc8410/ed25519.spki.pem");
    let key = PublicKey::from_spki(pem.as_bytes()).unwrap();
    let bytes = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    assert_eq!(hex::encode(key.as_bytes()), bytes);
    assert_eq!(key.to_spki_pem().unwrap().trim_end(), pem.trim_end());
}

#[test]
fn refused_public_keys_give_the_named_error() {
    let algorithm = |name: &str| UnsupportedKind::Algorithm(name.into()).into();
    let expected: [(&str, SpkiError); 6] = [
        ("p256-explicit-curve", UnsupportedKind::CurveNotNamed.into()),
        ("p384", UnsupportedKind::Curve("1.3.132.0.34 (P-384)".into()).into()),
        ("rsa-e3", UnsupportedRsa::Exponent.into()),
        ("rsa-pss", algorithm("1.2.840.113549.1.1.10 (RSASSA-PSS)")),
        ("rsa3072", UnsupportedRsa::Modulus(3072).into()),
        ("x25519", algorithm("1.3.101.110 (X25519)")),
    ];
    let names = fixture::names("openssl");
    let refused = names.iter().filter_map(|name| name.strip_prefix("refused."));
    let refused: Vec<&str> = refused.filter_map(|name| name.strip_suffix(".spki.pem")).collect();
    assert_eq!(refused, expected.each_ref().map(|(name, _)| *name));
    for (name, expected) in expected {
        let file = fixture::bytes(&format!("openssl/refused.{name}.spki.pem"));
        assert_eq!(error(&file), expected, "{name}");
    }
}

#[test]
fn files_of_something_else_are_refused() {
    let pem = fixture::bytes("openssl/p256.spki.pem");
    assert_eq!(error(&[&pem[..], &pem].concat()), SpkiError::Blocks(2));
    let trailing = PemError::Trailing("PUBLIC KEY".into()).into();
    assert_eq!(error(&[&pem[..], b"x"].concat()), trailing);
    let private = fixture::bytes("openssl/p256.pkcs8.pem");
    assert_eq!(error(&private), SpkiError::Label("PRIVATE KEY".into()));
    let private = fixture::bytes("openssl/p256.pkcs8.der");
    assert_eq!(error(&private), SpkiError::Malformed);
    let der = fixture::bytes("openssl/p256.spki.der");
    assert_eq!(error(&[&der[..], b"\0"].concat()), SpkiError::Malformed);
    assert_eq!(error(b""), SpkiError::Malformed);
}

#[test]
fn bit_string_with_unused_bits_is_refused() {
    let mut der = fixture::bytes("openssl/ed25519.spki.der");
    assert_eq!(der[11], 0);
    der[11] = 1;
    der[43] &= 0xfe;
    assert_eq!(error(&der), SpkiError::Malformed);
}

#[test]
fn ed25519_key_of_small_order_is_refused() {
    let mut der = fixture::bytes("openssl/ed25519.spki.der");
    der[12..].fill(0);
    assert_eq!(error(&der), InvalidPublicKey(Algorithm::Ed25519).into());
}

#[test]
fn openssh_lines_are_as_openssh_writes_them() {
    for name in fixture::names("openssl").iter().filter(|name| name.ends_with(".ssh.pub")) {
        let algorithm = name.strip_suffix(".ssh.pub").unwrap().parse().unwrap();
        let line = fixture::text(&format!("openssl/{name}"));
        let written = fixture::public(algorithm).to_openssh().unwrap().unwrap();
        assert_eq!(written, line.trim_end(), "{name}");
    }
    assert_eq!(fixture::public(Algorithm::Secp256k1).to_openssh(), Ok(None));
}

#[test]
fn fingerprint_is_sha_256_of_openssls_der() {
    for algorithm in Algorithm::ALL {
        let der = fixture::bytes(&format!("openssl/{algorithm}.spki.der"));
        let expected: [u8; 32] = Sha256::digest(&der).into();
        assert_eq!(fixture::public(algorithm).fingerprint().unwrap(), expected, "{algorithm}");
    }
}

#[test]
fn fingerprint_of_a_point_off_its_curve_is_refused() {
    let off = [&[2], &[0xff; 32][..]].concat();
    for algorithm in [Algorithm::Secp256k1, Algorithm::P256] {
        let key = PublicKey::new(algorithm, &off).unwrap();
        assert!(key.fingerprint().is_err() && key.to_spki_der().is_err());
    }
}

#[test]
fn documented_lengths_hold() {
    let lengths = Algorithm::ALL.map(|algorithm| {
        let key = fixture::public(algorithm);
        (key.as_bytes().len(), key.to_spki_der().unwrap().len())
    });
    assert_eq!(lengths, [(32, 44), (33, 88), (33, 91), (270, 294), (526, 550)]);
}

#[test]
fn cosmos_json_names_the_type_and_the_bytes() {
    let names = [Some("ed25519"), Some("secp256k1"), Some("secp256r1"), None, None];
    for (algorithm, name) in Algorithm::ALL.into_iter().zip(names) {
        let key = fixture::public(algorithm);
        let bytes = key.to_base64();
        let expected = name
            .map(|name| format!(r#"{{"@type":"/cosmos.crypto.{name}.PubKey","key":"{bytes}"}}"#));
        assert_eq!(key.to_cosmos_json(), expected);
    }
}

#[test]
fn comet_json_is_for_its_two_key_types_only() {
    let names = [Some("Ed25519"), Some("Secp256k1"), None, None, None];
    for (algorithm, name) in Algorithm::ALL.into_iter().zip(names) {
        let key = fixture::public(algorithm);
        let bytes = key.to_base64();
        let expected =
            name.map(|name| format!(r#"{{"type":"tendermint/PubKey{name}","value":"{bytes}"}}"#));
        assert_eq!(key.to_comet_json(), expected);
    }
}

#[test]
fn rsa_public_key_of_another_size_than_its_algorithm_is_refused() {
    let key = fixture::public(Algorithm::Rsa2048);
    assert!(PublicKey::validated(Algorithm::Rsa4096, key.as_bytes()).is_err());
    assert!(PublicKey::validated(Algorithm::Rsa2048, &[key.as_bytes(), &[0]].concat()).is_err());
    assert_eq!(PublicKey::validated(Algorithm::Rsa2048, key.as_bytes()), Ok(key));
}
