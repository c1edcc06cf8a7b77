//! [`HsmStorage`]: a token as one of the places where private keys live.
//!
//! A key is named on its token by its id (`CKA_ID`, 16 bytes) and by a label that tells its purpose and
//! its id, `virtengine:general:k-…`. Both are compared with the record at each look-up, and so is the
//! public half: a key under another purpose, or another key under the same name, signs nothing.

use std::sync::Arc;

use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use aws_lc_rs::rsa::OaepPublicEncryptingKey;
use aws_lc_rs::rsa::PublicEncryptingKey;
use kms::compromise::Cleared;
use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::ManagedKey;
use kms::key::Origin;
use kms::key::Prehash;
use kms::key::PublicKey;
use kms::key::Purpose;
use kms::key::Scheme;
use kms::key::Signature;
use kms::key::StorageName;
use kms::lifecycle::uses::Adopt;
use kms::lifecycle::uses::Destroy;
use kms::lifecycle::uses::Generate;
use kms::lifecycle::uses::Import;
use kms::lifecycle::uses::RemoveObject;
use kms::lifecycle::uses::Sign;
use kms::storage::AdoptedKey;
use kms::storage::Destroyed;
use kms::storage::Fault;
use kms::storage::KeyStorage;
use kms::storage::ObjectAttributes;
use kms::storage::Refused;
use kms::storage::SeedKeeper;
use kms::storage::StorageError;
use kms::storage::StoredObject;
use kms::storage::WrappedSeed;
use kms_formats::public::PublicKey as FormatKey;
use kms_secret::SecretBytes;

use crate::error;
use crate::error::HsmError;
use crate::provider::HsmKeyHandle;
use crate::provider::HsmProvider;
use crate::wire::Object;
use crate::wire::ObjectName;
use crate::wire::Wanted;

/// What the label of each of our keys begins with.
const PREFIX: &str = "virtengine:";
/// The key that seeds of keystore slots are wrapped to.
const WRAPPING_KEY: &str = "virtengine:unlock";
const OAEP_SHA256: &str = "rsa-oaep-sha256";
const OAEP_SHA1: &str = "rsa-oaep-sha1";

/// The storage `hsm:NAME`.
#[derive(Debug)]
pub struct HsmStorage {
    name: StorageName,
    provider: Arc<HsmProvider>,
}

impl HsmStorage {
    /// The token of `provider` under the name of its configuration.
    ///
    /// # Errors
    /// When that is no name.
    pub fn new(provider: Arc<HsmProvider>) -> Result<Self, kms::key::InvalidStorageName> {
        let name = format!("hsm:{}", provider.config().name).parse()?;
        Ok(Self { name, provider })
    }

    /// The token.
    pub fn provider(&self) -> &Arc<HsmProvider> {
        &self.provider
    }

    /// Which error this is for the key `id`.
    fn error(&self, error: HsmError, id: KeyId) -> StorageError {
        let storage = || self.name.clone();
        match error {
            HsmError::Device(error) => {
                if self.is_locked() {
                    return Refused::Locked.into();
                }
                error.into()
            }
            HsmError::NotFound(_) => Refused::NotFound(id).into(),
            HsmError::Exists(_) => Refused::Exists(id).into(),
            HsmError::Unsupported(algorithm) => {
                let alternatives = self.algorithms();
                Refused::Unsupported { storage: storage(), algorithm, alternatives }.into()
            }
            HsmError::NoImport(algorithm) => {
                Refused::NoImport { storage: storage(), algorithm }.into()
            }
            HsmError::KeyChanged(_) => {
                Fault::Tampered { key: id, why: "the token has another key under its name" }.into()
            }
            HsmError::Ambiguous { name, count } => {
                Refused::AmbiguousObject { storage: storage(), name, count }.into()
            }
            HsmError::InvalidKey(why) => error::integrity(why.to_owned()).into(),
        }
    }

    fn is_locked(&self) -> bool {
        self.provider.supervisor().history().1.as_deref() == Some("locked")
    }

    /// The one object of this name: its label, or its id in hex.
    fn object(&self, name: &str) -> Result<Object, StorageError> {
        let device = |error| self.error(error, KeyId::from_random([0; 16]));
        let mut found = self.provider.objects(Wanted::Label(name.to_owned())).map_err(device)?;
        if found.is_empty()
            && let Ok(id) = hex::decode(name)
        {
            found = self.provider.objects(Wanted::Id(id)).map_err(device)?;
        }
        let (storage, named) = (self.name.clone(), name.to_owned());
        match (found.pop(), found.len()) {
            (None, _) => Err(Refused::NoObject { storage, name: named }.into()),
            (Some(one), 0) => Ok(one),
            (Some(_), others) => {
                Err(Refused::AmbiguousObject { storage, name: named, count: others + 1 }.into())
            }
        }
    }
}

impl KeyStorage for HsmStorage {
    fn name(&self) -> &StorageName {
        &self.name
    }

    /// What the token has; nothing while it cannot be reached.
    fn algorithms(&self) -> Vec<Algorithm> {
        self.provider.algorithms().0
    }

    fn importable(&self) -> Vec<Algorithm> {
        self.provider.algorithms().1
    }

    fn generate(&self, cleared: &Cleared<Generate>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let made = self.provider.generate_named(name_of(what.id, what.purpose), what.algorithm);
        Ok(made.map_err(|error| self.error(error, what.id))?.public_key)
    }

    fn import(&self, cleared: &Cleared<Import<'_>>) -> Result<PublicKey, StorageError> {
        let what = cleared.what();
        let algorithm = what.material.algorithm;
        let public = kms::storage::public_half(what.material)?;
        if what.claimed_public.is_some_and(|claimed| *claimed != public) {
            return Err(Refused::PublicMismatch(algorithm).into());
        }
        let name = name_of(what.id, what.purpose);
        let taken = self.provider.import_named(name, (what.material, &public));
        Ok(taken.map_err(|error| self.error(error, what.id))?.public_key)
    }

    fn sign(&self, cleared: &Cleared<Sign<'_>>) -> Result<Signature, StorageError> {
        let Sign { key, message, scheme } = *cleared.what();
        check(key.algorithm(), message, scheme)?;
        let handle = handle_of(key);
        let named = !is_foreign(key);
        let signed = self.provider.sign_as(&handle, named, (message, scheme));
        signed.map_err(|error| self.error(error, key.id))
    }

    fn destroy(&self, cleared: &Cleared<Destroy<'_>>) -> Result<Destroyed, StorageError> {
        let key = cleared.what().key;
        let error = |error| self.error(error, key.id);
        let name = name_of(key.id, key.purpose);
        let removed = self.provider.destroy(&name.id, &name.label);
        match removed {
            Err(HsmError::NotFound(_)) if is_foreign(key) => {
                let objects = self.provider.objects(Wanted::All).map_err(error)?;
                let own = (key.algorithm(), key.public_key.as_bytes().to_vec());
                let found = objects.into_iter().find(|object| object.public.as_ref() == Some(&own));
                let found = found.ok_or(Refused::NotFound(key.id))?;
                self.provider.destroy(&found.id, &found.label).map_err(error)?;
            }
            other => other.map_err(error)?,
        }
        Ok(Destroyed { files: Vec::new(), overwritten: false })
    }

    fn key_ids(&self) -> Result<Vec<KeyId>, StorageError> {
        let objects = self.provider.objects(Wanted::All);
        let objects = objects.map_err(|error| self.error(error, KeyId::from_random([0; 16])))?;
        let mut ids: Vec<KeyId> = objects.iter().filter_map(own_id).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn lock(&self) {
        self.provider.supervisor().lock_out();
    }

    fn unlock(&self) {
        self.provider.supervisor().unlock();
    }

    fn objects(&self) -> Result<Vec<StoredObject>, StorageError> {
        let objects = self.provider.objects(Wanted::All);
        let objects = objects.map_err(|error| self.error(error, KeyId::from_random([0; 16])))?;
        Ok(objects.into_iter().filter(|o| o.label != WRAPPING_KEY).map(stored).collect())
    }

    fn adopt(&self, cleared: &Cleared<Adopt<'_>>) -> Result<AdoptedKey, StorageError> {
        let Adopt { id, name } = *cleared.what();
        let object = self.object(name)?;
        let refuse =
            |why: &str| Refused::NotAdoptable { name: name.to_owned(), why: why.to_owned() };
        if own_id(&object).is_some() || object.label == WRAPPING_KEY {
            return Err(refuse("this product made it itself").into());
        }
        if object.extractable || !object.sensitive {
            return Err(refuse("it can leave the token: its attributes allow it").into());
        }
        let (algorithm, bytes) = object
            .public
            .as_ref()
            .ok_or_else(|| refuse("its public half is not there, or of no algorithm we have"))?;
        let public_key = PublicKey::validated(*algorithm, bytes)
            .map_err(|_| refuse("its public half is no key"))?;
        let handle = HsmKeyHandle { label: object.label, id: Vec::new(), public_key };
        let test = (&b"proof of a key that is taken over"[..], Scheme::default());
        self.provider.sign_as(&handle, false, test).map_err(|error| self.error(error, id))?;
        Ok(AdoptedKey { public_key: handle.public_key, local: object.local })
    }

    fn remove_object(&self, cleared: &Cleared<RemoveObject<'_>>) -> Result<(), StorageError> {
        let object = self.object(cleared.what().name)?;
        let removed = self.provider.destroy(&object.id, &object.label);
        removed.map_err(|error| self.error(error, KeyId::from_random([0; 16])))
    }

    fn seed_keeper(&self) -> Option<&dyn SeedKeeper> {
        Some(self)
    }
}

impl SeedKeeper for HsmStorage {
    /// RSA-OAEP to a key that only decrypts: with SHA-256, or SHA-1 where the token has nothing else.
    fn wrap_seed(&self, seed: &SecretBytes) -> Result<WrappedSeed, StorageError> {
        let error = |error| self.error(error, KeyId::from_random([0; 16]));
        let public = self.provider.wrapping_key(WRAPPING_KEY).map_err(error)?;
        let mut refused = None;
        for (scheme, sha256) in [(OAEP_SHA256, true), (OAEP_SHA1, false)] {
            let ciphertext = encrypt(&public, seed, sha256)?;
            match self.provider.unwrap(WRAPPING_KEY, (sha256, &ciphertext)) {
                Ok(opened) if opened == *seed => {
                    return Ok(WrappedSeed {
                        storage: self.name.clone(),
                        key: WRAPPING_KEY.to_owned(),
                        scheme: scheme.to_owned(),
                        ciphertext: hex::encode(ciphertext),
                    });
                }
                Ok(_) => {
                    let why = "the token unwrapped another seed than it was given";
                    return Err(error::integrity(why.to_owned()).into());
                }
                Err(failed) => refused = Some(failed),
            }
        }
        Err(refused.map_or_else(|| Refused::NoUnwrapping(self.name.clone()).into(), error))
    }

    fn unwrap_seed(&self, wrapped: &WrappedSeed) -> Result<SecretBytes, StorageError> {
        let broken = || error::integrity("the wrapped seed cannot be read".to_owned());
        let sha256 = match wrapped.scheme.as_str() {
            OAEP_SHA256 => true,
            OAEP_SHA1 => false,
            _ => return Err(broken().into()),
        };
        let ciphertext = hex::decode(&wrapped.ciphertext).map_err(|_| broken())?;
        let seed = self.provider.unwrap(&wrapped.key, (sha256, &ciphertext));
        seed.map_err(|error| match error {
            HsmError::NotFound(name) => {
                Refused::NoObject { storage: self.name.clone(), name }.into()
            }
            other => self.error(other, KeyId::from_random([0; 16])),
        })
    }
}

fn encrypt(public: &[u8], seed: &SecretBytes, sha256: bool) -> Result<Vec<u8>, StorageError> {
    let refused = |_| Fault::Library("RSA-OAEP");
    let spki = spki(public).ok_or(Fault::Library("RSA public key"))?;
    let key = PublicEncryptingKey::from_der(&spki).map_err(|_| Fault::Library("RSA public key"))?;
    let key = OaepPublicEncryptingKey::new(key).map_err(refused)?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let how = if sha256 { &OAEP_SHA256_MGF1SHA256 } else { &OAEP_SHA1_MGF1SHA1 };
    let length = key.encrypt(how, seed.expose(), &mut ciphertext, None).map_err(refused)?.len();
    ciphertext.truncate(length);
    Ok(ciphertext)
}

/// SubjectPublicKeyInfo of the DER of an RSA public key of any size.
fn spki(public: &[u8]) -> Option<Vec<u8>> {
    use pkcs8::der::Encode;
    let algorithm = pkcs1::ALGORITHM_ID;
    let subject_public_key = pkcs8::der::asn1::BitStringRef::from_bytes(public).ok()?;
    pkcs8::spki::SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().ok()
}

fn name_of(id: KeyId, purpose: Purpose) -> ObjectName {
    ObjectName { id: id.as_bytes().to_vec(), label: format!("{PREFIX}{purpose}:{id}") }
}

/// The key of ours that an object is: its label says so, and its id agrees.
fn own_id(object: &Object) -> Option<KeyId> {
    let (purpose, id) = object.label.strip_prefix(PREFIX)?.split_once(':')?;
    purpose.parse::<Purpose>().ok()?;
    let id: KeyId = id.parse().ok()?;
    (object.id == id.as_bytes()).then_some(id)
}

/// Whether the key was made on the token by another program, so that only its public half names it.
fn is_foreign(key: &ManagedKey) -> bool {
    key.origin == Origin::Adopted
}

fn handle_of(key: &ManagedKey) -> HsmKeyHandle {
    let ObjectName { id, label } = name_of(key.id, key.purpose);
    HsmKeyHandle { label, id, public_key: key.public_key.clone() }
}

fn stored(object: Object) -> StoredObject {
    let key = own_id(&object);
    let public_key = object.public.and_then(|(a, bytes)| FormatKey::validated(a, &bytes).ok());
    StoredObject {
        label: object.label,
        object_id: hex::encode(object.id),
        public_key,
        key,
        attributes: ObjectAttributes {
            local: object.local,
            sensitive: object.sensitive,
            extractable: object.extractable,
            always_sensitive: object.always_sensitive,
            never_extractable: object.never_extractable,
        },
    }
}

/// Refuses choices that would change what the signature means, as the software storages do.
fn check(algorithm: Algorithm, message: &[u8], scheme: Scheme) -> Result<(), Refused> {
    let why = match (algorithm, scheme.prehash) {
        (_, Prehash::Sha256) | (Algorithm::Secp256k1, Prehash::Keccak256) => return Ok(()),
        (Algorithm::Ed25519, _) => "it signs the message itself, never a digest",
        (_, Prehash::Keccak256) => "Keccak-256 belongs to secp256k1",
        (_, Prehash::Prehashed) if message.len() == 32 => return Ok(()),
        (_, Prehash::Prehashed) => "a digest made elsewhere has 32 bytes",
    };
    Err(Refused::Scheme { algorithm, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_on_the_token_tells_purpose_and_id() {
        let id = KeyId::from_random([0xab; 16]);
        let name = name_of(id, Purpose::Consensus);
        assert_eq!(name.label, "virtengine:consensus:k-abababababababababababababababab");
        let mut object = Object {
            id: name.id,
            label: name.label,
            public: None,
            local: true,
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            signs: true,
        };
        assert_eq!(own_id(&object), Some(id));
        object.id = vec![1; 16];
        assert_eq!(own_id(&object), None, "a label that another key carries");
        object.label = "virtengine:unlock".to_owned();
        assert_eq!(own_id(&object), None);
    }
}
