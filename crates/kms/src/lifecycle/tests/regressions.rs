//! Mistakes that a lifecycle manager is easily made with, each as a rule.

use crate::access::Grant;
use crate::access::GrantedTarget;
use crate::access::Permission;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Scheme;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Policies;
use crate::lifecycle::Refusal;
use crate::lifecycle::activate;
use crate::lifecycle::admit::admit_destroy;
use crate::lifecycle::admit::admit_sign;
use crate::lifecycle::begin_rotation;
use crate::lifecycle::complete_rotation;
use crate::lifecycle::destroy_now;
use crate::lifecycle::due;
use crate::lifecycle::mark_compromised;
use crate::lifecycle::needs_rotation;
use crate::lifecycle::state_at;
use crate::lifecycle::tests::Scene;
use crate::lifecycle::tests::days_from_now;
use crate::lifecycle::tests::key;
use crate::lifecycle::tests::key_in;
use crate::lifecycle::tests::now;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Sign;
use crate::time::Days;

fn rotate_from(state: KeyState) -> Refusal {
    let scene = Scene::default();
    begin_rotation(&key_in(state), scene.successor(&key("next")), &scene.ctx()).unwrap_err()
}

// Rotation asks for the state of the old key and for a real successor.

#[test]
fn rotate_from_destroyed_is_refused() {
    assert_eq!(
        rotate_from(KeyState::Destroyed).to_string(),
        "key val is destroyed, not active; that is final"
    );
}

#[test]
fn rotate_from_compromised_is_refused() {
    assert!(matches!(
        rotate_from(KeyState::Compromised),
        Refusal::State { state: KeyState::Compromised, .. }
    ));
}

#[test]
fn rotate_from_created_is_refused() {
    assert_eq!(
        rotate_from(KeyState::Created).to_string(),
        "key val is created, not active; \
         it can activate, submit, compromise, schedule-destroy, cancel-destroy, destroy"
    );
}

#[test]
fn second_rotation_of_a_rotating_key_is_refused() {
    assert!(matches!(
        rotate_from(KeyState::Rotating),
        Refusal::State { state: KeyState::Rotating, .. }
    ));
}

#[test]
fn self_successor_is_refused() {
    let scene = Scene::default();
    let active = key_in(KeyState::Active);
    let refused = begin_rotation(&active, scene.successor(&active), &scene.ctx()).unwrap_err();
    assert_eq!(refused.to_string(), "key val cannot be its own successor");
}

#[test]
fn same_key_under_another_id_is_no_successor() {
    let scene = Scene::default();
    let active = key_in(KeyState::Active);
    let copy = ManagedKey { public_key: active.public_key.clone(), ..key("next") };
    let refused = begin_rotation(&active, scene.successor(&copy), &scene.ctx());
    assert_eq!(refused, Err(Refusal::SelfSuccessor { key: active.label }));
}

#[test]
fn recorded_steps_name_the_state_that_was() {
    let scene = Scene::default();
    for state in [KeyState::Created, KeyState::Suspended, KeyState::Archived] {
        let moved = mark_compromised(&key_in(state), &scene.ctx()).unwrap();
        assert_eq!(moved.steps[0].from, Some(state));
    }
}

// The signer asks for the state.

#[test]
fn suspended_expired_and_compromised_keys_do_not_sign() {
    for state in [KeyState::Suspended, KeyState::Expired, KeyState::Compromised] {
        let key = key_in(state);
        let what = Sign { key: &key, message: b"m", scheme: Scheme::default() };
        let grant = Grant::for_test(Permission::KeySign, GrantedTarget::Key(key.id));
        assert!(matches!(admit_sign(grant, what, now()), Err(Refusal::Use { .. })), "{state}");
    }
}

// What a policy asks for is asked for; see also `guards.rs`.

#[test]
fn approval_is_never_taken_for_granted() {
    let mut scene = Scene::default();
    scene.policy.require_approval_for_activation = true;
    assert!(activate(&key_in(KeyState::Created), &scene.ctx()).is_err());
}

// A successor is a key, not an id, and nothing completes without it.

#[test]
fn rotation_is_not_completed_with_a_successor_that_was_never_activated() {
    let scene = Scene::default();
    let begun =
        begin_rotation(&key_in(KeyState::Active), scene.successor(&key("next")), &scene.ctx());
    let begun = begun.unwrap();
    let refused = complete_rotation(&begun.old.key, &begun.new.key, &scene.ctx());
    assert!(matches!(refused, Err(Refusal::SuccessorState { state: KeyState::Created, .. })));
}

// Whatever is in use expires, and zero days do not mean at once.

#[test]
fn rotating_and_suspended_keys_expire_too() {
    for state in [KeyState::Active, KeyState::Rotating, KeyState::Suspended] {
        let key = ManagedKey { expires_at: Some(now()), ..key_in(state) };
        assert_eq!(state_at(&key, now()), KeyState::Expired, "{state}");
        assert!(due(&key, now()).is_some(), "{state}");
    }
}

#[test]
fn zero_days_means_never() {
    let json = r#"{"name":"p","max_active_age_days":0,"expiration_days":0,"grace_period_days":0}"#;
    let policy: KeyLifecyclePolicy = serde_json::from_str(json).unwrap();
    let scene = Scene { policy, ..Scene::default() };
    let key = activate(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    assert_eq!(key.expires_at, None);
    let far = days_from_now(1_000_000);
    assert_eq!(state_at(&key, far), KeyState::Active);
    assert!(!needs_rotation(&key, &scene.policy, far));
}

// A compromise can be found out in every state.

#[test]
fn every_key_but_a_destroyed_one_can_be_marked_compromised() {
    let scene = Scene::default();
    for state in KeyState::ALL {
        let marked = mark_compromised(&key_in(state), &scene.ctx());
        let final_already = matches!(state, KeyState::Compromised | KeyState::Destroyed);
        assert_eq!(marked.is_err(), final_already, "{state}");
    }
}

// Destroying takes the private half away, and nothing else does.

#[test]
fn destroyed_record_admits_the_removal_of_the_private_half() {
    let scene = Scene::default();
    let key = key_in(KeyState::Archived);
    let destroyed = destroy_now(&key, &scene.ctx()).unwrap().key;
    let grant = Grant::for_test(Permission::KeyDestroy, GrantedTarget::Key(destroyed.id));
    assert!(admit_destroy(grant, Destroy { key: &destroyed }).is_ok());
}

// Policies are not overwritten silently, and age counts from activation.

#[test]
fn registering_a_policy_twice_is_refused() {
    let mut policies = Policies::default();
    assert!(policies.register(KeyLifecyclePolicy::standard()).is_err());
}

#[test]
fn age_is_counted_from_activation_not_from_creation() {
    let policy = KeyLifecyclePolicy::standard();
    let mut key = key_in(KeyState::Active);
    key.created_at = now().minus(Days(1000));
    assert!(!needs_rotation(&key, &policy, now()));
    key.activated_at = Some(now().minus(Days(365)));
    assert!(needs_rotation(&key, &policy, now()));
}
