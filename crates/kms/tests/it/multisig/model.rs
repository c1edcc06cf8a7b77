//! Random operations from several callers against a reference: whatever is asked, in whatever
//! order, with crashes, clocks that jump and completions that race, nothing completes below its
//! threshold, twice, after its expiry or after its cancellation.

use std::cell::RefCell;
use std::collections::BTreeSet;

use kms::manager::Completed;
use kms::multisig::OperationState;
use kms::multisig::verify_evidence;
use kms::time::Clock;
use kms::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use super::*;
use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::add_principal;
use crate::home::login;
use crate::home::records;

/// SPEC: "3-of-5 weight with CEO having 2x weight".
const SIGNERS: [(&str, u32); 5] =
    [("CEO", 2), ("CTO", 1), ("CFO", 1), ("Legal", 1), ("Security", 1)];
const THRESHOLD: u32 = 3;
const TIMEOUT_S: u64 = 24 * 3600;

/// What is asked; operations are named by their place, modulo how many there are.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Begin,
    /// A signer's signature over this operation.
    Add(usize, usize),
    /// A signer's signature over that other operation.
    Replay(usize, usize, usize),
    /// Another signer's signature under this one's name.
    Foreign(usize, usize, usize),
    Garbage(usize, usize),
    Stranger(usize),
    Complete(usize),
    Race(usize),
    Cancel(usize),
    Clock(i64),
    Crash,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let (op, who) = (0..4_usize, 0..SIGNERS.len());
    let ask = prop_oneof![
        2 => Just(Ask::Begin),
        10 => (op.clone(), who.clone()).prop_map(|(op, who)| Ask::Add(op, who)),
        2 => (op.clone(), who.clone(), op.clone()).prop_map(|(a, who, b)| Ask::Replay(a, who, b)),
        2 => (op.clone(), who.clone(), who.clone()).prop_map(|(op, a, b)| Ask::Foreign(op, a, b)),
        1 => (op.clone(), who).prop_map(|(op, who)| Ask::Garbage(op, who)),
        1 => op.clone().prop_map(Ask::Stranger),
        4 => op.clone().prop_map(Ask::Complete),
        1 => op.clone().prop_map(Ask::Race),
        1 => op.prop_map(Ask::Cancel),
        2 => prop_oneof![3 => 1_i64..20_000, 1 => 60_000_i64..100_000, 1 => -90_000_i64..0]
            .prop_map(Ask::Clock),
        1 => Just(Ask::Crash),
    ];
    vec(ask, 1..40)
}

/// The reference: what there is to know of an operation, and what may come of each step.
#[derive(Debug)]
struct Reference {
    now: Timestamp,
    operations: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    expires_at: Timestamp,
    signed: BTreeSet<usize>,
    ended: Option<OperationState>,
}

impl Reference {
    fn state(&self, of: usize) -> OperationState {
        let known = &self.operations[of];
        let weight: u32 = known.signed.iter().map(|who| SIGNERS[*who].1).sum();
        match known.ended {
            Some(ended) => ended,
            None if known.expires_at <= self.now => OperationState::Expired,
            None if weight >= THRESHOLD => OperationState::ThresholdMet,
            None => OperationState::Pending,
        }
    }

    /// The code of the answer that a step on an operation gets because it is over, if it is.
    fn over(&self, of: usize) -> Option<&'static str> {
        match self.state(of) {
            OperationState::Pending | OperationState::ThresholdMet => None,
            OperationState::Complete => Some("multisig_over"),
            OperationState::Expired => Some("multisig_expired"),
            OperationState::Cancelled => Some("multisig_cancelled"),
        }
    }

    fn add(&mut self, of: usize, who: usize, valid: bool) -> &'static str {
        if let Some(over) = self.over(of) {
            return over;
        }
        if self.operations[of].signed.contains(&who) {
            return "signature_exists";
        }
        if !valid {
            return "signature_invalid";
        }
        self.operations[of].signed.insert(who);
        "ok"
    }

    fn complete(&mut self, of: usize) -> &'static str {
        match self.state(of) {
            OperationState::Complete => "ok", // the same again
            OperationState::Pending => "threshold_not_met",
            OperationState::ThresholdMet => {
                self.operations[of].ended = Some(OperationState::Complete);
                "ok"
            }
            OperationState::Expired | OperationState::Cancelled => self.over(of).unwrap(),
        }
    }

    fn cancel(&mut self, of: usize) -> &'static str {
        let over = self.over(of);
        if over.is_none() {
            self.operations[of].ended = Some(OperationState::Cancelled);
        }
        over.unwrap_or("ok")
    }
}

/// The home, open, with two who call in turn.
struct World {
    home: Home,
    open: Option<(KeyManager, [Caller; 2])>,
    made: usize,
    turn: usize,
    /// What the reference has completed.
    complete: Vec<String>,
}

impl World {
    fn enter(home: &Home) -> (KeyManager, [Caller; 2]) {
        let kms = home.open().unwrap();
        let callers = ["alice", "bob"].map(|name| login(&kms, name, PASSPHRASE).unwrap());
        (kms, callers)
    }

    fn log_in_again(&mut self) {
        if let Some((kms, callers)) = &mut self.open {
            *callers = ["alice", "bob"].map(|name| login(kms, name, PASSPHRASE).unwrap());
        }
    }

    fn run(&mut self, asks: &[Ask]) -> Result<(), TestCaseError> {
        self.made += 1;
        let name = format!("key-{}", self.made);
        let (kms, callers) = self.open.as_ref().unwrap();
        let signers = SIGNERS.map(|(name, weight)| signer(name, weight, None)).into();
        let key = make_key(kms, &callers[0], (&name, THRESHOLD.into()), signers).unwrap();
        let mut reference = Reference { now: key.created_at, operations: Vec::new() };
        let mut ids: Vec<OperationId> = Vec::new();
        for ask in std::iter::once(&Ask::Begin).chain(asks) {
            self.turn += 1;
            self.step(*ask, &key, (&mut reference, &mut ids))?;
        }
        let (kms, callers) = self.open.as_ref().unwrap();
        for (of, id) in ids.iter().enumerate() {
            let view = kms.multisig(&callers[0]).get_operation(*id).unwrap();
            prop_assert_eq!(view.tally.state, reference.state(of), "operation {}", of);
            if reference.state(of) == OperationState::Complete {
                self.complete.push(id.to_string());
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        ask: Ask,
        key: &MultiSigKey,
        (reference, ids): (&mut Reference, &mut Vec<OperationId>),
    ) -> Result<(), TestCaseError> {
        if let Ask::Crash = ask {
            drop(self.open.take()); // nothing is closed in order
            self.open = Some(Self::enter(&self.home));
            return Ok(());
        }
        let (kms, callers) = self.open.as_ref().unwrap();
        let by = &callers[self.turn % 2];
        let multisig = kms.multisig(by);
        let at = |of: usize| of % ids.len();
        let add = |of: usize, who: &str, bytes: &[u8]| {
            code(multisig.add_signature(ids[of], &SignerRef::Label(label(who)), bytes))
        };
        let made = |of: usize, who: &str| {
            let request = multisig.get_operation(ids[of]).unwrap().sign_bytes;
            pair(who).sign(&request).as_ref().to_vec()
        };
        let (found, expected) = match ask {
            Ask::Begin => {
                let begun = multisig.initiate_operation(
                    &key.id.to_string(),
                    b"pay",
                    "a payment".parse().unwrap(),
                );
                let begun = match begun {
                    Ok(begun) => begun,
                    Err(error) => {
                        // Only the administrator begins operations here.
                        prop_assert_eq!(error.code(), "permission_denied");
                        prop_assert_eq!(self.turn % 2, 1);
                        if !ids.is_empty() {
                            return Ok(());
                        }
                        let admin = kms.multisig(&callers[0]);
                        let id = key.id.to_string();
                        admin.initiate_operation(&id, b"pay", "p".parse().unwrap()).unwrap()
                    }
                };
                let expires_at = reference.now.plus_seconds(TIMEOUT_S);
                prop_assert!(begun.expires_at >= expires_at);
                reference.now = begun.created_at;
                let expires_at = begun.expires_at;
                reference.operations.push(Known {
                    expires_at,
                    signed: BTreeSet::new(),
                    ended: None,
                });
                ids.push(begun.id);
                return Ok(());
            }
            Ask::Add(of, who) => {
                let (of, name) = (at(of), SIGNERS[who].0);
                (add(of, name, &made(of, name)), reference.add(of, who, true))
            }
            Ask::Replay(of, who, other) => {
                let (of, other, name) = (at(of), at(other), SIGNERS[who].0);
                (add(of, name, &made(other, name)), reference.add(of, who, of == other))
            }
            Ask::Foreign(of, who, other) => {
                let (of, name) = (at(of), SIGNERS[who].0);
                (add(of, name, &made(of, SIGNERS[other].0)), reference.add(of, who, who == other))
            }
            Ask::Garbage(of, who) => {
                let of = at(of);
                (add(of, SIGNERS[who].0, &[7; 128]), reference.add(of, who, false))
            }
            Ask::Stranger(of) => {
                let of = at(of);
                let expected = reference.over(of).unwrap_or("not_a_signer");
                (add(of, "stranger", &made(of, "stranger")), expected)
            }
            Ask::Complete(of) => {
                let of = at(of);
                let done = kms.multisig(&callers[0]).complete_operation(ids[of]);
                let expected = reference.complete(of);
                if let Ok(Completed::Approved { evidence, .. }) = &done {
                    let shown = verify_evidence(evidence).unwrap();
                    prop_assert!(shown.weight >= u64::from(THRESHOLD));
                    prop_assert!(shown.completed_at < reference.operations[of].expires_at);
                }
                (code(done), expected)
            }
            Ask::Race(of) => {
                let of = at(of);
                let race = || code(kms.multisig(&callers[0]).complete_operation(ids[of]));
                let (one, two) = std::thread::scope(|scope| {
                    let other = scope.spawn(race);
                    (race(), other.join().unwrap())
                });
                let expected = reference.complete(of);
                prop_assert_eq!(&one, &two);
                (one, expected)
            }
            Ask::Cancel(of) => {
                let of = at(of);
                let reason = "changed our minds".parse().unwrap();
                let cancelled = kms.multisig(&callers[0]).cancel_operation(ids[of], &reason);
                (code(cancelled), reference.cancel(of))
            }
            Ask::Clock(seconds) => {
                let clock = self.home.clock();
                clock.set(Timestamp::from_micros(clock.now().micros() + seconds * 1_000_000));
                reference.now = reference.now.max(clock.now()); // time never goes back here
                if seconds > 800 {
                    self.log_in_again(); // sessions have ended
                }
                return Ok(());
            }
            Ask::Crash => return Ok(()),
        };
        prop_assert_eq!(found, expected, "{:?}", ask);
        Ok(())
    }
}

fn code<T>(answer: Result<T, Error>) -> String {
    answer.map_or_else(|error| error.code().to_owned(), |_| "ok".to_owned())
}

#[test]
fn operations_do_what_the_reference_says() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    add_principal(&kms, &admin, ("bob", "signer"));
    kms.close().unwrap();
    let open = Some(World::enter(&home));
    let world = RefCell::new(World { home, open, made: 0, turn: 0, complete: Vec::new() });
    let mut runner =
        TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&asks(), |asks| world.borrow_mut().run(&asks));
    outcome.unwrap();
    // Every step stands in the log, in order.
    let world = world.into_inner();
    drop(world.open);
    let verified = world.home.verify_log();
    assert_eq!((verified.valid, verified.errors.len()), (true, 0));
    // Each was completed once, and nothing else was.
    let mut completed: Vec<String> = records(&world.home)
        .iter()
        .filter(|event| event.operation.as_deref() == Some("complete") && event.success)
        .filter_map(|event| event.detail_text("multisig").map(str::to_owned))
        .collect();
    let mut expected = world.complete;
    completed.sort_unstable();
    expected.sort_unstable();
    assert!(!expected.is_empty());
    assert_eq!(completed, expected);
}
