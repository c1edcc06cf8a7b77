//! The guard against double signing, from outside: what a node gets, what is on record, and what
//! happens to a home whose state is not what it was.

use std::fs;
use std::path::PathBuf;

use kms::audit::AuditEvent;
use kms::audit::Cause;
use kms::audit::EventType;
use kms::consensus::Position;
use kms::key::Algorithm;
use kms::key::ManagedKey;
use kms::key::Purpose;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::ErrorKind;
use kms::manager::FloorStart;
use kms::manager::KeyManager;
use kms::manager::NewKey;
use kms::manager::Node;
use kms::manager::Notice;
use kms::manager::Options;
use kms::manager::Vouched;
use kms_formats::comet::BlockId;
use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;
use kms_formats::comet::Vote;
use kms_formats::comet::canonical;

use crate::home::Home;
use crate::home::because;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;

/// A home with a consensus key whose floor is the end of height 9, and its node.
struct Validator {
    home: Home,
    key: ManagedKey,
    node: Node,
}

impl Validator {
    fn new() -> Self {
        let home = Home::development();
        let (kms, alice) = home.enter();
        let new = NewKey { purpose: Purpose::Consensus, ..new_key(Algorithm::Ed25519) };
        let key = kms.generate_key(&alice, &"val".parse().unwrap(), new).unwrap();
        begin(&kms, &alice, 9).unwrap();
        kms.close().unwrap();
        let node = Node { name: "node-1".to_owned(), key: key.id, chain: chain() };
        Self { home, key, node }
    }

    fn ask(&self, kms: &KeyManager, vote: &Vote) -> Result<Vouched, Error> {
        kms.sign_consensus(&self.node, (Message::Vote(vote.clone()), &chain()), false)
    }

    fn floor_file(&self) -> PathBuf {
        let files = fs::read_dir(self.home.path().join("state/consensus")).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|end| end == "floor")).unwrap()
    }
}

fn chain() -> ChainId {
    "test-1".parse().unwrap()
}

fn start(height: i64) -> FloorStart {
    FloorStart { position: Position::end_of(height), last: None }
}

fn begin(kms: &KeyManager, by: &Caller, height: i64) -> Result<Position, Error> {
    let reason = because("first start");
    let floor = kms.consensus(by).begin_state(&named("val"), &chain(), (start(height), &reason))?;
    Ok(floor.position)
}

fn vote(height: i64, block: u8) -> Vote {
    let block = BlockId { hash: [block; 32], parts: 1, parts_hash: [block; 32] };
    Vote {
        is_precommit: true,
        height,
        round: 0,
        block: Some(block),
        time: Time { seconds: 1_700_000_000, nanos: 5 },
        validator_address: vec![1; 20],
        validator_index: 0,
        extension: b"extension".to_vec(),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> (&'static str, ErrorKind) {
    let error = answer.unwrap_err();
    (error.code(), error.kind())
}

const DOUBLE: (&str, ErrorKind) = ("double_sign", ErrorKind::Unsafe);

fn of_node(home: &Home) -> Vec<AuditEvent> {
    records(home).into_iter().filter(|event| event.cause == Cause::Node).collect()
}

#[test]
fn vote_and_extension_verify_and_stand_on_record() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    let vote = vote(10, 1);
    let vouched = validator.ask(&kms, &vote).unwrap();
    let bytes = canonical::sign_bytes(&Message::Vote(vote.clone()), &chain());
    let extension = canonical::extension_bytes(&vote, &chain());
    let verifies = |message: &[u8], signature: &[u8]| {
        kms::storage::verify(&validator.key.public_key, message, signature, Scheme::default())
    };
    assert!(verifies(&bytes, &vouched.signature));
    assert!(verifies(&extension, vouched.extension_signature.as_ref().unwrap()));
    assert_eq!(vouched.time, vote.time);
    let told = of_node(&validator.home);
    let [record] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((record.event, record.success), (EventType::KeySigned, true));
    assert_eq!(record.key, Some(validator.key.id));
    for (name, value) in [
        ("node", "node-1"),
        ("chain", "test-1"),
        ("height", "10"),
        ("round", "0"),
        ("step", "precommit"),
        ("block", &"01".repeat(32)),
        ("sign_bytes", &hex::encode(&bytes)),
        ("signature", &hex::encode(&vouched.signature)),
    ] {
        assert_eq!(record.detail_text(name), Some(value), "{name}");
    }
}

#[test]
fn nil_and_prevotes_have_no_extension_signature_and_empty_extensions_have_one() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    let nil = Vote { block: None, extension: Vec::new(), ..vote(10, 1) };
    let prevote = Vote { is_precommit: false, extension: Vec::new(), ..vote(11, 1) };
    for without in [nil, prevote] {
        assert_eq!(validator.ask(&kms, &without).unwrap().extension_signature, None);
    }
    let empty = Vote { extension: Vec::new(), ..vote(12, 1) };
    assert!(validator.ask(&kms, &empty).unwrap().extension_signature.is_some());
    let message = Message::Vote(vote(13, 1));
    let skipped = kms.sign_consensus(&validator.node, (message, &chain()), true).unwrap();
    assert_eq!(skipped.extension_signature, None);
}

// Attack 24 and regression 20.
#[test]
fn one_signature_for_a_height_round_and_step_whatever_is_asked_and_however_often_it_is_restarted() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    let first = validator.ask(&kms, &vote(10, 1)).unwrap();
    let later = Vote { time: Time { seconds: 1_800_000_000, nanos: 0 }, ..vote(10, 1) };
    let conflicts = [
        vote(10, 2),
        Vote { block: None, extension: Vec::new(), ..vote(10, 1) },
        vote(9, 1),
        Vote { is_precommit: false, extension: Vec::new(), ..vote(10, 1) },
    ];
    let check = |kms: &KeyManager| {
        for again in [vote(10, 1), later.clone()] {
            let vouched = validator.ask(kms, &again).unwrap();
            assert_eq!((&vouched.signature, vouched.time), (&first.signature, first.time));
            assert!(vouched.extension_signature.is_some());
        }
        for conflict in &conflicts {
            assert_eq!(refused(validator.ask(kms, conflict)), DOUBLE);
        }
    };
    check(&kms);
    kms.close().unwrap();
    let (kms, _alice) = validator.home.enter();
    check(&kms);
    drop(kms); // as a crash: nothing is closed
    let (kms, _alice) = validator.home.enter();
    check(&kms);
    let told = of_node(&validator.home);
    let refusals = told.iter().filter(|e| e.error_code.as_deref() == Some("double_sign"));
    assert_eq!(refusals.count(), 3 * conflicts.len());
    assert!(validator.home.verify_log().valid);
}

#[test]
fn chain_and_key_are_those_of_the_connection() {
    let validator = Validator::new();
    let (kms, alice) = validator.home.enter();
    let other: ChainId = "test-2".parse().unwrap();
    let asked = kms.sign_consensus(&validator.node, (Message::Vote(vote(10, 1)), &other), false);
    assert_eq!(refused(asked), ("other_chain", ErrorKind::Unsafe));
    let account = kms.generate_key(
        &alice,
        &"acct".parse().unwrap(),
        NewKey { purpose: Purpose::Account, ..new_key(Algorithm::Secp256k1) },
    );
    let node = Node { key: account.unwrap().id, ..validator.node.clone() };
    let asked = kms.sign_consensus(&node, (Message::Vote(vote(10, 1)), &chain()), false);
    assert_eq!(refused(asked), ("consensus_key", ErrorKind::Unsafe));
    assert_eq!(kms.consensus_public_key(&node).unwrap_err().code(), "consensus_key");
    let public_key = kms.consensus_public_key(&validator.node).unwrap();
    assert_eq!(public_key, validator.key.public_key);
}

#[test]
fn suspended_key_stops_with_the_next_request() {
    let validator = Validator::new();
    let (kms, alice) = validator.home.enter();
    validator.ask(&kms, &vote(10, 1)).unwrap();
    kms.lifecycle(&alice).suspend_key(&named("val"), &because("3 a.m.")).unwrap();
    let stopped = ("key_not_usable", ErrorKind::Unsafe);
    assert_eq!(refused(validator.ask(&kms, &vote(11, 1))), stopped);
    assert_eq!(refused(validator.ask(&kms, &vote(10, 1))), stopped, "nor what was signed before");
    kms.lifecycle(&alice).reactivate_key(&named("val"), &because("a false alarm")).unwrap();
    validator.ask(&kms, &vote(11, 1)).unwrap();
}

// A crash after the record and before the floor.
#[test]
fn floor_that_is_one_signature_behind_is_raised_with_the_very_signature() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    validator.ask(&kms, &vote(10, 1)).unwrap();
    let before = fs::read(validator.floor_file()).unwrap();
    let signed = validator.ask(&kms, &vote(11, 1)).unwrap();
    kms.close().unwrap();
    fs::write(validator.floor_file(), &before).unwrap(); // in place: the same file
    let (kms, _alice) = validator.home.enter();
    assert_eq!(kms.notices(), [Notice::Development]);
    assert_eq!(validator.ask(&kms, &vote(11, 1)).unwrap().signature, signed.signature);
    assert_eq!(refused(validator.ask(&kms, &vote(11, 2))), DOUBLE);
}

// Attack 25.
#[test]
fn older_floor_put_back_is_raised_from_the_log_and_told_of() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    validator.ask(&kms, &vote(10, 1)).unwrap();
    let before = fs::read(validator.floor_file()).unwrap();
    for height in 11..15 {
        validator.ask(&kms, &vote(height, 1)).unwrap();
    }
    kms.close().unwrap();
    fs::write(validator.floor_file(), &before).unwrap();
    let (kms, _alice) = validator.home.enter();
    let told = kms
        .notices()
        .into_iter()
        .any(|notice| matches!(notice, Notice::FloorBehind { behind: 4, .. }));
    assert!(told, "{:?}", kms.notices());
    for height in 11..15 {
        assert_eq!(refused(validator.ask(&kms, &vote(height, 2))), DOUBLE);
    }
    validator.ask(&kms, &vote(15, 2)).unwrap();
}

#[test]
fn state_that_was_deleted_copied_or_emptied_signs_nothing() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    validator.ask(&kms, &vote(10, 1)).unwrap();
    kms.close().unwrap();
    let path = validator.floor_file();
    let whole = fs::read(&path).unwrap();
    let after = |code| {
        let (kms, _alice) = validator.home.enter();
        assert_eq!(refused(validator.ask(&kms, &vote(11, 1))).0, code);
    };
    fs::write(&path, b"").unwrap();
    after("state_damaged");
    fs::remove_file(&path).unwrap();
    after("state_missing");
    fs::write(&path, &whole).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    after("state_elsewhere");
}

// The log still knows what was signed, whatever became of the floor.
#[test]
fn state_that_was_deleted_is_not_begun_below_what_the_log_tells() {
    let validator = Validator::new();
    let (kms, _alice) = validator.home.enter();
    for height in 10..13 {
        validator.ask(&kms, &vote(height, 1)).unwrap();
    }
    kms.close().unwrap();
    fs::remove_file(validator.floor_file()).unwrap();
    let (kms, alice) = validator.home.enter();
    assert_eq!(refused(begin(&kms, &alice, 11)).0, "state_lowering");
    assert_eq!(refused(begin(&kms, &alice, 0)).0, "state_lowering");
    begin(&kms, &alice, 12).unwrap();
    assert_eq!(refused(validator.ask(&kms, &vote(12, 2))), DOUBLE);
    validator.ask(&kms, &vote(13, 1)).unwrap();
}

// A key that was moved is the same key: its private half has signed what it has signed.
#[test]
fn state_of_a_key_that_was_moved_is_not_begun_below_that_of_its_other_record() {
    let validator = Validator::new();
    let options = Options { stays: true, ..validator.home.options() };
    let kms = KeyManager::open(options).unwrap();
    let alice = validator.home.admin(&kms);
    for height in 10..13 {
        validator.ask(&kms, &vote(height, 1)).unwrap();
    }
    let to = "memory".parse().unwrap();
    kms.migrate_key(&alice, &named("val"), (&to, &because("another place"))).unwrap();
    assert_eq!(refused(begin(&kms, &alice, 11)).0, "state_lowering");
    fs::remove_file(validator.floor_file()).unwrap();
    assert_eq!(refused(begin(&kms, &alice, 11)).0, "state_lowering", "the log knows it too");
    begin(&kms, &alice, 12).unwrap();
}

#[test]
fn home_copied_to_another_machine_signs_nothing_until_a_person_confirms_the_height() {
    let validator = Validator::new();
    let on = |machine: &str| {
        let machine_id = Some(machine.to_owned());
        let kms = KeyManager::open(Options { machine_id, ..validator.home.options() }).unwrap();
        let alice = validator.home.admin(&kms);
        (kms, alice)
    };
    let confirm = |kms: &KeyManager, by: &Caller, height| {
        let reason = because("the old machine is off");
        let confirmed = (height, &reason);
        kms.consensus(by).confirm_state(&named("val"), &chain(), confirmed)
    };
    let (kms, alice) = on("this");
    confirm(&kms, &alice, 9).unwrap(); // it was begun without a machine
    validator.ask(&kms, &vote(10, 1)).unwrap();
    kms.close().unwrap();
    let (kms, alice) = on("that");
    let elsewhere = ("state_elsewhere", ErrorKind::Unsafe);
    assert_eq!(refused(validator.ask(&kms, &vote(11, 1))), elsewhere);
    let lower = confirm(&kms, &alice, 9).unwrap_err();
    assert_eq!(lower.code(), "state_lowering");
    confirm(&kms, &alice, 12).unwrap();
    assert_eq!(refused(validator.ask(&kms, &vote(12, 1))), DOUBLE);
    validator.ask(&kms, &vote(13, 1)).unwrap();
}

#[test]
fn hand_over_gives_the_floor_and_ends_signing_in_one_step() {
    let validator = Validator::new();
    let (kms, alice) = validator.home.enter();
    validator.ask(&kms, &vote(10, 1)).unwrap();
    let reason = because("a new machine");
    let floor = kms.consensus(&alice).hand_over(&named("val"), &chain(), &reason).unwrap();
    assert_eq!(floor.position, Position { height: 10, round: 0, step: 3 });
    assert!(floor.last.is_some());
    let ended = ("handed_over", ErrorKind::Unsafe);
    assert_eq!(refused(validator.ask(&kms, &vote(11, 1))), ended);
    kms.close().unwrap();
    let (kms, _alice) = validator.home.enter();
    assert_eq!(refused(validator.ask(&kms, &vote(11, 1))), ended);
    let states = kms.consensus(&validator.home.admin(&kms)).states().unwrap();
    assert!(states[0].floor.handed_over);
}

#[test]
fn state_is_begun_once_by_who_may_and_with_a_second_factor() {
    let home = Home::guarded();
    let (kms, alice) = home.enter();
    let new = NewKey { purpose: Purpose::Consensus, ..new_key(Algorithm::Ed25519) };
    kms.generate_key(&alice, &"val".parse().unwrap(), new).unwrap();
    let stale = crate::home::login(&kms, "alice", crate::home::PASSPHRASE).unwrap();
    assert_eq!(begin(&kms, &stale, 9).unwrap_err().code(), "mfa_required");
    crate::home::add_principal(&kms, &alice, ("olga", "operator"));
    let olga = crate::home::login(&kms, "olga", crate::home::PASSPHRASE).unwrap();
    assert_eq!(begin(&kms, &olga, 9).unwrap_err().code(), "permission_denied");
    assert_eq!(begin(&kms, &alice, 9).unwrap(), Position::end_of(9));
    let again = begin(&kms, &alice, 0).unwrap_err();
    assert_eq!((again.code(), again.kind()), ("state_exists", ErrorKind::Conflict));
    let told = records(&home).into_iter().filter(|e| e.event == EventType::ConsensusState);
    assert_eq!(told.filter(|event| event.success).count(), 2, "an intent and its outcome");
}
