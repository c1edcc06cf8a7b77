//! The decisions, with real signatures.

mod attacks;
mod evidence;
mod examples;
mod rules;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;

use crate::key::Algorithm;
use crate::key::Label;
use crate::key::PublicKey;
use crate::multisig::AuthorizedSigner;
use crate::multisig::Form;
use crate::multisig::MultiSigConfig;
use crate::multisig::MultiSigKey;
use crate::multisig::New;
use crate::multisig::NewMultiSigKey;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::Present;
use crate::multisig::Refusal;
use crate::multisig::SignerRef;
use crate::multisig::Weight;
use crate::multisig::add_signature;
use crate::multisig::initiate;
use crate::multisig::sign_bytes;
use crate::time::Timestamp;

pub(crate) const MESSAGE: &[u8] = b"Treasury withdrawal of 1000 VE";

pub(crate) fn now() -> Timestamp {
    "2026-11-23T21:45:00Z".parse().unwrap()
}

pub(crate) fn at(seconds: u64) -> Present<'static> {
    Present { now: now().plus_seconds(seconds), is_stopped: &|_| false, is_active: &|_| true }
}

/// A signer's key, made of their name.
pub(crate) fn pair(name: &str) -> Ed25519KeyPair {
    let seed = crate::multisig::key::sha256(name.as_bytes());
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

pub(crate) fn public(name: &str) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, pair(name).public_key().as_ref()).unwrap()
}

pub(crate) fn label(name: &str) -> Label {
    name.parse().unwrap()
}

pub(crate) fn signer(name: &str, weight: u32) -> AuthorizedSigner {
    AuthorizedSigner {
        label: label(name),
        public_key: public(name),
        weight: Weight::new(weight).unwrap(),
        expires_at: None,
        order: None,
        owner: None,
    }
}

pub(crate) fn wanted(threshold: u64, signers: Vec<AuthorizedSigner>) -> NewMultiSigKey {
    NewMultiSigKey {
        label: label("treasury"),
        description: "Treasury Key".parse().unwrap(),
        form: Form::Approval,
        config: MultiSigConfig {
            threshold,
            total_signers: u32::try_from(signers.len()).unwrap(),
            timeout_s: 24 * 3600,
            allow_partial_sig: false,
            require_ordered: false,
        },
        signers,
    }
}

pub(crate) fn key(threshold: u64, signers: &[(&str, u32)]) -> MultiSigKey {
    let signers = signers.iter().map(|(name, weight)| signer(name, *weight)).collect();
    MultiSigKey::new(wanted(threshold, signers), "p-01", now()).unwrap()
}

pub(crate) fn operation(key: &MultiSigKey, number: u8, message: &[u8]) -> Operation {
    let new = New {
        id: OperationId::new(now(), [number; 8]),
        message,
        description: "Treasury withdrawal".parse().unwrap(),
        initiator: "p-01",
        asked_by: None,
    };
    initiate(key, new, &at(0)).unwrap()
}

/// What a signer's key makes of this operation.
pub(crate) fn signature(
    key: &MultiSigKey,
    operation: &Operation,
    (name, message): (&str, &[u8]),
) -> Vec<u8> {
    pair(name).sign(&sign_bytes(key, operation, message)).as_ref().to_vec()
}

/// The operation with the signature of a signer.
pub(crate) fn signed(
    key: &MultiSigKey,
    operation: &Operation,
    name: &str,
    present: &Present<'_>,
) -> Result<Operation, Refusal> {
    let bytes = signature(key, operation, (name, MESSAGE));
    let by = SignerRef::Label(label(name));
    add_signature((key, operation, MESSAGE), (&by, &bytes), "p-02", present)
}
