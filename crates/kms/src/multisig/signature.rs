//! Signatures from outside, brought into the one form each algorithm has here.

use kms_formats::signature::EcdsaSignature;

use crate::key::Algorithm;
use crate::key::PublicKey;
use crate::key::Scheme;
use crate::storage::verify;

/// The longest signature that is read, in bytes: RSA-4096 has 512.
pub const SIGNATURE_LIMIT: usize = 1024;

/// The signature in its one form (64 bytes, for secp256k1 with low s; RSA as it is), if it is one
/// of `message` under `key`. ECDSA signatures may come as r‖s or as DER.
pub(crate) fn verified(key: &PublicKey, message: &[u8], given: &[u8]) -> Option<Vec<u8>> {
    let canonical = canonical(key.algorithm(), given)?;
    verify(key, message, &canonical, Scheme::default()).then_some(canonical)
}

fn canonical(algorithm: Algorithm, given: &[u8]) -> Option<Vec<u8>> {
    if given.len() > SIGNATURE_LIMIT {
        return None;
    }
    let ecdsa = || match given.len() {
        64 => EcdsaSignature::from_bytes(given).ok(),
        _ => EcdsaSignature::from_der(given).ok(),
    };
    match algorithm {
        Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => Some(given.to_vec()),
        Algorithm::P256 => Some(ecdsa()?.as_bytes().to_vec()),
        Algorithm::Secp256k1 => Some(ecdsa()?.to_low_s(None).ok()?.0.as_bytes().to_vec()),
    }
}
