//! Crash campaigns: work is cut off at any instant, and whatever was acknowledged must be there.
//!
//! A worker process prints a line for each thing it was told is done; the campaign stops it
//! (`kill -9`), cuts the power of its file system, or fails one system call after another; then the
//! home is opened again and held against the lines that had been read.

mod acknowledged;
mod check;
mod kill;
mod power_cut;
mod syscalls;
mod worker;

use std::process::ExitCode;
use std::time::Instant;

use crate::shell::Outcome;

/// How much to do: `ci` is sized for every change, `full` for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Ci,
    Full,
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

const NAMES: [&str; 4] = ["power-cut-ext4", "power-cut-xfs", "kill-9", "system-calls"];

/// Runs the campaigns named (all, if none is) at their full size.
pub(crate) fn main(words: &[&str]) -> Outcome {
    let json = words.contains(&"--json");
    let size = if words.contains(&"--ci") { Size::Ci } else { Size::Full };
    let named: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|name| !NAMES.contains(name)) {
        return Err(format!("no campaign `{unknown}`; there are {}", NAMES.join(", ")));
    }
    let chosen = NAMES.iter().filter(|name| named.is_empty() || named.contains(name));
    for name in chosen {
        run(name, size, json)?;
    }
    Ok(())
}

fn run(name: &str, size: Size, json: bool) -> Outcome {
    let started = Instant::now();
    let tally = match name {
        "power-cut-ext4" => power_cut::run(power_cut::FileSystem::Ext4, size)?,
        "power-cut-xfs" => power_cut::run(power_cut::FileSystem::Xfs, size)?,
        "kill-9" => kill::run(size)?,
        _ => syscalls::run(size)?,
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
        println!("{name}: {points} points, {acknowledged} acknowledged, {losses} lost, {seconds} s");
    }
    if tally.losses.is_empty() { Ok(()) } else { Err(tally.losses.join("\n")) }
}

/// The process that is cut off; started by the campaigns, not by people.
pub(crate) fn worker_main(words: &[&str]) -> ExitCode {
    worker::main(words)
}
