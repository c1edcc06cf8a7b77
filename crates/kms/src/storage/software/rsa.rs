//! RSA with SHA-256 (RFC 8017): PSS with a salt of 32 bytes, or PKCS#1 v1.5; by aws-lc, which is
//! constant-time, blinds, and checks each signature against faults in the Chinese remainder step.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::digest::SHA256;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::signature::RSA_PSS_2048_8192_SHA256;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use aws_lc_rs::signature::RsaEncoding;
use aws_lc_rs::signature::RsaKeyPair;
use aws_lc_rs::signature::RsaParameters;
use aws_lc_rs::signature::UnparsedPublicKey;
use kms_secret::SecretBytes;

use crate::key::Padding;
use crate::storage::error::Fault;

/// A private key with its factors; lives in aws-lc's heap.
pub(super) type Pair = RsaKeyPair;

/// Makes a key of `size` (FIPS 186-5 appendix A.1.3): PKCS#8 DER. Takes a fraction of a second for
/// 2048 bits, seconds for 4096.
pub(super) fn draw(size: KeySize) -> Result<SecretBytes, Fault> {
    let pair = RsaKeyPair::generate(size).map_err(|_| Fault::Library("rsa key generation"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Fault::Library("rsa key encoding"))?;
    Ok(SecretBytes::copy_from(der.as_ref())) // the library wipes its copy when dropped
}

/// Reads PKCS#8 DER; the library checks that all parts of the key fit each other.
pub(super) fn parse(pkcs8: &[u8], size: KeySize) -> Result<Pair, &'static str> {
    let pair = RsaKeyPair::from_pkcs8(pkcs8)
        .map_err(|_| "its DER is not PKCS#8, or its numbers do not fit each other")?;
    if pair.public_modulus_len() != size.len() {
        return Err("its modulus has another length than the algorithm says");
    }
    if exponent(pair.public_key().as_ref()).is_none_or(|e| e < 65_537) {
        return Err("its public exponent is below 65537"); // FIPS 186-5 section 5.1
    }
    Ok(pair)
}

/// DER of `RSAPublicKey`.
pub(super) fn public(pair: &Pair) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}

/// As many bytes as the modulus; of a SHA-256 digest made elsewhere where `prehashed` says so.
pub(super) fn sign(
    pair: &Pair,
    (message, prehashed): (&[u8], bool),
    padding: Padding,
) -> Result<Vec<u8>, Fault> {
    let mut signature = vec![0; pair.public_modulus_len()];
    let padding = encoding(padding);
    if prehashed {
        Digest::import_less_safe(message, &SHA256)
            .and_then(|digest| pair.sign_digest(padding, &digest, &mut signature))
    } else {
        pair.sign(padding, &SystemRandom::new(), message, &mut signature)
    }
    .map_err(|_| Fault::Library("rsa signing"))?;
    Ok(signature)
}

pub(super) fn verify(
    public: &[u8],
    (message, prehashed): (&[u8], bool),
    signature: &[u8],
    padding: Padding,
) -> bool {
    let key = UnparsedPublicKey::new(parameters(padding), public);
    if !prehashed {
        return key.verify(message, signature).is_ok();
    }
    Digest::import_less_safe(message, &SHA256)
        .is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
}

fn encoding(padding: Padding) -> &'static dyn RsaEncoding {
    match padding {
        Padding::Pss => &RSA_PSS_SHA256,
        Padding::Pkcs1v15 => &RSA_PKCS1_SHA256,
    }
}

fn parameters(padding: Padding) -> &'static RsaParameters {
    match padding {
        Padding::Pss => &RSA_PSS_2048_8192_SHA256,
        Padding::Pkcs1v15 => &RSA_PKCS1_2048_8192_SHA256,
    }
}

/// The public exponent of a DER `RSAPublicKey`, whose last element it is (at most 5 bytes, as the
/// library has checked).
fn exponent(public: &[u8]) -> Option<u64> {
    (3..=5).find_map(|len: u8| {
        let (head, e) = public.split_at_checked(public.len().checked_sub(len.into())?)?;
        let number = e.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        head.ends_with(&[0x02, len]).then_some(number)
    })
}
