//! ECDSA over P-256 with SHA-256 (FIPS 186-5), by aws-lc; nonces are random.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::digest::SHA256;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::EcdsaVerificationAlgorithm;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::UnparsedPublicKey;
use kms_secret::SecretBytes;

use crate::storage::error::Fault;

/// A private scalar; lives in aws-lc's heap.
pub(super) type Pair = EcdsaKeyPair;

/// DER of `ECPrivateKey` (RFC 5915) up to the 32 bytes of the scalar …
const BEFORE_SCALAR: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
/// … and from there: the curve, no public key, which the library then computes.
const AFTER_SCALAR: [u8; 12] =
    [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

pub(super) fn parse(scalar: &[u8]) -> Result<Pair, &'static str> {
    if scalar.len() != 32 {
        return Err("a scalar has 32 bytes");
    }
    let mut der = SecretBytes::zeroed(BEFORE_SCALAR.len() + 32 + AFTER_SCALAR.len());
    let parts = BEFORE_SCALAR.iter().chain(scalar).chain(&AFTER_SCALAR);
    der.expose_mut().iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose())
        .map_err(|_| "the scalar is 0 or not below n")
}

/// 33 bytes, the compressed point (SEC 1 section 2.3.3).
pub(super) fn public(pair: &Pair) -> Vec<u8> {
    let point = pair.public_key().as_ref(); // 04 ‖ x ‖ y
    let odd = point.last().is_some_and(|byte| byte & 1 == 1);
    let x = point.iter().skip(1).take(32).copied();
    std::iter::once(if odd { 3 } else { 2 }).chain(x).collect()
}

/// 64 bytes r‖s; of a digest made elsewhere where `prehashed` says so.
pub(super) fn sign(pair: &Pair, message: &[u8], prehashed: bool) -> Result<Vec<u8>, Fault> {
    let signature = if prehashed {
        Digest::import_less_safe(message, &SHA256).and_then(|digest| pair.sign_digest(&digest))
    } else {
        pair.sign(&SystemRandom::new(), message)
    };
    Ok(signature.map_err(|_| Fault::Library("p256 signing"))?.as_ref().to_vec())
}

pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8], prehashed: bool) -> bool {
    verify_as(&ECDSA_P256_SHA256_FIXED, public, message, (signature, prehashed))
}

pub(super) fn verify_der(public: &[u8], message: &[u8], der: &[u8], prehashed: bool) -> bool {
    verify_as(&ECDSA_P256_SHA256_ASN1, public, message, (der, prehashed))
}

fn verify_as(
    form: &'static EcdsaVerificationAlgorithm,
    public: &[u8],
    message: &[u8],
    (signature, prehashed): (&[u8], bool),
) -> bool {
    let key = UnparsedPublicKey::new(form, public);
    if !prehashed {
        return key.verify(message, signature).is_ok();
    }
    Digest::import_less_safe(message, &SHA256)
        .is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
}
