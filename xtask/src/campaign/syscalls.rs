//! Every effect in turn: the n-th system call of one kind fails or ends the process, for every n.
//!
//! `strace` injects into the real binary, so the log, the key files and the database are all met.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::Size;
use super::Tally;
use super::acknowledged::Acknowledged;
use super::acknowledged::Line;
use super::check;
use super::worker;
use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::root;
use crate::shell::which;

/// The system calls by which anything reaches the disk.
const CALLS: [&str; 11] = [
    "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat2", "unlink", "unlinkat",
    "fallocate", "ftruncate", "openat2",
];

/// What is done to the n-th call.
const FAULTS: [&str; 3] = ["signal=KILL", "error=EIO", "error=ENOSPC"];

/// The operations that are cut short; `KEY` is a key that exists.
const OPERATIONS: [(&str, &[&str]); 5] = [
    ("create", &["keys", "add", "fresh", "--algo", "p256"]),
    ("sign", &["sign", "KEY", "--in", "MESSAGE", "--encoding", "hex"]),
    ("rotate", &["keys", "rotate", "KEY", "--reason", "due"]),
    ("suspend", &["keys", "suspend", "KEY", "--reason", "stop"]),
    ("principal", &["principal", "add", "bob", "--role", "auditor", "--new-passphrase-file", "NEW"]),
];

pub(crate) fn run(size: Size) -> Outcome<Option<Tally>> {
    let strace = which("strace").ok_or("strace is missing")?;
    let bench = Bench::new(strace)?;
    // Every point in the full campaign; every seventh, of all kinds, for each change.
    let stride = if size == Size::Ci { 7 } else { 1 };
    let mut tally = Tally::default();
    let mut point = 0_usize;
    for (name, arguments) in OPERATIONS {
        for call in CALLS {
            for fault in FAULTS {
                for nth in 1.. {
                    point += 1;
                    if point % stride != 0 && nth > 1 {
                        if nth > 200 {
                            break;
                        }
                        continue;
                    }
                    let Some(shot) = bench.shoot(arguments, call, fault, nth)? else { break };
                    tally.points += 1;
                    tally.acknowledged += usize::from(shot.succeeded);
                    let place = format!("{name}: {call} number {nth}, {fault}");
                    let losses = shot.losses.into_iter().map(|loss| format!("{place}: {loss}"));
                    tally.losses.extend(losses);
                }
            }
        }
    }
    Ok(Some(tally))
}

struct Shot {
    succeeded: bool,
    losses: Vec<String>,
}

struct Bench {
    strace: PathBuf,
    binary: PathBuf,
    directory: tempfile::TempDir,
    known: Acknowledged,
}

impl Bench {
    fn new(strace: PathBuf) -> Outcome<Self> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let built = this.parent().ok_or("the program stands in no directory")?;
        let mut build = cargo(["build", "--quiet", "--package", "virtengine"]);
        if built.ends_with("release") {
            build.arg("--release");
        }
        let status = build.current_dir(root()).status().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err("the binary does not build".to_owned());
        }
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let home = directory.path().join("base");
        worker::init(&home)?;
        let mut known = Acknowledged::default();
        known.add(worker::make_key(&home)?);
        for (name, text) in [("MESSAGE", "message"), ("NEW", "another long passphrase")] {
            write(&directory.path().join(name), text)?;
        }
        write(&directory.path().join("PASSPHRASE"), worker::PASSPHRASE)?;
        Ok(Self { strace, binary: built.join("virtengine"), directory, known })
    }

    /// Runs one operation on a copy of the home with one fault; `None` when the n-th call did not
    /// happen any more.
    fn shoot(&self, words: &[&str], call: &str, fault: &str, nth: usize) -> Outcome<Option<Shot>> {
        let home = self.directory.path().join("shot");
        _ = std::fs::remove_dir_all(&home);
        let base = self.directory.path().join("base");
        execute(Command::new("cp").arg("-a").arg(base).arg(&home))?;
        let trace = self.directory.path().join("trace");
        let answer = Command::new(&self.strace)
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:{fault}:when={nth}")])
            .arg(&self.binary)
            .arg("--home")
            .arg(&home)
            .arg("--passphrase-file")
            .arg(self.directory.path().join("PASSPHRASE"))
            .args(["-o", "json"])
            .args(words.iter().map(|word| self.word(word)))
            .output()
            .map_err(|error| format!("strace does not start: {error}"))?;
        let traced = std::fs::read_to_string(&trace).map_err(|error| error.to_string())?;
        let fired = traced.contains("(INJECTED)") || traced.contains("killed by SIGKILL");
        if !fired {
            return Ok(None);
        }
        let mut known = self.known.clone();
        let succeeded = answer.status.success();
        if succeeded {
            promised(words, &answer.stdout).into_iter().for_each(|line| known.add(line));
        } else {
            known.keys.clear(); // the operation may have moved the key, or not
        }
        Ok(Some(Shot { succeeded, losses: check::check(&home, &known)? }))
    }

    fn word(&self, word: &str) -> String {
        match word {
            "KEY" => "base".to_owned(),
            "MESSAGE" | "NEW" => self.directory.path().join(word).display().to_string(),
            other => other.to_owned(),
        }
    }
}

/// What a successful operation promised by its output.
fn promised(words: &[&str], stdout: &[u8]) -> Vec<Line> {
    let answer: serde_json::Value = serde_json::from_slice(stdout).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match words {
        ["keys", ..] => vec![Line::Key(text("id"), text("state"))],
        ["sign", ..] => vec![Line::Signed(worker::digest_of_hex(&text("signature")))],
        ["principal", ..] => vec![Line::Principal("bob".to_owned())],
        _ => Vec::new(),
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn execute(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("{command:?}: {status}"))
}
