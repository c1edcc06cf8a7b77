//! C2SP Wycheproof through [`verify`] and [`verify_der`].
//!
//! "Acceptable" vectors are spellings a lenient verifier might take; ours takes none.

use ::wycheproof::TestResult;
use ::wycheproof::ecdsa;
use ::wycheproof::eddsa;
use ::wycheproof::rsa_pkcs1_verify;
use ::wycheproof::rsa_pss_verify;

use super::*;

/// One vector: its number, message, signature and whether it is to verify.
type Case<'a> = (usize, &'a [u8], &'a [u8], TestResult);

/// Asks `verify` about each case and counts them.
fn ask<'a>(cases: impl Iterator<Item = Case<'a>>, verify: impl Fn(&[u8], &[u8]) -> bool) -> usize {
    let asked = cases.map(|(number, message, signature, expected)| {
        let valid = matches!(expected, TestResult::Valid);
        assert_eq!(verify(message, signature), valid, "vector {number}");
    });
    asked.count()
}

fn compressed(point: &[u8]) -> Vec<u8> {
    let odd = point.last().unwrap() & 1;
    [&[2 + odd], &point[1..33]].concat()
}

fn ask_ecdsa(name: ecdsa::TestName, algorithm: Algorithm, form: Form) -> usize {
    let set = ecdsa::TestSet::load(name).unwrap();
    let groups = set.test_groups.iter().map(|group| {
        let public = PublicKey::new(algorithm, &compressed(&group.key.key)).unwrap();
        let cases =
            group.tests.iter().map(|test| (test.tc_id, &test.msg[..], &test.sig[..], test.result));
        ask(cases, |message, signature| match form {
            Form::Fixed => verify(&public, message, signature, Scheme::default()),
            Form::Der => verify_der(&public, message, signature, Scheme::default()),
        })
    });
    groups.sum()
}

fn ask_pss(name: rsa_pss_verify::TestName, algorithm: Algorithm) -> usize {
    let set = rsa_pss_verify::TestSet::load(name).unwrap();
    let groups = set.test_groups.iter().map(|group| {
        let public = PublicKey::new(algorithm, &group.asn_key).unwrap();
        let cases =
            group.tests.iter().map(|test| (test.tc_id, &test.msg[..], &test.sig[..], test.result));
        ask(cases, |message, signature| verify(&public, message, signature, Scheme::default()))
    });
    groups.sum()
}

fn ask_pkcs1(name: rsa_pkcs1_verify::TestName, algorithm: Algorithm) -> usize {
    let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
    let scheme = scheme(Prehash::Sha256, Padding::Pkcs1v15);
    let groups = set.test_groups.iter().map(|group| {
        let public = PublicKey::new(algorithm, &group.asn_key).unwrap();
        let cases =
            group.tests.iter().map(|test| (test.tc_id, &test.msg[..], &test.sig[..], test.result));
        ask(cases, |message, signature| verify(&public, message, signature, scheme))
    });
    groups.sum()
}

#[test]
fn ed25519_passes_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let groups = set.test_groups.iter().map(|group| {
        let public = PublicKey::new(Algorithm::Ed25519, &group.key.pk).unwrap();
        let cases =
            group.tests.iter().map(|test| (test.tc_id, &test.msg[..], &test.sig[..], test.result));
        ask(cases, |message, signature| verify(&public, message, signature, Scheme::default()))
    });
    assert_eq!(groups.sum::<usize>(), 151);
}

#[test]
fn secp256k1_passes_wycheproofs_bitcoin_set() {
    let name = ecdsa::TestName::EcdsaSecp256k1Sha256Bitcoin;
    assert_eq!(ask_ecdsa(name, Algorithm::Secp256k1, Form::Der), 463);
}

#[test]
fn p256_passes_wycheproof_in_both_forms() {
    let name = ecdsa::TestName::EcdsaSecp256r1Sha256P1363;
    assert_eq!(ask_ecdsa(name, Algorithm::P256, Form::Fixed), 262);
    let name = ecdsa::TestName::EcdsaSecp256r1Sha256;
    assert_eq!(ask_ecdsa(name, Algorithm::P256, Form::Der), 484);
}

#[test]
fn rsa_pss_passes_wycheproof() {
    use rsa_pss_verify::TestName;
    assert!(ask_pss(TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Rsa2048) > 90);
    assert!(ask_pss(TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Rsa4096) > 90);
}

#[test]
fn pss_with_another_salt_length_is_refused() {
    let name = rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0;
    let set = rsa_pss_verify::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        let public = PublicKey::new(Algorithm::Rsa2048, &group.asn_key).unwrap();
        for test in group.tests.iter().filter(|test| matches!(test.result, TestResult::Valid)) {
            assert!(!verify(&public, &test.msg, &test.sig, Scheme::default()), "{}", test.tc_id);
        }
    }
}

#[test]
fn rsa_pkcs1_passes_wycheproof() {
    use rsa_pkcs1_verify::TestName;
    assert!(ask_pkcs1(TestName::Rsa2048Sha256, Algorithm::Rsa2048) > 200);
    assert!(ask_pkcs1(TestName::Rsa4096Sha256, Algorithm::Rsa4096) > 200);
}
