//! Base32 without padding (RFC 4648 section 6), secret bytes to secret bytes.

use kms_secret::SecretBytes;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Writes `bytes` as upper-case base32 letters: 8 for every 5 bytes, without padding.
pub(in crate::access) fn encode(bytes: &SecretBytes) -> SecretBytes {
    let letters = (bytes.len() * 8).div_ceil(5);
    SecretBytes::make(letters, |out| {
        for (index, letter) in out.iter_mut().enumerate() {
            *letter = letter_at(bytes.expose(), index * 5);
        }
    })
}

/// The letter of the five bits that begin at `bit`; past the end bits are zero.
fn letter_at(bytes: &[u8], bit: usize) -> u8 {
    let byte = |index: usize| u16::from(bytes.get(index).copied().unwrap_or(0));
    let window = byte(bit / 8) << 8 | byte(bit / 8 + 1);
    let value = (window >> (11 - bit % 8)) & 31;
    ALPHABET.get(usize::from(value)).copied().unwrap_or(b'A')
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648 section 10, without the padding.
    #[test]
    fn base32_agrees_with_the_vectors_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            let bytes = SecretBytes::copy_from(plain.as_bytes());
            assert_eq!(encode(&bytes).expose(), encoded.as_bytes());
        }
    }
}
