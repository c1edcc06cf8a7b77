//! What can be made to wait for approvals, spelled out so that it can be carried out later: exactly
//! that, and nothing that was not approved.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;

use crate::access::Assignment;
use crate::access::Attestation;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::PrincipalName;
use crate::access::Role;
use crate::access::RoleName;
use crate::access::Scope;
use crate::key::KeyId;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Padding;
use crate::key::PolicyName;
use crate::key::Prehash;
use crate::key::Reason;
use crate::key::Scheme;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::MultiSigId;
use crate::multisig::Subject;

/// An operation of the product with everything it is asked with. Secrets are no part of one: who
/// carries it out gives them then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// [`crate::manager::KeyLifecycleManager::activate_key`].
    ActivateKey { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::reactivate_key`].
    ReactivateKey { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::archive_key`]: the private half goes.
    ArchiveKey { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::schedule_destroy`].
    ScheduleDestroy { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::destroy_now`].
    DestroyNow { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyManager::rotate_key`].
    RotateKey { key: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::rotate_key`].
    RotateTo { key: KeyId, successor: KeyId, reason: Reason },
    /// [`crate::manager::KeyLifecycleManager::complete_rotation`].
    CompleteRotation { key: KeyId, successor: KeyId, reason: Reason },
    /// [`crate::manager::KeyManager::rename_key`].
    RenameKey { key: KeyId, to: Label },
    /// [`crate::manager::KeyManager::sign`].
    Sign { key: KeyId, message: String, hash: Hash, padding: Pad },
    /// [`crate::manager::AccessManager::create_principal`].
    CreatePrincipal {
        name: PrincipalName,
        kind: PrincipalKind,
        roles: Vec<Assignment>,
        slot: Option<bool>,
    },
    /// [`crate::manager::AccessManager::set_roles`].
    SetRoles { principal: PrincipalId, roles: Vec<Assignment> },
    /// [`crate::manager::AccessManager::enable`].
    EnablePrincipal { principal: PrincipalId },
    /// [`crate::manager::AccessManager::set_attestations`].
    SetAttestations { principal: PrincipalId, attested: Vec<Attestation> },
    /// [`crate::manager::AccessManager::reset_mfa`].
    ResetMfa { principal: PrincipalId },
    /// [`crate::manager::AccessManager::reset_passphrase`].
    ResetPassphrase { principal: PrincipalId },
    /// [`crate::manager::AccessManager::set_role`].
    SetRole { role: Role },
    /// [`crate::manager::AccessManager::remove_role`].
    RemoveRole { name: RoleName },
    /// [`crate::manager::KeyLifecycleManager::register_policy`].
    SetPolicy { policy: KeyLifecyclePolicy },
    /// [`crate::manager::KeyLifecycleManager::remove_policy`].
    RemovePolicy { name: PolicyName },
    /// [`crate::manager::MultiSigManager::set_rule`].
    SetRule {
        name: Label,
        acts: Vec<ActKind>,
        scope: Scope,
        quorum: MultiSigId,
        initiator_counts: bool,
        /// The version it will be.
        version: u64,
    },
    /// [`crate::manager::MultiSigManager::remove_rule`].
    RemoveRule { name: Label, version: u64 },
}

/// [`Prehash`] as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hash {
    Sha256,
    Keccak256,
    Prehashed,
}

/// [`Padding`] as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pad {
    Pss,
    Pkcs1v15,
}

impl Order {
    /// A signature that is asked for.
    pub(crate) fn sign(key: KeyId, message: &[u8], scheme: Scheme) -> Self {
        let hash = match scheme.prehash {
            Prehash::Sha256 => Hash::Sha256,
            Prehash::Keccak256 => Hash::Keccak256,
            Prehash::Prehashed => Hash::Prehashed,
        };
        let padding = match scheme.padding {
            Padding::Pss => Pad::Pss,
            Padding::Pkcs1v15 => Pad::Pkcs1v15,
        };
        Self::Sign { key, message: STANDARD.encode(message), hash, padding }
    }

    /// What rules look at.
    pub(crate) fn kind(&self) -> ActKind {
        match self {
            Self::ActivateKey { .. } | Self::CompleteRotation { .. } => ActKind::Activate,
            Self::RotateKey { .. } | Self::RotateTo { .. } | Self::RenameKey { .. } => {
                ActKind::Rotate
            }
            Self::ReactivateKey { .. } => ActKind::Reactivate,
            Self::ArchiveKey { .. } | Self::ScheduleDestroy { .. } | Self::DestroyNow { .. } => {
                ActKind::Destroy
            }
            Self::Sign { .. } => ActKind::Sign,
            Self::CreatePrincipal { .. }
            | Self::SetRoles { .. }
            | Self::EnablePrincipal { .. }
            | Self::SetAttestations { .. }
            | Self::ResetMfa { .. }
            | Self::ResetPassphrase { .. }
            | Self::SetRole { .. }
            | Self::RemoveRole { .. } => ActKind::Access,
            Self::SetPolicy { .. } | Self::RemovePolicy { .. } => ActKind::Policy,
            Self::SetRule { .. } | Self::RemoveRule { .. } => ActKind::Approval,
        }
    }

    /// What it is done to; `key` is the key it is about, if there is one.
    pub(crate) fn subject(&self, key: Option<&ManagedKey>) -> Subject {
        match (self, key) {
            (Self::SetRule { name, .. } | Self::RemoveRule { name, .. }, _) => {
                Subject::Rule(name.clone())
            }
            (Self::RenameKey { to, .. }, Some(key)) => Subject::Renamed {
                id: key.id,
                from: key.label.clone(),
                to: to.clone(),
                purpose: key.purpose,
            },
            (_, Some(key)) => subject_of(key),
            (_, None) => Subject::Home,
        }
    }

    /// As it is approved.
    pub(crate) fn act(&self, key: Option<&ManagedKey>) -> Act {
        let order = serde_json::to_value(self).unwrap_or_default(); // names are texts
        Act { act: self.kind(), subject: self.subject(key), order }
    }

    /// What an approved act says is to be done; nothing where it is of another program's making.
    pub(crate) fn of(act: &Act) -> Option<Self> {
        let order: Self = serde_json::from_value(act.order.clone()).ok()?;
        (order.kind() == act.act).then_some(order)
    }
}

/// A key as rules look at it.
pub(crate) fn subject_of(key: &ManagedKey) -> Subject {
    Subject::Key { id: key.id, label: key.label.clone(), purpose: key.purpose }
}

impl From<Hash> for Prehash {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256,
            Hash::Keccak256 => Self::Keccak256,
            Hash::Prehashed => Self::Prehashed,
        }
    }
}

impl From<Pad> for Padding {
    fn from(padding: Pad) -> Self {
        match padding {
            Pad::Pss => Self::Pss,
            Pad::Pkcs1v15 => Self::Pkcs1v15,
        }
    }
}
