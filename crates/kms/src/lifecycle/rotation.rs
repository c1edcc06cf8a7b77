//! Rotation: one key takes over from another.
//!
//! ```text
//! begin      old Active   ─▶ Rotating      successor named; link written on both
//! complete   old Rotating ─▶ Deactivated   only when the successor is Active; grace begins
//! abort      old Rotating ─▶ Active        an Active successor is deactivated
//! ```
//!
//! Consensus keys rotate in one step: their successor waits as Created or Pending and becomes
//! Active in the very step that deactivates the old key. So of a lineage of consensus keys at most
//! one may ever sign; two would be slashed. For the same reason a successor's `predecessor` stays
//! written when the rotation is aborted: it was made to take over and is activated in no other way.
//!
//! SPEC: "Key Rotation Procedures", "Rotation States".

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::lifecycle::Context;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Moved;
use crate::lifecycle::Refusal;
use crate::lifecycle::Transition;
use crate::lifecycle::decide::activated;
use crate::lifecycle::decide::linked;
use crate::lifecycle::decide::not_past_expiration;
use crate::lifecycle::decide::not_to_be_destroyed;
use crate::lifecycle::state_at;
use crate::time::Timestamp;

/// The key that is to take over, and the policy it lives under, which need not be that of the key
/// it replaces.
#[derive(Debug, Clone, Copy)]
pub struct Successor<'a> {
    /// The key.
    pub key: &'a ManagedKey,
    /// Its policy.
    pub policy: &'a KeyLifecyclePolicy,
}

/// Both keys after a step of a rotation; to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a move that is not stored has not happened"]
pub struct Rotation {
    /// The key that is replaced.
    pub old: Moved,
    /// The key that replaces it.
    pub new: Moved,
}

/// Names the successor of an active key: the old key is Rotating and signs on, the new one keeps its
/// state. Both records name each other.
///
/// The successor of a consensus key is Created or Pending, of another key also Active. A key that
/// was suspended in the midst of a rotation may begin it anew, with the same successor or another.
///
/// # Errors
/// [`Refusal::State`] for the old key; [`Refusal::SelfSuccessor`], [`Refusal::SuccessorPurpose`],
/// [`Refusal::PurposeAlgorithm`], [`Refusal::PolicyAlgorithm`], [`Refusal::SuccessorTaken`],
/// [`Refusal::SuccessorReplaced`], [`Refusal::SuccessorState`], [`Refusal::DestructionScheduled`],
/// [`Refusal::PastExpiration`] for the new one.
pub fn begin_rotation(
    key: &ManagedKey,
    successor: Successor<'_>,
    ctx: &Context<'_>,
) -> Result<Rotation, Refusal> {
    let mut old = Moved::start(key, Transition::BeginRotation, ctx)?;
    fits(key, successor)?;
    free(key, successor.key)?;
    usable(key.purpose, successor.key, ctx)?;
    let mut new = Moved::settled(successor.key, ctx.now);
    old.key.successor = Some(new.key.id);
    new.key.predecessor = Some(key.id);
    Ok(Rotation { old: old.step(Transition::BeginRotation, ctx), new })
}

/// Says whether `key` may have a successor at `now`, before one is made for it.
///
/// # Errors
/// [`Refusal::State`].
pub fn may_rotate(key: &ManagedKey, now: Timestamp) -> Result<(), Refusal> {
    let (state, transition) = (state_at(key, now), Transition::BeginRotation);
    match transition.target(state) {
        Some(_) => Ok(()),
        None => Err(Refusal::State { key: key.label.clone(), state, transition }),
    }
}

/// Retires a rotating key whose successor is Active; its grace period begins. The successor is not
/// changed. Not for consensus keys.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::ConsensusRotation`], [`Refusal::NoSuccessor`],
/// [`Refusal::OtherSuccessor`], [`Refusal::SuccessorState`].
pub fn complete_rotation(
    key: &ManagedKey,
    successor: &ManagedKey,
    ctx: &Context<'_>,
) -> Result<Moved, Refusal> {
    let old = Moved::start(key, Transition::CompleteRotation, ctx)?;
    if key.purpose == Purpose::Consensus {
        return Err(Refusal::ConsensusRotation { key: old.label() });
    }
    linked(key, successor)?;
    in_state(successor, &[KeyState::Active], ctx)?;
    Ok(old.step(Transition::CompleteRotation, ctx))
}

/// Retires a rotating consensus key and puts its successor into use in one step, so that at no
/// moment both may sign. A function of its own, because the caller chooses the height at which, and
/// hands the sign state over.
///
/// # Errors
/// [`Refusal::State`] for either, [`Refusal::NotConsensus`], [`Refusal::NoSuccessor`],
/// [`Refusal::OtherSuccessor`], and those of [`crate::lifecycle::activate`] for the successor.
pub fn complete_consensus_rotation(
    key: &ManagedKey,
    successor: Successor<'_>,
    ctx: &Context<'_>,
) -> Result<Rotation, Refusal> {
    let old = Moved::start(key, Transition::CompleteRotation, ctx)?;
    if key.purpose != Purpose::Consensus {
        return Err(Refusal::NotConsensus { key: old.label(), purpose: key.purpose });
    }
    linked(key, successor.key)?;
    let new = activated(successor.key, &Context { policy: successor.policy, ..*ctx })?;
    Ok(Rotation { old: old.step(Transition::CompleteRotation, ctx), new })
}

/// Returns to the old key. An Active successor is deactivated; one in another state stays there. The
/// old key names it no longer.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::NoSuccessor`], [`Refusal::OtherSuccessor`].
pub fn abort_rotation(
    key: &ManagedKey,
    successor: &ManagedKey,
    ctx: &Context<'_>,
) -> Result<Rotation, Refusal> {
    let mut old = Moved::start(key, Transition::AbortRotation, ctx)?;
    linked(key, successor)?;
    old.key.successor = None;
    let mut new = Moved::settled(successor, ctx.now);
    if new.key.state == KeyState::Active {
        new = new.step(Transition::Deactivate, ctx);
    }
    Ok(Rotation { old: old.step(Transition::AbortRotation, ctx), new })
}

/// Retires an active key in favour of its own copy in another storage, which is put into use in the
/// same step, so that at no moment both may sign. The copy has the same public half, and another id.
///
/// # Errors
/// [`Refusal::State`] for the key; [`Refusal::SelfSuccessor`] where the copy is none; those of
/// [`crate::lifecycle::activate`] for the copy.
pub(crate) fn migrate(
    key: &ManagedKey,
    copy: Successor<'_>,
    ctx: &Context<'_>,
) -> Result<Rotation, Refusal> {
    let mut old = Moved::start(key, Transition::BeginRotation, ctx)?;
    let same = copy.key.public_key == key.public_key && copy.key.purpose == key.purpose;
    if !same || copy.key.id == key.id || copy.key.storage == key.storage {
        return Err(Refusal::SelfSuccessor { key: key.label.clone() });
    }
    let mut new = activated(copy.key, &Context { policy: copy.policy, ..*ctx })?;
    old.key.successor = Some(new.key.id);
    new.key.predecessor = Some(key.id);
    let old = old.step(Transition::BeginRotation, ctx).step(Transition::CompleteRotation, ctx);
    Ok(Rotation { old, new })
}

/// Refuses a successor that is the key itself, or has another purpose or a forbidden algorithm.
fn fits(key: &ManagedKey, successor: Successor<'_>) -> Result<(), Refusal> {
    let (new, algorithm) = (successor.key, successor.key.algorithm());
    // Compared as keys: the same one may have come in twice, under two ids.
    if new.public_key == key.public_key {
        return Err(Refusal::SelfSuccessor { key: key.label.clone() });
    }
    if new.purpose != key.purpose {
        let (expected, given) = (key.purpose, new.purpose);
        return Err(Refusal::SuccessorPurpose { successor: new.label.clone(), expected, given });
    }
    if !new.purpose.allows(algorithm) {
        return Err(Refusal::PurposeAlgorithm { purpose: new.purpose, algorithm });
    }
    if !successor.policy.allows(algorithm) {
        let policy = successor.policy.name.clone();
        return Err(Refusal::PolicyAlgorithm { policy, algorithm });
    }
    Ok(())
}

/// Refuses a successor that takes part in another rotation: lineages do not fork, join or circle.
fn free(key: &ManagedKey, successor: &ManagedKey) -> Result<(), Refusal> {
    let label = || successor.label.clone();
    if let Some(predecessor) = successor.predecessor.filter(|id| *id != key.id) {
        return Err(Refusal::SuccessorTaken { successor: label(), predecessor });
    }
    if let Some(next) = successor.successor {
        return Err(Refusal::SuccessorReplaced { successor: label(), next });
    }
    Ok(())
}

/// Refuses a successor that is not, and cannot be put, into use.
fn usable(purpose: Purpose, successor: &ManagedKey, ctx: &Context<'_>) -> Result<(), Refusal> {
    let states: &[KeyState] = match purpose {
        Purpose::Consensus => &[KeyState::Created, KeyState::Pending],
        Purpose::Account | Purpose::Provider | Purpose::General => {
            &[KeyState::Created, KeyState::Pending, KeyState::Active]
        }
    };
    in_state(successor, states, ctx)?;
    not_to_be_destroyed(successor)?;
    not_past_expiration(successor, ctx)
}

fn in_state(
    successor: &ManagedKey,
    expected: &'static [KeyState],
    ctx: &Context<'_>,
) -> Result<(), Refusal> {
    let state = state_at(successor, ctx.now);
    if expected.contains(&state) {
        return Ok(());
    }
    Err(Refusal::SuccessorState { successor: successor.label.clone(), state, expected })
}
