//! Rotation: the specification's example, the guards on the successor, and consensus keys.

use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Refusal;
use crate::lifecycle::Rotation;
use crate::lifecycle::Successor;
use crate::lifecycle::abort_rotation;
use crate::lifecycle::activate;
use crate::lifecycle::activate_after;
use crate::lifecycle::archive;
use crate::lifecycle::begin_rotation;
use crate::lifecycle::complete_consensus_rotation;
use crate::lifecycle::complete_rotation;
use crate::lifecycle::deactivate;
use crate::lifecycle::destroy;
use crate::lifecycle::expire;
use crate::lifecycle::mark_compromised;
use crate::lifecycle::reactivate;
use crate::lifecycle::rotation::migrate;
use crate::lifecycle::schedule_destroy;
use crate::lifecycle::suspend;
use crate::lifecycle::tests::Scene;
use crate::lifecycle::tests::days_from_now;
use crate::lifecycle::tests::key;
use crate::lifecycle::tests::key_in;
use crate::lifecycle::tests::now;
use crate::lifecycle::tests::public_key;

fn begin(old: &ManagedKey, new: &ManagedKey) -> Result<Rotation, Refusal> {
    let scene = Scene::default();
    begin_rotation(old, scene.successor(new), &scene.ctx())
}

fn pair(rotation: Rotation) -> (ManagedKey, ManagedKey) {
    (rotation.old.key, rotation.new.key)
}

/// The active key `val`, and `next` in `state`.
fn keys(state: KeyState) -> (ManagedKey, ManagedKey) {
    let next = key("next");
    let (id, label, public_key) = (next.id, next.label, next.public_key);
    (key_in(KeyState::Active), ManagedKey { id, label, public_key, ..key_in(state) })
}

fn consensus_keys() -> (ManagedKey, ManagedKey) {
    let (old, new) = keys(KeyState::Created);
    let purpose = Purpose::Consensus;
    (ManagedKey { purpose, ..old }, ManagedKey { purpose, ..new })
}

/// SPEC: "Rotation States": Active, Rotating (the new key becomes Active), Deactivated, Archived,
/// Destroyed.
#[test]
fn rotation_of_the_specification() {
    let scene = Scene::default();
    let (old, new) = keys(KeyState::Created);
    let (old, new) = pair(begin(&old, &new).unwrap());
    assert_eq!((old.state, new.state), (KeyState::Rotating, KeyState::Created));
    assert_eq!((old.successor, new.predecessor), (Some(new.id), Some(old.id)));
    let new = activate(&new, &scene.ctx()).unwrap().key;
    let old = complete_rotation(&old, &new, &scene.ctx()).unwrap().key;
    assert_eq!((old.state, new.state), (KeyState::Deactivated, KeyState::Active));
    let grace_over = Scene::at(days_from_now(90));
    assert!(archive(&old, &scene.ctx()).is_err());
    let old = archive(&old, &grace_over.ctx()).unwrap().key;
    let old = schedule_destroy(&old, &grace_over.ctx()).unwrap().key;
    let old = destroy(&old, &Scene::at(days_from_now(97)).ctx()).unwrap().key;
    assert_eq!(old.state, KeyState::Destroyed);
    assert_eq!(old.successor, Some(new.id), "the tombstone still names its successor");
}

#[test]
fn successor_is_created_pending_or_active() {
    for state in KeyState::ALL {
        let (old, new) = keys(state);
        let usable = matches!(state, KeyState::Created | KeyState::Pending | KeyState::Active);
        assert_eq!(begin(&old, &new).is_ok(), usable, "{state}");
    }
    let (old, new) = keys(KeyState::Suspended);
    assert_eq!(
        begin(&old, &new).unwrap_err().to_string(),
        "successor next is suspended, not created, pending or active"
    );
}

#[test]
fn successor_past_its_expiration_or_about_to_be_destroyed_is_refused() {
    for state in [KeyState::Created, KeyState::Active] {
        let (old, mut new) = keys(state);
        new.expires_at = Some(now());
        assert!(begin(&old, &new).is_err(), "{state}");
    }
    let (old, mut new) = keys(KeyState::Created);
    new.destroy_at = Some(days_from_now(7));
    assert!(matches!(begin(&old, &new), Err(Refusal::DestructionScheduled { .. })));
}

#[test]
fn successor_has_the_same_purpose() {
    let (old, mut new) = keys(KeyState::Created);
    new.purpose = Purpose::Account;
    assert_eq!(
        begin(&old, &new).unwrap_err().to_string(),
        "successor next is for account, not general"
    );
}

#[test]
fn successor_may_have_another_algorithm_if_purpose_and_its_own_policy_allow_it() {
    let mut scene = Scene::default();
    let (old, mut new) = keys(KeyState::Created);
    new.public_key = public_key(Algorithm::Rsa2048, 3);
    assert!(begin(&old, &new).is_ok());
    let own =
        KeyLifecyclePolicy { minimum_strength_bits: 128, ..KeyLifecyclePolicy::high_security() };
    let successor = Successor { key: &new, policy: &own };
    assert_eq!(
        begin_rotation(&old, successor, &scene.ctx()).unwrap_err().to_string(),
        "policy high-security does not allow rsa2048"
    );
    scene.policy.allowed_algorithms = vec![Algorithm::Ed25519];
    let successor = Successor { key: &new, policy: &KeyLifecyclePolicy::standard() };
    assert!(begin_rotation(&old, successor, &scene.ctx()).is_ok());
    let (old, mut new) = consensus_keys();
    new.public_key = public_key(Algorithm::P256, 3);
    assert!(matches!(begin(&old, &new), Err(Refusal::PurposeAlgorithm { .. })));
}

#[test]
fn lineages_neither_join_nor_circle() {
    let (old, new) = keys(KeyState::Active);
    let (rotating, linked) = pair(begin(&old, &new).unwrap());
    let third = ManagedKey { predecessor: None, ..key_in(KeyState::Active) };
    let third = ManagedKey { id: KeyId::from_random([3; 16]), ..third };
    assert!(matches!(begin(&third, &linked), Err(Refusal::SuccessorTaken { .. })));
    let scene = Scene::default();
    let suspended = suspend(&rotating, &scene.ctx()).unwrap().key;
    let again = reactivate(&suspended, &scene.ctx()).unwrap().key;
    assert!(matches!(begin(&linked, &again), Err(Refusal::SuccessorReplaced { .. })));
}

#[test]
fn rotation_completes_only_when_the_successor_is_active() {
    let scene = Scene::default();
    let (old, new) = keys(KeyState::Pending);
    let (old, new) = pair(begin(&old, &new).unwrap());
    assert_eq!(
        complete_rotation(&old, &new, &scene.ctx()).unwrap_err().to_string(),
        "successor next is pending, not active"
    );
    let mut new = activate(&new, &scene.ctx()).unwrap().key;
    new.expires_at = Some(days_from_now(1));
    assert!(complete_rotation(&old, &new, &scene.ctx()).is_ok());
    let late = Scene::at(days_from_now(1));
    assert!(matches!(
        complete_rotation(&old, &new, &late.ctx()),
        Err(Refusal::SuccessorState { state: KeyState::Expired, .. })
    ));
}

#[test]
fn rotation_completes_only_with_the_linked_successor() {
    let scene = Scene::default();
    let (old, new) = keys(KeyState::Active);
    let (old, new) = pair(begin(&old, &new).unwrap());
    let other = ManagedKey { id: KeyId::from_random([3; 16]), ..new.clone() };
    assert!(matches!(
        complete_rotation(&old, &other, &scene.ctx()),
        Err(Refusal::OtherSuccessor { .. })
    ));
    assert!(matches!(
        abort_rotation(&old, &other, &scene.ctx()),
        Err(Refusal::OtherSuccessor { .. })
    ));
    let one_sided = ManagedKey { predecessor: None, ..new };
    assert!(complete_rotation(&old, &one_sided, &scene.ctx()).is_err());
    let unlinked = ManagedKey { successor: None, ..old };
    assert!(matches!(
        complete_rotation(&unlinked, &other, &scene.ctx()),
        Err(Refusal::NoSuccessor { .. })
    ));
}

#[test]
fn aborting_returns_to_the_old_key_alone() {
    let scene = Scene::default();
    for (before, after) in [
        (KeyState::Created, KeyState::Created),
        (KeyState::Pending, KeyState::Pending),
        (KeyState::Active, KeyState::Deactivated),
    ] {
        let (old, new) = keys(before);
        let (rotating, linked) = pair(begin(&old, &new).unwrap());
        let rotation = abort_rotation(&rotating, &linked, &scene.ctx()).unwrap();
        assert_eq!(rotation.new.steps.len(), usize::from(before != after));
        let (returned, put_aside) = pair(rotation);
        assert_eq!(returned, old, "as if nothing had been begun");
        assert_eq!((put_aside.state, put_aside.predecessor), (after, Some(old.id)));
    }
}

#[test]
fn rotation_cut_off_by_a_suspension_is_begun_anew_with_the_same_successor_or_another() {
    let scene = Scene::default();
    let (old, new) = keys(KeyState::Created);
    let (old, new) = pair(begin(&old, &new).unwrap());
    let old = suspend(&old, &scene.ctx()).unwrap().key;
    let old = reactivate(&old, &scene.ctx()).unwrap().key;
    assert_eq!(begin(&old, &new).unwrap().old.key.state, KeyState::Rotating);
    let other = key("other");
    assert_eq!(begin(&old, &other).unwrap().old.key.successor, Some(other.id));
}

#[test]
fn consensus_keys_change_over_in_one_step() {
    let scene = Scene::default();
    let (old, new) = consensus_keys();
    let (old, new) = pair(begin(&old, &new).unwrap());
    assert_eq!((old.state, new.state), (KeyState::Rotating, KeyState::Created));
    assert_eq!(
        complete_rotation(&old, &new, &scene.ctx()).unwrap_err().to_string(),
        "consensus key val rotates in one step, old and new together"
    );
    let done = complete_consensus_rotation(&old, scene.successor(&new), &scene.ctx()).unwrap();
    assert_eq!(done.old.steps[0].at, done.new.steps[0].at);
    let (old, new) = pair(done);
    assert_eq!((old.state, new.state), (KeyState::Deactivated, KeyState::Active));
}

#[test]
fn consensus_keys_change_over_to_the_linked_successor_only() {
    let scene = Scene::default();
    let (old, new) = consensus_keys();
    let (old, _) = pair(begin(&old, &new).unwrap());
    let other = ManagedKey { purpose: Purpose::Consensus, ..key("other") };
    assert!(matches!(
        complete_consensus_rotation(&old, scene.successor(&other), &scene.ctx()),
        Err(Refusal::OtherSuccessor { .. })
    ));
}

#[test]
fn successor_of_a_consensus_key_lives_under_its_own_policy() {
    let scene = Scene::default();
    let (old, new) = consensus_keys();
    let (old, new) = pair(begin(&old, &new).unwrap());
    let mut own = KeyLifecyclePolicy::validator();
    let successor = Successor { key: &new, policy: &own };
    let done = complete_consensus_rotation(&old, successor, &scene.ctx()).unwrap();
    assert_eq!(done.new.key.expires_at, None);
    own.require_approval_for_activation = true;
    let successor = Successor { key: &new, policy: &own };
    assert!(matches!(
        complete_consensus_rotation(&old, successor, &scene.ctx()),
        Err(Refusal::ApprovalRequired { .. })
    ));
}

#[test]
fn successor_of_a_consensus_key_is_not_active_yet() {
    let (old, mut new) = consensus_keys();
    for state in KeyState::ALL {
        new.state = state;
        let waits = matches!(state, KeyState::Created | KeyState::Pending);
        assert_eq!(begin(&old, &new).is_ok(), waits, "{state}");
    }
}

#[test]
fn successor_of_a_consensus_key_is_not_activated_beside_it() {
    let scene = Scene::default();
    let (old, new) = consensus_keys();
    let (rotating, linked) = pair(begin(&old, &new).unwrap());
    let refused = activate(&linked, &scene.ctx()).unwrap_err();
    assert!(matches!(refused, Refusal::TakesOver { .. }));
    let (_, put_aside) = pair(abort_rotation(&rotating, &linked, &scene.ctx()).unwrap());
    assert!(activate(&put_aside, &scene.ctx()).is_err(), "nor after an abort");
    assert!(activate(&new, &scene.ctx()).is_ok(), "a key of its own is");
}

#[test]
fn successor_of_a_consensus_key_takes_over_once_that_one_has_stopped_for_good() {
    let scene = Scene::default();
    let (old, new) = consensus_keys();
    let (rotating, linked) = pair(begin(&old, &new).unwrap());
    let suspended = suspend(&rotating, &scene.ctx()).unwrap().key;
    for may_sign in [&rotating, &suspended] {
        let refused = activate_after(may_sign, &linked, &scene.ctx()).unwrap_err();
        assert!(matches!(refused, Refusal::PredecessorMaySign { .. }));
    }
    for stopped in [
        mark_compromised(&rotating, &scene.ctx()).unwrap().key,
        deactivate(&suspended, &scene.ctx()).unwrap().key,
    ] {
        let moved = activate_after(&stopped, &linked, &scene.ctx()).unwrap();
        assert_eq!(moved.key.state, KeyState::Active);
    }
}

#[test]
fn expiry_that_is_not_recorded_lets_no_consensus_key_take_over() {
    let (old, new) = consensus_keys();
    let (mut rotating, linked) = pair(begin(&old, &new).unwrap());
    rotating.expires_at = Some(days_from_now(1));
    let late = Scene::at(days_from_now(1));
    let refused = activate_after(&rotating, &linked, &late.ctx()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "key val is rotating and may sign; two consensus keys must not"
    );
    let expired = expire(&rotating, &late.ctx()).unwrap().key;
    assert!(activate_after(&expired, &linked, &late.ctx()).is_ok());
}

#[test]
fn only_the_last_named_successor_takes_over_from_a_consensus_key() {
    let scene = Scene::default();
    let (old, first) = consensus_keys();
    let (old, first) = pair(begin(&old, &first).unwrap());
    let old = suspend(&old, &scene.ctx()).unwrap().key;
    let old = reactivate(&old, &scene.ctx()).unwrap().key;
    let second = ManagedKey { purpose: Purpose::Consensus, ..key("other") };
    let (old, second) = pair(begin(&old, &second).unwrap());
    let stopped = mark_compromised(&old, &scene.ctx()).unwrap().key;
    assert!(matches!(
        activate_after(&stopped, &first, &scene.ctx()),
        Err(Refusal::OtherSuccessor { .. })
    ));
    assert!(activate_after(&stopped, &second, &scene.ctx()).is_ok());
}

#[test]
fn key_moves_to_its_own_copy_in_one_step() {
    let scene = Scene::default();
    for purpose in [Purpose::General, Purpose::Consensus] {
        let (old, next) = keys(KeyState::Created);
        let old = ManagedKey { purpose, ..old };
        let storage: crate::key::StorageName = "hsm:soft".parse().unwrap();
        let copy = ManagedKey { id: next.id, storage, state: KeyState::Created, ..old.clone() };
        let moved = migrate(&old, scene.successor(&copy), &scene.ctx()).unwrap();
        let steps: Vec<KeyState> = moved.old.steps.iter().map(|step| step.to).collect();
        assert_eq!(steps, [KeyState::Rotating, KeyState::Deactivated], "{purpose}");
        let (old, copy) = pair(moved);
        assert_eq!((old.state, copy.state), (KeyState::Deactivated, KeyState::Active));
        assert_eq!((old.successor, copy.predecessor), (Some(copy.id), Some(old.id)));
    }
}

#[test]
fn what_is_no_copy_elsewhere_takes_nothing_over_in_one_step() {
    let scene = Scene::default();
    let (old, next) = keys(KeyState::Created);
    let storage: crate::key::StorageName = "hsm:soft".parse().unwrap();
    let copy = ManagedKey { id: next.id, storage, state: KeyState::Created, ..old.clone() };
    let others = [
        ManagedKey { public_key: next.public_key, ..copy.clone() },
        ManagedKey { storage: old.storage.clone(), ..copy.clone() },
        ManagedKey { id: old.id, ..copy.clone() },
        ManagedKey { purpose: Purpose::Account, ..copy.clone() },
    ];
    for other in &others {
        let refusal = migrate(&old, scene.successor(other), &scene.ctx()).unwrap_err();
        assert_eq!(refusal, Refusal::SelfSuccessor { key: old.label.clone() });
    }
    let suspended = ManagedKey { state: KeyState::Suspended, ..old };
    assert!(migrate(&suspended, scene.successor(&copy), &scene.ctx()).is_err());
}

#[test]
fn one_step_rotation_is_for_consensus_keys() {
    let scene = Scene::default();
    let (old, new) = keys(KeyState::Created);
    let (old, new) = pair(begin(&old, &new).unwrap());
    assert_eq!(
        complete_consensus_rotation(&old, scene.successor(&new), &scene.ctx())
            .unwrap_err()
            .to_string(),
        "key val is for general; its successor is activated first"
    );
}
