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
    let mut running = Running::start(home, &[&round.to_string()])?;
    let mut read = Vec::new();
    let deadline = match Moment::of(round) {
        Moment::AfterStart(after) => started + after,
        Moment::AtWork(after) => {
            // A worker that ends before it says anything is told of below.
            read.extend(running.lines.recv_timeout(Duration::from_secs(60)));
            Instant::now() + after
        }
    };
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        match running.lines.recv_timeout(left) {
            Ok(line) => read.push(line),
            Err(_) => break,
        }
    }
    let ended = running.child.try_wait().map_err(|error| error.to_string())?;
    read.extend(running.lines.try_iter());
    cut(&mut running.child)?;
    let said = running.kill()?;
    let before = known.count;
    read.iter().filter_map(|line| Line::parse(line)).for_each(|line| known.add(line));
    let mut losses = Vec::new();
    if said.contains("panicked at") || ended.is_some_and(|status| !status.success()) {
        losses.push(format!("the worker said: {}", said.trim()));
    }
    Ok((known.count - before, losses))
}

/// A worker at work.
pub(crate) struct Running {
    child: Child,
    /// What it says, line by line.
    pub(crate) lines: Receiver<String>,
    errors: JoinHandle<String>,
}

impl Running {
    pub(crate) fn start(home: &Path, words: &[&str]) -> Outcome<Self> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(this);
        command.arg("crash-worker").arg(home).args(words).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.map_err(|error| format!("the worker does not start: {error}"))?;
        let (lines, errors) = (lines_of(&mut child)?, text_of(&mut child)?);
        Ok(Self { child, lines, errors })
    }

    /// Whether it has ended by itself.
    pub(crate) fn try_wait(&mut self) -> Outcome<bool> {
        let ended = self.child.try_wait().map_err(|error| error.to_string())?;
        Ok(ended.is_some())
    }

    /// Ends it, if it has not ended, and returns what it wrote to its error output.
    pub(crate) fn kill(mut self) -> Outcome<String> {
        _ = self.child.kill();
        self.child.wait().map_err(|error| error.to_string())?;
        Ok(self.errors.join().unwrap_or_default())
    }
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
