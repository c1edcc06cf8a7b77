//! SoftHSM behind the module that makes it fail.

use std::path::PathBuf;
use std::time::Duration;

use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::Timeouts;

use crate::softhsm;
use crate::token::Token;

/// A token whose library does what a script says.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) token: Token,
    script: PathBuf,
}

impl Faulty {
    /// A token that works, until [`Self::script`].
    pub(crate) fn new() -> Option<Self> {
        let real = softhsm::token()?;
        let script = real.dir.path().join("script");
        std::fs::write(&script, "").unwrap();
        let mut environment = real.config.environment.clone();
        let module = real.config.library_path.display().to_string();
        environment.push(("PKCS11_FAULT_MODULE".to_owned(), module));
        environment.push(("PKCS11_FAULT_SCRIPT".to_owned(), script.display().to_string()));
        let timeouts = Timeouts {
            start: Duration::from_secs(5),
            operation: Duration::from_secs(1),
            generate: Duration::from_secs(5),
            recovery: Duration::from_secs(2),
        };
        let config =
            HsmProviderConfig { library_path: module_path(), environment, timeouts, ..real.config };
        Some(Self { token: Token { dir: real.dir, config }, script })
    }

    /// From now on the library does this; calls are counted from 1 again.
    pub(crate) fn script(&self, text: &str) {
        self.count_anew();
        std::fs::write(&self.script, text).unwrap();
    }

    /// How many calls of `function` there were since the last script; `all` for all of them.
    pub(crate) fn calls(&self, function: &str) -> u64 {
        std::fs::metadata(self.script.with_extension(function)).map_or(0, |about| about.len())
    }

    fn count_anew(&self) {
        for entry in std::fs::read_dir(self.token.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "script") && path.extension().is_some() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// The module, which cargo builds beside these tests.
fn module_path() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    beside.parent().unwrap().join("libpkcs11_fault.so")
}
