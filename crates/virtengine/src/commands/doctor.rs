//! `virtengine doctor`: examines the machine and the home, and says what to mend. No passphrase.

use std::os::unix::fs::MetadataExt;

use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::manager::KeyManager;
use kms_api::StatusView;
use serde::Serialize;

use crate::context::Context;
use crate::daemon;
use crate::exit::Exit;
use crate::output::text::escape;
use crate::problem::Problem;
use crate::visit;

/// With less room than this the log may soon refuse records, and so every use of a key: 256 MiB.
const ROOM_BYTES: u64 = 256 * 1024 * 1024;

/// Examines everything it can; exit 1 where something is to be mended.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(context: &Context<'_>) -> Result<Exit, Problem> {
    let mut steps = vec![protection(), directory(context), room(context)];
    steps.extend(home(context));
    steps.push(log(context));
    let report = Report { ok: steps.iter().all(|step| step.ok), steps };
    context.data(&report, || text(&report))?;
    Ok(if report.ok { Exit::Ok } else { Exit::Other })
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Step {
    step: &'static str,
    ok: bool,
    detail: String,
}

impl Step {
    fn good(step: &'static str, detail: impl Into<String>) -> Self {
        Self { step, ok: true, detail: detail.into() }
    }

    fn bad(step: &'static str, detail: impl Into<String>) -> Self {
        Self { step, ok: false, detail: detail.into() }
    }
}

fn text(report: &Report) -> String {
    let line = |step: &Step| {
        let mark = if step.ok { "ok  " } else { "MEND" };
        format!("{mark}  {:22}  {}\n", step.step, escape(&step.detail))
    };
    report.steps.iter().map(line).collect()
}

/// What guards this process's memory.
fn protection() -> Step {
    const STEP: &str = "memory protection";
    let shortfalls = kms_secret::protect_process().shortfalls();
    if shortfalls.is_empty() {
        Step::good(STEP, "no core dumps, no debugger, secrets in locked memory")
    } else {
        Step::bad(STEP, shortfalls.join("; "))
    }
}

fn directory(context: &Context<'_>) -> Step {
    const STEP: &str = "home directory";
    let home = context.home.display();
    match context.home.symlink_metadata() {
        Err(e) => Step::bad(STEP, format!("{home}: {e}; make one: virtengine init")),
        Ok(about) if !about.is_dir() => Step::bad(STEP, format!("{home} is no directory")),
        Ok(about) if about.mode() & 0o077 != 0 => {
            let mode = about.mode() & 0o777;
            Step::bad(STEP, format!("{home} is open to others (mode {mode:o}); chmod 700 {home}"))
        }
        Ok(_) => Step::good(STEP, format!("{home}, for its owner only")),
    }
}

fn room(context: &Context<'_>) -> Step {
    const STEP: &str = "room on the disk";
    match rustix::fs::statvfs(&context.home) {
        Err(e) => Step::bad(STEP, e.to_string()),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let detail = format!("{} MiB free", free / (1024 * 1024));
            if free < ROOM_BYTES { Step::bad(STEP, detail) } else { Step::good(STEP, detail) }
        }
    }
}

/// Whether the home opens, and where it does, the files of its keys.
fn home(context: &Context<'_>) -> Vec<Step> {
    const STEP: &str = "home opens";
    match daemon::find(context).and_then(|found| Ok(found.map(|mut d| d.status()).transpose()?)) {
        Ok(None) => {}
        Ok(Some(status)) => return vec![served(&status)],
        Err(problem) => return vec![Step::bad("daemon", problem.message)],
    }
    let opened = visit::open(context).and_then(|kms| {
        let keys = key_files(&kms);
        kms.close()?;
        Ok(keys)
    });
    match opened {
        Ok(keys) => vec![Step::good(STEP, "not in use, store and log fit each other"), keys],
        Err(problem) => vec![Step::bad(STEP, format!("[{}] {}", problem.code, problem.message))],
    }
}

/// What the daemon says that has the home.
fn served(status: &StatusView) -> Step {
    const STEP: &str = "daemon";
    match (status.sealed, status.audit_writable) {
        (_, false) => Step::bad(STEP, "it runs, and its audit log cannot be written"),
        (true, true) => Step::bad(STEP, "it runs, and is locked; unlock it: virtengine unlock"),
        (false, true) => Step::good(STEP, "it has the home, and can sign"),
    }
}

/// Whether the file of every key is there, closed to others and that key's; nothing is opened.
fn key_files(kms: &KeyManager) -> Step {
    const STEP: &str = "key files";
    match kms.examine_key_files() {
        (expected, found) if found.is_empty() => {
            Step::good(STEP, format!("{expected} expected, {expected} in place"))
        }
        (_, found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            Step::bad(STEP, found.join("; "))
        }
    }
}

fn log(context: &Context<'_>) -> Step {
    const STEP: &str = "audit log";
    match verify_files(&context.audit_dir(), &VerifyOptions::default()) {
        Err(fault) => Step::bad(STEP, fault.to_string()),
        Ok(verified) if verified.valid => {
            let (records, checkpoints) = (verified.records, verified.checkpoints);
            Step::good(STEP, format!("{records} records, {checkpoints} checkpoints, all in order"))
        }
        Ok(verified) => {
            let found = verified.errors.iter();
            let found: Vec<_> =
                found.map(|e| format!("{}:{}: {}", e.file, e.line, e.kind)).collect();
            Step::bad(STEP, found.join("; "))
        }
    }
}
