//! The table of a key's life: which state may follow which, and by what transition.
//!
//! This is the one place where it is written; every match here is exhaustive, so that a new state
//! or transition does not compile until it has its row. Guards (dates, successors, approvals) are
//! laid on top of it elsewhere and only ever refuse more.
//!
//! SPEC: "Key States"; NIST SP 800-57 Part 1 Rev. 5 section 7. Deviation from its transitions 5 and
//! 9: an active or suspended key is destroyed by way of Deactivated, never directly.

use std::fmt;

use crate::key::KeyState;
use crate::lifecycle::KeyLifecyclePolicy;

/// What can be done to a key's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transition {
    /// Puts a new key into use.
    Activate,
    /// Hands a new key in for approval, MFA or inclusion on a chain.
    Submit,
    /// Turns a submitted key down.
    Reject,
    /// Names the successor of an active key.
    BeginRotation,
    /// Retires the old key for its successor.
    CompleteRotation,
    /// Returns to the old key.
    AbortRotation,
    /// Stops a key for now.
    Suspend,
    /// Puts a suspended key back into use.
    Reactivate,
    /// Stops a key for good.
    Deactivate,
    /// Says what the expiration date has done. Time alone causes it, nobody asks for it.
    Expire,
    /// Puts a stopped key away: its private half goes, its public half stays to verify with.
    Archive,
    /// Stops a key for good because it is known or suspected in wrong hands.
    MarkCompromised,
    /// Orders a destruction for a later date; the state stays.
    ScheduleDestroy,
    /// Takes that order back; the state stays.
    CancelDestroy,
    /// Removes the private half for ever.
    Destroy,
}

impl Transition {
    /// Every transition, in the order of a life.
    pub const ALL: [Self; 15] = [
        Self::Activate,
        Self::Submit,
        Self::Reject,
        Self::BeginRotation,
        Self::CompleteRotation,
        Self::AbortRotation,
        Self::Suspend,
        Self::Reactivate,
        Self::Deactivate,
        Self::Expire,
        Self::Archive,
        Self::MarkCompromised,
        Self::ScheduleDestroy,
        Self::CancelDestroy,
        Self::Destroy,
    ];

    /// The name used in messages; the command's where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Submit => "submit",
            Self::Reject => "reject",
            Self::BeginRotation => "rotate",
            Self::CompleteRotation => "complete-rotation",
            Self::AbortRotation => "abort-rotation",
            Self::Suspend => "suspend",
            Self::Reactivate => "reactivate",
            Self::Deactivate => "deactivate",
            Self::Expire => "expire",
            Self::Archive => "archive",
            Self::MarkCompromised => "compromise",
            Self::ScheduleDestroy => "schedule-destroy",
            Self::CancelDestroy => "cancel-destroy",
            Self::Destroy => "destroy",
        }
    }

    /// The states it starts from.
    pub fn sources(self) -> &'static [KeyState] {
        use KeyState as S;
        match self {
            Self::Activate => &[S::Created, S::Pending],
            Self::Submit => &[S::Created],
            Self::Reject => &[S::Pending],
            Self::BeginRotation => &[S::Active],
            Self::CompleteRotation | Self::AbortRotation => &[S::Rotating],
            Self::Suspend => &[S::Active, S::Rotating],
            Self::Reactivate => &[S::Suspended],
            // A rotating key is completed or aborted, so that its successor is never forgotten.
            Self::Deactivate => &[S::Active, S::Suspended],
            Self::Expire => &[S::Active, S::Rotating, S::Suspended],
            Self::Archive => &[S::Deactivated, S::Expired, S::Compromised],
            Self::MarkCompromised => &[
                S::Created,
                S::Pending,
                S::Active,
                S::Rotating,
                S::Suspended,
                S::Deactivated,
                S::Expired,
                S::Archived,
            ],
            Self::ScheduleDestroy | Self::CancelDestroy | Self::Destroy => {
                &[S::Created, S::Pending, S::Deactivated, S::Expired, S::Archived, S::Compromised]
            }
        }
    }

    /// Where it leads from `from`, if it starts there.
    pub fn target(self, from: KeyState) -> Option<KeyState> {
        let to = match self {
            Self::Activate | Self::AbortRotation | Self::Reactivate => KeyState::Active,
            Self::Submit => KeyState::Pending,
            Self::Reject => KeyState::Created,
            Self::BeginRotation => KeyState::Rotating,
            Self::CompleteRotation | Self::Deactivate => KeyState::Deactivated,
            Self::Suspend => KeyState::Suspended,
            Self::Expire => KeyState::Expired,
            Self::Archive => KeyState::Archived,
            Self::MarkCompromised => KeyState::Compromised,
            Self::ScheduleDestroy | Self::CancelDestroy => from,
            Self::Destroy => KeyState::Destroyed,
        };
        self.sources().contains(&from).then_some(to)
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a key in `from` may ever be in `to` next.
pub fn allowed(from: KeyState, to: KeyState) -> bool {
    use KeyState as S;
    let next: &[KeyState] = match from {
        S::Created => &[S::Pending, S::Active, S::Compromised, S::Destroyed],
        S::Pending => &[S::Active, S::Created, S::Compromised, S::Destroyed],
        S::Active => &[S::Rotating, S::Suspended, S::Deactivated, S::Compromised, S::Expired],
        S::Rotating => &[S::Deactivated, S::Active, S::Suspended, S::Compromised, S::Expired],
        S::Suspended => &[S::Active, S::Deactivated, S::Compromised, S::Expired],
        S::Deactivated | S::Expired => &[S::Archived, S::Compromised, S::Destroyed],
        S::Archived => &[S::Compromised, S::Destroyed],
        S::Compromised => &[S::Archived, S::Destroyed],
        S::Destroyed => &[],
    };
    next.contains(&to)
}

/// What can be asked of a key in `state`; without [`Transition::Expire`], which nobody asks for.
pub fn transitions_from(state: KeyState) -> impl Iterator<Item = Transition> {
    Transition::ALL
        .into_iter()
        .filter(|transition| *transition != Transition::Expire)
        .filter(move |transition| transition.target(state).is_some())
}

/// Whether a person needs a fresh second factor for `transition` of a key under `policy`.
///
/// That is what gives a key into use or takes it away for good. What stops a key in an emergency or
/// can be undone does not wait for a code. Steps that time causes ask nobody.
pub fn requires_mfa(transition: Transition, policy: &KeyLifecyclePolicy) -> bool {
    let grave = match transition {
        Transition::Activate
        | Transition::BeginRotation
        | Transition::CompleteRotation
        | Transition::AbortRotation
        | Transition::Reactivate
        | Transition::Deactivate
        | Transition::Archive
        | Transition::ScheduleDestroy
        | Transition::Destroy => true,
        Transition::Submit
        | Transition::Reject
        | Transition::Suspend
        | Transition::Expire
        | Transition::MarkCompromised
        | Transition::CancelDestroy => false,
    };
    grave && policy.require_mfa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_reach_exactly_what_the_table_allows() {
        for from in KeyState::ALL {
            let mut reached: Vec<_> =
                Transition::ALL.into_iter().filter_map(|step| step.target(from)).collect();
            reached.retain(|to| *to != from);
            for to in KeyState::ALL {
                assert_eq!(reached.contains(&to), allowed(from, to), "{from} to {to}");
            }
        }
    }

    #[test]
    fn destroyed_is_final() {
        assert_eq!(transitions_from(KeyState::Destroyed).count(), 0);
        assert!(KeyState::ALL.into_iter().all(|to| !allowed(KeyState::Destroyed, to)));
    }

    #[test]
    fn an_ordered_destruction_leaves_the_state() {
        for step in [Transition::ScheduleDestroy, Transition::CancelDestroy] {
            for state in KeyState::ALL {
                assert!(step.target(state).is_none_or(|to| to == state), "{step} from {state}");
            }
        }
    }

    #[test]
    fn stopping_a_key_never_waits_for_a_second_factor() {
        let policy = KeyLifecyclePolicy::standard();
        assert!(!requires_mfa(Transition::Suspend, &policy));
        assert!(!requires_mfa(Transition::MarkCompromised, &policy));
        assert!(requires_mfa(Transition::Reactivate, &policy));
        assert!(requires_mfa(Transition::ScheduleDestroy, &policy));
        let open = policy.without_mfa();
        assert!(Transition::ALL.into_iter().all(|step| !requires_mfa(step, &open)));
    }
}
