//! The second factor: time-based one-time passwords.
//!
//! ```text
//! step = unix seconds / 30                                      RFC 6238 section 4.2
//! code = truncate(HMAC-SHA-1(seed, step)) mod 10^6              RFC 4226 section 5.3
//! ```
//!
//! SHA-1 and six digits because that is what authenticator apps implement. A code of the step
//! before or after is taken too, for clocks that differ; so a code lives up to 90 seconds, and is
//! good once: an accepted step and all before it are spent.
//!
//! The seed lies sealed (AES-256-GCM) under a key derived from its owner's passphrase, so every
//! check needs the passphrase as well, and whoever reads the store has neither factor. Never
//! decides how many attempts there are ([`crate::access::Lockout`] does).

use std::fmt;

use aws_lc_rs::aead;
use aws_lc_rs::hmac;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use serde::Deserialize;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::access::AccessFault;
use crate::access::PrincipalId;
use crate::access::PrincipalName;
use crate::access::RecoveryCodes;
use crate::access::Stretched;
use crate::access::base32;
use crate::access::fault::random;
use crate::access::hex_array;
use crate::time::Timestamp;

/// Seconds in a step.
const STEP_S: u64 = 30;
/// Digits of a code.
const DIGITS: u32 = 6;
/// Bytes of a seed: one SHA-1 output (RFC 4226 section 4, R6).
const SEED: usize = 20;
/// Bytes of a sealed seed: nonce, ciphertext, tag.
const SEALED: usize = 12 + SEED + 16;

/// A second factor as stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpCredential {
    #[serde(with = "hex_array")]
    sealed_seed: [u8; SEALED],
    /// The newest step a code was accepted for.
    last_step: Option<u64>,
    enrolled_at: Timestamp,
    recovery_codes: RecoveryCodes,
}

/// What an enrolment gives: one part to store, two to show to the person, once.
#[derive(Debug)]
pub struct Enrolment {
    /// To store.
    pub credential: TotpCredential,
    /// The `otpauth://totp/…` address an authenticator app reads, as a QR code or typed.
    pub uri: SecretBytes,
    /// Ten codes of the form `XXXX-XXXX-XXXX-XXXX`.
    pub recovery_codes: Vec<SecretBytes>,
}

/// Why a code was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::access) enum CodeError {
    #[error("the code is wrong")]
    Wrong,
    #[error("the code, or a later one, was used already")]
    Spent,
    #[error(transparent)]
    Fault(#[from] AccessFault),
}

impl TotpCredential {
    /// Draws a seed and recovery codes for the principal `id`, called `name`.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Randomness`].
    pub fn enroll(
        (id, name): (PrincipalId, &PrincipalName),
        stretched: &Stretched,
        now: Timestamp,
    ) -> Result<Enrolment, AccessFault> {
        let mut seed = SecretBytes::zeroed(SEED);
        aws_lc_rs::rand::fill(seed.expose_mut()).map_err(|_| AccessFault::Randomness)?;
        let uri = provisioning_uri(name, &seed);
        let (hashes, recovery_codes) = RecoveryCodes::draw()?;
        let credential = Self {
            sealed_seed: seal(seed, id, stretched)?,
            last_step: None,
            enrolled_at: now,
            recovery_codes: hashes,
        };
        Ok(Enrolment { credential, uri, recovery_codes })
    }

    /// How many recovery codes are left.
    pub fn recovery_codes_left(&self) -> usize {
        self.recovery_codes.left()
    }

    /// When it was enrolled.
    pub fn enrolled_at(&self) -> Timestamp {
        self.enrolled_at
    }

    /// Takes a code of six digits, or else a recovery code, and gives the credential as it is to be
    /// stored *before* anything is granted for it.
    pub(in crate::access) fn accept(
        &self,
        (owner, stretched): (PrincipalId, &Stretched),
        code: &SecretBytes,
        now: Timestamp,
    ) -> Result<Self, CodeError> {
        let Some(typed) = six_digits(code.expose()) else {
            let left = self.recovery_codes.without(code).ok_or(CodeError::Wrong)?;
            return Ok(Self { recovery_codes: left, ..self.clone() });
        };
        let seed = open(&self.sealed_seed, owner, stretched)?;
        let step = matching_step(&seed, typed, now).ok_or(CodeError::Wrong)?;
        // SPEC: RFC 6238 section 5.2, one-time use.
        if self.last_step.is_some_and(|last| step <= last) {
            return Err(CodeError::Spent);
        }
        Ok(Self { last_step: Some(step), ..self.clone() })
    }

    /// The same factor, its seed sealed for a new passphrase.
    ///
    /// # Errors
    ///
    /// [`AccessFault::SealedSeed`] if `old` does not open it.
    pub(in crate::access) fn reseal(
        &self,
        owner: PrincipalId,
        (old, new): (&Stretched, &Stretched),
    ) -> Result<Self, AccessFault> {
        let seed = open(&self.sealed_seed, owner, old)?;
        Ok(Self { sealed_seed: seal(seed, owner, new)?, ..self.clone() })
    }
}

impl fmt::Debug for TotpCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TotpCredential(enrolled {}, {:?})", self.enrolled_at, self.recovery_codes)
    }
}

/// The value of exactly six ASCII digits; any other sign, also a space, makes it no code.
fn six_digits(typed: &[u8]) -> Option<u32> {
    let digit = |sum: u32, byte: &u8| {
        byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte.wrapping_sub(b'0')))
    };
    if typed.len() != DIGITS as usize {
        return None;
    }
    typed.iter().try_fold(0, digit)
}

/// The step, of the three around `now`, whose code is `typed`; the newest if several are.
fn matching_step(seed: &SecretBytes, typed: u32, now: Timestamp) -> Option<u64> {
    let current = now.unix_seconds() / STEP_S;
    let mut found = None;
    for step in current.saturating_sub(1)..=current.saturating_add(1) {
        if bool::from(hotp(seed, step, DIGITS).ct_eq(&typed)) {
            found = Some(step);
        }
    }
    burn_stack();
    found
}

/// SPEC: RFC 4226 section 5.3.
fn hotp(seed: &SecretBytes, counter: u64, digits: u32) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed.expose());
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let offset = usize::from(tag.as_ref().last().copied().unwrap_or(0) & 15);
    let chosen = tag.as_ref().iter().skip(offset).take(4);
    let number = chosen.fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff;
    number % 10_u32.pow(digits)
}

/// SPEC: the key URI format of authenticator apps. The name is percent-encoded.
fn provisioning_uri(name: &PrincipalName, seed: &SecretBytes) -> SecretBytes {
    let name = name.as_str().replace('+', "%2B").replace('@', "%40").replace(' ', "%20");
    let before = format!("otpauth://totp/VirtEngine%20KMS:{name}?secret=");
    let after = "&issuer=VirtEngine%20KMS&algorithm=SHA1&digits=6&period=30";
    let secret = base32::encode(seed);
    SecretBytes::make(before.len() + secret.len() + after.len(), |out| {
        let (first, rest) = out.split_at_mut(before.len());
        let (second, third) = rest.split_at_mut(secret.len());
        first.copy_from_slice(before.as_bytes());
        second.copy_from_slice(secret.expose());
        third.copy_from_slice(after.as_bytes());
    })
}

/// Seals a seed for its owner: whose it is stands in the authenticated data.
fn seal(
    mut seed: SecretBytes,
    owner: PrincipalId,
    stretched: &Stretched,
) -> Result<[u8; SEALED], AccessFault> {
    let nonce: [u8; 12] = random()?;
    let tag = cipher(stretched)?
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(authenticated_data(owner)),
            seed.expose_mut(),
        )
        .map_err(|_| AccessFault::Primitive("aes-256-gcm"))?;
    burn_stack();
    let mut sealed = [0; SEALED];
    let (first, rest) = sealed.split_at_mut(nonce.len());
    let (second, third) = rest.split_at_mut(SEED);
    first.copy_from_slice(&nonce);
    second.copy_from_slice(seed.expose()); // the ciphertext by now
    third.copy_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open(
    sealed: &[u8; SEALED],
    owner: PrincipalId,
    stretched: &Stretched,
) -> Result<SecretBytes, AccessFault> {
    let damaged = || AccessFault::SealedSeed(owner);
    let (nonce, rest) = sealed.split_first_chunk::<12>().ok_or_else(damaged)?;
    let mut seed = SecretBytes::copy_from(rest);
    let opened = cipher(stretched)?.open_in_place(
        aead::Nonce::assume_unique_for_key(*nonce),
        aead::Aad::from(authenticated_data(owner)),
        seed.expose_mut(),
    );
    burn_stack();
    opened.map_err(|_| damaged())?;
    seed.truncate(SEED);
    Ok(seed)
}

fn cipher(stretched: &Stretched) -> Result<aead::LessSafeKey, AccessFault> {
    aead::UnboundKey::new(&aead::AES_256_GCM, stretched.totp_key().expose())
        .map(aead::LessSafeKey::new)
        .map_err(|_| AccessFault::Primitive("aes-256-gcm"))
}

/// Domain and owner, 30 bytes.
fn authenticated_data(owner: PrincipalId) -> [u8; 30] {
    let mut data = *b"virtengine-kms v1 totp\0\0\0\0\0\0\0\0";
    let (_, id) = data.split_at_mut(22);
    id.copy_from_slice(owner.as_bytes());
    data
}

/// The code an authenticator shows at `now`.
#[cfg(test)]
pub(in crate::access) fn code_for_test(
    credential: &TotpCredential,
    (owner, stretched): (PrincipalId, &Stretched),
    now: Timestamp,
) -> SecretBytes {
    let seed = open(&credential.sealed_seed, owner, stretched).expect("the owner's key opens it");
    let code = hotp(&seed, now.unix_seconds() / STEP_S, DIGITS);
    SecretBytes::copy_from(format!("{code:06}").as_bytes())
}

#[cfg(test)]
mod tests;
