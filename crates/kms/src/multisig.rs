//! MultiSigManager's decisions: several parties authorize one thing, each with a signature of their
//! own over exactly that thing.
//!
//! A [`MultiSigKey`] says who counts for how much. An [`Operation`] collects signatures over one
//! message, in one of two forms:
//!
//! - *approval*: weighted signers of any algorithm sign the operation's [`statement()`], which binds
//!   the key, the operation, the message, the threshold and the expiry, so that a signature counts
//!   in this operation and in no other; what comes out is [`Evidence`] that anyone can verify.
//! - *cosmos*: equal secp256k1 members sign a transaction's amino JSON; what comes out is the
//!   `MultiSignature` of a `LegacyAminoPubKey` account.
//!
//! An operation whose message is an [`Act`] is an approval of one of the product's own operations,
//! asked for by an [`ApprovalRule`]. Carrying that out takes a [`Permit`], which only this module
//! makes, and only when every rule that covers the act is satisfied at that moment.
//!
//! Values in, values out: nothing here reads a store, a clock or a session. Invariants:
//!
//! - Nothing completes below its threshold, after its expiry or its cancellation, or twice.
//! - What is complete, expired or cancelled stays so.
//! - Every signature is verified when it arrives and again at the end, and one signer counts once,
//!   however their key or their signature is written.

mod id;
mod refusal;
mod config;
mod key;
mod act;
mod rule;
mod operation;
mod signature;
mod statement;
mod tally;
mod decide;
mod reminder;
mod evidence;
mod permit;

#[cfg(test)]
mod tests;

pub use act::Act;
pub use act::ActKind;
pub use act::Subject;
pub use act::UnknownAct;
pub use config::AuthorizedSigner;
pub use config::Form;
pub use config::InvalidConfig;
pub use config::MultiSigConfig;
pub use config::SIGNERS;
pub use config::Weight;
pub use decide::MESSAGE_LIMIT;
pub use decide::New;
pub use decide::add_signature;
pub use decide::cancel;
pub use decide::complete;
pub use decide::expire;
pub use decide::initiate;
pub(crate) use decide::may_sign;
pub use evidence::Evidence;
pub use evidence::EvidenceError;
pub use evidence::Verified;
pub use evidence::verify_evidence;
pub use id::InvalidId;
pub use id::MultiSigId;
pub use id::OperationId;
pub use key::MultiSigKey;
pub use key::NewMultiSigKey;
pub use key::SignerRef;
pub use operation::Claim;
pub use operation::Closed;
pub use operation::Collected;
pub use operation::HexDigest;
pub use operation::Message;
pub use operation::OpenOperation;
pub use operation::Operation;
pub use operation::OperationState;
pub use operation::Outcome;
pub use operation::RuleRef;
pub use permit::Found;
pub use permit::Open;
pub use permit::Permit;
pub use permit::Turn;
pub use permit::permit;
pub use refusal::Refusal;
pub use reminder::Reminder;
pub use reminder::reminder;
pub use rule::ApprovalRule;
pub use rule::InvalidRule;
pub use rule::check_quorum;
pub use rule::rules_for;
pub use signature::SIGNATURE_LIMIT;
pub use statement::DOMAIN;
pub use statement::sign_bytes;
pub use statement::statement;
pub use tally::Exclusion;
pub use tally::Missing;
pub use tally::Present;
pub use tally::Signed;
pub use tally::Tally;
pub use tally::tally;
