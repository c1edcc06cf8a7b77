//! Addresses made from public keys: of Cosmos accounts, operators and validators, and of Ethereum.

mod ethereum;

pub use ethereum::EthereumAddress;
pub use ethereum::InvalidEthereumAddress;

use std::fmt;
use std::str::FromStr;

use bech32::Bech32;
use bech32::Hrp;
use bech32::primitives::decode::CheckedHrpstring;
use ripemd::Ripemd160;
use sha2::Digest;
use sha2::Sha256;

use crate::algorithm::Algorithm;
use crate::public::PublicKey;

/// BIP-173: "a Bech32 string is at most 90 characters long".
const TEXT_LIMIT: usize = 90;
/// So many characters hold 20 bytes exactly, five bits each, without padding.
const DATA_CHARACTERS: usize = 32;

/// The address of a key on a Cosmos chain: 20 bytes, shown by [`Self::to_bech32`] or, for consensus
/// keys, in upper-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u8; 20]);

/// What an address stands for, told by what follows the chain's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// An account (`ve1…`).
    Account,
    /// The account as a validator's operator (`vevaloper1…`).
    Operator,
    /// A validator's consensus key (`vevalcons1…`).
    Consensus,
}

/// The chain's prefix of bech32 addresses: 1 to 20 lower-case letters and digits, beginning with a
/// letter. `ve` unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address prefix: 1 to 20 lower-case letters and digits, a letter first")]
pub struct InvalidPrefix(String);

/// A text that is not the address asked for, or a key that has none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No bech32.
    #[error("the address is no bech32 (BIP-173): {0}")]
    Bech32(String),
    /// Bech32 of another chain or kind.
    #[error("the address begins with `{found}`, expected `{expected}`")]
    Prefix {
        /// The prefix asked for.
        expected: String,
        /// The one the text has.
        found: String,
    },
    /// Another length than 20 bytes.
    #[error("the address is not 20 bytes long")]
    Length,
    /// No 40 hex digits.
    #[error("the address is no 40 hex digits")]
    Hex,
    /// The kind of address is not made from this algorithm's keys.
    #[error("{0} keys have no {1} address")]
    Algorithm(Algorithm, &'static str),
}

impl Address {
    /// The account address of a secp256k1 key: RIPEMD-160 of SHA-256 of the compressed point.
    ///
    /// # Errors
    /// For other algorithms.
    pub fn of_account(key: &PublicKey) -> Result<Self, AddressError> {
        match key.algorithm() {
            Algorithm::Secp256k1 => Ok(hash160(key)),
            Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                Err(AddressError::Algorithm(key.algorithm(), "account"))
            }
        }
    }

    /// The consensus address of a validator's key: the first 20 bytes of SHA-256 of an Ed25519 key,
    /// RIPEMD-160 of SHA-256 for secp256k1. Of a node's Ed25519 key it is the node id.
    ///
    /// # Errors
    /// For other algorithms.
    pub fn of_consensus(key: &PublicKey) -> Result<Self, AddressError> {
        match key.algorithm() {
            Algorithm::Ed25519 => {
                let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
                let mut first = [0; 20];
                first.copy_from_slice(&digest[..20]);
                Ok(Self(first))
            }
            Algorithm::Secp256k1 => Ok(hash160(key)),
            Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                Err(AddressError::Algorithm(key.algorithm(), "consensus"))
            }
        }
    }

    /// Upper-case hex, 40 digits, as CometBFT shows consensus addresses.
    pub fn to_hex(&self) -> String {
        hex::encode_upper(self.0)
    }

    /// Bech32 (BIP-173) behind the chain's prefix and the kind's suffix.
    ///
    /// # Panics
    /// Never: the longest prefix and suffix leave room for 20 bytes.
    pub fn to_bech32(&self, prefix: &Prefix, kind: AddressKind) -> String {
        let hrp =
            Hrp::parse(&prefix.with(kind)).expect("a Prefix is lower-case letters and digits");
        bech32::encode_lower::<Bech32>(hrp, &self.0).expect("27 + 1 + 38 characters are under 90")
    }

    /// Reads 40 hex digits of either case.
    ///
    /// # Errors
    /// For anything else.
    pub fn from_hex(text: &str) -> Result<Self, AddressError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| AddressError::Hex)?;
        Ok(Self(bytes))
    }

    /// Reads bech32 of this chain and kind; all in lower or all in upper case.
    ///
    /// # Errors
    /// When it is no bech32 (bech32m is not), of another prefix, or not of 20 bytes.
    pub fn from_bech32(
        text: &str,
        prefix: &Prefix,
        kind: AddressKind,
    ) -> Result<Self, AddressError> {
        if text.len() > TEXT_LIMIT {
            return Err(AddressError::Bech32("longer than 90 characters".into()));
        }
        let checked = CheckedHrpstring::new::<Bech32>(text)
            .map_err(|_| AddressError::Bech32("a character or the checksum is wrong".into()))?;
        let (expected, found) = (prefix.with(kind), checked.hrp().to_lowercase());
        if expected != found {
            return Err(AddressError::Prefix { expected, found });
        }
        // SPEC: BIP-173: padding of five bits or more is refused; 32 characters leave none.
        if checked.fe32_iter().count() != DATA_CHARACTERS {
            return Err(AddressError::Length);
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        Ok(Self(bytes.try_into().map_err(|_| AddressError::Length)?))
    }
}

impl AddressKind {
    /// What follows the chain's prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Account => "",
            Self::Operator => "valoper",
            Self::Consensus => "valcons",
        }
    }
}

impl Prefix {
    /// The chain's prefix alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn with(&self, kind: AddressKind) -> String {
        format!("{}{}", self.0, kind.suffix())
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("ve".into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = text.len() <= 20
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(plain);
        fits.then(|| Self(text.into()))
            .ok_or_else(|| InvalidPrefix(text.chars().take(40).collect()))
    }
}

fn hash160(key: &PublicKey) -> Address {
    Address(Ripemd160::digest(Sha256::digest(key.as_bytes())).into())
}
