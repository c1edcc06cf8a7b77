//! Why a step of a multi-signature operation was refused: always policy, always safe to tell.

use kms_formats::transaction::InvalidAmino;

use crate::key::Algorithm;
use crate::key::Label;
use crate::multisig::OperationId;
use crate::multisig::OperationState;
use crate::time::Timestamp;

/// Why a step was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to sign.
    #[error("the message has no bytes; nothing can be agreed on")]
    EmptyMessage,
    /// More than is agreed on in one piece.
    #[error("the message has {0} bytes, more than 1048576")]
    MessageTooLong(usize),
    /// A Cosmos account signs transactions.
    #[error(transparent)]
    Transaction(#[from] InvalidAmino),
    /// However many sign, the threshold cannot be reached.
    #[error(
        "nobody is left who can approve: of weight {threshold} only {reachable} can sign ({}{why})",
        listed(who)
    )]
    NobodyLeft {
        /// The weight that is needed.
        threshold: u64,
        /// The weight of all who can sign now.
        reachable: u64,
        /// Who can.
        who: Vec<Label>,
        /// Why others cannot.
        why: String,
    },
    /// The signer is none of this key.
    #[error("signer not authorized for this multisig: {0}")]
    NotASigner(String),
    /// The signer's time is over.
    #[error("signer {signer} was authorized until {until}")]
    SignerExpired {
        /// The signer.
        signer: Label,
        /// Until when.
        until: Timestamp,
    },
    /// Who asks does not approve.
    #[error("signer {0} asked for this, and approves nothing of their own")]
    OwnRequest(Label),
    /// The signer's key or person was stopped.
    #[error("signer {signer} does not count now: {why}")]
    Stopped {
        /// The signer.
        signer: Label,
        /// Why.
        why: &'static str,
    },
    /// The signer's key belongs to another person.
    #[error("key of signer {0} is used by its owner only")]
    OtherOwner(Label),
    /// The signer has signed.
    #[error("duplicate signature from same signer: {0}")]
    Duplicate(Label),
    /// Signers sign in their order.
    #[error("signer {signer} has order {order}, and order {last} has signed already")]
    OutOfOrder {
        /// The signer.
        signer: Label,
        /// Their place.
        order: u32,
        /// The last place that has signed.
        last: u32,
    },
    /// The bytes are no signature, or none over what is to be signed.
    #[error("invalid signature of signer {signer} ({algorithm}): it is not over this operation")]
    InvalidSignature {
        /// The signer.
        signer: Label,
        /// The algorithm of their key.
        algorithm: Algorithm,
    },
    /// The threshold is not reached.
    #[error(
        "insufficient signatures for threshold: operation {operation} has weight {have}, needs \
         {need}; signed: {}; missing: {}",
        listed(signed),
        listed(missing)
    )]
    Insufficient {
        /// The operation.
        operation: OperationId,
        /// The weight of those who signed and count.
        have: u64,
        /// The weight that is needed.
        need: u64,
        /// Who signed and counts.
        signed: Vec<Label>,
        /// Who else could.
        missing: Vec<Label>,
    },
    /// SPEC: "operation timed out waiting for signatures".
    #[error(
        "operation timed out waiting for signatures: {operation} expired {at}, has weight {have}, \
         needs {need}; signed: {}; missing: {}",
        listed(signed),
        listed(missing)
    )]
    TimedOut {
        /// The operation.
        operation: OperationId,
        /// When.
        at: Timestamp,
        /// The weight of those who signed.
        have: u64,
        /// The weight that was needed.
        need: u64,
        /// Who signed.
        signed: Vec<Label>,
        /// Who did not.
        missing: Vec<Label>,
    },
    /// The operation is over.
    #[error("multisig operation {operation} is {state}; that is final")]
    Over {
        /// The operation.
        operation: OperationId,
        /// How it ended.
        state: OperationState,
    },
    /// The same transaction is being signed already.
    #[error("operation {0} is over the same transaction; its signatures would be the same")]
    SameTransaction(OperationId),
    /// The rule is another by now, or gone.
    #[error("the rule that asked for {0} was changed or removed; run what it approves again")]
    RuleChanged(OperationId),
    /// What is approved is carried out, not completed by itself.
    #[error("operation {0} approves something else than what is to be done")]
    OtherAct(OperationId),
}

/// Names, or `nobody`.
pub(crate) fn listed(labels: &[Label]) -> String {
    let names: Vec<&str> = labels.iter().map(Label::as_str).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
