//! Signing through the whole way, against *bare sign-and-append*: the fastest library for that
//! algorithm, a record of the same size, the same group commit on the same disk, and nothing else.
//! Beside it, without a bar, against the bare cryptographic call.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature as lc;
use k256::ecdsa::signature::Signer;
use kms::audit::group::Fill;
use kms::audit::group::GroupCommit;
use kms::audit::group::Need;
use kms::audit::group::Receipt;
use kms::audit::group::Sink;
use kms::durable::AppendFile;
use kms::durable::Disk;
use kms::durable::DiskError;
use kms::durable::OsDisk;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Scheme;

use super::Row;
use super::median;
use crate::home;
use crate::shell::Outcome;

const ROUNDS: usize = 5;
const CALLERS: [usize; 3] = [1, 8, 64];
/// The length of a message, in bytes.
const MESSAGE: usize = 200;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    for algorithm in Algorithm::ALL {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().join("home");
        home::init(&path)?;
        let (kms, caller) = home::open(&path).map_err(|error| error.to_string())?;
        let new = home::new_key(algorithm);
        let label = "bench".parse().map_err(|error| format!("{error}"))?;
        kms.generate_key(&caller, &label, new).map_err(|error| error.to_string())?;
        let key = KeyRef::Label(label);
        let message = [7; MESSAGE];
        let ours = || {
            let signed = kms.sign(&caller, &key, &message, Scheme::default());
            assert!(signed.is_ok(), "{signed:?}");
        };
        ours();
        let line = length_of_last_line(&path)?;
        let bare = Bare::new(algorithm, directory.path(), line)?;
        let theirs = || bare.sign_and_append(&message);
        let call = || {
            std::hint::black_box(bare.key.sign(&message));
        };
        for callers in CALLERS {
            let mut figures = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                figures[0].push(per_second(callers, &ours));
                figures[1].push(per_second(callers, &theirs));
                figures[2].push(per_second(callers, &call));
            }
            let [ours, theirs, call] = figures.map(median);
            let row = |opponent, theirs| Row {
                bench: "sign-inproc",
                algorithm: algorithm.to_string(),
                opponent,
                concurrency: callers,
                ours,
                theirs,
                unit: "op/s",
            };
            print(row("bare sign-and-append", theirs));
            print(row("bare cryptographic call", call));
        }
        kms.close().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// How often `work` is done by so many threads together in a second.
pub(super) fn per_second(callers: usize, work: &(dyn Fn() + Sync)) -> f64 {
    let done = AtomicU64::new(0);
    let started = Instant::now();
    let until = started + Duration::from_millis(700);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while Instant::now() < until {
                    work();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

pub(super) fn length_of_last_line(home: &Path) -> Outcome<usize> {
    let path = home.join("audit/audit-000001.log");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.lines().last().map(|line| line.len() + 1).ok_or_else(|| "the log is empty".to_owned())
}

/// The opponent.
pub(super) struct Bare {
    key: BareKey,
    line: Vec<u8>,
    log: GroupCommit<(), BareFile>,
}

impl Bare {
    pub(super) fn new(algorithm: Algorithm, directory: &Path, line: usize) -> Outcome<Self> {
        let file = OsDisk.append(&directory.join("bare.log")).map_err(|error| error.to_string())?;
        let mut bytes = vec![b'x'; line];
        if let Some(last) = bytes.last_mut() {
            *last = b'\n';
        }
        let log = GroupCommit::start((), BareFile(file)).map_err(|error| error.to_string())?;
        Ok(Self { key: BareKey::new(algorithm)?, line: bytes, log })
    }

    /// Signs and appends; the signature may leave when the receipt says so.
    pub(super) fn sign_and_submit(&self, message: &[u8]) -> (Vec<u8>, Receipt) {
        let signature = self.key.sign(message);
        let need = Need { bytes: self.line.len(), urgent: false };
        let appended = self.log.submit(need, |(), out| out.extend_from_slice(&self.line));
        let (_, receipt) = appended.expect("the benchmark's disk has room");
        (signature, receipt)
    }

    pub(super) fn sign_and_append(&self, message: &[u8]) {
        std::hint::black_box(self.key.sign(message));
        let need = Need { bytes: self.line.len(), urgent: false };
        let appended = self.log.submit(need, |(), out| out.extend_from_slice(&self.line));
        let (_, receipt) = appended.expect("the benchmark's disk has room");
        receipt.wait().expect("the benchmark's disk works");
    }
}

#[derive(Debug)]
pub(super) struct BareFile(pub(super) Box<dyn AppendFile>);

impl Sink for BareFile {
    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.0.reserve(bytes)
    }

    fn write(&mut self, lines: &[u8], _: Fill) -> Result<usize, DiskError> {
        self.0.write(lines)?;
        self.0.sync()?;
        Ok(lines.len())
    }

    fn advance(&mut self, _: u64) -> Result<bool, DiskError> {
        Ok(false)
    }
}

/// The fastest library for each algorithm.
enum BareKey {
    Ed25519(lc::Ed25519KeyPair),
    Secp256k1(k256::ecdsa::SigningKey),
    P256(lc::EcdsaKeyPair, SystemRandom),
    Rsa(lc::RsaKeyPair, SystemRandom),
}

impl BareKey {
    fn new(algorithm: Algorithm) -> Outcome<Self> {
        let fault = |error: &dyn std::fmt::Debug| format!("{algorithm}: {error:?}");
        let random = SystemRandom::new();
        let rsa = |size| {
            lc::RsaKeyPair::generate(size)
                .map(|pair| Self::Rsa(pair, SystemRandom::new()))
                .map_err(|error| fault(&error))
        };
        match algorithm {
            Algorithm::Ed25519 => {
                lc::Ed25519KeyPair::generate().map(Self::Ed25519).map_err(|error| fault(&error))
            }
            Algorithm::Secp256k1 => k256::ecdsa::SigningKey::from_slice(&[0x42; 32])
                .map(Self::Secp256k1)
                .map_err(|error| fault(&error)),
            Algorithm::P256 => lc::EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(|pair| Self::P256(pair, random))
                .map_err(|error| fault(&error)),
            Algorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            Algorithm::Rsa4096 => rsa(KeySize::Rsa4096),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::P256(pair, random) => pair
                .sign(random, message)
                .map_or(Vec::new(), |signature| signature.as_ref().to_vec()),
            Self::Rsa(pair, random) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                _ = pair.sign(&lc::RSA_PSS_SHA256, random, message, &mut signature);
                signature
            }
        }
    }
}
