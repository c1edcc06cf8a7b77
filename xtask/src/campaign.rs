//! Crash campaigns: work is cut off at any instant, and whatever was acknowledged must be there.
//!
//! A worker process prints a line for each thing it was told is done; the campaign stops it
//! (`kill -9`), cuts the power of its file system, or fails one system call after another; then the
//! home is opened again and held against the lines that had been read.

mod acknowledged;
mod check;
mod daemon;
mod disk_full;
mod hsm_faults;
mod hsm_sessions;
mod kill;
mod power_cut;
mod round;
mod signer;
mod syscalls;
mod worker;

use std::process::ExitCode;
use std::time::Instant;

use crate::shell::Outcome;

/// How much to do: `Ci` is sized for every change, `Full` for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Ci,
    Full,
}

/// What to do of a campaign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) size: Size,
    /// The first round; those before are left out.
    pub(crate) from: usize,
}

/// What one campaign did and found.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Cuts, kills or failed system calls.
    pub(crate) points: usize,
    /// Acknowledgements that were checked afterwards.
    pub(crate) acknowledged: usize,
    /// What was acknowledged and is not there, or is damaged.
    pub(crate) losses: Vec<String>,
}

impl Tally {
    /// Takes in what came of round `round`, and tells at once what was lost.
    pub(crate) fn add(&mut self, round: &str, acknowledged: usize, losses: Vec<String>) {
        self.points += 1;
        self.acknowledged += acknowledged;
        for loss in losses {
            let loss = format!("{round}: {loss}");
            eprintln!("LOST {loss}");
            self.losses.push(loss);
        }
        if self.points.is_multiple_of(100) {
            let (points, lost) = (self.points, self.losses.len());
            eprintln!("{round}: {points} points, {} acknowledged, {lost} lost", self.acknowledged);
        }
    }
}

const NAMES: [&str; 11] = [
    "power-cut-ext4",
    "power-cut-xfs",
    "disk-full",
    "kill-9",
    "daemon-kill-9",
    "system-calls",
    "signer-kill-9",
    "signer-cut-ext4",
    "signer-cut-xfs",
    "hsm-faults",
    "hsm-sessions",
];

/// Runs the campaigns named (all, if none is), each at its full size unless told `--ci`.
pub(crate) fn main(words: &[&str]) -> Outcome {
    let mut plan = Plan { size: Size::Full, from: 0 };
    let (mut json, mut named) = (false, Vec::new());
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "--json" => json = true,
            "--ci" => plan.size = Size::Ci,
            "--from" => plan.from = number(words.next())?,
            name if NAMES.contains(&name) => named.push(name),
            other => return Err(format!("no campaign `{other}`; there are {}", NAMES.join(", "))),
        }
    }
    let chosen = NAMES.iter().filter(|name| named.is_empty() || named.contains(name));
    // Side by side: each waits for its disk or its worker most of the time.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let running: Vec<_> = chosen.map(|name| scope.spawn(|| run(name, plan, json))).collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended.map(|outcome| outcome.unwrap_or_else(|_| Err("a campaign panicked".into()))).collect()
    });
    let failed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn number(word: Option<&str>) -> Outcome<usize> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| "--from takes a number".to_owned())
}

fn run(name: &str, plan: Plan, json: bool) -> Outcome {
    eprintln!("== campaign {name}");
    let started = Instant::now();
    let tally = match name {
        "power-cut-ext4" => power_cut::run(power_cut::FileSystem::Ext4, plan)?,
        "power-cut-xfs" => power_cut::run(power_cut::FileSystem::Xfs, plan)?,
        "disk-full" => disk_full::run(plan)?,
        "kill-9" => Some(kill::run(plan)?),
        "signer-kill-9" => signer::run(signer::End::Kill, plan)?,
        "signer-cut-ext4" => signer::run(signer::End::Cut(power_cut::FileSystem::Ext4), plan)?,
        "signer-cut-xfs" => signer::run(signer::End::Cut(power_cut::FileSystem::Xfs), plan)?,
        "hsm-faults" => hsm_faults::run(plan)?,
        "hsm-sessions" => hsm_sessions::run(plan)?,
        "daemon-kill-9" => Some(daemon::run(plan)?),
        _ => syscalls::run(plan)?,
    };
    let Some(tally) = tally else { return Ok(()) };
    let (points, acknowledged, losses) = (tally.points, tally.acknowledged, tally.losses.len());
    let seconds = started.elapsed().as_secs();
    if json {
        println!(
            "{{\"campaign\":\"{name}\",\"points\":{points},\"acknowledged\":{acknowledged},\
             \"losses\":{losses},\"seconds\":{seconds}}}"
        );
    } else {
        println!(
            "{name}: {points} points, {acknowledged} acknowledged, {losses} lost, {seconds} s"
        );
    }
    if tally.losses.is_empty() {
        return Ok(());
    }
    Err(format!("{name}: {losses} lost\n{}", tally.losses.join("\n")))
}

/// What a machine that lacks something says: loudly, and in CI as a failure.
pub(crate) fn skipped(why: &str) -> Outcome<Option<Tally>> {
    if std::env::var_os("CI").is_some() {
        return Err(why.to_owned());
    }
    eprintln!("SKIPPED: {why}");
    Ok(None)
}

/// The process that is cut off; started by the campaigns, not by people.
pub(crate) fn worker_main(words: &[&str]) -> ExitCode {
    match words {
        [home, "daemon"] => match daemon::serve(std::path::Path::new(home)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("daemon: {error}");
                ExitCode::FAILURE
            }
        },
        words => worker::main(words),
    }
}
