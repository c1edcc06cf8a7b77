//! [`KeyLifecycleManager`]: moves keys along the state table, each move recorded with who, when
//! and why.

use std::sync::RwLockWriteGuard;

use crate::access::Permission;
use crate::audit::EventType;
use crate::compromise;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::PolicyName;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Reason;
use crate::key::StorageName;
use crate::lifecycle;
use crate::lifecycle::Context;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::LifecycleReport;
use crate::lifecycle::Moved;
use crate::lifecycle::Transition;
use crate::lifecycle::uses::Destroy;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::orders::Order;
use crate::manager::way::Way;
use crate::storage;
use crate::storage::StorageError;
use crate::store::StoreError;
use crate::store::Transaction;

/// The specification's `KeyLifecycleManager`, for one caller.
#[derive(Debug)]
pub struct KeyLifecycleManager<'a> {
    pub(crate) kms: &'a KeyManager,
    pub(crate) caller: &'a Caller,
}

/// A pure decision on one key.
type Decide = fn(&ManagedKey, &Context<'_>) -> Result<Moved, lifecycle::Refusal>;

impl<'a> KeyLifecycleManager<'a> {
    /// Registers a key whose private half is elsewhere: see [`KeyManager::register_key`].
    ///
    /// # Errors
    /// As there.
    pub fn register_key(
        &self,
        label: &Label,
        public_key: PublicKey,
        (purpose, policy): (Purpose, Option<PolicyName>),
    ) -> Result<ManagedKey, Error> {
        self.kms.register_key(self.caller, label, public_key, (purpose, policy))
    }

    /// Makes a created or pending key active. Needs `key:create`.
    ///
    /// # Errors
    /// When its state, its policy (approval, MFA) or the caller's permissions forbid it.
    pub fn activate_key(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeyCreate, EventType::KeyActivated, Transition::Activate);
        self.move_key(key, reason, step, lifecycle::activate)
    }

    /// Stops a key for now: no signature of it follows the return of this call. Needs
    /// `key:suspend`.
    ///
    /// # Errors
    /// When its state or the caller's permissions forbid it.
    pub fn suspend_key(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeySuspend, EventType::KeySuspended, Transition::Suspend);
        self.move_key(key, reason, step, lifecycle::suspend)
    }

    /// Returns a suspended key to Active. Needs `key:suspend`, `key:create` and fresh MFA: who may
    /// stop a key at night need not be able to start it again.
    ///
    /// # Errors
    /// When its state, its dates or the caller's permissions forbid it.
    pub fn reactivate_key(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeyCreate, EventType::KeyReactivated, Transition::Reactivate);
        self.move_key(key, reason, step, lifecycle::reactivate)
    }

    /// Stops a key from signing for good; its grace period begins. Needs `key:rotate`.
    ///
    /// # Errors
    /// When its state or the caller's permissions forbid it.
    pub fn deactivate_key(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeyRotate, EventType::KeyDeactivated, Transition::Deactivate);
        self.move_key(key, reason, step, lifecycle::deactivate)
    }

    /// Archives a key whose grace period is over: its private half is gone on return, its public
    /// half stays to verify with. Needs `key:rotate`.
    ///
    /// # Errors
    /// When its state, its grace period or the caller's permissions forbid it.
    pub fn archive_key(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeyRotate, EventType::KeyArchived, Transition::Archive);
        self.remove_key(key, reason, step, lifecycle::archive)
    }

    /// Destroys a key without the delay in which it could be cancelled: its private half is gone
    /// on return, its record stays as a tombstone. Needs `key:destroy` and fresh MFA.
    ///
    /// # Errors
    /// When its state, its grace period, its policy or the caller's permissions forbid it.
    pub fn destroy_now(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(Permission::KeyDestroy, EventType::KeyDestroyed, Transition::Destroy);
        self.remove_key(key, reason, step, lifecycle::destroy_now)
    }

    /// Marks a key as compromised: it never signs again. Needs `compromise:report`.
    ///
    /// # Errors
    /// When it is destroyed or the caller's permissions forbid it.
    pub fn mark_compromised(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(
            Permission::CompromiseReport,
            EventType::KeyCompromised,
            Transition::MarkCompromised,
        );
        self.move_key(key, reason, step, lifecycle::mark_compromised)
    }

    /// Orders a key's destruction; it is carried out after the policy's delay and can be cancelled
    /// until then. Needs `key:delete` or `key:destroy`.
    ///
    /// # Errors
    /// When its state, its grace period, its policy or the caller's permissions forbid it.
    pub fn schedule_destroy(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(
            Permission::KeyDestroy,
            EventType::KeyDestroyScheduled,
            Transition::ScheduleDestroy,
        );
        self.move_key(key, reason, step, lifecycle::schedule_destroy)
    }

    /// Cancels a destruction that is not carried out yet. Needs `key:delete` or `key:destroy`.
    ///
    /// # Errors
    /// When none is scheduled or the caller's permissions forbid it.
    pub fn cancel_destroy(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step =
            Step(Permission::KeyDestroy, EventType::KeyDestroyCancelled, Transition::CancelDestroy);
        self.move_key(key, reason, step, lifecycle::cancel_destroy)
    }

    /// The record of a key; the specification's name for [`KeyManager::get_key`].
    ///
    /// # Errors
    /// As there.
    pub fn get_record(&self, key: &KeyRef) -> Result<ManagedKey, Error> {
        self.kms.get_key(self.caller, key)
    }

    /// The active keys that are older than their policy allows. Needs `key:read`.
    ///
    /// # Errors
    /// When the caller may read no key.
    pub fn get_keys_needing_rotation(&self) -> Result<Vec<ManagedKey>, Error> {
        self.kms.operation(self.caller, EventType::KeyRead, |way| {
            let keys = self.kms.visible_keys(way)?;
            let policies = self.kms.policies();
            let due = lifecycle::keys_needing_rotation(&keys, &policies, way.now);
            Ok(due.into_iter().cloned().collect())
        })
    }

    /// Counts the keys the caller may read, by state, policy and algorithm. Needs `key:read`.
    ///
    /// # Errors
    /// When the caller may read no key.
    pub fn generate_lifecycle_report(&self) -> Result<LifecycleReport, Error> {
        self.kms.operation(self.caller, EventType::KeyRead, |way| {
            let keys = self.kms.visible_keys(way)?;
            Ok(LifecycleReport::of(&keys, &self.kms.policies(), way.now))
        })
    }

    /// One key, one decision, one commit, and its private half goes.
    ///
    /// A crash after the intent leaves the key as it was; after the commit, the next start removes
    /// what should be gone.
    fn remove_key(
        &self,
        key: &KeyRef,
        reason: &Reason,
        step: Step,
        decide: Decide,
    ) -> Result<ManagedKey, Error> {
        let Step(permission, event, transition) = step;
        self.kms.operation(self.caller, event, |way| {
            let slot = way.find(key)?;
            let mut record = slot.write();
            way.check_still_named(key, &slot)?;
            way.note("reason", reason.as_str());
            let grant = way.authorize_key(permission, &record)?;
            let policy = self.kms.policy_of(&record);
            let grave = transition == Transition::Destroy;
            let grant =
                way.confirm_if(grave || lifecycle::requires_mfa(transition, &policy), grant)?;
            let moved = self.decide(way, &record, (transition, decide), (reason, &policy))?;
            if moved.key.storage == StorageName::offline() {
                return publish(way, &mut record, moved); // there is no private half here to remove
            }
            let storage = self.kms.storage(&moved.key.storage)?;
            way.intend()?;
            let admitted = lifecycle::admit_destroy(grant, Destroy { key: &moved.key })?;
            let cleared = compromise::observe(admitted);
            way.note("from", record.state.name());
            way.note("to", moved.key.state.name());
            let removed = way.commit_then(
                transition.name(),
                |tx| put_move(tx, &moved),
                || storage::destroy(storage, cleared),
            )?;
            *record = moved.key.clone();
            match removed {
                // What is lost already needs no removal.
                Ok(_) | Err(StorageError::Refused(storage::Refused::NotFound(_))) => Ok(moved.key),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Decides a move with the approvals it has. Where some are missing, it is decided as if they
    /// were there, and they are asked for; where none is, the next commit spends them.
    fn decide(
        &self,
        way: &mut Way<'a>,
        record: &ManagedKey,
        (transition, decide): (Transition, Decide),
        (reason, policy): (&Reason, &KeyLifecyclePolicy),
    ) -> Result<Moved, Error> {
        let by = way.who.principal().to_string();
        let context = Context { now: way.now, by: &by, approved_by: None, reason, policy };
        let Some(order) = order_of(transition, record.id, reason) else {
            return Ok(decide(record, &context)?);
        };
        let standing = self.kms.standing(way, &order, Some(record))?;
        let approved_by = standing.approved_by();
        let moved = decide(record, &Context { approved_by, ..context })?;
        let permit = standing.permit(way)?;
        way.spend(permit);
        Ok(moved)
    }

    /// One key, one decision, one commit.
    fn move_key(
        &self,
        key: &KeyRef,
        reason: &Reason,
        step: Step,
        decide: Decide,
    ) -> Result<ManagedKey, Error> {
        let Step(permission, event, transition) = step;
        self.kms.operation(self.caller, event, |way| {
            let slot = way.find(key)?;
            let mut record = slot.write(); // waits for the uses under way, holds off the next
            way.check_still_named(key, &slot)?;
            way.note("reason", reason.as_str());
            let grant = match transition {
                Transition::Reactivate => {
                    _ = way.authorize_key(Permission::KeySuspend, &record)?;
                    way.authorize_key(permission, &record)?
                }
                Transition::ScheduleDestroy | Transition::CancelDestroy => way
                    .authorize_key(Permission::KeyDelete, &record)
                    .or_else(|_| way.authorize_key(permission, &record))?,
                _ => way.authorize_key(permission, &record)?,
            };
            let policy = self.kms.policy_of(&record);
            let grave = transition == Transition::Reactivate;
            _ = way.confirm_if(grave || lifecycle::requires_mfa(transition, &policy), grant)?;
            let moved = self.decide(way, &record, (transition, decide), (reason, &policy))?;
            publish(way, &mut record, moved)
        })
    }
}

/// The order that a rule can make wait for approvals; none for what stops a key, takes an order
/// back, or is no person's to ask for.
fn order_of(transition: Transition, key: KeyId, reason: &Reason) -> Option<Order> {
    let reason = reason.clone();
    match transition {
        Transition::Activate => Some(Order::ActivateKey { key, reason }),
        Transition::Reactivate => Some(Order::ReactivateKey { key, reason }),
        Transition::Archive => Some(Order::ArchiveKey { key, reason }),
        Transition::ScheduleDestroy => Some(Order::ScheduleDestroy { key, reason }),
        Transition::Destroy => Some(Order::DestroyNow { key, reason }),
        Transition::Submit
        | Transition::Reject
        | Transition::BeginRotation
        | Transition::CompleteRotation
        | Transition::AbortRotation
        | Transition::Suspend
        | Transition::Deactivate
        | Transition::Expire
        | Transition::MarkCompromised
        | Transition::CancelDestroy => None,
    }
}

/// What a move needs: the permission, the record's type, and the transition.
struct Step(Permission, EventType, Transition);

/// Commits a move and shows it to everyone; the record is queued before the guard is let go.
fn publish(
    way: &mut Way<'_>,
    record: &mut RwLockWriteGuard<'_, ManagedKey>,
    moved: Moved,
) -> Result<ManagedKey, Error> {
    way.note("from", record.state.name());
    way.note("to", moved.key.state.name());
    way.commit("move key", |tx| put_move(tx, &moved))?;
    **record = moved.key.clone();
    Ok(moved.key)
}

/// Stores a moved key and its steps.
pub(crate) fn put_move(tx: &mut Transaction<'_>, moved: &Moved) -> Result<(), StoreError> {
    tx.put(&moved.key)?;
    moved.steps.iter().try_for_each(|step| tx.append_history(moved.key.id, step))
}
