//! [`HsmProvider`]: a token with the specification's methods.
//!
//! Every signature is verified here before it is handed on, in the form [`Signature`] says: what a
//! token or its library got wrong, by fault or by a handle that names another key now, leaves as an
//! error.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::digest;
use k256::ecdsa::RecoveryId;
use k256::ecdsa::VerifyingKey;
use kms::key::Algorithm;
use kms::key::Padding;
use kms::key::Prehash;
use kms::key::PublicKey;
use kms::key::Scheme;
use kms::key::Signature;
use kms_formats::private::PrivateKey;
use kms_formats::signature::EcdsaSignature;
use kms_secret::SecretBytes;
use sha3::Digest;
use sha3::Keccak256;

use crate::config::HsmProviderConfig;
use crate::error;
use crate::error::HsmError;
use crate::process::WorkerProgram;
use crate::profile::Profile;
use crate::slots::SlotSeen;
use crate::supervisor::Supervisor;
use crate::wire::Address;
use crate::wire::Answer;
use crate::wire::Object;
use crate::wire::ObjectName;
use crate::wire::Request;
use crate::wire::SignMechanism;
use crate::wire::Stepped;
use crate::wire::Wanted;

/// DER of `DigestInfo` for SHA-256 up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// What a new key signs to prove itself.
const TEST_MESSAGE: &[u8] = b"pairwise consistency test";

/// A token. Shared between threads; calls wait for a session, at most as long as its timeouts say.
#[derive(Debug)]
pub struct HsmProvider {
    supervisor: Supervisor,
    /// Held while a key is made, so that no name is given twice: PKCS#11 would allow it.
    making: Mutex<()>,
}

/// A private key on a token, by its name and public half: never by a handle, which may name another
/// key tomorrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmKeyHandle {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`; empty where only the public half tells the key.
    pub id: Vec<u8>,
    /// The public half.
    pub public_key: PublicKey,
}

/// A token as `hsm status` shows it.
#[derive(Debug, Clone)]
pub struct HsmStatus {
    /// The slot and its token.
    pub slot: SlotSeen,
    /// What is known of its vendor.
    pub profile: &'static Profile,
    /// What it makes and signs with.
    pub algorithms: Vec<Algorithm>,
    /// What it takes in.
    pub importable: Vec<Algorithm>,
    /// Whether it can open the keystore.
    pub unwraps: bool,
    /// Its mechanisms, in PKCS#11's words.
    pub mechanisms: Vec<String>,
    /// The process its library runs in.
    pub worker_pid: u32,
    /// How often that was started.
    pub worker_starts: u64,
    /// What an operator should know.
    pub notice: Option<String>,
}

impl HsmProvider {
    /// A token that is reached at its first use: nothing is loaded here.
    pub fn new(config: HsmProviderConfig, program: WorkerProgram) -> Self {
        Self { supervisor: Supervisor::new(config, program), making: Mutex::default() }
    }

    /// Loads the library, finds the token and logs in. The specification's `Initialize`.
    ///
    /// # Errors
    /// What stands in the way, with what to do.
    pub fn initialize(config: HsmProviderConfig, program: WorkerProgram) -> Result<Self, HsmError> {
        let provider = Self::new(config, program);
        provider.status()?;
        Ok(provider)
    }

    /// Logs out, closes every session and ends the library's process.
    pub fn close(self) {
        drop(self);
    }

    /// Makes a key pair under a label that no key has. Sensitive, never extractable, for signing only.
    ///
    /// # Errors
    /// [`HsmError::Exists`], [`HsmError::Unsupported`]; faults.
    pub fn generate_key(&self, label: &str, key_type: Algorithm) -> Result<HsmKeyHandle, HsmError> {
        let name = ObjectName { id: random_id()?, label: label.to_owned() };
        self.free_label(label)?;
        self.generate_named(name, key_type)
    }

    /// Signs as [`Signature`] says; the message is hashed here. The signature was verified.
    ///
    /// # Errors
    /// [`HsmError::NotFound`], [`HsmError::KeyChanged`]; faults.
    pub fn sign(
        &self,
        handle: &HsmKeyHandle,
        (message, scheme): (&[u8], Scheme),
    ) -> Result<Signature, HsmError> {
        self.sign_as(handle, true, (message, scheme))
    }

    /// Whether `signature` is one of `message` under a key; computed here, with the public half.
    pub fn verify(
        &self,
        handle: &HsmKeyHandle,
        (message, scheme): (&[u8], Scheme),
        signature: &[u8],
    ) -> bool {
        kms::storage::verify(&handle.public_key, message, signature, scheme)
    }

    /// Finds a key by its label.
    ///
    /// # Errors
    /// [`HsmError::NotFound`], [`HsmError::Ambiguous`]; faults.
    pub fn get_key(&self, label: &str) -> Result<HsmKeyHandle, HsmError> {
        let mut found = self.handles(Wanted::Label(label.to_owned()))?;
        match (found.pop(), found.len()) {
            (None, _) => Err(HsmError::NotFound(label.to_owned())),
            (Some(one), 0) => Ok(one),
            (Some(_), others) => {
                Err(HsmError::Ambiguous { name: label.to_owned(), count: others + 1 })
            }
        }
    }

    /// Lists the keys of this product's algorithms.
    ///
    /// # Errors
    /// Faults.
    pub fn list_keys(&self) -> Result<Vec<HsmKeyHandle>, HsmError> {
        self.handles(Wanted::All)
    }

    /// Removes a key for ever, both halves.
    ///
    /// # Errors
    /// As [`Self::get_key`].
    pub fn delete_key(&self, label: &str) -> Result<(), HsmError> {
        let handle = self.get_key(label)?;
        self.destroy(&handle.id, &handle.label)
    }

    /// Takes in a private key under a label that no key has, and tests it there. The token marks it as
    /// brought from outside, for ever.
    ///
    /// # Errors
    /// [`HsmError::Exists`], [`HsmError::NoImport`], [`HsmError::InvalidKey`]; faults.
    pub fn import_key(&self, label: &str, key: &PrivateKey) -> Result<HsmKeyHandle, HsmError> {
        let name = ObjectName { id: random_id()?, label: label.to_owned() };
        self.free_label(label)?;
        let public = public_half(key)?;
        self.import_named(name, (key, &public))
    }

    /// The public half of a key, as the token has it now.
    ///
    /// # Errors
    /// [`HsmError::NotFound`], and [`HsmError::KeyChanged`] where it is another than the handle says.
    pub fn export_public_key(&self, handle: &HsmKeyHandle) -> Result<PublicKey, HsmError> {
        let wanted = Wanted::Id(handle.id.clone());
        let found = self.handles(wanted)?;
        match found.into_iter().find(|seen| seen.label == handle.label) {
            None => Err(HsmError::NotFound(handle.label.clone())),
            Some(seen) if seen.public_key == handle.public_key => Ok(seen.public_key),
            Some(_) => Err(HsmError::KeyChanged("its public key is not the one it was".to_owned())),
        }
    }

    /// What the token is and can do; starts the library if it does not run.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn status(&self) -> Result<HsmStatus, HsmError> {
        let timeouts = self.supervisor.config.timeouts;
        let worker = self.supervisor.worker(Instant::now() + timeouts.start)?;
        let now = match worker.slots(timeouts.operation) {
            Ok(Ok(Stepped::Slots(slots))) => slots.into_iter().find(|s| s.id == worker.slot.id),
            Ok(_) | Err(_) => None,
        };
        Ok(HsmStatus {
            slot: (&now.unwrap_or_else(|| worker.slot.clone())).into(),
            profile: worker.profile,
            algorithms: worker.capabilities.algorithms.clone(),
            importable: worker.capabilities.importable.clone(),
            unwraps: worker.capabilities.unwraps,
            mechanisms: worker.capabilities.mechanisms.clone(),
            worker_pid: worker.process_id(),
            worker_starts: self.supervisor.history().0,
            notice: worker.notice.clone(),
        })
    }

    /// How often the library's process was started; starts nothing.
    pub fn worker_starts(&self) -> u64 {
        self.supervisor.history().0
    }

    /// Its configuration.
    pub fn config(&self) -> &HsmProviderConfig {
        &self.supervisor.config
    }

    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// What it makes and what it takes in, as far as it is known; nothing where it cannot be reached.
    pub(crate) fn algorithms(&self) -> (Vec<Algorithm>, Vec<Algorithm>) {
        let until = Instant::now() + self.supervisor.config.timeouts.start;
        match self.supervisor.worker(until) {
            Ok(worker) => {
                let can = &worker.capabilities;
                (can.algorithms.clone(), can.importable.clone())
            }
            Err(_) => Default::default(),
        }
    }

    pub(crate) fn generate_named(
        &self,
        name: ObjectName,
        algorithm: Algorithm,
    ) -> Result<HsmKeyHandle, HsmError> {
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + self.supervisor.config.timeouts.start;
        if !self.supervisor.worker(until)?.capabilities.algorithms.contains(&algorithm) {
            return Err(HsmError::Unsupported(algorithm));
        }
        let limit = self.supervisor.config.timeouts.generate;
        let request = |resume| Request::Generate { name: name.clone(), algorithm, resume };
        let made = self.supervisor.call(request, None, (limit, made))?;
        let public = PublicKey::validated(algorithm, &made)
            .map_err(|_| error::integrity(format!("the token's {algorithm} key is none")))?;
        self.tested(HsmKeyHandle { label: name.label, id: name.id, public_key: public })
    }

    pub(crate) fn import_named(
        &self,
        name: ObjectName,
        (key, public): (&PrivateKey, &PublicKey),
    ) -> Result<HsmKeyHandle, HsmError> {
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let algorithm = key.algorithm;
        let until = Instant::now() + self.supervisor.config.timeouts.start;
        if !self.supervisor.worker(until)?.capabilities.importable.contains(&algorithm) {
            return Err(HsmError::NoImport(algorithm));
        }
        let limit = self.supervisor.config.timeouts.generate;
        let request = |resume| {
            let public = public.as_bytes();
            Request::Import { name: name.clone(), algorithm, public, resume }
        };
        let made = self.supervisor.call(request, Some(&key.bytes), (limit, made))?;
        if made != public.as_bytes() {
            return Err(error::integrity("the token took in another key".to_owned()).into());
        }
        self.tested(HsmKeyHandle { label: name.label, id: name.id, public_key: public.clone() })
    }

    /// Signs with the key that has this public half; where `named`, its id and label have to be those
    /// of the handle as well.
    pub(crate) fn sign_as(
        &self,
        handle: &HsmKeyHandle,
        named: bool,
        (message, scheme): (&[u8], Scheme),
    ) -> Result<Signature, HsmError> {
        let public = &handle.public_key;
        let (mechanism, input) = prepared(public.algorithm(), message, scheme)?;
        let key = Address {
            id: if named { &handle.id } else { &[] },
            label: if named { &handle.label } else { "" },
            algorithm: public.algorithm(),
            public: public.as_bytes(),
        };
        let data = input.as_ref().map_or(message, |input| input.as_slice());
        let request = |_| Request::Sign { key, mechanism, data };
        let limit = self.supervisor.config.timeouts.operation;
        let read = |answer, _| match answer {
            Answer::Signature(bytes) => Some(bytes),
            _ => None,
        };
        let bytes = self.supervisor.call(request, None, (limit, read))?;
        checked(public, (message, scheme), bytes).ok_or_else(|| {
            let name = &self.supervisor.config.name;
            let label = &handle.label;
            let message = format!("HSM `{name}` returned a wrong signature of key `{label}`");
            error::integrity(message).into()
        })
    }

    pub(crate) fn destroy(&self, id: &[u8], label: &str) -> Result<(), HsmError> {
        let limit = self.supervisor.config.timeouts.operation;
        let again = std::cell::Cell::new(false);
        let request = |resume| {
            again.set(resume);
            Request::Destroy { id: id.to_vec(), label: label.to_owned() }
        };
        let read = |answer, _| matches!(answer, Answer::Done).then_some(());
        match self.supervisor.call(request, None, (limit, read)) {
            // The attempt before this one did it, and never said so.
            Err(HsmError::NotFound(_)) if again.get() => Ok(()),
            other => other,
        }
    }

    pub(crate) fn objects(&self, wanted: Wanted) -> Result<Vec<Object>, HsmError> {
        let limit = self.supervisor.config.timeouts.operation * 4; // there may be thousands
        let request = |_| Request::Find { wanted: wanted.clone() };
        let read = |answer, _| match answer {
            Answer::Objects(objects) => Some(objects),
            _ => None,
        };
        self.supervisor.call(request, None, (limit, read))
    }

    /// The public half of the RSA key that seeds are wrapped to.
    pub(crate) fn wrapping_key(&self, label: &str) -> Result<Vec<u8>, HsmError> {
        let limit = self.supervisor.config.timeouts.generate;
        let request = |_| Request::WrappingKey { label: label.to_owned() };
        let read = |answer, _| match answer {
            Answer::WrappingKey { public, .. } => Some(public),
            _ => None,
        };
        self.supervisor.call(request, None, (limit, read))
    }

    /// Unwraps a seed.
    pub(crate) fn unwrap(
        &self,
        label: &str,
        (sha256, ciphertext): (bool, &[u8]),
    ) -> Result<SecretBytes, HsmError> {
        let limit = self.supervisor.config.timeouts.operation;
        let request = |_| Request::Unwrap { label: label.to_owned(), sha256, ciphertext };
        let read = |answer, secret| matches!(answer, Answer::Unwrapped).then_some(secret);
        self.supervisor.call(request, None, (limit, read))
    }

    /// A key that was just made, once it has signed; one that cannot is removed.
    fn tested(&self, handle: HsmKeyHandle) -> Result<HsmKeyHandle, HsmError> {
        match self.sign(&handle, (TEST_MESSAGE, Scheme::default())) {
            Ok(_) => Ok(handle),
            Err(wrong) => {
                // What cannot be removed now is on nobody's record; `hsm list` shows it.
                let _ = self.destroy(&handle.id, &handle.label);
                Err(wrong)
            }
        }
    }

    fn free_label(&self, label: &str) -> Result<(), HsmError> {
        let taken = self.objects(Wanted::Label(label.to_owned()))?;
        if taken.is_empty() { Ok(()) } else { Err(HsmError::Exists(label.to_owned())) }
    }

    fn handles(&self, wanted: Wanted) -> Result<Vec<HsmKeyHandle>, HsmError> {
        let objects = self.objects(wanted)?;
        Ok(objects.into_iter().filter_map(|object| handle_of(&object)).collect())
    }

    /// How long a signature may take.
    pub fn operation_timeout(&self) -> Duration {
        self.supervisor.config.timeouts.operation
    }
}

fn handle_of(object: &Object) -> Option<HsmKeyHandle> {
    let (algorithm, bytes) = object.public.as_ref()?;
    let public_key = PublicKey::validated(*algorithm, bytes).ok()?;
    Some(HsmKeyHandle { label: object.label.clone(), id: object.id.clone(), public_key })
}

fn made(answer: Answer, _: SecretBytes) -> Option<Vec<u8>> {
    match answer {
        Answer::Made(public) => Some(public),
        _ => None,
    }
}

fn random_id() -> Result<Vec<u8>, HsmError> {
    let mut id = vec![0; 16];
    aws_lc_rs::rand::fill(&mut id)
        .map_err(|_| error::unavailable("the system gave no random bytes".to_owned()))?;
    Ok(id)
}

pub(crate) fn public_half(key: &PrivateKey) -> Result<PublicKey, HsmError> {
    kms::storage::public_half(key).map_err(|_| {
        HsmError::InvalidKey("its numbers do not fit each other, or its length is wrong")
    })
}

/// How the token signs, and what instead of the message itself.
type Prepared = (SignMechanism, Option<Vec<u8>>);

fn prepared(algorithm: Algorithm, message: &[u8], scheme: Scheme) -> Result<Prepared, HsmError> {
    Ok(match algorithm {
        Algorithm::Ed25519 => (SignMechanism::Eddsa, None),
        Algorithm::Secp256k1 | Algorithm::P256 => {
            (SignMechanism::Ecdsa, Some(hashed(message, scheme.prehash).to_vec()))
        }
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            let digest = hashed(message, scheme.prehash);
            match scheme.padding {
                Padding::Pss => (SignMechanism::RsaPss, Some(digest.to_vec())),
                Padding::Pkcs1v15 => {
                    let info = [&SHA256_DIGEST_INFO[..], &digest].concat();
                    (SignMechanism::RsaPkcs, Some(info))
                }
            }
        }
    })
}

/// The digest that is signed; a message that is one already was checked for its length before.
fn hashed(message: &[u8], how: Prehash) -> [u8; 32] {
    let sha256 = || {
        let digest = digest::digest(&digest::SHA256, message);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        bytes
    };
    match how {
        Prehash::Sha256 => sha256(),
        Prehash::Keccak256 => Keccak256::digest(message).into(),
        Prehash::Prehashed => message.try_into().unwrap_or_else(|_| sha256()),
    }
}

/// A signature in our form, if it is one of the message under the key.
fn checked(
    public: &PublicKey,
    (message, scheme): (&[u8], Scheme),
    bytes: Vec<u8>,
) -> Option<Signature> {
    let algorithm = public.algorithm();
    if algorithm == Algorithm::Secp256k1 {
        return recovered(public, &hashed(message, scheme.prehash), &bytes);
    }
    let verified = kms::storage::verify(public, message, &bytes, scheme);
    verified.then_some(Signature { algorithm, bytes, recovery_id: None })
}

/// A low-S signature with the id under which the key is recovered from it. That it is recovered proves
/// the signature (Q = r⁻¹(sR − zG) is the equation of verification, solved for Q): no second
/// verification is needed.
fn recovered(public: &PublicKey, digest: &[u8; 32], bytes: &[u8]) -> Option<Signature> {
    let expected = VerifyingKey::from_sec1_bytes(public.as_bytes()).ok()?;
    let (low, _) = EcdsaSignature::from_bytes(bytes).ok()?.to_low_s(None).ok()?;
    let signature = k256::ecdsa::Signature::from_slice(low.as_bytes()).ok()?;
    // SPEC: SEC 1 section 4.1.6. Two of the four never come up by chance, and stand last.
    let gives_the_key = |id: &RecoveryId| {
        VerifyingKey::recover_from_prehash(digest, &signature, *id).is_ok_and(|key| key == expected)
    };
    let ids = [(false, false), (true, false), (false, true), (true, true)];
    let id =
        ids.map(|(odd, reduced)| RecoveryId::new(odd, reduced)).into_iter().find(gives_the_key)?;
    Some(Signature {
        algorithm: Algorithm::Secp256k1,
        bytes: low.as_bytes().to_vec(),
        recovery_id: Some(id.to_byte()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_signature_is_one_that_verifies_and_no_other_is() {
        let secret = k256::ecdsa::SigningKey::from_slice(&[0x42; 32]).unwrap();
        let point = secret.verifying_key().to_sec1_point(true);
        let public = PublicKey::validated(Algorithm::Secp256k1, point.as_bytes()).unwrap();
        for number in 0..32u8 {
            let message = (&[number][..], Scheme::default());
            let digest = hashed(message.0, Prehash::Sha256);
            let (signature, id) = secret.sign_prehash_recoverable(&digest);
            let low = signature.to_bytes().to_vec();
            // As a token may return it: s in the upper half.
            let (r, s) = signature.split_scalars();
            let high = k256::ecdsa::Signature::from_scalars(r, -s).unwrap().to_bytes().to_vec();
            for bytes in [low.clone(), high] {
                let found = checked(&public, message, bytes).unwrap();
                assert_eq!((&found.bytes, found.recovery_id), (&low, Some(id.to_byte())));
                assert!(kms::storage::verify(&public, message.0, &found.bytes, message.1));
            }
            let mut wrong = low.clone();
            wrong[usize::from(number) * 2] ^= 1;
            assert_eq!(checked(&public, message, wrong), None);
            assert_eq!(checked(&public, (b"another", Scheme::default()), low), None);
        }
        assert_eq!(checked(&public, (b"", Scheme::default()), vec![0; 64]), None);
        assert_eq!(checked(&public, (b"", Scheme::default()), vec![7; 63]), None);
    }
}
