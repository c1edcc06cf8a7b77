//! Private keys as bare bytes or hex digits.

use kms_secret::SecretBytes;

use crate::algorithm::Algorithm;
use crate::private::ParsedPrivateKey;
use crate::private::PrivateKeyError;
use crate::private::scalar;
use crate::public::PublicKey;

/// Reads 32 bytes or 64 hex digits, for Ed25519 also 64 bytes or 128 hex digits.
///
/// A file of nothing but hex digits is always read as text: 32 random bytes that all happen to be
/// hex digits are met once in 10^34, a key cut short in the copying often.
pub(crate) fn parse(
    file: &[u8],
    hint: Option<Algorithm>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let algorithm = hint.ok_or(PrivateKeyError::AlgorithmNeeded)?;
    if algorithm.is_rsa() {
        return Err(PrivateKeyError::NoRawForm(algorithm));
    }
    let wrong = PrivateKeyError::RawLength(file.len());
    let decoded = match digits(file) {
        Some(digits) => Some(SecretBytes::from_hex(digits).ok_or(wrong.clone())?),
        None => None,
    };
    let bytes = decoded.as_ref().map_or(file, SecretBytes::expose);
    match (algorithm, bytes.len()) {
        (_, 32) => scalar::take(algorithm, bytes, None),
        (Algorithm::Ed25519, 64) => {
            let (seed, public) = bytes.split_at(32);
            scalar::take(algorithm, seed, Some(PublicKey::validated(algorithm, public)?))
        }
        _ => Err(wrong),
    }
}

/// The hex digits of a text of nothing else, without `0x` before and one line end after.
fn digits(file: &[u8]) -> Option<&[u8]> {
    let line = file.strip_suffix(b"\n").unwrap_or(file);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let digits = line.strip_prefix(b"0x").or(line.strip_prefix(b"0X")).unwrap_or(line);
    digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)
}
