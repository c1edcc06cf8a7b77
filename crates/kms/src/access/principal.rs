//! Principals: who may call, under which name, with which roles over which keys.
//!
//! Values only. Personal names live here and nowhere else: records carry the id, so that erasing a
//! person's name touches no record.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::access::AccessFault;
use crate::access::Attestation;
use crate::access::PassphraseCredential;
use crate::access::RoleName;
use crate::access::Scope;
use crate::access::TotpCredential;
use crate::access::fault::random;
use crate::key::InvalidLabel;
use crate::key::Label;
use crate::time::Timestamp;

/// Names one principal for ever; drawn at random (64 bits), says nothing about the person.
///
/// Written as `p-` and 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId([u8; 8]);

impl PrincipalId {
    /// A fresh id.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Randomness`].
    pub fn random() -> Result<Self, AccessFault> {
        random().map(Self)
    }

    /// An id of these 8 bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p-{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no principal's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a principal's id is `p-` and 16 lower-case hex digits")]
pub struct InvalidPrincipalId;

impl FromStr for PrincipalId {
    type Err = InvalidPrincipalId;

    fn from_str(text: &str) -> Result<Self, InvalidPrincipalId> {
        let digits = text.strip_prefix("p-").ok_or(InvalidPrincipalId)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidPrincipalId); // one principal has one spelling
        }
        let mut bytes = [0; 8];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidPrincipalId)?;
        Ok(Self(bytes))
    }
}

impl Serialize for PrincipalId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PrincipalId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What people call a principal: spelled like a key's [`Label`], and unlike any id. Two names that
/// differ in letter case only are the same name.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PrincipalName(Label);

/// Why a text is no principal's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrincipalName {
    /// Its spelling.
    #[error(transparent)]
    Spelling(#[from] InvalidLabel),
    /// Would be taken for a principal's id.
    #[error("a name must not look like a principal's id")]
    LooksLikePrincipalId,
}

impl PrincipalName {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The form under which two names count as the same.
    pub fn folded(&self) -> String {
        self.0.folded()
    }
}

impl FromStr for PrincipalName {
    type Err = InvalidPrincipalName;

    fn from_str(text: &str) -> Result<Self, InvalidPrincipalName> {
        let label: Label = text.parse()?;
        match label.folded().parse::<PrincipalId>() {
            Ok(_) => Err(InvalidPrincipalName::LooksLikePrincipalId),
            Err(InvalidPrincipalId) => Ok(Self(label)),
        }
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for PrincipalName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    Service,
}

/// One role over some keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The role.
    pub role: RoleName,
    /// The keys.
    pub scope: Scope,
}

impl Assignment {
    /// `role` over everything.
    pub fn everywhere(role: RoleName) -> Self {
        Self { role, scope: Scope::All }
    }
}

/// A principal as stored: everything but the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// One principal for ever.
    pub id: PrincipalId,
    /// What people call it; unique, erasable.
    pub name: PrincipalName,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// What it holds; nothing at all unless assigned.
    pub assignments: Vec<Assignment>,
    /// Whether it may log in and act.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Goes up by one with every change of passphrase, second factor, roles or `enabled`; a session
    /// of another version is dead at its next call.
    pub credential_version: u64,
    /// Whether its passphrase also opens the keystore.
    pub has_slot: bool,
}

/// What a principal proves itself with, as stored. No secret stands in it in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Whose they are.
    pub principal: PrincipalId,
    /// The passphrase; a service that proves itself otherwise has none.
    pub passphrase: Option<PassphraseCredential>,
    /// The second factor.
    pub totp: Option<TotpCredential>,
    /// What its connections may show in place of a passphrase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attested: Vec<Attestation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_id_has_one_spelling() {
        let id = PrincipalId::from_bytes([0x0a; 8]);
        assert_eq!(id.to_string(), "p-0a0a0a0a0a0a0a0a");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["p-0A0A0A0A0A0A0A0A", "p-0a", "0a0a0a0a0a0a0a0a", "k-0a0a0a0a0a0a0a0a"] {
            assert!(bad.parse::<PrincipalId>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn principal_names_that_deceive_are_refused() {
        for bad in ["P-0A0A0A0A0A0A0A0A", "p-0a0a0a0a0a0a0a0a", "", "a\n", "alice ", "al\u{456}ce"]
        {
            assert!(bad.parse::<PrincipalName>().is_err(), "{bad:?} was taken");
        }
        let name: PrincipalName = "Alice".parse().unwrap();
        assert_eq!(name.folded(), "alice");
    }
}
