//! Why a move or a use was refused: always policy, always safe to tell.

use crate::access::Permission;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::PolicyName;
use crate::key::Purpose;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::Transition;
use crate::lifecycle::permits::states_permitting;
use crate::lifecycle::transitions_from;
use crate::time::Timestamp;

/// Why a key is not moved or used. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The table has no such step from the key's state.
    #[error("key {key} is {state}, not {}; {}", either(transition.sources()), instead(*state))]
    State {
        /// The key.
        key: Label,
        /// Its state at this moment.
        state: KeyState,
        /// What was asked.
        transition: Transition,
    },
    /// The key's state does not permit the use.
    #[error("key {key} is {state}, not {}", either(&states_permitting(*operation)))]
    Use {
        /// The key.
        key: Label,
        /// Its state at this moment.
        state: KeyState,
        /// What was asked.
        operation: KeyOperation,
    },

    /// What was granted is something else than what was to be done with it.
    #[error("leave was given for something else: `{permission}`")]
    OtherGrant {
        /// What was granted.
        permission: Permission,
    },

    /// The key is kept until then.
    #[error("grace period of key {key} ends {ends}")]
    GracePeriod {
        /// The key.
        key: Label,
        /// From then on it may be archived or destroyed.
        ends: Timestamp,
    },
    /// The expiration date of a key that is not in use yet has passed.
    #[error("key {key} expired {at} without having been activated")]
    PastExpiration {
        /// The key.
        key: Label,
        /// Its expiration date.
        at: Timestamp,
    },
    /// Only time expires a key.
    #[error("key {key} has not reached an expiration date")]
    NotExpired {
        /// The key.
        key: Label,
    },
    /// The policy asks for the approval of a second person.
    #[error("policy {policy} requires approval to {transition} key {key}")]
    ApprovalRequired {
        /// The key.
        key: Label,
        /// The policy it lives under.
        policy: PolicyName,
        /// What was asked.
        transition: Transition,
    },
    /// Who asks cannot be who approves.
    #[error("approval to {transition} key {key} is by the one who asks; another person must")]
    OwnApproval {
        /// The key.
        key: Label,
        /// What was asked.
        transition: Transition,
    },

    /// A destruction is ordered already, or stands in the way of using the key.
    #[error("key {key} is to be destroyed {at}; cancel that first")]
    DestructionScheduled {
        /// The key.
        key: Label,
        /// When.
        at: Timestamp,
    },
    /// No destruction is ordered.
    #[error("key {key} is not scheduled for destruction")]
    DestructionNotScheduled {
        /// The key.
        key: Label,
    },
    /// The ordered destruction can still be cancelled.
    #[error("destruction of key {key} is due {at}, not yet")]
    DestructionNotDue {
        /// The key.
        key: Label,
        /// When.
        at: Timestamp,
    },

    /// A key cannot replace itself: by id or by key material.
    #[error("key {key} cannot be its own successor")]
    SelfSuccessor {
        /// The key.
        key: Label,
    },
    /// The record names no successor.
    #[error("key {key} has no successor")]
    NoSuccessor {
        /// The key.
        key: Label,
    },
    /// Another key than the one given is linked as the successor.
    #[error("key {key} has the successor {expected}, not {given}")]
    OtherSuccessor {
        /// The key.
        key: Label,
        /// The recorded successor.
        expected: KeyId,
        /// The one given.
        given: KeyId,
    },
    /// The key named as successor was made to replace another.
    #[error("key {successor} is the successor of {predecessor} already")]
    SuccessorTaken {
        /// The key named as successor.
        successor: Label,
        /// The key it replaces.
        predecessor: KeyId,
    },
    /// The key named as successor is being replaced itself.
    #[error("key {successor} has a successor of its own, {next}")]
    SuccessorReplaced {
        /// The key named as successor.
        successor: Label,
        /// Its own successor.
        next: KeyId,
    },
    /// A successor does what the key did.
    #[error("successor {successor} is for {given}, not {expected}")]
    SuccessorPurpose {
        /// The key named as successor.
        successor: Label,
        /// The purpose of the key to replace.
        expected: Purpose,
        /// Its own.
        given: Purpose,
    },
    /// The successor is in a state in which it cannot take over.
    #[error("successor {successor} is {state}, not {}", either(expected))]
    SuccessorState {
        /// The key named as successor.
        successor: Label,
        /// Its state at this moment.
        state: KeyState,
        /// The states in which it could.
        expected: &'static [KeyState],
    },

    /// A consensus key with a predecessor may be activated in the step that stops that one only.
    #[error("consensus key {key} takes over from {predecessor}; it is not activated beside it")]
    TakesOver {
        /// The key.
        key: Label,
        /// The key it replaces.
        predecessor: KeyId,
    },
    /// The predecessor signs, or may yet.
    #[error("key {predecessor} is {state} and may sign; two consensus keys must not")]
    PredecessorMaySign {
        /// The key to replace.
        predecessor: Label,
        /// Its recorded state.
        state: KeyState,
    },
    /// Completing in the way of the other purposes would leave no key or two.
    #[error("consensus key {key} rotates in one step, old and new together")]
    ConsensusRotation {
        /// The key.
        key: Label,
    },
    /// One step for both is for consensus keys.
    #[error("key {key} is for {purpose}; its successor is activated first")]
    NotConsensus {
        /// The key.
        key: Label,
        /// Its purpose.
        purpose: Purpose,
    },
    /// A consensus key signs no bytes that a caller made.
    #[error("key {key} is for consensus; it signs typed votes and proposals only")]
    RawConsensus {
        /// The key.
        key: Label,
    },

    /// Votes and proposals are signed by consensus keys alone.
    #[error("key {key} is for {purpose}; votes and proposals are signed by consensus keys only")]
    NotForConsensus {
        /// The key.
        key: Label,
        /// Its purpose.
        purpose: Purpose,
    },

    /// The purpose excludes the algorithm.
    #[error("a key for {purpose} cannot be {algorithm}")]
    PurposeAlgorithm {
        /// The purpose.
        purpose: Purpose,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The policy excludes the algorithm.
    #[error("policy {policy} does not allow {algorithm}")]
    PolicyAlgorithm {
        /// The policy.
        policy: PolicyName,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Keccak-256 is Ethereum's, for secp256k1.
    #[error("key {key} is {algorithm}; keccak256 is for secp256k1")]
    Keccak {
        /// The key.
        key: Label,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// The algorithm signs messages, not digests.
    #[error("key {key} is {algorithm}; digests are signed with secp256k1 and p256 only")]
    Digest {
        /// The key.
        key: Label,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// What was given as a digest has another length.
    #[error("a digest to sign with key {key} has 32 bytes, not {given}")]
    DigestLength {
        /// The key.
        key: Label,
        /// Its length in bytes.
        given: usize,
    },

    /// The record says that the private half is still there to be used or kept.
    #[error("key {key} is {state}; its private half goes with destroying or archiving it")]
    PrivateHalfStays {
        /// The key.
        key: Label,
        /// Its recorded state.
        state: KeyState,
    },
}

fn either(states: &[KeyState]) -> String {
    let names: Vec<_> = states.iter().map(|state| state.name()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "any state".to_owned(),
    }
}

fn instead(state: KeyState) -> String {
    let names: Vec<_> = transitions_from(state).map(Transition::name).collect();
    if names.is_empty() {
        "that is final".to_owned()
    } else {
        format!("it can {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_was_seen_what_was_expected_and_what_can_be_done() {
        let key: Label = "val".parse().unwrap();
        let state = KeyState::Suspended;
        let asked = |transition| Refusal::State { key: key.clone(), state, transition }.to_string();
        assert_eq!(
            asked(Transition::BeginRotation),
            "key val is suspended, not active; it can reactivate, deactivate, compromise"
        );
        assert!(
            asked(Transition::Suspend).starts_with("key val is suspended, not active or rotat")
        );
        let signed = Refusal::Use { key: key.clone(), state, operation: KeyOperation::Sign };
        assert_eq!(signed.to_string(), "key val is suspended, not active or rotating");
        let state = KeyState::Destroyed;
        let dead = Refusal::State { key, state, transition: Transition::Activate };
        assert_eq!(dead.to_string(), "key val is destroyed, not created or pending; that is final");
    }
}
