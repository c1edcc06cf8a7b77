//! A home in a temporary directory, as a caller sees it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kms::key::Algorithm;
use kms::key::Purpose;
use kms::key::Reason;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::Error;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::NewKey;
use kms::manager::Options;
use kms::time::Clock;
use kms::time::ManualClock;
use kms::time::SystemClock;
use kms_secret::SecretBytes;

/// The administrator's passphrase in every test home.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A home that goes with the test.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Home {
    /// A development home, whose administrator is `alice`, at the present moment.
    pub(crate) fn development() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Self { directory, clock: Arc::new(ManualClock::new(SystemClock.now())) };
        let passphrase = secret(PASSPHRASE);
        let admin = "alice".parse().unwrap();
        let init = Init { admin, passphrase: &passphrase, mfa: Mfa::None };
        KeyManager::init(&home.options(), init).unwrap();
        home
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub(crate) fn clock(&self) -> &ManualClock {
        &self.clock
    }

    pub(crate) fn options(&self) -> Options {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Options { clock, stays: true, ..Options::new(self.path()) }
    }

    pub(crate) fn open(&self) -> Result<KeyManager, Error> {
        KeyManager::open(self.options())
    }

    /// Opens the home and logs `alice` in.
    pub(crate) fn enter(&self) -> (KeyManager, Caller) {
        let kms = self.open().unwrap();
        let caller = login(&kms, "alice", PASSPHRASE).unwrap();
        (kms, caller)
    }
}

pub(crate) fn login(kms: &KeyManager, name: &str, passphrase: &str) -> Result<Caller, Error> {
    let (name, passphrase) = (name.parse().unwrap(), secret(passphrase));
    let client = Client { source_ip: None, user_agent: "tests".to_owned() };
    kms.login(Login { principal: &name, passphrase: &passphrase, mfa_code: None, client })
}

pub(crate) fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from(text.as_bytes())
}

pub(crate) fn new_key(algorithm: Algorithm) -> NewKey {
    NewKey {
        purpose: Purpose::General,
        algorithm: Some(algorithm),
        storage: "file".parse().unwrap(),
        policy: None,
        activate: true,
    }
}

pub(crate) fn because(reason: &str) -> Reason {
    reason.parse().unwrap()
}

/// The only segment of a small log.
pub(crate) fn log_of(home: &Path) -> PathBuf {
    home.join("audit/audit-000001.log")
}
