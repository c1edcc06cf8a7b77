//! A secret encrypted to whoever holds a seed, without needing the seed to encrypt.
//!
//! A recipient is an X25519 key pair (RFC 7748). Its private half is derived from a 32-byte seed:
//!
//! ```text
//! private   = HKDF-SHA256(salt = "virtengine slot key v1", secret = seed, info = slot id)
//! shared    = X25519(ephemeral private, public)              all zero is refused
//! key       = HKDF-SHA256(salt = ephemeral public ‖ public, secret = shared,
//!                         info = "virtengine slot seal v1")
//! sealed    = AES-256-GCM(key, aad = context, secret)
//! ```

use aws_lc_rs::agreement::PrivateKey;
use aws_lc_rs::agreement::UnparsedPublicKey;
use aws_lc_rs::agreement::X25519;
use aws_lc_rs::agreement::agree;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;

use crate::storage::aead;
use crate::storage::error::Fault;

/// A public half.
pub(super) type Public = [u8; 32];

/// What was encrypted: the ephemeral public half, and nonce ‖ ciphertext ‖ tag.
pub(super) type Sealed = (Public, Vec<u8>);

/// The public half that belongs to `seed` in the slot `slot`.
pub(super) fn public(seed: &SecretBytes, slot: &[u8]) -> Result<Public, Fault> {
    public_of(&private(seed, slot)?)
}

/// Encrypts `secret` to `public`, bound to `context`.
pub(super) fn seal(public: &Public, context: &[u8], secret: &SecretBytes) -> Result<Sealed, Fault> {
    let ephemeral = PrivateKey::generate(&X25519).map_err(|_| Fault::Random)?;
    let ephemeral_public = public_of(&ephemeral)?;
    let key = shared(&ephemeral, public, &[ephemeral_public, *public].concat())?;
    Ok((ephemeral_public, aead::seal(&key, context, secret)?))
}

/// Decrypts what [`seal`] made with the seed's private half; `None` if anything differs.
pub(super) fn open(
    (seed, slot): (&SecretBytes, &[u8]),
    context: &[u8],
    (ephemeral, sealed): (&Public, &[u8]),
) -> Option<SecretBytes> {
    let private = private(seed, slot).ok()?;
    let salt = [*ephemeral, public_of(&private).ok()?].concat();
    let key = shared(&private, ephemeral, &salt).ok()?;
    aead::open(&key, context, sealed)
}

fn private(seed: &SecretBytes, slot: &[u8]) -> Result<PrivateKey, Fault> {
    let scalar = aead::derive(seed.expose(), b"virtengine slot key v1", slot)?;
    let private = PrivateKey::from_private_key(&X25519, scalar.expose());
    burn_stack();
    private.map_err(|_| Fault::Library("X25519 key"))
}

fn public_of(private: &PrivateKey) -> Result<Public, Fault> {
    let public = private.compute_public_key().map_err(|_| Fault::Library("X25519 key"))?;
    public.as_ref().try_into().map_err(|_| Fault::Library("X25519 key"))
}

fn shared(private: &PrivateKey, peer: &Public, salt: &[u8]) -> Result<SecretBytes, Fault> {
    let peer = UnparsedPublicKey::new(&X25519, peer);
    let refused = Fault::Library("X25519 agreement"); // also for an all-zero result
    let key = agree(private, peer, refused, |shared| {
        aead::derive(shared, salt, b"virtengine slot seal v1")
    });
    burn_stack();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_seed_in_its_slot_and_context_opens() {
        let (seed, other) = (SecretBytes::copy_from(&[1; 32]), SecretBytes::copy_from(&[2; 32]));
        let secret = SecretBytes::copy_from(&[3; 32]);
        let to = public(&seed, b"slot").unwrap();
        let (ephemeral, sealed) = seal(&to, b"context", &secret).unwrap();
        let opened =
            |seed, slot: &[u8], context: &[u8]| open((seed, slot), context, (&ephemeral, &sealed));
        assert_eq!(opened(&seed, b"slot", b"context"), Some(secret));
        assert_eq!(opened(&other, b"slot", b"context"), None);
        assert_eq!(opened(&seed, b"other", b"context"), None);
        assert_eq!(opened(&seed, b"slot", b"other"), None);
    }

    #[test]
    fn private_half_is_derived_as_documented() {
        let seed = SecretBytes::copy_from(&[7; 32]);
        let expected = "1c33d66db82d3a96af222e6039caf6fe86fc2168dd07e23230d877bc88c41b09";
        assert_eq!(hex::encode(public(&seed, b"slot").unwrap()), expected);
    }

    #[test]
    fn all_zero_shared_secret_is_refused() {
        let secret = SecretBytes::copy_from(&[3; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        for small_order in [[0; 32], one] {
            assert!(seal(&small_order, b"context", &secret).is_err());
            let seed = SecretBytes::copy_from(&[1; 32]);
            assert_eq!(open((&seed, b"slot"), b"", (&small_order, &[0; 60])), None);
        }
    }
}
