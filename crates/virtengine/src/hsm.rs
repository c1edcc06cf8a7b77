//! The HSMs of the configuration, as the library takes them.

use std::sync::Arc;

use kms::key::Label;
use kms::storage::KeyStorage;
use kms_pkcs11::HsmProvider;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::HsmStorage;
use kms_pkcs11::PinSource;
use kms_pkcs11::WorkerProgram;
use kms_secret::SecretBytes;

use crate::config::Config;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::visit::at_terminal;

/// The word that makes this program a worker; see `main`.
pub(crate) const WORKER: &str = "hsm-worker";
/// A PIN has at most so many bytes.
const PIN_LIMIT: usize = 256;

/// This program as the worker of a PKCS#11 library.
pub(crate) fn worker() -> WorkerProgram {
    WorkerProgram::this(&[WORKER])
}

/// Every HSM of the configuration as a storage; none is spoken to before its first use.
///
/// # Errors
/// When a section cannot be used.
pub(crate) fn storages(config: &Config) -> Result<Vec<Arc<dyn KeyStorage>>, Problem> {
    let storage = |name: &String| {
        let provider = Arc::new(HsmProvider::new(configured(config, name)?, worker()));
        let storage = HsmStorage::new(provider).map_err(|e| Problem::usage(e.to_string()))?;
        Ok(Arc::new(storage) as Arc<dyn KeyStorage>)
    };
    config.hsm.keys().map(storage).collect()
}

/// The HSM that is meant: the one named, or the only one.
///
/// # Errors
/// When there is none of this name, or no name and not exactly one.
pub(crate) fn named(config: &Config, name: Option<&Label>) -> Result<String, Problem> {
    let known: Vec<&str> = config.hsm.keys().map(String::as_str).collect();
    match (name, known.as_slice()) {
        (Some(name), _) if config.hsm.contains_key(name.as_str()) => Ok(name.to_string()),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(name), _) => Err(unknown(format!("no HSM is named `{name}`"), &known)),
        (None, []) => Err(unknown("no HSM is configured".to_owned(), &known)),
        (None, _) => {
            Err(Problem::usage("there are several HSMs; name one").because(known.join(", ")))
        }
    }
}

/// How the HSM of this name is reached.
///
/// # Errors
/// When there is none, or its section cannot be used.
pub(crate) fn configured(config: &Config, name: &str) -> Result<HsmProviderConfig, Problem> {
    let section =
        config.hsm.get(name).ok_or_else(|| unknown(format!("no HSM is named `{name}`"), &[]))?;
    let mut found = section.named(name).map_err(|why| {
        Problem::new(Exit::Usage, "config_invalid", format!("[hsm.{name}] is invalid")).because(why)
    })?;
    if found.pin.is_none() && at_terminal() {
        found.pin = Some(asked(name));
    }
    Ok(found)
}

/// A PIN that a person is asked for when it is needed.
pub(crate) fn asked(name: &str) -> PinSource {
    let question = format!("PIN of HSM {name}: ");
    let ask = move || -> Result<SecretBytes, String> {
        kms_secret::prompt_secret(&question, PIN_LIMIT).map_err(|e| e.to_string())
    };
    PinSource::Ask(Arc::new(ask))
}

fn unknown(message: String, known: &[&str]) -> Problem {
    let problem = Problem::new(Exit::NotFound, "hsm_not_configured", message);
    let problem = match known {
        [] => problem.because("the configuration has no section [hsm.NAME]"),
        some => problem.because(format!("there are {}", some.join(", "))),
    };
    problem.fix("add [hsm.NAME] with library_path and token_label to config.toml")
}
