//! `kill -9` of a daemon under load: every signature that was answered is in the log, the chain
//! verifies, and the daemon started again is ready within a second.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::audit::AuditFiles;
use kms::audit::EventType;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::manager::KeyManager;
use kms::manager::Options;
use kms::time::Timestamp;
use kms_api::Bytes;
use kms_api::Encoding;
use kms_api::Secret;
use kms_api::Sign;
use kms_secret::SecretBytes;
use kms_server::Address;
use kms_server::Client;
use kms_server::Server;
use kms_server::Settings;
use kms_server::Trust;

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::home;
use crate::shell::Outcome;

const CALLERS: usize = 8;
/// A daemon that is started again is ready within this time.
const READY: Duration = Duration::from_secs(1);
/// A home is used for so many kills.
const KILLS_PER_HOME: usize = 50;

pub(crate) fn run(plan: Plan) -> Outcome<Tally> {
    let kills = if plan.size == Size::Ci { 20 } else { 200 };
    let base = tempfile::tempdir().map_err(text)?;
    let mut tally = Tally::default();
    let (mut dir, mut known) = (base.path().join("none"), BTreeSet::new());
    let mut starts = Vec::new();
    for round in plan.from..kills {
        if round % KILLS_PER_HOME == 0 || round == plan.from {
            _ = std::fs::remove_dir_all(&dir);
            dir = base.path().join(format!("home-{round}"));
            known = BTreeSet::new();
            prepare(&dir)?;
        }
        let (answered, ready) = cut_short(&dir, round)?;
        let count = answered.len();
        known.extend(answered);
        starts.push(ready);
        tally.add(&format!("daemon kill {round}"), count, check(&dir, &known)?);
    }
    starts.sort();
    let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
    let slowest = starts.last().copied().unwrap_or_default();
    let (median_ms, slowest_ms) = (median.as_millis(), slowest.as_millis());
    eprintln!("daemon-kill-9: ready again after {median_ms} ms (median), {slowest_ms} ms at most");
    // In CI everything runs at once, and speed proves nothing.
    if plan.size == Size::Full && median > READY {
        tally.losses.push(format!("it takes {median_ms} ms to be ready again"));
    }
    Ok(tally)
}

fn prepare(home: &Path) -> Outcome {
    home::init(home)?;
    let (kms, caller) = home::open(home).map_err(text)?;
    let label = "bench".parse().map_err(text)?;
    kms.generate_key(&caller, &label, home::new_key(Algorithm::Ed25519)).map_err(text)?;
    kms.close().map_err(text)
}

/// Starts the daemon, has it sign for several callers, and ends it. Returns the digests of the
/// signatures that were answered, and how long it took to be ready.
fn cut_short(home: &Path, round: usize) -> Outcome<(Vec<String>, Duration)> {
    let started = Instant::now();
    let mut daemon = Command::new(std::env::current_exe().map_err(text)?)
        .args(["crash-worker", &home.display().to_string(), "daemon"])
        .stdin(Stdio::null())
        .spawn()
        .map_err(text)?;
    let outcome = load(home, (&mut daemon, started), round);
    _ = daemon.kill();
    _ = daemon.wait();
    outcome
}

fn load(
    home: &Path,
    (daemon, started): (&mut Child, Instant),
    round: usize,
) -> Outcome<(Vec<String>, Duration)> {
    let mut first = connect(home, daemon)?;
    _ = first.status().map_err(text)?;
    let ready = started.elapsed();
    let login = kms_api::Login {
        principal: None,
        passphrase: Some(Secret::copy_from(home::PASSPHRASE.as_bytes())),
        mfa_code: None,
        any_agent: false,
    };
    let session = first.login(&login).map_err(text)?.session.0;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                let session = SecretBytes::copy_from(session.expose());
                let stop = &stop;
                scope.spawn(move || call(home, (session, round * CALLERS + n), stop))
            })
            .collect();
        std::thread::sleep(Duration::from_micros(20_000 + (round * 7_919 % 300_000) as u64));
        daemon.kill().map_err(text)?;
        stop.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for caller in callers {
            answered.extend(caller.join().map_err(|_| "a caller panicked")?);
        }
        Ok((answered, ready))
    })
}

/// Signs until the daemon is gone; returns what was answered.
fn call(home: &Path, (session, caller): (SecretBytes, usize), stop: &AtomicBool) -> Vec<String> {
    let mut answered = Vec::new();
    let Ok(mut client) = Client::connect(&address(home), &Trust::default(), "campaign") else {
        return answered;
    };
    client.with_session(session);
    let Ok(key) = "bench".parse::<KeyRef>() else { return answered };
    let mut what = Sign {
        message: Bytes::default(),
        empty: false,
        encoding: Encoding::Base64,
        scheme: kms_api::SchemeView::default(),
    };
    while !stop.load(Ordering::Relaxed) {
        // A message of its own each time, so that each signature is another.
        what.message = Bytes(format!("{caller} {}", answered.len()).into_bytes());
        let Ok(signed) = client.ask(&key, &what) else { break };
        let bytes = STANDARD.decode(signed.signature).unwrap_or_default();
        answered.push(hex::encode(digest::digest(&digest::SHA256, &bytes)));
    }
    answered
}

fn connect(home: &Path, daemon: &mut Child) -> Outcome<Client> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(client) = Client::connect(&address(home), &Trust::default(), "campaign") {
            return Ok(client);
        }
        if daemon.try_wait().map_err(text)?.is_some() || Instant::now() > until {
            return Err("the daemon did not start".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn address(home: &Path) -> Address {
    Address::Unix(home.join("kms.sock"))
}

/// What was answered and is not in the log; damage.
fn check(home: &Path, known: &BTreeSet<String>) -> Outcome<Vec<String>> {
    let audit = home.join("audit");
    let files = AuditFiles::at(&audit.join("audit.log")).map_err(text)?;
    KeyManager::open(Options::new(home)).and_then(KeyManager::close).map_err(text)?;
    let events = files.events(Timestamp::EPOCH, Some(EventType::KeySigned)).map_err(text)?;
    let logged: BTreeSet<_> =
        events.iter().filter_map(|event| event.detail_text("signature_sha256")).collect();
    let mut losses: Vec<String> = known
        .iter()
        .filter(|digest| !logged.contains(digest.as_str()))
        .map(|digest| format!("signature {digest} is not in the log"))
        .collect();
    let verified = verify_files(&audit, &VerifyOptions::default()).map_err(text)?;
    losses.extend(verified.errors.iter().map(|e| format!("{}:{}: {}", e.file, e.line, e.detail)));
    Ok(losses)
}

/// The daemon, until it is killed.
pub(crate) fn serve(home: &Path) -> Outcome {
    let kms = KeyManager::open(Options::new(home)).map_err(text)?;
    let unix = Some(home.join("kms.sock"));
    let server = Server::listen(kms, Settings { unix, ..Settings::default() }).map_err(text)?;
    server.run().map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
