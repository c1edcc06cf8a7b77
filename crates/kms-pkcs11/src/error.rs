//! Why a token did not do as asked, in the words an operator can act on.

use kms::key::Algorithm;
use kms::storage::DeviceError;
use kms::storage::DeviceErrorKind;

use crate::wire::Failure;
use crate::wire::FailureKind;

/// Why a token did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HsmError {
    /// The token, its library or the way there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// No key of this name is on the token.
    #[error("no private key `{0}` is on the token")]
    NotFound(String),
    /// Several keys of this name are on the token.
    #[error("{count} private keys `{name}` are on the token")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// A key of this name is on the token already.
    #[error("a private key `{0}` is on the token already")]
    Exists(String),
    /// The token makes no keys of this algorithm.
    #[error("the token has no {0} keys")]
    Unsupported(Algorithm),
    /// The token takes in no keys of this algorithm.
    #[error("the token takes in no {0} keys")]
    NoImport(Algorithm),
    /// What the name stands for on the token is another key than it was.
    #[error("what the token has under this name is another key: {0}")]
    KeyChanged(String),
    /// The bytes are no key that can be taken in.
    #[error("this private key is not usable: {0}")]
    InvalidKey(&'static str),
}

/// The library is not there. The first words are the specification's.
pub(crate) fn library_missing(path: &str, why: &str, advice: Vec<String>) -> DeviceError {
    let message = format!("failed to initialize PKCS#11: library not found: {path}: {why}");
    DeviceError { kind: DeviceErrorKind::Library, message, advice }
}

/// The library is there, and is none to be loaded.
pub(crate) fn library_refused(path: &str, why: &str, advice: Vec<String>) -> DeviceError {
    let message = format!("failed to initialize PKCS#11: {path}: {why}");
    DeviceError { kind: DeviceErrorKind::Library, message, advice }
}

/// The settings are wrong.
pub(crate) fn settings(message: String, advice: Vec<String>) -> DeviceError {
    DeviceError { kind: DeviceErrorKind::Settings, message, advice }
}

/// It does not answer now.
pub(crate) fn unavailable(message: String) -> DeviceError {
    let advice = vec!["it is tried again by itself; look closer: virtengine hsm doctor".to_owned()];
    DeviceError { kind: DeviceErrorKind::Unavailable, message, advice }
}

/// The PIN is the trouble.
pub(crate) fn pin(message: String, advice: Vec<String>) -> DeviceError {
    DeviceError { kind: DeviceErrorKind::Pin, message, advice }
}

/// It answered something that cannot be.
pub(crate) fn integrity(message: String) -> DeviceError {
    let advice = vec!["nothing of it was used; have the token examined".to_owned()];
    DeviceError { kind: DeviceErrorKind::Integrity, message, advice }
}

/// What the library said, for an operator of the HSM called `hsm`.
pub(crate) fn of_failure(hsm: &str, failure: &Failure) -> HsmError {
    let told = &failure.told;
    let device = |kind, message: String, advice: Vec<String>| {
        HsmError::Device(DeviceError { kind, message, advice })
    };
    match failure.kind {
        FailureKind::Full => device(
            DeviceErrorKind::Full,
            format!("HSM slot full: `{hsm}` has no room for another key ({told}); none was made"),
            vec![
                format!("see what could go: virtengine hsm list {hsm}"),
                format!("remove what is on no record: virtengine hsm delete {hsm} OBJECT"),
                "or configure another token or slot".to_owned(),
            ],
        ),
        FailureKind::Session | FailureKind::Device => {
            unavailable(format!("HSM `{hsm}` does not answer: {told}")).into()
        }
        FailureKind::Pin => pin(format!("HSM `{hsm}`: {told}"), Vec::new()).into(),
        FailureKind::Unsupported => {
            device(DeviceErrorKind::Unsupported, format!("HSM `{hsm}` cannot: {told}"), Vec::new())
        }
        FailureKind::NotFound => HsmError::NotFound(told.clone()),
        FailureKind::Exists => HsmError::Exists(told.clone()),
        FailureKind::KeyChanged => HsmError::KeyChanged(told.clone()),
        FailureKind::Library => library_refused(hsm, told, Vec::new()).into(),
        FailureKind::Refused => {
            device(DeviceErrorKind::Other, format!("HSM `{hsm}` refused: {told}"), Vec::new())
        }
    }
}
