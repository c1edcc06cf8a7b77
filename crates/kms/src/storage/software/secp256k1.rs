//! ECDSA over secp256k1 (SEC 2), by k256: nonces by RFC 6979, low-S, recovery id.

use aws_lc_rs::digest;
use k256::ecdsa::Signature;
use k256::ecdsa::SigningKey;
use k256::ecdsa::VerifyingKey;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use kms_secret::Locked;
use sha3::Digest;
use sha3::Keccak256;

use crate::key::Prehash;
use crate::storage::error::Fault;

/// A private scalar in locked memory; it wipes itself there when dropped.
pub(super) type Pair = Locked<SigningKey>;

pub(super) fn parse(scalar: &[u8]) -> Result<Pair, &'static str> {
    if scalar.len() != 32 {
        return Err("a scalar has 32 bytes");
    }
    let key = SigningKey::from_slice(scalar).map_err(|_| "the scalar is 0 or not below n")?;
    Ok(Locked::new(key))
}

/// 33 bytes, the compressed point.
pub(super) fn public(pair: &Pair) -> Vec<u8> {
    pair.verifying_key().to_sec1_point(true).as_bytes().to_vec()
}

/// 64 bytes r‖s with low s, and the recovery id (SEC 1 section 4.1.6).
pub(super) fn sign(pair: &Pair, message: &[u8], prehash: Prehash) -> Result<(Vec<u8>, u8), Fault> {
    let digest = hash(message, prehash).ok_or(Fault::Library("secp256k1 digest"))?;
    let (signature, recovery_id) = pair.sign_prehash_recoverable(&digest);
    Ok((signature.to_bytes().to_vec(), recovery_id.to_byte()))
}

pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8], prehash: Prehash) -> bool {
    Signature::from_slice(signature).is_ok_and(|rs| verify_rs(public, message, &rs, prehash))
}

pub(super) fn verify_der(public: &[u8], message: &[u8], der: &[u8], prehash: Prehash) -> bool {
    Signature::from_der(der).is_ok_and(|rs| verify_rs(public, message, &rs, prehash))
}

fn verify_rs(public: &[u8], message: &[u8], signature: &Signature, prehash: Prehash) -> bool {
    let Ok(key) = VerifyingKey::from_sec1_bytes(public) else {
        return false;
    };
    // The library refuses a high s (the same signature spelt twice) as no signature.
    hash(message, prehash).is_some_and(|digest| key.verify_prehash(&digest, signature).is_ok())
}

fn hash(message: &[u8], prehash: Prehash) -> Option<[u8; 32]> {
    match prehash {
        Prehash::Sha256 => digest::digest(&digest::SHA256, message).as_ref().try_into().ok(),
        Prehash::Keccak256 => Some(Keccak256::digest(message).into()),
        Prehash::Prehashed => message.try_into().ok(),
    }
}
