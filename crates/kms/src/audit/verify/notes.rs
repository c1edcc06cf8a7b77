//! The checkpoints of a log, and everything else that is known about its size and root.

use crate::audit::AuditFault;
use crate::audit::checkpoint::CheckpointVerifier;
use crate::audit::checkpoint::Placed;
use crate::audit::checkpoint::split_notes;
use crate::audit::config::Names;
use crate::audit::files::read_tail;
use crate::audit::tree::Head;
use crate::audit::verify::VerifyOptions;
use crate::audit::verify::Violation;
use crate::audit::verify::ViolationKind;

/// Longest file of checkpoints that is read, in bytes: over a thousand million records.
const FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// Name of the file, as violations give it.
const FILE: &str = "checkpoints";

/// The checkpoints that were found.
pub(crate) struct Notes {
    /// Those with a good signature, by size.
    heads: Vec<Head>,
    errors: Vec<Violation>,
}

impl Notes {
    /// Reads and checks them. Of a log that is being written, `until` so many records, what is
    /// newer is left out.
    pub(crate) fn read(
        names: &Names,
        verifier: Option<&CheckpointVerifier>,
        until: Option<u64>,
    ) -> Result<Self, AuditFault> {
        let (file, _) = read_tail(&names.checkpoints(), FILE_BYTES)?;
        let (placed, torn) = split_notes(&file);
        let mut notes = Self { heads: Vec::new(), errors: Vec::new() };
        for (note, head) in placed.iter().zip(check_all(&placed, verifier)) {
            match head {
                Ok(head) => notes.take(note.line, head),
                Err(why) => notes.wrong(note.line, None, why),
            }
        }
        if torn > 0 && until.is_none() {
            notes.half_written(placed.last().map_or(1, |note| note.line + 6));
        }
        notes.heads.retain(|head| until.is_none_or(|until| head.size <= until));
        Ok(notes)
    }

    fn take(&mut self, line: u64, head: Head) {
        match self.heads.last() {
            Some(last) if head.size < last.size => {
                self.wrong(line, Some(head.size), "is older than the one before it");
            }
            Some(last) if head.size == last.size && head.root != last.root => {
                self.wrong(line, Some(head.size), "contradicts the one before it");
            }
            Some(_) | None => self.heads.push(head),
        }
    }

    fn wrong(&mut self, line: u64, seq: Option<u64>, why: &str) {
        let (file, detail) = (FILE.to_owned(), format!("the checkpoint {why}"));
        let kind = ViolationKind::CheckpointInvalid;
        self.errors.push(Violation { file, line, seq, kind, detail });
    }

    fn half_written(&mut self, line: u64) {
        let (file, kind) = (FILE.to_owned(), ViolationKind::Torn);
        let detail = "the last checkpoint was not written to its end".to_owned();
        self.errors.push(Violation { file, line, seq: None, kind, detail });
    }

    /// How many have a good signature.
    pub(crate) fn good(&self) -> u64 {
        self.heads.len() as u64
    }

    /// What is wrong with them, for a log of so many records.
    pub(crate) fn errors(mut self, records: u64) -> Vec<Violation> {
        if self.heads.is_empty() && self.errors.is_empty() {
            let (file, kind) = (FILE.to_owned(), ViolationKind::CheckpointMissing);
            let detail = format!("none of the {records} records is signed for");
            self.errors.push(Violation { file, line: 0, seq: None, kind, detail });
        }
        self.errors
    }
}

/// Checks the signatures, on two threads.
fn check_all(
    placed: &[Placed<'_>],
    verifier: Option<&CheckpointVerifier>,
) -> Vec<Result<Head, &'static str>> {
    let check = |part: &[Placed<'_>], verifier: &CheckpointVerifier| {
        part.iter().map(|note| verifier.check(note.note)).collect::<Vec<_>>()
    };
    let Some(verifier) = verifier else {
        return vec![Err("cannot be checked: there is no audit key"); placed.len()];
    };
    let (first, second) = placed.split_at(placed.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| check(second, verifier));
        let mut heads = check(first, verifier);
        heads.extend(other.join().unwrap_or_default());
        heads
    })
}

/// Who says that the log had a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// A checkpoint.
    Checkpoint,
    /// [`VerifyOptions::anchor`].
    Anchor,
    /// [`VerifyOptions::expect_head`].
    Expected,
}

impl Witness {
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Checkpoint => "signed in a checkpoint",
            Self::Anchor => "on record in the store",
            Self::Expected => "expected",
        }
    }
}

/// All heads the log is known to have had, by size.
pub(crate) struct Known(pub(crate) Vec<(Head, Witness)>);

impl Known {
    pub(crate) fn new(notes: &Notes, options: &VerifyOptions) -> Self {
        let mut known: Vec<(Head, Witness)> =
            notes.heads.iter().map(|head| (*head, Witness::Checkpoint)).collect();
        known.extend(options.anchor.map(|head| (head, Witness::Anchor)));
        known.extend(options.expect_head.map(|head| (head, Witness::Expected)));
        known.sort_by_key(|(head, _)| head.size);
        Self(known)
    }

    /// The largest.
    pub(crate) fn last(&self) -> Option<(Head, Witness)> {
        self.0.last().copied()
    }

    /// Number of records that checkpoints cover.
    pub(crate) fn signed(&self) -> u64 {
        let signed = self.0.iter().rev().find(|(_, by)| *by == Witness::Checkpoint);
        signed.map_or(0, |(head, _)| head.size)
    }
}
