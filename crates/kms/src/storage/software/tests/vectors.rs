//! RFC 8032, RFC 6979, and libsecp256k1 as a second implementation.

use ::secp256k1::Message;
use ::secp256k1::SecretKey;
use ::secp256k1::ecdsa::RecoverableSignature;
use aws_lc_rs::digest;
use proptest::prelude::*;

use super::*;

const ED25519: &str = include_str!("../../../../testdata/rfc8032-ed25519.txt");
const SECP256K1: &str = include_str!("../../../../testdata/rfc6979-secp256k1.txt");
const P256: &str = include_str!("../../../../testdata/rfc6979-p256.txt");

fn lines(file: &'static str, separator: char) -> Vec<Vec<&'static str>> {
    let data = file.lines().filter(|line| !line.starts_with('#'));
    data.map(|line| line.split(separator).collect()).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

#[test]
fn ed25519_is_rfc_8032() {
    let vectors = lines(ED25519, ':');
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let [seed, public, message, signature] = [0, 1, 2, 3].map(|at| unhex(vector[at]));
        let key = parsed(Algorithm::Ed25519, &seed);
        assert_eq!(key.public_key().as_bytes(), public);
        let ours = key.sign(&message, Scheme::default()).unwrap();
        assert_eq!(ours.bytes, signature);
        assert_eq!(ours.recovery_id, None);
        assert!(verify(key.public_key(), &message, &signature, Scheme::default()));
    }
}

#[test]
fn secp256k1_nonces_are_rfc_6979() {
    let vectors = lines(SECP256K1, '|');
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let key = parsed(Algorithm::Secp256k1, &unhex(vector[0]));
        let ours = key.sign(vector[2].as_bytes(), Scheme::default()).unwrap();
        assert_eq!(hex::encode(&ours.bytes), vector[1]);
        assert!(verify(key.public_key(), vector[2].as_bytes(), &ours.bytes, Scheme::default()));
    }
}

#[test]
fn p256_verifies_rfc_6979_and_derives_its_public_key() {
    for vector in lines(P256, '|') {
        let key = parsed(Algorithm::P256, &unhex(vector[0]));
        assert_eq!(hex::encode(key.public_key().as_bytes()), vector[1]);
        let signature = unhex(vector[2]);
        assert!(verify(key.public_key(), vector[3].as_bytes(), &signature, Scheme::default()));
        let digest = digest::digest(&digest::SHA256, vector[3].as_bytes());
        let prehashed = scheme(Prehash::Prehashed, Padding::Pss);
        assert!(verify(key.public_key(), digest.as_ref(), &signature, prehashed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Also the recovery id: libsecp256k1 recovers the public key with ours.
    #[test]
    fn secp256k1_signs_byte_for_byte_as_libsecp256k1(
        secret in prop::array::uniform32(1u8..),
        message in prop::collection::vec(any::<u8>(), 0..200),
        keccak: bool,
    ) {
        let Ok(theirs) = SecretKey::from_secret_bytes(secret) else { return Ok(()) };
        let prehash = if keccak { Prehash::Keccak256 } else { Prehash::Sha256 };
        let digest: [u8; 32] = if keccak {
            sha3::Digest::finalize(sha3::Digest::chain_update(<sha3::Keccak256 as sha3::Digest>::new(), &message)).into()
        } else {
            digest::digest(&digest::SHA256, &message).as_ref().try_into().unwrap()
        };
        let digest = Message::from_digest(digest);
        let key = parsed(Algorithm::Secp256k1, &secret);
        let ours = key.sign(&message, scheme(prehash, Padding::Pss)).unwrap();

        let signed = RecoverableSignature::sign_ecdsa_recoverable(digest, &theirs);
        let (id, bytes) = signed.serialize_compact();
        prop_assert_eq!(&ours.bytes[..], &bytes[..]);
        prop_assert_eq!(ours.recovery_id.map(i32::from), Some(i32::from(id.to_u8())));
        let recovered = signed.recover_ecdsa(digest).unwrap();
        prop_assert_eq!(key.public_key().as_bytes(), &recovered.serialize()[..]);
    }
}
