//! Which RSA keys are taken: a modulus of exactly 2048 or 4096 bits, the exponent 65537.

use der::Decode;
use der::Encode;
use der::asn1::UintRef;
use pkcs1::RsaPublicKeyRef;

use crate::algorithm::Algorithm;

/// 65537, big-endian.
const EXPONENT: &[u8] = &[1, 0, 1];

/// An RSA key that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedRsa {
    /// Another size.
    #[error("the RSA modulus has {0} bits; 2048 and 4096 are supported")]
    Modulus(usize),
    /// Another public exponent.
    #[error("the RSA public exponent is another than 65537, which is the only one supported")]
    Exponent,
    /// More than two primes (RFC 8017 appendix A.1.2, version 1).
    #[error("the RSA key has more than two primes, which is not supported")]
    MultiPrime,
    /// No RSAPublicKey structure.
    #[error("these bytes are no DER of RSAPublicKey (RFC 8017 appendix A.1.1)")]
    Malformed,
}

/// The algorithm of an RSA public key that is taken.
///
/// # Errors
/// When modulus or exponent are others than the supported.
pub(crate) fn algorithm(key: &RsaPublicKeyRef<'_>) -> Result<Algorithm, UnsupportedRsa> {
    if key.public_exponent.as_bytes() != EXPONENT {
        return Err(UnsupportedRsa::Exponent);
    }
    match bits(key.modulus) {
        2048 => Ok(Algorithm::Rsa2048),
        4096 => Ok(Algorithm::Rsa4096),
        other => Err(UnsupportedRsa::Modulus(other)),
    }
}

/// Reads the DER of `RSAPublicKey`.
///
/// # Errors
/// When it is malformed, or a key that is not taken.
pub(crate) fn read(der: &[u8]) -> Result<(Algorithm, RsaPublicKeyRef<'_>), UnsupportedRsa> {
    let key = RsaPublicKeyRef::from_der(der).map_err(|_| UnsupportedRsa::Malformed)?;
    Ok((algorithm(&key)?, key))
}

/// The DER of `RSAPublicKey`.
///
/// # Errors
/// When the key is too long for DER.
pub(crate) fn write(key: &RsaPublicKeyRef<'_>) -> Result<Vec<u8>, UnsupportedRsa> {
    key.to_der().map_err(|_| UnsupportedRsa::Malformed)
}

fn bits(number: UintRef<'_>) -> usize {
    match number.as_bytes() {
        [first, rest @ ..] => {
            8 * rest.len() + usize::try_from(8 - first.leading_zeros()).unwrap_or(0)
        }
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DER of a key with a modulus of `length` bytes that begins with `first`.
    fn key(first: u8, length: usize, exponent: &[u8]) -> Vec<u8> {
        let modulus = [&[first][..], &vec![0xff; length - 1]].concat();
        let modulus = UintRef::new(&modulus).unwrap();
        let public_exponent = UintRef::new(exponent).unwrap();
        write(&RsaPublicKeyRef { modulus, public_exponent }).unwrap()
    }

    fn found(der: &[u8]) -> Result<Algorithm, UnsupportedRsa> {
        read(der).map(|(algorithm, _)| algorithm)
    }

    #[test]
    fn modulus_is_measured_in_bits() {
        assert_eq!(found(&key(0x80, 256, EXPONENT)), Ok(Algorithm::Rsa2048));
        assert_eq!(found(&key(0x80, 512, EXPONENT)), Ok(Algorithm::Rsa4096));
        for (first, length, bits) in
            [(0x7f, 256, 2047), (0x01, 257, 2049), (0x40, 512, 4095), (0x80, 384, 3072), (1, 1, 1)]
        {
            let error = Err(UnsupportedRsa::Modulus(bits));
            assert_eq!(found(&key(first, length, EXPONENT)), error);
        }
    }

    #[test]
    fn only_65537_is_taken_as_exponent() {
        for exponent in [&[1][..], &[3], &[1, 0, 0], &[1, 0, 3], &[1, 0, 1, 0]] {
            assert_eq!(found(&key(0x80, 256, exponent)), Err(UnsupportedRsa::Exponent));
        }
    }

    #[test]
    fn other_bytes_are_malformed() {
        let mut der = key(0x80, 256, EXPONENT);
        der.push(0);
        assert_eq!(found(&der), Err(UnsupportedRsa::Malformed));
        assert_eq!(found(&[]), Err(UnsupportedRsa::Malformed));
        // A negative modulus: the zero before the first bit is missing.
        let negative = [0x30, 6, 2, 1, 0x80, 2, 1, 3];
        assert_eq!(found(&negative), Err(UnsupportedRsa::Malformed));
    }
}
