//! Stretching a passphrase, against the C reference implementation's program.

use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use kms::access::PassphraseCredential;
use kms::access::Stretcher;
use kms_secret::SecretBytes;

use super::Row;
use super::median;
use crate::home::PASSPHRASE;
use crate::shell::Outcome;

const ROUNDS: usize = 11;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    let stretcher = Stretcher::new();
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        PassphraseCredential::create(&stretcher, &passphrase).map_err(|error| error.to_string())?;
        ours.push(started.elapsed().as_secs_f64() * 1000.0);
        let started = Instant::now();
        reference()?;
        theirs.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    print(Row {
        bench: "argon2",
        algorithm: "argon2id".to_owned(),
        opponent: "argon2 (C reference)",
        concurrency: 1,
        ours: median(ours),
        theirs: median(theirs),
        unit: "ms",
    });
    Ok(())
}

/// `argon2 SALT -id -t 3 -k 65536 -p 4`: the same cost as ours.
fn reference() -> Outcome {
    let mut child = Command::new("argon2")
        .args(["0123456789abcdef", "-id", "-t", "3", "-k", "65536", "-p", "4", "-l", "64", "-r"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("argon2: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("argon2 has no input")?;
    stdin.write_all(PASSPHRASE.as_bytes()).map_err(|error| error.to_string())?;
    drop(stdin);
    let status = child.wait().map_err(|error| error.to_string())?;
    status.success().then_some(()).ok_or_else(|| format!("argon2: {status}"))
}
