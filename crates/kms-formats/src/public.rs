//! Public keys in the one form this product keeps them in, and in the forms other software reads.

mod spki;
mod text;

pub use spki::SpkiError;

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::algorithm::Algorithm;
use crate::point;
use crate::rsa;

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
    ///
    /// See [`Self::validated`] for keys that come from outside.
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

    /// Reads a public key that comes from outside: the form of the table above, and for the curves
    /// also the uncompressed point (65 bytes). Checks what can be checked without the private half:
    /// that a point of secp256k1 or P-256 lies on its curve, that an Ed25519 key is canonical and
    /// of large order (not that it is on the curve: who verifies with it finds out), and that an RSA
    /// key has a supported modulus and exponent.
    ///
    /// # Errors
    /// When the bytes are no such key.
    pub fn validated(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, InvalidPublicKey> {
        let invalid = InvalidPublicKey(algorithm);
        match algorithm {
            Algorithm::Ed25519 if ed25519_is_sound(bytes) => Self::new(algorithm, bytes),
            Algorithm::Ed25519 => Err(invalid),
            Algorithm::Secp256k1 | Algorithm::P256 => {
                Self::new(algorithm, &point::compress(algorithm, bytes).ok_or(invalid)?)
            }
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                let (found, _) = rsa::read(bytes).map_err(|_| invalid)?;
                if found == algorithm { Self::new(algorithm, bytes) } else { Err(invalid) }
            }
        }
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

/// The y coordinates of the points of small order on edwards25519, little-endian, without sign.
/// Signatures can be made that verify under such a key for any message (RFC 8032 section 8.9
/// leaves the choice; nobody has such a key by chance).
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    prime_plus(-1),
];

/// Little-endian 2^255 - 19 + `difference`, which is at most 18 either way.
const fn prime_plus(difference: i8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed_u8.wrapping_add_signed(difference);
    bytes[31] = 0x7f;
    bytes
}

/// Whether a key is 32 bytes, its y below the prime (RFC 8032 section 5.1.3) and of large order.
fn ed25519_is_sound(bytes: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(bytes) else { return false };
    y[31] &= 0x7f;
    let canonical = y.iter().rev().lt(prime_plus(0).iter().rev());
    canonical && !SMALL_ORDER.contains(&y)
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
    fn ed25519_keys_of_small_order_or_not_canonical_are_refused() {
        let refused = |bytes: &[u8]| PublicKey::validated(Algorithm::Ed25519, bytes).is_err();
        for small in SMALL_ORDER {
            let mut with_sign = small;
            with_sign[31] |= 0x80;
            assert!(refused(&small) && refused(&with_sign), "{small:02x?}");
        }
        for above in 0..=18 {
            assert!(refused(&prime_plus(above)), "p + {above}");
        }
        assert!(!refused(&prime_plus(-2)) && !refused(&[2; 32]));
        assert!(refused(&[2; 31]) && refused(&[2; 33]) && refused(&[]));
    }

    #[test]
    fn points_from_outside_are_compressed_and_checked() {
        let text = "044fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let nonsense = hex::decode(text).unwrap();
        assert!(PublicKey::validated(Algorithm::P256, &nonsense).is_err());
        let off_curve = PublicKey::new(Algorithm::P256, &[&[2], &[0xff; 32][..]].concat()).unwrap();
        assert!(PublicKey::validated(Algorithm::P256, off_curve.as_bytes()).is_err());
    }

    #[test]
    fn public_key_is_stored_as_text_and_read_back() {
        let key = PublicKey::new(Algorithm::P256, &[2; 33]).unwrap();
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"p256:{}\"", "02".repeat(33)));
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key);
    }
}
