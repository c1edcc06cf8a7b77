//! Public keys in the one form this product keeps them in.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::algorithm::Algorithm;

/// A public key with its algorithm, in the one form this product keeps:
///
/// | algorithm | bytes |
/// |---|---|
/// | Ed25519 | 32 (RFC 8032 section 5.1.2) |
/// | secp256k1, P-256 | 33, compressed point (SEC 1 section 2.3.3) |
/// | RSA | DER of `RSAPublicKey` (RFC 8017 appendix A.1.1), 270 bytes for 2048 bits, 526 for 4096 |
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

/// Bytes that are no public key of the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no {0} public key")]
pub struct InvalidPublicKey(pub Algorithm);

impl PublicKey {
    /// Reads a public key from the bytes of the table above; checks lengths and shapes here, and
    /// that a point lies on its curve where the key is used or parsed from outside.
    ///
    /// # Errors
    /// When length or leading byte do not fit the algorithm.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, InvalidPublicKey> {
        let fits = match algorithm {
            Algorithm::Ed25519 => bytes.len() == 32,
            Algorithm::Secp256k1 | Algorithm::P256 => {
                bytes.len() == 33 && matches!(bytes.first(), Some(2 | 3))
            }
            Algorithm::Rsa2048 => bytes.len() >= 266 && bytes.len() <= 280,
            Algorithm::Rsa4096 => bytes.len() >= 522 && bytes.len() <= 536,
        };
        fits.then(|| Self { algorithm, bytes: bytes.into() }).ok_or(InvalidPublicKey(algorithm))
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes, as the table above says.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, hex::encode(&self.bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.algorithm, hex::encode(&self.bytes)))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let (algorithm, digits) =
            text.split_once(':').ok_or_else(|| D::Error::custom("no algorithm"))?;
        let bytes = hex::decode(digits).map_err(D::Error::custom)?;
        Self::new(algorithm.parse().map_err(D::Error::custom)?, &bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_of_the_wrong_shape_are_refused() {
        assert!(PublicKey::new(Algorithm::Ed25519, &[0; 31]).is_err());
        assert!(PublicKey::new(Algorithm::Secp256k1, &[4; 33]).is_err());
        assert!(PublicKey::new(Algorithm::P256, &[2; 65]).is_err());
        assert!(PublicKey::new(Algorithm::Rsa2048, &[0x30; 526]).is_err());
    }

    #[test]
    fn public_key_is_stored_as_text_and_read_back() {
        let key = PublicKey::new(Algorithm::P256, &[2; 33]).unwrap();
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"p256:{}\"", "02".repeat(33)));
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key);
    }
}
