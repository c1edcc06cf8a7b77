//! Fingerprints and signatures.

use std::fmt;

use crate::key::Algorithm;

/// SHA-256 of the DER of a key's SubjectPublicKeyInfo: 32 bytes, shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature in the algorithm's own form:
///
/// | algorithm | bytes |
/// |---|---|
/// | Ed25519 | 64 (RFC 8032) |
/// | secp256k1 | 64, r‖s with low s; `recovery_id` set |
/// | P-256 | 64, r‖s |
/// | RSA-2048 / RSA-4096 | 256 / 512 |
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// The algorithm that made it.
    pub algorithm: Algorithm,
    /// The bytes, as the table above says.
    pub bytes: Vec<u8>,
    /// For secp256k1: 0 to 3, with which the public key can be recovered (SEC 1 section 4.1.6).
    pub recovery_id: Option<u8>,
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, hex::encode(&self.bytes))
    }
}
