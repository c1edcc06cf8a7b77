//! The guards of the moves of one key: what each refuses, and what it sets when it does not.

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Move;
use crate::lifecycle::Moved;
use crate::lifecycle::Refusal;
use crate::lifecycle::SYSTEM;
use crate::lifecycle::activate;
use crate::lifecycle::archive;
use crate::lifecycle::cancel_destroy;
use crate::lifecycle::deactivate;
use crate::lifecycle::destroy;
use crate::lifecycle::destroy_now;
use crate::lifecycle::expire;
use crate::lifecycle::mark_compromised;
use crate::lifecycle::reactivate;
use crate::lifecycle::reject;
use crate::lifecycle::schedule_destroy;
use crate::lifecycle::submit;
use crate::lifecycle::suspend;
use crate::lifecycle::tests::Scene;
use crate::lifecycle::tests::days_from_now;
use crate::lifecycle::tests::key_in;
use crate::lifecycle::tests::now;
use crate::time::Days;

fn said(moved: Result<Moved, Refusal>) -> String {
    moved.unwrap_err().to_string()
}

#[test]
fn activation_sets_its_date_and_the_expiration_date() {
    let scene = Scene::default();
    let moved = activate(&key_in(KeyState::Created), &scene.ctx()).unwrap();
    assert_eq!(moved.key.state, KeyState::Active);
    assert_eq!(moved.key.activated_at, Some(now()));
    assert_eq!(moved.key.expires_at, Some(days_from_now(730)));
    let step = Move {
        from: Some(KeyState::Created),
        to: KeyState::Active,
        at: now(),
        by: "alice".to_owned(),
        reason: "because".to_owned(),
    };
    assert_eq!(moved.steps, [step]);
}

#[test]
fn an_expiration_date_of_the_key_shortens_that_of_the_policy_and_never_lengthens_it() {
    let scene = Scene::default();
    for (own, expected) in [(100, 100), (1000, 730)] {
        let mut key = key_in(KeyState::Pending);
        key.expires_at = Some(days_from_now(own));
        let moved = activate(&key, &scene.ctx()).unwrap();
        assert_eq!(moved.key.expires_at, Some(days_from_now(expected)));
    }
}

#[test]
fn key_past_its_expiration_date_is_not_activated() {
    let mut key = key_in(KeyState::Created);
    key.expires_at = Some(now());
    let refused = said(activate(&key, &Scene::default().ctx()));
    assert_eq!(
        refused,
        "key val expired 2026-06-01T00:00:00.000000Z without having been activated"
    );
}

#[test]
fn activation_waits_for_another_persons_approval_where_the_policy_asks_for_it() {
    let mut scene = Scene::default();
    scene.policy.require_approval_for_activation = true;
    for state in [KeyState::Created, KeyState::Pending] {
        let key = key_in(state);
        scene.approved_by = None;
        let refused = said(activate(&key, &scene.ctx()));
        assert_eq!(refused, "policy default requires approval to activate key val");
        scene.approved_by = Some("alice");
        let refused = said(activate(&key, &scene.ctx()));
        assert_eq!(
            refused,
            "approval to activate key val is by the one who asks; another person must"
        );
        scene.approved_by = Some("bob");
        assert_eq!(activate(&key, &scene.ctx()).unwrap().key.state, KeyState::Active);
    }
}

#[test]
fn submitted_keys_wait_and_can_be_turned_down() {
    let scene = Scene::default();
    let pending = submit(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    assert_eq!((pending.state, pending.activated_at), (KeyState::Pending, None));
    let created = reject(&pending, &scene.ctx()).unwrap().key;
    assert_eq!(created, key_in(KeyState::Created));
}

#[test]
fn reactivation_keeps_the_dates_of_the_first_activation() {
    let scene = Scene::default();
    let first = activate(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    let later = Scene::at(days_from_now(100));
    let suspended = suspend(&first, &later.ctx()).unwrap().key;
    let again = reactivate(&suspended, &later.ctx()).unwrap().key;
    assert_eq!(again, first);
}

#[test]
fn suspended_key_that_expired_meanwhile_is_not_reactivated() {
    let mut key = key_in(KeyState::Suspended);
    key.expires_at = Some(days_from_now(1));
    assert!(reactivate(&key, &Scene::default().ctx()).is_ok());
    let refused = said(reactivate(&key, &Scene::at(days_from_now(1)).ctx()));
    assert_eq!(
        refused,
        "key val is expired, not suspended; \
         it can archive, compromise, schedule-destroy, cancel-destroy, destroy"
    );
}

#[test]
fn a_move_of_a_key_that_time_has_expired_records_that_first() {
    let mut key = key_in(KeyState::Active);
    key.expires_at = Some(now());
    let moved = mark_compromised(&key, &Scene::at(days_from_now(3)).ctx()).unwrap();
    let steps: Vec<_> = moved.steps.iter().map(|step| (step.from, step.to, step.at)).collect();
    assert_eq!(
        steps,
        [
            (Some(KeyState::Active), KeyState::Expired, now()),
            (Some(KeyState::Expired), KeyState::Compromised, days_from_now(3)),
        ]
    );
    assert_eq!(moved.steps[0].by, SYSTEM);
    assert_eq!(moved.key.deactivated_at, Some(now()));
}

#[test]
fn only_its_date_expires_a_key() {
    let mut key = key_in(KeyState::Active);
    let refused = said(expire(&key, &Scene::default().ctx()));
    assert_eq!(refused, "key val has not reached an expiration date");
    key.expires_at = Some(days_from_now(1));
    assert!(expire(&key, &Scene::default().ctx()).is_err());
    let moved = expire(&key, &Scene::at(days_from_now(5)).ctx()).unwrap();
    assert_eq!(moved.key.state, KeyState::Expired);
    assert_eq!(moved.steps[0].at, days_from_now(1), "the step is of the date, not of the sweep");
    assert!(matches!(
        expire(&moved.key, &Scene::at(days_from_now(6)).ctx()),
        Err(Refusal::State { state: KeyState::Expired, .. })
    ));
}

#[test]
fn grace_period_of_an_expired_key_begins_at_its_date() {
    let mut key = key_in(KeyState::Active);
    key.expires_at = Some(now());
    assert_eq!(
        said(archive(&key, &Scene::at(days_from_now(89)).ctx())),
        "grace period of key val ends 2026-08-30T00:00:00.000000Z"
    );
    let moved = archive(&key, &Scene::at(days_from_now(90)).ctx()).unwrap();
    assert_eq!(moved.key.state, KeyState::Archived);
}

#[test]
fn nothing_is_archived_or_destroyed_within_its_grace_period() {
    let scene = Scene::default();
    let key = deactivate(&key_in(KeyState::Active), &scene.ctx()).unwrap().key;
    assert_eq!(key.deactivated_at, Some(now()));
    let ends = days_from_now(90);
    let refused = Err(Refusal::GracePeriod { key: key.label.clone(), ends });
    let early = Scene::at(days_from_now(89));
    assert_eq!(archive(&key, &early.ctx()), refused);
    assert_eq!(schedule_destroy(&key, &early.ctx()), refused);
    assert_eq!(destroy_now(&key, &early.ctx()), refused);
    let ordered = ManagedKey { destroy_at: Some(now()), ..key.clone() };
    assert_eq!(destroy(&ordered, &early.ctx()), refused);
    let over = Scene::at(ends);
    assert!(archive(&key, &over.ctx()).is_ok());
    assert!(schedule_destroy(&key, &over.ctx()).is_ok());
    assert!(destroy_now(&key, &over.ctx()).is_ok());
    assert!(destroy(&ordered, &over.ctx()).is_ok());
}

#[test]
fn compromised_and_never_used_keys_have_no_grace_period() {
    let scene = Scene::default();
    for state in [KeyState::Created, KeyState::Pending, KeyState::Compromised] {
        let moved = destroy_now(&key_in(state), &scene.ctx()).unwrap();
        assert_eq!(moved.key.state, KeyState::Destroyed, "{state}");
        assert_eq!(moved.key.destroyed_at, Some(now()));
    }
    let used = mark_compromised(&key_in(KeyState::Active), &scene.ctx()).unwrap().key;
    assert_eq!(archive(&used, &scene.ctx()).unwrap().key.state, KeyState::Archived);
    let unused = mark_compromised(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    assert_eq!((unused.activated_at, unused.deactivated_at), (None, None));
}

#[test]
fn destruction_is_ordered_waits_and_is_carried_out() {
    let key = key_in(KeyState::Archived);
    let ordered = schedule_destroy(&key, &Scene::default().ctx()).unwrap();
    assert_eq!(ordered.key.state, KeyState::Archived);
    assert_eq!(ordered.key.destroy_at, Some(days_from_now(7)));
    assert_eq!(
        (ordered.steps[0].from, ordered.steps[0].to),
        (Some(KeyState::Archived), KeyState::Archived)
    );
    assert_eq!(
        said(destroy(&ordered.key, &Scene::at(days_from_now(6)).ctx())),
        "destruction of key val is due 2026-06-08T00:00:00.000000Z, not yet"
    );
    let destroyed = destroy(&ordered.key, &Scene::at(days_from_now(7)).ctx()).unwrap().key;
    assert_eq!(destroyed.state, KeyState::Destroyed);
    assert_eq!(destroyed.destroyed_at, Some(days_from_now(7)));
    assert_eq!((destroyed.id, destroyed.public_key), (key.id, key.public_key));
}

#[test]
fn destruction_that_nobody_ordered_is_refused() {
    let refused = said(destroy(&key_in(KeyState::Archived), &Scene::default().ctx()));
    assert_eq!(refused, "key val is not scheduled for destruction");
    let refused = said(cancel_destroy(&key_in(KeyState::Archived), &Scene::default().ctx()));
    assert_eq!(refused, "key val is not scheduled for destruction");
}

#[test]
fn ordered_destruction_can_be_cancelled_until_it_is_done() {
    let key = key_in(KeyState::Archived);
    let ordered = schedule_destroy(&key, &Scene::default().ctx()).unwrap().key;
    let late = Scene::at(days_from_now(8));
    let kept = cancel_destroy(&ordered, &late.ctx()).unwrap().key;
    assert_eq!(kept, key);
    assert!(matches!(destroy(&kept, &late.ctx()), Err(Refusal::DestructionNotScheduled { .. })));
}

#[test]
fn second_order_does_not_move_the_date() {
    let scene = Scene::default();
    let ordered = schedule_destroy(&key_in(KeyState::Archived), &scene.ctx()).unwrap().key;
    assert_eq!(
        said(schedule_destroy(&ordered, &Scene::at(days_from_now(1)).ctx())),
        "key val is to be destroyed 2026-06-08T00:00:00.000000Z; cancel that first"
    );
}

#[test]
fn key_that_is_to_be_destroyed_is_not_put_into_use() {
    let scene = Scene::default();
    let ordered = schedule_destroy(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    let refused =
        Err(Refusal::DestructionScheduled { key: ordered.label.clone(), at: days_from_now(7) });
    assert_eq!(activate(&ordered, &scene.ctx()), refused);
    assert_eq!(submit(&ordered, &scene.ctx()), refused);
}

#[test]
fn destruction_waits_for_another_persons_approval_where_the_policy_asks_for_it() {
    let mut scene = Scene::default();
    scene.policy.require_approval_for_destruction = true;
    let key = key_in(KeyState::Archived);
    assert_eq!(
        said(schedule_destroy(&key, &scene.ctx())),
        "policy default requires approval to schedule-destroy key val"
    );
    assert!(matches!(destroy_now(&key, &scene.ctx()), Err(Refusal::ApprovalRequired { .. })));
    scene.approved_by = Some("alice");
    assert!(matches!(schedule_destroy(&key, &scene.ctx()), Err(Refusal::OwnApproval { .. })));
    assert!(matches!(destroy_now(&key, &scene.ctx()), Err(Refusal::OwnApproval { .. })));
    scene.approved_by = Some("bob");
    let ordered = schedule_destroy(&key, &scene.ctx()).unwrap().key;
    // Carrying out what was approved asks nobody again.
    let due = Scene { now: days_from_now(7), approved_by: None, ..scene };
    assert_eq!(destroy(&ordered, &due.ctx()).unwrap().key.state, KeyState::Destroyed);
}

#[test]
fn clock_that_goes_back_revives_no_recorded_expiry() {
    let mut key = key_in(KeyState::Active);
    key.expires_at = Some(now());
    let expired = expire(&key, &Scene::default().ctx()).unwrap().key;
    let back = Scene::at(now().minus(Days(30)));
    assert_eq!(crate::lifecycle::state_at(&expired, back.now), KeyState::Expired);
    assert!(reactivate(&expired, &back.ctx()).is_err());
    assert!(activate(&expired, &back.ctx()).is_err());
}

#[test]
fn clock_that_goes_back_shortens_no_grace_period_and_no_delay() {
    let scene = Scene::default();
    let active = activate(&key_in(KeyState::Created), &scene.ctx()).unwrap().key;
    let back = Scene::at(now().minus(Days(300)));
    let stopped = deactivate(&active, &back.ctx()).unwrap();
    assert_eq!(stopped.key.deactivated_at, Some(now()));
    assert_eq!(stopped.steps[0].at, now());
    let archived = key_in(KeyState::Archived);
    let ordered = schedule_destroy(&archived, &back.ctx()).unwrap().key;
    assert_eq!(ordered.destroy_at, archived.deactivated_at.map(|at| at.plus(Days(7))));
}

#[test]
fn a_refusal_names_the_state_and_what_can_be_done_instead() {
    let refused = said(suspend(&key_in(KeyState::Suspended), &Scene::default().ctx()));
    assert_eq!(
        refused,
        "key val is suspended, not active or rotating; it can reactivate, deactivate, compromise"
    );
}
