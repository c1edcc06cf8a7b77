//! Why a private key file is not read.

use crate::algorithm::Algorithm;
use crate::identifier::UnsupportedKind;
use crate::pem::PemError;
use crate::private::PrivvalError;
use crate::public::InvalidPublicKey;
use crate::rsa::UnsupportedRsa;

/// A private key file that is not read. No message holds a byte of a secret field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Longer than any private key.
    #[error("the key file has {0} bytes, at most 16384 are read")]
    TooLong(usize),
    /// Neither PEM nor DER of a private key.
    #[error("the file is no private key in PEM or DER (PKCS#8, SEC 1 or PKCS#1)")]
    Unrecognised,
    /// Bad PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A PEM block of something else.
    #[error(
        "the PEM block is `{0}`, expected `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`"
    )]
    Label(String),
    /// More blocks than one key has.
    #[error("the file has {0} PEM blocks, expected 1")]
    Blocks(usize),
    /// An encrypted key.
    #[error(
        "the key file is encrypted; decrypt it first, with `openssl pkcs8 -in FILE -nocrypt -topk8`"
    )]
    Encrypted,
    /// A public key.
    #[error("the file holds a public key, expected a private key")]
    Public,
    /// DER that is not the structure it should be.
    #[error("the key file is no valid DER of {0}")]
    Malformed(&'static str),
    /// A kind of key this product has no use for.
    #[error(transparent)]
    Kind(#[from] UnsupportedKind),
    /// An RSA key this product does not take.
    #[error(transparent)]
    Rsa(#[from] UnsupportedRsa),
    /// A private key of another length.
    #[error("the private key has {found} bytes, expected {expected} for {algorithm}")]
    Length {
        /// The algorithm.
        algorithm: Algorithm,
        /// Its length.
        expected: usize,
        /// The file's.
        found: usize,
    },
    /// A scalar that is zero, or not below the order of the curve.
    #[error("the private key is not between 1 and the order of {0}")]
    Scalar(Algorithm),
    /// A public half that is no public key.
    #[error("the file's public half: {0}")]
    ClaimedPublic(#[from] InvalidPublicKey),
    /// A public half that does not belong to the private key, or two that differ.
    #[error("the file's public half does not belong to its {0} private key")]
    OtherPublic(Algorithm),
    /// Two names of curves that differ.
    #[error("the file names two curves, {0} and {1}")]
    Curves(Algorithm, Algorithm),
    /// Another algorithm than asked for.
    #[error("the key is {found}, expected {expected}")]
    OtherAlgorithm {
        /// What was asked for.
        expected: Algorithm,
        /// What the file holds.
        found: Algorithm,
    },
    /// The file does not tell its algorithm.
    #[error("the file does not tell its algorithm; name it with --algo")]
    AlgorithmNeeded,
    /// An algorithm whose keys have no raw form.
    #[error("{0} keys have no raw form; use pkcs8")]
    NoRawForm(Algorithm),
    /// No raw key: the length is wrong, or it is text that is no complete key in hex.
    #[error(
        "the raw key has {0} bytes; expected 32, or 64 hex digits (for ed25519 also 64 bytes or 128 hex digits)"
    )]
    RawLength(usize),
    /// A privval file with an error.
    #[error(transparent)]
    Privval(#[from] PrivvalError),
}
