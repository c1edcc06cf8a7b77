//! `kill -9` under load: the process ends between any two instructions, the disk keeps all writes.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use super::Size;
use super::Tally;
use super::acknowledged::Acknowledged;
use super::acknowledged::Line;
use super::check;
use super::worker;
use crate::shell::Outcome;

/// A home is used for so many cuts before a fresh one, so that checking stays quick.
const CUTS_PER_HOME: usize = 25;

pub(crate) fn run(size: Size) -> Outcome<Option<Tally>> {
    let kills = if size == Size::Ci { 100 } else { 2_000 };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut tally = Tally::default();
    let mut home = base.path().join("home-0");
    let mut known = Acknowledged::default();
    for round in 0..kills {
        if round % CUTS_PER_HOME == 0 {
            home = base.path().join(format!("home-{round}"));
            known = Acknowledged::default();
            worker::init(&home)?;
        }
        let cut = cut_short(&home, round, &mut known, |child| {
            child.kill().map_err(|error| error.to_string())
        })?;
        tally.points += 1;
        tally.acknowledged += cut;
        tally.losses.extend(check::check(&home, &known)?);
    }
    Ok(Some(tally))
}

/// Lets a worker work on `home` until a moment that depends on `round`, ends it with `cut`, and
/// adds to `known` what had been read by then. Returns how many lines that were.
pub(crate) fn cut_short(
    home: &Path,
    round: usize,
    known: &mut Acknowledged,
    cut: impl FnOnce(&mut Child) -> Outcome,
) -> Outcome<usize> {
    let mut child = start(home, round)?;
    let stdout = child.stdout.take().ok_or("the worker has no output")?;
    let (lines, incoming) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let first = incoming
        .recv_timeout(Duration::from_secs(60))
        .map_err(|_| format!("round {round}: the worker on {} did not begin", home.display()))?;
    // Moments are spread over the first 60 ms of work, at steps that share no factor with its own.
    let deadline = Instant::now() + Duration::from_micros((round as u64 * 7_919) % 60_000);
    let mut read: Vec<String> = vec![first];
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        read.extend(incoming.recv_timeout(left));
    }
    read.extend(incoming.try_iter());
    cut(&mut child)?;
    _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    let before = known.count;
    read.iter().filter_map(|line| Line::parse(line)).for_each(|line| known.add(line));
    Ok(known.count - before)
}

fn start(home: &Path, round: usize) -> Outcome<Child> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(this)
        .arg("crash-worker")
        .arg(home)
        .arg(round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the worker does not start: {error}"))
}
