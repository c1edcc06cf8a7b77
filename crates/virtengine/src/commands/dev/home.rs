//! The throw-away home: a directory of its own for its owner only, with a random passphrase.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kms::access::PrincipalName;
use kms::manager::Client;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::Options;
use kms_secret::SecretBytes;

use crate::commands::dev::name;
use crate::commands::dev::show::Show;
use crate::exit::Exit;
use crate::problem::Problem;

/// The administrator of a throw-away home.
pub(crate) const ADMIN: &str = "dev";

/// A throw-away home.
pub(crate) struct ThrowAway {
    dir: PathBuf,
    /// Its random passphrase: 32 hex digits.
    pub(crate) passphrase: SecretBytes,
}

impl ThrowAway {
    /// The home itself.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Where its log is.
    pub(crate) fn audit(&self) -> PathBuf {
        self.home().join("audit")
    }

    /// Where the copy goes that is damaged.
    pub(crate) fn copy(&self) -> PathBuf {
        self.dir.join("damaged-copy-of-audit")
    }

    /// The file with its passphrase, so that what is printed to try next can be pasted.
    pub(crate) fn passphrase_file(&self) -> PathBuf {
        self.dir.join("passphrase")
    }

    /// How it is opened.
    pub(crate) fn options(&self) -> Options {
        Options::new(self.home())
    }

    /// Its administrator's login.
    pub(crate) fn login<'a>(&'a self, admin: &'a PrincipalName) -> Login<'a> {
        let client = Client { source_ip: None, user_agent: "virtengine dev".to_owned() };
        Login { principal: admin, passphrase: &self.passphrase, mfa_code: None, client }
    }
}

/// Makes it.
///
/// # Errors
/// When the temporary directory cannot be written.
pub(crate) fn make(show: &mut Show) -> Result<ThrowAway, Problem> {
    let dir = std::env::temp_dir().join(format!("virtengine-dev-{}", random_hex()?));
    let refuse = |e| Problem::io(format!("cannot make {}", dir.display()), &e);
    DirBuilder::new().mode(0o700).create(&dir).map_err(refuse)?;
    let passphrase = random_passphrase()?;
    let home = ThrowAway { dir: dir.clone(), passphrase };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(home.passphrase_file());
    kms_secret::write_secret(file.map_err(refuse)?, &home.passphrase).map_err(refuse)?;
    let init = Init { admin: name(ADMIN)?, passphrase: &home.passphrase, mfa: Mfa::None };
    let made = KeyManager::init(&home.options(), init)?;
    show.title("A home of its own, for development");
    show.step("home", &home.home().display().to_string())?;
    show.passphrase(&home.passphrase)?;
    show.step("administrator", made.admin.name.as_str())?;
    show.step("audit key", &made.audit_key)?;
    Ok(home)
}

fn random_passphrase() -> Result<SecretBytes, Problem> {
    let mut drawn = Ok(());
    let bytes = SecretBytes::make(16, |bytes| drawn = aws_lc_rs::rand::fill(bytes));
    drawn.map_err(|_| no_randomness())?;
    Ok(bytes.to_hex())
}

fn random_hex() -> Result<String, Problem> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(hex::encode(bytes))
}

fn no_randomness() -> Problem {
    Problem::new(Exit::Unavailable, "random", "the system gave no random bytes")
}
