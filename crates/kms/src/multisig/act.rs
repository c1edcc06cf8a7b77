//! The product's own operations that can be made to wait for approvals.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::key::KeyId;
use crate::key::Label;
use crate::key::Purpose;
use crate::multisig::key::sha256;

/// What a rule can ask an approval for. Closed: what is none of these needs no approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActKind {
    /// Putting a key into use.
    Activate,
    /// Giving a key a successor that is in use at once.
    Rotate,
    /// Returning a suspended key to use.
    Reactivate,
    /// Ordering the destruction of a key, or destroying it at once.
    Destroy,
    /// Signing with a key.
    Sign,
    /// Changing principals, their credentials or roles.
    Access,
    /// Changing lifecycle policies.
    Policy,
    /// Changing approval rules; also of rules that do not say so, where it is about them.
    Approval,
}

impl ActKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Activate,
        Self::Rotate,
        Self::Reactivate,
        Self::Destroy,
        Self::Sign,
        Self::Access,
        Self::Policy,
        Self::Approval,
    ];

    /// The name on the command line, in files and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Rotate => "rotate",
            Self::Reactivate => "reactivate",
            Self::Destroy => "destroy",
            Self::Sign => "sign",
            Self::Access => "access",
            Self::Policy => "policy",
            Self::Approval => "approval",
        }
    }

    /// Whether it is done to a key, so that a rule can be for some keys only.
    pub fn is_of_key(self) -> bool {
        match self {
            Self::Activate | Self::Rotate | Self::Reactivate | Self::Destroy | Self::Sign => true,
            Self::Access | Self::Policy | Self::Approval => false,
        }
    }
}

impl fmt::Display for ActKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no act; there are activate, rotate, reactivate, destroy, sign, access, policy and \
     approval"
)]
pub struct UnknownAct(String);

impl FromStr for ActKind {
    type Err = UnknownAct;

    fn from_str(text: &str) -> Result<Self, UnknownAct> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownAct(text.chars().take(40).collect()))
    }
}

/// What an act is done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Subject {
    /// A key. Its label is what rules look at; the id is what is acted on.
    Key {
        /// Its id.
        id: KeyId,
        /// Its label.
        label: Label,
        /// What it is for.
        purpose: Purpose,
    },
    /// A key that gets another label.
    Renamed {
        /// Its id.
        id: KeyId,
        /// Its label.
        from: Label,
        /// The label it is to have.
        to: Label,
        /// What it is for.
        purpose: Purpose,
    },
    /// The approval rule of this name.
    Rule(Label),
    /// Something else of the home, as the order says.
    Home,
}

/// One thing to be done: who may ask for it is not part of it, what exactly it is.
///
/// Its bytes are what is approved: [`Act::to_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// What rules look at.
    pub act: ActKind,
    /// What it is done to.
    pub subject: Subject,
    /// All of it, as it will be carried out.
    pub order: Value,
}

/// Stands before the JSON of every act, so that it is taken for nothing else.
const HEADER: &[u8] = b"virtengine act v1\n";

impl Act {
    /// The header `virtengine act v1`, a line end, and the act as JSON: the members `act`, `subject`
    /// and `order` in this order, the members inside `order` sorted, without spaces.
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default(); // names are texts: it does not fail
        [HEADER, &json].concat()
    }

    /// Reads the bytes of [`Self::to_bytes`]; `None` for anything else, also for the same act in
    /// another spelling.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let act: Self = serde_json::from_slice(bytes.strip_prefix(HEADER)?).ok()?;
        (act.to_bytes() == bytes).then_some(act)
    }

    /// SHA-256 of its bytes.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.to_bytes())
    }

    /// Whether bytes claim to be an act.
    pub(crate) fn is_claimed(bytes: &[u8]) -> bool {
        bytes.starts_with(HEADER)
    }
}
