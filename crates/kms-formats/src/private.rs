//! Private keys in the one form this product keeps them in.

use kms_secret::SecretBytes;

use crate::algorithm::Algorithm;

/// A private key with its algorithm, in the one form this product keeps:
///
/// | algorithm | bytes |
/// |---|---|
/// | Ed25519 | 32, the seed (RFC 8032 section 5.1.5) |
/// | secp256k1, P-256 | 32, the scalar, big-endian (SEC 1 section 2.3.7), 1 ≤ d < n |
/// | RSA | DER of PKCS#8 `PrivateKeyInfo` version 0 (RFC 5958), without attributes |
#[derive(Debug)]
pub struct PrivateKey {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The bytes, as the table above says.
    pub bytes: SecretBytes,
}
