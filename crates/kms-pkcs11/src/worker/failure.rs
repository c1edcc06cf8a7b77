//! What follows from what a library returned.

use cryptoki::error::Error;
use cryptoki::error::RvError;

use crate::wire::Failure;
use crate::wire::FailureKind;

/// A failure of this kind.
pub(super) fn failure(kind: FailureKind, told: impl Into<String>) -> Failure {
    Failure { kind, told: told.into() }
}

/// What the library returned, in PKCS#11's words and with what follows from it.
pub(super) fn of(error: Error) -> Failure {
    match error {
        Error::Pkcs11(value, function) => {
            Failure { kind: kind(value), told: format!("C_{function:?} returned {}", name(value)) }
        }
        Error::LibraryLoading(error) => failure(FailureKind::Library, error.to_string()),
        Error::MissingSymbol(symbol) => {
            failure(FailureKind::Library, format!("it is no PKCS#11 library: no {symbol}"))
        }
        Error::NullFunctionPointer | Error::NotSupported => {
            failure(FailureKind::Unsupported, "the library lacks the function")
        }
        // A length that does not fit, a text that is none: the library broke its word.
        other => failure(FailureKind::Device, other.to_string()),
    }
}

fn name(value: RvError) -> String {
    match value {
        RvError::UnknownErrorCode(code) | RvError::VendorDefined(code) => format!("0x{code:x}"),
        known => {
            let mut text = "CKR".to_owned();
            for character in format!("{known:?}").chars() {
                if character.is_ascii_uppercase() {
                    text.push('_');
                }
                text.push(character.to_ascii_uppercase());
            }
            text
        }
    }
}

fn kind(value: RvError) -> FailureKind {
    match value {
        RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::SessionCount
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid => FailureKind::Session,
        RvError::DeviceMemory => FailureKind::Full,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized
        | RvError::PinTooWeak => FailureKind::Pin,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::CurveNotSupported
        | RvError::DomainParamsInvalid
        | RvError::KeySizeRange
        | RvError::FunctionNotSupported => FailureKind::Unsupported,
        RvError::AttributeReadOnly
        | RvError::AttributeSensitive
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::ActionProhibited
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyTypeInconsistent
        | RvError::KeyUnextractable
        | RvError::TokenWriteProtected
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::ArgumentsBad
        | RvError::DataInvalid
        | RvError::DataLenRange => FailureKind::Refused,
        // Removed, broken, not logged in any more, or in words that nobody knows: a new start.
        _ => FailureKind::Device,
    }
}

/// Whether a login that ended so was never judged, so that another is no second try.
pub(super) fn was_not_judged(value: RvError) -> bool {
    matches!(
        value,
        RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::CryptokiNotInitialized
            | RvError::SlotIdInvalid
            | RvError::HostMemory
    )
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn what_was_returned_is_told_in_the_words_of_the_standard() {
        let told = |value| of(Error::Pkcs11(value, Function::Sign));
        let failed = told(RvError::DeviceRemoved);
        assert_eq!(failed.told, "C_Sign returned CKR_DEVICE_REMOVED");
        assert_eq!(failed.kind, FailureKind::Device);
        assert_eq!(told(RvError::UnknownErrorCode(0x77)).told, "C_Sign returned 0x77");
        assert_eq!(told(RvError::DeviceMemory).kind, FailureKind::Full);
        assert_eq!(told(RvError::SessionHandleInvalid).kind, FailureKind::Session);
        assert_eq!(told(RvError::UserNotLoggedIn).kind, FailureKind::Device);
    }

    #[test]
    fn no_answer_about_a_pin_counts_as_unjudged() {
        let judged = [
            RvError::PinIncorrect,
            RvError::PinLocked,
            RvError::PinExpired,
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::DeviceError,
        ];
        assert!(judged.into_iter().all(|value| !was_not_judged(value)));
        assert!(was_not_judged(RvError::DeviceRemoved));
    }
}
