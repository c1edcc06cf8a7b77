//! Authorization: from who calls to what they may do now.
//!
//! ```text
//! Presented ─validate─▶ Authenticated ─authorize─▶ Grant ─second factor fresh─▶ Confirmed
//! ```
//!
//! Each is made in this room only, and none can be cloned. Everything not granted is denied.
//!
//! A key outside the caller's scope and a key that does not exist get one answer,
//! [`Denied::Hidden`]: whoever may use some keys cannot find out which others there are.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::Assignment;
use crate::access::Permission;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::RoleName;
use crate::access::Scope;
use crate::access::Session;
use crate::access::SessionTag;
use crate::access::directory::Directory;
use crate::key::KeyId;
use crate::key::Label;
use crate::key::Purpose;
use crate::time::Timestamp;

/// A caller whose session is alive: who and from where. For one call.
#[derive(Debug)]
pub struct Authenticated {
    pub(in crate::access) session: Arc<Session>,
}

impl Authenticated {
    /// Who calls.
    pub fn principal(&self) -> PrincipalId {
        self.session.principal
    }

    /// A person or a program.
    pub fn kind(&self) -> PrincipalKind {
        self.session.kind
    }

    /// The session, as records name it.
    pub fn session(&self) -> SessionTag {
        self.session.tag()
    }

    /// From where; absent on the local socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.session.address
    }

    /// By which program, as it calls itself.
    pub fn user_agent(&self) -> &str {
        &self.session.user_agent
    }
}

/// What an operation acts on.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Nothing in particular, or everything.
    None,
    /// A key.
    Key {
        /// Its id.
        id: &'a KeyId,
        /// Its label.
        label: &'a Label,
        /// Its purpose.
        purpose: Purpose,
    },
    /// A key that is yet to be made or imported.
    NewKey {
        /// The label it will have.
        label: &'a Label,
        /// The purpose it will have.
        purpose: Purpose,
    },
    /// A key that was asked for and does not exist. Never granted; denied as one out of scope is.
    UnknownKey,
    /// A principal.
    Principal(PrincipalId),
}

/// What a [`Grant`] was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantedTarget {
    /// Nothing in particular, or everything.
    None,
    /// This key.
    Key(KeyId),
    /// One key that is yet to be made.
    NewKey,
    /// This principal.
    Principal(PrincipalId),
}

/// Leave to do one thing to one target, now. Made by
/// [`crate::access::AccessController::authorize`] only.
///
/// ```compile_fail,E0451
/// use kms::access::{Grant, Permission};
/// fn widen(grant: Grant) -> Grant {
///     Grant { permission: Permission::Admin, ..grant } // private: none is made outside
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn copy(grant: &kms::access::Grant) -> kms::access::Grant {
///     grant.clone() // one leave, one use
/// }
/// ```
#[derive(Debug)]
pub struct Grant {
    holder: Holder,
    permission: Permission,
    target: GrantedTarget,
}

/// To whom a grant was given.
#[derive(Debug)]
enum Holder {
    /// A caller with a session.
    Session(Arc<Session>),
    /// A validator's node, which may use one consensus key and nothing else.
    Node,
}

impl Grant {
    /// To whom; nobody in the directory, for a node.
    pub fn principal(&self) -> Option<PrincipalId> {
        self.held_in().map(|session| session.principal)
    }

    /// In which session, as records name it; none, for a node.
    pub fn session(&self) -> Option<SessionTag> {
        self.held_in().map(Session::tag)
    }

    /// What for.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// On what.
    pub fn target(&self) -> GrantedTarget {
        self.target
    }

    pub(in crate::access) fn held_in(&self) -> Option<&Session> {
        match &self.holder {
            Holder::Session(session) => Some(session),
            Holder::Node => None,
        }
    }
}

/// What a validator's node may do, once the configuration has bound it to `key`: ask this key for
/// its votes.
pub(crate) fn authorize_node(key: KeyId) -> Grant {
    let (permission, target) = (Permission::KeySign, GrantedTarget::Key(key));
    Grant { holder: Holder::Node, permission, target }
}

#[cfg(test)]
impl Grant {
    /// A grant of nobody, for tests of what comes after.
    pub(crate) fn for_test(permission: Permission, target: GrantedTarget) -> Self {
        Self { holder: Holder::Session(Arc::new(Session::for_test())), permission, target }
    }
}

/// A [`Grant`] whose caller gave a second factor just now, or whose home is marked as development.
///
/// ```compile_fail,E0423
/// fn confirm(grant: kms::access::Grant) -> kms::access::Confirmed {
///     kms::access::Confirmed(grant) // private: only the second factor makes one
/// }
/// ```
#[derive(Debug)]
pub struct Confirmed(Grant);

impl Confirmed {
    /// The grant.
    pub fn grant(&self) -> &Grant {
        &self.0
    }

    /// The grant, for what asks for no confirmation further on.
    pub fn into_grant(self) -> Grant {
        self.0
    }
}

/// Why something may not be done. Safe to tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No role of the caller carries the permission.
    #[error("permission `{permission}` is missing; it is carried by {}", names(roles))]
    Missing {
        /// What is missing.
        permission: Permission,
        /// The roles that carry it.
        roles: Vec<RoleName>,
    },
    /// The caller holds the permission for some keys, and this is not about one of them.
    #[error("permission `{0}` is held for some keys only, and this needs it for more")]
    Narrow(Permission),
    /// The key does not exist, or is none of the caller's.
    #[error("there is no such key, or none that your roles cover")]
    Hidden,
    /// The session ended while the call was under way.
    #[error("session has ended because its principal was changed; log in again")]
    SessionEnded,
}

/// Something needs a second factor that was given just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MfaRequired {
    /// None was given in this session.
    #[error("a second factor is needed; give the code of your authenticator")]
    Absent,
    /// It was given too long ago.
    #[error("the second factor was given too long ago; give a new code")]
    Stale,
}

/// What always needs a second factor given just now, whatever the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitive {
    /// Changing principals and roles.
    ManageAccess,
    /// Changing policies.
    ManagePolicy,
    /// Letting a private key out.
    ExportKey,
    /// Destroying a private key without delay.
    DestroyKeyNow,
    /// Restoring keys from a backup.
    RestoreKey,
    /// Returning a suspended key to use.
    ReactivateKey,
}

impl Sensitive {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::ManageAccess,
        Self::ManagePolicy,
        Self::ExportKey,
        Self::DestroyKeyNow,
        Self::RestoreKey,
        Self::ReactivateKey,
    ];

    /// The permission it needs besides the second factor.
    pub fn permission(self) -> Permission {
        match self {
            Self::ManageAccess => Permission::AccessManage,
            Self::ManagePolicy => Permission::PolicyManage,
            Self::ExportKey => Permission::KeyExport,
            Self::DestroyKeyNow => Permission::KeyDestroy,
            Self::RestoreKey => Permission::KeyRestore,
            Self::ReactivateKey => Permission::KeySuspend,
        }
    }
}

/// Why something sensitive may not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SensitiveDenied {
    /// It is not permitted at all.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It is permitted with a second factor.
    #[error(transparent)]
    Mfa(#[from] MfaRequired),
}

/// Grants `permission` on `target` if the caller's roles do so at this moment.
pub(in crate::access) fn authorize(
    directory: &Directory,
    caller: &Authenticated,
    (permission, target): (Permission, &Target<'_>),
) -> Result<Grant, Denied> {
    let principal = directory.of_session(&caller.session).ok_or(Denied::SessionEnded)?;
    let holding = |assignment: &&Assignment| directory.grants(assignment, permission);
    let mut held = principal.assignments.iter().filter(holding).peekable();
    if held.peek().is_none() {
        let roles = directory.roles().granting(permission);
        return Err(Denied::Missing { permission, roles });
    }
    if !held.any(|assignment| covers(&assignment.scope, target)) {
        return Err(outside(permission, target));
    }
    let target = granted(target).ok_or(Denied::Hidden)?;
    let holder = Holder::Session(Arc::clone(&caller.session));
    Ok(Grant { holder, permission, target })
}

/// Whether `principal` holds `permission` for anything at all.
pub(in crate::access) fn holds_somewhere(
    directory: &Directory,
    principal: &Principal,
    permission: Permission,
) -> Result<(), Denied> {
    let holds = |assignment: &Assignment| directory.grants(assignment, permission);
    if principal.assignments.iter().any(holds) {
        return Ok(());
    }
    Err(Denied::Missing { permission, roles: directory.roles().granting(permission) })
}

/// Confirms `grant` if its second factor is at most `freshness_s` seconds old at `time`, by the
/// session clock.
pub(in crate::access) fn confirm(
    grant: Grant,
    freshness_s: u64,
    time: Timestamp,
) -> Result<Confirmed, MfaRequired> {
    match grant.held_in().and_then(|session| session.mfa_at) {
        None => Err(MfaRequired::Absent),
        Some(given) if time < given.plus_seconds(freshness_s) => Ok(Confirmed(grant)),
        Some(_) => Err(MfaRequired::Stale),
    }
}

/// Confirms `grant` on a home that is marked as development.
pub(in crate::access) fn confirm_in_development(grant: Grant) -> Confirmed {
    Confirmed(grant)
}

fn covers(scope: &Scope, target: &Target<'_>) -> bool {
    match target {
        Target::Key { id, label, purpose } => scope.covers_key(Some(id), label, *purpose),
        Target::NewKey { label, purpose } => scope.covers_key(None, label, *purpose),
        Target::UnknownKey => false,
        Target::None | Target::Principal(_) => *scope == Scope::All,
    }
}

fn outside(permission: Permission, target: &Target<'_>) -> Denied {
    match target {
        Target::Key { .. } | Target::UnknownKey => Denied::Hidden,
        Target::None | Target::NewKey { .. } | Target::Principal(_) => Denied::Narrow(permission),
    }
}

fn granted(target: &Target<'_>) -> Option<GrantedTarget> {
    match target {
        Target::None => Some(GrantedTarget::None),
        Target::Key { id, .. } => Some(GrantedTarget::Key(**id)),
        Target::NewKey { .. } => Some(GrantedTarget::NewKey),
        Target::Principal(id) => Some(GrantedTarget::Principal(*id)),
        Target::UnknownKey => None,
    }
}

fn names(roles: &[RoleName]) -> String {
    roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", ")
}
