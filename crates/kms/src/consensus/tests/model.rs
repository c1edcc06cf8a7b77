//! The guard against a model that remembers everything, with crashes and replays.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Place = (i64, i32, u8);

/// What was ever signed, by place; what is above all of it may be signed.
#[derive(Default)]
struct Model {
    signed: BTreeMap<Place, (u8, i64)>,
}

impl Model {
    /// What a signer that forgets nothing answers: the time that is signed, or no.
    fn ask(&mut self, place: Place, content: u8, seconds: i64) -> Option<i64> {
        match self.signed.last_key_value() {
            Some((last, _)) if place < *last => None,
            Some((last, (signed, time))) if place == *last => (*signed == content).then_some(*time),
            _ => {
                self.signed.insert(place, (content, seconds));
                Some(seconds)
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Ask(Place, u8, i64),
    /// The process ends and another opens the home.
    Crash,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let place = (1..4_i64, 0..3_i32, 1..4_u8);
    let ask =
        (place, 1..3_u8, 1..4_i64).prop_map(|(place, block, time)| Event::Ask(place, block, time));
    vec(prop_oneof![8 => ask, 1 => Just(Event::Crash)], 1..40)
}

fn run(events: &[Event]) {
    let (_guard, home) = home();
    let mut floors = open(&home);
    floors.begin(&name(), start_at(0)).unwrap();
    let mut model = Model::default();
    let mut left = BTreeMap::new();
    for event in events {
        match event {
            Event::Crash => floors = open(&home),
            Event::Ask(place, content, seconds) => {
                let answer = ask(&floors, message(*place, *content, *seconds));
                let time = answer.as_ref().ok().map(|last| last.time().unwrap().seconds);
                assert_eq!(time, model.ask(*place, *content, *seconds), "{event:?}");
                if let Ok(last) = answer {
                    let before = left.entry(*place).or_insert_with(|| last.sign_bytes.clone());
                    assert_eq!(*before, last.sign_bytes, "two signatures at {place:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn guard_answers_as_the_model_does_through_crashes(events in events()) {
        run(&events);
    }
}

#[test]
fn every_short_sequence_is_answered_as_the_model_does() {
    let places = [(1, 0, 2), (1, 0, 3), (1, 1, 1), (2, 0, 1)];
    let single: Vec<Event> = places
        .into_iter()
        .flat_map(|place| {
            [(1, 1), (2, 1), (1, 2)].map(|(block, time)| Event::Ask(place, block, time))
        })
        .collect();
    for first in &single {
        for second in &single {
            run(&[first.clone(), second.clone(), Event::Crash, first.clone(), second.clone()]);
        }
    }
}
