//! Opening a home: what a crash left is put right, what time alone caused is recorded, and what an
//! operator should know is told.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::RwLock;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;

use crate::access::AccessController;
use crate::audit::AuditKey;
use crate::audit::AuditLogger;
use crate::audit::Encoded;
use crate::audit::Head;
use crate::audit::OpenAudit;
use crate::audit::Opened;
use crate::consensus::FloorName;
use crate::consensus::Floors;
use crate::durable::Disk;
use crate::durable::OsDisk;
use crate::key::KeyId;
use crate::key::ManagedKey;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Policies;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Options;
use crate::manager::Refused;
use crate::manager::home::Layout;
use crate::manager::home::access_settings;
use crate::manager::home::load_store_key;
use crate::manager::home::meta;
use crate::manager::home::random_16;
use crate::manager::home::without_database;
use crate::manager::rotation::Lineage;
use crate::manager::session::load_access;
use crate::manager::table::KeyTable;
use crate::multisig::Turn;
use crate::storage::FileStorage;
use crate::storage::Keystore;
use crate::storage::MemoryStorage;
use crate::storage::ORPHANS;
use crate::storage::PARSED_KEYS;
use crate::storage::SLOTS;
use crate::store::Store;
use crate::time::Timestamp;

/// A clock further ahead of the last moment than this is not believed, in seconds: 400 days.
const LEAP_S: u64 = 400 * 86_400;
/// A clock this far behind the last record is worth a word, in seconds.
const BEHIND_S: u64 = 60;

/// Something an operator should know about the home that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Made with `--mfa none`: no second factor is asked for, for ever.
    Development,
    /// The clock is behind the last record; decisions are made for the time of that record.
    ClockBehind {
        /// The clock.
        now: Timestamp,
        /// The last record.
        last: Timestamp,
    },
    /// A torn last line was set aside.
    Torn(String),
    /// Key files without a record were set aside.
    Orphans(Vec<String>),
    /// An operation was begun and the process ended before it told what came of it.
    OutcomeUnknown(Vec<String>),
    /// Records of changes were appended that a crash had kept out of the log.
    Replayed(usize),
    /// Keys that lived in the memory of a process that ended.
    MemoryGone(usize),
    /// The floor of a consensus key was behind the log by more than a crash leaves, and was raised:
    /// somebody put an older one there.
    FloorBehind {
        /// Whose.
        name: FloorName,
        /// By how many signatures.
        behind: usize,
    },
    /// A key is destroyed on record, and its token could not be reached to remove its private half.
    LeftOnToken(KeyId, String),
}

impl Notice {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::ClockBehind { .. } => "clock_behind",
            Self::Torn(_) => "torn_line_set_aside",
            Self::Orphans(_) => "orphaned_key_files",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Replayed(_) => "records_replayed",
            Self::MemoryGone(_) => "memory_keys_gone",
            Self::FloorBehind { .. } => "consensus_state_behind",
            Self::LeftOnToken(..) => "private_key_left_on_token",
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Development => f.write_str(
                "this is a development home: no second factor is asked for; never use it in production",
            ),
            Self::ClockBehind { now, last } => write!(
                f,
                "the clock says {now}, before the last record of {last}; that time counts until the \
                 clock has caught up"
            ),
            Self::Torn(file) => {
                write!(f, "a line of the log that a crash had cut short was moved to {file}")
            }
            Self::Orphans(files) => {
                write!(f, "key files without a record were set aside: {}", files.join(", "))
            }
            Self::OutcomeUnknown(what) => write!(
                f,
                "begun, and the process ended before it told what came of it: {}; look at the key's \
                 state",
                what.join(", ")
            ),
            Self::Replayed(1) => f.write_str("1 record that a crash had kept out was appended"),
            Self::Replayed(count) => {
                write!(f, "{count} records that a crash had kept out were appended")
            }
            Self::FloorBehind { name, behind } => write!(
                f,
                "the state of {name} was {behind} signatures behind the log and was raised; find \
                 out who put an older one there"
            ),
            Self::MemoryGone(count) => {
                write!(f, "{count} keys lived in the memory of a process that has ended")
            }
            Self::LeftOnToken(id, why) => write!(
                f,
                "{id} is destroyed on record, and its private half is still on its token: {why}; \
                 remove it: virtengine hsm delete"
            ),
        }
    }
}

impl KeyManager {
    /// Opens a home, sealed: its keys can be used once someone with a slot has logged in.
    ///
    /// Takes the home's lock for the life of the manager; completes what a crash cut off.
    ///
    /// # Errors
    /// When there is no home, another process has it, a part of it was altered, or the clock is far
    /// ahead of the last record.
    pub fn open(options: Options) -> Result<Self, Error> {
        let layout = Layout::new(&options.home)?;
        if layout.database().symlink_metadata().is_err() {
            return Err(without_database(&layout));
        }
        check_parts(&layout)?;
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let lock = layout.lock()?;
        sweep(&layout)?;
        let store_key = load_store_key(&*disk, &layout.store_key())?;
        let store = Store::open(&layout.database(), &store_key)?;
        let Some(home_id) = store.meta(meta::HOME_ID)? else {
            return Err(Refused::HalfMade(layout.home).into());
        };
        let development = store.meta(meta::DEVELOPMENT)?.as_deref() == Some("1");
        let stored_head = stored_head(&store)?;
        let log = OpenAudit {
            config: options.audit_config(&layout),
            key: AuditKey::load(&layout.audit_key(), &home_id)?,
            anchor: stored_head,
            development,
        };
        let (audit, opened) = AuditLogger::open(Arc::clone(&disk), log)?;
        let now = options.clock.now();
        let last = opened.last_time.unwrap_or(now); // a log without a record says nothing of time
        check_clock(&options, now, last)?;
        let bound = (&store_key, options.machine_id.as_deref());
        let floors = Floors::open(Arc::clone(&disk), layout.consensus(), bound, options.consensus)?;
        let keystore = Arc::new(Keystore::open(Arc::clone(&disk), &layout.keystore())?);
        let kms = Self {
            access: AccessController::new(
                load_access(&store)?,
                access_settings(&options, development),
            )?,
            policies: RwLock::new(Arc::new(load_policies(&store, &options, development)?)),
            changing_policies: Mutex::default(),
            rules: RwLock::new(Arc::new(store.read_all()?)),
            multisig: Turn::default(),
            keys: KeyTable::default(),
            file: FileStorage::new(Arc::clone(&keystore), PARSED_KEYS),
            memory: MemoryStorage::new(),
            floors,
            keystore,
            notices: Mutex::default(),
            stored_head: Mutex::new(stored_head),
            high_water: AtomicI64::new(if options.accept_clock { 0 } else { last.micros() }),
            record_prefix: u64::from_be_bytes(first_half(random_16()?)),
            record_count: AtomicU64::new(0),
            naming: Mutex::default(),
            strangers: Mutex::default(),
            nodes: Mutex::default(),
            repeats: Mutex::default(),
            development,
            layout,
            options,
            store,
            audit,
            _lock: lock,
        };
        kms.recover(&opened, now, last)?;
        Ok(kms)
    }

    fn recover(&self, opened: &Opened, now: Timestamp, last: Timestamp) -> Result<(), Error> {
        if self.development {
            self.notice(Notice::Development);
        }
        if last.seconds_since(now) > BEHIND_S {
            self.notice(Notice::ClockBehind { now, last });
            self.record_clock_step(now, last)?;
        }
        if let Some(torn) = &opened.torn {
            self.notice(Notice::Torn(torn.file.display().to_string()));
            self.record_torn(torn)?;
        }
        self.replay_outbox()?;
        self.forget_ended_sessions(now)?;
        self.load()?;
        let recent = self.recent()?;
        self.check_state(&recent)?;
        self.set_orphans_aside()?;
        self.report_open_intents(recent)?;
        self.raise_floors()?;
        self.carry_out_what_is_due()?;
        self.expire_operations(self.now()?)
    }

    /// Appends, once, the records of changes that were committed but are not in the log.
    fn replay_outbox(&self) -> Result<(), Error> {
        let waiting = self.store.pending_outbox()?;
        let mut replayed = 0;
        for row in waiting {
            if !self.audit.files().contains_since(row.log_size, &row.rid)? {
                self.audit.record(Encoded::from_stored(row.body)?)?.wait()?;
                replayed += 1;
            }
            self.store.clear_outbox(row.position);
        }
        if replayed > 0 {
            self.notice(Notice::Replayed(replayed));
        }
        Ok(())
    }

    fn load(&self) -> Result<(), Error> {
        let mut gone = 0;
        self.store.for_each(|key: ManagedKey| {
            gone += usize::from(key.storage.as_str() == "memory" && key.destroyed_at.is_none());
            self.keys.insert(key);
        })?;
        self.store.for_each(|lineage: Lineage| {
            self.keys.set_current(&lineage.label, lineage.current);
        })?;
        if gone > 0 {
            self.notice(Notice::MemoryGone(gone));
        }
        Ok(())
    }
}

/// Names the part that is missing, where one is: what is said of it further down names no path.
fn check_parts(layout: &Layout) -> Result<(), Error> {
    let slots = layout.keystore().join(SLOTS);
    let parts = [layout.store_key(), layout.keystore(), slots, layout.audit(), layout.audit_key()];
    for part in parts {
        if part.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            return Err(Fault::PartGone(part).into());
        }
    }
    Ok(())
}

/// Removes what writes that a crash cut off left behind. Only under the home's lock.
fn sweep(layout: &Layout) -> Result<(), Error> {
    let parts = [layout.home.clone(), layout.state(), layout.keystore(), layout.audit()];
    for part in parts.into_iter().chain([layout.keystore().join(ORPHANS)]) {
        _ = OsDisk.sweep(&part)?;
    }
    Ok(())
}

/// Refuses a clock that is far ahead of the last moment anything was decided for.
pub(crate) fn check_clock(options: &Options, now: Timestamp, last: Timestamp) -> Result<(), Error> {
    if !options.accept_clock && now.seconds_since(last) > LEAP_S {
        return Err(Refused::ClockLeapt { now, last }.into());
    }
    Ok(())
}

fn load_policies(store: &Store, options: &Options, development: bool) -> Result<Policies, Error> {
    let mut policies = Policies::default();
    let stored: Vec<KeyLifecyclePolicy> = store.read_all()?;
    for policy in options.policies.iter().cloned().chain(stored) {
        if policies.named(&policy.name).is_some() {
            _ = policies.replace(policy)?;
        } else {
            policies.register(policy)?;
        }
    }
    if development {
        for policy in policies.iter().cloned().collect::<Vec<_>>() {
            _ = policies.replace(policy.without_mfa())?;
        }
    }
    Ok(policies)
}

fn stored_head(store: &Store) -> Result<Option<Head>, Error> {
    let Some(text) = store.meta(meta::AUDIT_HEAD)? else { return Ok(None) };
    let unreadable = || Fault::Inconsistent(format!("the stored head of the log is `{text}`"));
    let head = text.parse().map_err(|_| unreadable())?;
    Ok(Some(head))
}

fn first_half(bytes: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = bytes;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_far_ahead_of_the_last_record_is_not_believed_unless_told_to() {
        let now: Timestamp = "2026-11-23T21:45:00Z".parse().unwrap();
        let before = |seconds: i64| Timestamp::from_micros(now.micros() - seconds * 1_000_000);
        let options = Options::new("unused");
        assert!(check_clock(&options, now, before(400 * 86_400)).is_ok());
        let leapt = check_clock(&options, now, before(400 * 86_400 + 1)).unwrap_err();
        assert_eq!(leapt.code(), "clock_leapt");
        let believed = Options { accept_clock: true, ..options };
        assert!(check_clock(&believed, now, before(400 * 86_400 + 1)).is_ok());
    }
}
