//! Faults: what can go wrong in this room without anybody being refused anything.

use crate::access::Argon2Params;
use crate::access::InvalidRole;
use crate::access::PrincipalId;
use crate::access::RoleName;

/// The machine or the store failed; nothing was decided. Details are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessFault {
    /// The operating system gave no random bytes.
    #[error("random bytes are not available from the operating system")]
    Randomness,
    /// No memory for a run of Argon2.
    #[error("memory for argon2 is not available: {0} KiB asked for")]
    Memory(u32),
    /// Stored parameters are weaker than any this product writes: the store was changed by others.
    #[error("argon2 parameters are below the floor: {floor} expected, {stored} stored")]
    Downgraded {
        /// What stands in the store.
        stored: Argon2Params,
        /// The weakest that is accepted.
        floor: Argon2Params,
    },
    /// Argon2 or a cipher refused values that were checked before.
    #[error("{0} refused checked values")]
    Primitive(&'static str),
    /// The passphrase is right and yet does not open the second factor's seed.
    #[error("the sealed second factor of {0} is damaged or was put there by others")]
    SealedSeed(PrincipalId),
    /// Two stored principals have the same id or name.
    #[error("principal {0} is stored twice, or under a name that is taken")]
    DuplicatePrincipal(PrincipalId),
    /// Stored credentials belong to nobody, or a principal has none.
    #[error("credentials and principal {0} do not belong together")]
    StrayCredentials(PrincipalId),
    /// A stored assignment names a role that does not exist.
    #[error("principal {principal} is stored with role `{role}`, which does not exist")]
    UnknownRole {
        /// Who has it.
        principal: PrincipalId,
        /// The name.
        role: RoleName,
    },
    /// A stored role cannot stand.
    #[error(transparent)]
    Role(#[from] InvalidRole),
}

/// `N` bytes from the operating system's generator.
///
/// # Errors
///
/// [`AccessFault::Randomness`].
pub(in crate::access) fn random<const N: usize>() -> Result<[u8; N], AccessFault> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AccessFault::Randomness)?;
    Ok(bytes)
}
