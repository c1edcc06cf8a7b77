//! [`HsmProviderConfig`]: where a token is and how it is spoken to.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kms::storage::DeviceError;
use kms_secret::SecretBytes;

use crate::error::pin;
use crate::error::settings;
use crate::profile::Profile;
use crate::uri::Pkcs11Uri;

/// A PIN has at most so many bytes.
pub(crate) const PIN_LIMIT: usize = 256;
/// Sessions unless told otherwise.
pub(crate) const DEFAULT_SESSIONS: usize = 8;
/// No more sessions than this, whatever is asked for.
pub(crate) const MOST_SESSIONS: usize = 256;

/// How to reach one token: the specification's `HSMProviderConfig`, and what it leaves out.
#[derive(Debug, Clone)]
pub struct HsmProviderConfig {
    /// What people call it: the NAME of `hsm:NAME`.
    pub name: String,
    /// The vendor's library; the whole path.
    pub library_path: PathBuf,
    /// The slot. Only a hint where a label or serial is given: slots move.
    pub slot_id: Option<u64>,
    /// The token's label.
    pub token_label: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// Where the PIN comes from; `None` for tokens that ask for none.
    pub pin: Option<PinSource>,
    /// Sessions at most, one of which only keeps the login.
    pub max_sessions: usize,
    /// Whether a session is used again.
    pub session_pooling: bool,
    /// Which vendor's it is; found by itself if absent.
    pub profile: Option<&'static Profile>,
    /// Settings of the library itself that are passed on in its environment.
    pub environment: Vec<(String, String)>,
    /// Whether a login is tried although the token says that few tries are left.
    pub risk_pin: bool,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// Where a PIN comes from. Read once for each loading of the configuration.
#[derive(Clone)]
pub enum PinSource {
    /// The first line of a file.
    File(PathBuf),
    /// A credential of this name that systemd hands over (`LoadCredential=`), whose directory this is.
    Credential {
        /// `$CREDENTIALS_DIRECTORY`.
        directory: PathBuf,
        /// Its name there.
        name: String,
    },
    /// A person is asked.
    Ask(Arc<dyn Fn() -> Result<SecretBytes, String> + Send + Sync>),
}

/// How long each kind of call may take before the library counts as hung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Loading and initialising the library, and logging in: each.
    pub start: Duration,
    /// Signing, looking, removing.
    pub operation: Duration,
    /// Making or taking in a key.
    pub generate: Duration,
    /// How long a call waits for a token that is away.
    pub recovery: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            operation: Duration::from_secs(5),
            generate: Duration::from_secs(120),
            recovery: Duration::from_secs(2),
        }
    }
}

impl HsmProviderConfig {
    /// The token behind a library, everything else as it comes.
    pub fn new(name: impl Into<String>, library_path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            library_path: library_path.into(),
            slot_id: None,
            token_label: None,
            serial: None,
            pin: None,
            max_sessions: DEFAULT_SESSIONS,
            session_pooling: true,
            profile: None,
            environment: Vec::new(),
            risk_pin: false,
            timeouts: Timeouts::default(),
        }
    }

    /// Takes what a PKCS#11 URI says; what was set before stays.
    ///
    /// # Errors
    /// When the two contradict each other.
    pub fn with_uri(mut self, uri: Pkcs11Uri) -> Result<Self, DeviceError> {
        fn agree<T: PartialEq + fmt::Debug>(
            what: &str,
            set: &mut Option<T>,
            new: Option<T>,
        ) -> Result<(), DeviceError> {
            match (&set, new) {
                (Some(old), Some(new)) if *old != new => {
                    Err(settings(format!("{what} is {old:?}, and {new:?} in the URI"), Vec::new()))
                }
                (None, new) => {
                    *set = new;
                    Ok(())
                }
                (Some(_), _) => Ok(()),
            }
        }
        agree("token_label", &mut self.token_label, uri.token)?;
        agree("serial", &mut self.serial, uri.serial)?;
        agree("slot_id", &mut self.slot_id, uri.slot_id)?;
        if let Some(path) = uri.module_path {
            let mut set = (!self.library_path.as_os_str().is_empty()).then_some(self.library_path);
            agree("library_path", &mut set, Some(path))?;
            self.library_path = set.unwrap_or_default();
        }
        if self.pin.is_none() {
            self.pin = uri.pin_source.map(PinSource::File);
        }
        Ok(self)
    }
}

impl PinSource {
    /// Reads the PIN.
    pub(crate) fn read(&self, hsm: &str) -> Result<SecretBytes, DeviceError> {
        let found = match self {
            Self::File(path) => from_file(path),
            Self::Credential { directory, name } => from_file(&directory.join(name)),
            Self::Ask(ask) => ask(),
        };
        let found = found.map_err(|why| {
            let advice = vec![format!("set pin_file or pin_credential in [hsm.{hsm}]")];
            pin(format!("HSM `{hsm}`: no PIN could be read: {why}"), advice)
        })?;
        if found.is_empty() {
            let advice = vec!["write the PIN as the first line".to_owned()];
            return Err(pin(format!("HSM `{hsm}`: the PIN is empty"), advice));
        }
        Ok(found)
    }
}

fn from_file(path: &Path) -> Result<SecretBytes, String> {
    let (pin, exposure) =
        kms_secret::read_secret_file(path, PIN_LIMIT).map_err(|error| error.to_string())?;
    if exposure.wide_open {
        return Err(format!(
            "{} can be used by others (mode {:o}); chmod 600 it",
            path.display(),
            exposure.mode
        ));
    }
    Ok(pin)
}

impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential { name, .. } => f.debug_tuple("Credential").field(name).finish(),
            Self::Ask(_) => f.write_str("Ask"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn uri_fills_in_and_may_not_contradict() {
        let uri = |text: &str| text.parse::<Pkcs11Uri>().unwrap();
        let config = HsmProviderConfig::new("x", "/lib/a.so");
        let filled = config.clone().with_uri(uri("pkcs11:token=T;serial=1")).unwrap();
        assert_eq!(
            (filled.token_label.as_deref(), filled.serial.as_deref()),
            (Some("T"), Some("1"))
        );
        let error = filled.with_uri(uri("pkcs11:token=U")).unwrap_err();
        assert_eq!(error.message, "token_label is \"T\", and \"U\" in the URI");
        assert!(config.with_uri(uri("pkcs11:?module-path=/lib/b.so")).is_err());
    }

    #[test]
    fn pin_of_a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        std::fs::write(&path, "1234\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o600);
        let source = PinSource::File(path.clone());
        assert_eq!(source.read("x").unwrap().expose(), b"1234");
        mode(0o644);
        let error = source.read("x").unwrap_err();
        assert!(error.message.contains("can be used by others (mode 644)"), "{error}");
        let named = PinSource::Credential { directory: dir.path().into(), name: "gone".into() };
        assert!(named.read("x").unwrap_err().message.contains("no PIN could be read"));
    }
}
