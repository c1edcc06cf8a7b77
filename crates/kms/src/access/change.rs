//! Changes of principals, roles and credentials: who may make them, and what is to be stored.
//!
//! ```text
//! changing() ─decide─▶ Change ─store (the caller)─▶ apply
//! ```
//!
//! One at a time: a [`Changing`] holds a lock from the decision to the application, so two changes
//! that are harmless each by itself cannot pass together. Rules:
//!
//! 1. Nobody gives what they do not hold, nor for more keys than they hold it for.
//! 2. Nobody changes their own roles, nor disables or removes themselves.
//! 3. Nobody changes a principal, or resets its credentials, who holds more than they do.
//! 4. Some enabled principal is admin, always.
//! 5. Every change of roles, of `enabled`, passphrase or second factor ends the principal's
//!    sessions at their next call.
//!
//! Never touches the store.

use std::sync::MutexGuard;

use kms_secret::SecretBytes;

use crate::access::AccessController;
use crate::access::AccessFault;
use crate::access::Assignment;
use crate::access::Attestation;
use crate::access::Confirmed;
use crate::access::Credentials;
use crate::access::Enrolment;
use crate::access::GrantedTarget;
use crate::access::InvalidRole;
use crate::access::PassphraseCredential;
use crate::access::PassphraseError;
use crate::access::Permission;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::PrincipalName;
use crate::access::Proven;
use crate::access::Role;
use crate::access::RoleName;
use crate::access::Scope;
use crate::access::Stretched;
use crate::access::TotpCredential;
use crate::access::directory::Directory;
use crate::time::Timestamp;

/// Most assignments of a principal.
const MAX_ASSIGNMENTS: usize = 32;

/// Most attestations of a principal.
const MAX_ATTESTATIONS: usize = 8;

/// What is to be stored, and then applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a change does nothing until it is stored and applied"]
pub enum Change {
    /// This principal, new or in place of the one of its id, with these credentials.
    PutPrincipal {
        /// The principal.
        principal: Principal,
        /// Its credentials.
        credentials: Credentials,
    },
    /// These credentials in place of the principal's; its sessions live on.
    PutCredentials(Credentials),
    /// No principal and no credentials of this id any more.
    RemovePrincipal(PrincipalId),
    /// This role, new or in place of the one of its name.
    PutRole(Role),
    /// No role of this name any more.
    RemoveRole(RoleName),
}

/// Why a change may not be made. Safe to tell to whoever may manage access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// A home has its first admin once.
    #[error("home has principals already; the first admin is made once")]
    AlreadyBootstrapped,
    /// The grant is for something else.
    #[error("grant is not for this change")]
    WrongGrant,
    /// Whoever asks was changed meanwhile.
    #[error("session has ended because its principal was changed; log in again")]
    SessionEnded,
    /// No such principal.
    #[error("principal {0} does not exist")]
    UnknownPrincipal(PrincipalId),
    /// The name belongs to another principal.
    #[error("principal `{0}` exists already")]
    NameTaken(PrincipalName),
    /// No such role.
    #[error("role `{0}` does not exist")]
    UnknownRole(RoleName),
    /// Too many assignments.
    #[error("a principal has at most 32 roles, not {0}")]
    TooManyRoles(usize),
    /// It would give more than its giver holds.
    #[error("role `{0}` holds more than you do, or for more keys")]
    NotHeld(RoleName),
    /// It would make a role of what its maker does not hold.
    #[error("permission `{0}` cannot be put in a role by you: you do not hold it for every key")]
    PermissionNotHeld(Permission),
    /// The other principal holds more.
    #[error("principal {0} holds more than you do")]
    HoldsMore(PrincipalId),
    /// It would change whoever asks.
    #[error("your own roles and state are changed by somebody else")]
    Oneself,
    /// Nobody would be left to manage anything.
    #[error("the last enabled admin cannot be removed, disabled or demoted")]
    LastAdmin,
    /// The role cannot be changed, or cannot stand.
    #[error(transparent)]
    Role(#[from] InvalidRole),
    /// Somebody has the role.
    #[error("role `{0}` is in use and cannot be removed")]
    RoleInUse(RoleName),
    /// Too many attestations.
    #[error("a principal has at most 8 attestations, not {0}")]
    TooManyAttestations(usize),
    /// Another principal is known by it: who shows it would be two.
    #[error("another principal has this attestation")]
    AttestationTaken,
    /// There is a second factor, and replacing it takes it.
    #[error("a second factor is enrolled; replacing it takes a code of it, or a recovery code")]
    MfaInPlace,
}

/// Why a passphrase was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangePassphraseError {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] ChangeRefused),
    /// The new one may not be chosen, or the machine failed.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}

/// A principal to be made.
#[derive(Debug)]
pub struct NewPrincipal {
    /// Its id, drawn before because the second factor is sealed for it.
    pub id: PrincipalId,
    /// Its name.
    pub name: PrincipalName,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// Its passphrase, if it proves itself with one.
    pub passphrase: Option<PassphraseCredential>,
    /// Its second factor, if enrolled at once.
    pub totp: Option<TotpCredential>,
    /// Whether its passphrase also opens the keystore.
    pub has_slot: bool,
}

impl NewPrincipal {
    fn put(self, assignments: Vec<Assignment>, now: Timestamp) -> Change {
        let credentials = Credentials {
            principal: self.id,
            passphrase: self.passphrase,
            totp: self.totp,
            attested: Vec::new(),
        };
        let principal = Principal {
            id: self.id,
            name: self.name,
            kind: self.kind,
            assignments,
            enabled: true,
            created_at: now,
            credential_version: 0,
            has_slot: self.has_slot,
        };
        Change::PutPrincipal { principal, credentials }
    }
}

/// Leave to make one change after another, while nobody else makes any.
#[derive(Debug)]
pub struct Changing<'a> {
    pub(in crate::access) controller: &'a AccessController,
    pub(in crate::access) _one_at_a_time: MutexGuard<'a, ()>,
}

impl Changing<'_> {
    /// Decides the first admin of a home.
    ///
    /// # Errors
    ///
    /// [`ChangeRefused::AlreadyBootstrapped`] if there is any principal.
    pub fn bootstrap(&self, new: NewPrincipal, now: Timestamp) -> Result<Change, ChangeRefused> {
        if self.directory().principals().next().is_some() {
            return Err(ChangeRefused::AlreadyBootstrapped);
        }
        Ok(new.put(vec![Assignment::everywhere(RoleName::admin())], now))
    }

    /// Decides a new principal. `by` is for [`GrantedTarget::Principal`] of its id.
    ///
    /// # Errors
    ///
    /// A name that is taken, an unknown role, a role that holds more than the caller.
    pub fn create_principal(
        &self,
        by: &Confirmed,
        (new, assignments): (NewPrincipal, Vec<Assignment>),
        now: Timestamp,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(new.id))?;
        if directory.resolve(new.name.as_str()).is_some() || directory.principal(new.id).is_some() {
            return Err(ChangeRefused::NameTaken(new.name));
        }
        check_giving(&directory, caller, &assignments)?;
        Ok(new.put(assignments, now))
    }

    /// Decides the roles of a principal, in place of those it has.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more; roles the caller does not hold; the last admin.
    pub fn set_roles(
        &self,
        by: &Confirmed,
        id: PrincipalId,
        assignments: Vec<Assignment>,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        check_giving(&directory, caller, &assignments)?;
        let subject = other(&directory, caller, id)?;
        checked(&directory, put(&directory, Principal { assignments, ..subject.clone() })?)
    }

    /// Decides whether a principal may log in and act.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more; the last admin.
    pub fn set_enabled(
        &self,
        by: &Confirmed,
        id: PrincipalId,
        enabled: bool,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        let subject = other(&directory, caller, id)?;
        checked(&directory, put(&directory, Principal { enabled, ..subject.clone() })?)
    }

    /// Decides whether a principal's passphrase also opens the keystore; the slot itself is made
    /// or removed by the caller.
    ///
    /// # Errors
    ///
    /// Somebody who holds more.
    pub fn set_slot(
        &self,
        by: &Confirmed,
        id: PrincipalId,
        has_slot: bool,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        let subject = if caller.id == id { caller } else { other(&directory, caller, id)? };
        let principal = Principal { has_slot, ..subject.clone() };
        Ok(Change::PutPrincipal { principal, credentials: credentials_of(&directory, id)? })
    }

    /// Decides that a principal goes, with its name and credentials. Its id stays in the records.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more; the last admin.
    pub fn remove_principal(
        &self,
        by: &Confirmed,
        id: PrincipalId,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        other(&directory, caller, id)?;
        checked(&directory, Change::RemovePrincipal(id))
    }

    /// Decides a passphrase for somebody who lost theirs. The second factor goes with the old one,
    /// which alone could open it, and is enrolled anew.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more.
    pub fn reset_passphrase(
        &self,
        by: &Confirmed,
        id: PrincipalId,
        passphrase: PassphraseCredential,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        let subject = other(&directory, caller, id)?;
        let (passphrase, attested) = (Some(passphrase), Vec::new());
        let credentials = Credentials { principal: id, passphrase, totp: None, attested };
        Ok(Change::PutPrincipal { principal: next_version(subject.clone()), credentials })
    }

    /// Decides what a principal's connections may show in place of a passphrase, instead of what they
    /// could until now.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more; more than eight; one that is another principal's.
    pub fn set_attestations(
        &self,
        by: &Confirmed,
        id: PrincipalId,
        attested: Vec<Attestation>,
    ) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        let subject = other(&directory, caller, id)?;
        if attested.len() > MAX_ATTESTATIONS {
            return Err(ChangeRefused::TooManyAttestations(attested.len()));
        }
        let mut others = directory.principals().filter(|other| other.id != id);
        let held = |other: &Principal| {
            let credentials = directory.credentials(other.id);
            credentials.is_some_and(|c| c.attested.iter().any(|one| attested.contains(one)))
        };
        if others.any(held) {
            return Err(ChangeRefused::AttestationTaken);
        }
        let credentials = Credentials { attested, ..credentials_of(&directory, id)? };
        Ok(Change::PutPrincipal { principal: next_version(subject.clone()), credentials })
    }

    /// Decides that somebody who lost their second factor has none, until they enrol another.
    ///
    /// # Errors
    ///
    /// Oneself; somebody who holds more.
    pub fn reset_mfa(&self, by: &Confirmed, id: PrincipalId) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::Principal(id))?;
        let subject = other(&directory, caller, id)?;
        let credentials = Credentials { totp: None, ..credentials_of(&directory, id)? };
        Ok(Change::PutPrincipal { principal: next_version(subject.clone()), credentials })
    }

    /// Decides one's own new passphrase. The [`Stretched`] beside the change re-wraps the slot, if
    /// there is one.
    ///
    /// # Errors
    ///
    /// A passphrase that may not be chosen; a principal changed since it proved itself.
    pub fn change_passphrase(
        &self,
        proven: &Proven,
        new: &SecretBytes,
    ) -> Result<(Change, Stretched), ChangePassphraseError> {
        let directory = self.directory();
        let principal = oneself(&directory, proven)?;
        let mut credentials = credentials_of(&directory, principal.id)?;
        let (passphrase, stretched) =
            PassphraseCredential::create(self.controller.stretcher(), new)?;
        credentials.passphrase = Some(passphrase);
        if let Some(totp) = credentials.totp.take() {
            let seals = (proven.stretched(), &stretched);
            let resealed = totp.reseal(principal.id, seals).map_err(PassphraseError::Fault)?;
            credentials.totp = Some(resealed);
        }
        let principal = next_version(principal.clone());
        Ok((Change::PutPrincipal { principal, credentials }, stretched))
    }

    /// Decides one's own second factor. Whoever has one proves it to replace it: a passphrase alone
    /// must not be enough to get rid of it.
    ///
    /// # Errors
    ///
    /// [`ChangeRefused::MfaInPlace`]; a principal changed since it proved itself.
    pub fn enroll_mfa(
        &self,
        proven: &Proven,
        now: Timestamp,
    ) -> Result<(Change, Enrolment), EnrollError> {
        let directory = self.directory();
        let principal = oneself(&directory, proven)?;
        let mut credentials = credentials_of(&directory, principal.id)?;
        if credentials.totp.is_some() && !proven.proof().with_mfa() {
            return Err(ChangeRefused::MfaInPlace.into());
        }
        let owner = (principal.id, &principal.name);
        let enrolment = TotpCredential::enroll(owner, proven.stretched(), now)?;
        credentials.totp = Some(enrolment.credential.clone());
        let principal = next_version(principal.clone());
        Ok((Change::PutPrincipal { principal, credentials }, enrolment))
    }

    /// Decides a role of one's own making, new or changed. `by` is for [`GrantedTarget::None`].
    /// Whoever has the role holds its new permissions from their next call on.
    ///
    /// # Errors
    ///
    /// A built-in name; a permission the caller does not hold for every key; the last admin.
    pub fn put_role(&self, by: &Confirmed, role: Role) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        let caller = manager(&directory, by, GrantedTarget::None)?;
        directory.roles().admit(&role)?;
        let before = directory.roles().find(&role.name).map(|role| role.permissions);
        let touched = role.permissions.iter().chain(before.iter().flat_map(|set| set.iter()));
        for permission in touched {
            if !directory.holds_in(caller, permission, &Scope::All) {
                return Err(ChangeRefused::PermissionNotHeld(permission));
            }
        }
        checked(&directory, Change::PutRole(role))
    }

    /// Decides that a role goes.
    ///
    /// # Errors
    ///
    /// A built-in, unknown or assigned role.
    pub fn remove_role(&self, by: &Confirmed, name: &RoleName) -> Result<Change, ChangeRefused> {
        let directory = self.directory();
        manager(&directory, by, GrantedTarget::None)?;
        if directory.roles().is_builtin(name) {
            return Err(InvalidRole::Builtin(name.clone()).into());
        }
        if directory.roles().find(name).is_none() {
            return Err(ChangeRefused::UnknownRole(name.clone()));
        }
        let has_it = |principal: &Principal| principal.assignments.iter().any(|a| a.role == *name);
        if directory.principals().any(has_it) {
            return Err(ChangeRefused::RoleInUse(name.clone()));
        }
        Ok(Change::RemoveRole(name.clone()))
    }

    /// Applies a change that is durable by now; from here on every call sees it.
    pub fn apply(&mut self, change: &Change) {
        self.controller.apply(change);
    }

    fn directory(&self) -> impl std::ops::Deref<Target = Directory> + '_ {
        self.controller.directory()
    }
}

/// Why no second factor was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrollError {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] ChangeRefused),
    /// The machine.
    #[error(transparent)]
    Fault(#[from] AccessFault),
}

/// Whoever asks, if `by` is for managing access to just this target and still holds.
fn manager<'d>(
    directory: &'d Directory,
    by: &Confirmed,
    target: GrantedTarget,
) -> Result<&'d Principal, ChangeRefused> {
    let grant = by.grant();
    if grant.permission() != Permission::AccessManage || grant.target() != target {
        return Err(ChangeRefused::WrongGrant);
    }
    let session = grant.held_in().ok_or(ChangeRefused::SessionEnded)?;
    let caller = directory.of_session(session).ok_or(ChangeRefused::SessionEnded)?;
    let holds = directory.holds_in(caller, Permission::AccessManage, &Scope::All);
    holds.then_some(caller).ok_or(ChangeRefused::PermissionNotHeld(Permission::AccessManage))
}

/// The principal to change, if it is another one and holds nothing the caller does not.
fn other<'d>(
    directory: &'d Directory,
    caller: &Principal,
    id: PrincipalId,
) -> Result<&'d Principal, ChangeRefused> {
    if caller.id == id {
        return Err(ChangeRefused::Oneself);
    }
    let subject = directory.principal(id).ok_or(ChangeRefused::UnknownPrincipal(id))?;
    let holds_less = subject.assignments.iter().all(|held| directory.holds(caller, held));
    holds_less.then_some(subject).ok_or(ChangeRefused::HoldsMore(id))
}

/// The principal that proved itself, if it was not changed since.
fn oneself<'d>(directory: &'d Directory, proven: &Proven) -> Result<&'d Principal, ChangeRefused> {
    directory.of_proof(proven.proof()).ok_or(ChangeRefused::SessionEnded)
}

fn check_giving(
    directory: &Directory,
    caller: &Principal,
    assignments: &[Assignment],
) -> Result<(), ChangeRefused> {
    if assignments.len() > MAX_ASSIGNMENTS {
        return Err(ChangeRefused::TooManyRoles(assignments.len()));
    }
    for given in assignments {
        if directory.roles().find(&given.role).is_none() {
            return Err(ChangeRefused::UnknownRole(given.role.clone()));
        }
        if !directory.holds(caller, given) {
            return Err(ChangeRefused::NotHeld(given.role.clone()));
        }
    }
    Ok(())
}

/// Tries `change` on a copy: some enabled principal is still admin after it.
fn checked(directory: &Directory, change: Change) -> Result<Change, ChangeRefused> {
    let mut after = directory.clone();
    after.apply(&change);
    if after.has_admin() { Ok(change) } else { Err(ChangeRefused::LastAdmin) }
}

/// `principal` in its next version, with the credentials it has.
fn put(directory: &Directory, principal: Principal) -> Result<Change, ChangeRefused> {
    let credentials = credentials_of(directory, principal.id)?;
    Ok(Change::PutPrincipal { principal: next_version(principal), credentials })
}

fn credentials_of(directory: &Directory, id: PrincipalId) -> Result<Credentials, ChangeRefused> {
    directory.credentials(id).cloned().ok_or(ChangeRefused::UnknownPrincipal(id))
}

fn next_version(principal: Principal) -> Principal {
    let credential_version = principal.credential_version.saturating_add(1);
    Principal { credential_version, ..principal }
}
