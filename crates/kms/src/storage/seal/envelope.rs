//! The file of one key, `<32 hex digits of the id>.key`.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `VEKEY-1` and a line feed |
//! | 8 | 1 | algorithm: 1 Ed25519, 2 secp256k1, 3 P-256, 4 RSA-2048, 5 RSA-4096 |
//! | 9 | 1 | purpose: 1 consensus, 2 account, 3 provider, 4 general |
//! | 10 | 2 | p, the length of the public key; big endian, as all numbers here |
//! | 12 | 4 | generation of the keystore key |
//! | 16 | 16 | key id |
//! | 32 | p | public key, as [`crate::key::PublicKey`] says |
//! | 32 + p | 60 | the data key: nonce (12) ‖ ciphertext (32) ‖ tag (16), AES-256-GCM under the keystore key |
//! | 92 + p | rest | the private key: nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM under the data key |
//!
//! The header (the first 32 + p bytes) is associated data of both, after `"virtengine data key v1"`
//! and `"virtengine private key v1"`. The private key is in the form of
//! [`kms_formats::private::PrivateKey`]. No file is longer than 8,192 bytes. Each writing draws a
//! new data key and new nonces, so a repeated nonce (a cloned virtual machine) meets no used key.
//!
//! So a file that was edited, cut, or swapped with another's does not open; there is no way for it
//! to become a different key (PCI DSS 3.7.7).

use kms_formats::private::PrivateKey;
use kms_secret::SecretBytes;

use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::storage::aead;
use crate::storage::error::Fault;
use crate::storage::software::random;

/// No key file is longer, in bytes.
pub(super) const MAX_FILE_LEN: u64 = 8192;

const MAGIC: &[u8; 8] = b"VEKEY-1\n";
const FIXED_LEN: usize = 32;
const DATA_KEY_LEN: usize = aead::KEY_LEN + aead::OVERHEAD;

/// What a key file says in the open, authenticated with its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Header {
    pub(in crate::storage) id: KeyId,
    pub(in crate::storage) purpose: Purpose,
    pub(in crate::storage) public: PublicKey,
}

/// A key file read, not yet opened.
pub(super) struct Envelope<'a> {
    pub(super) header: Header,
    pub(super) generation: u32,
    authenticated: &'a [u8],
    data_key: &'a [u8],
    private: &'a [u8],
}

/// The bytes of the key file for `private` under the keystore key of this generation.
pub(super) fn seal(
    header: &Header,
    private: &SecretBytes,
    (generation, key): (u32, &SecretBytes),
) -> Result<Vec<u8>, Fault> {
    let encoded = encode(header, generation)?;
    let data_key = random(aead::KEY_LEN)?;
    let wrapped = aead::seal(key, &data_key_context(&encoded), &data_key)?;
    let sealed = aead::seal(&data_key, &private_context(&encoded), private)?;
    Ok([encoded, wrapped, sealed].concat())
}

impl<'a> Envelope<'a> {
    /// Reads a key file; nothing it says is authenticated yet.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let cut = "it is cut short";
        let public_len =
            bytes.get(10..12).ok_or(cut)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let (authenticated, rest) = bytes.split_at_checked(FIXED_LEN + public_len).ok_or(cut)?;
        let (data_key, private) = rest.split_at_checked(DATA_KEY_LEN).ok_or(cut)?;
        let (header, generation) = decode(authenticated).ok_or("its header is no key file's")?;
        Ok(Self { header, generation, authenticated, data_key, private })
    }

    /// The private key, with the keystore key of this generation; `None` if a bit is different
    /// from what was written.
    pub(super) fn open(&self, key: &SecretBytes) -> Option<PrivateKey> {
        let context = data_key_context(self.authenticated);
        let data_key = aead::open(key, &context, self.data_key)?;
        let bytes = aead::open(&data_key, &private_context(self.authenticated), self.private)?;
        Some(PrivateKey { algorithm: self.header.public.algorithm(), bytes })
    }
}

fn encode(header: &Header, generation: u32) -> Result<Vec<u8>, Fault> {
    let public = header.public.as_bytes();
    let len = u16::try_from(public.len()).map_err(|_| Fault::Library("public key form"))?;
    let codes = [algorithm_code(header.public.algorithm()), purpose_code(header.purpose)];
    let (len, generation) = (len.to_be_bytes(), generation.to_be_bytes());
    Ok([MAGIC, &codes[..], &len, &generation, header.id.as_bytes(), public].concat())
}

fn decode(bytes: &[u8]) -> Option<(Header, u32)> {
    let (fixed, public) = bytes.split_first_chunk::<FIXED_LEN>()?;
    let (algorithm_byte, purpose_byte) = (fixed.get(8)?, fixed.get(9)?);
    let algorithm = Algorithm::ALL.into_iter().find(|a| algorithm_code(*a) == *algorithm_byte)?;
    let purpose = Purpose::ALL.into_iter().find(|p| purpose_code(*p) == *purpose_byte)?;
    let generation = u32::from_be_bytes(fixed.get(12..16)?.try_into().ok()?);
    let id = KeyId::from_random(fixed.get(16..32)?.try_into().ok()?);
    let public = PublicKey::new(algorithm, public).ok()?;
    fixed.starts_with(MAGIC).then_some((Header { id, purpose, public }, generation))
}

fn data_key_context(header: &[u8]) -> Vec<u8> {
    [b"virtengine data key v1", header].concat()
}

fn private_context(header: &[u8]) -> Vec<u8> {
    [b"virtengine private key v1", header].concat()
}

fn algorithm_code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Ed25519 => 1,
        Algorithm::Secp256k1 => 2,
        Algorithm::P256 => 3,
        Algorithm::Rsa2048 => 4,
        Algorithm::Rsa4096 => 5,
    }
}

fn purpose_code(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Consensus => 1,
        Purpose::Account => 2,
        Purpose::Provider => 3,
        Purpose::General => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ed25519 key file of version 1, made once: id 11…, purpose provider, generation 7, private
    /// key 22…, keystore key 33….
    const VECTOR: &str = include_str!("../../../testdata/key-file-v1.hex");

    fn header(id: u8) -> Header {
        let public = "a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f0";
        Header {
            id: KeyId::from_random([id; 16]),
            purpose: Purpose::Provider,
            public: PublicKey::new(Algorithm::Ed25519, &hex::decode(public).unwrap()).unwrap(),
        }
    }

    fn secret(byte: u8) -> SecretBytes {
        SecretBytes::copy_from(&[byte; 32])
    }

    /// Opens `bytes` with `key`, whatever generation they claim.
    fn opened(bytes: &[u8], key: &SecretBytes) -> Option<(Header, u32, PrivateKey)> {
        let envelope = Envelope::read(bytes).ok()?;
        let private = envelope.open(key)?;
        Some((envelope.header, envelope.generation, private))
    }

    #[test]
    fn version_1_is_read_for_ever() {
        let file = hex::decode(VECTOR.trim()).unwrap();
        assert_eq!(file.len(), 32 + 32 + 60 + 60);
        let (read, generation, private) = opened(&file, &secret(0x33)).unwrap();
        assert_eq!((read, generation), (header(0x11), 7));
        assert_eq!(private.bytes, secret(0x22));
    }

    #[test]
    fn any_bit_changed_cut_or_added_is_refused() {
        let file = seal(&header(1), &secret(2), (1, &secret(3))).unwrap();
        assert!(opened(&file, &secret(3)).is_some());
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut altered = file.clone();
                altered[at] ^= 1 << bit;
                assert!(opened(&altered, &secret(3)).is_none(), "byte {at}, bit {bit}");
            }
            assert!(opened(&file[..at], &secret(3)).is_none(), "cut to {at}");
        }
        assert!(opened(&[&file[..], &[0]].concat(), &secret(3)).is_none());
        assert!(opened(&file, &secret(4)).is_none());
    }

    #[test]
    fn parts_of_two_files_do_not_mix() {
        let one = seal(&header(1), &secret(2), (1, &secret(3))).unwrap();
        let two = seal(&header(9), &secret(5), (1, &secret(3))).unwrap();
        for at in [64, 124] {
            let mixed = [&one[..at], &two[at..]].concat();
            assert!(opened(&mixed, &secret(3)).is_none(), "joined at {at}");
        }
    }

    #[test]
    fn each_writing_has_its_own_data_key_and_nonces() {
        let [one, two] = [(); 2].map(|()| seal(&header(1), &secret(2), (1, &secret(3))).unwrap());
        assert_eq!(one[..64], two[..64]);
        for field in [64..76, 76..108, 124..136, 136..168] {
            assert_ne!(one[field.clone()], two[field.clone()], "{field:?}");
        }
    }
}
