//! AES-256-GCM and HKDF-SHA256 over locked memory, each in the one way this room uses it.
//!
//! A sealed secret is `nonce (12) ‖ ciphertext ‖ tag (16)`; the nonce is random, and no key seals
//! more than a few million secrets (NIST SP 800-38D section 8.3 allows 2³²).

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::Salt;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;

use crate::storage::error::Fault;
use crate::storage::software::random;

/// Length of every symmetric key here, in bytes.
pub(in crate::storage) const KEY_LEN: usize = 32;

/// What sealing adds to the length of a secret, in bytes.
pub(in crate::storage) const OVERHEAD: usize = NONCE_LEN + 16;

/// Seals `secret` under `key` (32 bytes), bound to `context`.
pub(in crate::storage) fn seal(
    key: &SecretBytes,
    context: &[u8],
    secret: &SecretBytes,
) -> Result<Vec<u8>, Fault> {
    let nonce = random(NONCE_LEN)?;
    let mut text = SecretBytes::copy_from(secret.expose());
    let tag = cipher(key)
        .zip(Nonce::try_assume_unique_for_key(nonce.expose()).ok())
        .and_then(|(cipher, nonce)| {
            cipher.seal_in_place_separate_tag(nonce, Aad::from(context), text.expose_mut()).ok()
        })
        .ok_or(Fault::Library("AES-256-GCM"))?;
    burn_stack();
    Ok([nonce.expose(), text.expose(), tag.as_ref()].concat())
}

/// Opens what [`seal`] made; `None` if a bit of it, the key or the context differ.
pub(in crate::storage) fn open(
    key: &SecretBytes,
    context: &[u8],
    sealed: &[u8],
) -> Option<SecretBytes> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let (text, tag) = rest.split_at_checked(rest.len().checked_sub(OVERHEAD - NONCE_LEN)?)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut secret = SecretBytes::zeroed(text.len());
    let opened = cipher(key)?.open_separate_gather(
        nonce,
        Aad::from(context),
        text,
        tag,
        secret.expose_mut(),
    );
    burn_stack();
    opened.ok().map(|()| secret)
}

/// 32 bytes derived from `secret` by HKDF-SHA256 (RFC 5869) with `salt` and `info`.
pub(in crate::storage) fn derive(
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
) -> Result<SecretBytes, Fault> {
    let mut derived = SecretBytes::zeroed(KEY_LEN);
    let filled = Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], HKDF_SHA256)
        .and_then(|okm| okm.fill(derived.expose_mut()));
    burn_stack();
    filled.map(|()| derived).map_err(|_| Fault::Library("HKDF-SHA256"))
}

fn cipher(key: &SecretBytes) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new)
}
