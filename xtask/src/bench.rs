//! Benchmarks: programs that print a ratio against a named opponent, measured in the same run.
//!
//! Ours and theirs take turns, several rounds long, so that a noisy neighbour meets both; what is
//! printed are medians. A ratio above 1 means that we do more per second (or take less) than they.

mod argon2;
mod home100k;
mod http;
mod http_bare;
mod multisig;
mod hsm;
mod sign;
mod verify;

use serde_json::json;

use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::step;

/// One line of the result.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which benchmark.
    pub(crate) bench: &'static str,
    /// Which algorithm, where there are several.
    pub(crate) algorithm: String,
    /// Against whom.
    pub(crate) opponent: &'static str,
    /// How many callers at once.
    pub(crate) concurrency: usize,
    /// Our figure.
    pub(crate) ours: f64,
    /// Theirs.
    pub(crate) theirs: f64,
    /// Of what both figures are. `…/s` is better when larger, anything else when smaller.
    pub(crate) unit: &'static str,
}

impl Row {
    fn ratio(&self) -> f64 {
        if self.unit.ends_with("/s") { self.ours / self.theirs } else { self.theirs / self.ours }
    }

    fn print(&self, as_json: bool) {
        let ratio = (self.ratio() * 1000.0).round() / 1000.0;
        if as_json {
            let line = json!({
                "bench": self.bench, "algorithm": self.algorithm, "opponent": self.opponent,
                "concurrency": self.concurrency, "ratio": ratio,
                "ours": self.ours, "theirs": self.theirs, "unit": self.unit,
            });
            println!("{line}");
        } else {
            println!(
                "{:<16} {:<11} x{:<3} {:>8.3} of {:<22} {:>12.1} against {:>12.1} {}",
                self.bench,
                self.algorithm,
                self.concurrency,
                ratio,
                self.opponent,
                self.ours,
                self.theirs,
                self.unit
            );
        }
    }
}

type Bench = fn(&mut dyn FnMut(Row)) -> Outcome;

const BENCHES: [(&str, Bench); 7] = [
    ("sign-inproc", sign::run),
    ("http-sign", http::run),
    ("audit-verify", verify::run),
    ("home-100k", home100k::run),
    ("argon2", argon2::run),
    ("multisig-pending", multisig::run),
    ("hsm-sign", hsm::run),
];

/// Runs the benchmarks named (all, if none is).
pub(crate) fn main(words: &[&str]) -> Outcome {
    if cfg!(debug_assertions) {
        let again = ["run", "--release", "--quiet", "--package", "xtask", "--", "bench"];
        return step("optimised", cargo(again).args(words));
    }
    let as_json = words.contains(&"--json");
    let named: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) =
        named.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == *name))
    {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no benchmark `{unknown}`; there are {}", known.join(", ")));
    }
    for (name, run) in BENCHES {
        if named.is_empty() || named.contains(&name) {
            run(&mut |row| row.print(as_json))?;
        }
    }
    Ok(())
}

/// The opponent of `hsm-sign`, a process of its own.
pub(crate) fn hsm_loop(words: &[&str]) -> Outcome {
    hsm::loop_main(words)
}

/// The middle one of several measurements.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
