//! What a page, a signature and an expiry cost with 10,000 pending operations, against the same with
//! 100. The limit for each is 1.5 times as much: a ratio of 0.667.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use kms::key::Algorithm;
use kms::key::PublicKey;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;
use kms::manager::Options;
use kms::multisig::AuthorizedSigner;
use kms::multisig::Form;
use kms::multisig::MultiSigConfig;
use kms::multisig::NewMultiSigKey;
use kms::multisig::OperationId;
use kms::multisig::SignerRef;
use kms::multisig::Weight;
use kms::time::Clock;
use kms::time::ManualClock;
use kms::time::SystemClock;

use super::Row;
use super::median;
use crate::home;
use crate::shell::Outcome;

const FEW: usize = 100;
const MANY: usize = 10_000;
const ROUNDS: usize = 101;
/// The key whose operations wait for long.
const LONG: &str = "long";
/// The one of which an operation expires in each round.
const SHORT: &str = "short";

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    let few = Pending::fill(FEW)?;
    let many = Pending::fill(MANY)?;
    let mut figures: [[Vec<f64>; 2]; 3] = Default::default();
    for round in 0..ROUNDS {
        for (side, pending) in [&many, &few].into_iter().enumerate() {
            let measured = pending.round(round).map_err(|error| error.to_string())?;
            for (figures, microseconds) in figures.iter_mut().zip(measured) {
                if let Some(figures) = figures.get_mut(side) {
                    figures.push(microseconds);
                }
            }
        }
    }
    for (what, [many, few]) in ["page of 100", "signature", "expiry"].into_iter().zip(figures) {
        print(Row {
            bench: "multisig-pending",
            algorithm: what.to_owned(),
            opponent: "the same with 100",
            concurrency: 1,
            ours: median(many),
            theirs: median(few),
            unit: "us",
        });
    }
    Ok(())
}

/// A home in memory with so many pending operations.
struct Pending {
    kms: KeyManager,
    caller: Caller,
    clock: Arc<ManualClock>,
    operations: Vec<OperationId>,
    _directory: tempfile::TempDir,
}

impl Pending {
    fn fill(count: usize) -> Outcome<Self> {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.map_err(|error| error.to_string())?;
        let path = directory.path().join("home");
        home::init(&path)?;
        Self::filled(&path, count, directory).map_err(|error| error.to_string())
    }

    fn filled(path: &Path, count: usize, directory: tempfile::TempDir) -> Result<Self, Error> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let kms = KeyManager::open(Options {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Options::new(path)
        })?;
        let caller = home::login(&kms)?;
        make_key(&kms, &caller, LONG, 366 * 86_400)?;
        make_key(&kms, &caller, SHORT, 60)?;
        let mut operations = Vec::with_capacity(count);
        for number in 0..count {
            operations.push(begin(&kms, &caller, LONG, number)?);
        }
        Ok(Self { kms, caller, clock, operations, _directory: directory })
    }

    /// Microseconds for a page, for taking in a signature, and for an operation's expiry.
    fn round(&self, round: usize) -> Result<[f64; 3], Error> {
        let multisig = self.kms.multisig(&self.caller);
        let started = Instant::now();
        let page = multisig.list_operations(true, "", 100)?;
        let listed = microseconds(started);
        assert_eq!(page.operations.len(), 100);

        // Another operation each time, in both homes with as many signatures as the round asks for.
        let (of, who) = (round % FEW, round / FEW);
        let operation = *self.operations.get(of).expect("at least a hundred are there");
        let request = multisig.get_operation(operation)?.sign_bytes;
        let signature = pair(who).sign(&request);
        let signer = SignerRef::Key(public(who));
        let started = Instant::now();
        let _view = multisig.add_signature(operation, &signer, signature.as_ref())?;
        let signed = microseconds(started);

        begin(&self.kms, &self.caller, SHORT, round)?;
        self.clock.advance_seconds(61);
        let started = Instant::now();
        let _page = multisig.list_operations(true, "", 1)?;
        Ok([listed, signed, microseconds(started)])
    }
}

fn microseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1_000_000.0
}

fn begin(
    kms: &KeyManager,
    caller: &Caller,
    key: &str,
    number: usize,
) -> Result<OperationId, Error> {
    let description = "a payment".parse().expect("a plain text");
    let message = number.to_be_bytes();
    Ok(kms.multisig(caller).initiate_operation(key, &message, description)?.id)
}

fn make_key(kms: &KeyManager, caller: &Caller, name: &str, timeout_s: u64) -> Result<(), Error> {
    let signer = |who: usize| AuthorizedSigner {
        label: format!("signer-{who}").parse().expect("a label"),
        public_key: public(who),
        weight: Weight::ONE,
        expires_at: None,
        order: None,
        owner: None,
    };
    let config = MultiSigConfig {
        threshold: 3,
        total_signers: 5,
        timeout_s,
        allow_partial_sig: false,
        require_ordered: false,
    };
    kms.multisig(caller).create_multisig_key(NewMultiSigKey {
        label: name.parse().expect("a label"),
        description: "a benchmark".parse().expect("a plain text"),
        form: Form::Approval,
        config,
        signers: (0..5).map(signer).collect(),
    })?;
    Ok(())
}

fn pair(who: usize) -> Ed25519KeyPair {
    let seed = [u8::try_from(who + 1).expect("five signers"); 32];
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed")
}

fn public(who: usize) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, pair(who).public_key().as_ref()).expect("it is one")
}
