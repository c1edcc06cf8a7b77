//! Tokens: what else they hold, keys of other programs taken over, files moved in, and the keystore
//! opened by one.
//!
//! A token's keys live, sign and die as all others do. Here is only what files and memory have no
//! word for.

use kms_secret::SecretBytes;

use crate::access::Permission;
use crate::access::Target;
use crate::audit::Cause;
use crate::audit::EventType;
use crate::compromise;
use crate::key::Algorithm;
use crate::key::KeyRef;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Origin;
use crate::key::PublicKey;
use crate::key::Reason;
use crate::key::StorageName;
use crate::lifecycle;
use crate::lifecycle::Context;
use crate::lifecycle::Successor;
use crate::lifecycle::Transition;
use crate::lifecycle::uses::Adopt;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Migrate;
use crate::lifecycle::uses::RemoveObject;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::NewKey;
use crate::manager::Notice;
use crate::manager::Refused;
use crate::manager::home::random_16;
use crate::manager::keys::Entry;
use crate::manager::keys::fingerprint;
use crate::manager::keys::new_record;
use crate::manager::moves::put_move;
use crate::manager::rotation::Lineage;
use crate::manager::rotation::successor_of;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::storage;
use crate::storage::DeviceError;
use crate::storage::KeyStorage;
use crate::storage::NewSlot;
use crate::storage::SeedKeeper;
use crate::storage::SlotInfo;
use crate::storage::SlotKind;
use crate::storage::SlotRef;
use crate::storage::StorageError;
use crate::storage::StoredObject;

/// A private key in a token, with its record if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenObject {
    /// What the token has.
    pub object: StoredObject,
    /// Whether a key of this home is this object, whoever may see its record.
    pub on_record: bool,
    /// The record, where the caller may read it.
    pub record: Option<ManagedKey>,
}

impl KeyManager {
    /// Lists the private keys in a token, also those of other programs and those that a crash left
    /// there without a record. Needs `hsm:access`.
    ///
    /// # Errors
    /// When the caller may not, or the token does not answer.
    pub fn list_token_objects(
        &self,
        caller: &Caller,
        name: &StorageName,
    ) -> Result<Vec<TokenObject>, Error> {
        self.operation(caller, EventType::HsmOperation, |way| {
            _ = way.authorize(Permission::HsmAccess, &Target::None)?;
            way.draft.operation = Some("list".to_owned());
            way.note("storage", name.as_str());
            let objects = self.storage(name)?.objects()?;
            way.note("listed", objects.len().to_string());
            Ok(objects.into_iter().map(|object| self.with_record(way, name, object)).collect())
        })
    }

    /// Takes over a key that another program made in a token. `name` is its label there, or its
    /// identifier in hex. Nothing is changed in the token; a test signature proves the key.
    ///
    /// Needs `key:import` and `hsm:access`.
    ///
    /// # Errors
    /// As [`Self::import_key`]; also when there is no such key, or several.
    pub fn adopt_key(
        &self,
        caller: &Caller,
        (label, name): (&Label, &str),
        new: NewKey,
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyImported, |way| {
            let target = Target::NewKey { label, purpose: new.purpose };
            let grant = way.authorize(Permission::KeyImport, &target)?;
            self.authorize_storage(way, &new.storage, &target)?;
            let _held = self.hold_label(label)?;
            way.note("adopted", name);
            let policy = self.policy_for(&new)?;
            let id = self.next_key_id()?;
            let admitted = lifecycle::admit_adopt(grant, Adopt { id, name })?;
            let storage = self.storage(&new.storage)?;
            let found = storage::adopt(storage, compromise::observe(admitted))?;
            let algorithm = found.public_key.algorithm();
            check_algorithm(new.algorithm, algorithm)?;
            self.check_unknown(&found.public_key)?;
            lifecycle::admit_adopted((new.purpose, algorithm), &policy)?;
            way.note("made_in_token", found.local.to_string());
            let made = (Origin::Adopted, found.public_key, way.now);
            let key = new_record(id, label, &new, &policy, made);
            self.enter(way, key, &policy, new.activate)
        })
    }

    /// Removes a private key that no record here names from a token, for ever: what a crash left, or
    /// what another program made. A key on record goes as its life says, not this way.
    ///
    /// Needs `hsm:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the key is on record, is not there, or the caller may not.
    pub fn delete_token_object(
        &self,
        caller: &Caller,
        storage: &StorageName,
        name: &str,
    ) -> Result<(), Error> {
        self.operation(caller, EventType::HsmOperation, |way| {
            let grant = way.authorize(Permission::HsmManage, &Target::None)?;
            let grant = way.confirm(grant)?.into_grant();
            way.draft.operation = Some("delete".to_owned());
            way.note("storage", storage.as_str());
            way.note("object", name);
            let place = self.storage(storage)?;
            let found = place.objects()?;
            let named = found.iter().filter(|o| o.label == name || o.object_id == name);
            if let Some(record) = named.filter_map(|o| self.record_of(storage, o)).find(is_alive) {
                return Err(Refused::ObjectOnRecord(record.id.into()).into());
            }
            way.intend()?;
            let admitted = lifecycle::admit_remove_object(grant, RemoveObject { name })?;
            Ok(storage::remove_object(place, compromise::observe(admitted))?)
        })
    }

    /// Moves a key from its file into a token: the token takes the private half in and signs with
    /// it, and a key of the same public half there becomes the lineage's current one. The old key is
    /// deactivated, its grace period begins, and its file stays until it is archived or destroyed.
    /// Returns the new key.
    ///
    /// Needs `key:rotate`, `key:import` and `hsm:access`; fresh MFA where the policy says so. A
    /// crash before the last step leaves a key in the token that is on no record.
    ///
    /// # Errors
    /// When the key has no file, its state forbids it, the token does not take it, or the caller may
    /// not.
    pub fn migrate_key(
        &self,
        caller: &Caller,
        key: &KeyRef,
        (to, reason): (&StorageName, &Reason),
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyRotated, |way| {
            let slot = way.find(key)?;
            let _lineage = self.keys.keep_lineages();
            let mut old = slot.write(); // nothing signs with it while it moves
            way.check_still_named(key, &slot)?;
            way.note("reason", reason.as_str());
            way.note("migrated_to", to.as_str());
            let grant = way.authorize_key(Permission::KeyRotate, &old)?;
            let copy = Target::NewKey { label: &old.label, purpose: old.purpose };
            let into = way.authorize(Permission::KeyImport, &copy)?;
            _ = way.authorize_key(Permission::HsmAccess, &old)?;
            let policy = self.policy_of(&old);
            let grave = lifecycle::requires_mfa(Transition::BeginRotation, &policy)
                || lifecycle::requires_mfa(Transition::CompleteRotation, &policy);
            let grant = way.confirm_if(grave, grant)?;
            if old.storage.as_str() != "file" || old.storage == *to {
                return Err(Refused::NotInFile(old.storage.clone()).into());
            }
            self.check_under_no_rule(&old)?;
            let storage = self.storage(to)?;
            let admitted = lifecycle::admit_migrate(grant, Migrate { key: &old }, way.now)?;
            // 1. The private half, in the token, tested there.
            way.intend()?;
            let id = self.next_key_id()?;
            let cleared = compromise::observe(admitted);
            let public_key =
                storage::hand_over(&self.file, cleared, |material| -> Result<PublicKey, Error> {
                    let (purpose, claimed_public) = (old.purpose, Some(&old.public_key));
                    let what = Import { id, purpose, material, claimed_public };
                    let admitted = lifecycle::admit_import(into, what, &policy)?;
                    let taken = storage::import(storage, compromise::observe(admitted));
                    taken.map_err(|error| self.named_elsewhere(error))
                })?;
            // 2. Both keys' moves and the label, in one transaction with the record.
            let by = way.who.principal().to_string();
            let context =
                Context { now: way.now, by: &by, approved_by: None, reason, policy: &policy };
            let made = ManagedKey {
                origin: Origin::Imported,
                storage: to.clone(),
                expires_at: old.expires_at, // it grows no younger by moving
                ..successor_of(&old, id, public_key, way.now)
            };
            let copy = Successor { key: &made, policy: &policy };
            let moved = lifecycle::migrate(&old, copy, &context)
                .or_else(|refusal| self.take_back(to, &old, (id, way.now), refusal.into()))?;
            let retired = moved.old;
            let mut new = Entry::of(made, &by);
            new.moved(moved.new);
            way.note("successor", id.to_string());
            way.note("fingerprint", fingerprint(&new.key.public_key).to_string());
            way.note("to", retired.key.state.name());
            way.commit("migrate key", |tx| {
                put_move(tx, &retired)?;
                new.put(tx)?;
                tx.put(&Lineage { label: old.label.clone(), current: id })
            })?;
            *old = retired.key;
            self.keys.insert(new.key.clone());
            self.keys.set_current(&old.label, id);
            Ok(new.key)
        })
    }

    /// Runs the administration of a token (`operation`) on record: an intent before, the outcome after.
    /// `about` is the HSM's name and the token's label.
    ///
    /// Needs `hsm:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the caller may not, or what `work` says.
    pub fn administer_token<T>(
        &self,
        caller: &Caller,
        (operation, (name, label)): (&str, (&str, &str)),
        work: impl FnOnce() -> Result<T, DeviceError>,
    ) -> Result<T, Error> {
        self.operation(caller, EventType::HsmOperation, |way| {
            let grant = way.authorize(Permission::HsmManage, &Target::None)?;
            _ = way.confirm(grant)?;
            way.draft.operation = Some(operation.to_owned());
            way.note("hsm", name);
            way.note("token", label);
            way.intend()?;
            Ok(work().map_err(StorageError::from)?)
        })
    }

    /// Lets a token open the keystore, so that a program starts without a passphrase. Replaces the
    /// slot that the token had before.
    ///
    /// Needs `hsm:manage`, fresh MFA, and an open keystore.
    ///
    /// # Errors
    /// When the token keeps no seeds or does not answer, the keystore is sealed, or the caller may
    /// not.
    pub fn enroll_token(&self, caller: &Caller, name: &StorageName) -> Result<SlotInfo, Error> {
        self.operation(caller, EventType::HsmOperation, |way| {
            self.begin_slot_change(way, ("enroll", name))?;
            let keeper = self.seed_keeper(name)?;
            let [first, second] = [random_16()?, random_16()?];
            let seed = SecretBytes::take(&mut [first, second].concat());
            let wrapped = keeper.wrap_seed(&seed)?;
            // What does not come back now would not at a start.
            let opened = keeper.unwrap_seed(&wrapped)?;
            if opened != seed {
                let why = "the token returned another seed than it was given";
                return Err(Fault::Inconsistent(why.to_owned()).into());
            }
            let before = self.token_slots(name);
            let (principal, wrapped) = (name.as_str(), Some(&wrapped));
            let new = NewSlot { kind: SlotKind::Hsm, principal, seed: &seed, wrapped };
            let id = self.keystore.add_slot(new)?;
            self.remove_token_slots(&before)?;
            way.note("slot", id.to_string());
            let slots = self.keystore.slots();
            let made = slots.into_iter().find(|slot| slot.id == id);
            made.ok_or_else(|| Fault::Inconsistent(format!("slot {id} is gone")).into())
        })
    }

    /// Takes away a token's way to open the keystore; the keystore key is replaced. The token need
    /// not answer.
    ///
    /// Needs `hsm:manage`, fresh MFA, and an open keystore.
    ///
    /// # Errors
    /// When the token has no slot, the keystore is sealed, or the caller may not.
    pub fn unenroll_token(&self, caller: &Caller, name: &StorageName) -> Result<(), Error> {
        self.operation(caller, EventType::HsmOperation, |way| {
            self.begin_slot_change(way, ("unenroll", name))?;
            let slots = self.token_slots(name);
            if slots.is_empty() {
                return Err(StorageError::from(storage::Refused::NoSlot(name.to_string())).into());
            }
            self.remove_token_slots(&slots)
        })
    }

    /// The slots of the keystore, whoever they belong to. Needs no session: no secret and no name of
    /// a person stands in it.
    pub fn keystore_slots(&self) -> Vec<SlotInfo> {
        self.keystore.slots()
    }

    /// Opens the keystore by a token that was enrolled; `false` where it is open or the token was
    /// not. Needs no session: who has the home, the token and its PIN has the keys; who may use
    /// them is asked at each use.
    ///
    /// # Errors
    /// When the token does not answer, does not have the key any more, or the record cannot be
    /// written.
    pub fn unseal_with_token(&self, name: &StorageName) -> Result<bool, Error> {
        let seeds = self.keystore.wrapped_seeds();
        let Some((slot, wrapped)) = seeds.into_iter().find(|(_, seed)| seed.storage == *name)
        else {
            return Ok(false);
        };
        if !self.keystore.is_sealed() {
            return Ok(false);
        }
        let (mut draft, now) = self.new_draft(EventType::Unlocked);
        now?;
        draft.cause = Cause::Node;
        draft.details.push(text("storage", name.as_str()));
        draft.details.push(text("slot", slot.to_string()));
        let opened = self.seed_keeper(name).and_then(|keeper| {
            let seed = keeper.unwrap_seed(&wrapped)?;
            self.keystore.unseal(SlotRef::Id(slot), &seed)?;
            self.keep_generation()
        });
        match opened {
            Ok(()) => self.audit.record(draft)?.wait()?,
            Err(error) => return Err(self.record_refusal(draft, error)),
        }
        Ok(true)
    }

    /// Asks for `hsm:access` where a token is meant.
    pub(crate) fn authorize_storage(
        &self,
        way: &Way<'_>,
        storage: &StorageName,
        target: &Target<'_>,
    ) -> Result<(), Error> {
        if storage.is_token() {
            _ = way.authorize(Permission::HsmAccess, target)?;
        }
        Ok(())
    }

    /// Where a storage lacks an algorithm, names those that have it.
    pub(crate) fn named_elsewhere(&self, error: StorageError) -> Error {
        let StorageError::Refused(refused) = error else { return error.into() };
        let (storage, algorithm) = match &refused {
            storage::Refused::Unsupported { storage, algorithm, .. }
            | storage::Refused::NoImport { storage, algorithm } => (storage, *algorithm),
            _ => return StorageError::from(refused).into(),
        };
        let takes = |other: &dyn KeyStorage| match &refused {
            storage::Refused::NoImport { .. } => other.importable().contains(&algorithm),
            _ => other.algorithms().contains(&algorithm),
        };
        let stays =
            |other: &dyn KeyStorage| other.name().as_str() != "memory" || self.options.stays;
        let elsewhere = self
            .storages()
            .filter(|other| other.name() != storage && stays(*other) && takes(*other))
            .map(|other| other.name().clone())
            .collect();
        Refused::Elsewhere { refused, elsewhere }.into()
    }

    /// Removes the private half of a key whose destruction was due from its token. What cannot be
    /// reached now is told, and listed by the token as no longer needed.
    pub(crate) fn remove_from_token(&self, key: &ManagedKey) {
        let removed = lifecycle::admit_left_behind(lifecycle::uses::Destroy { key })
            .map_err(Error::from)
            .and_then(|admitted| {
                let storage = self.storage(&key.storage)?;
                Ok(storage::destroy(storage, compromise::observe(admitted))?)
            });
        match removed {
            Ok(_) => {}
            Err(Error::Refused(Refused::Storage(storage::Refused::NotFound(_)))) => {}
            Err(error) => self.notice(Notice::LeftOnToken(key.id, error.to_string())),
        }
    }

    fn begin_slot_change(
        &self,
        way: &mut Way<'_>,
        (operation, name): (&str, &StorageName),
    ) -> Result<(), Error> {
        let grant = way.authorize(Permission::HsmManage, &Target::None)?;
        _ = way.confirm(grant)?;
        way.draft.operation = Some(operation.to_owned());
        way.note("storage", name.as_str());
        if self.keystore.is_sealed() {
            return Err(StorageError::from(storage::Refused::Locked).into());
        }
        way.intend()
    }

    fn seed_keeper(&self, name: &StorageName) -> Result<&dyn SeedKeeper, Error> {
        let keeper = self.storage(name)?.seed_keeper();
        let none = || StorageError::from(storage::Refused::NoUnwrapping(name.clone()));
        Ok(keeper.ok_or_else(none)?)
    }

    fn token_slots(&self, name: &StorageName) -> Vec<SlotInfo> {
        let mut slots = self.keystore.slots();
        slots.retain(|slot| slot.kind == SlotKind::Hsm && slot.principal == name.as_str());
        slots
    }

    fn remove_token_slots(&self, slots: &[SlotInfo]) -> Result<(), Error> {
        for slot in slots {
            _ = self.keystore.remove_slot(slot.id)?;
        }
        self.keep_generation()
    }

    fn with_record(&self, way: &Way<'_>, name: &StorageName, object: StoredObject) -> TokenObject {
        let found = self.record_of(name, &object);
        let on_record = found.is_some();
        let record = found.filter(|key| {
            let target = Target::Key { id: &key.id, label: &key.label, purpose: key.purpose };
            way.authorize(Permission::KeyRead, &target).is_ok()
        });
        TokenObject { object, on_record, record }
    }

    /// The key of this home that an object of the storage `name` is.
    fn record_of(&self, name: &StorageName, object: &StoredObject) -> Option<ManagedKey> {
        let slots = self.keys.all();
        slots.iter().map(|slot| slot.read().clone()).find(|key| {
            let adopted = key.origin == Origin::Adopted
                && object.public_key.as_ref() == Some(&key.public_key)
                && object.key.is_none();
            key.storage == *name && (object.key == Some(key.id) || adopted)
        })
    }

    /// Removes from the token what was taken in for nothing, and hands the refusal on.
    fn take_back<T>(
        &self,
        to: &StorageName,
        old: &ManagedKey,
        (id, now): (crate::key::KeyId, crate::time::Timestamp),
        refusal: Error,
    ) -> Result<T, Error> {
        let made = successor_of(old, id, old.public_key.clone(), now);
        self.discard(ManagedKey { storage: to.clone(), ..made })?;
        Err(refusal)
    }
}

/// Whether the private half of a key on record is still needed.
fn is_alive(key: &ManagedKey) -> bool {
    !matches!(key.state, KeyState::Destroyed | KeyState::Archived)
}

fn check_algorithm(wanted: Option<Algorithm>, found: Algorithm) -> Result<(), Error> {
    match wanted {
        Some(wanted) if wanted != found => Err(Refused::OtherAlgorithm { wanted, found }.into()),
        Some(_) | None => Ok(()),
    }
}
