//! What the caller of the parser must do: compute the public half and compare it with the file's.

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use kms_formats::algorithm::Algorithm;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateKey;
use kms_formats::public::PublicKey;

/// The key of a file whose numbers and halves belong together.
pub(crate) fn accepted(parsed: ParsedPrivateKey) -> Option<PrivateKey> {
    let public = public_of(&parsed.key)?;
    let fits = parsed.claimed_public.is_none_or(|claimed| claimed == public);
    fits.then_some(parsed.key)
}

/// The public half, computed; `None` when an RSA key's numbers do not belong together.
fn public_of(key: &PrivateKey) -> Option<PublicKey> {
    let secret = key.bytes.expose();
    let public = match key.algorithm {
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_seed_unchecked(secret).unwrap();
            pair.public_key().as_ref().to_vec()
        }
        Algorithm::Secp256k1 => {
            k256::SecretKey::from_slice(secret).unwrap().public_key().to_sec1_bytes().into()
        }
        Algorithm::P256 => {
            p256::SecretKey::from_slice(secret).unwrap().public_key().to_sec1_bytes().into()
        }
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            RsaKeyPair::from_pkcs8(secret).ok()?.public_key().as_ref().to_vec()
        }
    };
    Some(PublicKey::validated(key.algorithm, &public).unwrap())
}
