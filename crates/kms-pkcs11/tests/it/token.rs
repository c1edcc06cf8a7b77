//! Tokens of one test each: a directory, a configuration, a PIN in a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kms_pkcs11::HsmProvider;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::HsmStorage;
use kms_pkcs11::NewToken;
use kms_pkcs11::PinSource;
use kms_pkcs11::WorkerProgram;
use kms_secret::SecretBytes;
use tempfile::TempDir;

pub(crate) const PIN: &str = "1234";
pub(crate) const SO_PIN: &str = "5678";
pub(crate) const LABEL: &str = "VirtEngine";

/// A token that is initialised, and where it lives.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) dir: TempDir,
    pub(crate) config: HsmProviderConfig,
}

impl Token {
    /// A storage over this token.
    pub(crate) fn storage(&self) -> HsmStorage {
        HsmStorage::new(Arc::new(self.provider())).unwrap()
    }

    pub(crate) fn provider(&self) -> HsmProvider {
        HsmProvider::new(self.config.clone(), worker())
    }

    /// Initialises a token through the product itself.
    pub(crate) fn initialised(dir: TempDir, config: HsmProviderConfig) -> Self {
        let (so_pin, pin) = (secret(SO_PIN), secret(PIN));
        let new = NewToken { label: LABEL, so_pin: &so_pin, pin: &pin, erase: false };
        config.init_token(&worker(), &new).unwrap();
        let pin_file = write_private(&dir.path().join("pin"), PIN);
        let config = HsmProviderConfig {
            token_label: Some(LABEL.to_owned()),
            pin: Some(PinSource::File(pin_file)),
            ..config
        };
        Self { dir, config }
    }
}

pub(crate) fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from(text.as_bytes())
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}

/// The worker of these tests.
pub(crate) fn worker() -> WorkerProgram {
    WorkerProgram { program: env!("CARGO_BIN_EXE_hsm-worker").into(), arguments: Vec::new() }
}

/// The first of these files that is there; else the test is skipped aloud, and in CI fails.
pub(crate) fn needed(what: &str, package: &str, paths: &[&str]) -> Option<PathBuf> {
    if let Some(found) = paths.iter().map(Path::new).find(|path| path.exists()) {
        return Some(found.to_owned());
    }
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: apt-get install {package}");
    eprintln!("SKIPPED: {what} is missing: apt-get install {package}");
    None
}
