//! What a connection itself shows of who is at its other end, and somebody trusted has checked: the
//! kernel, for a user of this machine; TLS, for a certificate.
//!
//! Decides what can be shown and how it is written. Never checks it: whoever holds the connection does.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Something a connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attestation {
    /// The user at the other end of a local socket, as the kernel tells; written `uid:1000`.
    Uid(u32),
    /// The SHA-256 of the certificate that was shown and verified; written `cert:` and 64 hex digits.
    Certificate([u8; 32]),
}

/// A text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attestation is uid:NUMBER, or cert: and 64 lower-case hex digits (SHA-256 of the DER)")]
pub struct InvalidAttestation;

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Certificate(hash) => write!(f, "cert:{}", hex::encode(hash)),
        }
    }
}

impl FromStr for Attestation {
    type Err = InvalidAttestation;

    fn from_str(text: &str) -> Result<Self, InvalidAttestation> {
        let read = match text.split_once(':') {
            Some(("uid", number)) => number.parse().ok().map(Self::Uid),
            Some(("cert", digits)) => {
                let mut hash = [0; 32];
                hex::decode_to_slice(digits, &mut hash).ok().map(|()| Self::Certificate(hash))
            }
            Some(_) | None => None,
        };
        // One of them has one spelling.
        read.filter(|read| read.to_string() == text).ok_or(InvalidAttestation)
    }
}

impl Serialize for Attestation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Attestation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestations_have_one_spelling() {
        let cert = format!("cert:{}", "0a".repeat(32));
        for text in ["uid:0", "uid:1000", &cert] {
            assert_eq!(text.parse::<Attestation>().unwrap().to_string(), text);
        }
        let upper = format!("cert:{}", "0A".repeat(32));
        for text in ["uid:", "uid:-1", "uid:01", "uid:+1", "cert:0a", &upper, "user:x", ""] {
            assert!(text.parse::<Attestation>().is_err(), "{text} was read");
        }
    }
}
