//! Each guard refuses what it is there for.

use super::*;

const N_SECP256K1: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const N_P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn invalid(result: Result<SoftwareKey, StorageError>) -> &'static str {
    match result {
        Err(StorageError::Refused(Refused::InvalidKey { why, .. })) => why,
        other => panic!("{other:?} is no refusal of the key"),
    }
}

/// `VECTORS` with the signature of `algorithm` changed.
fn corrupted(algorithm: Algorithm) -> &'static SelfTests {
    let vectors = VECTORS.map(|vector| {
        let signature: &'static [u8] = if vector.algorithm == algorithm {
            let mut bytes = vector.signature.to_vec();
            bytes[10] ^= 1;
            bytes.leak()
        } else {
            vector.signature
        };
        Vector { signature, ..vector }
    });
    Box::leak(Box::new(SelfTests::new(Box::leak(Box::new(vectors)))))
}

#[test]
fn scalars_zero_and_n_are_refused_and_those_beside_are_taken() {
    for (algorithm, n) in [(Algorithm::Secp256k1, N_SECP256K1), (Algorithm::P256, N_P256)] {
        let n = hex::decode(n).unwrap();
        let parse = |bytes: &[u8]| SoftwareKey::from_private(&private(algorithm, bytes));
        let out = "the scalar is 0 or not below n";
        assert_eq!(invalid(parse(&[0; 32])), out);
        assert_eq!(invalid(parse(&n)), out);
        assert_eq!(invalid(parse(&[0xff; 32])), out);
        let mut below = n.clone();
        below[31] -= 1;
        parse(&below).unwrap();
        let mut one = [0; 32];
        one[31] = 1;
        parse(&one).unwrap();
    }
}

#[test]
fn private_keys_of_another_length_are_refused() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256] {
        for len in [0, 31, 33, 64] {
            let parsed = SoftwareKey::from_private(&private(algorithm, &vec![1; len]));
            assert!(invalid(parsed).ends_with("has 32 bytes"), "{algorithm} of {len} bytes");
        }
    }
}

#[test]
fn rsa_keys_that_do_not_fit_are_refused() {
    let rsa = VECTORS[3].private;
    let parse = |algorithm, bytes: &[u8]| SoftwareKey::from_private(&private(algorithm, bytes));
    parse(Algorithm::Rsa2048, rsa).unwrap();
    let other_length = "its modulus has another length than the algorithm says";
    assert_eq!(invalid(parse(Algorithm::Rsa4096, rsa)), other_length);
    assert!(invalid(parse(Algorithm::Rsa2048, &rsa[..1000])).contains("not PKCS#8"));
    for at in [100, 400, 700, 900, 1100] {
        let mut altered = rsa.to_vec();
        altered[at] ^= 1;
        assert!(invalid(parse(Algorithm::Rsa2048, &altered)).contains("do not fit"), "byte {at}");
    }
}

#[test]
fn rsa_with_public_exponent_3_is_refused() {
    let weak = include_bytes!("../../../../testdata/rsa2048-exponent-3.pkcs8.der");
    let parsed = SoftwareKey::from_private(&private(Algorithm::Rsa2048, weak));
    assert_eq!(invalid(parsed), "its public exponent is below 65537");
}

#[test]
fn ed25519_key_with_a_public_half_of_another_is_refused() {
    let (material, ours) = SoftwareKey::generate(Algorithm::Ed25519).unwrap();
    let (_, other) = SoftwareKey::generate(Algorithm::Ed25519).unwrap();
    let refused = SoftwareKey::import(&material, Some(other.public_key())).unwrap_err();
    let expected = Refused::PublicMismatch(Algorithm::Ed25519);
    assert!(matches!(refused, StorageError::Refused(refused) if refused == expected));
    let imported = SoftwareKey::import(&material, Some(ours.public_key())).unwrap();
    assert_eq!(imported.public_key(), ours.public_key());
    assert_eq!(SoftwareKey::import(&material, None).unwrap().public_key(), ours.public_key());
}

#[test]
fn secp256k1_high_s_is_refused_in_both_forms() {
    let key = SoftwareKey::generate(Algorithm::Secp256k1).unwrap().1;
    let low = key.sign(b"m", Scheme::default()).unwrap().bytes;
    let low = k256::ecdsa::Signature::from_slice(&low).unwrap();
    let high = k256::ecdsa::Signature::from_scalars(low.r(), -*low.s()).unwrap();
    let holds = |bytes: &[u8]| verify(key.public_key(), b"m", bytes, Scheme::default());
    let holds_der = |bytes: &[u8]| verify_der(key.public_key(), b"m", bytes, Scheme::default());
    assert!(holds(&low.to_bytes()) && holds_der(low.to_der().as_bytes()));
    assert!(!holds(&high.to_bytes()) && !holds_der(high.to_der().as_bytes()));
}

#[test]
fn random_bytes_never_verify() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256] {
        let key = SoftwareKey::generate(algorithm).unwrap().1;
        for len in [0, 32, 64, 65, 128] {
            let noise = random(len).unwrap();
            assert!(!verify(key.public_key(), b"m", noise.expose(), Scheme::default()));
        }
    }
}

#[test]
fn schemes_that_change_the_meaning_are_refused() {
    let refused = |algorithm, prehash, message: &[u8]| {
        let bytes = VECTORS.iter().find(|vector| vector.algorithm == algorithm).unwrap().private;
        let signed = parsed(algorithm, bytes).sign(message, scheme(prehash, Padding::Pss));
        matches!(signed, Err(StorageError::Refused(Refused::Scheme { .. })))
    };
    assert!(refused(Algorithm::Ed25519, Prehash::Prehashed, &[0; 32]));
    assert!(refused(Algorithm::Ed25519, Prehash::Keccak256, b"m"));
    assert!(refused(Algorithm::P256, Prehash::Keccak256, b"m"));
    assert!(refused(Algorithm::Rsa2048, Prehash::Keccak256, b"m"));
    for algorithm in [Algorithm::Secp256k1, Algorithm::P256, Algorithm::Rsa2048] {
        assert!(refused(algorithm, Prehash::Prehashed, &[0; 31]));
        assert!(refused(algorithm, Prehash::Prehashed, &[0; 33]));
        assert!(!refused(algorithm, Prehash::Prehashed, &[0; 32]));
    }
}

#[test]
fn signature_of_a_digest_is_the_signature_of_its_message() {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"m");
    for vector in VECTORS.iter().filter(|vector| vector.algorithm != Algorithm::Ed25519) {
        let key = parsed(vector.algorithm, vector.private);
        let given = scheme(Prehash::Prehashed, vector.padding);
        let signature = key.sign(digest.as_ref(), given).unwrap().bytes;
        let made = scheme(Prehash::Sha256, vector.padding);
        assert!(verify(key.public_key(), b"m", &signature, made));
        assert!(verify(key.public_key(), digest.as_ref(), &signature, given));
    }
}

#[test]
fn one_wrong_known_answer_stops_every_algorithm() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256, Algorithm::Rsa2048]
    {
        let tests = corrupted(algorithm);
        let other = if algorithm == Algorithm::P256 { Algorithm::Ed25519 } else { Algorithm::P256 };
        let key = SoftwareKey::generate_tested(other, tests).unwrap().1;
        key.sign(b"m", Scheme::default()).unwrap();

        for asked in [algorithm, other] {
            let failed = SoftwareKey::generate_tested(asked, tests).unwrap_err();
            let of = |failed| matches!(failed, StorageError::Fault(Fault::SelfTestFailed(by)) if by == algorithm);
            assert!(of(failed), "{asked} after {algorithm} failed");
            assert!(of(key.sign(b"m", Scheme::default()).unwrap_err()));
        }
    }
}

#[test]
fn self_tests_of_this_process_pass_on_demand() {
    run_self_tests().unwrap();
    self_test_state().unwrap();
}

#[test]
fn algorithm_without_a_known_answer_is_not_used() {
    let tests: &'static SelfTests = Box::leak(Box::new(SelfTests::new(&[])));
    assert!(SoftwareKey::generate_tested(Algorithm::Ed25519, tests).is_err());
}

#[test]
fn key_whose_halves_do_not_belong_together_is_discarded() {
    let tests: &'static SelfTests = Box::leak(Box::new(SelfTests::new(&VECTORS)));
    let (_, other) = SoftwareKey::generate(Algorithm::Ed25519).unwrap();
    let (private, _) = SoftwareKey::generate(Algorithm::Ed25519).unwrap();
    let mut broken = SoftwareKey::parse_tested(&private, tests).unwrap();
    broken.public = other.public.clone();
    assert!(matches!(
        broken.pairwise_test(),
        Err(StorageError::Fault(Fault::SelfTestFailed(Algorithm::Ed25519)))
    ));
    assert!(tests.intact().is_err());
}

#[test]
fn debug_shows_no_private_byte() {
    let key = parsed(Algorithm::Secp256k1, &[0x5a; 32]);
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("SoftwareKey({:?})", key.public_key()));
    assert!(!format!("{:?}", key.pair).contains("5a5a"));
}
