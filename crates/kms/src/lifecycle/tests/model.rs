//! Random lives of a handful of keys: whatever is asked of them, in whatever order and with a clock
//! that jumps both ways, the invariants of the room hold after every move.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Move;
use crate::key::Purpose;
use crate::lifecycle::Context;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::Moved;
use crate::lifecycle::Refusal;
use crate::lifecycle::Rotation;
use crate::lifecycle::Transition;
use crate::lifecycle::abort_rotation;
use crate::lifecycle::activate;
use crate::lifecycle::activate_after;
use crate::lifecycle::allowed;
use crate::lifecycle::archive;
use crate::lifecycle::begin_rotation;
use crate::lifecycle::cancel_destroy;
use crate::lifecycle::complete_consensus_rotation;
use crate::lifecycle::complete_rotation;
use crate::lifecycle::deactivate;
use crate::lifecycle::destroy;
use crate::lifecycle::expire;
use crate::lifecycle::mark_compromised;
use crate::lifecycle::permits;
use crate::lifecycle::reactivate;
use crate::lifecycle::reject;
use crate::lifecycle::schedule_destroy;
use crate::lifecycle::state_at;
use crate::lifecycle::submit;
use crate::lifecycle::suspend;
use crate::lifecycle::tests::Scene;
use crate::lifecycle::tests::key;
use crate::lifecycle::tests::now;
use crate::time::Days;
use crate::time::Timestamp;

/// One request: what, of which key, with which other key, so many days later (or earlier).
#[derive(Debug, Clone, Copy)]
struct Request {
    transition: Transition,
    key: usize,
    other: usize,
    days: i16,
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Mostly what leads on and no time between, or no rotation would ever be completed.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let leading = [Transition::Activate, Transition::BeginRotation, Transition::CompleteRotation];
    let transition = prop_oneof![
        2 => proptest::sample::select(leading.to_vec()),
        1 => proptest::sample::select(Transition::ALL.to_vec()),
    ];
    let days = prop_oneof![12 => Just(0i16), 3 => 1i16..100, 1 => -200i16..0, 1 => 100i16..900];
    let request = (transition, 0..KEYS.len(), 0..KEYS.len(), days)
        .prop_map(|(transition, key, other, days)| Request { transition, key, other, days });
    vec(request, 1..200)
}

#[derive(Debug)]
struct World {
    keys: Vec<ManagedKey>,
    scene: Scene,
}

impl World {
    fn new(purpose: Purpose) -> Self {
        let keys = KEYS.map(|label| ManagedKey { purpose, ..key(label) }).into();
        Self { keys, scene: Scene::default() }
    }

    /// Does what is asked, if it is not refused, and returns the keys that were moved.
    fn serve(&mut self, request: Request) -> Vec<Moved> {
        let days = Days(u32::from(request.days.unsigned_abs()));
        let now = self.scene.now;
        self.scene.now = if request.days < 0 { now.minus(days) } else { now.plus(days) };
        let moved = self.decide(request).unwrap_or_default();
        for changed in &moved {
            let place = self.keys.iter_mut().find(|key| key.id == changed.key.id).unwrap();
            *place = changed.key.clone();
        }
        moved
    }

    fn decide(&self, request: Request) -> Result<Vec<Moved>, Refusal> {
        let (key, other) = (&self.keys[request.key], &self.keys[request.other]);
        let ctx = &self.scene.ctx();
        let successor = self.scene.successor(other);
        let both = |rotation: Rotation| vec![rotation.old, rotation.new];
        match request.transition {
            Transition::Activate => activate(key, ctx)
                .or_else(|_| activate_after(other, key, ctx))
                .map(|moved| vec![moved]),
            Transition::BeginRotation => begin_rotation(key, successor, ctx).map(both),
            Transition::CompleteRotation => complete_rotation(key, other, ctx)
                .map(|moved| vec![moved])
                .or_else(|_| complete_consensus_rotation(key, successor, ctx).map(both)),
            Transition::AbortRotation => abort_rotation(key, other, ctx).map(both),
            Transition::Submit
            | Transition::Reject
            | Transition::Suspend
            | Transition::Reactivate
            | Transition::Deactivate
            | Transition::Expire
            | Transition::Archive
            | Transition::MarkCompromised
            | Transition::ScheduleDestroy
            | Transition::CancelDestroy
            | Transition::Destroy => one(request.transition)(key, ctx).map(|moved| vec![moved]),
        }
    }

    /// The keys linked to the `n`-th, however far.
    fn lineage(&self, n: usize) -> Vec<&ManagedKey> {
        let mut ids = vec![self.keys[n].id];
        for _ in &self.keys {
            let linked = |key: &&ManagedKey| ids.contains(&key.id) || self.touches(key, &ids);
            ids = self.keys.iter().filter(linked).map(|key| key.id).collect();
        }
        self.keys.iter().filter(|key| ids.contains(&key.id)).collect()
    }

    fn touches(&self, key: &ManagedKey, ids: &[KeyId]) -> bool {
        let names = |key: &ManagedKey| [key.successor, key.predecessor];
        let named = names(key).into_iter().flatten().any(|id| ids.contains(&id));
        let members = self.keys.iter().filter(|member| ids.contains(&member.id));
        named || members.flat_map(names).flatten().any(|id| id == key.id)
    }
}

type OneKey = fn(&ManagedKey, &Context<'_>) -> Result<Moved, Refusal>;

fn one(transition: Transition) -> OneKey {
    match transition {
        Transition::Submit => submit,
        Transition::Reject => reject,
        Transition::Suspend => suspend,
        Transition::Reactivate => reactivate,
        Transition::Deactivate => deactivate,
        Transition::Expire => expire,
        Transition::Archive => archive,
        Transition::MarkCompromised => mark_compromised,
        Transition::ScheduleDestroy => schedule_destroy,
        Transition::CancelDestroy => cancel_destroy,
        Transition::Destroy => destroy,
        Transition::Activate
        | Transition::BeginRotation
        | Transition::CompleteRotation
        | Transition::AbortRotation => unreachable!("these are asked with two keys"),
    }
}

fn purposes() -> impl Strategy<Value = Purpose> {
    proptest::sample::select(&Purpose::ALL[..])
}

/// Whether the key signs now, or at the beginning of time, when nothing has expired that is not
/// recorded as such.
fn ever_signs(key: &ManagedKey, now: Timestamp) -> bool {
    [now, Timestamp::EPOCH].into_iter().any(|at| permits(state_at(key, at), KeyOperation::Sign))
}

fn stays(step: &Move) -> bool {
    step.from == Some(step.to)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn moves_never_leave_the_table(purpose in purposes(), life in requests()) {
        let mut world = World::new(purpose);
        for request in life {
            let before = world.keys.clone();
            for moved in world.serve(request) {
                let was = before.iter().find(|key| key.id == moved.key.id).unwrap();
                let mut state = was.state;
                for step in &moved.steps {
                    prop_assert_eq!(step.from, Some(state), "history has a gap");
                    prop_assert!(allowed(state, step.to) || stays(step), "{:?}", step);
                    state = step.to;
                }
                prop_assert_eq!(state, moved.key.state);
            }
        }
    }

    #[test]
    fn what_stopped_for_good_never_signs_again(purpose in purposes(), life in requests()) {
        let mut world = World::new(purpose);
        let mut stopped = [false; KEYS.len()];
        for request in life {
            world.serve(request);
            for (key, stopped) in world.keys.iter().zip(&mut stopped) {
                *stopped |= matches!(
                    key.state,
                    KeyState::Deactivated | KeyState::Expired | KeyState::Archived
                        | KeyState::Compromised | KeyState::Destroyed
                );
                prop_assert!(!(*stopped && ever_signs(key, world.scene.now)), "{:?}", key);
            }
        }
    }

    #[test]
    fn destroyed_keys_change_no_more(purpose in purposes(), life in requests()) {
        let mut world = World::new(purpose);
        for request in life {
            let before = world.keys.clone();
            world.serve(request);
            for (was, is) in before.iter().zip(&world.keys) {
                prop_assert!(was.state != KeyState::Destroyed || was == is);
                prop_assert_eq!((was.id, &was.public_key), (is.id, &is.public_key));
            }
        }
    }

    #[test]
    fn of_a_lineage_of_consensus_keys_at_most_one_signs(life in requests()) {
        let mut world = World::new(Purpose::Consensus);
        for request in life {
            world.serve(request);
            for n in 0..KEYS.len() {
                let lineage = world.lineage(n);
                let signing = lineage.iter().filter(|key| ever_signs(key, world.scene.now));
                prop_assert!(signing.count() <= 1, "{:?}", lineage);
            }
        }
    }

    #[test]
    fn completed_rotation_leaves_exactly_one_active(purpose in purposes(), life in requests()) {
        let mut world = World::new(purpose);
        for request in life {
            let moved = world.serve(request);
            let done = request.transition == Transition::CompleteRotation && !moved.is_empty();
            if done {
                let pair = [&world.keys[request.key], &world.keys[request.other]];
                prop_assert_eq!(pair[0].state, KeyState::Deactivated);
                prop_assert_eq!(state_at(pair[1], world.scene.now), KeyState::Active);
            }
        }
    }

    #[test]
    fn dates_of_a_key_never_run_backwards(purpose in purposes(), life in requests()) {
        let mut world = World::new(purpose);
        for request in life {
            world.serve(request);
            for key in &world.keys {
                let dates = [Some(key.created_at), key.activated_at, key.deactivated_at, key.destroyed_at];
                let dates: Vec<_> = dates.into_iter().flatten().collect();
                prop_assert!(dates.is_sorted(), "{:?}", key);
            }
        }
    }
}

/// The random lives above would show nothing if they never got far.
#[test]
fn random_lives_reach_every_state_and_complete_rotations() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeSet::new();
    let mut completed = std::collections::BTreeSet::new();
    for purpose in Purpose::ALL {
        for _ in 0..64 {
            let life = requests().new_tree(&mut runner).unwrap().current();
            let mut world = World::new(purpose);
            for request in life {
                let moved = world.serve(request);
                reached.extend(moved.iter().map(|moved| moved.key.state));
                if request.transition == Transition::CompleteRotation && !moved.is_empty() {
                    completed.insert(purpose);
                }
            }
        }
    }
    assert_eq!(Vec::from_iter(reached), KeyState::ALL);
    assert_eq!(Vec::from_iter(completed), Purpose::ALL);
    assert!(now() > Timestamp::EPOCH);
}
