//! NIST SP 800-57 Part 1 Rev. 5 section 7: each transition of the standard, in its order, with
//! Created for its Pre-activation. Where we deviate, the test says how.

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::activate;
use crate::lifecycle::allowed;
use crate::lifecycle::deactivate;
use crate::lifecycle::destroy_now;
use crate::lifecycle::mark_compromised;
use crate::lifecycle::permits;
use crate::lifecycle::reactivate;
use crate::lifecycle::suspend;
use crate::lifecycle::tests::Scene;
use crate::lifecycle::tests::days_from_now;
use crate::lifecycle::tests::key_in;
use crate::lifecycle::tests::now;

#[test]
fn row_01_generated_key_does_not_sign_before_activation() {
    assert!(!permits(KeyState::Created, KeyOperation::Sign));
    assert!(!permits(KeyState::Pending, KeyOperation::Sign));
}

#[test]
fn row_02_never_needed_key_is_destroyed_at_once_and_the_time_recorded() {
    let moved = destroy_now(&key_in(KeyState::Created), &Scene::default().ctx()).unwrap();
    assert_eq!(moved.key.destroyed_at, Some(now()));
    assert_eq!(moved.steps[0].from, Some(KeyState::Created));
}

#[test]
fn row_03_new_key_becomes_compromised() {
    let moved = mark_compromised(&key_in(KeyState::Created), &Scene::default().ctx()).unwrap();
    assert_eq!(moved.key.state, KeyState::Compromised);
}

#[test]
fn row_04_new_key_becomes_active() {
    let moved = activate(&key_in(KeyState::Created), &Scene::default().ctx()).unwrap();
    assert!(permits(moved.key.state, KeyOperation::Sign));
}

/// Deviation: by way of Deactivated, which signs no more, and its grace period.
#[test]
fn row_05_active_key_is_destroyed_by_way_of_deactivated() {
    assert!(!allowed(KeyState::Active, KeyState::Destroyed));
    let key = key_in(KeyState::Active);
    assert!(destroy_now(&key, &Scene::default().ctx()).is_err());
    let stopped = deactivate(&key, &Scene::default().ctx()).unwrap().key;
    let destroyed = destroy_now(&stopped, &Scene::at(days_from_now(90)).ctx()).unwrap();
    assert_eq!(destroyed.key.state, KeyState::Destroyed);
}

#[test]
fn row_06_compromised_key_never_signs_again() {
    let moved = mark_compromised(&key_in(KeyState::Active), &Scene::default().ctx()).unwrap();
    assert!(!permits(moved.key.state, KeyOperation::Sign));
    assert!(!allowed(KeyState::Compromised, KeyState::Active));
    assert!(reactivate(&moved.key, &Scene::default().ctx()).is_err());
    assert!(activate(&moved.key, &Scene::default().ctx()).is_err());
}

/// Deviation: the standard lets signatures be verified at risk; here a suspended key vouches for
/// nothing until it is reactivated. Anyone can still verify against its public half.
#[test]
fn row_07_suspended_key_neither_signs_nor_verifies() {
    let moved = suspend(&key_in(KeyState::Active), &Scene::default().ctx()).unwrap();
    assert!(!permits(moved.key.state, KeyOperation::Sign));
    assert!(!permits(moved.key.state, KeyOperation::Verify));
    assert!(permits(moved.key.state, KeyOperation::ExportPublic));
}

#[test]
fn row_08_deactivated_key_verifies_and_does_not_sign() {
    let moved = deactivate(&key_in(KeyState::Active), &Scene::default().ctx()).unwrap();
    assert!(permits(moved.key.state, KeyOperation::Verify));
    assert!(!permits(moved.key.state, KeyOperation::Sign));
}

/// Deviation: by way of Deactivated, as row 5.
#[test]
fn row_09_suspended_key_is_destroyed_by_way_of_deactivated() {
    let key = key_in(KeyState::Suspended);
    assert!(destroy_now(&key, &Scene::default().ctx()).is_err());
    let stopped = deactivate(&key, &Scene::default().ctx()).unwrap().key;
    assert!(destroy_now(&stopped, &Scene::at(days_from_now(90)).ctx()).is_ok());
}

#[test]
fn row_10_suspended_key_returns_only_while_its_period_is_not_over() {
    let key = ManagedKey { expires_at: Some(days_from_now(1)), ..key_in(KeyState::Suspended) };
    assert!(reactivate(&key, &Scene::default().ctx()).is_ok());
    assert!(reactivate(&key, &Scene::at(days_from_now(1)).ctx()).is_err());
}

#[test]
fn row_11_suspended_key_becomes_compromised() {
    let moved = mark_compromised(&key_in(KeyState::Suspended), &Scene::default().ctx()).unwrap();
    assert_eq!(moved.steps[0].from, Some(KeyState::Suspended));
    assert_eq!(moved.key.deactivated_at, Some(now()));
}

#[test]
fn row_12_suspended_key_becomes_deactivated() {
    let moved = deactivate(&key_in(KeyState::Suspended), &Scene::default().ctx()).unwrap();
    assert!(permits(moved.key.state, KeyOperation::Verify));
}

#[test]
fn row_13_deactivated_key_found_compromised_late_verifies_no_more() {
    let key = key_in(KeyState::Deactivated);
    let moved = mark_compromised(&key, &Scene::default().ctx()).unwrap();
    assert!(!permits(moved.key.state, KeyOperation::Verify));
    assert_eq!(moved.key.deactivated_at, key.deactivated_at, "it had stopped before");
}

#[test]
fn row_14_deactivated_key_is_destroyed_and_the_time_recorded() {
    let later = Scene::at(days_from_now(90));
    let moved = destroy_now(&key_in(KeyState::Deactivated), &later.ctx()).unwrap();
    assert_eq!(moved.key.destroyed_at, Some(days_from_now(90)));
}

#[test]
fn row_15_destroyed_compromised_key_keeps_its_record_and_that_it_was_compromised() {
    let key = key_in(KeyState::Compromised);
    let moved = destroy_now(&key, &Scene::default().ctx()).unwrap();
    assert_eq!(moved.steps[0].from, Some(KeyState::Compromised));
    let expected = ManagedKey { state: KeyState::Destroyed, destroyed_at: Some(now()), ..key };
    assert_eq!(moved.key, expected);
}
