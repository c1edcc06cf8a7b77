//! Making, bringing in, finding, listing and naming keys.

use kms_formats::private::ParsedPrivateKey;

use crate::access::Permission;
use crate::access::Target;
use crate::audit::EventType;
use crate::compromise;
use crate::key::Fingerprint;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Move;
use crate::key::Origin;
use crate::key::PolicyName;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::StorageName;
use crate::lifecycle;
use crate::lifecycle::Context;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::Moved;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::NewKey;
use crate::manager::Refused;
use crate::manager::orders::Order;
use crate::manager::rotation::Lineage;
use crate::manager::table::HeldLabel;
use crate::manager::way::Way;
use crate::multisig::ActKind;
use crate::storage;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::time::Timestamp;

impl KeyManager {
    /// Makes a key pair and its record; both are durable on return. Active at once unless the
    /// policy asks for an approval or the caller for an inactive key.
    ///
    /// Needs `key:create`.
    ///
    /// # Errors
    /// When the label is taken, the purpose, the policy or the storage do not allow the algorithm,
    /// the caller may not, or something cannot be written; no key exists then.
    pub fn generate_key(
        &self,
        caller: &Caller,
        label: &Label,
        new: NewKey,
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyCreated, |way| {
            let target = Target::NewKey { label, purpose: new.purpose };
            let grant = way.authorize(Permission::KeyCreate, &target)?;
            self.authorize_storage(way, &new.storage, &target)?;
            let _held = self.hold_label(label)?;
            self.check_stays(&new)?;
            let algorithm = new.algorithm.unwrap_or(new.purpose.default_algorithm());
            let policy = self.policy_for(&new)?;
            let id = self.next_key_id()?;
            let what = Generate { id, algorithm, purpose: new.purpose };
            let admitted = lifecycle::admit_generate(grant, what, &policy)?;
            let storage = self.storage(&new.storage)?;
            let public_key = storage::generate(storage, compromise::observe(admitted))
                .map_err(|error| self.named_elsewhere(error))?;
            let made = (Origin::Generated, public_key, way.now);
            let key = new_record(id, label, &new, &policy, made);
            let key = self.enter(way, key, &policy, new.activate)?;
            Ok(key)
        })
    }

    /// Takes in a private key and makes its record; both are durable on return. That it was
    /// imported stands in the record for ever.
    ///
    /// Needs `key:import`.
    ///
    /// # Errors
    /// As [`Self::generate_key`]; also when the file's public half is not that of its private
    /// half, and when the key is here already.
    pub fn import_key(
        &self,
        caller: &Caller,
        label: &Label,
        new: NewKey,
        parsed: &ParsedPrivateKey,
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyImported, |way| {
            let target = Target::NewKey { label, purpose: new.purpose };
            let grant = way.authorize(Permission::KeyImport, &target)?;
            self.authorize_storage(way, &new.storage, &target)?;
            let _held = self.hold_label(label)?;
            if let Some(wanted) = new.algorithm
                && wanted != parsed.key.algorithm
            {
                return Err(Refused::OtherAlgorithm { wanted, found: parsed.key.algorithm }.into());
            }
            self.check_stays(&new)?;
            self.check_unknown(&storage::public_half(&parsed.key)?)?;
            let policy = self.policy_for(&new)?;
            let id = self.next_key_id()?;
            let claimed_public = parsed.claimed_public.as_ref();
            let what = Import { id, purpose: new.purpose, material: &parsed.key, claimed_public };
            let admitted = lifecycle::admit_import(grant, what, &policy)?;
            let storage = self.storage(&new.storage)?;
            let public_key = storage::import(storage, compromise::observe(admitted))
                .map_err(|error| self.named_elsewhere(error))?;
            let made = (Origin::Imported, public_key, way.now);
            let key = new_record(id, label, &new, &policy, made);
            let key = self.enter(way, key, &policy, new.activate)?;
            Ok(key)
        })
    }

    /// Registers a key whose private half is elsewhere, so that its life is kept here: the
    /// specification's `RegisterKey`. It verifies; it cannot sign. Created, until activated.
    ///
    /// Needs `key:create`.
    ///
    /// # Errors
    /// When the label is taken, the purpose or the policy do not allow the algorithm, the key is
    /// here already, or the caller may not.
    pub fn register_key(
        &self,
        caller: &Caller,
        label: &Label,
        public_key: PublicKey,
        (purpose, policy): (Purpose, Option<PolicyName>),
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyCreated, |way| {
            let grant = way.authorize(Permission::KeyCreate, &Target::NewKey { label, purpose })?;
            PublicKey::validated(public_key.algorithm(), public_key.as_bytes())
                .map_err(Refused::PublicKey)?;
            let _held = self.hold_label(label)?;
            self.check_unknown(&public_key)?;
            let storage = StorageName::offline();
            let algorithm = Some(public_key.algorithm());
            let new = NewKey { purpose, algorithm, storage, policy, activate: false };
            let policy = self.policy_for(&new)?;
            let id = self.next_key_id()?;
            let what = Generate { id, algorithm: public_key.algorithm(), purpose };
            _ = lifecycle::admit_generate(grant, what, &policy)?;
            let made = (Origin::Registered, public_key, way.now);
            let key = new_record(id, label, &new, &policy, made);
            self.enter(way, key, &policy, false)
        })
    }

    /// The record of a key, by id, or of a lineage's current key, by label.
    ///
    /// Needs `key:read`.
    ///
    /// # Errors
    /// When there is none the caller may see, or the record of the reading cannot be written.
    pub fn get_key(&self, caller: &Caller, key: &KeyRef) -> Result<ManagedKey, Error> {
        self.read_key(caller, EventType::KeyRead, key, |_, record| Ok(record.clone()))
    }

    /// All keys the caller may see, by label, then by age. One record, however many keys.
    ///
    /// Needs `key:read` on at least one key, or everywhere.
    ///
    /// # Errors
    /// When the caller may read no key, or the record of the reading cannot be written.
    pub fn list_keys(&self, caller: &Caller) -> Result<Vec<ManagedKey>, Error> {
        self.operation(caller, EventType::KeyRead, |way| {
            let keys = self.visible_keys(way)?;
            way.note("listed", keys.len().to_string());
            Ok(keys)
        })
    }

    /// The public half of a key.
    ///
    /// Needs `key:read`.
    ///
    /// # Errors
    /// As [`Self::get_key`].
    pub fn export_public_key(&self, caller: &Caller, key: &KeyRef) -> Result<PublicKey, Error> {
        self.read_key(caller, EventType::KeyExportedPublic, key, |_, record| {
            Ok(record.public_key.clone())
        })
    }

    /// Every move of a key's life, oldest first.
    ///
    /// Needs `key:read`.
    ///
    /// # Errors
    /// As [`Self::get_key`].
    pub fn key_history(&self, caller: &Caller, key: &KeyRef) -> Result<Vec<Move>, Error> {
        self.read_key(caller, EventType::KeyRead, key, |_, record| {
            Ok(self.store.history(record.id)?)
        })
    }

    /// Gives a lineage another label: all its keys, past and present.
    ///
    /// Needs `key:create` on both labels, and whatever the new label gives the caller, they must
    /// hold on the key already: a name that one's roles cover is no way to another's key.
    ///
    /// # Errors
    /// When the new label is taken or the caller may not.
    pub fn rename_key(
        &self,
        caller: &Caller,
        key: &KeyRef,
        label: &Label,
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyRenamed, |way| {
            let named = way.find(key)?.read().label.clone();
            let current = way.find(&KeyRef::Label(named.clone()))?.read().clone();
            self.may_rename(way, &current, label)?;
            let _held = self.hold_label(label)?;
            let _closed = self.keys.close_lineages(); // no key joins it meanwhile
            let current = way.find(&KeyRef::Label(named))?.read().clone();
            self.may_rename(way, &current, label)?;
            lifecycle::admit_operation(&current, KeyOperation::Rename, way.now)?;
            way.note("from", current.label.as_str());
            way.note("to", label.as_str());
            let mut lineage = self.keys.lineage(&current.label);
            lineage.sort_by_key(|slot| slot.read().id); // one order for all, so none waits for ever
            let mut guards: Vec<_> = lineage.iter().map(|slot| slot.write()).collect();
            let order = Order::RenameKey { key: current.id, to: label.clone() };
            let permit = self.standing(way, &order, Some(&current))?.permit(way)?;
            way.spend(permit);
            let renamed: Vec<ManagedKey> = guards
                .iter()
                .map(|record| ManagedKey { label: label.clone(), ..ManagedKey::clone(record) })
                .collect();
            let moved = Lineage { label: label.clone(), current: current.id };
            way.commit("rename key", |tx| {
                renamed.iter().try_for_each(|key| tx.put(key))?;
                tx.delete::<Lineage>(&current.label.folded())?;
                tx.put(&moved) // also for one key: the label may have named others before
            })?;
            for (guard, key) in guards.iter_mut().zip(renamed) {
                **guard = key;
            }
            self.keys.rename(&current.label, label);
            Ok(ManagedKey { label: label.clone(), ..current })
        })
    }

    /// Allows a key another label if that gives the caller nothing they do not hold on it.
    fn may_rename(
        &self,
        way: &mut Way<'_>,
        current: &ManagedKey,
        label: &Label,
    ) -> Result<(), Error> {
        _ = way.authorize_key(Permission::KeyCreate, current)?;
        let after = Target::Key { id: &current.id, label, purpose: current.purpose };
        for permission in Permission::ALL {
            if way.authorize(permission, &after).is_ok() {
                _ = way.authorize_key(permission, current)?;
            }
        }
        let new = Target::NewKey { label, purpose: current.purpose };
        way.authorize(Permission::KeyCreate, &new).map(|_| ())
    }

    /// Holds a label for a new key. A label is free again once its current key is destroyed.
    pub(crate) fn hold_label(&self, label: &Label) -> Result<HeldLabel<'_>, Error> {
        let taken = || Error::from(Refused::LabelTaken(label.clone()));
        let held = HeldLabel::hold(&self.naming, label).ok_or_else(taken)?;
        match self.keys.find(&KeyRef::Label(label.clone())) {
            Some(slot) if slot.read().state != KeyState::Destroyed => Err(taken()),
            Some(_) | None => Ok(held),
        }
    }

    /// The keys `way`'s caller may read, by label, then by age.
    pub(crate) fn visible_keys(&self, way: &Way<'_>) -> Result<Vec<ManagedKey>, Error> {
        self.access.check_permission_of(&way.who, Permission::KeyRead)?;
        let mut keys = Vec::new();
        for slot in self.keys.all() {
            let record = slot.read();
            let (label, purpose) = (&record.label, record.purpose);
            let target = Target::Key { id: &record.id, label, purpose };
            if way.authorize(Permission::KeyRead, &target).is_ok() {
                keys.push(record.clone());
            }
        }
        keys.sort_by(|a, b| (&a.label, a.created_at, a.id).cmp(&(&b.label, b.created_at, b.id)));
        Ok(keys)
    }

    fn read_key<T>(
        &self,
        caller: &Caller,
        event: EventType,
        key: &KeyRef,
        read: impl FnOnce(&mut Way<'_>, &ManagedKey) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.operation(caller, event, |way| {
            let slot = way.find(key)?;
            let record = slot.read().clone();
            _ = way.authorize_key(Permission::KeyRead, &record)?;
            read(way, &record)
        })
    }

    /// Refuses a key in the memory of a process that does not stay.
    pub(crate) fn check_stays(&self, new: &NewKey) -> Result<(), Error> {
        if new.storage.as_str() == "memory" && !self.options.stays {
            return Err(Refused::MemoryEndsNow.into());
        }
        Ok(())
    }

    /// Refuses a key that has a record here, whatever its state: what was stopped or destroyed
    /// does not come back under another name.
    pub(crate) fn check_unknown(&self, public_key: &PublicKey) -> Result<(), Error> {
        match self.keys.find_public(public_key) {
            Some(id) => Err(Refused::KeyKnown(id.into()).into()),
            None => Ok(()),
        }
    }

    /// Commits a new key with its first moves and makes it known.
    pub(crate) fn enter(
        &self,
        way: &mut Way<'_>,
        made: ManagedKey,
        policy: &KeyLifecyclePolicy,
        activate: bool,
    ) -> Result<ManagedKey, Error> {
        way.about(&made);
        way.note("label", made.label.as_str());
        way.note("algorithm", made.algorithm().name());
        way.note("purpose", made.purpose.name());
        way.note("storage", made.storage.as_str());
        way.note("fingerprint", fingerprint(&made.public_key).to_string());
        let by = way.who.principal().to_string();
        let mut entry = Entry::of(made, &by);
        let guarded = self.is_guarded(ActKind::Activate, &entry.key);
        if activate && !policy.require_approval_for_activation && !guarded {
            let reason = "active from the start".parse().expect("a plain text is a reason");
            let context =
                Context { now: way.now, by: &by, approved_by: None, reason: &reason, policy };
            entry.moved(lifecycle::activate(&entry.key, &context)?);
        }
        let lineage = Lineage { label: entry.key.label.clone(), current: entry.key.id };
        let reused = self.keys.find(&KeyRef::Label(lineage.label.clone())).is_some();
        way.commit("create key", |tx| {
            entry.put(tx)?;
            if reused { tx.put(&lineage) } else { Ok(()) }
        })?;
        self.keys.insert(entry.key.clone());
        self.keys.set_current(&lineage.label, lineage.current);
        Ok(entry.key)
    }
}

/// A key with the steps of its life that are not stored yet.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: ManagedKey,
    steps: Vec<Move>,
}

impl Entry {
    /// A key that was just made, with its first step.
    pub(crate) fn of(key: ManagedKey, by: &str) -> Self {
        let reason = match key.origin {
            Origin::Generated => "generated",
            Origin::Imported => "imported",
            Origin::Adopted => "adopted",
            Origin::Registered => "registered",
        };
        let first = Move {
            from: None,
            to: key.state,
            at: key.created_at,
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        Self { key, steps: vec![first] }
    }

    /// Takes a move in.
    pub(crate) fn moved(&mut self, moved: Moved) {
        self.key = moved.key;
        self.steps.extend(moved.steps);
    }

    /// Stores the key and its steps.
    pub(crate) fn put(&self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        tx.put(&self.key)?;
        self.steps.iter().try_for_each(|step| tx.append_history(self.key.id, step))
    }
}

/// SHA-256 of a public key's SubjectPublicKeyInfo.
pub(crate) fn fingerprint(key: &PublicKey) -> Fingerprint {
    Fingerprint(key.fingerprint().expect("keys on record are on their curves"))
}

/// A key as its request described it, just made.
pub(crate) fn new_record(
    id: KeyId,
    label: &Label,
    new: &NewKey,
    policy: &KeyLifecyclePolicy,
    made: (Origin, PublicKey, Timestamp),
) -> ManagedKey {
    let (origin, public_key, created_at) = made;
    ManagedKey {
        id,
        label: label.clone(),
        purpose: new.purpose,
        storage: new.storage.clone(),
        origin,
        public_key,
        policy: policy.name.clone(),
        state: KeyState::Created,
        created_at,
        activated_at: None,
        deactivated_at: None,
        expires_at: None,
        destroy_at: None,
        destroyed_at: None,
        successor: None,
        predecessor: None,
    }
}
