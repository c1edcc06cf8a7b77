//! The moves of one key. Each looks at the table, then at its guards, then gives the key's new
//! value; a refusal changes nothing. Rotation, which moves two keys, is in `rotation.rs`.
//!
//! Permission, MFA and open incidents are asked elsewhere: [`crate::lifecycle::requires_mfa`] says
//! when a second factor is due.

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::lifecycle::Context;
use crate::lifecycle::Moved;
use crate::lifecycle::Refusal;
use crate::lifecycle::Transition;
use crate::lifecycle::grace_ends;
use crate::lifecycle::state::stopped_for_good;

/// Puts a new key into use. Its expiration date counts from here.
///
/// A consensus key that takes over from another is activated by
/// [`crate::lifecycle::complete_consensus_rotation`] or [`activate_after`] instead.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::TakesOver`], [`Refusal::ApprovalRequired`],
/// [`Refusal::OwnApproval`], [`Refusal::DestructionScheduled`], [`Refusal::PastExpiration`].
pub fn activate(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::start(key, Transition::Activate, ctx)?;
    if let (Purpose::Consensus, Some(predecessor)) = (key.purpose, key.predecessor) {
        return Err(Refusal::TakesOver { key: moved.label(), predecessor });
    }
    activated(key, ctx)
}

/// Puts the successor of a key into use that has stopped for good before the rotation was
/// completed: expired, compromised or deactivated out of a suspension.
///
/// What counts is the *recorded* state of the predecessor: one that time alone has expired could
/// come back with a clock that goes back, so record that first.
///
/// # Errors
/// As [`activate`], and [`Refusal::NoSuccessor`], [`Refusal::OtherSuccessor`],
/// [`Refusal::PredecessorMaySign`].
pub fn activate_after(
    predecessor: &ManagedKey,
    key: &ManagedKey,
    ctx: &Context<'_>,
) -> Result<Moved, Refusal> {
    linked(predecessor, key)?;
    if !stopped_for_good(predecessor.state) {
        let (predecessor, state) = (predecessor.label.clone(), predecessor.state);
        return Err(Refusal::PredecessorMaySign { predecessor, state });
    }
    activated(key, ctx)
}

/// Hands a new key in: it waits for an approval, a second factor or its inclusion on a chain.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::DestructionScheduled`].
pub fn submit(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::start(key, Transition::Submit, ctx)?;
    not_to_be_destroyed(key)?;
    Ok(moved.step(Transition::Submit, ctx))
}

/// Turns a submitted key down; it is Created again.
///
/// # Errors
/// [`Refusal::State`].
pub fn reject(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    plain(key, Transition::Reject, ctx)
}

/// Stops a key for now. A rotating key keeps its successor, which is named again when the rotation
/// is begun anew.
///
/// # Errors
/// [`Refusal::State`].
pub fn suspend(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    plain(key, Transition::Suspend, ctx)
}

/// Puts a suspended key back into use; its dates stay.
///
/// # Errors
/// [`Refusal::State`], also when it expired while it was suspended.
pub fn reactivate(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    plain(key, Transition::Reactivate, ctx)
}

/// Stops a key for good. Its grace period begins. A rotation is completed or aborted instead.
///
/// # Errors
/// [`Refusal::State`].
pub fn deactivate(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    plain(key, Transition::Deactivate, ctx)
}

/// Records what the expiration date has done; `ctx` gives the moment only, the step is by
/// [`SYSTEM`](crate::lifecycle::SYSTEM) and of that date. The grace period begins at that date.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::NotExpired`].
pub fn expire(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::settled(key, ctx.now);
    if moved.steps.is_empty() {
        let in_use = Moved::start(key, Transition::Expire, ctx)?;
        return Err(Refusal::NotExpired { key: in_use.label() });
    }
    Ok(moved)
}

/// Puts a stopped key away: from here on its private half is to be removed
/// ([`crate::lifecycle::uses::Destroy`]) and its public half stays to verify with. A compromised
/// key may be archived at once, for those who look into it.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::GracePeriod`].
pub fn archive(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::start(key, Transition::Archive, ctx)?;
    grace_over(&moved, ctx)?;
    Ok(moved.step(Transition::Archive, ctx))
}

/// Stops a key for good because it is known or suspected in wrong hands. Possible in every state
/// but Destroyed: what was signed before becomes doubtful also if it is found out late.
///
/// # Errors
/// [`Refusal::State`].
pub fn mark_compromised(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    plain(key, Transition::MarkCompromised, ctx)
}

/// Orders the destruction of a key for `destroy_delay_days` from now. Its state stays until then.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::GracePeriod`], [`Refusal::DestructionScheduled`],
/// [`Refusal::ApprovalRequired`], [`Refusal::OwnApproval`].
pub fn schedule_destroy(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let mut moved = Moved::start(key, Transition::ScheduleDestroy, ctx)?;
    not_to_be_destroyed(key)?;
    grace_over(&moved, ctx)?;
    destruction_approved(&moved, Transition::ScheduleDestroy, ctx)?;
    moved.key.destroy_at = Some(moved.moment(ctx).plus(ctx.policy.destroy_delay_days));
    Ok(moved.step(Transition::ScheduleDestroy, ctx))
}

/// Takes an ordered destruction back, also when it is due, as long as it is not done.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::DestructionNotScheduled`].
pub fn cancel_destroy(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let mut moved = Moved::start(key, Transition::CancelDestroy, ctx)?;
    if moved.key.destroy_at.take().is_none() {
        return Err(Refusal::DestructionNotScheduled { key: moved.label() });
    }
    Ok(moved.step(Transition::CancelDestroy, ctx))
}

/// Carries out an ordered destruction that is due; it was approved when it was ordered. The record
/// and the public half stay as a tombstone.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::DestructionNotScheduled`], [`Refusal::DestructionNotDue`],
/// [`Refusal::GracePeriod`].
pub fn destroy(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::start(key, Transition::Destroy, ctx)?;
    match key.destroy_at {
        None => return Err(Refusal::DestructionNotScheduled { key: moved.label() }),
        Some(at) if ctx.now < at => {
            return Err(Refusal::DestructionNotDue { key: moved.label(), at });
        }
        Some(_) => {}
    }
    grace_over(&moved, ctx)?;
    Ok(moved.step(Transition::Destroy, ctx))
}

/// Destroys a key without the delay, in which it could be cancelled. The grace period holds here
/// too. The caller has asked for a second factor whatever the policy says.
///
/// # Errors
/// [`Refusal::State`], [`Refusal::GracePeriod`], [`Refusal::ApprovalRequired`],
/// [`Refusal::OwnApproval`].
pub fn destroy_now(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let moved = Moved::start(key, Transition::Destroy, ctx)?;
    grace_over(&moved, ctx)?;
    destruction_approved(&moved, Transition::Destroy, ctx)?;
    Ok(moved.step(Transition::Destroy, ctx))
}

/// Activates `key` with every guard but the one on its predecessor.
pub(crate) fn activated(key: &ManagedKey, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    let mut moved = Moved::start(key, Transition::Activate, ctx)?;
    not_to_be_destroyed(key)?;
    not_past_expiration(key, ctx)?;
    if ctx.policy.require_approval_for_activation {
        approved(&moved, Transition::Activate, ctx)?;
    }
    let by_policy = ctx.policy.expiration_days.map(|days| moved.moment(ctx).plus(days));
    // A date set when the key was made may shorten what the policy gives, never lengthen it.
    let dates = [key.expires_at, by_policy];
    moved.key.expires_at = dates.into_iter().flatten().min();
    Ok(moved.step(Transition::Activate, ctx))
}

/// Refuses unless the two are linked as key and successor, in both records.
pub(crate) fn linked(key: &ManagedKey, successor: &ManagedKey) -> Result<(), Refusal> {
    let Some(expected) = key.successor else {
        return Err(Refusal::NoSuccessor { key: key.label.clone() });
    };
    if expected == successor.id && successor.predecessor == Some(key.id) {
        return Ok(());
    }
    Err(Refusal::OtherSuccessor { key: key.label.clone(), expected, given: successor.id })
}

/// Refuses a key whose destruction is ordered: it would come over a key in use.
pub(crate) fn not_to_be_destroyed(key: &ManagedKey) -> Result<(), Refusal> {
    match key.destroy_at {
        Some(at) => Err(Refusal::DestructionScheduled { key: key.label.clone(), at }),
        None => Ok(()),
    }
}

/// Refuses a key that is not in use yet and whose expiration date has passed.
pub(crate) fn not_past_expiration(key: &ManagedKey, ctx: &Context<'_>) -> Result<(), Refusal> {
    match key.expires_at {
        Some(at) if at <= ctx.now => Err(Refusal::PastExpiration { key: key.label.clone(), at }),
        Some(_) | None => Ok(()),
    }
}

fn plain(key: &ManagedKey, transition: Transition, ctx: &Context<'_>) -> Result<Moved, Refusal> {
    Ok(Moved::start(key, transition, ctx)?.step(transition, ctx))
}

/// SPEC: "Key Rotation" (never delete old keys before grace period).
fn grace_over(moved: &Moved, ctx: &Context<'_>) -> Result<(), Refusal> {
    let ends = match moved.key.state {
        KeyState::Deactivated | KeyState::Expired => grace_ends(&moved.key, ctx.policy),
        KeyState::Created
        | KeyState::Pending
        | KeyState::Active
        | KeyState::Rotating
        | KeyState::Suspended
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => None,
    };
    match ends {
        Some(ends) if ctx.now < ends => Err(Refusal::GracePeriod { key: moved.label(), ends }),
        Some(_) | None => Ok(()),
    }
}

fn destruction_approved(
    moved: &Moved,
    transition: Transition,
    ctx: &Context<'_>,
) -> Result<(), Refusal> {
    if ctx.policy.require_approval_for_destruction {
        approved(moved, transition, ctx)?;
    }
    Ok(())
}

fn approved(moved: &Moved, transition: Transition, ctx: &Context<'_>) -> Result<(), Refusal> {
    match ctx.approved_by {
        Some(approver) if approver == ctx.by => {
            Err(Refusal::OwnApproval { key: moved.label(), transition })
        }
        Some(_) => Ok(()),
        None => {
            let policy = ctx.policy.name.clone();
            Err(Refusal::ApprovalRequired { key: moved.label(), policy, transition })
        }
    }
}
