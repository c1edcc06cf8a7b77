//! Ed25519 (RFC 8032, pure), by aws-lc.

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::UnparsedPublicKey;

use crate::storage::error::Fault;

/// A private key with its expanded scalar; lives in aws-lc's heap.
pub(super) type Pair = Ed25519KeyPair;

/// Length of a private key (the seed) in bytes.
pub(super) const SEED_LEN: usize = 32;

pub(super) fn parse(seed: &[u8]) -> Result<Pair, &'static str> {
    if seed.len() != SEED_LEN {
        return Err("a seed has 32 bytes");
    }
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "the library refused the seed")
}

/// 32 bytes, always computed from the seed: a public half from outside never gets into a
/// signature (two signatures of one message under two public halves give the scalar away).
pub(super) fn public(pair: &Pair) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}

pub(super) fn sign(pair: &Pair, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let signature = pair.try_sign(message).map_err(|_| Fault::Library("ed25519 signing"))?;
    Ok(signature.as_ref().to_vec())
}

pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}
