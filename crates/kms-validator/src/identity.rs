//! Who the two ends of a connection are: an Ed25519 key each, for this connection and nothing else.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use kms_secret::SecretBytes;

/// The id of a node: the first 20 bytes of the SHA-256 of its public key, as 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; 20]);

impl NodeId {
    /// The id of a public key of 32 bytes.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let digest = digest::digest(&digest::SHA256, public_key);
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut id = [0; 20];
        hex::decode_to_slice(text, &mut id)?;
        Ok(Self(id))
    }
}

/// Our end's key. It signs handshakes; no consensus key is one.
pub struct Identity {
    pair: Ed25519KeyPair,
    public_key: [u8; 32],
}

/// Bytes that are no seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity is an Ed25519 seed of 32 bytes")]
pub struct InvalidIdentity;

impl Identity {
    /// The identity of a seed of 32 bytes.
    ///
    /// # Errors
    /// [`InvalidIdentity`] for anything else.
    pub fn from_seed(seed: &SecretBytes) -> Result<Self, InvalidIdentity> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        let pair = pair.map_err(|_| InvalidIdentity)?;
        let public_key = pair.public_key().as_ref().try_into().map_err(|_| InvalidIdentity)?;
        Ok(Self { pair, public_key })
    }

    /// The public half, 32 bytes.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The id a node would show for it.
    pub fn id(&self) -> NodeId {
        NodeId::of(&self.public_key)
    }

    /// Signs the challenge of a handshake.
    pub(crate) fn sign(&self, challenge: &[u8; 32]) -> Vec<u8> {
        self.pair.sign(challenge).as_ref().to_vec()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_has_the_id_that_cometbft_shows() {
        // RFC 8032 section 7.1, test 1; the id is the beginning of `printf … | xxd -r -p | sha256sum`.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let identity = Identity::from_seed(&SecretBytes::copy_from(&seed.unwrap())).unwrap();
        let public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(identity.public_key()), public_key);
        assert_eq!(identity.id().to_string(), "21fe31dfa154a261626bf854046fd2271b7bed4b");
        assert_eq!(format!("{identity:?}"), "Identity(21fe31dfa154a261626bf854046fd2271b7bed4b)");
        let short = SecretBytes::copy_from(&[7; 31]);
        assert_eq!(Identity::from_seed(&short).unwrap_err(), InvalidIdentity);
    }
}
