//! Finding keys, signing with them, removing them.

use cryptoki::object::Attribute;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use kms::key::PublicKey;

use crate::point;
use crate::wire::Address;
use crate::wire::FailureKind;
use crate::wire::Object;
use crate::wire::Outcome;
use crate::wire::SignMechanism;
use crate::wire::Wanted;
use crate::worker::attributes;
use crate::worker::failure::failure;
use crate::worker::failure::of;
use crate::worker::mechanism;
use crate::worker::module::Module;

/// The most private keys that are described in one answer.
const LISTED: usize = 4096;

/// Signs. The handle is looked up once and kept until the next error.
pub(super) fn sign(
    module: &Module,
    session: &Session,
    (key, how): (Address<'_>, SignMechanism),
    data: &[u8],
) -> Outcome<Vec<u8>> {
    let handle = match module.kept_handle(key.id, key.public) {
        Some(handle) => handle,
        None => {
            let found = locate(module, session, key)?;
            module.keep_handle(key.id, key.public, found);
            found
        }
    };
    let vendor = module.vendor_number(2);
    let mechanism = mechanism::signing(how, vendor).map_err(of)?;
    session.sign(&mechanism, handle, data).map_err(of)
}

/// The handle of the private key of this name whose public half is the one expected.
fn locate(module: &Module, session: &Session, key: Address<'_>) -> Outcome<ObjectHandle> {
    let expected = PublicKey::new(key.algorithm, key.public)
        .map_err(|_| failure(FailureKind::Refused, "the public key has the wrong form"))?;
    if key.id.is_empty() {
        return by_public_half(module, session, &expected);
    }
    let found = private_keys(session, &Wanted::Id(key.id.to_vec()))?;
    if found.is_empty() {
        return Err(failure(FailureKind::NotFound, hex::encode(key.id)));
    }
    let mut why = String::new();
    for handle in found {
        let label = attributes::label(session, handle)?;
        let public = attributes::public_half(session, handle, module.profile)?;
        // Where a token tells no public half, the signature tells.
        let same_key = public.as_ref().is_none_or(|public| *public == expected);
        let same_label = key.label.is_empty() || label == key.label;
        match (same_key, same_label) {
            (true, true) => return Ok(handle),
            (false, _) => why = "its public key is not the one on record".to_owned(),
            (true, false) => why = format!("its label is `{label}`, not `{}`", key.label),
        }
    }
    Err(failure(FailureKind::KeyChanged, why))
}

/// The private key beside the public key object of this value; where there is none, each private key
/// is looked at.
fn by_public_half(
    module: &Module,
    session: &Session,
    expected: &PublicKey,
) -> Outcome<ObjectHandle> {
    for template in public_templates(expected) {
        for public in session.find_objects(&template).map_err(of)? {
            let private = match attributes::id(session, public)? {
                id if id.is_empty() => Wanted::Label(attributes::label(session, public)?),
                id => Wanted::Id(id),
            };
            for handle in private_keys(session, &private)? {
                let half = attributes::public_half(session, handle, module.profile)?;
                if half.as_ref() == Some(expected) {
                    return Ok(handle);
                }
            }
        }
    }
    for handle in private_keys(session, &Wanted::All)? {
        let half = attributes::public_half(session, handle, module.profile)?;
        if half.as_ref() == Some(expected) {
            return Ok(handle);
        }
    }
    Err(failure(FailureKind::NotFound, "no private key of this public key"))
}

fn public_templates(public: &PublicKey) -> Vec<Vec<Attribute>> {
    let class = || Attribute::Class(ObjectClass::PUBLIC_KEY);
    if public.algorithm().is_rsa() {
        let parts = point::rsa_parts(public.as_bytes()).into_iter();
        return parts.map(|(modulus, _)| vec![class(), Attribute::Modulus(modulus)]).collect();
    }
    point::points(public).into_iter().map(|p| vec![class(), Attribute::EcPoint(p)]).collect()
}

/// The private keys of this name.
pub(super) fn private_keys(session: &Session, wanted: &Wanted) -> Outcome<Vec<ObjectHandle>> {
    of_class(session, ObjectClass::PRIVATE_KEY, wanted)
}

/// The objects of this class and name.
pub(super) fn of_class(
    session: &Session,
    class: ObjectClass,
    wanted: &Wanted,
) -> Outcome<Vec<ObjectHandle>> {
    let mut template = vec![Attribute::Class(class)];
    match wanted {
        Wanted::All => {}
        Wanted::Label(label) => template.push(Attribute::Label(label.clone().into_bytes())),
        Wanted::Id(id) => template.push(Attribute::Id(id.clone())),
    }
    session.find_objects(&template).map_err(of)
}

/// The private keys of this name, described.
pub(super) fn find(module: &Module, session: &Session, wanted: &Wanted) -> Outcome<Vec<Object>> {
    let handles = private_keys(session, wanted)?;
    let described = handles.into_iter().take(LISTED);
    described.map(|handle| attributes::describe(session, handle, module.profile)).collect()
}

/// Removes both halves of the key that has this id and label.
pub(super) fn destroy(session: &Session, (id, label): (&[u8], &str)) -> Outcome<()> {
    let private = named(session, ObjectClass::PRIVATE_KEY, (id, label))?;
    let public = named(session, ObjectClass::PUBLIC_KEY, (id, label))?;
    if private.is_empty() && public.is_empty() {
        return Err(failure(FailureKind::NotFound, label));
    }
    for handle in private.into_iter().chain(public) {
        session.destroy_object(handle).map_err(of)?;
    }
    Ok(())
}

/// The objects of a class with this id and this label, the latter compared here: some tokens find by
/// one of them only.
pub(super) fn named(
    session: &Session,
    class: ObjectClass,
    (id, label): (&[u8], &str),
) -> Outcome<Vec<ObjectHandle>> {
    let wanted =
        if id.is_empty() { Wanted::Label(label.to_owned()) } else { Wanted::Id(id.to_vec()) };
    let mut found = Vec::new();
    for handle in of_class(session, class, &wanted)? {
        if attributes::label(session, handle)? == label && attributes::id(session, handle)? == id {
            found.push(handle);
        }
    }
    Ok(found)
}
