//! The file of slots, `slots.json`: who can open the keystore.
//!
//! One line of JSON, fields in this order, binary fields as lower-case hex, and exactly the bytes
//! this module would write (other spacing, order, spelling, unknown or repeated fields are damage):
//!
//! ```text
//! {"slots":{
//!    "version":1,
//!    "generation":3,                      number of the keystore key, from 1; + 1 each rotation
//!    "slots":[{"id":"<8 bytes>",          random
//!              "kind":"passphrase",        or "hsm"
//!              "principal":"<id>",
//!              "public":"<32 bytes>",     X25519, see `recipient`
//!              "ephemeral":"<32 bytes>",
//!              "sealed":"<60 bytes>",     the keystore key: nonce ‖ ciphertext ‖ tag
//!              "unwrap":{…}}],            kind "hsm" only: the seed under a key of a token
//!    "older":[{"generation":2,            keystore keys that key files may still be under
//!              "sealed":"<60 bytes>"}]},  AES-256-GCM under the current keystore key
//!  "mac":"<32 bytes>",                    HMAC-SHA256 of the bytes of "slots"
//!  "sha256":"<32 bytes>"}                 SHA-256 of the bytes of "slots", then the 32 of "mac"
//! ```
//!
//! "unwrap" is `{"storage":"hsm:NAME","key":"<its name there>","scheme":"rsa-oaep-sha256",
//! "ciphertext":"<hex>"}`.
//!
//! The associated data of a slot's "sealed" is `"virtengine slot v1" ‖ id ‖ generation (4, big
//! endian) ‖ kind ‖ 0 ‖ principal`; that of an older key `"virtengine older key v1" ‖ its
//! generation ‖ the current generation`.
//!
//! Two checks, for two purposes. "sha256" needs no secret: anyone can tell a damaged file from a
//! wrong passphrase offline, and no plaintext is in it, so it tells an attacker nothing. "mac" needs
//! the keystore key (its key is HKDF-SHA256 of that, info `"virtengine slots mac v1"`) and is
//! checked at each unsealing: nobody who can write the file but cannot open it can put a slot of
//! their own in, to which the next rotation would encrypt. A file as a whole can be put back to an
//! older one; then the key files of the newer generation do not open.

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;

use crate::storage::aead;
use crate::storage::device::WrappedSeed;
use crate::storage::error::Fault;
use crate::storage::seal::SlotId;
use crate::storage::seal::SlotKind;
use crate::storage::seal::hex_bytes::HexBytes;
use crate::storage::seal::recipient;

/// The most slots a keystore has.
pub(super) const MAX_SLOTS: usize = 64;
/// The most rotations that may wait for their key files.
pub(super) const MAX_OLDER: usize = 16;
/// No file of slots is longer, in bytes.
pub(super) const MAX_FILE_LEN: u64 = 64 * 1024;

const VERSION: u8 = 1;
const SEALED_KEY_LEN: usize = aead::KEY_LEN + aead::OVERHEAD;

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slots {
    version: u8,
    pub(super) generation: u32,
    pub(super) slots: Vec<Slot>,
    pub(super) older: Vec<Older>,
}

/// One way to open the keystore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    pub(super) kind: SlotKind,
    pub(super) principal: String,
    pub(super) public: HexBytes<32>,
    ephemeral: HexBytes<32>,
    sealed: HexBytes<SEALED_KEY_LEN>,
    /// For a slot of kind `hsm`: its seed, encrypted to a key of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unwrap: Option<WrappedSeed>,
}

/// A keystore key that key files may still be under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Older {
    pub(super) generation: u32,
    sealed: HexBytes<SEALED_KEY_LEN>,
}

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) slots: Slots,
    mac: HexBytes<32>,
    sha256: HexBytes<32>,
}

impl Slots {
    /// No slots yet, for the keystore key of this generation.
    pub(super) fn new(generation: u32) -> Self {
        Self { version: VERSION, generation, slots: Vec::new(), older: Vec::new() }
    }

    /// The bytes of the file, authenticated under `key`, the keystore key.
    pub(super) fn encode(&self, key: &SecretBytes) -> Result<Vec<u8>, Fault> {
        let mac = HexBytes(mac_of(self, key)?);
        let sha256 = HexBytes(sha256_of(self, &mac)?);
        File { slots: self.clone(), mac, sha256 }.encode()
    }
}

impl Slot {
    /// A slot that opens to `key` for the private half of `public`.
    pub(super) fn seal(
        (id, kind, principal): (SlotId, SlotKind, &str),
        public: recipient::Public,
        (generation, key): (u32, &SecretBytes),
    ) -> Result<Self, Fault> {
        let context = context((id, kind, principal), generation);
        let (ephemeral, sealed) = recipient::seal(&public, &context, key)?;
        Ok(Self {
            id,
            kind,
            principal: principal.to_owned(),
            public: HexBytes(public),
            ephemeral: HexBytes(ephemeral),
            sealed: HexBytes::exactly(&sealed).ok_or(Fault::Library("AES-256-GCM"))?,
            unwrap: None,
        })
    }

    /// The keystore key of `generation`; `None` if the slot was altered or is another's.
    pub(super) fn open(&self, seed: &SecretBytes, generation: u32) -> Option<SecretBytes> {
        let context = context((self.id, self.kind, &self.principal), generation);
        let sealed = (&self.ephemeral.0, &self.sealed.0[..]);
        recipient::open((seed, &self.id.0.0), &context, sealed)
    }
}

impl Older {
    /// The older `key` under `current`.
    pub(super) fn seal(
        (generation, key): (u32, &SecretBytes),
        (current_generation, current): (u32, &SecretBytes),
    ) -> Result<Self, Fault> {
        let sealed = aead::seal(current, &older_context(generation, current_generation), key)?;
        let sealed = HexBytes::exactly(&sealed).ok_or(Fault::Library("AES-256-GCM"))?;
        Ok(Self { generation, sealed })
    }

    /// The key, with the current one; `None` if it was altered.
    pub(super) fn open(
        &self,
        (current_generation, current): (u32, &SecretBytes),
    ) -> Option<SecretBytes> {
        let context = older_context(self.generation, current_generation);
        aead::open(current, &context, &self.sealed.0)
    }
}

impl File {
    /// Reads the file; checks all that can be checked without the keystore key.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let file: Self = serde_json::from_slice(bytes).map_err(|_| "it is no list of slots")?;
        if file.slots.version != VERSION {
            return Err("its version is not 1");
        }
        if file.encode().ok().as_deref() != Some(bytes) {
            return Err("it is not spelt as this product writes it");
        }
        if sha256_of(&file.slots, &file.mac).ok() != Some(file.sha256.0) {
            return Err("its checksum does not fit");
        }
        Ok(file)
    }

    /// Whether the holder of `key`, the keystore key, wrote it.
    pub(super) fn is_authentic(&self, key: &SecretBytes) -> bool {
        let (Ok(mac_key), Ok(bytes)) = (mac_key(key), to_json(&self.slots)) else {
            return false;
        };
        hmac::verify(&mac_key, &bytes, &self.mac.0).is_ok()
    }

    fn encode(&self) -> Result<Vec<u8>, Fault> {
        let mut bytes = to_json(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn context((id, kind, principal): (SlotId, SlotKind, &str), generation: u32) -> Vec<u8> {
    let generation = generation.to_be_bytes();
    let kind = kind.name().as_bytes();
    [b"virtengine slot v1", &id.0.0[..], &generation, kind, &[0], principal.as_bytes()].concat()
}

fn older_context(generation: u32, current: u32) -> Vec<u8> {
    [&b"virtengine older key v1"[..], &generation.to_be_bytes(), &current.to_be_bytes()].concat()
}

fn mac_key(key: &SecretBytes) -> Result<hmac::Key, Fault> {
    let key = aead::derive(key.expose(), b"", b"virtengine slots mac v1")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
}

fn mac_of(slots: &Slots, key: &SecretBytes) -> Result<[u8; 32], Fault> {
    let mac = hmac::sign(&mac_key(key)?, &to_json(slots)?);
    mac.as_ref().try_into().map_err(|_| Fault::Library("HMAC-SHA256"))
}

fn sha256_of(slots: &Slots, mac: &HexBytes<32>) -> Result<[u8; 32], Fault> {
    let hash = digest::digest(&digest::SHA256, &[&to_json(slots)?, &mac.0[..]].concat());
    hash.as_ref().try_into().map_err(|_| Fault::Library("SHA-256"))
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|_| Fault::Library("JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1: seed 01…, keystore key 09… of generation 2, older key 08….
    const VECTOR: &[u8] = include_bytes!("../../../testdata/slots-v1.json");

    fn secret(byte: u8) -> SecretBytes {
        SecretBytes::copy_from(&[byte; 32])
    }

    /// `VECTOR` with `slots` in the place of its own and a checksum that fits, as somebody would
    /// make it who can write the file and does not have the keystore key.
    fn forged(slots: Slots) -> File {
        let File { mac, .. } = File::decode(VECTOR).unwrap();
        let sha256 = HexBytes(sha256_of(&slots, &mac).unwrap());
        File::decode(&File { slots, mac, sha256 }.encode().unwrap()).unwrap()
    }

    #[test]
    fn version_1_is_read_for_ever() {
        let file = File::decode(VECTOR).unwrap();
        let slot = &file.slots.slots[0];
        assert_eq!((slot.principal.as_str(), file.slots.generation), ("alice", 2));
        assert_eq!(slot.open(&secret(1), 2), Some(secret(9)));
        assert_eq!(slot.open(&secret(2), 2), None);
        assert_eq!(slot.open(&secret(1), 3), None);
        assert_eq!(file.slots.older[0].open((2, &secret(9))), Some(secret(8)));
        assert!(file.is_authentic(&secret(9)));
        assert!(!file.is_authentic(&secret(8)));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let slots = File::decode(VECTOR).unwrap().slots;
        assert_eq!(slots.encode(&secret(9)).unwrap(), VECTOR);
    }

    #[test]
    fn any_byte_changed_or_cut_is_damage() {
        for at in 0..VECTOR.len() {
            for change in [1, 0x20, 0x80] {
                let mut altered = VECTOR.to_vec();
                altered[at] ^= change;
                assert!(File::decode(&altered).is_err(), "byte {at} ^ {change}");
            }
            assert!(File::decode(&VECTOR[..at]).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn other_spellings_are_damage() {
        let text = std::str::from_utf8(VECTOR).unwrap();
        let again = text.replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
        let unknown = text.replacen("\"version\":1", "\"version\":1,\"x\":1", 1);
        let spaced = text.replacen(':', ": ", 1);
        for altered in [again, unknown, spaced, text.to_uppercase(), format!("{text}\n")] {
            assert!(File::decode(altered.as_bytes()).is_err(), "{altered}");
        }
    }

    #[test]
    fn slot_added_without_the_keystore_key_is_not_authentic() {
        let mut slots = File::decode(VECTOR).unwrap().slots;
        assert!(forged(slots.clone()).is_authentic(&secret(9)));
        let id = SlotId(HexBytes([7; 8]));
        let public = recipient::public(&secret(6), &id.0.0).unwrap();
        let named = (id, SlotKind::Passphrase, "mallory");
        slots.slots.push(Slot::seal(named, public, (2, &secret(5))).unwrap());
        assert!(!forged(slots).is_authentic(&secret(9)));
    }

    #[test]
    fn slot_whose_owner_was_renamed_does_not_open() {
        let mut slots = File::decode(VECTOR).unwrap().slots;
        slots.slots[0].principal = "mallory".into();
        let file = forged(slots);
        assert_eq!(file.slots.slots[0].open(&secret(1), 2), None);
    }
}
