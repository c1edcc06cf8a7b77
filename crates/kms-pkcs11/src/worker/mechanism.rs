//! Mechanisms, in the one way each is used here.

use cryptoki::error::Result;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::eddsa::EddsaParams;
use cryptoki::mechanism::eddsa::EddsaSignatureScheme;
use cryptoki::mechanism::rsa::PkcsMgfType;
use cryptoki::mechanism::rsa::PkcsOaepParams;
use cryptoki::mechanism::rsa::PkcsOaepSource;
use cryptoki::mechanism::rsa::PkcsPssParams;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use kms::key::Algorithm;

use crate::wire::SignMechanism;

/// The mechanism that signs; `vendor` is a vendor's own number of EdDSA.
pub(super) fn signing(how: SignMechanism, vendor: Option<u64>) -> Result<Mechanism<'static>> {
    Ok(match (how, vendor) {
        (SignMechanism::Eddsa, Some(number)) => own(number)?,
        (SignMechanism::Eddsa, None) => {
            Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
        }
        (SignMechanism::Ecdsa, _) => Mechanism::Ecdsa,
        (SignMechanism::RsaPkcs, _) => Mechanism::RsaPkcs,
        (SignMechanism::RsaPss, _) => Mechanism::RsaPkcsPss(PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: 32.into(),
        }),
    })
}

/// The mechanism that makes a key pair.
pub(super) fn making(algorithm: Algorithm, vendor: Option<u64>) -> Result<Mechanism<'static>> {
    Ok(match (algorithm, vendor) {
        (Algorithm::Ed25519, Some(number)) => own(number)?,
        (Algorithm::Ed25519, None) => Mechanism::EccEdwardsKeyPairGen,
        (Algorithm::Secp256k1 | Algorithm::P256, _) => Mechanism::EccKeyPairGen,
        (Algorithm::Rsa2048 | Algorithm::Rsa4096, _) => Mechanism::RsaPkcsKeyPairGen,
    })
}

/// RSA-OAEP with an empty label; SHA-1 where the token has nothing else (in OAEP it is sound).
pub(super) fn unwrapping(sha256: bool) -> Mechanism<'static> {
    let (hash, mask) = if sha256 {
        (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256)
    } else {
        (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1)
    };
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}

fn own(number: u64) -> Result<Mechanism<'static>> {
    let kind = MechanismType::new_vendor_defined(number)?;
    Ok(Mechanism::VendorDefined(VendorDefinedMechanism::new::<u8>(kind, None)))
}
