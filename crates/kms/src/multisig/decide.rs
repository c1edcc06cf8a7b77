//! The steps of an operation. Each looks at the state first; a refusal changes nothing.

use crate::key::Label;
use crate::key::Reason;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::Closed;
use crate::multisig::Collected;
use crate::multisig::Form;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::OperationState;
use crate::multisig::Outcome;
use crate::multisig::Present;
use crate::multisig::Refusal;
use crate::multisig::RuleRef;
use crate::multisig::SignerRef;
use crate::multisig::Tally;
use crate::multisig::key::sha256;
use crate::multisig::operation::HexDigest;
use crate::multisig::sign_bytes;
use crate::multisig::signature;
use crate::multisig::tally;
use crate::time::Timestamp;

/// The longest message that is agreed on, in bytes: 1 MiB.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// An operation that is wanted.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Its name.
    pub id: OperationId,
    /// What is to be agreed on.
    pub message: &'a [u8],
    /// What whoever asks says that it is.
    pub description: Reason,
    /// Who asks: a principal's id.
    pub initiator: &'a str,
    /// What it approves and which rule asks for that, where it is an approval of an act.
    pub asked_by: Option<(ActKind, &'a ApprovalRule)>,
}

/// Begins an operation.
///
/// # Errors
/// [`Refusal::EmptyMessage`], [`Refusal::MessageTooLong`], [`Refusal::Transaction`],
/// [`Refusal::NobodyLeft`]; [`Refusal::OtherAct`] for a message that claims to be an act though no
/// rule asks for one.
pub fn initiate(
    key: &MultiSigKey,
    new: New<'_>,
    present: &Present<'_>,
) -> Result<Operation, Refusal> {
    if new.message.is_empty() {
        return Err(Refusal::EmptyMessage);
    }
    if new.message.len() > MESSAGE_LIMIT {
        return Err(Refusal::MessageTooLong(new.message.len()));
    }
    if Act::is_claimed(new.message) && new.asked_by.is_none() {
        return Err(Refusal::OtherAct(new.id)); // an approval is asked for by the operation it is for
    }
    match key.form {
        Form::Approval => {}
        Form::Cosmos { .. } => {
            _ = kms_formats::transaction::AminoSignDoc::read(new.message)?;
        }
    }
    let rule = new.asked_by.map(|(_, rule)| rule);
    let excludes = rule.is_some_and(|rule| !rule.initiator_counts);
    let asked = key.signers.iter().find(|signer| signer.owner.as_deref() == Some(new.initiator));
    let operation = Operation {
        id: new.id,
        key: key.id,
        message_sha256: HexDigest(sha256(new.message)),
        message_bytes: new.message.len(),
        description: new.description,
        initiator: new.initiator.to_owned(),
        created_at: present.now,
        expires_at: present.now.plus_seconds(key.config.timeout_s),
        transaction: matches!(key.form, Form::Cosmos { .. }),
        act: new.asked_by.map(|(act, _)| act),
        rule: rule.map(|rule| RuleRef { name: rule.name.clone(), version: rule.version }),
        without: asked.filter(|_| excludes).map(|signer| signer.label.clone()),
        signatures: Vec::new(),
        closed: None,
    };
    let tally = tally(key, &operation, present);
    if tally.reachable() < tally.threshold {
        return Err(nobody_left(&tally));
    }
    Ok(operation)
}

/// Takes a signature in, if it is one of a signer over what this operation is over.
///
/// `by` is the principal who made or brings it. Ordered keys take signatures in the order of their
/// signers' places.
///
/// # Errors
/// [`Refusal::TimedOut`], [`Refusal::Over`], [`Refusal::NotASigner`], [`Refusal::SignerExpired`],
/// [`Refusal::OwnRequest`], [`Refusal::Stopped`], [`Refusal::Duplicate`], [`Refusal::OutOfOrder`],
/// [`Refusal::InvalidSignature`].
pub fn add_signature(
    (key, operation, message): (&MultiSigKey, &Operation, &[u8]),
    (signer, given): (&SignerRef, &[u8]),
    by: &str,
    present: &Present<'_>,
) -> Result<Operation, Refusal> {
    may_sign((key, operation), signer, present)?;
    let signer = key.signer(signer).ok_or_else(|| not_a_signer(signer))?;
    let signed = sign_bytes(key, operation, message);
    let Some(canonical) = signature::verified(&signer.public_key, &signed, given) else {
        let (signer, algorithm) = (signer.label.clone(), signer.public_key.algorithm());
        return Err(Refusal::InvalidSignature { signer, algorithm });
    };
    let mut operation = operation.clone();
    operation.signatures.push(Collected {
        signer: signer.label.clone(),
        signature: hex::encode(canonical),
        signed_at: present.now,
        added_by: by.to_owned(),
    });
    Ok(operation)
}

/// Whether a signer may sign now: asked before their key is used.
///
/// # Errors
/// As [`add_signature`], but for what the signature itself is.
pub(crate) fn may_sign(
    (key, operation): (&MultiSigKey, &Operation),
    signer: &SignerRef,
    present: &Present<'_>,
) -> Result<(), Refusal> {
    open(key, operation, present)?;
    let signer = key.signer(signer).ok_or_else(|| not_a_signer(signer))?;
    let label = || signer.label.clone();
    match present.excluded(signer, operation.without.as_ref()) {
        None => {}
        Some(crate::multisig::Exclusion::Asked) => return Err(Refusal::OwnRequest(label())),
        Some(crate::multisig::Exclusion::Expired) => {
            let until = signer.expires_at.unwrap_or(present.now);
            return Err(Refusal::SignerExpired { signer: label(), until });
        }
        Some(other) => return Err(Refusal::Stopped { signer: label(), why: other.why() }),
    }
    if operation.signature_of(&signer.label).is_some() {
        return Err(Refusal::Duplicate(label()));
    }
    let place = |label: &Label| key.signers.iter().find(|s| s.label == *label)?.order;
    let last = operation.signatures.iter().filter_map(|collected| place(&collected.signer)).max();
    match (signer.order, last) {
        (Some(order), Some(last)) if order < last => {
            Err(Refusal::OutOfOrder { signer: label(), order, last })
        }
        _ => Ok(()),
    }
}

/// Completes an operation whose threshold is met: every signature is verified once more, and who
/// counts is counted anew.
///
/// # Errors
/// [`Refusal::Insufficient`], [`Refusal::TimedOut`], [`Refusal::Over`].
pub fn complete(
    (key, operation, message): (&MultiSigKey, &Operation, &[u8]),
    by: &str,
    present: &Present<'_>,
) -> Result<Operation, Refusal> {
    open(key, operation, present)?;
    let mut verified = operation.clone();
    let signed = sign_bytes(key, operation, message);
    let intact = sha256(message) == operation.message_sha256.0;
    verified.signatures.retain(|collected| intact && is_valid(key, collected, &signed));
    let tally = tally(key, &verified, present);
    if tally.state != OperationState::ThresholdMet {
        return Err(insufficient(operation.id, &tally));
    }
    let closed = Closed {
        at: present.now,
        by: Some(by.to_owned()),
        outcome: Outcome::Complete { counted: tally.counted() },
    };
    Ok(Operation { closed: Some(closed), ..operation.clone() })
}

/// Calls an operation off. What was signed is worth nothing from then on.
///
/// # Errors
/// [`Refusal::TimedOut`], [`Refusal::Over`].
pub fn cancel(
    (key, operation): (&MultiSigKey, &Operation),
    (by, reason): (&str, &Reason),
    present: &Present<'_>,
) -> Result<Operation, Refusal> {
    open(key, operation, present)?;
    let outcome = Outcome::Cancelled { reason: reason.clone() };
    let closed = Closed { at: present.now, by: Some(by.to_owned()), outcome };
    Ok(Operation { closed: Some(closed), ..operation.clone() })
}

/// Records what time has done; nothing where it has done nothing.
pub fn expire(operation: &Operation, now: Timestamp) -> Option<Operation> {
    if operation.closed.is_some() || operation.expires_at > now {
        return None;
    }
    let closed = Closed { at: operation.expires_at, by: None, outcome: Outcome::Expired };
    Some(Operation { closed: Some(closed), ..operation.clone() })
}

/// Whether a collected signature is of a signer and over these bytes.
pub(crate) fn is_valid(key: &MultiSigKey, collected: &Collected, signed: &[u8]) -> bool {
    let signer = key.signers.iter().find(|signer| signer.label == collected.signer);
    let bytes = hex::decode(&collected.signature);
    match (signer, bytes) {
        (Some(signer), Ok(bytes)) => {
            signature::verified(&signer.public_key, signed, &bytes).as_deref() == Some(&*bytes)
        }
        _ => false,
    }
}

/// Refuses an operation that is over: by its end, or by time.
fn open(key: &MultiSigKey, operation: &Operation, present: &Present<'_>) -> Result<(), Refusal> {
    let tally = tally(key, operation, present);
    match tally.state {
        OperationState::Pending | OperationState::ThresholdMet => Ok(()),
        OperationState::Expired => Err(Refusal::TimedOut {
            operation: operation.id,
            at: operation.expires_at,
            have: tally.weight,
            need: tally.threshold,
            signed: tally.counted(),
            missing: tally.awaited(),
        }),
        state @ (OperationState::Complete | OperationState::Cancelled) => {
            Err(Refusal::Over { operation: operation.id, state })
        }
    }
}

fn insufficient(operation: OperationId, tally: &Tally) -> Refusal {
    Refusal::Insufficient {
        operation,
        have: tally.weight,
        need: tally.threshold,
        signed: tally.counted(),
        missing: tally.awaited(),
    }
}

fn nobody_left(tally: &Tally) -> Refusal {
    let why = |missing: &crate::multisig::Missing| {
        missing.excluded.map(|why| format!("; {}: {why}", missing.signer))
    };
    Refusal::NobodyLeft {
        threshold: tally.threshold,
        reachable: tally.reachable(),
        who: tally.awaited(),
        why: tally.missing.iter().filter_map(why).collect(),
    }
}

fn not_a_signer(named: &SignerRef) -> Refusal {
    Refusal::NotASigner(match named {
        SignerRef::Label(label) => label.to_string(),
        SignerRef::Key(key) => crate::multisig::key::fingerprint(key).to_string(),
    })
}
