//! Tests of the whole log, on real files.

mod crash;
mod disk;
mod reading;
mod tamper;
mod writing;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::audit::AuditFault;
use crate::audit::AuditKey;
use crate::audit::AuditLogConfig;
use crate::audit::AuditLogger;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::Head;
use crate::audit::OpenAudit;
use crate::audit::Opened;
use crate::audit::RecordId;
use crate::audit::Verification;
use crate::audit::VerifyOptions;
use crate::audit::ViolationKind;
use crate::audit::verify_files;
use crate::durable::OsDisk;
use crate::time::Timestamp;

/// A directory for a log, with its key.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        AuditKey::create(&OsDisk, &dir.path().join("audit.key"), "h-1").unwrap();
        Self { dir }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.log().join(format!("audit-{number:06}.log"))
    }

    fn settings(&self) -> OpenAudit {
        let config = AuditLogConfig::new(self.log().join("audit.log"));
        let key = AuditKey::load(&self.dir.path().join("audit.key"), "h-1").unwrap();
        OpenAudit { config, key, anchor: None, development: false }
    }

    fn small(&self) -> OpenAudit {
        let mut settings = self.settings();
        settings.config.max_file_size = 4096;
        settings
    }

    fn create(&self) -> AuditLogger {
        AuditLogger::create(Arc::new(OsDisk), self.settings()).unwrap()
    }

    fn open(&self) -> (AuditLogger, Opened) {
        AuditLogger::open(Arc::new(OsDisk), self.settings()).unwrap()
    }

    fn refusal(&self, settings: OpenAudit) -> String {
        AuditLogger::open(Arc::new(OsDisk), settings).unwrap_err().to_string()
    }

    /// A closed log of `count` records.
    fn with_records(count: u64) -> Self {
        let place = Self::new();
        let logger = place.create();
        write(&logger, 1..=count);
        logger.close().unwrap();
        place
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.segment(1))
    }

    fn put_lines(&self, lines: &[String]) {
        std::fs::write(self.segment(1), lines.join("\n") + "\n").unwrap();
    }

    fn verify(&self) -> Verification {
        self.verify_against(None)
    }

    fn verify_against(&self, expect_head: Option<Head>) -> Verification {
        let audit_key = Some(self.settings().key.verifier());
        let options = VerifyOptions { audit_key, expect_head, anchor: None };
        verify_files(&self.log(), &options).unwrap()
    }

    /// What the first violation is: kind, line and record.
    fn verdict(&self) -> (ViolationKind, u64, Option<u64>) {
        verdict(&self.verify())
    }
}

fn verdict(verification: &Verification) -> (ViolationKind, u64, Option<u64>) {
    assert!(!verification.valid);
    let first = verification.errors.first().expect("what is not valid has an error");
    (first.kind, first.line, first.seq)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// A record that tells its own number.
fn draft(n: u64) -> Draft {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    let time = Timestamp::EPOCH.plus_seconds(n);
    let mut draft = Draft::new(EventType::KeySigned, time, RecordId::from_random(id));
    draft.operation = Some(format!("operation {n}"));
    draft
}

fn write(logger: &AuditLogger, numbers: impl IntoIterator<Item = u64>) {
    let pending: Vec<_> = numbers.into_iter().map(|n| logger.record(draft(n)).unwrap()).collect();
    for record in pending {
        record.wait().unwrap();
    }
}
