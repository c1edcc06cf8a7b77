//! What can happen to a floor's file, and to the disk while it is written.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::durable::Fault;
use crate::durable::FaultyDisk;

fn file_in(home: &Path) -> PathBuf {
    let mut files = fs::read_dir(home.join("consensus")).unwrap();
    files.next().unwrap().unwrap().path()
}

fn signed_home() -> (tempfile::TempDir, PathBuf) {
    let (guard, home) = home();
    let floors = open(&home);
    floors.begin(&name(), start_at(9)).unwrap();
    ask(&floors, message((10, 0, 2), 1, 100)).unwrap();
    ask(&floors, message((10, 0, 3), 1, 100)).unwrap();
    (guard, home)
}

fn position_after(home: &Path) -> Result<Position, Refusal> {
    open(home).check(&name()).map(|floor| floor.position)
}

#[test]
fn missing_floor_signs_nothing() {
    let (_guard, home) = home();
    let floors = open(&home);
    let (key, chain) = (name().key, name().chain);
    let refused = Err(Refusal::NoState { key, chain });
    assert_eq!(ask(&floors, message((10, 0, 2), 1, 100)), refused);
    floors.begin(&name(), start_at(9)).unwrap();
    let again = floors.begin(&name(), start_at(0));
    assert!(matches!(again, Err(Refusal::StateExists { .. })));
}

#[test]
fn spoiled_slot_leaves_the_other_and_two_spoiled_ones_leave_none() {
    let (_guard, home) = signed_home();
    let whole = fs::read(file_in(&home)).unwrap();
    let newest = Position { height: 10, round: 0, step: 3 };
    assert_eq!(position_after(&home), Ok(newest));
    for slot in [0, 4096] {
        for at in [0, 63, 64, 65, 200] {
            let mut spoiled = whole.clone();
            spoiled[slot + at] ^= 1;
            fs::write(file_in(&home), &spoiled).unwrap();
            let position = position_after(&home).unwrap();
            assert!(position == newest || position.step == 2, "{position}");
            spoiled[4096 - slot + at] ^= 1;
            fs::write(file_in(&home), &spoiled).unwrap();
            assert!(matches!(position_after(&home), Err(Refusal::Damaged { .. })));
        }
    }
}

#[test]
fn emptied_shortened_edited_and_foreign_floors_are_refused() {
    let (_guard, home) = signed_home();
    let whole = fs::read(file_in(&home)).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let (_other_guard, other) = crate::durable::testing::home();
    let bound = (&store_key(8), Some("machine"));
    let disk = Arc::new(OsDisk);
    let foreign = Floors::open(disk, other.join("consensus"), bound, Limits::default()).unwrap();
    foreign.begin(&name(), start_at(0)).unwrap();
    let contents = [
        Vec::new(),
        whole[..8191].to_vec(),
        [&whole[..], b"x"].concat(),
        vec![0; 8192],
        text.replace("\"height\":10", "\"height\":11").into_bytes(),
        fs::read(file_in(&other)).unwrap(),
    ];
    for content in contents {
        fs::write(file_in(&home), &content).unwrap();
        let refused = position_after(&home).unwrap_err();
        assert!(matches!(refused, Refusal::Damaged { .. }), "{refused}");
    }
}

#[test]
fn copied_floor_and_one_on_another_machine_sign_nothing_until_confirmed() {
    let (_guard, home) = signed_home();
    let elsewhere = open_on(Arc::new(OsDisk), &home, "another machine");
    let next = || message((10, 1, 1), 1, 100);
    let refused = ask(&elsewhere, next()).unwrap_err();
    assert!(refused.to_string().contains("was written on another machine"), "{refused}");
    drop(elsewhere);
    let path = file_in(&home);
    let copied = fs::read(&path).unwrap();
    OsDisk.rename(&path, &home.join("aside")).unwrap();
    OsDisk.create(&path, &copied).unwrap();
    let floors = open(&home);
    let refused = ask(&floors, next()).unwrap_err();
    assert!(refused.to_string().contains("was copied or put back"), "{refused}");
    let confirm =
        |height| floors.change(&name(), |floor| floor.position = Position::end_of(height));
    assert!(confirm(9).is_err());
    confirm(10).unwrap();
    assert!(ask(&floors, next()).is_err());
    ask(&floors, message((11, 0, 1), 1, 100)).unwrap();
    drop(floors);
    assert_eq!(position_after(&home).unwrap().height, 11);
}

#[test]
fn floor_of_another_public_key_signs_nothing() {
    let (_guard, home) = signed_home();
    let refused = open(&home).with_turn(&name(), "another", |_| Ok::<_, Refusal>(()));
    assert!(matches!(refused, Err(Refusal::OtherKey { .. })));
}

#[test]
fn floor_under_another_name_is_not_taken_for_it() {
    let (_guard, home) = signed_home();
    let path = file_in(&home);
    let other = path.with_file_name(format!("{}-0000000000000000.floor", name().key));
    fs::rename(&path, &other).unwrap();
    assert!(matches!(position_after(&home), Err(Refusal::NoState { .. })));
}

#[test]
fn every_effect_that_fails_leaves_a_floor_that_forbids_what_left() {
    for fault in [Fault::Stop, Fault::Eio, Fault::NoSpace, Fault::DoneButReported] {
        for fail_at in 0.. {
            let (_guard, home) = signed_home();
            let disk = FaultyDisk::new(fail_at, fault);
            let bound = (&store_key(7), Some("machine"));
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let opened = Floors::open(shared, home.join("consensus"), bound, Limits::default());
            let Ok(floors) = opened else { continue };
            let mut left = vec![message((10, 0, 3), 1, 100)];
            for next in [(11, 0, 2), (11, 0, 3)].map(|place| message(place, 1, 100)) {
                if ask(&floors, next.clone()).is_ok() {
                    left.push(next);
                } else {
                    // Nothing is signed after a write that failed, not even what was before.
                    let refused = ask(&floors, left[0].clone()).unwrap_err();
                    assert!(matches!(refused, Refusal::NotWritten(_)), "{refused}");
                    break;
                }
            }
            drop(floors);
            let floors = open(&home);
            let last = Position::of(left.last().unwrap());
            assert!(floors.check(&name()).unwrap().position >= last);
            for gone in &left {
                let place = (gone.height(), gone.round(), gone.step().number());
                let other = ask(&floors, message(place, 2, 100));
                assert!(other.is_err(), "{fault:?} {fail_at}: {other:?}");
            }
            if !disk.fired() {
                break;
            }
        }
    }
}

#[test]
fn making_a_floor_that_is_cut_off_leaves_none_or_a_whole_one() {
    for fail_at in 0.. {
        let (_guard, home) = home();
        let disk = FaultyDisk::new(fail_at, Fault::Stop);
        let bound = (&store_key(7), Some("machine"));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let opened = Floors::open(shared, home.join("consensus"), bound, Limits::default());
        let begun = opened.is_ok_and(|floors| floors.begin(&name(), start_at(9)).is_ok());
        let floors = open(&home);
        match floors.check(&name()) {
            Ok(floor) => assert_eq!(floor.position, Position::end_of(9)),
            Err(refused) => {
                assert!(!begun, "{fail_at}: {refused}");
                floors.begin(&name(), start_at(9)).unwrap();
            }
        }
        if !disk.fired() {
            break;
        }
    }
}
