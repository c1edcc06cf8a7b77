//! The log itself: give a record its place, release what it is about, say how far it goes.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use crate::audit::AuditFault;
use crate::audit::AuditFiles;
use crate::audit::AuditKey;
use crate::audit::AuditLogConfig;
use crate::audit::BODY_BYTES;
use crate::audit::Encoded;
use crate::audit::Head;
use crate::audit::Pending;
use crate::audit::Torn;
use crate::audit::Unreleased;
use crate::audit::Verification;
use crate::audit::checkpoint::CheckpointVerifier;
use crate::audit::config::Names;
use crate::audit::files::read_tail;
use crate::audit::group::GroupCommit;
use crate::audit::group::Need;
use crate::audit::ledger::Ledger;
use crate::audit::line::FRAME_BYTES;
use crate::audit::line::Hash;
use crate::audit::line::write_line;
use crate::audit::notary::Notary;
use crate::audit::recover::Ground;
use crate::audit::recover::Recovered;
use crate::audit::recover::recover;
use crate::audit::segment::Segments;
use crate::durable::Disk;
use crate::durable::DiskError;
use crate::time::Timestamp;

/// What is needed to take up a log.
#[derive(Debug)]
pub struct OpenAudit {
    /// The settings.
    pub config: AuditLogConfig,
    /// The key that signs checkpoints.
    pub key: AuditKey,
    /// A head kept elsewhere, which the log must contain.
    pub anchor: Option<Head>,
    /// Whether the home is marked as a development home.
    pub development: bool,
}

/// What was found when a log was taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Number of records.
    pub size: u64,
    /// The time of the last record; a clock that shows less has been put back.
    pub last_time: Option<Timestamp>,
    /// A half-written end that was set aside; the caller records it.
    pub torn: Option<Torn>,
}

/// The tamper-evident log. For many threads at once; one per log and machine (whoever opens it
/// holds the lock of the home).
#[derive(Debug)]
pub struct AuditLogger {
    log: GroupCommit<Chain, Segments>,
    ledger: Arc<Ledger>,
    notary: Mutex<Option<JoinHandle<Result<(), AuditFault>>>>,
    files: AuditFiles,
    verifier: String,
}

/// What the next line needs to know, under the lock.
#[derive(Debug)]
struct Chain {
    seq: u64,
    prev: Hash,
}

impl Chain {
    fn append(&mut self, out: &mut Vec<u8>, body: &[u8]) -> u64 {
        self.seq += 1;
        self.prev = write_line(out, (self.seq, &self.prev), body);
        self.seq
    }
}

impl AuditLogger {
    /// Begins a log: its directory, the public half of its key, an empty first file and a signed
    /// statement that it is empty. All durable on return.
    ///
    /// # Errors
    ///
    /// [`AuditFault::File`] if a log is there already, [`AuditFault::Setting`] and whatever
    /// [`AuditLogger::open`] gives.
    pub fn create(disk: Arc<dyn Disk>, log: OpenAudit) -> Result<Self, AuditFault> {
        let names = log.config.check(log.development)?;
        disk.create_dir(names.dir()).map_err(AuditFault::at(names.dir()))?;
        let taken = [names.checkpoints(), names.verifier(), names.segment(1)];
        if let Some(path) = taken.into_iter().find(|path| path.exists()) {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(AuditFault::File { path, source: Arc::new(DiskError::Io(source)) });
        }
        let verifier = format!("{}\n", log.key.verifier());
        let path = names.verifier();
        disk.append(&names.segment(1)).map_err(AuditFault::at(names.segment(1)))?;
        disk.create(&path, verifier.as_bytes()).map_err(AuditFault::at(path))?;
        Self::open(disk, log).map(|(logger, _)| logger)
    }

    /// Takes up a log. The caller holds the lock of the home.
    ///
    /// Reads again what came after the last stored state, sets a half-written end aside and signs
    /// a checkpoint. All that is durable on return.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Integrity`] if the log is not what was signed or anchored, with nothing
    /// changed: it can still be read as [`AuditFiles`]. [`AuditFault::WrongKey`],
    /// [`AuditFault::Setting`], [`AuditFault::File`] and [`AuditFault::NoSpace`].
    pub fn open(disk: Arc<dyn Disk>, log: OpenAudit) -> Result<(Self, Opened), AuditFault> {
        let names = log.config.check(log.development)?;
        let verifier = log.key.verifier();
        check_key(&names, &verifier)?;
        let checker = CheckpointVerifier::new(&verifier).ok_or(AuditFault::NotARecord)?;
        let ground = Ground { disk: &*disk, names: &names, verifier: &checker, anchor: log.anchor };
        let found = recover(ground)?;
        let opened = Opened {
            size: found.growth.size(),
            last_time: found.last_time,
            torn: found.torn.clone(),
        };
        let logger = Self::start(disk, (names, log), found)?;
        Ok((logger, opened))
    }

    fn start(
        disk: Arc<dyn Disk>,
        log: (Names, OpenAudit),
        found: Recovered,
    ) -> Result<Self, AuditFault> {
        let (names, OpenAudit { config, key, .. }) = log;
        let verifier = key.verifier();
        let growth = found.growth;
        let append = |path: &Path| disk.append(path).map_err(AuditFault::at(path));
        let notes = append(&names.checkpoints())?;
        let mut notary = Notary {
            disk: Arc::clone(&disk),
            names: names.clone(),
            key,
            reserved: notes.len(),
            file: notes,
            stored: 0,
        };
        let signed = match found.signed {
            Some(signed) if signed.size == growth.size() => signed,
            Some(_) | None => {
                notary.sign(&growth)?;
                growth.head()
            }
        };
        let ledger = Arc::new(Ledger::new(growth.clone(), Some(signed)));
        let segments = Segments {
            file: append(&names.segment(found.segment))?,
            disk: Arc::clone(&disk),
            names: names.clone(),
            ledger: Arc::clone(&ledger),
            number: found.segment,
            limit: config.max_file_size,
            sync: config.sync_writes,
        };
        let chain = Chain { seq: growth.size(), prev: growth.last };
        let log = GroupCommit::start(chain, segments).map_err(no_thread)?;
        let notary = start_notary(notary, (Arc::clone(&ledger), &log))?;
        let files = AuditFiles::of(names);
        Ok(Self { log, ledger, notary: Mutex::new(Some(notary)), files, verifier })
    }

    /// Gives `record` its place. Not durable before the pending is waited for.
    ///
    /// # Errors
    ///
    /// [`AuditFault::NoSpace`] with no place given out, [`AuditFault::Poisoned`],
    /// [`AuditFault::Closed`].
    pub fn record(&self, record: impl Into<Encoded>) -> Result<Pending<()>, AuditFault> {
        self.release(Unreleased::new((), record))
    }

    /// Gives the record of `unreleased` its place; what it is about comes out of the pending when
    /// the record is durable.
    ///
    /// # Errors
    ///
    /// As [`AuditLogger::record`]; the result is discarded.
    pub fn release<T>(&self, unreleased: Unreleased<T>) -> Result<Pending<T>, AuditFault> {
        let (value, record) = unreleased.open();
        let body = record.as_bytes();
        let need = Need { bytes: body.len() + FRAME_BYTES, urgent: record.is_for_consensus() };
        let (seq, receipt) = self.log.submit(need, |chain, out| chain.append(out, body))?;
        Ok(Pending::new(value, seq, receipt))
    }

    /// Records and waits until it is durable; returns the number of the record. The
    /// specification's `Log` and, with a draft that names key and operation, `LogKeyOperation`.
    ///
    /// # Errors
    ///
    /// As [`AuditLogger::record`] and [`Pending::wait`].
    pub fn log(&self, record: impl Into<Encoded>) -> Result<u64, AuditFault> {
        let pending = self.record(record)?;
        let seq = pending.seq();
        pending.wait().map(|()| seq)
    }

    /// Says whether an ordinary record would be taken now, before anything is changed that has to
    /// be recorded.
    ///
    /// # Errors
    ///
    /// As [`Self::record`].
    pub fn check_room(&self) -> Result<(), AuditFault> {
        self.log.check_room(Need { bytes: BODY_BYTES + FRAME_BYTES, urgent: false })
    }

    /// Size and root of what is durable.
    pub fn head(&self) -> Head {
        self.ledger.growth().head()
    }

    /// The newest checkpoint: what the store, backups and sinks keep.
    pub fn anchor(&self) -> Option<Head> {
        self.ledger.signed()
    }

    /// Signs a checkpoint of what is durable now; itself durable on return.
    ///
    /// # Errors
    ///
    /// [`AuditFault::NoSpace`] with nothing written, and any other fault of the disk, which also
    /// poisons the log.
    pub fn checkpoint_now(&self) -> Result<Head, AuditFault> {
        let signed = self.ledger.ask()?;
        Ok(signed.unwrap_or_else(|| self.head()))
    }

    /// The verifier of the checkpoints, `name+hash+base64`.
    pub fn audit_key(&self) -> &str {
        &self.verifier
    }

    /// The files, for reading: events, reports, exports.
    pub fn files(&self) -> &AuditFiles {
        &self.files
    }

    /// What stops all further records, if anything does.
    pub fn fault(&self) -> Option<AuditFault> {
        self.log.fault()
    }

    /// Verifies the files (never memory) as far as they are durable.
    ///
    /// # Errors
    ///
    /// [`AuditFault::File`] if one cannot be read. Tampering is not an error but the result.
    pub fn verify_integrity(&self) -> Result<Verification, AuditFault> {
        self.files.verify_while_written(&self.verifier, &self.ledger.growth())
    }

    /// Writes what has a place, signs a last checkpoint and stops. The second time it does nothing.
    ///
    /// # Errors
    ///
    /// The fault that poisoned the log, or that came up now.
    pub fn close(&self) -> Result<(), AuditFault> {
        let Some(mut segments) = self.log.close() else { return Ok(()) };
        let poisoned = match self.log.fault() {
            Some(AuditFault::Closed) | None => None,
            Some(fault) => Some(fault),
        };
        self.ledger.close();
        let notary = self.notary.lock().unwrap_or_else(PoisonError::into_inner).take();
        let signed = notary.map(JoinHandle::join).and_then(Result::ok).unwrap_or(Ok(()));
        if let Some(fault) = poisoned {
            return Err(fault);
        }
        segments.finish().map_err(AuditFault::at(self.files.dir()))?;
        match signed {
            Err(AuditFault::NoSpace) => Ok(()), // the next start signs it
            other => other,
        }
    }
}

impl Drop for AuditLogger {
    fn drop(&mut self) {
        let _ = self.close(); // whoever wants to know calls `close`
    }
}

fn no_thread(error: std::io::Error) -> AuditFault {
    AuditFault::Thread(error.to_string().into())
}

fn start_notary(
    notary: Notary,
    of: (Arc<Ledger>, &GroupCommit<Chain, Segments>),
) -> Result<JoinHandle<Result<(), AuditFault>>, AuditFault> {
    let (ledger, fate) = (of.0, of.1.fate());
    let builder = std::thread::Builder::new().name("audit-notary".to_owned());
    builder.spawn(move || notary.run(&ledger, &*fate)).map_err(no_thread)
}

/// The key must be the one that the log was begun with.
fn check_key(names: &Names, verifier: &str) -> Result<(), AuditFault> {
    let (bytes, _) = read_tail(&names.verifier(), 1024)?;
    let expected = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    if expected != verifier {
        return Err(AuditFault::WrongKey { expected, got: verifier.to_owned() });
    }
    Ok(())
}
