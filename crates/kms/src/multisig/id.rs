//! How multi-signature keys and their operations are named.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::time::Timestamp;

/// A text that is no such id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{0}-` and 32 lower-case hex digits")]
pub struct InvalidId(char);

macro_rules! id {
    ($(#[$about:meta])* $name:ident, $letter:literal) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!("{}-{}", $letter, hex::encode(self.0)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId($letter);
                let digits = text.strip_prefix($letter).and_then(|rest| rest.strip_prefix('-'));
                let digits = digits.ok_or(invalid)?;
                if digits.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(invalid); // one thing has one spelling
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| invalid)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Names a multi-signature key by what it is: the first 16 bytes of the digest of its
    /// configuration, so that keys that differ in a signer, a weight or the threshold differ here.
    ///
    /// Written as `m-` and 32 lower-case hex digits.
    MultiSigId, 'm'
}

id! {
    /// Names one operation for ever: the microsecond it was begun in and 64 random bits, so that
    /// ids are in the order of their beginnings.
    ///
    /// Written as `o-` and 32 lower-case hex digits.
    OperationId, 'o'
}

impl MultiSigId {
    /// The id of the key whose configuration has this digest.
    pub(crate) fn of(configuration: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&configuration[..16]);
        Self(first)
    }
}

impl OperationId {
    /// An id for an operation begun at `now`.
    pub fn new(now: Timestamp, random: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&now.micros().to_be_bytes());
        bytes[8..].copy_from_slice(&random);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling_and_follow_time() {
        let id = OperationId::new(Timestamp::from_micros(0xabcd), [0xef; 8]);
        let text = "o-000000000000abcdefefefefefefefef";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        for other in
            [text.to_uppercase(), text.replace('o', "m"), text[..20].to_owned(), String::new()]
        {
            assert!(other.parse::<OperationId>().is_err(), "{other}");
        }
        assert!(OperationId::new(Timestamp::from_micros(0xabce), [0; 8]) > id);
    }
}
