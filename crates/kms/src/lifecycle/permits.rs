//! What may be done with a key in each state.

use std::fmt;

use crate::key::KeyState;

/// What can be done with a key, moves of its state aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyOperation {
    /// Making a signature.
    Sign,
    /// Checking a signature against the key under management, which vouches for it.
    Verify,
    /// Giving out the public half and the record.
    ExportPublic,
    /// Changing the label.
    Rename,
    /// Putting the private half into a backup.
    Backup,
}

impl KeyOperation {
    /// Every operation.
    pub const ALL: [Self; 5] =
        [Self::Sign, Self::Verify, Self::ExportPublic, Self::Rename, Self::Backup];

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::ExportPublic => "export-public",
            Self::Rename => "rename",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for KeyOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a key in `state` permits `operation`. `state` is that of this moment, as
/// [`crate::lifecycle::state_at`] says it.
///
/// Signing is for Active and Rotating alone. A suspended, compromised or destroyed key permits
/// nothing; an archived or destroyed one has no private half to back up. A new key has signed
/// nothing that could be verified (NIST SP 800-57 Part 1 Rev. 5 section 7.1). The public half and
/// the record are always given out: who must distrust a key has to be able to name it.
pub fn permits(state: KeyState, operation: KeyOperation) -> bool {
    let (verify, rename, backup) = match state {
        KeyState::Created | KeyState::Pending => (false, true, true),
        KeyState::Active | KeyState::Rotating => (true, true, true),
        KeyState::Deactivated | KeyState::Expired => (true, true, true),
        KeyState::Archived => (true, true, false),
        KeyState::Suspended | KeyState::Compromised | KeyState::Destroyed => (false, false, false),
    };
    match operation {
        KeyOperation::Sign => signs(state),
        KeyOperation::Verify => verify,
        KeyOperation::ExportPublic => true,
        KeyOperation::Rename => rename,
        KeyOperation::Backup => backup,
    }
}

/// The states that permit `operation`, in the order of a life.
pub(crate) fn states_permitting(operation: KeyOperation) -> Vec<KeyState> {
    KeyState::ALL.into_iter().filter(|state| permits(*state, operation)).collect()
}

fn signs(state: KeyState) -> bool {
    match state {
        KeyState::Active | KeyState::Rotating => true,
        KeyState::Created
        | KeyState::Pending
        | KeyState::Suspended
        | KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => false,
    }
}
