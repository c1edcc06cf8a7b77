//! Verifying the files of a log, against `openssl dgst -sha256` reading the same files.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Scheme;

use super::Row;
use super::median;
use crate::home;
use crate::shell::Outcome;

const ROUNDS: usize = 7;
const RECORDS: usize = 400_000;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("home");
    home::init(&path)?;
    fill(&path)?;
    let log = path.join("audit");
    let files = segments(&log)?;
    let bytes: u64 = files.iter().filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let verification =
            verify_files(&log, &VerifyOptions::default()).map_err(|error| error.to_string())?;
        ours.push(mib_per_second(bytes, started));
        if !verification.valid {
            return Err(format!("the log is not valid: {:?}", verification.errors));
        }
        let started = Instant::now();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256"]).args(&files).stdout(Stdio::null());
        let status = openssl.status().map_err(|error| format!("openssl: {error}"))?;
        if !status.success() {
            return Err(format!("openssl: {status}"));
        }
        theirs.push(mib_per_second(bytes, started));
    }
    print(Row {
        bench: "audit-verify",
        algorithm: "sha256".to_owned(),
        opponent: "openssl dgst -sha256",
        concurrency: 1,
        ours: median(ours),
        theirs: median(theirs),
        unit: "MiB/s",
    });
    Ok(())
}

/// Real records of real signatures, made by enough callers at once to be quick.
fn fill(path: &Path) -> Outcome {
    let (kms, caller) = home::open(path).map_err(|error| error.to_string())?;
    let label = "bench".parse().map_err(|error| format!("{error}"))?;
    let new = home::new_key(Algorithm::Ed25519);
    kms.generate_key(&caller, &label, new).map_err(|error| error.to_string())?;
    let key = KeyRef::Label(label);
    let callers = 128;
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                for turn in 0..RECORDS / callers {
                    let message = turn.to_le_bytes();
                    let signed = kms.sign(&caller, &key, &message, Scheme::default());
                    assert!(signed.is_ok(), "{signed:?}");
                }
            });
        }
    });
    kms.close().map_err(|error| error.to_string())
}

fn segments(log: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(log).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect())
}

fn mib_per_second(bytes: u64, started: Instant) -> f64 {
    bytes as f64 / f64::from(1 << 20) / started.elapsed().as_secs_f64()
}
