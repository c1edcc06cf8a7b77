//! CometBFT's `priv_validator_key.json`.
//!
//! The JSON is read without copying a string: what `serde_json` cannot lend from the file (a string
//! with a backslash) is refused before it begins, and its own errors, which quote what they met, are
//! replaced by a position.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::address::Address;
use crate::algorithm::Algorithm;
use crate::private::ParsedPrivateKey;
use crate::private::PrivateKeyError;
use crate::private::scalar;
use crate::public::PublicKey;

/// A privval file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivvalError {
    /// No JSON, or an object with the same field twice.
    #[error("the privval file is no JSON without duplicate fields, at line {line} column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A string with a backslash, which no field of the file needs.
    #[error("the privval file has a backslash in it, which CometBFT does not write")]
    Escape,
    /// A field that is missing or of another type.
    #[error("the privval file has no field `{0}` of the right type")]
    Field(&'static str),
    /// A key type other than Ed25519's and secp256k1's.
    #[error("`{0}` is another type than tendermint's Ed25519 and Secp256k1 keys")]
    KeyType(&'static str),
    /// Two types that differ.
    #[error("the privval file's `priv_key` is {private}, its `pub_key` {public}")]
    KeyTypes {
        /// Of the private half.
        private: Algorithm,
        /// Of the public half.
        public: Algorithm,
    },
    /// A value that is no base64.
    #[error("`{0}` is no base64")]
    Base64(&'static str),
    /// An address that is not the public key's.
    #[error("the privval file's address does not belong to its public key, expected {0}")]
    Address(String),
}

/// Reads the file; unknown fields are let be.
pub(crate) fn parse(file: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    if file.contains(&b'\\') {
        return Err(PrivvalError::Escape.into());
    }
    let root: Node<'_> = serde_json::from_slice(file)
        .map_err(|error| PrivvalError::Json { line: error.line(), column: error.column() })?;
    let public = public_key(root.field("pub_key")?)?;
    check_address(root.text("address")?, &public)?;
    private_key(root.field("priv_key")?, public)
}

fn public_key(node: &Node<'_>) -> Result<PublicKey, PrivateKeyError> {
    let algorithm = key_type(node, "pub_key.type", "tendermint/PubKey")?;
    let bytes = STANDARD.decode(node.text("value")?);
    let bytes = bytes.map_err(|_| PrivvalError::Base64("pub_key.value"))?;
    // CometBFT writes compressed points only.
    PublicKey::new(algorithm, &bytes)?;
    Ok(PublicKey::validated(algorithm, &bytes)?)
}

fn check_address(text: &str, public: &PublicKey) -> Result<(), PrivvalError> {
    let address =
        Address::of_consensus(public).map_err(|_| PrivvalError::KeyType("pub_key.type"))?;
    let expected = address.to_hex();
    if text.eq_ignore_ascii_case(&expected) { Ok(()) } else { Err(PrivvalError::Address(expected)) }
}

fn private_key(node: &Node<'_>, public: PublicKey) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let private = key_type(node, "priv_key.type", "tendermint/PrivKey")?;
    if private != public.algorithm() {
        return Err(PrivvalError::KeyTypes { private, public: public.algorithm() }.into());
    }
    let bytes = SecretBytes::from_base64(node.text("value")?.as_bytes())
        .ok_or(PrivvalError::Base64("priv_key.value"))?;
    if private != Algorithm::Ed25519 {
        return scalar::take(private, bytes.expose(), Some(public));
    }
    let wrong = PrivateKeyError::Length { algorithm: private, expected: 64, found: bytes.len() };
    if bytes.len() != 64 {
        return Err(wrong);
    }
    let (seed, second) = bytes.expose().split_at(32);
    let second = PublicKey::validated(private, second)?;
    let claimed = scalar::agreed(private, Some(second), Some(public))?;
    scalar::take(private, seed, claimed)
}

fn key_type(node: &Node<'_>, field: &'static str, prefix: &str) -> Result<Algorithm, PrivvalError> {
    let text = node.text("type").map_err(|_| PrivvalError::Field(field))?;
    match text.strip_prefix(prefix) {
        Some("Ed25519") => Ok(Algorithm::Ed25519),
        Some("Secp256k1") => Ok(Algorithm::Secp256k1),
        _ => Err(PrivvalError::KeyType(field)),
    }
}

/// JSON of any shape, of which only objects and strings are of use. The strings are the file's own.
enum Node<'a> {
    Text(&'a str),
    Object(Vec<(&'a str, Self)>),
    Other,
}

impl<'a> Node<'a> {
    fn field(&self, name: &'static str) -> Result<&Self, PrivvalError> {
        let Node::Object(fields) = self else { return Err(PrivvalError::Field(name)) };
        let found = fields.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value).ok_or(PrivvalError::Field(name))
    }

    fn text(&self, name: &'static str) -> Result<&'a str, PrivvalError> {
        match self.field(name)? {
            Node::Text(text) => Ok(text),
            Node::Object(_) | Node::Other => Err(PrivvalError::Field(name)),
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// Takes every JSON value, so that no error of `serde` ever quotes one.
struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        while items.next_element::<Node<'de>>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut fields: Vec<(&str, Node<'de>)> = Vec::new();
        while let Some((key, value)) = entries.next_entry()? {
            if fields.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom("duplicate field"));
            }
            fields.push((key, value));
        }
        Ok(Node::Object(fields))
    }
}
