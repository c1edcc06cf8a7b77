//! Which signature algorithms there are.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// The signature algorithms of the specification, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Pure EdDSA over edwards25519 (RFC 8032). The default.
    Ed25519,
    /// ECDSA over secp256k1 (SEC 2), nonces by RFC 6979, always low-S.
    Secp256k1,
    /// ECDSA over NIST P-256 (FIPS 186-5).
    P256,
    /// RSA with a modulus of 2048 bits. Legacy: below 128 bits of security.
    Rsa2048,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
}

impl Algorithm {
    /// Every algorithm, in the specification's order.
    pub const ALL: [Self; 5] =
        [Self::Ed25519, Self::Secp256k1, Self::P256, Self::Rsa2048, Self::Rsa4096];

    /// The name used in commands, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "p256",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// Whether this is RSA, whatever the modulus.
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa4096)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no algorithm; there are ed25519, secp256k1, p256, rsa2048 and rsa4096")]
pub struct UnknownAlgorithm(String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads the name, also as other tools spell it (`secp256r1`, `rsa-2048`).
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        match text.to_ascii_lowercase().as_str() {
            "ed25519" => Ok(Self::Ed25519),
            "secp256k1" => Ok(Self::Secp256k1),
            "p256" | "p-256" | "secp256r1" | "prime256v1" => Ok(Self::P256),
            "rsa2048" | "rsa-2048" => Ok(Self::Rsa2048),
            "rsa4096" | "rsa-4096" => Ok(Self::Rsa4096),
            _ => Err(UnknownAlgorithm(text.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        }
        assert!("dsa".parse::<Algorithm>().is_err());
    }
}
