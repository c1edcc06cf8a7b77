//! Ethereum addresses with the checksum of EIP-55.

use std::fmt;
use std::str::FromStr;

use sha3::Digest;
use sha3::Keccak256;

use crate::address::AddressError;
use crate::algorithm::Algorithm;
use crate::public::PublicKey;

/// An Ethereum address: 20 bytes, shown as `0x` and 40 hex digits whose case is the checksum of
/// EIP-55.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EthereumAddress(pub [u8; 20]);

/// A text that is no Ethereum address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEthereumAddress {
    /// Not `0x` and 40 hex digits.
    #[error("an Ethereum address is `0x` and 40 hex digits")]
    Form,
    /// Capitals and small letters that are not the checksum: a digit is wrong.
    #[error(
        "the Ethereum address has a wrong checksum (EIP-55): a digit or the case of a letter is wrong"
    )]
    Checksum,
}

impl EthereumAddress {
    /// The address of a secp256k1 key: the last 20 bytes of Keccak-256 of `x ‖ y`.
    ///
    /// # Errors
    /// For other algorithms, and bytes that are no point of the curve.
    pub fn of(key: &PublicKey) -> Result<Self, AddressError> {
        let none = AddressError::Algorithm(key.algorithm(), "Ethereum");
        match (key.algorithm(), key.to_uncompressed_point()) {
            (Algorithm::Secp256k1, Some([_, coordinates @ ..])) => {
                let digest: [u8; 32] = Keccak256::digest(coordinates).into();
                let mut last = [0; 20];
                last.copy_from_slice(&digest[12..]);
                Ok(Self(last))
            }
            (Algorithm::Secp256k1, None)
            | (Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096, _) => {
                Err(none)
            }
        }
    }
}

impl fmt::Display for EthereumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        // SPEC: EIP-55: a letter is a capital where the same nibble of the hash is 8 or more.
        let digits = hex::encode(self.0);
        let nibbles = hex::encode(Keccak256::digest(digits.as_bytes()));
        for (digit, nibble) in digits.chars().zip(nibbles.chars()) {
            let shown = if nibble >= '8' { digit.to_ascii_uppercase() } else { digit };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}

impl FromStr for EthereumAddress {
    type Err = InvalidEthereumAddress;

    /// Reads `0x` and 40 hex digits. Letters of both cases must be the checksum; all small or all
    /// capital they carry none, and are taken as they are.
    fn from_str(text: &str) -> Result<Self, InvalidEthereumAddress> {
        let digits = text.strip_prefix("0x").ok_or(InvalidEthereumAddress::Form)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidEthereumAddress::Form)?;
        let address = Self(bytes);
        let one_case = !digits.contains(|c: char| c.is_ascii_lowercase())
            || !digits.contains(|c: char| c.is_ascii_uppercase());
        if one_case || address.to_string() == text {
            Ok(address)
        } else {
            Err(InvalidEthereumAddress::Checksum)
        }
    }
}
