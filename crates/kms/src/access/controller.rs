//! The access controller: who calls, and what they may do.
//!
//! Holds principals, roles, sessions and counters in memory. Its owner fills it from the store,
//! stores each [`Change`] it decides, and applies it after that; nothing here touches a disk, a
//! clock or a socket.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;

use kms_secret::SecretBytes;

use crate::access::AccessFault;
use crate::access::Authenticated;
use crate::access::Change;
use crate::access::Changing;
use crate::access::Client;
use crate::access::Confirmed;
use crate::access::Credentials;
use crate::access::Denied;
use crate::access::Grant;
use crate::access::Lockout;
use crate::access::LockoutRecord;
use crate::access::LoginError;
use crate::access::LoginRefused;
use crate::access::MfaRequired;
use crate::access::PassphraseCredential;
use crate::access::Permission;
use crate::access::Presented;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::Proof;
use crate::access::Role;
use crate::access::Sensitive;
use crate::access::SensitiveDenied;
use crate::access::Session;
use crate::access::SessionPolicy;
use crate::access::SessionRecord;
use crate::access::SessionRefused;
use crate::access::SessionTag;
use crate::access::StartedSession;
use crate::access::Stretcher;
use crate::access::Target;
use crate::access::directory::Directory;
use crate::access::grant;
use crate::access::lockout::Subject;
use crate::access::sessions::NewSession;
use crate::access::sessions::Sessions;
use crate::time::Timestamp;

/// Whether second factors are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MfaMode {
    /// Wherever [`Sensitive`] or a policy says so.
    Required,
    /// Nowhere: the home is marked as development, for ever.
    Development,
}

/// Everything of this room that is stored.
#[derive(Debug, Default)]
pub struct AccessContents {
    /// Every principal.
    pub principals: Vec<Principal>,
    /// The credentials of each.
    pub credentials: Vec<Credentials>,
    /// One's own roles; the built-in ones are never stored.
    pub roles: Vec<Role>,
    /// Sessions that may still live.
    pub sessions: Vec<SessionRecord>,
    /// Counters of failures.
    pub lockouts: Vec<LockoutRecord>,
}

/// How this room behaves, from the configuration and the home's mark.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// Rules for sessions.
    pub sessions: SessionPolicy,
    /// Whether second factors are asked for.
    pub mfa: MfaMode,
}

/// Why a call is not permitted: no session, or no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckRefused {
    /// The token opens no session.
    #[error(transparent)]
    Session(#[from] SessionRefused),
    /// The session's principal lacks the permission.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// SPEC: "Session Management", `AccessController`.
#[derive(Debug)]
pub struct AccessController {
    directory: RwLock<Directory>,
    sessions: Sessions,
    lockout: Mutex<Lockout>,
    changing: Mutex<()>,
    stretcher: Stretcher,
    dummy: PassphraseCredential,
    mfa: MfaMode,
}

impl AccessController {
    /// A controller over what is stored.
    ///
    /// # Errors
    ///
    /// Contents that contradict themselves, of which this product never writes any.
    pub fn new(contents: AccessContents, settings: AccessSettings) -> Result<Self, AccessFault> {
        Self::with(Stretcher::new(), contents, settings)
    }

    /// Makes a session of a proof. No session is made without one. SPEC: `CreateSession`.
    ///
    /// # Errors
    ///
    /// [`LoginRefused::Changed`] if the principal was changed since it proved itself;
    /// [`AccessFault::Randomness`].
    pub fn create_session(
        &self,
        proof: Proof,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<StartedSession, LoginError> {
        let directory = self.directory();
        let changed = LoginRefused::Changed(proof.principal());
        let principal = directory.of_proof(&proof).ok_or(changed)?;
        let new = NewSession { principal, client, with_mfa: proof.with_mfa() };
        Ok(self.sessions.start(&new, now)?)
    }

    /// Makes a session with a second factor in place of the caller's, which ends: a token from
    /// before a step-up is worth nothing after it.
    ///
    /// # Errors
    ///
    /// [`LoginRefused::Changed`] if the proof is another principal's, or as for
    /// [`Self::create_session`]; [`LoginRefused::WrongCode`] if it has no second factor.
    pub fn step_up(
        &self,
        caller: &Authenticated,
        (proof, client): (Proof, Client<'_>),
        now: Timestamp,
    ) -> Result<StartedSession, LoginError> {
        if proof.principal() != caller.principal() {
            return Err(LoginRefused::Changed(proof.principal()).into());
        }
        if !proof.with_mfa() {
            return Err(LoginRefused::WrongCode(proof.principal()).into());
        }
        self.sessions.end(&caller.session);
        self.create_session(proof, client, now)
    }

    /// Who calls, by the token they show. SPEC: `ValidateSession`.
    ///
    /// # Errors
    ///
    /// [`SessionRefused`]; a session that is refused has ended.
    pub fn validate_session(
        &self,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, SessionRefused> {
        let session = self.sessions.validate(presented, now)?;
        if self.directory().of_session(&session).is_none() {
            self.sessions.end(&session);
            return Err(SessionRefused::PrincipalChanged(session.tag()));
        }
        Ok(Authenticated { session })
    }

    /// Grants `permission` on `target` if the caller's roles do so at this moment. Everything else
    /// is denied.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn authorize(
        &self,
        caller: &Authenticated,
        permission: Permission,
        target: &Target<'_>,
    ) -> Result<Grant, Denied> {
        grant::authorize(&self.directory(), caller, (permission, target))
    }

    /// Grants something that always needs a second factor given just now.
    ///
    /// # Errors
    ///
    /// [`SensitiveDenied`].
    pub fn authorize_sensitive(
        &self,
        caller: &Authenticated,
        (operation, target): (Sensitive, &Target<'_>),
        now: Timestamp,
    ) -> Result<Confirmed, SensitiveDenied> {
        let grant = self.authorize(caller, operation.permission(), target)?;
        Ok(self.require_mfa(grant, now)?)
    }

    /// Confirms a grant whose operation needs a second factor, because a policy says so.
    ///
    /// # Errors
    ///
    /// [`MfaRequired`], unless the home is marked as development.
    pub fn require_mfa(&self, grant: Grant, now: Timestamp) -> Result<Confirmed, MfaRequired> {
        match self.mfa {
            MfaMode::Development => Ok(grant::confirm_in_development(grant)),
            MfaMode::Required => {
                let freshness_s = self.sessions.policy().mfa_freshness_s();
                grant::confirm(grant, freshness_s, self.sessions.time(now))
            }
        }
    }

    /// Whether a token's principal holds `permission` for anything at all. Grants nothing: what is
    /// done needs a [`Grant`]. SPEC: `CheckPermission`.
    ///
    /// # Errors
    ///
    /// [`CheckRefused`].
    pub fn check_permission(
        &self,
        presented: &Presented<'_>,
        permission: Permission,
        now: Timestamp,
    ) -> Result<(), CheckRefused> {
        let caller = self.validate_session(presented, now)?;
        Ok(self.check_permission_of(&caller, permission)?)
    }

    /// Whether a caller holds a permission, for some keys at least.
    ///
    /// # Errors
    /// When not.
    pub fn check_permission_of(
        &self,
        caller: &Authenticated,
        permission: Permission,
    ) -> Result<(), Denied> {
        let directory = self.directory();
        let principal = directory.of_session(&caller.session).ok_or(Denied::SessionEnded)?;
        grant::holds_somewhere(&directory, principal, permission)
    }

    /// Whose session a token opens, without using it: whether it may be used is looked at when it is.
    pub fn holder(&self, token: &SecretBytes) -> Option<PrincipalId> {
        self.sessions.holder(token)
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.count()
    }

    /// Ends a session. Nothing happens, and that is well, if it has ended or never was. SPEC:
    /// `EndSession`.
    pub fn end_session(&self, tag: SessionTag) {
        self.sessions.end_where(|session| session.tag() == tag);
    }

    /// Ends every session of a principal, and tells which those were.
    pub fn end_sessions_of(&self, principal: PrincipalId) -> Vec<SessionTag> {
        self.sessions.end_where(|session| session.principal == principal)
    }

    /// Ends every session whose time is over, and tells which those were.
    pub fn sweep_sessions(&self, now: Timestamp) -> Vec<SessionTag> {
        self.sessions.sweep(now)
    }

    /// Leave to change principals, roles and credentials; waits while somebody else has it.
    pub fn changing(&self) -> Changing<'_> {
        let one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        Changing { controller: self, _one_at_a_time: one_at_a_time }
    }

    /// Forgets the failures counted for a principal. `by` is for managing access to it.
    pub fn unlock(&self, by: &Confirmed, principal: PrincipalId) -> bool {
        let fits = by.grant().permission() == Permission::AccessManage
            && by.grant().target() == grant::GrantedTarget::Principal(principal);
        if fits {
            self.lockout().unlock(Subject::principal(principal));
        }
        fits
    }

    /// The principal of this name or id.
    pub fn principal(&self, name_or_id: &str) -> Option<Principal> {
        self.directory().resolve(name_or_id).cloned()
    }

    /// Every principal, by name.
    pub fn principals(&self) -> Vec<Principal> {
        let mut principals: Vec<_> = self.directory().principals().cloned().collect();
        principals.sort_by_key(|principal| principal.name.folded());
        principals
    }

    /// Every role, built-in and own, by name.
    pub fn roles(&self) -> Vec<Role> {
        self.directory().roles().iter().cloned().collect()
    }

    /// Every session, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.all()
    }

    /// Every session as it is to be stored.
    pub fn session_records(&self) -> Vec<SessionRecord> {
        self.sessions.records()
    }

    /// One session as it is to be stored.
    pub fn session_record(&self, session: &Session) -> SessionRecord {
        self.sessions.record(session)
    }

    /// Every counter of failures as it is to be stored.
    pub fn lockout_records(&self) -> Vec<LockoutRecord> {
        self.lockout().records()
    }

    /// What stretches passphrases, for new credentials.
    pub fn stretcher(&self) -> &Stretcher {
        &self.stretcher
    }

    pub(in crate::access) fn directory(&self) -> impl Deref<Target = Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::access) fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::access) fn dummy(&self) -> &PassphraseCredential {
        &self.dummy
    }

    /// Called by [`Changing`] only, which holds the lock for it.
    pub(in crate::access) fn apply(&self, change: &Change) {
        self.directory.write().unwrap_or_else(PoisonError::into_inner).apply(change);
        let directory = self.directory();
        self.sessions.end_where(|session| directory.of_session(session).is_none());
    }

    fn with(
        stretcher: Stretcher,
        contents: AccessContents,
        settings: AccessSettings,
    ) -> Result<Self, AccessFault> {
        let AccessContents { principals, credentials, roles, sessions, lockouts } = contents;
        Ok(Self {
            directory: RwLock::new(Directory::load(principals, credentials, roles)?),
            sessions: Sessions::restore(settings.sessions, sessions),
            lockout: Mutex::new(Lockout::restore(lockouts)),
            changing: Mutex::default(),
            dummy: PassphraseCredential::dummy(&stretcher)?,
            stretcher,
            mfa: settings.mfa,
        })
    }
}

#[cfg(test)]
impl AccessController {
    /// A controller whose runs of Argon2 are quick, for tests.
    pub(crate) fn quick(
        contents: AccessContents,
        settings: AccessSettings,
    ) -> Result<Self, AccessFault> {
        Self::with(Stretcher::quick(), contents, settings)
    }
}
