//! What each key is for, and how a message becomes a signature.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::key::Algorithm;

/// What a key is for. Bound at creation, shown everywhere, enforced at use, never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// CometBFT votes and proposals, through the double-sign guard and in no other way.
    Consensus,
    /// Transactions of a blockchain account.
    Account,
    /// A provider's bids, usage records and settlements.
    Provider,
    /// Anything else.
    General,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Consensus, Self::Account, Self::Provider, Self::General];

    /// The name used in commands, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Account => "account",
            Self::Provider => "provider",
            Self::General => "general",
        }
    }

    /// The algorithm a key of this purpose has unless another is asked for.
    pub fn default_algorithm(self) -> Algorithm {
        match self {
            Self::Consensus | Self::Provider | Self::General => Algorithm::Ed25519,
            Self::Account => Algorithm::Secp256k1,
        }
    }

    /// Whether a key of this purpose may have `algorithm`: CometBFT takes Ed25519 and, where the
    /// chain allows, secp256k1; accounts have no RSA.
    pub fn allows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Consensus => matches!(algorithm, Algorithm::Ed25519 | Algorithm::Secp256k1),
            Self::Account => !algorithm.is_rsa(),
            Self::Provider | Self::General => true,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no purpose; there are consensus, account, provider and general")]
pub struct UnknownPurpose(String);

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPurpose(text.chars().take(40).collect()))
    }
}

/// How a message is hashed before an ECDSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prehash {
    /// SHA-256 of the message.
    #[default]
    Sha256,
    /// Keccak-256 of the message, as Ethereum hashes. secp256k1 only.
    Keccak256,
    /// The message *is* the 32-byte digest. Needs the permission `key:sign_digest`.
    Prehashed,
}

/// How an RSA signature is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Padding {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 8017 section 8.1). The default.
    #[default]
    Pss,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). Legacy, by name only.
    Pkcs1v15,
}

/// The choices a signature leaves open; each is ignored by algorithms that do not have it, and
/// refused where it would change what the signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scheme {
    /// For ECDSA.
    pub prehash: Prehash,
    /// For RSA.
    pub padding: Padding,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.name().parse(), Ok(purpose));
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.name());
        }
        assert!("".parse::<Purpose>().is_err());
    }

    #[test]
    fn consensus_keys_are_never_rsa_or_p256() {
        assert!(!Purpose::Consensus.allows(Algorithm::P256));
        assert!(!Purpose::Consensus.allows(Algorithm::Rsa4096));
        assert!(Purpose::Consensus.allows(Purpose::Consensus.default_algorithm()));
    }
}
