//! A throw-away home for campaigns and benchmarks.

use std::path::Path;

use kms::key::Algorithm;
use kms::key::Purpose;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::Error;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::NewKey;
use kms::manager::Options;
use kms_secret::SecretBytes;

use crate::shell::Outcome;

/// Opens every home of the campaigns and benchmarks.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
const ADMIN: &str = "admin";

/// Makes a home.
pub(crate) fn init(home: &Path) -> Outcome {
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    let admin = ADMIN.parse().map_err(|error| format!("{error}"))?;
    let init = Init { admin, passphrase: &passphrase, mfa: Mfa::None };
    KeyManager::init(&Options::new(home), init).map(|_| ()).map_err(|error| error.to_string())
}

/// Opens a home and logs in.
pub(crate) fn open(home: &Path) -> Result<(KeyManager, Caller), Error> {
    let kms = KeyManager::open(Options::new(home))?;
    let caller = login(&kms)?;
    Ok((kms, caller))
}

/// Logs in.
pub(crate) fn login(kms: &KeyManager) -> Result<Caller, Error> {
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    let principal = ADMIN.parse().expect("a plain name");
    let client = Client::default();
    kms.login(Login { principal: &principal, passphrase: &passphrase, mfa_code: None, client })
}

/// A key in a file, for anything.
pub(crate) fn new_key(algorithm: Algorithm) -> NewKey {
    NewKey {
        purpose: Purpose::General,
        algorithm: Some(algorithm),
        storage: "file".parse().expect("`file` is a storage"),
        policy: None,
        activate: true,
    }
}
