//! Secrets in bodies: read straight into locked memory, shown nowhere.

use std::borrow::Cow;
use std::fmt;

use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Visitor;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::Type;

/// A secret that is text: a passphrase or a code. At most 1024 bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Secret(pub SecretBytes);

/// The longest secret that is text, in bytes.
const TEXT_LIMIT: usize = 1024;

impl Secret {
    /// Copies a text that is a secret.
    pub fn copy_from(text: &[u8]) -> Self {
        Self(SecretBytes::copy_from(text))
    }
}

impl Serialize for Secret {
    /// Into a buffer that is wiped, and nowhere else: a body on its way to the daemon.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(self.0.expose());
        serializer.serialize_str(text.map_err(|_| serde::ser::Error::custom("secret is no text"))?)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text of at most 1024 bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                if text.len() > TEXT_LIMIT {
                    return Err(E::custom("a secret has at most 1024 bytes"));
                }
                Ok(Secret::copy_from(text.as_bytes()))
            }
        }
        deserializer.deserialize_str(Text).map_err(anonymous)
    }
}

/// Secret bytes, base64 in JSON: a private key file.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretData(pub SecretBytes);

impl Serialize for SecretData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Secret(self.0.to_base64()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SecretData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 with padding")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretData, E> {
                let bytes = SecretBytes::from_base64(text.as_bytes());
                bytes.map(SecretData).ok_or_else(|| E::custom("this is no base64 with padding"))
            }
        }
        deserializer.deserialize_str(Text).map_err(anonymous)
    }
}

/// An error that cannot quote what was read: "invalid type: string …" would.
fn anonymous<E: serde::de::Error>(_: E) -> E {
    E::custom("a secret is expected here, as text within its limits")
}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(TEXT_LIMIT));
        text.write_only(true).description(Some("A secret; wiped after use.")).into()
    }
}

impl ToSchema for Secret {
    fn name() -> Cow<'static, str> {
        "Secret".into()
    }
}

impl PartialSchema for SecretData {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(32 * 1024));
        text.write_only(true).description(Some("Secret bytes as base64; wiped after use.")).into()
    }
}

impl ToSchema for SecretData {
    fn name() -> Cow<'static, str> {
        "SecretData".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_quotes_a_secret() {
        let long = format!("\"hunter2{}\"", "x".repeat(2000));
        for text in [&*long, "[\"hunter2\"]", "{\"a\":\"hunter2\"}", "7272"] {
            let error = serde_json::from_str::<Secret>(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("7272"), "{error}");
            let error = serde_json::from_str::<SecretData>(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("7272"), "{error}");
        }
        let secret: Secret = serde_json::from_str("\"hunter\\u0032\"").unwrap();
        assert_eq!(secret.0.expose(), b"hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(SecretBytes(<7 bytes>))");
    }
}
