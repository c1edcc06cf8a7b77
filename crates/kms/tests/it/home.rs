//! A home in a temporary directory, as a caller sees it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use kms::access::Assignment;
use kms::access::PrincipalKind;
use kms::access::RoleName;
use kms::audit::AuditEvent;
use kms::audit::Query;
use kms::audit::Verification;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::ManagedKey;
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
use kms::manager::NewPrincipal;
use kms::manager::Options;
use kms::time::Clock;
use kms::time::ManualClock;
use kms::time::SystemClock;
use kms_secret::SecretBytes;
use sha1::Sha1;

/// The administrator's passphrase in every test home.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A home that goes with the test.
pub(crate) struct Home {
    /// Where its directory and copies of it are.
    place: PathBuf,
    _directory: Option<tempfile::TempDir>,
    clock: Arc<ManualClock>,
    /// What the administrator's authenticator app was given.
    uri: Option<String>,
    /// What she wrote down for when she loses the app.
    recovery_codes: Vec<String>,
}

impl Home {
    /// A development home, whose administrator is `alice`, at the present moment.
    pub(crate) fn development() -> Self {
        Self::init(Mfa::None)
    }

    /// A home as in production: `alice` has a second factor, see [`Self::code`].
    pub(crate) fn guarded() -> Self {
        Self::init(Mfa::Totp)
    }

    /// A development home in a directory that is there.
    pub(crate) fn development_in(place: PathBuf) -> Self {
        Self::init_in((place, None), Mfa::None)
    }

    fn init(mfa: Mfa) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::init_in((directory.path().to_owned(), Some(directory)), mfa)
    }

    fn init_in((place, directory): (PathBuf, Option<tempfile::TempDir>), mfa: Mfa) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let mut home =
            Self { place, _directory: directory, clock, uri: None, recovery_codes: Vec::new() };
        let passphrase = secret(PASSPHRASE);
        let admin = "alice".parse().unwrap();
        let init = Init { admin, passphrase: &passphrase, mfa };
        let made = KeyManager::init(&home.options(), init).unwrap();
        if let Some(made) = made.mfa {
            home.uri = Some(text(&made.uri));
            home.recovery_codes = made.recovery_codes.iter().map(text).collect();
        }
        home
    }

    /// The shared secret of the administrator's second factor, as the app shows it (base32).
    pub(crate) fn seed(&self) -> &str {
        let (_, rest) = self.uri.as_deref().unwrap().split_once("secret=").unwrap();
        rest.split('&').next().unwrap()
    }

    /// The administrator's recovery codes.
    pub(crate) fn recovery_codes(&self) -> &[String] {
        &self.recovery_codes
    }

    /// The code that the administrator's authenticator app shows at this moment.
    pub(crate) fn code(&self) -> String {
        totp(&base32(self.seed()), self.clock.now().unix_seconds())
    }

    /// Waits for the next code of the app.
    pub(crate) fn next_code(&self) -> String {
        self.clock.advance_seconds(30);
        self.code()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.join("home")
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

    /// Opens the home and logs `alice` in, with a new code where she has a second factor.
    pub(crate) fn enter(&self) -> (KeyManager, Caller) {
        let kms = self.open().unwrap();
        let caller = self.admin(&kms);
        (kms, caller)
    }

    /// Logs `alice` in, with a new code where she has a second factor.
    pub(crate) fn admin(&self, kms: &KeyManager) -> Caller {
        let code = self.uri.is_some().then(|| self.next_code());
        login_with(kms, ("alice", PASSPHRASE), code.as_deref()).unwrap()
    }

    /// What an auditor finds in the files of the log, without the home's help.
    pub(crate) fn verify_log(&self) -> Verification {
        verify_files(&self.path().join("audit"), &VerifyOptions::default()).unwrap()
    }

    /// A copy of one directory of the home, or of all of it.
    pub(crate) fn copy(&self, part: &str) -> PathBuf {
        let copy = tempfile::tempdir_in(&self.place).unwrap().keep();
        copy_directory(&self.path().join(part), &copy);
        copy
    }

    /// Puts a copy back in the place of what is there now.
    pub(crate) fn put_back(&self, part: &str, copy: &Path) {
        fs::remove_dir_all(self.path().join(part)).unwrap();
        copy_directory(copy, &self.path().join(part));
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// RFC 6238 with the parameters every app has: SHA-1, 30 seconds, six digits.
fn totp(seed: &[u8], unix_seconds: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed).unwrap();
    mac.update(&(unix_seconds / 30).to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest.last().unwrap() & 15);
    let word = digest.get(at..at + 4).unwrap().try_into().unwrap();
    let word = u32::from_be_bytes(word) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

pub(crate) fn base32(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let value = |c| u64::try_from(letters.iter().position(|l| *l == c).unwrap()).unwrap();
    let groups = text.as_bytes().chunks(8);
    let bits = groups.map(|group| group.iter().fold(0, |bits, c| bits << 5 | value(*c)));
    bits.flat_map(|bits: u64| bits.to_be_bytes()[3..].to_vec()).collect()
}

pub(crate) fn login(kms: &KeyManager, name: &str, passphrase: &str) -> Result<Caller, Error> {
    login_with(kms, (name, passphrase), None)
}

pub(crate) fn login_with(
    kms: &KeyManager,
    (name, passphrase): (&str, &str),
    mfa_code: Option<&str>,
) -> Result<Caller, Error> {
    let (name, passphrase) = (name.parse().unwrap(), secret(passphrase));
    kms.login(Login { principal: &name, passphrase: &passphrase, mfa_code, client: here() })
}

/// The client every test logs in from.
pub(crate) fn here() -> Client {
    client(None, "tests")
}

pub(crate) fn client(source_ip: Option<IpAddr>, user_agent: &str) -> Client {
    Client { source_ip, user_agent: user_agent.to_owned() }
}

/// Someone with these roles everywhere, and [`PASSPHRASE`].
pub(crate) fn add_principal(kms: &KeyManager, by: &Caller, (name, role): (&str, &str)) {
    let role: RoleName = role.parse().unwrap();
    let new = NewPrincipal {
        name: name.parse().unwrap(),
        kind: PrincipalKind::User,
        assignments: vec![Assignment::everywhere(role)],
        slot: None,
    };
    kms.access(by).create_principal(new, &secret(PASSPHRASE)).unwrap();
}

fn text(secret: &SecretBytes) -> String {
    String::from_utf8(secret.expose().to_vec()).unwrap()
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

/// Makes a key that is active at once.
pub(crate) fn make(kms: &KeyManager, by: &Caller, label: &str) -> ManagedKey {
    kms.generate_key(by, &label.parse().unwrap(), new_key(Algorithm::Ed25519)).unwrap()
}

pub(crate) fn named(label: &str) -> KeyRef {
    label.parse().unwrap()
}

/// Every record of the log, oldest first, without a record of the reading.
pub(crate) fn records(home: &Home) -> Vec<AuditEvent> {
    let files = kms::audit::AuditFiles::at(&home.path().join("audit/audit.log")).unwrap();
    files.find(&Query::default()).unwrap()
}

pub(crate) fn because(reason: &str) -> Reason {
    reason.parse().unwrap()
}

/// The file with the private half of a key.
pub(crate) fn key_file(home: &Home, key: &ManagedKey) -> PathBuf {
    let id = key.id.to_string();
    let entries = fs::read_dir(home.path().join("keystore")).unwrap();
    let names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let bare = id.trim_start_matches("k-");
    let is_of = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().contains(bare);
    names.iter().find(is_of).unwrap().clone()
}

/// The only segment of a small log.
pub(crate) fn log_of(home: &Path) -> PathBuf {
    home.join("audit/audit-000001.log")
}
