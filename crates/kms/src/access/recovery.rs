//! Recovery codes: ten one-time codes for whoever has lost the second factor.
//!
//! Each is 80 random bits, shown once as `XXXX-XXXX-XXXX-XXXX` (base32) and stored as its SHA-256:
//! with that much entropy no stretching is needed. A code that was used is gone.

use std::fmt;

use aws_lc_rs::digest;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use serde::Deserialize;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::access::AccessFault;
use crate::access::base32;
use crate::access::hex_array;

/// How many codes an enrolment gives.
const CODES: usize = 10;
/// Letters of a code, without the dashes.
const LETTERS: usize = 16;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct CodeHash(#[serde(with = "hex_array")] [u8; 32]);

/// The codes that are left, as stored: hashes only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecoveryCodes(Vec<CodeHash>);

impl RecoveryCodes {
    /// Draws ten codes; the second half of the pair is shown to the person, once.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Randomness`].
    pub(in crate::access) fn draw() -> Result<(Self, Vec<SecretBytes>), AccessFault> {
        let shown: Vec<_> = (0..CODES).map(|_| draw_one()).collect::<Result<_, _>>()?;
        let hashes = shown.iter().filter_map(letters_of).map(|letters| hash(&letters)).collect();
        Ok((Self(hashes), shown))
    }

    /// What is left after `code` was used; `None` if it is none of these. Letter case and dashes do
    /// not count: a code has one hash however it is typed.
    pub(in crate::access) fn without(&self, code: &SecretBytes) -> Option<Self> {
        let used = hash(&letters_of(code)?);
        let is_other = |left: &&CodeHash| !bool::from(left.0.ct_eq(&used.0));
        let left: Vec<CodeHash> = self.0.iter().filter(is_other).cloned().collect();
        (left.len() < self.0.len()).then_some(Self(left))
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryCodes({} left)", self.left())
    }
}

/// Draws one code and writes it with dashes.
fn draw_one() -> Result<SecretBytes, AccessFault> {
    let mut bits = SecretBytes::zeroed(LETTERS * 5 / 8);
    aws_lc_rs::rand::fill(bits.expose_mut()).map_err(|_| AccessFault::Randomness)?;
    let letters = base32::encode(&bits);
    let groups = letters.expose().chunks(4);
    Ok(SecretBytes::make(LETTERS + 3, |out| {
        for (space, group) in out.chunks_mut(5).zip(groups) {
            let (place, dash) = space.split_at_mut(group.len());
            place.copy_from_slice(group);
            dash.fill(b'-');
        }
    }))
}

/// The sixteen letters of a typed code, upper case; `None` if it does not have just as many.
fn letters_of(code: &SecretBytes) -> Option<SecretBytes> {
    let mut letters = SecretBytes::zeroed(LETTERS);
    let mut free = letters.expose_mut().iter_mut();
    for typed in code.expose().iter().filter(|byte| **byte != b'-') {
        *free.next()? = typed.to_ascii_uppercase();
    }
    free.next().is_none().then_some(letters)
}

fn hash(letters: &SecretBytes) -> CodeHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, letters.expose()).as_ref());
    burn_stack();
    CodeHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_code_is_80_bits_in_four_groups() {
        let (codes, shown) = RecoveryCodes::draw().unwrap();
        assert_eq!((codes.left(), shown.len()), (10, 10));
        for code in &shown {
            let text = std::str::from_utf8(code.expose()).unwrap();
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
        }
    }

    #[test]
    fn recovery_code_is_used_once_however_it_is_typed() {
        let (codes, shown) = RecoveryCodes::draw().unwrap();
        let left = codes.without(&shown[3]).unwrap();
        assert_eq!(left.left(), 9);
        assert!(left.without(&shown[3]).is_none());
        let typed = shown[3].expose().to_ascii_lowercase();
        assert!(left.without(&SecretBytes::copy_from(&typed)).is_none());
        let typed: Vec<u8> = shown[4].expose().iter().copied().filter(|b| *b != b'-').collect();
        let typed = SecretBytes::copy_from(&typed.to_ascii_lowercase());
        assert_eq!(left.without(&typed).unwrap().left(), 8);
    }

    #[test]
    fn other_texts_are_no_recovery_codes() {
        let (codes, _) = RecoveryCodes::draw().unwrap();
        for wrong in ["", "----", "AAAA-AAAA-AAAA-AAAA", "AAAA-AAAA-AAAA-AAAAA", "\0"] {
            assert!(codes.without(&SecretBytes::copy_from(wrong.as_bytes())).is_none());
        }
    }

    #[test]
    fn stored_recovery_codes_are_hashes() {
        let (codes, shown) = RecoveryCodes::draw().unwrap();
        let json = serde_json::to_string(&codes).unwrap();
        assert!(shown.iter().all(|code| !json.contains(&hex::encode(code.expose()))));
        assert_eq!(serde_json::from_str::<RecoveryCodes>(&json).unwrap(), codes);
    }
}
