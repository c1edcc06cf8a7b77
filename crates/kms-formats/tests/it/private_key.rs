//! Private key files that OpenSSL and the standards' authors wrote.

use kms_formats::PemError;
use kms_formats::algorithm::Algorithm;
use kms_formats::identifier::UnsupportedKind;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::public::PublicKey;
use kms_formats::rsa::UnsupportedRsa;

use crate::fixture;

/// OpenSSL's own file of the form [`PrivateKey::to_pkcs8_der`] writes.
fn canonical(algorithm: Algorithm) -> Vec<u8> {
    let form = match algorithm {
        Algorithm::Secp256k1 | Algorithm::P256 => "pkcs8-no-public",
        Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => "pkcs8",
    };
    fixture::bytes(&format!("openssl/{algorithm}.{form}.der"))
}

/// Which files of a curve or of RSA carry the public half. OpenSSL writes Ed25519 without.
fn claims_public(algorithm: Algorithm, name: &str) -> bool {
    algorithm != Algorithm::Ed25519 && !name.contains("no-public")
}

#[test]
fn every_file_of_openssl_is_known_to_the_tests() {
    let private: Vec<String> = fixture::private_files().into_iter().map(|(_, name)| name).collect();
    for name in fixture::names("openssl") {
        let other = [".spki", ".ssh.pub", ".signature.der"];
        let is_known = name.starts_with("refused.")
            || other.iter().any(|part| name.contains(part))
            || private.contains(&format!("openssl/{name}"));
        assert!(is_known, "{name}");
    }
    assert_eq!(private.len(), 2 + 2 * 9 + 2 * 4, "{private:?}");
}

#[test]
fn all_encodings_of_one_key_give_the_same_key() {
    for (algorithm, name) in fixture::private_files() {
        let parsed = fixture::parse(&fixture::bytes(&name)).unwrap();
        assert_eq!(parsed.key.algorithm, algorithm, "{name}");
        assert_eq!(parsed.key.to_pkcs8_der().expose(), canonical(algorithm), "{name}");
        let expected = claims_public(algorithm, &name).then(|| fixture::public(algorithm));
        assert_eq!(parsed.claimed_public, expected, "{name}");
    }
}

#[test]
fn canonical_bytes_have_the_documented_form() {
    for (algorithm, name) in fixture::private_files() {
        let key = fixture::parse(&fixture::bytes(&name)).unwrap().key;
        let public = match algorithm {
            Algorithm::Ed25519 => {
                assert_eq!(key.bytes.len(), 32);
                continue;
            }
            Algorithm::Secp256k1 => {
                let secret = k256::SecretKey::from_slice(key.bytes.expose()).unwrap();
                secret.public_key().to_sec1_bytes()
            }
            Algorithm::P256 => {
                let secret = p256::SecretKey::from_slice(key.bytes.expose()).unwrap();
                secret.public_key().to_sec1_bytes()
            }
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                assert_eq!(key.bytes.expose(), canonical(algorithm), "{name}");
                continue;
            }
        };
        let public = PublicKey::validated(algorithm, &public).unwrap();
        assert_eq!(public, fixture::public(algorithm), "{name}");
    }
}

#[test]
fn written_keys_are_read_back() {
    for algorithm in Algorithm::ALL {
        let der = fixture::parse(&canonical(algorithm)).unwrap().key.to_pkcs8_der();
        let again = fixture::parse(der.expose()).unwrap();
        assert_eq!(again.key.algorithm, algorithm);
        assert_eq!(again.key.to_pkcs8_der(), der);
    }
}

#[test]
fn refused_files_give_the_named_error() {
    let algorithm = |name: &str| UnsupportedKind::Algorithm(name.into()).into();
    let expected: [(&str, PrivateKeyError); 13] = [
        ("ed448.pem", algorithm("1.3.101.113 (Ed448)")),
        ("encrypted-pkcs1.pem", PrivateKeyError::Encrypted),
        ("encrypted-pkcs8.der", PrivateKeyError::Encrypted),
        ("encrypted-pkcs8.pem", PrivateKeyError::Encrypted),
        ("encrypted-sec1.pem", PrivateKeyError::Encrypted),
        ("openssh.pem", PrivateKeyError::Label("OPENSSH PRIVATE KEY".into())),
        ("p256-explicit-curve.pem", UnsupportedKind::CurveNotNamed.into()),
        ("p384.pem", UnsupportedKind::Curve("1.3.132.0.34 (P-384)".into()).into()),
        ("rsa-e3.pem", UnsupportedRsa::Exponent.into()),
        ("rsa-pss.pem", algorithm("1.2.840.113549.1.1.10 (RSASSA-PSS)")),
        ("rsa-three-primes.pem", UnsupportedRsa::MultiPrime.into()),
        ("rsa3072.pem", UnsupportedRsa::Modulus(3072).into()),
        ("x25519.pem", algorithm("1.3.101.110 (X25519)")),
    ];
    let names = fixture::names("openssl");
    let refused = names.iter().filter_map(|name| name.strip_prefix("refused."));
    let refused: Vec<&str> = refused.filter(|name| !name.contains("spki")).collect();
    assert_eq!(refused, expected.each_ref().map(|(name, _)| *name));
    for (name, error) in expected {
        let file = fixture::bytes(&format!("openssl/refused.{name}"));
        assert_eq!(fixture::parse(&file).unwrap_err(), error, "{name}");
    }
}

#[test]
fn rfc_8410_keys_give_the_same_seed() {
    let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let public = PublicKey::from_spki(&fixture::bytes("rfc8410/ed25519.spki.pem")).unwrap();
    for (name, claimed) in
        [("ed25519.pkcs8-v1.pem", None), ("ed25519.pkcs8-v2.pem", Some(public.clone()))]
    {
        let parsed = fixture::parse(&fixture::bytes(&format!("rfc8410/{name}"))).unwrap();
        assert_eq!(hex::encode(parsed.key.bytes.expose()), seed, "{name}");
        assert_eq!(parsed.claimed_public, claimed, "{name}");
    }
}

#[test]
fn public_key_file_is_told_from_a_private_one() {
    for algorithm in Algorithm::ALL {
        for form in ["der", "pem"] {
            let file = fixture::bytes(&format!("openssl/{algorithm}.spki.{form}"));
            assert_eq!(fixture::parse(&file).unwrap_err(), PrivateKeyError::Public, "{algorithm}");
        }
    }
}

#[test]
fn key_of_another_algorithm_than_asked_for_is_refused() {
    for (found, name) in fixture::private_files() {
        let file = fixture::bytes(&name);
        for expected in Algorithm::ALL {
            let parsed = PrivateKey::parse(&file, PrivateFormat::Pkcs8, Some(expected));
            match parsed {
                Ok(parsed) => assert_eq!((parsed.key.algorithm, found), (expected, expected)),
                Err(error) => {
                    assert_eq!(error, PrivateKeyError::OtherAlgorithm { expected, found });
                    assert_ne!(expected, found, "{name}");
                }
            }
        }
    }
}

#[test]
fn file_without_a_private_key_is_unrecognised() {
    for file in [&b""[..], b"\n", b"key", b"\x30\0", b"\x30\x03\x02\x01\0", &[0x30; 64]] {
        assert_eq!(fixture::parse(file).unwrap_err(), PrivateKeyError::Unrecognised, "{file:?}");
    }
}

#[test]
fn two_keys_in_one_file_are_refused() {
    let pem = fixture::bytes("openssl/ed25519.pkcs8.pem");
    let twice = [&pem[..], &pem].concat();
    assert_eq!(fixture::parse(&twice).unwrap_err(), PrivateKeyError::Blocks(2));
    let trailing = [&pem[..], b"more\n"].concat();
    let error = PemError::Trailing("PRIVATE KEY".into());
    assert_eq!(fixture::parse(&trailing).unwrap_err(), error.into());
}

#[test]
fn parameters_of_another_curve_than_the_keys_are_refused() {
    let text = fixture::text("openssl/p256.sec1-with-parameters.pem");
    let (parameters, _) = text.split_once("-----BEGIN EC PRIVATE").unwrap();
    let other = fixture::text("openssl/secp256k1.sec1.pem");
    let file = format!("{parameters}{other}");
    let error = PrivateKeyError::Curves(Algorithm::P256, Algorithm::Secp256k1);
    assert_eq!(fixture::parse(file.as_bytes()).unwrap_err(), error);
}
