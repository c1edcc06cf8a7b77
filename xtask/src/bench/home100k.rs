//! Opening a home with 100,000 keys, listing them, and the memory they take.
//!
//! There is no opponent of the same kind; the figures stand beside the limits that were set.

use std::time::Instant;

use kms::key::Algorithm;
use kms::manager::KeyManager;
use kms::manager::Options;

use super::Row;
use super::median;
use crate::home;
use crate::shell::Outcome;

const KEYS: usize = 100_000;
const ROUNDS: usize = 5;
/// The limit for opening, in milliseconds.
const OPEN_MS: f64 = 2_000.0;
/// The limit for the memory of one key, in bytes.
const BYTES_PER_KEY: f64 = 1_024.0;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    let directory = in_memory().map_err(|error| error.to_string())?;
    let path = directory.path().join("home");
    home::init(&path)?;
    fill(&path)?;
    let (mut opened, mut listed, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = resident_bytes()?;
        let started = Instant::now();
        let kms = KeyManager::open(Options::new(&path)).map_err(|error| error.to_string())?;
        opened.push(started.elapsed().as_secs_f64() * 1000.0);
        memory.push((resident_bytes()? - before).max(0.0) / KEYS as f64);
        let caller = home::login(&kms).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let keys = kms.list_keys(&caller).map_err(|error| error.to_string())?;
        listed.push(started.elapsed().as_secs_f64() * 1000.0);
        if keys.len() < KEYS {
            return Err(format!("{} keys are listed, not {KEYS}", keys.len()));
        }
        drop(keys);
        kms.close().map_err(|error| error.to_string())?;
    }
    let row = |opponent, ours: Vec<f64>, theirs, unit| Row {
        bench: "home-100k",
        algorithm: String::new(),
        opponent,
        concurrency: 1,
        ours: median(ours),
        theirs,
        unit,
    };
    // The first opening grows the heap; later ones find it grown and would look too good.
    memory.truncate(1);
    print(row("the limit: open", opened, OPEN_MS, "ms"));
    print(row("the limit: list", listed, OPEN_MS, "ms"));
    print(row("the limit: memory", memory, BYTES_PER_KEY, "bytes per key"));
    Ok(())
}

/// Real keys, each with its file, made by several callers at once.
fn fill(path: &std::path::Path) -> Outcome {
    let (kms, caller) = home::open(path).map_err(|error| error.to_string())?;
    let callers = 16;
    std::thread::scope(|scope| {
        for thread in 0..callers {
            let (kms, caller) = (&kms, &caller);
            scope.spawn(move || {
                for turn in 0..KEYS / callers {
                    let label = format!("key-{thread}-{turn}").parse().expect("a label");
                    let new = home::new_key(Algorithm::Ed25519);
                    let made = kms.generate_key(caller, &label, new);
                    assert!(made.is_ok(), "{made:?}");
                }
            });
        }
    });
    kms.close().map_err(|error| error.to_string())
}

/// In memory where there is such a place: making the home is not what is measured.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// The memory of this process that is in RAM, as the kernel counts it.
fn resident_bytes() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse().ok());
    kib.map(|kib: f64| kib * 1024.0).ok_or_else(|| "the kernel tells no VmRSS".to_owned())
}
