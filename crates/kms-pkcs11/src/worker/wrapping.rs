//! The RSA key that the seeds of keystore slots are wrapped to: it decrypts, and does nothing else.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::ObjectClass;
use cryptoki::session::Session;
use kms_secret::SecretBytes;
use pkcs1::RsaPublicKey;
use pkcs8::der::Encode;
use pkcs8::der::asn1::UintRef;

use crate::wire::Answer;
use crate::wire::FailureKind;
use crate::wire::Outcome;
use crate::wire::Wanted;
use crate::worker::attributes::attribute;
use crate::worker::failure::failure;
use crate::worker::failure::of;
use crate::worker::keys;
use crate::worker::mechanism;

/// 128 bits of strength (NIST SP 800-57 Part 1, table 2); the most a TPM has.
const BITS: u64 = 3072;
/// Where that is too long.
const FEWER_BITS: u64 = 2048;
const EXPONENT: &[u8] = &[1, 0, 1];

/// The public half of the wrapping key of this name, which is made if there is none.
pub(super) fn wrapping_key(session: &Session, label: &str) -> Outcome<Answer> {
    let wanted = Wanted::Label(label.to_owned());
    if keys::private_keys(session, &wanted)?.is_empty() {
        make(session, label, BITS).or_else(|failed| match failed.kind {
            FailureKind::Refused | FailureKind::Unsupported => make(session, label, FEWER_BITS),
            _ => Err(failed),
        })?;
    }
    let public = keys::of_class(session, ObjectClass::PUBLIC_KEY, &wanted)?;
    let [public] = public.as_slice() else {
        return Err(failure(FailureKind::Refused, format!("{} keys `{label}`", public.len())));
    };
    let modulus = attribute(session, *public, AttributeType::Modulus)?;
    let exponent = attribute(session, *public, AttributeType::PublicExponent)?;
    let (Some(Attribute::Modulus(modulus)), Some(Attribute::PublicExponent(exponent))) =
        (modulus, exponent)
    else {
        return Err(failure(FailureKind::Refused, "the wrapping key shows no public half"));
    };
    let der = der(&modulus, &exponent)
        .ok_or_else(|| failure(FailureKind::Refused, "the wrapping key is no RSA key"))?;
    Ok(Answer::WrappingKey { public: der, sha256: true })
}

/// Unwraps a seed.
pub(super) fn unwrap(
    session: &Session,
    label: &str,
    (sha256, ciphertext): (bool, &[u8]),
) -> Outcome<SecretBytes> {
    let found = keys::private_keys(session, &Wanted::Label(label.to_owned()))?;
    let [key] = found.as_slice() else {
        return Err(failure(FailureKind::NotFound, label));
    };
    let mut seed = session.decrypt(&mechanism::unwrapping(sha256), *key, ciphertext).map_err(of)?;
    Ok(SecretBytes::take(&mut seed))
}

fn make(session: &Session, label: &str, bits: u64) -> Outcome<()> {
    let name = || Attribute::Label(label.as_bytes().to_vec());
    let id = || Attribute::Id(label.as_bytes().to_vec());
    let public = [
        name(),
        id(),
        Attribute::Token(true),
        Attribute::Encrypt(true),
        Attribute::ModulusBits(bits.into()),
        Attribute::PublicExponent(EXPONENT.to_vec()),
    ];
    let private = [
        name(),
        id(),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
    ];
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).map_err(of)?;
    Ok(())
}

fn der(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let modulus = UintRef::new(modulus).ok()?;
    let public_exponent = UintRef::new(exponent).ok()?;
    RsaPublicKey { modulus, public_exponent }.to_der().ok()
}
