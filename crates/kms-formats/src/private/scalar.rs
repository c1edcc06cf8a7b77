//! Private scalars of the curves, and the seed of Ed25519: lengths and ranges.

use kms_secret::SecretBytes;

use crate::algorithm::Algorithm;
use crate::private::ParsedPrivateKey;
use crate::private::PrivateKey;
use crate::private::PrivateKeyError;
use crate::public::PublicKey;

/// Takes the 32 bytes of an Ed25519, secp256k1 or P-256 key with the public half the file claims.
///
/// # Errors
/// When the length is wrong, the scalar out of range, or (secp256k1) the public half another's.
pub(crate) fn take(
    algorithm: Algorithm,
    bytes: &[u8],
    claimed_public: Option<PublicKey>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    if bytes.len() != 32 {
        return Err(PrivateKeyError::Length { algorithm, expected: 32, found: bytes.len() });
    }
    let out_of_range = PrivateKeyError::Scalar(algorithm);
    match algorithm {
        // Every 32 bytes are a seed.
        Algorithm::Ed25519 => {}
        Algorithm::P256 => {
            p256::SecretKey::from_slice(bytes).map_err(|_| out_of_range)?;
        }
        Algorithm::Secp256k1 => {
            let secret = k256::SecretKey::from_slice(bytes).map_err(|_| out_of_range)?;
            let public = secret.public_key().to_sec1_bytes();
            if claimed_public.as_ref().is_some_and(|claimed| claimed.as_bytes() != &*public) {
                return Err(PrivateKeyError::OtherPublic(algorithm));
            }
        }
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            return Err(PrivateKeyError::NoRawForm(algorithm));
        }
    }
    let key = PrivateKey { algorithm, bytes: SecretBytes::copy_from(bytes) };
    Ok(ParsedPrivateKey { key, claimed_public })
}

/// The one public half of up to two that a file claims.
///
/// # Errors
/// When there are two and they differ.
pub(crate) fn agreed(
    algorithm: Algorithm,
    one: Option<PublicKey>,
    other: Option<PublicKey>,
) -> Result<Option<PublicKey>, PrivateKeyError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(PrivateKeyError::OtherPublic(algorithm)),
        (Some(public), Some(_) | None) | (None, Some(public)) => Ok(Some(public)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(byte: u8) -> PublicKey {
        PublicKey::new(Algorithm::Ed25519, &[byte; 32]).unwrap()
    }

    #[test]
    fn two_claims_must_be_one() {
        let both = |one, other| agreed(Algorithm::Ed25519, one, other);
        assert_eq!(both(None, None), Ok(None));
        assert_eq!(both(Some(public(2)), None), Ok(Some(public(2))));
        assert_eq!(both(None, Some(public(2))), Ok(Some(public(2))));
        assert_eq!(both(Some(public(2)), Some(public(2))), Ok(Some(public(2))));
        let error = Err(PrivateKeyError::OtherPublic(Algorithm::Ed25519));
        assert_eq!(both(Some(public(2)), Some(public(3))), error);
    }

    #[test]
    fn other_lengths_are_refused() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256] {
            for found in [0, 31, 33, 64] {
                let error = take(algorithm, &vec![1; found], None).unwrap_err();
                assert_eq!(error, PrivateKeyError::Length { algorithm, expected: 32, found });
            }
        }
    }

    #[test]
    fn rsa_key_has_no_scalar() {
        let error = take(Algorithm::Rsa2048, &[1; 32], None).unwrap_err();
        assert_eq!(error, PrivateKeyError::NoRawForm(Algorithm::Rsa2048));
    }
}
