//! Multi-signature operations and approvals against a real home.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "all of this is tests")]

mod approvals;
mod model;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use kms::key::Algorithm;
use kms::key::Label;
use kms::key::PublicKey;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;
use kms::manager::OperationView;
use kms::multisig::AuthorizedSigner;
use kms::multisig::Form;
use kms::multisig::MultiSigConfig;
use kms::multisig::MultiSigKey;
use kms::multisig::NewMultiSigKey;
use kms::multisig::OperationId;
use kms::multisig::SignerRef;
use kms::multisig::Weight;

pub(crate) fn label(name: &str) -> Label {
    name.parse().unwrap()
}

/// The key of a signer who is somewhere else, made of their name.
pub(crate) fn pair(name: &str) -> Ed25519KeyPair {
    let seed = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).unwrap()
}

pub(crate) fn public(name: &str) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, pair(name).public_key().as_ref()).unwrap()
}

pub(crate) fn signer(name: &str, weight: u32, owner: Option<&str>) -> AuthorizedSigner {
    AuthorizedSigner {
        label: label(name),
        public_key: public(name),
        weight: Weight::new(weight).unwrap(),
        expires_at: None,
        order: None,
        owner: owner.map(str::to_owned),
    }
}

pub(crate) fn make_key(
    kms: &KeyManager,
    by: &Caller,
    (name, threshold): (&str, u64),
    signers: Vec<AuthorizedSigner>,
) -> Result<MultiSigKey, Error> {
    kms.multisig(by).create_multisig_key(NewMultiSigKey {
        label: label(name),
        description: "a test".parse().unwrap(),
        form: Form::Approval,
        config: MultiSigConfig {
            threshold,
            total_signers: u32::try_from(signers.len()).unwrap(),
            timeout_s: 24 * 3600,
            allow_partial_sig: false,
            require_ordered: false,
        },
        signers,
    })
}

/// Adds the signature that a signer's own software makes of the request.
pub(crate) fn add(
    kms: &KeyManager,
    by: &Caller,
    (operation, name): (OperationId, &str),
) -> Result<OperationView, Error> {
    let multisig = kms.multisig(by);
    let request = multisig.get_operation(operation)?.sign_bytes;
    let signature = pair(name).sign(&request);
    multisig.add_signature(operation, &SignerRef::Label(label(name)), signature.as_ref())
}
