//! Making keys and taking them in.

use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use kms::key::Algorithm;
use kms::key::PublicKey;
use kms_secret::SecretBytes;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use zeroize::Zeroize;

use crate::wire::Failure;
use crate::wire::FailureKind;
use crate::wire::ObjectName;
use crate::wire::Outcome;
use crate::wire::Wanted;
use crate::worker::attributes;
use crate::worker::failure::failure;
use crate::worker::failure::of;
use crate::worker::keys;
use crate::worker::mechanism;
use crate::worker::module::Module;
use crate::worker::template;

/// Makes a key pair, or finishes what was begun before; its public half.
pub(super) fn generate(
    module: &Module,
    session: &Session,
    (name, algorithm): (&ObjectName, Algorithm),
    resume: bool,
) -> Outcome<Vec<u8>> {
    if let Some(public) = begun(module, session, (name, algorithm), resume)? {
        return Ok(public.as_bytes().to_vec());
    }
    let public = template::public(name, algorithm, module.profile, true);
    let private = template::private(name, module.profile, true);
    let making = mechanism::making(algorithm, module.vendor_number(1)).map_err(of)?;
    let pair = session.generate_key_pair(&making, &public, &private).map_err(of)?;
    match checked(module, session, pair.1, algorithm) {
        Ok(public) => Ok(public.as_bytes().to_vec()),
        Err(wrong) => {
            session.destroy_object(pair.1).map_err(of)?;
            session.destroy_object(pair.0).map_err(of)?;
            Err(wrong)
        }
    }
}

/// Takes in a private key with its public half, or finishes what was begun before.
pub(super) fn import(
    module: &Module,
    session: &Session,
    (name, public): (&ObjectName, &PublicKey),
    (material, resume): (&SecretBytes, bool),
) -> Outcome<Vec<u8>> {
    let algorithm = public.algorithm();
    if let Some(found) = begun(module, session, (name, algorithm), resume)? {
        if found == *public {
            return Ok(found.as_bytes().to_vec());
        }
        return Err(failure(FailureKind::KeyChanged, "its public key is another"));
    }
    let secret = parts(algorithm, material, module)?;
    let mut template = template::taken_in(name, algorithm, module.profile, secret);
    let private = session.create_object(&template).map_err(of);
    template.iter_mut().for_each(wipe);
    let private = private?;
    if module.profile.makes_public_objects {
        let beside = template::beside(name, public, module.profile)?;
        if let Err(error) = session.create_object(&beside) {
            let told = of(error);
            session.destroy_object(private).map_err(of)?;
            return Err(told);
        }
    }
    Ok(public.as_bytes().to_vec())
}

/// What is there of a key of this name: the whole key, where an attempt before this one made it and
/// never heard so. Half a key is removed; without an attempt before, any is a conflict.
fn begun(
    module: &Module,
    session: &Session,
    (name, algorithm): (&ObjectName, Algorithm),
    resume: bool,
) -> Outcome<Option<PublicKey>> {
    let private = keys::private_keys(session, &Wanted::Id(name.id.clone()))?;
    let public = keys::of_class(session, ObjectClass::PUBLIC_KEY, &Wanted::Id(name.id.clone()))?;
    if private.is_empty() && public.is_empty() {
        return Ok(None);
    }
    if !resume {
        return Err(failure(FailureKind::Exists, name.label.clone()));
    }
    for handle in private.iter().chain(&public) {
        if attributes::label(session, *handle)? != name.label {
            return Err(failure(FailureKind::Exists, name.label.clone()));
        }
    }
    let whole = !module.profile.makes_public_objects || !public.is_empty();
    if let (&[one], true) = (private.as_slice(), whole)
        && let Ok(half) = checked(module, session, one, algorithm)
    {
        return Ok(Some(half));
    }
    for handle in private.into_iter().chain(public) {
        session.destroy_object(handle).map_err(of)?;
    }
    Ok(None)
}

/// The public half of a private key that is as guarded as it was asked to be.
fn checked(
    module: &Module,
    session: &Session,
    private: ObjectHandle,
    algorithm: Algorithm,
) -> Outcome<PublicKey> {
    let is = |wanted, bad: bool| {
        Ok(match attributes::attribute(session, private, wanted)? {
            Some(Attribute::Sensitive(value) | Attribute::Extractable(value)) => value == bad,
            _ => false, // a token that does not tell has not said that it is wrong
        })
    };
    if is(AttributeType::Sensitive, false)? || is(AttributeType::Extractable, true)? {
        return Err(failure(FailureKind::Refused, "the token made a key that could leave it"));
    }
    let public = attributes::public_half(session, private, module.profile)?;
    public.filter(|public| public.algorithm() == algorithm).ok_or_else(|| {
        failure(FailureKind::Device, "the token shows no public half of the key it made")
    })
}

/// The attributes that hold a private key.
fn parts(algorithm: Algorithm, material: &SecretBytes, module: &Module) -> Outcome<Vec<Attribute>> {
    if !algorithm.is_rsa() {
        let mut attributes = vec![Attribute::Value(material.expose().to_vec())];
        attributes.extend(template::curve(algorithm, module.profile));
        return Ok(attributes);
    }
    let info = PrivateKeyInfoRef::from_der(material.expose()).map_err(|_| malformed())?;
    let key =
        pkcs1::RsaPrivateKey::from_der(info.private_key.as_bytes()).map_err(|_| malformed())?;
    let bytes = |number: pkcs8::der::asn1::UintRef<'_>| number.as_bytes().to_vec();
    Ok(vec![
        Attribute::Modulus(bytes(key.modulus)),
        Attribute::PublicExponent(bytes(key.public_exponent)),
        Attribute::PrivateExponent(bytes(key.private_exponent)),
        Attribute::Prime1(bytes(key.prime1)),
        Attribute::Prime2(bytes(key.prime2)),
        Attribute::Exponent1(bytes(key.exponent1)),
        Attribute::Exponent2(bytes(key.exponent2)),
        Attribute::Coefficient(bytes(key.coefficient)),
    ])
}

fn malformed() -> Failure {
    failure(FailureKind::Refused, "the private key is no PKCS#8")
}

fn wipe(attribute: &mut Attribute) {
    match attribute {
        Attribute::Value(bytes)
        | Attribute::PrivateExponent(bytes)
        | Attribute::Prime1(bytes)
        | Attribute::Prime2(bytes)
        | Attribute::Exponent1(bytes)
        | Attribute::Exponent2(bytes)
        | Attribute::Coefficient(bytes) => bytes.zeroize(),
        _ => {}
    }
}
