//! `[hsm.NAME]`: where a token is and how it is spoken to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kms::key::Label;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::PinSource;
use kms_pkcs11::Pkcs11Uri;
use kms_pkcs11::Profile;
use kms_pkcs11::Timeouts;
use serde::Deserialize;
use serde::Serialize;

/// Sessions at most.
const MOST_SESSIONS: usize = 256;

/// One section: the specification's `HSMProviderConfig`, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hsm {
    /// The vendor's PKCS#11 library.
    pub(crate) library_path: Option<PathBuf>,
    /// The token's label.
    pub(crate) token_label: Option<String>,
    /// The token's serial number.
    pub(crate) serial: Option<String>,
    /// The slot; a hint where a label or serial is given.
    pub(crate) slot_id: Option<u64>,
    /// All of that in one line (RFC 7512).
    pub(crate) uri: Option<String>,
    /// The file with the PIN.
    pub(crate) pin_file: Option<PathBuf>,
    /// The systemd credential with the PIN.
    pub(crate) pin_credential: Option<String>,
    /// Sessions at most.
    pub(crate) max_sessions: usize,
    /// Whether sessions are used again.
    pub(crate) session_pooling: bool,
    /// Whether the token opens the keystore at a start, once it was enrolled.
    pub(crate) unlock_keystore: bool,
    /// Which vendor's it is.
    pub(crate) profile: Option<String>,
    /// Milliseconds for each step of a start.
    pub(crate) start_timeout_ms: u64,
    /// Milliseconds for a signature.
    pub(crate) operation_timeout_ms: u64,
    /// Milliseconds for making a key.
    pub(crate) generate_timeout_ms: u64,
    /// Milliseconds that a call waits for a token that is away.
    pub(crate) recovery_timeout_ms: u64,
    /// Variables that the library reads.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Hsm {
    pub(crate) const FIELDS: &[&str] = &[
        "library_path",
        "token_label",
        "serial",
        "slot_id",
        "uri",
        "pin_file",
        "pin_credential",
        "max_sessions",
        "session_pooling",
        "unlock_keystore",
        "profile",
        "start_timeout_ms",
        "operation_timeout_ms",
        "generate_timeout_ms",
        "recovery_timeout_ms",
        "environment",
    ];

    /// What is wrong with the values of the section `name`.
    pub(crate) fn refusal(&self, name: &str) -> Option<String> {
        self.named(name).err().map(|why| format!("hsm.{name}: {why}"))
    }

    /// The settings as the library takes them.
    ///
    /// # Errors
    /// When a value is out of range or contradicts another.
    pub(crate) fn named(&self, name: &str) -> Result<HsmProviderConfig, String> {
        name.parse::<Label>().map_err(|e| e.to_string())?;
        let milliseconds = |field: &str, value: u64| {
            let fits = (1..=3_600_000).contains(&value);
            fits.then(|| Duration::from_millis(value))
                .ok_or_else(|| format!("{field} is 1 to 3600000 milliseconds"))
        };
        let code = |name: &String| name.starts_with("LD_") || name == "PATH" || name.is_empty();
        if let Some(variable) = self.environment.keys().find(|name| code(name)) {
            return Err(format!("environment.{variable} is not passed on: it could choose code"));
        }
        if !(2..=MOST_SESSIONS).contains(&self.max_sessions) {
            return Err(format!("max_sessions is 2 to {MOST_SESSIONS}; one keeps the login"));
        }
        let profile = match &self.profile {
            Some(name) => Some(Profile::named(name).ok_or_else(|| {
                let known: Vec<&str> = kms_pkcs11::PROFILES.iter().map(|p| p.name).collect();
                format!("profile `{name}` is not known; there are {}", known.join(", "))
            })?),
            None => None,
        };
        let config = HsmProviderConfig {
            slot_id: self.slot_id,
            token_label: self.token_label.clone(),
            serial: self.serial.clone(),
            pin: self.pin()?,
            max_sessions: self.max_sessions,
            session_pooling: self.session_pooling,
            profile,
            environment: self.environment.clone().into_iter().collect(),
            timeouts: Timeouts {
                start: milliseconds("start_timeout_ms", self.start_timeout_ms)?,
                operation: milliseconds("operation_timeout_ms", self.operation_timeout_ms)?,
                generate: milliseconds("generate_timeout_ms", self.generate_timeout_ms)?,
                recovery: milliseconds("recovery_timeout_ms", self.recovery_timeout_ms)?,
            },
            ..HsmProviderConfig::new(name, self.library_path.clone().unwrap_or_default())
        };
        let config = match &self.uri {
            Some(uri) => {
                let uri: Pkcs11Uri =
                    uri.parse().map_err(|e: kms_pkcs11::UriError| e.to_string())?;
                config.with_uri(uri).map_err(|e| e.to_string())?
            }
            None => config,
        };
        if !config.library_path.is_absolute() {
            return Err("library_path is the whole path of the vendor's library".to_owned());
        }
        Ok(config)
    }

    fn pin(&self) -> Result<Option<PinSource>, String> {
        match (&self.pin_file, &self.pin_credential) {
            (Some(_), Some(_)) => Err("the PIN is in pin_file or in pin_credential".to_owned()),
            (Some(path), None) if !path.is_absolute() => {
                Err("pin_file is the whole path of a file".to_owned())
            }
            (Some(path), None) => Ok(Some(PinSource::File(path.clone()))),
            (None, Some(name)) if name.contains('/') || name.starts_with('.') => {
                Err("pin_credential is a name without slashes".to_owned())
            }
            (None, Some(name)) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
                Ok(Some(PinSource::Credential { directory: directory.into(), name: name.clone() }))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Default for Hsm {
    fn default() -> Self {
        let timeouts = Timeouts::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            library_path: None,
            token_label: None,
            serial: None,
            slot_id: None,
            uri: None,
            pin_file: None,
            pin_credential: None,
            max_sessions: 8,
            session_pooling: true,
            unlock_keystore: false,
            profile: None,
            start_timeout_ms: ms(timeouts.start),
            operation_timeout_ms: ms(timeouts.operation),
            generate_timeout_ms: ms(timeouts.generate),
            recovery_timeout_ms: ms(timeouts.recovery),
            environment: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Hsm {
        Hsm { library_path: Some("/lib/x.so".into()), ..Hsm::default() }
    }

    #[test]
    fn what_could_choose_code_is_refused() {
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", ""] {
            let environment = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let refused = Hsm { environment, ..section() }.refusal("x").unwrap();
            assert!(refused.contains("could choose code"), "{refused}");
        }
        let relative = Hsm { library_path: Some("x.so".into()), ..Hsm::default() };
        assert!(relative.refusal("x").is_some());
        assert!(Hsm::default().refusal("x").is_some(), "no library");
        assert_eq!(section().refusal("x"), None);
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let bad = [
            Hsm { pin_file: Some("/p".into()), pin_credential: Some("p".into()), ..section() },
            Hsm { pin_credential: Some("../p".into()), ..section() },
            Hsm { pin_file: Some("p".into()), ..section() },
            Hsm { max_sessions: 1, ..section() },
            Hsm { operation_timeout_ms: 0, ..section() },
            Hsm { profile: Some("yubikey".into()), ..section() },
            Hsm { uri: Some("pkcs11:pin-value=1234".into()), ..section() },
            Hsm { uri: Some("pkcs11:token=a".into()), token_label: Some("b".into()), ..section() },
        ];
        for section in bad {
            assert!(section.refusal("x").is_some(), "{section:?}");
        }
        assert!(section().refusal("a/b").is_some(), "a name that is none");
    }
}
