//! Private keys as PKCS#8 (RFC 5958), written straight into locked memory.

use der::Encode;
use der::asn1::OctetStringRef;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use sec1::EcPrivateKey;

use crate::algorithm::Algorithm;
use crate::identifier;
use crate::private::PrivateKey;

impl PrivateKey {
    /// The DER of PKCS#8 `PrivateKeyInfo` version 1 (the number 0), which OpenSSL and every other
    /// library reads: RFC 8410 section 7 for Ed25519, RFC 5915 without the optional public key for
    /// the curves, RFC 8017 for RSA.
    ///
    /// # Panics
    /// When the key has more than 256 MiB, which no key has.
    pub fn to_pkcs8_der(&self) -> SecretBytes {
        let written = pkcs8(self.algorithm, self.bytes.expose());
        burn_stack();
        written.expect("DER holds 256 MiB and no key is so long")
    }
}

/// The canonical PKCS#8 of an RSA key.
///
/// # Errors
/// When the key is too long for DER.
pub(crate) fn rsa_pkcs8(
    algorithm: Algorithm,
    key: &RsaPrivateKeyRef<'_>,
) -> der::Result<SecretBytes> {
    wrapped(algorithm, &encode(key)?)
}

fn pkcs8(algorithm: Algorithm, key: &[u8]) -> der::Result<SecretBytes> {
    match algorithm {
        Algorithm::Ed25519 => wrapped(algorithm, &encode(&OctetStringRef::new(key)?)?),
        Algorithm::Secp256k1 | Algorithm::P256 => {
            let key = EcPrivateKey { private_key: key, parameters: None, public_key: None };
            wrapped(algorithm, &encode(&key)?)
        }
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => Ok(SecretBytes::copy_from(key)),
    }
}

fn wrapped(algorithm: Algorithm, key: &SecretBytes) -> der::Result<SecretBytes> {
    let private_key = OctetStringRef::new(key.expose())?;
    encode(&PrivateKeyInfoRef::new(identifier::identifier(algorithm), private_key))
}

fn encode(value: &impl Encode) -> der::Result<SecretBytes> {
    let mut bytes = SecretBytes::zeroed(usize::try_from(value.encoded_len()?)?);
    value.encode_to_slice(bytes.expose_mut())?;
    Ok(bytes)
}
