//! Are these files what was written? A directory is enough to ask: no home, no lock, no passphrase.
//!
//! A fast pass hashes every line on several threads and compares links, and roots wherever one was
//! signed or is expected. Only where that does not come out right are the lines looked at one by
//! one, to name the first that is wrong and what was done to it.
//!
//! What no check of files alone can see: records cut off behind the last checkpoint, or behind one
//! that was cut off with them. That is what an expected head is for.

mod diagnose;
mod notes;
mod scan;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::audit::AuditFault;
use crate::audit::checkpoint::CheckpointVerifier;
use crate::audit::config::Names;
use crate::audit::files::read_tail;
use crate::audit::files::segments;
use crate::audit::growth::Growth;
use crate::audit::tree::Head;
use diagnose::Diagnosis;
use notes::Known;
use notes::Notes;
use scan::Outcome;
use scan::Scan;

/// What the files are compared with, besides themselves.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The verifier of the checkpoints, `name+hash+base64`. Without it the one in the directory is
    /// taken, which whoever changed the files may have changed too.
    pub audit_key: Option<String>,
    /// A head the log must contain: what an auditor was told earlier.
    pub expect_head: Option<Head>,
    /// A head the log must contain: what the store or a backup kept.
    pub anchor: Option<Head>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether nothing was found wrong.
    pub valid: bool,
    /// Number of records that are in order, from the first.
    pub records: u64,
    /// Number of checkpoints with a good signature.
    pub checkpoints: u64,
    /// Size and root of the records that are in order.
    pub head: Head,
    /// What is wrong, the most telling first.
    pub errors: Vec<Violation>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Name of the file, without directory.
    pub file: String,
    /// Line in that file, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The record it is about.
    pub seq: Option<u64>,
    /// What was done.
    pub kind: ViolationKind,
    /// How that shows.
    pub detail: String,
}

/// What was done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// The bytes of a record were changed.
    Edited,
    /// Records were taken out.
    Missing,
    /// A record was put in that was not written there.
    Inserted,
    /// Records stand in another order.
    Reordered,
    /// Records were cut off at the end.
    Truncated,
    /// Records were replaced by others that link to each other.
    Rewritten,
    /// Two writers wrote at the same time.
    DuplicateWriter,
    /// The last line was not written to its end.
    Torn,
    /// A line is no record.
    Malformed,
    /// A checkpoint is damaged or not signed by the audit key.
    CheckpointInvalid,
    /// There is no checkpoint.
    CheckpointMissing,
}

impl ViolationKind {
    /// The name in JSON and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
            Self::DuplicateWriter => "duplicate_writer",
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::CheckpointInvalid => "checkpoint_invalid",
            Self::CheckpointMissing => "checkpoint_missing",
        }
    }
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Verifies the log whose files are in `dir`. Reads only.
///
/// # Errors
///
/// [`AuditFault::File`] if a file cannot be read, [`AuditFault::Setting`] if the audit key is none.
/// Tampering is not an error but the result.
pub fn verify_files(dir: &Path, options: &VerifyOptions) -> Result<Verification, AuditFault> {
    let mut stems: Vec<String> = segments(dir)?.into_iter().map(|(stem, _)| stem).collect();
    stems.dedup();
    let own = stems.iter().find(|stem| *stem == "audit").or(stems.first());
    let stem = own.cloned().unwrap_or_else(|| "audit".to_owned());
    let mut verification = verify_names(&Names::in_dir(dir, &stem), options, None)?;
    for other in stems.iter().filter(|other| **other != stem) {
        let file = Names::in_dir(dir, other).segment_name(1);
        let detail = format!("a file of another log, `{other}`, beside `{stem}`");
        let kind = ViolationKind::Inserted;
        verification.errors.push(Violation { file, line: 0, seq: None, kind, detail });
        verification.valid = false;
    }
    Ok(verification)
}

/// Verifies the log `names`, up to `until` where it is being written.
pub(crate) fn verify_names(
    names: &Names,
    options: &VerifyOptions,
    until: Option<&Growth>,
) -> Result<Verification, AuditFault> {
    let verifier = verifier(names, options)?;
    let notes = Notes::read(names, verifier.as_ref(), until.map(Growth::size))?;
    let known = Known::new(&notes, options);
    let mut scan = Scan::new(names, &known, until)?;
    let outcome = scan.run()?;
    let mut errors = Vec::new();
    match outcome {
        Outcome::Whole => {}
        Outcome::Broken(at) => errors.push(Diagnosis::new(&scan, names).of_break(at)?),
        Outcome::Differs { size, agreed, by } => {
            errors.push(Diagnosis::new(&scan, names).of_root(agreed + 1, (size, by))?);
        }
    }
    if errors.is_empty() {
        errors.extend(scan.cut_off(&known));
        errors.extend(scan.end(names));
    }
    let (head, records, checkpoints) = (scan.head(), scan.records(), notes.good());
    errors.extend(notes.errors(records));
    Ok(Verification { valid: errors.is_empty(), records, checkpoints, head, errors })
}

fn verifier(
    names: &Names,
    options: &VerifyOptions,
) -> Result<Option<CheckpointVerifier>, AuditFault> {
    if let Some(text) = &options.audit_key {
        let shown: String = text.chars().take(80).collect();
        let none = || AuditFault::Setting(format!("`{shown}` is no audit key"));
        return CheckpointVerifier::new(text).ok_or_else(none).map(Some);
    }
    let (bytes, _) = read_tail(&names.verifier(), 1024)?;
    Ok(std::str::from_utf8(&bytes).ok().and_then(CheckpointVerifier::new))
}
