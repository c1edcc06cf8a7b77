//! A throw-away token of SoftHSM 2 for benchmarks and campaigns.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kms::storage::KeyStorage;
use kms_pkcs11::HsmProvider;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::HsmStorage;
use kms_pkcs11::NewToken;
use kms_pkcs11::PinSource;
use kms_pkcs11::WorkerProgram;
use kms_secret::SecretBytes;

use crate::shell::Outcome;

pub(crate) const PIN: &str = "1234";
const SO_PIN: &str = "5678";
const LABEL: &str = "VirtEngine";

/// Where Debian and Fedora put SoftHSM.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// SoftHSM's library, where it is installed.
pub(crate) fn softhsm() -> Option<PathBuf> {
    LIBRARIES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The worker: this program with another word.
pub(crate) fn worker() -> WorkerProgram {
    WorkerProgram::this(&["hsm-worker"])
}

/// Makes a token in `dir`; how to reach it, under the name `soft`.
pub(crate) fn token(dir: &Path, library: &Path) -> Outcome<HsmProviderConfig> {
    let text = |error: std::io::Error| error.to_string();
    let tokens = dir.join("tokens");
    std::fs::create_dir_all(&tokens).map_err(text)?;
    let conf = dir.join("softhsm2.conf");
    let settings = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, settings).map_err(text)?;
    let pin_file = dir.join("pin");
    std::fs::write(&pin_file, PIN).map_err(text)?;
    std::fs::set_permissions(&pin_file, PermissionsExt::from_mode(0o600)).map_err(text)?;
    let config = HsmProviderConfig {
        token_label: Some(LABEL.to_owned()),
        pin: Some(PinSource::File(pin_file)),
        environment: vec![("SOFTHSM2_CONF".to_owned(), conf.display().to_string())],
        max_sessions: 17,
        ..HsmProviderConfig::new("soft", library)
    };
    let (so_pin, pin) =
        (SecretBytes::copy_from(SO_PIN.as_bytes()), SecretBytes::copy_from(PIN.as_bytes()));
    let new = NewToken { label: LABEL, so_pin: &so_pin, pin: &pin, erase: false };
    config.init_token(&worker(), &new).map_err(|error| error.to_string())?;
    Ok(config)
}

/// The token as a storage.
pub(crate) fn storage(config: HsmProviderConfig) -> Outcome<Arc<dyn KeyStorage>> {
    let provider = Arc::new(HsmProvider::new(config, worker()));
    Ok(Arc::new(HsmStorage::new(provider).map_err(|error| error.to_string())?))
}
