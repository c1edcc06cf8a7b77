//! Other people's vectors, other people's implementations, and each guard's refusal.

use kms_secret::SecretBytes;

use super::*;
use crate::key::Padding;
use crate::key::Prehash;
use crate::storage::software::selftest::VECTORS;
use crate::storage::software::selftest::Vector;

mod guards;
mod openssl;
mod vectors;
mod wycheproofs;

/// A private key of its bytes.
fn private(algorithm: Algorithm, bytes: &[u8]) -> PrivateKey {
    PrivateKey { algorithm, bytes: SecretBytes::copy_from(bytes) }
}

/// A key ready to sign, of its bytes.
fn parsed(algorithm: Algorithm, bytes: &[u8]) -> SoftwareKey {
    SoftwareKey::from_private(&private(algorithm, bytes)).unwrap()
}

fn scheme(prehash: Prehash, padding: Padding) -> Scheme {
    Scheme { prehash, padding }
}
