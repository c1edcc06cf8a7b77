//! Rotation: a lineage's current key gets a successor, and steps back.

use crate::access::Permission;
use crate::audit::EventType;
use crate::compromise;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Origin;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Reason;
use crate::lifecycle;
use crate::lifecycle::Context;
use crate::lifecycle::Moved;
use crate::lifecycle::Refusal;
use crate::lifecycle::Successor;
use crate::lifecycle::Transition;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyLifecycleManager;
use crate::manager::KeyManager;
use crate::manager::approvals::Standing;
use crate::manager::keys::Entry;
use crate::manager::keys::fingerprint;
use crate::manager::moves::put_move;
use crate::manager::orders::Order;
use crate::manager::way::Way;
use crate::multisig::ActKind;
use crate::storage;
use crate::store::Document;
use crate::time::Timestamp;

/// Which key of a lineage its label names. Written when that is no longer the only one.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lineage {
    pub(crate) label: Label,
    pub(crate) current: KeyId,
}

impl Document for Lineage {
    const KIND: &'static str = "lineage";

    fn document_id(&self) -> String {
        self.label.folded()
    }
}

impl KeyManager {
    /// Rotates a lineage: makes a successor like the current key and lets the current key step
    /// back. Returns the successor.
    ///
    /// The successor is active at once and the label names it; the old key still signs, by its id,
    /// until [`KeyLifecycleManager::complete_rotation`]. A consensus key's successor stays created
    /// and the label stays with the old key until then, so that never two may sign.
    ///
    /// Needs `key:rotate`; fresh MFA where the policy says so.
    ///
    /// # Errors
    /// When the key's state, its policy or the caller's permissions forbid it. A crash after the
    /// successor's key file leaves a file without a record, which is set aside at the next start.
    pub fn rotate_key(
        &self,
        caller: &Caller,
        key: &KeyRef,
        reason: &Reason,
    ) -> Result<ManagedKey, Error> {
        self.operation(caller, EventType::KeyRotated, |way| {
            let slot = way.find(key)?;
            let before = slot.read().clone(); // the key signs on while its successor is made
            way.note("reason", reason.as_str());
            let grant = way.authorize_key(Permission::KeyRotate, &before)?;
            let policy = self.policy_of(&before);
            let transition = Transition::BeginRotation;
            let grant = way.confirm_if(lifecycle::requires_mfa(transition, &policy), grant)?;
            // 1. Nothing is made for a key that may not have a successor now.
            lifecycle::may_rotate(&before, way.now)?;
            let order = Order::RotateKey { key: before.id, reason: reason.clone() };
            let standing = self.standing(way, &order, Some(&before))?;
            let approved_by = standing.approved_by();
            if approved_by.is_none()
                && before.purpose != Purpose::Consensus
                && policy.require_approval_for_activation
            {
                return Err(Refusal::ApprovalRequired {
                    key: before.label.clone(),
                    policy: policy.name.clone(),
                    transition: Transition::Activate,
                }
                .into());
            }
            drop(standing.permit(way)?); // asked for now; taken below, behind the key's lock
            way.intend()?;
            // 2. The successor's private half. A crash here leaves an orphaned key file.
            let id = self.next_key_id()?;
            let what = Generate { id, algorithm: before.algorithm(), purpose: before.purpose };
            let admitted = lifecycle::admit_generate(grant, what, &policy)?;
            let storage = self.storage(&before.storage)?;
            let public_key = storage::generate(storage, compromise::observe(admitted))?;
            // 3. Both keys' moves and the label, in one transaction with the record; decided on
            //    what the key is now.
            let _lineage = self.keys.keep_lineages();
            let mut old = slot.write();
            _ = way.authorize_key(Permission::KeyRotate, &old)?;
            let may = lifecycle::may_rotate(&old, way.now).map_err(Error::from);
            let standing = may.and_then(|()| self.standing(way, &order, Some(&old)));
            let permit = match standing.and_then(|standing| standing.permit(way)) {
                Ok(permit) => permit,
                Err(refusal) => {
                    self.discard(successor_of(&old, id, public_key, way.now))?;
                    return Err(refusal);
                }
            };
            let consensus = old.purpose == Purpose::Consensus;
            let by = way.who.principal().to_string();
            let context = Context { now: way.now, by: &by, approved_by, reason, policy: &policy };
            let made = successor_of(&old, id, public_key, way.now);
            let mut new = Entry::of(made, &by);
            if !consensus {
                new.moved(lifecycle::activate(&new.key, &context)?);
            }
            let named = Successor { key: &new.key, policy: &policy };
            let rotation = lifecycle::begin_rotation(&old, named, &context)?;
            new.moved(rotation.new);
            let current = if consensus { old.id } else { id };
            way.spend(permit);
            way.note("successor", id.to_string());
            way.note("fingerprint", fingerprint(&new.key.public_key).to_string());
            way.commit("rotate key", |tx| {
                put_move(tx, &rotation.old)?;
                new.put(tx)?;
                tx.put(&Lineage { label: old.label.clone(), current })
            })?;
            *old = rotation.old.key;
            self.keys.insert(new.key.clone());
            self.keys.set_current(&old.label, current);
            Ok(new.key)
        })
    }
}

impl KeyManager {
    /// Removes the private half of a key that was made and will have no record: the key it was to
    /// follow was moved meanwhile.
    pub(crate) fn discard(&self, made: ManagedKey) -> Result<(), Error> {
        let never = ManagedKey { state: KeyState::Destroyed, ..made };
        let admitted = lifecycle::admit_left_behind(Destroy { key: &never })?;
        let storage = self.storage(&never.storage)?;
        _ = storage::destroy(storage, compromise::observe(admitted))?;
        Ok(())
    }
}

impl KeyLifecycleManager<'_> {
    /// Rotates from one key that exists to another that exists: the specification's `RotateKey`.
    /// The label of the old key names the new one from then on if that is active, else once the
    /// rotation is completed. Returns the old key.
    ///
    /// Needs `key:rotate` on both; fresh MFA where the policy says so.
    ///
    /// # Errors
    /// When the successor is the key itself, has another purpose, an algorithm the policy does not
    /// allow, or cannot sign; or as [`KeyManager::rotate_key`].
    pub fn rotate_key(
        &self,
        old: &KeyRef,
        new: &KeyRef,
        reason: &Reason,
    ) -> Result<ManagedKey, Error> {
        let step = Step(EventType::KeyRotated, Transition::BeginRotation);
        self.move_pair((old, Some(new)), reason, step, |old, new, context| {
            let label_follows = new.key.state == KeyState::Active;
            let current = if label_follows { new.key.id } else { old.id };
            let moved = lifecycle::begin_rotation(old, new, context)?;
            Ok(Outcome { old: moved.old, new: Some(moved.new), current })
        })
    }

    /// Completes a rotation: the old key signs no more and its grace period begins. For a
    /// consensus key the successor becomes active in the same transaction. Returns the old key.
    ///
    /// `key` names the old key, or the lineage. Needs `key:rotate`; fresh MFA where the policy
    /// says so.
    ///
    /// # Errors
    /// When the key is not rotating, its successor is not active, or the caller may not.
    pub fn complete_rotation(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(EventType::KeyRotationCompleted, Transition::CompleteRotation);
        self.move_pair((key, None), reason, step, |old, new, context| {
            let current = new.key.id;
            if old.purpose == Purpose::Consensus {
                let moved = lifecycle::complete_consensus_rotation(old, new, context)?;
                return Ok(Outcome { old: moved.old, new: Some(moved.new), current });
            }
            let old = lifecycle::complete_rotation(old, new.key, context)?;
            Ok(Outcome { old, new: None, current })
        })
    }

    /// Takes a rotation back: the old key is active again, and the successor, if it signed
    /// already, is deactivated. Returns the old key.
    ///
    /// `key` names the old key, or the lineage. Needs `key:rotate`; fresh MFA where the policy
    /// says so.
    ///
    /// # Errors
    /// When the key is not rotating or the caller may not.
    pub fn abort_rotation(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> {
        let step = Step(EventType::KeyRotationAborted, Transition::AbortRotation);
        self.move_pair((key, None), reason, step, |old, new, context| {
            let moved = lifecycle::abort_rotation(old, new.key, context)?;
            Ok(Outcome { current: old.id, old: moved.old, new: Some(moved.new) })
        })
    }

    /// The key of a rotation that is to be completed or aborted: the key itself when it is named by
    /// id or still holds its label, else the predecessor of the one that holds it now.
    fn rotating(way: &Way<'_>, key: &KeyRef) -> Result<KeyId, Error> {
        let named = way.find(key)?.read().clone();
        match (key, named.predecessor) {
            (KeyRef::Label(_), Some(old)) if named.successor.is_none() => Ok(old),
            (KeyRef::Label(_) | KeyRef::Id(_), _) => Ok(named.id),
        }
    }

    /// Two keys, one decision, one commit. The successor is `new`, or the one that `old` names.
    fn move_pair(
        &self,
        (old, new): (&KeyRef, Option<&KeyRef>),
        reason: &Reason,
        step: Step,
        decide: impl FnOnce(&ManagedKey, Successor<'_>, &Context<'_>) -> Result<Outcome, Refusal>,
    ) -> Result<ManagedKey, Error> {
        let Step(event, transition) = step;
        self.kms.operation(self.caller, event, |way| {
            way.note("reason", reason.as_str());
            let is_given = new.is_some();
            let (old, new) = match new {
                Some(new) => (way.find(old)?.read().id, Some(way.find(new)?.read().id)),
                None => (Self::rotating(way, old)?, None),
            };
            let old_slot = way.find(&old.into())?;
            let named = new.or(old_slot.read().successor);
            let Some(new) = named.filter(|new| *new != old) else {
                let record = old_slot.read();
                _ = way.authorize_key(Permission::KeyRotate, &record)?;
                let key = record.label.clone();
                return Err(if named.is_some() {
                    Refusal::SelfSuccessor { key }.into()
                } else {
                    Refusal::State { key, state: record.state, transition }.into()
                });
            };
            let new_slot = way.find(&new.into())?;
            let _lineage = self.kms.keys.keep_lineages();
            // Two locks in one order for all, so that none waits for ever.
            let (mut old, mut new) = if old < new {
                let old = old_slot.write();
                (old, new_slot.write())
            } else {
                let new = new_slot.write();
                (old_slot.write(), new)
            };
            _ = way.authorize_key(Permission::KeyRotate, &new)?;
            let grant = way.authorize_key(Permission::KeyRotate, &old)?;
            let (policy, new_policy) = (self.kms.policy_of(&old), self.kms.policy_of(&new));
            let grave = lifecycle::requires_mfa(transition, &policy)
                || lifecycle::requires_mfa(transition, &new_policy);
            _ = way.confirm_if(grave, grant)?;
            // The rules over the old key are asked; the successor is put into use, and a successor that
            // was there before is used under the old one's name.
            if transition != Transition::AbortRotation {
                let uses = [ActKind::Activate, ActKind::Rotate];
                self.kms.check_rules_are_asked(&uses, (&new, &old))?;
            }
            if is_given {
                self.kms.check_rules_are_asked(&ActKind::ALL, (&old, &new))?;
            }
            let by = way.who.principal().to_string();
            let standing = match order_of(transition, (&old, new.id), reason) {
                Some(order) => Some(self.kms.standing(way, &order, Some(&old))?),
                None => None,
            };
            let approved_by = standing.as_ref().and_then(Standing::approved_by);
            let context = Context { now: way.now, by: &by, approved_by, reason, policy: &policy };
            let outcome = decide(&old, Successor { key: &new, policy: &new_policy }, &context)?;
            if let Some(standing) = standing {
                let permit = standing.permit(way)?;
                way.spend(permit);
            }
            way.note("successor", new.id.to_string());
            way.note("from", old.state.name());
            way.note("to", outcome.old.key.state.name());
            let lineage = Lineage { label: old.label.clone(), current: outcome.current };
            way.commit(transition.name(), |tx| {
                put_move(tx, &outcome.old)?;
                outcome.new.iter().try_for_each(|moved| put_move(tx, moved))?;
                tx.put(&lineage)
            })?;
            *old = outcome.old.key.clone();
            if let Some(moved) = outcome.new {
                *new = moved.key;
            }
            self.kms.keys.set_current(&lineage.label, lineage.current);
            Ok(outcome.old.key)
        })
    }
}

/// What a step of a rotation makes of both keys, and which of them the label names then.
struct Outcome {
    old: Moved,
    new: Option<Moved>,
    current: KeyId,
}

/// What a step needs: the record's type and the transition.
struct Step(EventType, Transition);

/// The order that a rule can make wait for approvals: what puts a successor into use. Going back is
/// free.
fn order_of(
    transition: Transition,
    (old, successor): (&ManagedKey, KeyId),
    reason: &Reason,
) -> Option<Order> {
    let (key, reason) = (old.id, reason.clone());
    match transition {
        Transition::BeginRotation => Some(Order::RotateTo { key, successor, reason }),
        Transition::CompleteRotation if old.purpose == Purpose::Consensus => {
            Some(Order::CompleteRotation { key, successor, reason })
        }
        _ => None,
    }
}

/// A key like `old`, just made.
pub(crate) fn successor_of(
    old: &ManagedKey,
    id: KeyId,
    public_key: PublicKey,
    now: Timestamp,
) -> ManagedKey {
    ManagedKey {
        id,
        origin: Origin::Generated,
        public_key,
        state: KeyState::Created,
        created_at: now,
        activated_at: None,
        deactivated_at: None,
        expires_at: None,
        destroy_at: None,
        destroyed_at: None,
        successor: None,
        predecessor: None,
        ..old.clone()
    }
}
