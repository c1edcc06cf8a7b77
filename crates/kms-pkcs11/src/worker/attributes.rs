//! Reading objects, one attribute at a time: some tokens answer a question for several with a refusal
//! of all of them.

use cryptoki::error::Error;
use cryptoki::error::RvError;
use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::KeyType;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use kms::key::PublicKey;

use crate::point;
use crate::profile::Profile;
use crate::wire::Object;
use crate::wire::Outcome;
use crate::worker::failure::of;

/// An attribute; `None` where the object has none, or will not show it.
pub(super) fn attribute(
    session: &Session,
    object: ObjectHandle,
    wanted: AttributeType,
) -> Outcome<Option<Attribute>> {
    match session.get_attributes(object, &[wanted]) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(Error::Pkcs11(
            RvError::ArgumentsBad
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::AttributeSensitive
            | RvError::FunctionFailed,
            _,
        )) => Ok(None),
        // A value that the binding cannot put into its types.
        Err(Error::InvalidValue | Error::TryFromSlice(_) | Error::NotSupported) => Ok(None),
        Err(error) => Err(of(error)),
    }
}

/// Everything we want to know of a private key.
pub(super) fn describe(
    session: &Session,
    private: ObjectHandle,
    profile: &Profile,
) -> Outcome<Object> {
    let flag = |wanted| {
        Ok(match attribute(session, private, wanted)? {
            Some(
                Attribute::Local(value)
                | Attribute::Sensitive(value)
                | Attribute::Extractable(value)
                | Attribute::AlwaysSensitive(value)
                | Attribute::NeverExtractable(value)
                | Attribute::Sign(value),
            ) => value,
            _ => false,
        })
    };
    let public = public_half(session, private, profile)?;
    Ok(Object {
        id: id(session, private)?,
        label: label(session, private)?,
        public: public.map(|key| (key.algorithm(), key.as_bytes().to_vec())),
        local: flag(AttributeType::Local)?,
        sensitive: flag(AttributeType::Sensitive)?,
        extractable: flag(AttributeType::Extractable)?,
        always_sensitive: flag(AttributeType::AlwaysSensitive)?,
        never_extractable: flag(AttributeType::NeverExtractable)?,
        signs: flag(AttributeType::Sign)?,
    })
}

pub(super) fn id(session: &Session, object: ObjectHandle) -> Outcome<Vec<u8>> {
    Ok(match attribute(session, object, AttributeType::Id)? {
        Some(Attribute::Id(id)) => id,
        _ => Vec::new(),
    })
}

pub(super) fn label(session: &Session, object: ObjectHandle) -> Outcome<String> {
    Ok(match attribute(session, object, AttributeType::Label)? {
        Some(Attribute::Label(label)) => String::from_utf8_lossy(&label).into_owned(),
        _ => String::new(),
    })
}

/// The public half of a private key: from itself, or from the public key object beside it.
pub(super) fn public_half(
    session: &Session,
    private: ObjectHandle,
    profile: &Profile,
) -> Outcome<Option<PublicKey>> {
    if let Some(found) = public_of(session, private, profile)? {
        return Ok(Some(found));
    }
    for beside in siblings(session, private)? {
        if let Some(found) = public_of(session, beside, profile)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The public key objects with the id of a private key, or else with its label.
pub(super) fn siblings(session: &Session, private: ObjectHandle) -> Outcome<Vec<ObjectHandle>> {
    let public = Attribute::Class(ObjectClass::PUBLIC_KEY);
    let named = match id(session, private)? {
        id if id.is_empty() => Attribute::Label(label(session, private)?.into_bytes()),
        id => Attribute::Id(id),
    };
    session.find_objects(&[public, named]).map_err(of)
}

/// The public half that an object itself tells.
pub(super) fn public_of(
    session: &Session,
    object: ObjectHandle,
    profile: &Profile,
) -> Outcome<Option<PublicKey>> {
    let kind = match attribute(session, object, AttributeType::KeyType)? {
        Some(Attribute::KeyType(kind)) => kind,
        _ if profile.vendor_eddsa.is_some() => KeyType::EC_EDWARDS, // a number of the vendor's own
        _ => return Ok(None),
    };
    if kind == KeyType::RSA {
        return rsa_of(session, object);
    }
    let Some(Attribute::EcParams(params)) = attribute(session, object, AttributeType::EcParams)?
    else {
        return Ok(None);
    };
    let Some(Attribute::EcPoint(point)) = attribute(session, object, AttributeType::EcPoint)?
    else {
        return Ok(None);
    };
    Ok(point::curve(&params).and_then(|curve| point::of_point(curve, &point)))
}

fn rsa_of(session: &Session, object: ObjectHandle) -> Outcome<Option<PublicKey>> {
    let modulus = attribute(session, object, AttributeType::Modulus)?;
    let exponent = attribute(session, object, AttributeType::PublicExponent)?;
    Ok(match (modulus, exponent) {
        (Some(Attribute::Modulus(modulus)), Some(Attribute::PublicExponent(exponent))) => {
            point::of_rsa(&modulus, &exponent)
        }
        _ => None,
    })
}
