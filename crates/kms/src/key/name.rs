//! How keys are named: an id is one key for ever, a label is a lineage that follows rotation.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Names one key for ever; drawn at random (128 bits), never reused, also not after destruction.
///
/// Written as `k-` and 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Makes an id of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"k-00000000000000000000000000000000";
        let (_, digits) = text.split_at_mut(2);
        hex::encode_to_slice(self.0, digits).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is `k-` and 32 hex digits")]
pub struct InvalidKeyId;

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let digits = text.strip_prefix("k-").ok_or(InvalidKeyId)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidKeyId); // one key has one spelling
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidKeyId)?;
        Ok(Self(bytes))
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Names a lineage of keys: the current key, and after a rotation its successor.
///
/// 1 to 64 bytes of ASCII letters, digits, space and `.` `_` `-` `@` `+`; begins with a letter or a
/// digit, does not end with a space, and does not look like a key id. Never part of a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(Box<str>);

/// Why a text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// Nothing, or more than 64 bytes.
    #[error("a name has 1 to 64 characters, not {0}")]
    Length(usize),
    /// A character outside the allowed set.
    #[error("a name has letters, digits, spaces and . _ - @ + only, not {0:?}")]
    Character(char),
    /// Begins with punctuation, or ends with a space.
    #[error("a name begins with a letter or a digit and does not end with a space")]
    Edge,
    /// Would be taken for a key id.
    #[error("a name must not look like a key id")]
    LooksLikeKeyId,
}

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which two labels count as the same: lower case, so that `Val` and `val`
    /// cannot stand side by side and be mistaken for each other.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        if text.is_empty() || text.len() > 64 {
            return Err(InvalidLabel::Length(text.chars().count()));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || " ._-@+".contains(*c);
        if let Some(other) = text.chars().find(|c| !allowed(c)) {
            return Err(InvalidLabel::Character(other));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.ends_with(' ') {
            return Err(InvalidLabel::Edge);
        }
        if text.to_ascii_lowercase().parse::<KeyId>().is_ok() {
            return Err(InvalidLabel::LooksLikeKeyId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key as a caller names it: by id (that one key) or by label (the lineage's current key).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyRef {
    /// One key for ever.
    Id(KeyId),
    /// The current key of a lineage.
    Label(Label),
}

impl FromStr for KeyRef {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Label))
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}

impl Serialize for KeyRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl From<KeyId> for KeyRef {
    fn from(id: KeyId) -> Self {
        Self::Id(id)
    }
}

/// Names a lifecycle policy; spelled like a [`Label`].
pub type PolicyName = Label;

/// Why a person did something: 1 to 500 bytes of text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reason(String);

/// A text that cannot stand as a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to 500 bytes and no control characters")]
pub struct InvalidReason;

impl Reason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        let fits = !text.trim().is_empty() && text.len() <= 500;
        (fits && !text.chars().any(char::is_control))
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidReason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_id_has_one_spelling() {
        let id = KeyId::from_random([0xab; 16]);
        let text = "k-abababababababababababababababab";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert!(text.to_uppercase().parse::<KeyId>().is_err());
        assert!("k-ab".parse::<KeyId>().is_err());
    }

    #[test]
    fn labels_that_could_escape_or_deceive_are_refused() {
        for bad in ["", "a/b", "..", ".hidden", "a\nb", "a\u{202e}b", "é", "a\0", "-x", "a ", "%2e"]
        {
            assert!(bad.parse::<Label>().is_err(), "{bad:?} was taken");
        }
        assert!("x".repeat(65).parse::<Label>().is_err());
        let id = KeyId::from_random([1; 16]).to_string();
        assert_eq!(id.parse::<Label>(), Err(InvalidLabel::LooksLikeKeyId));
        for good in ["val", "ceo@company.com", "my key", "9", "a.b_c-d+e"] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn stored_labels_are_checked_when_read() {
        assert!(serde_json::from_str::<Label>("\"../x\"").is_err());
        assert!(serde_json::from_str::<Reason>("\"a\\nb\"").is_err());
    }
}
