//! Evidence of an approval: one file that says everything, verified without the home.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;

use crate::key::Label;
use crate::multisig::Collected;
use crate::multisig::Form;
use crate::multisig::InvalidConfig;
use crate::multisig::MESSAGE_LIMIT;
use crate::multisig::MultiSigId;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::Outcome;
use crate::multisig::Present;
use crate::multisig::config;
use crate::multisig::decide::is_valid;
use crate::multisig::key::sha256;
use crate::multisig::statement;
use crate::multisig::tally;
use crate::time::Timestamp;

/// What the file says that it is.
const FORMAT: &str = "virtengine multisig evidence v1";
/// The longest file that is read: a message of the greatest length, in base64, and what is beside.
const LIMIT: usize = MESSAGE_LIMIT * 4 / 3 + (256 << 10);

/// Everything that shows that an approval was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `virtengine multisig evidence v1`.
    pub format: String,
    /// The text each signer signed, for who verifies with other programs. It follows from the rest.
    pub statement: String,
    /// Who could sign, and how much each counts.
    pub key: MultiSigKey,
    /// What was done, with every signature.
    pub operation: Operation,
    /// What was agreed on, in base64.
    pub message: String,
}

/// What evidence shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key: compare it with the one that is known to be the right one.
    pub key: MultiSigId,
    /// The operation.
    pub operation: OperationId,
    /// The digest of what was agreed on.
    pub message_sha256: String,
    /// What was agreed on.
    pub message: Vec<u8>,
    /// The weight of those who signed and counted.
    pub weight: u64,
    /// The weight that was needed.
    pub threshold: u64,
    /// Who signed and counted.
    pub signers: Vec<Label>,
    /// When it was completed.
    pub completed_at: Timestamp,
}

/// Why evidence shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than any evidence.
    #[error("the file has {0} bytes, more than any evidence")]
    TooLong(usize),
    /// No such file.
    #[error("this is no evidence of a multisig approval: {0}")]
    Format(String),
    /// The key contradicts itself.
    #[error("the key of the evidence cannot be: {0}")]
    Config(#[from] InvalidConfig),
    /// The key's name is not the one that follows from its configuration.
    #[error("the key's configuration makes it {follows}, not {said}")]
    KeyId {
        /// As the file says.
        said: MultiSigId,
        /// As it is.
        follows: MultiSigId,
    },
    /// The message is another.
    #[error("the message is not the one that was signed: its SHA-256 is {0}")]
    Message(String),
    /// The statement is another.
    #[error("the statement is not the one that follows from the key and the operation")]
    Statement,
    /// It was not completed, or not in time.
    #[error("the operation was not completed before it expired")]
    NotComplete,
    /// A signature is none.
    #[error("the signature of {0} is not over this statement")]
    Signature(Label),
    /// One signer stands there twice.
    #[error("signer {0} is counted twice")]
    Twice(Label),
    /// Too little.
    #[error("signatures of weight {have} are there, {need} are needed")]
    Insufficient {
        /// The weight of the signatures that verify.
        have: u64,
        /// The weight that is needed.
        need: u64,
    },
}

impl Evidence {
    /// The evidence of a completed approval: the same bytes whenever it is asked for.
    pub fn of(key: &MultiSigKey, operation: &Operation, message: &[u8]) -> Self {
        Self {
            format: FORMAT.to_owned(),
            statement: statement(key, operation),
            key: key.clone(),
            operation: operation.clone(),
            message: STANDARD.encode(message),
        }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default(); // names are texts
        json.push(b'\n');
        json
    }
}

/// Verifies evidence from nothing but itself. That its key is the right one is for the reader to
/// know: the key's id follows from all its signers, weights and the threshold.
///
/// # Errors
/// When anything in it does not fit, or too few of the signatures verify.
pub fn verify_evidence(bytes: &[u8]) -> Result<Verified, EvidenceError> {
    if bytes.len() > LIMIT {
        return Err(EvidenceError::TooLong(bytes.len()));
    }
    let format = |why: String| EvidenceError::Format(why);
    let evidence: Evidence =
        serde_json::from_slice(bytes).map_err(|error| format(error.to_string()))?;
    let Evidence { key, operation, .. } = &evidence;
    if evidence.format != FORMAT || key.form != Form::Approval || operation.key != key.id {
        return Err(format("its parts are not of one kind".to_owned()));
    }
    config::check(&key.config, &key.signers, (&key.form, key.created_at))?;
    let follows = MultiSigId::of(&key.configuration_sha256());
    if follows != key.id {
        return Err(EvidenceError::KeyId { said: key.id, follows });
    }
    let message = STANDARD.decode(&evidence.message).map_err(|error| format(error.to_string()))?;
    let digest = sha256(&message);
    if digest != operation.message_sha256.0 {
        return Err(EvidenceError::Message(hex::encode(digest)));
    }
    if evidence.statement != statement(key, operation) {
        return Err(EvidenceError::Statement);
    }
    let (counted, completed_at) = completed(operation)?;
    let statement = evidence.statement.as_bytes();
    for (at, label) in counted.iter().enumerate() {
        if counted.iter().take(at).any(|before| before.folded() == label.folded()) {
            return Err(EvidenceError::Twice(label.clone()));
        }
        let of_label = |collected: &&Collected| collected.signer == *label;
        let mut of_signer = operation.signatures.iter().filter(of_label);
        match (of_signer.next(), of_signer.next()) {
            (Some(one), None) if is_valid(key, one, statement) => {}
            (Some(_), Some(_)) => return Err(EvidenceError::Twice(label.clone())),
            _ => return Err(EvidenceError::Signature(label.clone())),
        }
    }
    let weight = weight_of(&evidence, counted, completed_at);
    if weight < key.config.threshold {
        return Err(EvidenceError::Insufficient { have: weight, need: key.config.threshold });
    }
    Ok(Verified {
        key: key.id,
        operation: operation.id,
        message_sha256: operation.message_sha256.to_string(),
        message,
        weight,
        threshold: key.config.threshold,
        signers: counted.to_vec(),
        completed_at,
    })
}

/// Who was counted and when, if it was completed in time.
fn completed(operation: &Operation) -> Result<(&[Label], Timestamp), EvidenceError> {
    match &operation.closed {
        Some(closed) if closed.at < operation.expires_at => match &closed.outcome {
            Outcome::Complete { counted } => Ok((counted, closed.at)),
            Outcome::Expired | Outcome::Cancelled { .. } => Err(EvidenceError::NotComplete),
        },
        Some(_) | None => Err(EvidenceError::NotComplete),
    }
}

/// The weight of those who were counted and could be, as far as the evidence itself tells.
fn weight_of(evidence: &Evidence, counted: &[Label], at: Timestamp) -> u64 {
    let present = Present { now: at, is_stopped: &|_| false, is_active: &|_| true };
    let open = Operation { closed: None, ..evidence.operation.clone() };
    let signed = tally(&evidence.key, &open, &present).signed;
    let counts = signed.iter().filter(|s| s.excluded.is_none() && counted.contains(&s.signer));
    counts.map(|signed| u64::from(signed.weight)).sum()
}
