//! What a signer of an approval signs: a short text that binds everything it stands for.
//!
//! ```text
//! virtengine multisig approval v1
//! key: m-…                        names the configuration: signers, weights, threshold
//! configuration-sha256: …         all 32 bytes of the same
//! operation: o-…                  so that it counts in this operation only
//! message-sha256: …               what is agreed on
//! description-sha256: …           what it was said to be
//! threshold: 3
//! expires: 2026-11-26T13:00:00.000000Z
//! rule: treasury v2               or `none`
//! without: CEO                    who asked and does not count, or `none`
//! ```
//!
//! Every line ends with LF, also the last; there is one space after each colon. No value can hold a
//! line end, so the text has one reading.

use std::fmt::Write;

use crate::multisig::Form;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::config::NOBODY;
use crate::multisig::key::sha256;

/// The first line of every statement. A key signs what begins so by way of an operation only.
pub const DOMAIN: &str = "virtengine multisig approval v1\n";

/// The text that a signer of an approval signs.
pub fn statement(key: &MultiSigKey, operation: &Operation) -> String {
    let none = || NOBODY.to_owned();
    let rule = operation.rule.as_ref().map(|rule| format!("{} v{}", rule.name, rule.version));
    let mut text = String::from(DOMAIN);
    for (name, value) in [
        ("key", key.id.to_string()),
        ("configuration-sha256", hex::encode(key.configuration_sha256())),
        ("operation", operation.id.to_string()),
        ("message-sha256", operation.message_sha256.to_string()),
        ("description-sha256", hex::encode(sha256(operation.description.as_str().as_bytes()))),
        ("threshold", key.config.threshold.to_string()),
        ("expires", operation.expires_at.to_string()),
        ("rule", rule.unwrap_or_else(none)),
        ("without", operation.without.as_ref().map_or_else(none, ToString::to_string)),
    ] {
        _ = writeln!(text, "{name}: {value}"); // a String takes any text
    }
    text
}

/// The bytes that a signer signs: the statement, or for a Cosmos account the transaction's own.
pub fn sign_bytes(key: &MultiSigKey, operation: &Operation, message: &[u8]) -> Vec<u8> {
    match key.form {
        Form::Approval => statement(key, operation).into_bytes(),
        Form::Cosmos { .. } => message.to_vec(),
    }
}
