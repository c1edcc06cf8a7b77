//! What is kept about a key: everything but its private half.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::PolicyName;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::time::Timestamp;

/// Where a key's private half came from; recorded for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Made here: no other copy was ever known to this product.
    Generated,
    /// Brought from outside, where copies may remain.
    Imported,
    /// Made in its storage by another program, and taken over: what happened to it before is not known
    /// here.
    Adopted,
    /// Only the public half is here; the private half never was.
    Registered,
}

/// Names a place where private keys live: `memory`, `file`, one of configuration (`hsm:NAME`), or
/// `offline`, which is anywhere but here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct StorageName(Box<str>);

impl StorageName {
    /// The storage of keys whose private half is elsewhere.
    pub const OFFLINE: &str = "offline";

    /// [`Self::OFFLINE`] as a name.
    pub fn offline() -> Self {
        Self(Self::OFFLINE.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a token.
    pub fn is_token(&self) -> bool {
        self.0.starts_with("hsm:")
    }
}

/// A text that names no kind of storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no storage; there are `memory`, `file`, `offline` and `hsm:NAME`")]
pub struct InvalidStorageName(String);

impl FromStr for StorageName {
    type Err = InvalidStorageName;

    fn from_str(text: &str) -> Result<Self, InvalidStorageName> {
        let named = text.strip_prefix("hsm:").is_some_and(|name| name.parse::<Label>().is_ok());
        (named || ["memory", "file", "offline"].contains(&text))
            .then(|| Self(text.into()))
            .ok_or_else(|| InvalidStorageName(text.chars().take(40).collect()))
    }
}

impl fmt::Display for StorageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for StorageName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key under management: its record, without its private half.
///
/// Every field but `label` and the dates is written once. `state` is the stored state; what a key
/// may do *now* also depends on its dates and is decided by [`crate::lifecycle::state_at`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedKey {
    /// One key for ever.
    pub id: KeyId,
    /// The lineage.
    pub label: Label,
    /// What it is for.
    pub purpose: Purpose,
    /// Where its private half lives.
    pub storage: StorageName,
    /// Where its private half came from.
    pub origin: Origin,
    /// The public half.
    pub public_key: PublicKey,
    /// The policy it lives under.
    pub policy: PolicyName,

    /// The stored state.
    pub state: KeyState,
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// When it first became active.
    pub activated_at: Option<Timestamp>,
    /// When it stopped signing for good; its grace period counts from here.
    pub deactivated_at: Option<Timestamp>,
    /// From this moment on it is expired, whether or not anything has said so yet.
    pub expires_at: Option<Timestamp>,
    /// When its destruction is due, once that was ordered.
    pub destroy_at: Option<Timestamp>,
    /// When its private half went.
    pub destroyed_at: Option<Timestamp>,

    /// The key that replaces it.
    pub successor: Option<KeyId>,
    /// The key it replaces.
    pub predecessor: Option<KeyId>,
}

impl ManagedKey {
    /// The algorithm of the public half.
    pub fn algorithm(&self) -> Algorithm {
        self.public_key.algorithm()
    }
}

/// One step of a key's life: who moved it, from where to where, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The state before; absent for the first step.
    pub from: Option<KeyState>,
    /// The state after.
    pub to: KeyState,
    /// When.
    pub at: Timestamp,
    /// The principal's id, or `system`.
    pub by: String,
    /// Why.
    pub reason: String,
}
