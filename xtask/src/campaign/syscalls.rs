//! Every effect in turn: the n-th system call of one kind fails or ends the process, for every n.
//!
//! `strace` injects into a worker that does one operation, so the log, the key files and the
//! database are all met, and the opening and closing of the home around it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::acknowledged::Line;
use crate::campaign::check;
use crate::campaign::skipped;
use crate::campaign::worker;
use crate::shell::Outcome;
use crate::shell::which;

/// The system calls by which anything reaches the disk.
const CALLS: [&str; 16] = [
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "fallocate",
    "ftruncate",
    "fchmod",
    "openat",
    "openat2",
    "read",
    "pread64",
];

/// What is done to the n-th call.
const FAULTS: [&str; 3] = ["signal=KILL", "error=EIO", "error=ENOSPC"];

/// The points of a run that is sized for every change.
const CI_POINTS: usize = 150;
/// A worker that takes longer hangs.
const SECONDS: &str = "60";

pub(crate) fn run(plan: Plan) -> Outcome<Option<Tally>> {
    let Some(strace) = which("strace").filter(|strace| may_trace(strace)) else {
        return skipped("system calls cannot be failed: strace is missing, or may not trace");
    };
    let bench = Bench::new(strace)?;
    let points = bench.points()?;
    let stride = match plan.size {
        Size::Full => 1,
        Size::Ci => points.len().div_ceil(CI_POINTS) | 1, // odd, so that all kinds of fault are met
    };
    eprintln!("system-calls: {} points, every {stride}th", points.len());
    let mut tally = Tally::default();
    for (number, point) in points.iter().enumerate().skip(plan.from).step_by(stride) {
        if let Some(shot) = bench.shoot(point)? {
            tally.add(&format!("{number} {}", point.name()), shot.acknowledged, shot.losses);
        }
    }
    Ok(Some(tally))
}

/// One call of one operation, and what is done to it.
struct Point {
    operation: &'static str,
    call: &'static str,
    nth: usize,
    fault: &'static str,
}

impl Point {
    fn name(&self) -> String {
        format!("{}: {} number {}, {}", self.operation, self.call, self.nth, self.fault)
    }
}

struct Shot {
    acknowledged: usize,
    losses: Vec<String>,
}

struct Bench {
    strace: PathBuf,
    directory: tempfile::TempDir,
    known: Acknowledged,
}

impl Bench {
    fn new(strace: PathBuf) -> Outcome<Self> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let home = directory.path().join("base");
        worker::init(&home)?;
        let mut known = Acknowledged::default();
        for line in worker::prepare(&home).map_err(|error| error.to_string())? {
            known.add(line);
        }
        Ok(Self { strace, directory, known })
    }

    /// Every call that any thread of any operation makes, each with every fault.
    fn points(&self) -> Outcome<Vec<Point>> {
        let mut points = Vec::new();
        for operation in worker::OPERATIONS {
            let home = self.fresh_home(operation)?;
            let answer = self.traced(&home, operation, &[format!("trace={}", CALLS.join(","))])?;
            if !answer.status.success() {
                return Err(format!("{operation} does not work: {}", said(&answer)));
            }
            for (call, count) in counted(&self.trace()?) {
                let all = (1..=count).flat_map(|nth| FAULTS.map(|fault| (nth, fault)));
                points.extend(all.map(|(nth, fault)| Point { operation, call, nth, fault }));
            }
        }
        Ok(points)
    }

    /// Runs one operation on a copy of the home with one fault; `None` when the call did not
    /// happen this time.
    fn shoot(&self, point: &Point) -> Outcome<Option<Shot>> {
        let Point { operation, call, nth, fault } = point;
        let home = self.fresh_home(operation)?;
        let inject = [format!("trace={call}"), format!("inject={call}:{fault}:when={nth}")];
        let answer = self.traced(&home, operation, &inject)?;
        let trace = self.trace()?;
        if !trace.contains("(INJECTED)") && !trace.contains("killed by SIGKILL") {
            return Ok(None);
        }
        let mut known = match *operation {
            worker::INIT => Acknowledged { unfinished: true, ..Acknowledged::default() },
            _ => self.known.clone(),
        };
        let before = known.count;
        let stdout = String::from_utf8_lossy(&answer.stdout);
        stdout.lines().filter_map(Line::parse).for_each(|line| known.add(line));
        let mut losses = misbehaviour(&answer, fault);
        losses.extend(check::check(&home, &known)?);
        Ok(Some(Shot { acknowledged: known.count - before, losses }))
    }

    fn fresh_home(&self, operation: &str) -> Outcome<PathBuf> {
        let home = self.directory.path().join("shot");
        _ = std::fs::remove_dir_all(&home);
        if operation == worker::INIT {
            return Ok(home);
        }
        let base = self.directory.path().join("base");
        let mut copy = Command::new("cp");
        let status = copy.arg("-a").arg(base).arg(&home).status();
        let copied = status.map_err(|error| format!("cp does not start: {error}"))?;
        copied.success().then_some(home).ok_or_else(|| "the home was not copied".to_owned())
    }

    fn traced(
        &self,
        home: &Path,
        operation: &str,
        expressions: &[String],
    ) -> Outcome<std::process::Output> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("timeout");
        command.arg(SECONDS).arg(&self.strace).args(["-f", "-qq", "-o"]).arg(self.trace_file());
        for expression in expressions {
            command.args(["-e", expression]);
        }
        command.arg(this).arg("crash-worker").arg(home).args(["one", operation]);
        command.output().map_err(|error| format!("strace does not start: {error}"))
    }

    fn trace_file(&self) -> PathBuf {
        self.directory.path().join("trace")
    }

    fn trace(&self) -> Outcome<String> {
        let bytes = std::fs::read(self.trace_file()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn may_trace(strace: &Path) -> bool {
    let tried = Command::new(strace).args(["-o", "/dev/null", "true"]).output();
    tried.is_ok_and(|answer| answer.status.success())
}

/// How often the thread that makes a call most often makes it: `strace` counts for each thread.
fn counted(trace: &str) -> BTreeMap<&'static str, usize> {
    let mut of_threads: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        *of_threads.entry((thread, call)).or_default() += 1;
    }
    let most = |call: &&'static str| {
        let counts = of_threads.iter().filter(|((_, name), _)| name == call);
        counts.map(|(_, count)| *count).max().map(|count| (*call, count))
    };
    CALLS.iter().filter_map(most).collect()
}

/// What a process that met a fault must never do: panic, hang, or fail without a word.
fn misbehaviour(answer: &std::process::Output, fault: &str) -> Vec<String> {
    let said = said(answer);
    let mut found = Vec::new();
    if said.contains("panicked at") {
        found.push(format!("it panicked: {said}"));
    }
    if answer.status.code() == Some(124) {
        found.push(format!("it hung: {said}"));
    }
    if !answer.status.success() && said.is_empty() && !fault.contains("KILL") {
        found.push("it failed without a word".to_owned());
    }
    found
}

fn said(answer: &std::process::Output) -> String {
    String::from_utf8_lossy(&answer.stderr).trim().to_owned()
}
