//! One operation: what it is over, who has signed, and how it ended.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::key::Label;
use crate::key::Reason;
use crate::multisig::ActKind;
use crate::multisig::MultiSigId;
use crate::multisig::OperationId;
use crate::store::Document;
use crate::time::Timestamp;

/// SPEC: "Signing Workflow", and how an operation ends without being finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Signatures are missing.
    Pending,
    /// Enough have come; it can be completed.
    ThresholdMet,
    /// It was completed, once. Final.
    Complete,
    /// Its time is over. Final.
    Expired,
    /// Somebody called it off. Final.
    Cancelled,
}

impl OperationState {
    /// The name in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::ThresholdMet => "threshold_met",
            Self::Complete => "complete",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        match self {
            Self::Complete | Self::Expired | Self::Cancelled => true,
            Self::Pending | Self::ThresholdMet => false,
        }
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// SPEC: "MultiSigOperation". Its message is stored beside it: [`Message`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its name, for ever.
    pub id: OperationId,
    /// Whose signatures it collects.
    pub key: MultiSigId,
    /// SHA-256 of the message: the same on every screen.
    pub message_sha256: HexDigest,
    /// How long the message is.
    pub message_bytes: usize,
    /// What whoever asks says that it is.
    pub description: Reason,
    /// Who asked: a principal's id.
    pub initiator: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when signatures count.
    pub expires_at: Timestamp,
    /// Whether the message is a transaction of a Cosmos account, whose signatures are over nothing
    /// but that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub transaction: bool,
    /// What it approves, where it is an approval of one of the product's own operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActKind>,
    /// The rule that asks for the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// The signer who asked, and so does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<Label>,
    /// The signatures, in the order in which they came.
    pub signatures: Vec<Collected>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// A SHA-256 digest, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexDigest(pub [u8; 32]);

impl fmt::Display for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HexDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HexDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = [0; 32];
        let text = String::deserialize(deserializer)?;
        hex::decode_to_slice(text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// A rule as an approval names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRef {
    /// Its name.
    pub name: Label,
    /// Which version of it.
    pub version: u64,
}

/// SPEC: "CollectedSignature": one that was verified when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// Whose.
    pub signer: Label,
    /// The signature in its one form, as hex.
    pub signature: String,
    /// When it came.
    pub signed_at: Timestamp,
    /// Which principal made or brought it.
    pub added_by: String,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// By whom; nobody, where its time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// With the signatures of these signers.
    Complete {
        /// Who counted.
        counted: Vec<Label>,
    },
    /// By time.
    Expired,
    /// By somebody.
    Cancelled {
        /// Why.
        reason: Reason,
    },
}

impl Operation {
    /// The state at `now`: past its expiry it is expired, whether or not that was recorded.
    ///
    /// `met` says whether enough have signed, where nothing has ended it.
    pub fn state_at(&self, now: Timestamp, met: bool) -> OperationState {
        match &self.closed {
            Some(closed) => match closed.outcome {
                Outcome::Complete { .. } => OperationState::Complete,
                Outcome::Expired => OperationState::Expired,
                Outcome::Cancelled { .. } => OperationState::Cancelled,
            },
            None if self.expires_at <= now => OperationState::Expired,
            None if met => OperationState::ThresholdMet,
            None => OperationState::Pending,
        }
    }

    /// The signature of a signer.
    pub fn signature_of(&self, signer: &Label) -> Option<&Collected> {
        self.signatures.iter().find(|collected| collected.signer == *signer)
    }

    /// Its row among those that are open, by which the ones whose time is over are found first.
    pub fn open_row(&self) -> OpenOperation {
        OpenOperation { expires_at: self.expires_at, operation: self.id, key: self.key }
    }

    /// What it keeps others from being begun over: an act under one version of a rule, or a
    /// transaction, over which all signatures would be the same.
    pub fn claim(&self) -> Option<Claim> {
        let about = match &self.rule {
            Some(rule) => Claim::of_act(&self.message_sha256, rule),
            None if self.transaction => format!("transaction {} {}", self.key, self.message_sha256),
            None => return None,
        };
        Some(Claim { about, operation: self.id })
    }
}

impl Claim {
    /// What an operation claims that approves an act with this digest under a rule.
    pub(crate) fn of_act(act: &HexDigest, rule: &RuleRef) -> String {
        format!("act {act} {} {}", rule.version, rule.name.folded())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Document for Operation {
    const KIND: &'static str = "multisig_operation";

    fn document_id(&self) -> String {
        self.id.to_string()
    }
}

/// What an operation is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Whose.
    pub operation: OperationId,
    /// The bytes, in base64.
    pub base64: String,
}

impl Document for Message {
    const KIND: &'static str = "multisig_message";

    fn document_id(&self) -> String {
        self.operation.to_string()
    }
}

/// One row for each operation that is not over, in the order of their expiry: however many are
/// open, what is due stands first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenOperation {
    /// When it expires.
    pub expires_at: Timestamp,
    /// Which.
    pub operation: OperationId,
    /// Whose signatures it collects.
    pub key: MultiSigId,
}

impl Document for OpenOperation {
    const KIND: &'static str = "multisig_open";

    fn document_id(&self) -> String {
        format!("{} {}", self.expires_at, self.operation)
    }
}

/// One row for each thing of which there may be one operation only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What: an act under a version of a rule, or a transaction of an account.
    pub about: String,
    /// The operation that is over it.
    pub operation: OperationId,
}

impl Document for Claim {
    const KIND: &'static str = "multisig_claim";

    fn document_id(&self) -> String {
        self.about.clone()
    }
}
