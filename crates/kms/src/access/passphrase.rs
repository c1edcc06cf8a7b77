//! Passphrases: which may be chosen, and how one is checked.
//!
//! What is stored is a salt, the parameters, and 32 bytes derived from the stretched passphrase.
//! These open nothing: the keys of the keystore and of the second factor are derived beside them.
//! A passphrase is bytes; nothing is trimmed, folded or normalised.

use std::fmt;

use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::access::AccessFault;
use crate::access::Argon2Params;
use crate::access::Stretched;
use crate::access::Stretcher;
use crate::access::common_passphrases::COMMON_PASSPHRASES;
use crate::access::fault::random;
use crate::access::hex_array;

/// Fewest and most bytes of a passphrase.
const MIN_BYTES: usize = 8;
const MAX_BYTES: usize = 1024;

/// Why a passphrase may not be chosen. There are no rules about kinds of characters.
///
/// SPEC: OWASP ASVS 5.0 sections 6.2.1, 6.2.4, 6.2.5, 6.2.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassphrase {
    /// Too short or too long.
    #[error("a passphrase has 8 to 1024 bytes, not {0}; several words in a row are good")]
    Length(usize),
    /// Everybody's first guess.
    #[error("this passphrase is among the most common ones; choose another")]
    Common,
}

/// Whether `passphrase` may be chosen.
///
/// # Errors
///
/// [`WeakPassphrase`].
pub fn check_rules(passphrase: &SecretBytes) -> Result<(), WeakPassphrase> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&passphrase.len()) {
        return Err(WeakPassphrase::Length(passphrase.len()));
    }
    let chosen = passphrase.expose();
    let is_common =
        COMMON_PASSPHRASES.iter().any(|common| chosen.eq_ignore_ascii_case(common.as_bytes()));
    if is_common { Err(WeakPassphrase::Common) } else { Ok(()) }
}

/// Why no credential was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// The passphrase may not be chosen.
    #[error(transparent)]
    Weak(#[from] WeakPassphrase),
    /// The machine.
    #[error(transparent)]
    Fault(#[from] AccessFault),
}

/// What a passphrase is checked against, as stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseCredential {
    #[serde(with = "hex_array")]
    salt: [u8; 16],
    params: Argon2Params,
    #[serde(with = "hex_array")]
    verifier: [u8; 32],
}

impl PassphraseCredential {
    /// Makes the credential of a passphrase that was just chosen; the [`Stretched`] beside it seals
    /// what belongs to the same principal.
    ///
    /// # Errors
    ///
    /// [`PassphraseError`].
    pub fn create(
        stretcher: &Stretcher,
        passphrase: &SecretBytes,
    ) -> Result<(Self, Stretched), PassphraseError> {
        check_rules(passphrase)?;
        let (salt, params) = (random()?, stretcher.params());
        let stretched = stretcher.stretch(passphrase, &salt, params)?;
        let mut verifier = [0; 32];
        verifier.copy_from_slice(stretched.verifier().expose());
        Ok((Self { salt, params, verifier }, stretched))
    }

    /// A credential no passphrase fits, at the cost of a real one: for those who do not exist.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Randomness`].
    pub(in crate::access) fn dummy(stretcher: &Stretcher) -> Result<Self, AccessFault> {
        Ok(Self { salt: random()?, params: stretcher.params(), verifier: random()? })
    }

    /// Stretches `passphrase` and compares in constant time; `None` if it is another one.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Downgraded`], [`AccessFault::Memory`].
    pub(in crate::access) fn check(
        &self,
        stretcher: &Stretcher,
        passphrase: &SecretBytes,
    ) -> Result<Option<Stretched>, AccessFault> {
        if passphrase.len() > MAX_BYTES {
            return Ok(None); // nobody's: none this long can have been chosen
        }
        let stretched = stretcher.stretch(passphrase, &self.salt, self.params)?;
        let same = bool::from(stretched.verifier().expose().ct_eq(&self.verifier));
        Ok(same.then_some(stretched))
    }
}

impl fmt::Debug for PassphraseCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PassphraseCredential({})", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::copy_from(text.as_bytes())
    }

    #[test]
    fn passphrases_are_8_to_1024_bytes_and_not_common() {
        for (bad, why) in [
            ("1234567".to_owned(), WeakPassphrase::Length(7)),
            ("x".repeat(1025), WeakPassphrase::Length(1025)),
            ("PassWord1".to_owned(), WeakPassphrase::Common),
        ] {
            assert_eq!(check_rules(&secret(&bad)), Err(why));
        }
        for good in ["passwort1 ", "        ", &"x".repeat(1024), "пароль"] {
            assert_eq!(check_rules(&secret(good)), Ok(()));
        }
    }

    #[test]
    fn only_the_very_passphrase_opens_its_credential() {
        let stretcher = Stretcher::quick();
        let chosen = secret("correct horse");
        let (credential, made) = PassphraseCredential::create(&stretcher, &chosen).unwrap();
        let opened = credential.check(&stretcher, &chosen).unwrap().unwrap();
        assert_eq!(opened.unseal_key(), made.unseal_key());
        for wrong in ["correct horsf", "correct horse ", "Correct horse", "", &"x".repeat(2000)] {
            assert!(credential.check(&stretcher, &secret(wrong)).unwrap().is_none());
        }
    }

    #[test]
    fn stored_credential_shows_no_key_and_takes_no_other_fields() {
        let stretcher = Stretcher::quick();
        let (credential, stretched) =
            PassphraseCredential::create(&stretcher, &secret("correct horse")).unwrap();
        let json = serde_json::to_string(&credential).unwrap();
        let shown = format!("{json}{credential:?}{stretched:?}");
        for key in [stretched.unseal_key(), stretched.totp_key()] {
            assert!(!shown.contains(&hex::encode(key.expose())));
        }
        assert_eq!(serde_json::from_str::<PassphraseCredential>(&json).unwrap(), credential);
        let more = json.replacen('{', r#"{"x":1,"#, 1);
        assert!(serde_json::from_str::<PassphraseCredential>(&more).is_err());
    }
}
