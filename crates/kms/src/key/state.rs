//! The states of a key.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// Where a key stands in its life. What may follow what, and what may be done in each state, is
/// decided by [`crate::lifecycle`] alone.
///
/// SPEC: "Key States"; NIST SP 800-57 Part 1 Rev. 5 section 7 (Created is its Pre-activation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Made or imported, not yet usable.
    Created,
    /// Waits for an approval, MFA or its inclusion on a chain.
    Pending,
    /// Signs and verifies.
    Active,
    /// Has a successor; still signs and verifies until the rotation is completed.
    Rotating,
    /// Stopped for now; may return to Active.
    Suspended,
    /// Signs no more; verifies.
    Deactivated,
    /// Past its expiration date; verifies.
    Expired,
    /// Past its grace period; the public half stays to verify with.
    Archived,
    /// Known or suspected in wrong hands; never signs again.
    Compromised,
    /// Its private half is gone. Final; the record stays as a tombstone.
    Destroyed,
}

impl KeyState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Pending,
        Self::Active,
        Self::Rotating,
        Self::Suspended,
        Self::Deactivated,
        Self::Expired,
        Self::Archived,
        Self::Compromised,
        Self::Destroyed,
    ];

    /// The name used in commands, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Rotating => "rotating",
            Self::Suspended => "suspended",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Archived => "archived",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
