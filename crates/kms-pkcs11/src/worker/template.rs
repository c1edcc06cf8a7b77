//! The attributes our keys are made with: on the token, private, sensitive, never to leave, to sign
//! and for nothing else. What a token would otherwise allow by default is denied by name.

use cryptoki::object::Attribute;
use cryptoki::object::KeyType;
use cryptoki::object::ObjectClass;
use kms::key::Algorithm;
use kms::key::PublicKey;

use crate::point;
use crate::profile::Profile;
use crate::wire::Failure;
use crate::wire::FailureKind;
use crate::wire::ObjectName;
use crate::wire::Outcome;
use crate::worker::failure::failure;

/// 65537.
const EXPONENT: &[u8] = &[1, 0, 1];

/// The public half of a pair to be made.
pub(super) fn public(
    name: &ObjectName,
    algorithm: Algorithm,
    profile: &Profile,
    on_token: bool,
) -> Vec<Attribute> {
    let mut attributes = named(name);
    attributes.push(Attribute::Token(on_token));
    attributes.push(Attribute::Verify(true));
    attributes.extend(shape(algorithm, profile));
    attributes
}

/// The private half of a pair to be made.
pub(super) fn private(name: &ObjectName, profile: &Profile, on_token: bool) -> Vec<Attribute> {
    let mut attributes = named(name);
    attributes.push(Attribute::Token(on_token));
    attributes.extend(guarded(profile));
    attributes
}

/// A private key to be taken in; `secret` are the attributes that hold it.
pub(super) fn taken_in(
    name: &ObjectName,
    algorithm: Algorithm,
    profile: &Profile,
    secret: Vec<Attribute>,
) -> Vec<Attribute> {
    let mut attributes = named(name);
    attributes.push(Attribute::Token(true));
    attributes.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    attributes.push(Attribute::KeyType(key_type(algorithm)));
    attributes.extend(guarded(profile));
    attributes.extend(secret);
    attributes
}

/// The public key object beside a private key that was taken in.
pub(super) fn beside(
    name: &ObjectName,
    public: &PublicKey,
    profile: &Profile,
) -> Outcome<Vec<Attribute>> {
    let algorithm = public.algorithm();
    let mut attributes = named(name);
    attributes.push(Attribute::Token(true));
    attributes.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
    attributes.push(Attribute::KeyType(key_type(algorithm)));
    attributes.push(Attribute::Verify(true));
    match point::rsa_parts(public.as_bytes()).filter(|_| algorithm.is_rsa()) {
        Some((modulus, exponent)) => {
            attributes.push(Attribute::Modulus(modulus));
            attributes.push(Attribute::PublicExponent(exponent));
        }
        None => {
            let point = point::points(public).into_iter().next().ok_or_else(no_point)?;
            attributes.push(Attribute::EcPoint(point));
            attributes.extend(shape(algorithm, profile));
        }
    }
    Ok(attributes)
}

/// The curve as this token names it, or nothing for RSA.
pub(super) fn curve(algorithm: Algorithm, profile: &Profile) -> Option<Attribute> {
    point::curve_name(algorithm, profile.edwards_name).map(Attribute::EcParams)
}

pub(super) fn key_type(algorithm: Algorithm) -> KeyType {
    match algorithm {
        Algorithm::Ed25519 => KeyType::EC_EDWARDS,
        Algorithm::Secp256k1 | Algorithm::P256 => KeyType::EC,
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => KeyType::RSA,
    }
}

fn named(name: &ObjectName) -> Vec<Attribute> {
    vec![Attribute::Label(name.label.clone().into_bytes()), Attribute::Id(name.id.clone())]
}

fn guarded(profile: &Profile) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    if profile.denies_uses {
        attributes.extend([
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::SignRecover(false),
        ]);
    }
    attributes
}

fn shape(algorithm: Algorithm, profile: &Profile) -> Vec<Attribute> {
    let rsa = |bits: u64| {
        vec![Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(EXPONENT.to_vec())]
    };
    match algorithm {
        Algorithm::Rsa2048 => rsa(2048),
        Algorithm::Rsa4096 => rsa(4096),
        Algorithm::Ed25519 | Algorithm::Secp256k1 | Algorithm::P256 => {
            curve(algorithm, profile).into_iter().collect()
        }
    }
}

fn no_point() -> Failure {
    failure(FailureKind::Refused, "the public key is no point of its curve")
}
