//! PKCS#11 URIs (RFC 7512): one line that names a token.

use std::path::PathBuf;

/// The longest URI that is read, in bytes.
const LIMIT: usize = 2048;

/// What of a PKCS#11 URI says where a token is. Attributes of objects are refused: a configuration
/// names a token, not a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pkcs11Uri {
    /// `token=`: the label.
    pub token: Option<String>,
    /// `serial=`.
    pub serial: Option<String>,
    /// `slot-id=`.
    pub slot_id: Option<u64>,
    /// `module-path=`.
    pub module_path: Option<PathBuf>,
    /// `pin-source=`, a path or a `file:` URI.
    pub pin_source: Option<PathBuf>,
}

/// Why a text is no URI of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Too long.
    #[error("the PKCS#11 URI has {0} bytes, more than 2048")]
    TooLong(usize),
    /// Another scheme.
    #[error("a PKCS#11 URI begins with `pkcs11:`")]
    Scheme,
    /// A part without a value, or a `%` without two digits.
    #[error("`{0}` is no attribute of a PKCS#11 URI")]
    Malformed(String),
    /// An attribute stands twice (RFC 7512 section 2.3).
    #[error("`{0}` stands twice in the PKCS#11 URI")]
    Twice(String),
    /// A PIN in a configuration file is a secret in the clear.
    #[error(
        "a PIN does not stand in a URI; put it into a file of its own and name that: pin-source="
    )]
    PinValue,
    /// An attribute that has no meaning here.
    #[error(
        "`{0}` in the PKCS#11 URI has no meaning here; token, serial, slot-id, module-path and pin-source have"
    )]
    Unknown(String),
}

impl std::str::FromStr for Pkcs11Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > LIMIT {
            return Err(UriError::TooLong(text.len()));
        }
        let rest = text.strip_prefix("pkcs11:").ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parts = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        let mut uri = Self::default();
        for part in parts {
            uri.take(part)?;
        }
        Ok(uri)
    }
}

impl Pkcs11Uri {
    fn take(&mut self, part: &str) -> Result<(), UriError> {
        let malformed = || UriError::Malformed(part.chars().take(40).collect());
        let (name, value) = part.split_once('=').ok_or_else(malformed)?;
        let value = decoded(value).ok_or_else(malformed)?;
        let new = match name {
            "token" => self.token.replace(value).is_none(),
            "serial" => self.serial.replace(value).is_none(),
            "slot-id" => {
                let number = value.parse().map_err(|_| malformed())?;
                self.slot_id.replace(number).is_none()
            }
            "module-path" => self.module_path.replace(value.into()).is_none(),
            "pin-source" => {
                let path = value.strip_prefix("file:").unwrap_or(&value);
                let path = path.strip_prefix("//").unwrap_or(path);
                self.pin_source.replace(path.into()).is_none()
            }
            "pin-value" => return Err(UriError::PinValue),
            // Words about the maker, which say nothing that the rest does not.
            "manufacturer"
            | "model"
            | "library-manufacturer"
            | "library-description"
            | "library-version"
            | "slot-manufacturer"
            | "slot-description"
            | "module-name" => true,
            other => return Err(UriError::Unknown(other.chars().take(40).collect())),
        };
        if new { Ok(()) } else { Err(UriError::Twice(name.to_owned())) }
    }
}

/// A value without its percent encoding; `None` where that is wrong, or no UTF-8 comes of it.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut two = [0];
        hex::decode_to_slice([rest.next()?, rest.next()?], &mut two).ok()?;
        bytes.extend(two);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_of_rfc_7512_is_read() {
        let text = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil;\
                    serial=1a;slot-id=327?pin-source=file:/etc/token_pin&module-path=/usr/lib/x.so";
        let uri: Pkcs11Uri = text.parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!((uri.serial.as_deref(), uri.slot_id), (Some("1a"), Some(327)));
        assert_eq!(uri.pin_source, Some("/etc/token_pin".into()));
        assert_eq!(uri.module_path, Some("/usr/lib/x.so".into()));
    }

    #[test]
    fn what_is_no_uri_of_a_token_is_refused() {
        let refused = |text: &str| text.parse::<Pkcs11Uri>().unwrap_err();
        assert_eq!(refused("token=x"), UriError::Scheme);
        assert_eq!(refused("pkcs11:token=x?pin-value=1234"), UriError::PinValue);
        assert_eq!(refused("pkcs11:token=a;token=b"), UriError::Twice("token".into()));
        assert_eq!(refused("pkcs11:object=key"), UriError::Unknown("object".into()));
        for bad in ["pkcs11:token", "pkcs11:token=%4", "pkcs11:token=%zz", "pkcs11:slot-id=x"] {
            assert!(matches!(refused(bad), UriError::Malformed(_)), "{bad}");
        }
        assert!(matches!(refused("pkcs11:token=%00"), UriError::Malformed(_)));
        assert_eq!(refused(&format!("pkcs11:token={}", "x".repeat(3000))), UriError::TooLong(3013));
    }
}
