//! ECDSA signatures: the one DER there is, Ethereum's form, low S.

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
use aws_lc_rs::signature::UnparsedPublicKey;
use k256::ecdsa::RecoveryId;
use k256::ecdsa::VerifyingKey;
use k256::ecdsa::signature::Verifier;
use kms_formats::algorithm::Algorithm;
use kms_formats::signature::EcdsaSignature;
use kms_formats::signature::SignatureError;

use crate::fixture;

const MESSAGE: &[u8] = b"sign this";
/// n of secp256k1 (SEC 2 section 2.4.1) and the whole part of n / 2.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const HALF: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

fn openssl(algorithm: Algorithm) -> EcdsaSignature {
    let der = fixture::bytes(&format!("openssl/{algorithm}.signature.der"));
    EcdsaSignature::from_der(&der).unwrap()
}

fn number(digits: &str) -> [u8; 32] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn small(value: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[31] = value;
    bytes
}

fn signature(r: [u8; 32], s: [u8; 32]) -> EcdsaSignature {
    EcdsaSignature::from_bytes(&[r, s].concat()).unwrap()
}

/// Tag, length in its shortest form, contents of less than 256 bytes.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).unwrap();
    let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [header, contents.to_vec()].concat()
}

fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    element(0x30, &[element(2, r), element(2, s)].concat())
}

#[test]
fn signatures_of_openssl_are_read_verify_and_are_written_back() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::P256] {
        let der = fixture::bytes(&format!("openssl/{algorithm}.signature.der"));
        assert_eq!(openssl(algorithm).to_der(), der, "{algorithm}");
    }
    let point = fixture::public(Algorithm::P256).to_uncompressed_point().unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(MESSAGE, openssl(Algorithm::P256).as_bytes()).unwrap();

    let (low, _) = openssl(Algorithm::Secp256k1).to_low_s(None).unwrap();
    let low = k256::ecdsa::Signature::from_slice(low.as_bytes()).unwrap();
    let key = fixture::public(Algorithm::Secp256k1);
    VerifyingKey::from_sec1_bytes(key.as_bytes()).unwrap().verify(MESSAGE, &low).unwrap();
}

#[test]
fn der_of_numbers_with_and_without_leading_zeros_is_read_and_written() {
    let cases: [(&[u8], [u8; 32]); 5] = [
        (&[1], small(1)),
        (&[0x7f], small(0x7f)),
        (&[0, 0x80], small(0x80)),
        (&[&[0][..], &[0xff; 32]].concat(), [0xff; 32]),
        (&[0x7f; 32], [0x7f; 32]),
    ];
    for (r, left) in cases {
        for (s, right) in cases {
            let der = der(r, s);
            let read = EcdsaSignature::from_der(&der).unwrap();
            assert_eq!(read.as_bytes()[..], [left, right].concat());
            assert_eq!(read.to_der(), der);
            assert!((8..=72).contains(&der.len()));
        }
    }
}

#[test]
fn der_other_than_the_one_there_is_is_refused() {
    let good = der(&[1], &[2]);
    assert!(EcdsaSignature::from_der(&good).is_ok());
    let one = [2, 1, 1];
    let cases: [(&str, Vec<u8>); 21] = [
        ("nothing", vec![]),
        ("r not minimal", der(&[0, 1], &[2])),
        ("s not minimal", der(&[1], &[0, 2])),
        ("r padded twice", der(&[0, 0, 0x80], &[2])),
        ("r negative", der(&[0x80], &[2])),
        ("s negative", der(&[1], &[0xff; 32])),
        ("r empty", der(&[], &[2])),
        ("s empty", der(&[1], &[])),
        ("r of 33 bytes", der(&[1; 33], &[2])),
        ("s of 33 bytes", der(&[1], &[1; 33])),
        ("s of 34 bytes with zero", der(&[1], &[&[0][..], &[0xff; 33]].concat())),
        ("byte after", [&good[..], &[0]].concat()),
        ("third integer", element(0x30, &[one, one, one].concat())),
        ("byte after s inside", element(0x30, &[&one[..], &one, &[0]].concat())),
        ("one integer", element(0x30, &one)),
        ("empty sequence", element(0x30, &[])),
        ("length in two bytes", [&[0x30, 0x81, 6][..], &good[2..]].concat()),
        ("length of r in two bytes", element(0x30, &[&[2, 0x81, 1, 1][..], &one].concat())),
        ("indefinite length", [&[0x30, 0x80][..], &good[2..], &[0, 0]].concat()),
        ("a set", element(0x31, &good[2..])),
        ("r a bit string", element(0x30, &[3, 1, 1, 2, 1, 2])),
    ];
    for (what, der) in cases {
        assert_eq!(EcdsaSignature::from_der(&der), Err(SignatureError::Der), "{what}");
    }
}

#[test]
fn zero_is_refused_in_every_encoding() {
    let zero = Err(SignatureError::Zero);
    assert_eq!(EcdsaSignature::from_der(&der(&[0], &[1])), zero);
    assert_eq!(EcdsaSignature::from_der(&der(&[1], &[0])), zero);
    for bytes in [[small(0), small(1)].concat(), [small(1), small(0)].concat()] {
        assert_eq!(EcdsaSignature::from_bytes(&bytes), zero);
        let rsv = [&bytes[..], &[27]].concat();
        assert_eq!(EcdsaSignature::from_rsv(&rsv), Err(SignatureError::Zero));
    }
}

#[test]
fn other_lengths_are_refused() {
    for found in (0..130).filter(|found| *found != 64) {
        let error = Err(SignatureError::Length { expected: 64, found });
        assert_eq!(EcdsaSignature::from_bytes(&vec![1; found]), error);
    }
    for found in (0..130).filter(|found| *found != 65) {
        let error = Err(SignatureError::Length { expected: 65, found });
        assert_eq!(EcdsaSignature::from_rsv(&vec![27; found]), error);
    }
}

#[test]
fn every_truncation_and_changed_header_is_refused() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::P256] {
        let der = fixture::bytes(&format!("openssl/{algorithm}.signature.der"));
        for length in 0..der.len() {
            let error = Err(SignatureError::Der);
            assert_eq!(EcdsaSignature::from_der(&der[..length]), error, "{length}");
        }
        for (place, value) in (0..4).flat_map(|place| (0..=255).map(move |value| (place, value))) {
            let mut changed = der.clone();
            changed[place] = value;
            assert_eq!(EcdsaSignature::from_der(&changed).is_ok(), changed == der);
        }
    }
}

#[test]
fn rsv_is_27_or_28_after_r_and_s_and_recovers_the_key() {
    let expected = VerifyingKey::from_sec1_bytes(fixture::public(Algorithm::Secp256k1).as_bytes());
    let expected = expected.unwrap();
    let (low, _) = openssl(Algorithm::Secp256k1).to_low_s(None).unwrap();
    let mut recovered = 0;
    for id in [0, 1] {
        let rsv = low.to_rsv(id).unwrap();
        assert_eq!((&rsv[..64], rsv[64]), (&low.as_bytes()[..], 27 + id));
        let (read, read_id) = EcdsaSignature::from_rsv(&rsv).unwrap();
        assert_eq!((read, read_id), (low, id));
        let signature = k256::ecdsa::Signature::from_slice(read.as_bytes()).unwrap();
        let id = RecoveryId::from_byte(id).unwrap();
        let key = VerifyingKey::recover_from_msg(MESSAGE, &signature, id).unwrap();
        recovered += usize::from(key == expected);
    }
    assert_eq!(recovered, 1);
}

#[test]
fn other_v_and_recovery_ids_are_refused() {
    let signature = signature(small(1), small(1));
    for v in (0..=255).filter(|v| ![27, 28].contains(v)) {
        let rsv = [&signature.as_bytes()[..], &[v]].concat();
        assert_eq!(EcdsaSignature::from_rsv(&rsv), Err(SignatureError::V(v)));
    }
    for id in [2, 3, 27, 255] {
        assert_eq!(signature.to_rsv(id), Err(SignatureError::RecoveryId(id)));
    }
}

#[test]
fn high_s_is_refused_in_rsv() {
    let mut above = number(HALF);
    above[31] += 1;
    let high = signature(small(1), above);
    assert_eq!(high.to_rsv(0), Err(SignatureError::HighS));
    let rsv = [&high.as_bytes()[..], &[27]].concat();
    assert_eq!(EcdsaSignature::from_rsv(&rsv), Err(SignatureError::HighS));
    let low = signature(small(1), number(HALF));
    assert!(low.to_rsv(0).is_ok());
}

#[test]
fn half_the_order_is_the_highest_low_s() {
    let half = signature(small(1), number(HALF));
    assert_eq!(half.is_low_s(), Ok(true));
    assert_eq!(half.to_low_s(Some(1)), Ok((half, Some(1))));
    let mut above = number(HALF);
    above[31] += 1;
    let above = signature(small(1), above);
    assert_eq!(above.is_low_s(), Ok(false));
    // n is odd, so n - (half + 1) = half.
    assert_eq!(above.to_low_s(Some(1)), Ok((half, Some(0))));
    assert_eq!(above.to_low_s(Some(2)), Ok((half, Some(3))));
    assert_eq!(above.to_low_s(None), Ok((half, None)));
    let mut last = number(ORDER);
    last[31] -= 1;
    let low = signature(small(9), small(1));
    assert_eq!(signature(small(9), last).to_low_s(Some(0)), Ok((low, Some(1))));
}

#[test]
fn numbers_not_below_the_order_are_refused_for_secp256k1() {
    for (r, s) in [
        (number(ORDER), small(1)),
        (small(1), number(ORDER)),
        ([0xff; 32], small(1)),
        (small(1), [0xff; 32]),
    ] {
        let signature = signature(r, s);
        assert_eq!(signature.is_low_s(), Err(SignatureError::Range));
        assert_eq!(signature.to_low_s(Some(0)), Err(SignatureError::Range));
        assert_eq!(signature.to_rsv(0), Err(SignatureError::Range));
        let rsv = [&signature.as_bytes()[..], &[27]].concat();
        assert_eq!(EcdsaSignature::from_rsv(&rsv), Err(SignatureError::Range));
    }
}
