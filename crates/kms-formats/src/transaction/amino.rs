//! The amino JSON of a Cosmos transaction (`StdSignDoc`): what hardware wallets and the members of a
//! multi-signature account sign.

use serde_json::Map;
use serde_json::Value;

use crate::transaction::Description;
use crate::transaction::LIMIT;
use crate::transaction::Lines;

/// What a sign document has, and may have.
const NAMES: [&str; 6] = ["account_number", "chain_id", "fee", "memo", "msgs", "sequence"];
const OPTIONAL: [&str; 2] = ["timeout_height", "tip"];

/// A sign document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AminoSignDoc {
    /// The chain.
    pub chain_id: String,
    /// The account's number on the chain.
    pub account_number: u64,
    /// The account's sequence: how many transactions it has sent before this one.
    pub sequence: u64,
}

/// Why bytes are no amino JSON to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmino {
    /// Longer than any transaction.
    #[error("the transaction has {0} bytes, at most 1048576 are read")]
    TooLong(usize),
    /// No JSON, or of another shape.
    #[error("these bytes are no amino JSON of a transaction: {0}")]
    Shape(String),
    /// The right JSON in another spelling than the one that is signed.
    #[error(
        "the JSON is not in the form that is signed: keys sorted, no spaces, `&`, `<` and `>` \
         escaped; expected {expected} bytes, found {found}"
    )]
    Spelling {
        /// Its length in the form that is signed.
        expected: usize,
        /// Its own.
        found: usize,
    },
}

impl AminoSignDoc {
    /// Reads a sign document in exactly the bytes that are signed.
    ///
    /// # Errors
    /// When it is none, or spelled in another way: a signature over that would verify nowhere.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidAmino> {
        let document = object(bytes)?;
        let number = |name: &str| {
            let text = document.get(name).and_then(Value::as_str).unwrap_or_default();
            text.parse()
                .map_err(|_| InvalidAmino::Shape(format!("`{name}` is no number in quotes")))
        };
        let chain_id = document.get("chain_id").and_then(Value::as_str);
        let chain_id = chain_id.filter(|id| !id.is_empty() && id.len() <= 50);
        let missing = || InvalidAmino::Shape("`chain_id` is none".to_owned());
        Ok(Self {
            chain_id: chain_id.ok_or_else(missing)?.to_owned(),
            account_number: number("account_number")?,
            sequence: number("sequence")?,
        })
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, InvalidAmino> {
    if bytes.len() > LIMIT {
        return Err(InvalidAmino::TooLong(bytes.len()));
    }
    let shape = |why: &str| InvalidAmino::Shape(why.to_owned());
    let value: Value = serde_json::from_slice(bytes).map_err(|_| shape("it is no JSON"))?;
    // SPEC: cosmos-sdk ADR 027 and `sdk.SortJSON`. It also settles names that stand there twice.
    let signed = sorted(&value);
    if signed != bytes {
        return Err(InvalidAmino::Spelling { expected: signed.len(), found: bytes.len() });
    }
    let Value::Object(document) = value else { return Err(shape("it is no object")) };
    if let Some(name) = NAMES.iter().find(|name| !document.contains_key(**name)) {
        return Err(InvalidAmino::Shape(format!("`{name}` is missing")));
    }
    let known =
        |name: &&String| !NAMES.contains(&name.as_str()) && !OPTIONAL.contains(&name.as_str());
    if document.keys().find(known).is_some() {
        return Err(shape("it has a member no transaction has"));
    }
    if !document.get("msgs").is_some_and(Value::is_array) {
        return Err(shape("`msgs` is no list"));
    }
    Ok(document)
}

/// The JSON with its keys sorted, without spaces, and `&`, `<`, `>` escaped.
fn sorted(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write_sorted(&mut text, value);
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'&' => escaped.extend(br"\u0026"),
            b'<' => escaped.extend(br"\u003c"),
            b'>' => escaped.extend(br"\u003e"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Recurses as deep as the JSON is, at most 128 (serde_json's limit).
fn write_sorted(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend(Value::from(name.as_str()).to_string().into_bytes());
                out.push(b':');
                write_sorted(out, value);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_sorted(out, value);
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend(value.to_string().into_bytes());
        }
    }
}

pub(crate) fn describe(bytes: &[u8]) -> Option<Description> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let document = object(bytes).ok()?;
    let mut lines = Lines::default();
    for name in ["chain_id", "account_number", "sequence"] {
        lines.add(name.replace('_', " "), document.get(name).and_then(Value::as_str)?);
    }
    for (at, message) in document.get("msgs").and_then(Value::as_array)?.iter().enumerate() {
        let kind = message.get("type").and_then(Value::as_str).unwrap_or("of no type");
        lines.add(format!("message {}", at + 1), kind);
        if let Some(value) = message.get("value") {
            flatten(&mut lines, "  ", value);
        }
    }
    flatten(&mut lines, "fee ", document.get("fee")?);
    let rest = ["memo", "timeout_height", "tip"];
    for name in rest {
        if let Some(value) = document.get(name).filter(|value| value.as_str() != Some("")) {
            lines.add(name.replace('_', " "), plain(value));
        }
    }
    Some(lines.of("Cosmos transaction (amino JSON)"))
}

/// One line for each member; a list or an object inside is shown as the JSON it is, but coins.
fn flatten(lines: &mut Lines, prefix: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| lines.add(format!("{prefix}{name}"), plain(value)));
        }
        other => lines.add(prefix.trim(), plain(other)),
    }
}

fn plain(value: &Value) -> String {
    let coin = |value: &Value| {
        let members = value.as_object().filter(|members| members.len() == 2)?;
        let (amount, denom) = (members.get("amount")?.as_str()?, members.get("denom")?.as_str()?);
        Some(format!("{amount}{denom}"))
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.is_empty() => {
            let coins: Option<Vec<String>> = items.iter().map(coin).collect();
            coins.map_or_else(|| value.to_string(), |coins| coins.join(", "))
        }
        Value::Object(_) => coin(value).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"account_number":"7","chain_id":"virtengine-1","fee":{"amount":[{"amount":"500","denom":"uve"}],"gas":"200000"},"memo":"a \u0026 b","msgs":[{"type":"cosmos-sdk/MsgSend","value":{"amount":[{"amount":"1000","denom":"uve"}],"from_address":"ve1a","to_address":"ve1b"}}],"sequence":"3"}"#;

    #[test]
    fn sign_document_is_read_in_its_one_spelling() {
        let read = AminoSignDoc::read(DOCUMENT.as_bytes()).unwrap();
        let expected =
            AminoSignDoc { chain_id: "virtengine-1".into(), account_number: 7, sequence: 3 };
        assert_eq!(read, expected);
        for other in [
            DOCUMENT.replace(",\"sequence\"", ", \"sequence\""),
            DOCUMENT.replace(r"\u0026", "&"),
            DOCUMENT.replace("\"sequence\":\"3\"", "\"sequence\":\"3\",\"sequence\":\"3\""),
        ] {
            let refused = AminoSignDoc::read(other.as_bytes());
            assert!(matches!(refused, Err(InvalidAmino::Spelling { .. })), "{other}");
        }
        for other in
            ["[]", "{}", "x", &DOCUMENT.replace("\"3\"", "3"), &DOCUMENT.replace("memo", "mfmo")]
        {
            assert!(AminoSignDoc::read(other.as_bytes()).is_err(), "{other}");
        }
        let deep = "[".repeat(100_000);
        assert!(AminoSignDoc::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn transaction_is_shown_with_who_gets_how_much() {
        let described = describe(DOCUMENT.as_bytes()).unwrap();
        assert_eq!(described.kind, "Cosmos transaction (amino JSON)");
        let line = |name: &str| {
            described.lines.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(line("chain id"), Some("virtengine-1"));
        assert_eq!(line("message 1"), Some("cosmos-sdk/MsgSend"));
        assert_eq!(line("  amount"), Some("1000uve"));
        assert_eq!(line("  to_address"), Some("ve1b"));
        assert_eq!(line("fee amount"), Some("500uve"));
        assert_eq!(line("memo"), Some("a & b"));
    }
}
