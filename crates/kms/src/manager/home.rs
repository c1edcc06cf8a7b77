//! The home: one directory with everything of one key management system.
//!
//! ```text
//! <home>/            0700
//!   lock             one process at a time
//!   config.toml      the configuration, if there is one (read by the program, not here)
//!   state/kms.db     records of keys, principals, roles, policies, sessions
//!   state/store.key  the key that seals the database's rows, 0600
//!   keystore/        one encrypted file per key, and the unsealing slots
//!   audit/           the log, its checkpoints and its key
//! ```

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kms_secret::SecretBytes;

use crate::access;
use crate::access::AccessContents;
use crate::access::AccessController;
use crate::access::AccessSettings;
use crate::access::Enrolment;
use crate::access::MfaMode;
use crate::access::PassphraseCredential;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::TotpCredential;
use crate::audit::AuditKey;
use crate::audit::AuditLogger;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::OpenAudit;
use crate::audit::RecordId;
use crate::durable;
use crate::durable::Disk;
use crate::durable::HomeLock;
use crate::durable::LockError;
use crate::durable::OsDisk;
use crate::durable::lock_home;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::Init;
use crate::manager::KeyManager;
use crate::manager::Mfa;
use crate::manager::Options;
use crate::manager::Refused;
use crate::manager::people::put_change;
use crate::manager::way::text;
use crate::storage::Keystore;
use crate::storage::NewSlot;
use crate::storage::SlotKind;
use crate::store::Store;

/// The longest key file of the home itself, in bytes.
const KEY_FILE_LIMIT: u64 = 1024;

/// What [`KeyManager::init`] made.
#[derive(Debug)]
pub struct Initialized {
    /// The first administrator.
    pub admin: Principal,
    /// What the administrator's authenticator app needs; absent on a development home.
    pub mfa: Option<Enrolment>,
    /// The public half of the audit key, as C2SP signed notes write it.
    pub audit_key: String,
}

/// Where the parts of a home are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) home: PathBuf,
}

impl Layout {
    pub(crate) fn new(home: &Path) -> Result<Self, Error> {
        Ok(Self { home: durable::resolve(home)? })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.state().join("kms.db")
    }

    pub(crate) fn store_key(&self) -> PathBuf {
        self.state().join("store.key")
    }

    pub(crate) fn consensus(&self) -> PathBuf {
        self.state().join("consensus")
    }

    pub(crate) fn keystore(&self) -> PathBuf {
        self.home.join("keystore")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.home.join("audit")
    }

    pub(crate) fn audit_key(&self) -> PathBuf {
        self.audit().join("audit.key")
    }

    /// Takes the lock of the home for as long as what is returned lives.
    pub(crate) fn lock(&self) -> Result<HomeLock, Error> {
        lock_home(&self.home).map_err(|error| match error {
            LockError::Held { pid } => Refused::HomeInUse { home: self.home.clone(), pid }.into(),
            LockError::Disk(error) => Fault::from(error).into(),
        })
    }
}

/// The store's meta values.
pub(crate) mod meta {
    /// Names the home for ever: 32 hex digits.
    pub(crate) const HOME_ID: &str = "home_id";
    /// `1` on a home that was made with `--mfa none`.
    pub(crate) const DEVELOPMENT: &str = "development";
    /// The number of the keystore key, which only grows.
    pub(crate) const KEYSTORE_GENERATION: &str = "keystore_generation";
    /// The newest signed size and root of the log, `SIZE:ROOT`.
    pub(crate) const AUDIT_HEAD: &str = "audit_head";
}

impl KeyManager {
    /// Makes a home with exactly one administrator; everything is durable on return.
    ///
    /// The last thing written is the transaction with the administrator: without it there is no
    /// home, and [`Self::open`] says so.
    ///
    /// # Errors
    /// When there is a home or something of one, when the passphrase is too weak, or when something
    /// cannot be written.
    pub fn init(options: &Options, init: Init<'_>) -> Result<Initialized, Error> {
        let layout = Layout::new(&options.home)?;
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        refuse_existing(&layout)?;
        disk.create_dir(&layout.home)?;
        let _lock = layout.lock()?;
        refuse_existing(&layout)?;
        let now = options.clock.now();
        let development = init.mfa == Mfa::None;
        // 1. Who may do what, decided before anything is written.
        let access = AccessController::new(
            AccessContents::default(),
            access_settings(options, development),
        )?;
        let (passphrase, stretched) =
            PassphraseCredential::create(access.stretcher(), init.passphrase)?;
        let id = PrincipalId::random()?;
        let enrolment = match init.mfa {
            Mfa::Totp => Some(TotpCredential::enroll((id, &init.admin), &stretched, now)?),
            Mfa::None => None,
        };
        let admin = access::NewPrincipal {
            id,
            name: init.admin,
            kind: PrincipalKind::User,
            passphrase: Some(passphrase),
            totp: enrolment.as_ref().map(|enrolment| enrolment.credential.clone()),
            has_slot: true,
        };
        let mut changing = access.changing();
        let change = changing.bootstrap(admin, now)?;
        changing.apply(&change);
        drop(changing);
        // 2. The log, under a key of its own.
        let home_id = random_hex()?;
        disk.create_dir(&layout.audit())?;
        let key = AuditKey::create(&*disk, &layout.audit_key(), &home_id)?;
        let audit_key = key.verifier();
        let config = options.audit_config(&layout);
        let log = OpenAudit { config, key, anchor: None, development };
        let audit = AuditLogger::create(Arc::clone(&disk), log)?;
        // 3. The keystore, with the administrator's slot.
        disk.create_dir(&layout.keystore())?;
        let seed = stretched.unseal_key();
        let owner = id.to_string();
        let slot =
            NewSlot { kind: SlotKind::Passphrase, principal: &owner, seed: &seed, wrapped: None };
        _ = Keystore::create(Arc::clone(&disk), &layout.keystore(), slot)?;
        // 4. The store, and in its first transaction the home.
        disk.create_dir(&layout.state())?;
        let store_key = create_store_key(&*disk, &layout.store_key())?;
        let store = Store::create(&layout.database(), &store_key)?;
        let rid = RecordId::draw()?;
        let mut draft = Draft::new(EventType::HomeInitialized, now, rid);
        draft.principal = Some(owner.clone());
        draft.details.push(text("development", development.to_string()));
        let record = draft.encode();
        let position = store.transact("init", |tx| {
            tx.set_meta(meta::HOME_ID, &home_id)?;
            tx.set_meta(meta::DEVELOPMENT, if development { "1" } else { "0" })?;
            put_change(tx, &change)?;
            tx.outbox(&rid.to_hex(), 0, record.as_bytes())
        })?;
        audit.record(record)?.wait()?;
        store.clear_outbox(position);
        store.close()?;
        audit.close()?;
        let admin = access.principal(&owner).ok_or(Fault::Random)?;
        Ok(Initialized { admin, mfa: enrolment, audit_key })
    }
}

/// The settings of the access room.
pub(crate) fn access_settings(options: &Options, development: bool) -> AccessSettings {
    let mfa = if development { MfaMode::Development } else { MfaMode::Required };
    AccessSettings { sessions: options.session.clone(), mfa }
}

fn refuse_existing(layout: &Layout) -> Result<(), Error> {
    if layout.database().symlink_metadata().is_ok() {
        return Err(Refused::HomeExists(layout.home.clone()).into());
    }
    match without_database(layout) {
        Error::Refused(Refused::NoHome(_)) => Ok(()),
        something => Err(something),
    }
}

/// What a directory without a database is: no home, one whose making was cut off, or one that has
/// lost its database, which must not be taken for either: its key files are still worth something.
pub(crate) fn without_database(layout: &Layout) -> Error {
    let parts = [layout.state(), layout.keystore(), layout.audit()];
    if !parts.iter().any(|part| part.symlink_metadata().is_ok()) {
        return Refused::NoHome(layout.home.clone()).into();
    }
    let names = OsDisk.list(&layout.keystore()).unwrap_or_default();
    match names.iter().filter(|name| name.ends_with(".key")).count() {
        0 => Refused::HalfMade(layout.home.clone()).into(),
        keys => Fault::DatabaseGone { path: layout.database(), keys }.into(),
    }
}

fn create_store_key(disk: &dyn Disk, path: &Path) -> Result<SecretBytes, Error> {
    let mut key = SecretBytes::zeroed(32);
    aws_lc_rs::rand::fill(key.expose_mut()).map_err(|_| Fault::Random)?;
    disk.create(path, key.to_hex().expose())?;
    Ok(key)
}

/// Reads the key that seals the database's rows.
pub(crate) fn load_store_key(disk: &dyn Disk, path: &Path) -> Result<SecretBytes, Error> {
    let mut text = disk.read(path, KEY_FILE_LIMIT)?;
    let key = SecretBytes::from_hex(text.trim_ascii()).filter(|key| key.len() == 32);
    zeroize::Zeroize::zeroize(&mut text);
    key.ok_or_else(|| Fault::Inconsistent(format!("{} is no key", path.display())).into())
}

/// 128 random bits as 32 hex digits.
pub(crate) fn random_hex() -> Result<String, Error> {
    random_16().map(hex::encode)
}

/// 16 random bytes.
pub(crate) fn random_16() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::Random)?;
    Ok(bytes)
}
