//! Signing and verifying: the way with a private key at its end.

use aws_lc_rs::digest;

use crate::access::Permission;
use crate::audit::EventType;
use crate::audit::Pending;
use crate::audit::Unreleased;
use crate::compromise;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::ManagedKey;
use crate::key::Prehash;
use crate::key::PublicKey;
use crate::key::Scheme;
use crate::key::Signature;
use crate::lifecycle;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::uses::Sign;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::orders::Order;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::multisig::ActKind;
use crate::multisig::DOMAIN;
use crate::multisig::Form;
use crate::multisig::MultiSigKey;
use crate::storage;

/// The longest message that is signed or verified in one piece, in bytes: 16 MiB.
pub const MESSAGE_LIMIT: usize = 16 << 20;

/// A signature and the key that made it: a label names another key after a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key.
    pub key_id: KeyId,
    /// The signature.
    pub signature: Signature,
}

/// What one use of a key costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseCost {
    /// In signatures of Ed25519, roughly.
    pub units: u32,
    /// Whether it is made by this process and not by a device.
    pub here: bool,
}

impl KeyManager {
    /// Signs `message` with `key`; returns the signature once its record is durable.
    ///
    /// Needs `key:sign`, and `key:sign_digest` where the scheme says that the message is a digest.
    ///
    /// # Errors
    /// When the session, the permission, the key's state or its purpose forbid it, when the key
    /// cannot be used, or when the record cannot be written; no signature exists outside then.
    pub fn sign(
        &self,
        caller: &Caller,
        key: &KeyRef,
        message: &[u8],
        scheme: Scheme,
    ) -> Result<Signed, Error> {
        Ok(self.sign_pending(caller, key, message, scheme)?.wait()?)
    }

    /// Signs `message` with `key`; the signature can be taken out of what is returned once its
    /// record is durable, so that one thread can have many signatures under way.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_pending(
        &self,
        caller: &Caller,
        key: &KeyRef,
        message: &[u8],
        scheme: Scheme,
    ) -> Result<Pending<Signed>, Error> {
        let mut way = self.begin(caller, EventType::KeySigned)?;
        match self.use_key(&mut way, key, message, scheme) {
            Ok(pending) => Ok(pending),
            Err(error) => Err(way.refuse(error)),
        }
    }

    fn use_key<'k>(
        &'k self,
        way: &mut Way<'k>,
        key: &KeyRef,
        message: &[u8],
        scheme: Scheme,
    ) -> Result<Pending<Signed>, Error> {
        check_length(message)?;
        self.store.check_not_given_up()?; // where a suspension cannot be written, nothing is signed
        let slot = way.find(key)?;
        let record = slot.read(); // no move of this key until its record is queued
        let permission = lifecycle::signing_permission(scheme.prehash);
        let grant = way.authorize_key(permission, &record)?;
        self.check_no_approval(&record, message, scheme)?;
        let what = Sign { key: &record, message, scheme };
        let admitted = lifecycle::admit_sign(grant, what, way.now)?;
        if self.is_guarded(ActKind::Sign, &record) {
            let order = Order::sign(record.id, message, scheme);
            let permit = self.standing(way, &order, Some(&record))?.permit(way)?;
            way.spend_before(permit)?;
        }
        let cleared = compromise::observe(admitted);
        let storage = self.storage(&record.storage)?;
        let unreleased = storage::sign(storage, cleared, |signature| {
            let mut draft = way.draft.clone();
            draft.details.push(text("algorithm", record.algorithm().name()));
            draft.details.push(text("message_sha256", sha256_hex(message)));
            draft.details.push(text("signature_sha256", sha256_hex(&signature.bytes)));
            (Signed { key_id: record.id, signature }, draft)
        })?;
        Ok(self.audit.release(unreleased)?)
    }

    /// Refuses to sign an approval as if it were any message: who may use a key for approving is
    /// for [`crate::manager::MultiSigManager::sign`] to say. A digest could be one of an approval,
    /// so a key that approves signs none.
    fn check_no_approval(
        &self,
        key: &ManagedKey,
        message: &[u8],
        scheme: Scheme,
    ) -> Result<(), Error> {
        let digest = match scheme.prehash {
            Prehash::Prehashed => true,
            Prehash::Sha256 | Prehash::Keccak256 => false,
        };
        if message.starts_with(DOMAIN.as_bytes()) || (digest && self.approves(&key.public_key)?) {
            return Err(Refused::SignsApproval(key.label.clone()).into());
        }
        Ok(())
    }

    /// Whether a key is one of a signer of approvals.
    fn approves(&self, public_key: &PublicKey) -> Result<bool, Error> {
        let mut approves = false;
        self.store.for_each(|key: MultiSigKey| {
            let signs = key.signers.iter().any(|signer| signer.public_key == *public_key);
            approves |= key.form == Form::Approval && signs;
        })?;
        Ok(approves)
    }

    /// Verifies a signature of `key` over `message`; a signature that does not fit is an answer
    /// (`false`), and recorded as a failure.
    ///
    /// Needs `key:read`. `signature` is in the algorithm's own form, as [`Signature`] says.
    ///
    /// # Errors
    /// When the session, the permission or the key's state forbid it, or the record cannot be
    /// written.
    pub fn verify(
        &self,
        caller: &Caller,
        key: &KeyRef,
        message: &[u8],
        signature: &[u8],
        scheme: Scheme,
    ) -> Result<bool, Error> {
        Ok(self.verify_pending(caller, key, message, (signature, scheme))?.wait()?)
    }

    /// As [`Self::verify`]; the answer can be taken out of what is returned once its record is
    /// durable, so that many verifications share one group commit.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_pending(
        &self,
        caller: &Caller,
        key: &KeyRef,
        message: &[u8],
        (signature, scheme): (&[u8], Scheme),
    ) -> Result<Pending<bool>, Error> {
        let mut way = self.begin(caller, EventType::KeyVerified)?;
        match self.check_signature(&mut way, key, message, (signature, scheme)) {
            Ok(valid) => Ok(self.audit.release(Unreleased::new(valid, way.draft))?),
            Err(error) => Err(way.refuse(error)),
        }
    }

    fn check_signature(
        &self,
        way: &mut Way<'_>,
        key: &KeyRef,
        message: &[u8],
        (signature, scheme): (&[u8], Scheme),
    ) -> Result<bool, Error> {
        check_length(message)?;
        let slot = way.find(key)?;
        let record = slot.read();
        _ = way.authorize_key(Permission::KeyRead, &record)?;
        lifecycle::admit_operation(&record, KeyOperation::Verify, way.now)?;
        let valid = storage::verify(&record.public_key, message, signature, scheme);
        way.note("message_sha256", sha256_hex(message));
        if !valid {
            way.draft.success = false;
            way.draft.error_code = Some("signature_invalid".to_owned());
        }
        Ok(valid)
    }

    /// What one signature of `key` costs, in signatures of Ed25519, and whether it is made in this
    /// process: what a server must know to plan. Names no key to whoever may not see it; an unknown
    /// one costs as little as any.
    pub fn cost_of(&self, key: &KeyRef) -> UseCost {
        let Some(slot) = self.keys.find(key) else { return UseCost { units: 1, here: true } };
        let record = slot.read();
        let units = match record.algorithm() {
            Algorithm::Ed25519 => 1,
            Algorithm::P256 => 2,
            Algorithm::Secp256k1 => 4,
            Algorithm::Rsa2048 => 50,
            Algorithm::Rsa4096 => 450,
        };
        UseCost { units, here: matches!(record.storage.as_str(), "file" | "memory") }
    }
}

fn check_length(message: &[u8]) -> Result<(), Error> {
    if message.len() > MESSAGE_LIMIT {
        return Err(Refused::MessageTooLong { bytes: message.len() }.into());
    }
    Ok(())
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 64];
    let digest = digest::digest(&digest::SHA256, bytes);
    hex::encode_to_slice(digest, &mut text).expect("32 bytes are 64 digits");
    String::from_utf8(text).expect("digits are UTF-8")
}

#[cfg(test)]
mod tests {
    use kms_secret::SecretBytes;

    use super::*;
    use crate::key::Algorithm;
    use crate::key::Purpose;
    use crate::key::Reason;
    use crate::manager::Client;
    use crate::manager::ErrorKind;
    use crate::manager::Init;
    use crate::manager::Login;
    use crate::manager::Mfa;
    use crate::manager::NewKey;
    use crate::manager::Options;

    // A key that could not be stopped is not used.
    #[test]
    fn nothing_is_signed_once_the_store_has_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new(directory.path().join("home"));
        let passphrase = SecretBytes::copy_from(b"correct horse battery staple");
        let alice = "alice".parse().unwrap();
        let init = Init { admin: alice, passphrase: &passphrase, mfa: Mfa::None };
        KeyManager::init(&options, init).unwrap();
        let kms = KeyManager::open(options).unwrap();
        let principal = &"alice".parse().unwrap();
        let (passphrase, client) = (&passphrase, Client::default());
        let alice = kms.login(Login { principal, passphrase, mfa_code: None, client }).unwrap();
        let new = NewKey {
            purpose: Purpose::General,
            algorithm: Some(Algorithm::P256),
            storage: "file".parse().unwrap(),
            policy: None,
            activate: true,
        };
        kms.generate_key(&alice, &"val".parse().unwrap(), new).unwrap();
        let (val, reason) = ("val".parse().unwrap(), "odd traffic".parse::<Reason>().unwrap());
        let sign = || kms.sign(&alice, &val, b"m", Scheme::default());
        sign().unwrap();
        kms.store.give_up_for_test();
        let unavailable = ("store_unavailable", ErrorKind::Unavailable);
        let errors =
            [kms.lifecycle(&alice).suspend_key(&val, &reason).unwrap_err(), sign().unwrap_err()];
        for error in errors {
            assert_eq!((error.code(), error.kind()), unavailable);
        }
    }
}
