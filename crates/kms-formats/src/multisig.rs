//! Multi-signature accounts of Cosmos chains: `LegacyAminoPubKey`, its address, and what the members'
//! signatures become in a transaction (`cosmos.crypto.multisig`, Cosmos SDK 0.50).
//!
//! The members are secp256k1 keys of equal weight. They sign the amino JSON of the transaction
//! (`SIGN_MODE_LEGACY_AMINO_JSON`); the chain takes no other from a multi-signature account.

use sha2::Digest;
use sha2::Sha256;

use crate::address::Address;
use crate::algorithm::Algorithm;
use crate::protobuf::put_bytes;
use crate::protobuf::put_varint;
use crate::protobuf::varint;
use crate::public::PublicKey;

/// The most members a chain with the SDK's default parameters takes (`TxSigLimit`).
pub const MEMBERS: usize = 7;
/// `SIGN_MODE_LEGACY_AMINO_JSON`.
const AMINO_JSON: u64 = 127;
/// Amino's name of `tendermint/PubKeyMultisigThreshold`.
const MULTISIG_NAME: [u8; 4] = [0x22, 0xc1, 0xf7, 0xe2];
/// Amino's name of `tendermint/PubKeySecp256k1`, and the length of what follows.
const SECP256K1_NAME: [u8; 5] = [0xeb, 0x5a, 0xe9, 0x87, 33];

/// The public key of a multi-signature account: k of these members, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyAminoPubKey {
    threshold: u32,
    members: Vec<PublicKey>,
}

/// Why keys make no multi-signature account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMultisig {
    /// None, or more than a chain takes.
    #[error("a Cosmos multisig account has 1 to 7 members, not {0}")]
    Members(usize),
    /// Another algorithm.
    #[error("members of a Cosmos multisig account are secp256k1 keys, not {0}")]
    Algorithm(Algorithm),
    /// One key twice.
    #[error("a key is a member of a Cosmos multisig account once")]
    Twice,
    /// None, or more than there are members.
    #[error("{threshold} of {members} signatures cannot be asked for")]
    Threshold {
        /// As asked for.
        threshold: u32,
        /// As many as there are.
        members: usize,
    },
}

impl LegacyAminoPubKey {
    /// An account of these members in this order, which is part of the address.
    ///
    /// # Errors
    /// When a chain would not take it.
    pub fn new(threshold: u32, members: Vec<PublicKey>) -> Result<Self, InvalidMultisig> {
        if !(1..=MEMBERS).contains(&members.len()) {
            return Err(InvalidMultisig::Members(members.len()));
        }
        if let Some(other) = members.iter().find(|key| key.algorithm() != Algorithm::Secp256k1) {
            return Err(InvalidMultisig::Algorithm(other.algorithm()));
        }
        let again = |(at, key)| members.iter().take(at).any(|before: &PublicKey| before == key);
        if members.iter().enumerate().any(again) {
            return Err(InvalidMultisig::Twice);
        }
        if threshold == 0 || threshold as usize > members.len() {
            return Err(InvalidMultisig::Threshold { threshold, members: members.len() });
        }
        Ok(Self { threshold, members })
    }

    /// The members in the order of their addresses, as `keys add --multisig` puts them unless it is
    /// told `--nosort`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn sorted(threshold: u32, mut members: Vec<PublicKey>) -> Result<Self, InvalidMultisig> {
        members.sort_by_cached_key(|key| Address::of_account(key).ok());
        Self::new(threshold, members)
    }

    /// The members in their order.
    pub fn members(&self) -> &[PublicKey] {
        &self.members
    }

    /// The address: the first 20 bytes of SHA-256 of the key in amino.
    pub fn address(&self) -> Address {
        let mut amino = MULTISIG_NAME.to_vec();
        amino.push(0x08);
        varint(&mut amino, u64::from(self.threshold));
        for member in &self.members {
            amino.extend([0x12, 38]);
            amino.extend(SECP256K1_NAME);
            amino.extend(member.as_bytes());
        }
        let digest: [u8; 32] = Sha256::digest(amino).into();
        let mut first = [0; 20];
        first.copy_from_slice(&digest[..20]);
        Address(first)
    }

    /// The JSON that Cosmos SDK's commands print and take.
    pub fn to_cosmos_json(&self) -> String {
        let members: Vec<String> =
            self.members.iter().filter_map(PublicKey::to_cosmos_json).collect();
        format!(
            r#"{{"@type":"/cosmos.crypto.multisig.LegacyAminoPubKey","threshold":{},"public_keys":[{}]}}"#,
            self.threshold,
            members.join(",")
        )
    }

    /// Which members signed, as `CompactBitArray` counts them: the number of bits in the last byte
    /// that is not full, and the bytes, the first member in the highest bit.
    pub fn bit_array(&self, signed: impl Fn(&PublicKey) -> bool) -> (u32, Vec<u8>) {
        let mut bytes = vec![0_u8; self.members.len().div_ceil(8)];
        for (at, member) in self.members.iter().enumerate() {
            if let (true, Some(byte)) = (signed(member), bytes.get_mut(at / 8)) {
                *byte |= 0x80 >> (at % 8);
            }
        }
        (u32::try_from(self.members.len() % 8).unwrap_or(0), bytes)
    }

    /// What the signatures become in a transaction.
    ///
    /// `signature` gives a member's signature, r‖s with low s, or nothing. The first `threshold` of
    /// them in the order of the members are taken, as the chain counts gas for each.
    pub fn assemble<'s>(
        &self,
        sequence: u64,
        signature: impl Fn(&PublicKey) -> Option<&'s [u8]>,
    ) -> Assembled {
        let signing = self.members.iter().filter_map(|key| Some((key, signature(key)?)));
        let signed: Vec<_> = signing.take(self.threshold as usize).collect();
        let mut multi_signature = Vec::new();
        signed.iter().for_each(|(_, bytes)| put_bytes(&mut multi_signature, 1, bytes));
        let (extra_bits, elems) = self.bit_array(|key| signed.iter().any(|(k, _)| *k == key));
        let mut bits = Vec::new();
        put_varint(&mut bits, 1, u64::from(extra_bits));
        put_bytes(&mut bits, 2, &elems);
        let mut multi = Vec::new();
        put_bytes(&mut multi, 1, &bits);
        let single = nested(1, |mode| put_varint(mode, 1, AMINO_JSON));
        signed.iter().for_each(|_| put_bytes(&mut multi, 2, &single));
        let mut signer_info = Vec::new();
        put_bytes(&mut signer_info, 1, &self.to_any());
        put_bytes(&mut signer_info, 2, &nested(2, |mode| mode.extend(&multi)));
        put_varint(&mut signer_info, 3, sequence);
        Assembled { multi_signature, extra_bits, elems, signer_info }
    }

    /// The key as `google.protobuf.Any`.
    fn to_any(&self) -> Vec<u8> {
        let mut key = Vec::new();
        put_varint(&mut key, 1, u64::from(self.threshold));
        for member in &self.members {
            let value = nested(1, |bytes| bytes.extend(member.as_bytes()));
            put_bytes(&mut key, 2, &any("/cosmos.crypto.secp256k1.PubKey", &value));
        }
        any("/cosmos.crypto.multisig.LegacyAminoPubKey", &key)
    }
}

/// What the signatures of a multi-signature account become in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// `cosmos.crypto.multisig.v1beta1.MultiSignature`: the one entry of `TxRaw.signatures`.
    pub multi_signature: Vec<u8>,
    /// `CompactBitArray.extra_bits_stored`.
    pub extra_bits: u32,
    /// `CompactBitArray.elems`.
    pub elems: Vec<u8>,
    /// `cosmos.tx.v1beta1.SignerInfo`: the one entry of `AuthInfo.signer_infos`.
    pub signer_info: Vec<u8>,
}

fn any(type_url: &str, value: &[u8]) -> Vec<u8> {
    let mut any = Vec::new();
    put_bytes(&mut any, 1, type_url.as_bytes());
    put_bytes(&mut any, 2, value);
    any
}

/// A message whose one field, of bytes, is what `fill` writes.
fn nested(number: u32, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut inner, mut outer) = (Vec::new(), Vec::new());
    fill(&mut inner);
    put_bytes(&mut outer, number, &inner);
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::new(Algorithm::Secp256k1, &[&[2], &[byte; 32][..]].concat()).unwrap()
    }

    #[test]
    fn accounts_a_chain_would_not_take_are_refused() {
        let members = |count: u8| (1..=count).map(key).collect::<Vec<_>>();
        assert!(LegacyAminoPubKey::new(2, members(3)).is_ok());
        assert_eq!(LegacyAminoPubKey::new(1, members(0)), Err(InvalidMultisig::Members(0)));
        assert_eq!(LegacyAminoPubKey::new(1, members(8)), Err(InvalidMultisig::Members(8)));
        for threshold in [0, 4] {
            let refused = Err(InvalidMultisig::Threshold { threshold, members: 3 });
            assert_eq!(LegacyAminoPubKey::new(threshold, members(3)), refused);
        }
        assert_eq!(LegacyAminoPubKey::new(1, vec![key(1); 2]), Err(InvalidMultisig::Twice));
        let other = PublicKey::new(Algorithm::Ed25519, &[3; 32]).unwrap();
        let refused = Err(InvalidMultisig::Algorithm(Algorithm::Ed25519));
        assert_eq!(LegacyAminoPubKey::new(1, vec![other]), refused);
    }

    // The public keys of testdata/cosmos/accounts.json; the addresses by CosmJS 0.33 and an amino
    // encoder written apart.
    #[test]
    fn address_is_the_one_cosmjs_has() {
        use crate::address::AddressKind;
        let text = include_str!("../testdata/cosmos/accounts.json");
        let accounts: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        let public = |account: &serde_json::Value| {
            let bytes = hex::decode(account["public"].as_str().unwrap()).unwrap();
            PublicKey::validated(Algorithm::Secp256k1, &bytes).unwrap()
        };
        let members: Vec<PublicKey> = accounts.iter().map(public).collect();
        let shown = |account: LegacyAminoPubKey| {
            account.address().to_bech32(&"cosmos".parse().unwrap(), AddressKind::Account)
        };
        let sorted = LegacyAminoPubKey::sorted(2, members.clone()).unwrap();
        assert_eq!(shown(sorted), "cosmos1zefvq6z9h3ewkpfnfdutzttdpn4xacjy54kzrk");
        let given = LegacyAminoPubKey::new(2, members).unwrap();
        assert_eq!(shown(given), "cosmos1r2la8hrktfn3280rk5a47de7g9cc9ln4rj8sez");
    }

    #[test]
    fn order_of_the_members_is_part_of_the_address_unless_sorted() {
        let [a, b] = [key(1), key(2)];
        let forth = LegacyAminoPubKey::new(1, vec![a.clone(), b.clone()]).unwrap();
        let back = LegacyAminoPubKey::new(1, vec![b.clone(), a.clone()]).unwrap();
        assert_ne!(forth.address(), back.address());
        let sorted = [vec![a.clone(), b.clone()], vec![b, a]]
            .map(|members| LegacyAminoPubKey::sorted(1, members).unwrap().address());
        assert_eq!(sorted[0], sorted[1]);
    }

    #[test]
    fn only_as_many_signatures_as_the_threshold_are_taken() {
        let account = LegacyAminoPubKey::new(2, (1..=3).map(key).collect()).unwrap();
        let assembled = account.assemble(0, |_| Some(&[7; 64]));
        assert_eq!(assembled.multi_signature.len(), 2 * 66);
        assert_eq!((assembled.extra_bits, assembled.elems), (3, vec![0b1100_0000]));
    }
}
