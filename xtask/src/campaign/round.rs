//! One round: a worker works on a home until a moment of its own, and is cut off.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::acknowledged::Line;
use crate::shell::Outcome;

/// A home is used for so many cuts before a fresh one, so that checking stays quick.
pub(crate) const CUTS_PER_HOME: usize = 25;

/// When a round is cut off. Moments are spread evenly, at steps that share no factor with the work.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the worker was started: while it opens, recovers and logs in.
    AfterStart(Duration),
    /// So long after its first acknowledgement: at work.
    AtWork(Duration),
}

impl Moment {
    fn of(round: usize) -> Self {
        let spread = |over_us: usize| Duration::from_micros((round * 7_919 % over_us) as u64);
        match round % 8 {
            0 | 4 => Self::AfterStart(spread(300_000)),
            2 | 6 => Self::AtWork(spread(800_000)), // people come and go, which takes longer
            7 => Self::AtWork(spread(1_500_000)),   // beyond a timed checkpoint, or into a close
            _ => Self::AtWork(spread(80_000)),
        }
    }
}

/// Lets a worker work on `home` until a moment that depends on `round`, ends it with `cut`, and
/// adds to `known` what had been read by then. Returns how many lines that were, and what the
/// worker did that it should not.
pub(crate) fn cut_short(
    home: &Path,
    round: usize,
    known: &mut Acknowledged,
    cut: impl FnOnce(&mut Child) -> Outcome,
) -> Outcome<(usize, Vec<String>)> {
    let started = Instant::now();
    let mut child = start(home, round)?;
    let incoming = lines_of(&mut child)?;
    let errors = text_of(&mut child)?;
    let mut read = Vec::new();
    let deadline = match Moment::of(round) {
        Moment::AfterStart(after) => started + after,
        Moment::AtWork(after) => {
            // A worker that ends before it says anything is told of below.
            read.extend(incoming.recv_timeout(Duration::from_secs(60)));
            Instant::now() + after
        }
    };
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        match incoming.recv_timeout(left) {
            Ok(line) => read.push(line),
            Err(_) => break,
        }
    }
    let ended = child.try_wait().map_err(|error| error.to_string())?;
    read.extend(incoming.try_iter());
    cut(&mut child)?;
    _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    let said = errors.join().unwrap_or_default();
    let before = known.count;
    read.iter().filter_map(|line| Line::parse(line)).for_each(|line| known.add(line));
    let mut losses = Vec::new();
    if said.contains("panicked at") || ended.is_some_and(|status| !status.success()) {
        losses.push(format!("the worker said: {}", said.trim()));
    }
    Ok((known.count - before, losses))
}

fn start(home: &Path, round: usize) -> Outcome<Child> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(this)
        .arg("crash-worker")
        .arg(home)
        .arg(round.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the worker does not start: {error}"))
}

fn lines_of(child: &mut Child) -> Outcome<Receiver<String>> {
    let stdout = child.stdout.take().ok_or("the worker has no output")?;
    let (lines, incoming) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    Ok(incoming)
}

fn text_of(child: &mut Child) -> Outcome<JoinHandle<String>> {
    let mut stderr = child.stderr.take().ok_or("the worker has no error output")?;
    Ok(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}
