//! A full disk under load: what is refused leaves all as it was, and once there is room again the
//! same process goes on by itself.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use kms::key::KeyRef;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::acknowledged::Line;
use crate::campaign::check;
use crate::campaign::power_cut::Disk;
use crate::campaign::power_cut::FileSystem;
use crate::campaign::round::CUTS_PER_HOME;
use crate::campaign::round::Running;
use crate::campaign::skipped;
use crate::campaign::worker;
use crate::shell::Outcome;

/// What the worker says each time it is refused for want of room.
const FULL: &str = "full";
/// Small, so that filling it is quick.
const DISK_MIB: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(plan: Plan) -> Outcome<Option<Tally>> {
    let rounds = if plan.size == Size::Ci { 10 } else { 500 };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = match Disk::new(FileSystem::Ext4, base.path(), DISK_MIB) {
        Ok(disk) => disk,
        Err(reason) => {
            return skipped(&format!("a full disk needs root and loop devices: {reason}"));
        }
    };
    let mut tally = Tally::default();
    let mut known = Acknowledged::default();
    let mut home = disk.mounted.join("home");
    for round in plan.from..rounds {
        if round % CUTS_PER_HOME == 0 || round == plan.from {
            _ = std::fs::remove_dir_all(&home);
            home = disk.mounted.join(format!("home-{round}"));
            known = Acknowledged::default();
            worker::init(&home)?;
        }
        let before = known.count;
        let mut losses = fill_under(&disk, &home, round, &mut known)?;
        losses.extend(check::check(&home, &known)?);
        tally.add(&format!("disk-full {round}"), known.count - before, losses);
    }
    Ok(Some(tally))
}

/// Lets a worker meet a full disk, and gives it room again.
fn fill_under(
    disk: &Disk,
    home: &Path,
    round: usize,
    known: &mut Acknowledged,
) -> Outcome<Vec<String>> {
    let mut running = Running::start(home, &["full", &round.to_string()])?;
    let mut losses = Vec::new();
    let mut read = Vec::new();
    let ballast = disk.mounted.join("ballast");
    if !wait_for(&running.lines, &mut read, |line| line.starts_with("signed ")) {
        losses.push("the worker did not begin".to_owned());
    }
    fill(&ballast)?;
    if !wait_for(&running.lines, &mut read, |line| line == FULL) {
        losses.push("nothing was ever refused".to_owned());
    }
    std::thread::sleep(Duration::from_millis(round as u64 * 37 % 300));
    let removed =
        std::fs::remove_file(&ballast).and_then(|()| File::open(&disk.mounted)?.sync_all());
    removed.map_err(|error| format!("no room was made: {error}"))?;
    read.extend(running.lines.try_iter());
    for kind in ["key ", "signed "] {
        if !wait_for(&running.lines, &mut read, |line| line.starts_with(kind)) {
            losses.push(format!("with room again, there was no further `{kind}`"));
        }
    }
    let ended = running.try_wait()?;
    read.extend(running.lines.try_iter());
    let said = running.kill()?;
    if said.contains("panicked at") || ended {
        losses.push(format!("the worker said: {}", said.trim()));
    }
    read.iter().filter_map(|line| Line::parse(line)).for_each(|line| known.add(line));
    Ok(losses)
}

/// Reads on until a line is as wanted; `false` if none comes.
fn wait_for(
    lines: &Receiver<String>,
    read: &mut Vec<String>,
    wanted: impl Fn(&str) -> bool,
) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        let Ok(line) = lines.recv_timeout(left) else { return false };
        let found = wanted(&line);
        read.push(line);
        if found {
            return true;
        }
    }
    false
}

/// Writes until nothing more finds room.
fn fill(ballast: &Path) -> Outcome {
    let mut file = File::create(ballast).map_err(|error| error.to_string())?;
    let chunk = vec![0xff; 1 << 20];
    for bytes in [1 << 20, 4096, 512] {
        let chunk = chunk.get(..bytes).unwrap_or_default();
        while file.write_all(chunk).is_ok() {}
    }
    Ok(())
}

/// `crash-worker HOME full ROUND`: works until it is stopped, whatever is refused for want of room.
pub(crate) fn work(home: &Path, round: &str) -> Result<(), Error> {
    let (kms, caller) = worker::open(home)?;
    let signer = format!("signer-{round}");
    worker::say(&worker::create(&kms, &caller, &signer)?);
    let signer = worker::key(&signer);
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| {
            for turn in 0_u64.. {
                let message = turn.to_le_bytes();
                patiently(kms.sign(&caller, &signer, &message, Scheme::default()).map(|signed| {
                    worker::say(&Line::Signed(worker::digest_of(&signed.signature.bytes)));
                }))?;
            }
            Ok(())
        });
        for turn in 0_u32.. {
            if signing.is_finished() {
                break;
            }
            patiently(life(&kms, &caller, &format!("k{round}-{turn}")))?;
        }
        signing.join().unwrap_or(Ok(()))
    })
}

/// Takes "no room" for an answer, and nothing else.
fn patiently(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.code() == "no_space" => {
            println!("{FULL}");
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        }
        // One thread saw the other's end.
        Err(error) => {
            eprintln!("worker: {error} ({})", error.code());
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

fn life(kms: &KeyManager, caller: &Caller, name: &str) -> Result<(), Error> {
    let (reason, lifecycle) = (worker::reason(), kms.lifecycle(caller));
    worker::say(&worker::create(kms, caller, name)?);
    let key = worker::key(name);
    let successor = kms.rotate_key(caller, &key, &reason)?;
    worker::say(&worker::line_of(&successor));
    let successor = KeyRef::from(successor.id);
    worker::say(&worker::line_of(&lifecycle.suspend_key(&successor, &reason)?));
    worker::say(&worker::line_of(&lifecycle.mark_compromised(&successor, &reason)?));
    worker::say(&worker::line_of(&lifecycle.destroy_now(&successor, &reason)?));
    Ok(())
}
