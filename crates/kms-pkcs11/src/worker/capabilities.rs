//! What a token can do for us: its mechanisms, read through what its profile knows, and where that
//! knows nothing, each curve tried with a key that is thrown away.

use cryptoki::mechanism::MechanismType;
use cryptoki::session::Session;
use kms::key::Algorithm;

use crate::wire::Capabilities;
use crate::wire::FailureKind;
use crate::wire::ObjectName;
use crate::wire::Outcome;
use crate::worker::failure::of;
use crate::worker::mechanism;
use crate::worker::module::Module;
use crate::worker::template;

/// What it can do, and whether Ed25519 goes by the vendor's own numbers.
pub(super) fn ask(module: &Module, session: &Session) -> Outcome<(Capabilities, bool)> {
    let listed = module.pkcs11.get_mechanism_list(module.slot).map_err(of)?;
    let has = |wanted: MechanismType| listed.contains(&wanted);
    let standard_eddsa = has(MechanismType::ECC_EDWARDS_KEY_PAIR_GEN) && has(MechanismType::EDDSA);
    let vendor_eddsa = !standard_eddsa && has_vendor_eddsa(module);
    let rsa_signs = has(MechanismType::RSA_PKCS)
        && (has(MechanismType::RSA_PKCS_PSS) || module.profile.unlisted_pss);
    let rsa_bits = if rsa_signs { rsa_bits(module) } else { 0 };
    let possible = |algorithm: Algorithm| match algorithm {
        Algorithm::Ed25519 => standard_eddsa || vendor_eddsa,
        Algorithm::Secp256k1 | Algorithm::P256 => {
            has(MechanismType::ECC_KEY_PAIR_GEN) && has(MechanismType::ECDSA)
        }
        Algorithm::Rsa2048 => rsa_bits >= 2048,
        Algorithm::Rsa4096 => rsa_bits >= 4096,
    };
    let mut algorithms = Vec::new();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| possible(*algorithm)) {
        let has_curve = match module.profile.has_curve(algorithm) {
            Some(known) => known,
            None => try_curve(module, session, algorithm)?,
        };
        if has_curve {
            algorithms.push(algorithm);
        }
    }
    let takes = |algorithm: &Algorithm| module.profile.takes(*algorithm);
    let importable = algorithms.iter().copied().filter(takes).collect();
    if !module.profile.generates {
        algorithms.clear();
    }
    let unwraps = has(MechanismType::RSA_PKCS_OAEP);
    let mechanisms = listed.iter().map(ToString::to_string).collect();
    Ok((Capabilities { algorithms, importable, unwraps, mechanisms }, vendor_eddsa))
}

fn has_vendor_eddsa(module: &Module) -> bool {
    let Some([_, _, signing]) = module.profile.vendor_eddsa else { return false };
    MechanismType::new_vendor_defined(signing)
        .is_ok_and(|number| module.pkcs11.get_mechanism_info(module.slot, number).is_ok())
}

/// The longest modulus that can be made, in bits; some tokens count in bytes.
fn rsa_bits(module: &Module) -> usize {
    let info = module.pkcs11.get_mechanism_info(module.slot, MechanismType::RSA_PKCS_KEY_PAIR_GEN);
    match info.map(|info| info.max_key_size()) {
        Ok(bytes @ 256..=1024) => bytes * 8,
        Ok(bits) => bits,
        Err(_) => 0,
    }
}

/// Makes a key pair that is no object of the token and goes with the session.
fn try_curve(module: &Module, session: &Session, algorithm: Algorithm) -> Outcome<bool> {
    let name = ObjectName { id: b"try".to_vec(), label: "virtengine:try".to_owned() };
    let public = template::public(&name, algorithm, module.profile, false);
    let private = template::private(&name, module.profile, false);
    let making = mechanism::making(algorithm, None).map_err(of)?;
    match session.generate_key_pair(&making, &public, &private) {
        Ok((public, private)) => {
            // Where session objects are not what they should be, these still go.
            session.destroy_object(private).map_err(of)?;
            session.destroy_object(public).map_err(of)?;
            Ok(true)
        }
        Err(error) => match of(error) {
            trouble if trouble.kind == FailureKind::Session => Err(trouble),
            _ => Ok(false),
        },
    }
}
