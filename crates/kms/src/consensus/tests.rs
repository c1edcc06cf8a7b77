//! The guard against a model of it, and its file against what can happen to a file.

mod files;
mod model;

use std::sync::Arc;

use kms_formats::comet::BlockId;
use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Proposal;
use kms_formats::comet::Time;
use kms_formats::comet::Vote;
use kms_secret::SecretBytes;

use crate::compromise::Cleared;
use crate::consensus::Asked;
use crate::consensus::Binding;
use crate::consensus::Floor;
use crate::consensus::FloorName;
use crate::consensus::Floors;
use crate::consensus::LastSigned;
use crate::consensus::Limits;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::durable::Disk;
use crate::durable::OsDisk;
use crate::durable::testing::home;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Purpose;
use crate::key::Signature;
use crate::lifecycle::tests::key_in;
use crate::lifecycle::tests::now;
use crate::lifecycle::uses::Consensus;

const FINGERPRINT: &str = "fingerprint";

fn chain() -> ChainId {
    "test-1".parse().unwrap()
}

fn name() -> FloorName {
    FloorName { key: KeyId::from_random([1; 16]), chain: chain() }
}

fn store_key(byte: u8) -> SecretBytes {
    SecretBytes::copy_from(&[byte; 32])
}

fn open_on(disk: Arc<dyn Disk>, directory: &std::path::Path, machine: &str) -> Floors {
    let bound = (&store_key(7), Some(machine));
    Floors::open(disk, directory.join("consensus"), bound, Limits::default()).unwrap()
}

fn open(directory: &std::path::Path) -> Floors {
    open_on(Arc::new(OsDisk), directory, "machine")
}

fn start_at(height: i64) -> Floor {
    Floor {
        sequence: 0,
        key: name().key,
        fingerprint: FINGERPRINT.to_owned(),
        chain: chain(),
        position: Position::end_of(height),
        last: None,
        stop_at: None,
        handed_over: false,
        record: 0,
        binding: Binding::none(),
    }
}

fn block(byte: u8) -> BlockId {
    BlockId { hash: [byte; 32], parts: 1, parts_hash: [byte; 32] }
}

/// A message at height, round and step, for a block (0 is nil), at a time.
fn message((height, round, step): (i64, i32, u8), content: u8, seconds: i64) -> Message {
    let time = Time { seconds, nanos: 0 };
    if step == 1 {
        let block = block(content);
        return Message::Proposal(Proposal { height, round, pol_round: -1, block, time });
    }
    Message::Vote(Vote {
        is_precommit: step == 3,
        height,
        round,
        block: (content > 0).then(|| block(content)),
        time,
        validator_address: Vec::new(),
        validator_index: 0,
        extension: Vec::new(),
    })
}

fn asked(message: Message) -> Asked {
    Asked::new(message, chain(), false)
}

/// Asks as the manager does; what is signed is the signed bytes themselves.
fn ask(floors: &Floors, message: Message) -> Result<LastSigned, Refusal> {
    let key = ManagedKey { purpose: Purpose::Consensus, ..key_in(KeyState::Active) };
    let asked = asked(message);
    floors.with_turn(&name(), FINGERPRINT, |mut turn| {
        let cleared = Cleared::for_test(Consensus { key: &key });
        let verdict = turn.judge(cleared, (&asked, now()))?;
        if let Some(last) = verdict.again {
            return Ok(last);
        }
        let to_sign = verdict.sign.unwrap();
        assert_eq!(to_sign.what().message, asked.sign_bytes());
        let bytes = asked.sign_bytes().to_vec();
        let signature = Signature { algorithm: Algorithm::Ed25519, bytes, recovery_id: None };
        let keep = turn.keep(&asked, &signature);
        _ = turn.raise(keep, 1)?;
        Ok(LastSigned { sign_bytes: asked.sign_bytes().to_vec(), signature: signature.bytes })
    })
}

#[test]
fn rules_are_those_of_the_file_based_signer() {
    let (_guard, home) = home();
    let floors = open(&home);
    floors.begin(&name(), start_at(9)).unwrap();
    let at = |position| message(position, 1, 100);
    assert!(matches!(ask(&floors, at((9, 5, 3))), Err(Refusal::Regression { .. })));
    let first = ask(&floors, at((10, 0, 2))).unwrap();
    assert_eq!(ask(&floors, at((10, 0, 2))).unwrap(), first);
    let later = ask(&floors, message((10, 0, 2), 1, 200)).unwrap();
    assert_eq!(later, first, "the first time counts");
    assert_eq!(later.time().unwrap().seconds, 100);
    let conflict = Refusal::Conflict { at: Position { height: 10, round: 0, step: 2 } };
    for other in [0, 2] {
        assert_eq!(ask(&floors, message((10, 0, 2), other, 100)), Err(conflict.clone()));
    }
    // Another block at the next step, after a polka for it, is legal.
    ask(&floors, message((10, 0, 3), 2, 100)).unwrap();
    for before in [(10, 0, 1), (10, 0, 2), (9, 9, 3)] {
        assert!(matches!(ask(&floors, at(before)), Err(Refusal::Regression { .. })), "{before:?}");
    }
    ask(&floors, at((10, 1, 1))).unwrap();
    ask(&floors, at((11, 0, 1))).unwrap();
    assert_eq!(floors.check(&name()).unwrap().sequence, 5);
}

#[test]
fn proposals_that_differ_in_any_signed_field_conflict() {
    let (_guard, home) = home();
    let floors = open(&home);
    floors.begin(&name(), start_at(9)).unwrap();
    let Message::Proposal(first) = message((10, 3, 1), 1, 100) else { panic!() };
    ask(&floors, Message::Proposal(first.clone())).unwrap();
    let others = [
        Proposal { pol_round: 0, ..first.clone() },
        Proposal { block: block(2), ..first.clone() },
        Proposal { block: BlockId { parts: 2, ..first.block }, ..first.clone() },
        Proposal { block: BlockId { parts_hash: [9; 32], ..first.block }, ..first },
    ];
    for other in others {
        let refused = ask(&floors, Message::Proposal(other)).unwrap_err();
        assert!(matches!(refused, Refusal::Conflict { .. }), "{refused}");
    }
}

#[test]
fn height_far_above_what_was_signed_is_not_believed() {
    let (_guard, home) = home();
    let floors = open(&home);
    floors.begin(&name(), start_at(9)).unwrap();
    for height in [1 << 62, i64::MAX, 100_010] {
        let refused = ask(&floors, message((height, 0, 2), 1, 100)).unwrap_err();
        assert!(matches!(refused, Refusal::Jump { limit: 100_000, .. }), "{refused}");
    }
    ask(&floors, message((100_009, 0, 2), 1, 100)).unwrap();
}

#[test]
fn stop_height_and_hand_over_end_signing_and_confirming_goes_on() {
    let (_guard, home) = home();
    let floors = open(&home);
    floors.begin(&name(), start_at(9)).unwrap();
    floors.change(&name(), |floor| floor.stop_at = Some(12)).unwrap();
    ask(&floors, message((11, 0, 2), 1, 100)).unwrap();
    let stopped = Refusal::Stopped { asked: 12, stop_at: 12 };
    assert_eq!(ask(&floors, message((12, 0, 1), 1, 100)), Err(stopped));
    floors.change(&name(), |floor| floor.handed_over = true).unwrap();
    assert_eq!(ask(&floors, message((11, 0, 2), 1, 100)), Err(Refusal::HandedOver));
    let lowering = floors.change(&name(), |floor| floor.position = Position::end_of(10));
    assert!(matches!(lowering, Err(Refusal::Lowering { .. })));
    let confirm = |floor: &mut Floor| {
        (floor.position, floor.handed_over, floor.stop_at) = (Position::end_of(20), false, None);
    };
    floors.change(&name(), confirm).unwrap();
    assert!(ask(&floors, message((20, 0, 2), 1, 100)).is_err());
    ask(&floors, message((21, 0, 2), 1, 100)).unwrap();
}

#[test]
fn where_only_the_place_is_known_nothing_is_signed_there() {
    let (_guard, home) = home();
    let floors = open(&home);
    let position = Position { height: 10, round: 0, step: 2 };
    floors.begin(&name(), Floor { position, ..start_at(0) }).unwrap();
    let refused = ask(&floors, message((10, 0, 2), 1, 100));
    assert_eq!(refused, Err(Refusal::NotKept { at: position }));
    ask(&floors, message((10, 0, 3), 1, 100)).unwrap();
}

#[test]
fn more_requests_in_a_second_than_any_chain_makes_are_refused() {
    let (_guard, home) = home();
    let limits = Limits { max_per_second: 3, ..Limits::default() };
    let bound = (&store_key(7), Some("machine"));
    let disk = Arc::new(OsDisk);
    let floors = Floors::open(disk, home.join("consensus"), bound, limits).unwrap();
    floors.begin(&name(), start_at(9)).unwrap();
    for _ in 0..3 {
        ask(&floors, message((10, 0, 2), 1, 100)).unwrap();
    }
    let refused = ask(&floors, message((10, 0, 2), 1, 100));
    assert_eq!(refused, Err(Refusal::TooFast { limit: 3 }));
}
