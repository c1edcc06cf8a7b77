//! Private keys as bare bytes and hex digits.

use kms_formats::algorithm::Algorithm;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::public::InvalidPublicKey;
use kms_formats::public::PublicKey;

use crate::fixture;

const ONE_FORM: [Algorithm; 3] = [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256];

/// The orders of the curves: SEC 2 sections 2.4.1 and 2.4.2.
const ORDERS: [(Algorithm, &str); 2] = [
    (Algorithm::Secp256k1, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
    (Algorithm::P256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
];

fn parse(algorithm: Algorithm, file: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    PrivateKey::parse(file, PrivateFormat::Raw, Some(algorithm))
}

fn key_bytes(algorithm: Algorithm) -> Vec<u8> {
    let file = fixture::bytes(&format!("openssl/{algorithm}.pkcs8.der"));
    fixture::parse(&file).unwrap().key.bytes.expose().to_vec()
}

/// The hex forms of a key: with and without `0x`, either case, no line end or one.
fn hex_forms(key: &[u8]) -> Vec<String> {
    let digits = [hex::encode(key), hex::encode_upper(key)];
    let starts = ["", "0x", "0X"];
    let ends = ["", "\n", "\r\n"];
    let both = digits.iter().flat_map(|d| starts.map(|start| format!("{start}{d}")));
    both.flat_map(|text| ends.map(|end| format!("{text}{end}"))).collect()
}

#[test]
fn raw_and_hex_forms_give_the_same_key() {
    for algorithm in ONE_FORM {
        let key = key_bytes(algorithm);
        let forms = hex_forms(&key).into_iter().map(String::into_bytes);
        for file in forms.chain([key.clone()]) {
            let parsed = parse(algorithm, &file).unwrap();
            assert_eq!(parsed.key.algorithm, algorithm);
            assert_eq!(parsed.key.bytes.expose(), key);
            assert_eq!(parsed.claimed_public, None);
        }
    }
}

#[test]
fn ed25519_of_64_bytes_claims_its_second_half() {
    let public = fixture::public(Algorithm::Ed25519);
    let seed = key_bytes(Algorithm::Ed25519);
    let both = [&seed[..], public.as_bytes()].concat();
    for file in hex_forms(&both).into_iter().map(String::into_bytes).chain([both.clone()]) {
        let parsed = parse(Algorithm::Ed25519, &file).unwrap();
        assert_eq!(parsed.key.bytes.expose(), seed);
        assert_eq!(parsed.claimed_public.as_ref(), Some(&public));
    }
    let mut other = both;
    other[63] ^= 1;
    let claimed = parse(Algorithm::Ed25519, &other).unwrap().claimed_public.unwrap();
    assert_ne!(claimed, public);
}

#[test]
fn ed25519_of_64_bytes_with_a_weak_public_half_is_refused() {
    let weak = [&[7; 32][..], &[1], &[0; 31]].concat();
    let error = InvalidPublicKey(Algorithm::Ed25519).into();
    assert_eq!(parse(Algorithm::Ed25519, &weak).unwrap_err(), error);
    assert!(PublicKey::validated(Algorithm::Ed25519, &weak[32..]).is_err());
}

#[test]
fn curve_keys_of_64_bytes_are_refused() {
    for (algorithm, _) in ORDERS {
        let error = parse(algorithm, &[1; 64]).unwrap_err();
        assert_eq!(error, PrivateKeyError::RawLength(64));
        let error = parse(algorithm, "01".repeat(64).as_bytes()).unwrap_err();
        assert_eq!(error, PrivateKeyError::RawLength(128));
    }
}

#[test]
fn other_lengths_are_refused() {
    for algorithm in ONE_FORM {
        for length in (0..=130).filter(|length| ![32, 64, 128].contains(length)) {
            let error = PrivateKeyError::RawLength(length);
            assert_eq!(parse(algorithm, &vec![0xa5; length]).unwrap_err(), error, "bytes");
            assert_eq!(parse(algorithm, &vec![b'a'; length]).unwrap_err(), error, "digits");
        }
    }
}

#[test]
fn hex_cut_to_32_digits_is_no_key_of_32_bytes() {
    let digits = &hex::encode([0x5a; 32])[..32];
    for algorithm in ONE_FORM {
        let error = parse(algorithm, digits.as_bytes()).unwrap_err();
        assert_eq!(error, PrivateKeyError::RawLength(32));
    }
}

#[test]
fn hex_with_anything_else_in_it_is_refused() {
    let digits = hex::encode([0x5a; 32]);
    for text in [
        format!(" {digits}"),
        format!("{digits} "),
        format!("{digits}\n\n"),
        format!("0x0x{digits}"),
        format!("{}:{}", &digits[..32], &digits[32..]),
        format!("{}g", &digits[..63]),
    ] {
        let error = parse(Algorithm::Secp256k1, text.as_bytes()).unwrap_err();
        assert_eq!(error, PrivateKeyError::RawLength(text.len()), "{text:?}");
    }
}

#[test]
fn scalars_lie_between_one_and_the_order() {
    for (algorithm, order) in ORDERS {
        let order = hex::decode(order).unwrap();
        let refused = |bytes: &[u8]| parse(algorithm, bytes).unwrap_err();
        assert_eq!(refused(&[0; 32]), PrivateKeyError::Scalar(algorithm), "zero");
        assert_eq!(refused(&order), PrivateKeyError::Scalar(algorithm), "n");
        assert_eq!(refused(&[0xff; 32]), PrivateKeyError::Scalar(algorithm), "2^256 - 1");
        let mut last = order;
        last[31] -= 1;
        assert_eq!(parse(algorithm, &last).unwrap().key.bytes.expose(), last, "n - 1");
        let one = [&[0; 31][..], &[1]].concat();
        assert_eq!(parse(algorithm, &one).unwrap().key.bytes.expose(), one, "1");
    }
}

#[test]
fn raw_form_needs_an_algorithm_that_has_one() {
    let without = PrivateKey::parse(&[1; 32], PrivateFormat::Raw, None);
    assert_eq!(without.unwrap_err(), PrivateKeyError::AlgorithmNeeded);
    for algorithm in [Algorithm::Rsa2048, Algorithm::Rsa4096] {
        let error = parse(algorithm, &[1; 32]).unwrap_err();
        assert_eq!(error, PrivateKeyError::NoRawForm(algorithm));
    }
}
