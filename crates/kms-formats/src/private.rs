//! Private keys in the one form this product keeps them in, and the key files they come in.
//!
//! Every byte of a private key stays in [`SecretBytes`]: PEM and hex are decoded there, DER is read
//! in place by borrowing decoders (`pkcs8`, `sec1` and `pkcs1` copy nothing on that path; their
//! `SecretDocument`s, which would, are not used), and written there. Errors tell where and what is
//! wrong, never what a secret field holds. Nothing here computes a public key of Ed25519, P-256 or RSA.

mod container;
mod encode;
mod error;
mod privval;
mod raw;
mod scalar;

pub use error::PrivateKeyError;
pub use privval::PrivvalError;

use std::fmt;
use std::str::FromStr;

use kms_secret::SecretBytes;
use kms_secret::burn_stack;

use crate::algorithm::Algorithm;
use crate::public::PublicKey;

/// The largest private key file that is read, in bytes: 16 KiB. RSA-4096 in PEM has 3.3 KiB.
pub const PRIVATE_KEY_FILE_LIMIT: usize = 16 * 1024;

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

/// A private key as it stood in a file.
///
/// # Security
/// The caller MUST compute the public key from `key` and compare it with `claimed_public` where
/// there is one, and refuse the file when they differ: a damaged or forged file is told from a good
/// one by nothing else. (For secp256k1 it has been done here.) An RSA key's numbers are not checked
/// against each other here either: whoever loads it for use MUST.
#[derive(Debug)]
pub struct ParsedPrivateKey {
    /// The private key.
    pub key: PrivateKey,
    /// The public half that the file carries: the `publicKey` of PKCS#8 v2 or of SEC 1, the second
    /// half of Ed25519's 64 bytes, the `pub_key` of a privval file, an RSA key's modulus and
    /// exponent. `None` when the file carries none.
    pub claimed_public: Option<PublicKey>,
}

/// The forms of private key files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivateFormat {
    /// What OpenSSL writes, told apart by itself: PKCS#8 version 1 or 2 (RFC 5958, RFC 8410), SEC 1
    /// (RFC 5915) or PKCS#1 (RFC 8017), each in DER or PEM.
    Pkcs8,
    /// The 32 bytes of the table at [`PrivateKey`], or for Ed25519 also 64, seed and public key;
    /// as they are, or as hex digits with or without `0x` before and one line end after. Not for RSA.
    Raw,
    /// CometBFT's `priv_validator_key.json`.
    Privval,
}

/// A text that names no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key file format; there are pkcs8, raw and privval")]
pub struct UnknownPrivateFormat(String);

impl PrivateKey {
    /// Reads a private key file of at most [`PRIVATE_KEY_FILE_LIMIT`] bytes.
    ///
    /// With `hint` the key must be of that algorithm. [`PrivateFormat::Raw`] needs it, and so does a
    /// SEC 1 file that does not name its curve; the others tell the algorithm themselves.
    ///
    /// # Errors
    /// When the file is anything else than one unencrypted private key of a supported algorithm in
    /// the form named, or of another algorithm than `hint`.
    pub fn parse(
        bytes: &[u8],
        format: PrivateFormat,
        hint: Option<Algorithm>,
    ) -> Result<ParsedPrivateKey, PrivateKeyError> {
        if bytes.len() > PRIVATE_KEY_FILE_LIMIT {
            return Err(PrivateKeyError::TooLong(bytes.len()));
        }
        let parsed = match format {
            PrivateFormat::Pkcs8 => container::parse(bytes, hint),
            PrivateFormat::Raw => raw::parse(bytes, hint),
            PrivateFormat::Privval => privval::parse(bytes),
        };
        burn_stack();
        let parsed = parsed?;
        match (hint, parsed.key.algorithm) {
            (Some(expected), found) if expected != found => {
                Err(PrivateKeyError::OtherAlgorithm { expected, found })
            }
            (Some(_) | None, _) => Ok(parsed),
        }
    }
}

impl PrivateFormat {
    /// The name used in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkcs8 => "pkcs8",
            Self::Raw => "raw",
            Self::Privval => "privval",
        }
    }
}

impl fmt::Display for PrivateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PrivateFormat {
    type Err = UnknownPrivateFormat;

    fn from_str(text: &str) -> Result<Self, UnknownPrivateFormat> {
        match text {
            "pkcs8" => Ok(Self::Pkcs8),
            "raw" => Ok(Self::Raw),
            "privval" => Ok(Self::Privval),
            _ => Err(UnknownPrivateFormat(text.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_formats_are_read_back() {
        for format in [PrivateFormat::Pkcs8, PrivateFormat::Raw, PrivateFormat::Privval] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("pem".parse::<PrivateFormat>().is_err());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let parsed = PrivateKey::parse(&[0xab; 32], PrivateFormat::Raw, Some(Algorithm::Ed25519));
        let text = format!("{parsed:?}");
        assert!(text.contains("Ed25519") && !text.contains("abab") && !text.contains("171"));
    }
}
