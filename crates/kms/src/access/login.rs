//! Authentication: from a name, a passphrase and a code to a proof, which alone makes a session.
//!
//! ```text
//! Login ─prove─▶ Proven ─(accept_code, store, apply_code)─▶ Proven with MFA ─create_session─▶ session
//! ```
//!
//! Whether a name exists cannot be told: unknown, disabled and passphrase-less principals cost the
//! same run of Argon2, count under the same limits, and get the same answer as a wrong passphrase.
//! Which of them it was is for the record only.

use kms_secret::SecretBytes;

use crate::access::AccessController;
use crate::access::AccessFault;
use crate::access::Attestation;
use crate::access::Change;
use crate::access::Changing;
use crate::access::Client;
use crate::access::Credentials;
use crate::access::LockedOut;
use crate::access::PassphraseCredential;
use crate::access::PrincipalId;
use crate::access::Stretched;
use crate::access::directory::Directory;
use crate::access::lockout::Subject;
use crate::access::totp::CodeError;
use crate::time::Timestamp;

/// An attempt to log in.
#[derive(Debug)]
pub struct Login<'a> {
    /// A principal's name, in whichever letter case, or id; untrusted.
    pub name: &'a str,
    /// The passphrase.
    pub passphrase: &'a SecretBytes,
    /// From where.
    pub client: Client<'a>,
}

/// That a principal proved itself just now. Makes one session; cannot be cloned or made elsewhere.
#[derive(Debug)]
pub struct Proof {
    pub(in crate::access) principal: PrincipalId,
    pub(in crate::access) credential_version: u64,
    with_mfa: bool,
}

impl Proof {
    /// Who.
    pub fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// Whether with a second factor.
    pub fn with_mfa(&self) -> bool {
        self.with_mfa
    }
}

/// A proof, and what the right passphrase opens.
#[derive(Debug)]
pub struct Proven {
    proof: Proof,
    stretched: Stretched,
}

impl Proven {
    /// The proof.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// What the passphrase opens.
    pub fn stretched(&self) -> &Stretched {
        &self.stretched
    }

    /// The proof, to make a session with.
    pub fn into_proof(self) -> Proof {
        self.proof
    }
}

/// Why a login failed, for the record. Outside all of them read the same but the lockout and,
/// after the right passphrase, the missing enrolment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// Nobody is called so.
    #[error("name, passphrase or code is wrong")]
    UnknownPrincipal,
    /// Disabled.
    #[error("name, passphrase or code is wrong")]
    Disabled(PrincipalId),
    /// The passphrase, or there is none.
    #[error("name, passphrase or code is wrong")]
    WrongPassphrase(PrincipalId),
    /// What the connection shows is not this principal's.
    #[error("name, passphrase or code is wrong")]
    NotAttested(PrincipalId),
    /// The code of the second factor.
    #[error("name, passphrase or code is wrong")]
    WrongCode(PrincipalId),
    /// The code was used before.
    #[error("name, passphrase or code is wrong")]
    SpentCode(PrincipalId),
    /// Changed between the proof and the session.
    #[error("name, passphrase or code is wrong")]
    Changed(PrincipalId),
    /// A code was given, and there is no second factor.
    #[error("no second factor is enrolled; enrol one first")]
    NotEnrolled(PrincipalId),
    /// Too many failures; the credentials were not looked at.
    #[error(transparent)]
    LockedOut(#[from] LockedOut),
}

impl LoginRefused {
    /// Whom it was about, for the record; never for the caller.
    pub fn principal(&self) -> Option<PrincipalId> {
        match self {
            Self::UnknownPrincipal | Self::LockedOut(_) => None,
            Self::Disabled(id)
            | Self::WrongPassphrase(id)
            | Self::NotAttested(id)
            | Self::WrongCode(id)
            | Self::SpentCode(id)
            | Self::Changed(id)
            | Self::NotEnrolled(id) => Some(*id),
        }
    }

    /// What it was, for the record; never for the caller.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownPrincipal => "unknown principal",
            Self::Disabled(_) => "disabled",
            Self::WrongPassphrase(_) => "wrong passphrase",
            Self::NotAttested(_) => "not attested",
            Self::WrongCode(_) => "wrong code",
            Self::SpentCode(_) => "code used before",
            Self::Changed(_) => "changed meanwhile",
            Self::NotEnrolled(_) => "no second factor enrolled",
            Self::LockedOut(_) => "locked out",
        }
    }
}

/// Why a login did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] LoginRefused),
    /// The machine failed.
    #[error(transparent)]
    Fault(#[from] AccessFault),
}

impl From<LockedOut> for LoginError {
    fn from(locked: LockedOut) -> Self {
        Self::Refused(locked.into())
    }
}

/// A code that is right. Worth nothing until its use is stored: see [`AcceptedCode::change`].
#[derive(Debug)]
#[must_use = "an accepted code is worth nothing until its use is stored and applied"]
pub struct AcceptedCode {
    proven: Proven,
    change: Change,
}

impl AcceptedCode {
    /// What is to be stored before [`Changing::apply_code`], so that the code is spent for good.
    pub fn change(&self) -> &Change {
        &self.change
    }
}

impl AccessController {
    /// Checks a name and a passphrase.
    ///
    /// # Errors
    ///
    /// [`LoginRefused`], the same for every cause but [`LoginRefused::LockedOut`];
    /// [`AccessFault::Memory`], [`AccessFault::Downgraded`].
    pub fn prove(&self, login: &Login<'_>, now: Timestamp) -> Result<Proven, LoginError> {
        let claimed = Claimed::find(&self.directory(), login.name);
        let (subject, address) = (claimed.subject, login.client.address);
        self.lockout().charge_passphrase(subject, address, now)?;
        // Also for nobody: the answer must not come sooner.
        let credential = claimed.credential.as_ref().unwrap_or(self.dummy());
        let opened = credential.check(self.stretcher(), login.passphrase)?;
        let (proof, stretched) = claimed.proof(opened)?;
        self.lockout().passphrase_was_right(subject, address);
        Ok(Proven { proof, stretched })
    }
}

impl AccessController {
    /// Checks what a connection shows. It stands in place of a passphrase and opens neither the
    /// keystore nor a second factor, which are sealed under one.
    ///
    /// # Errors
    ///
    /// [`LoginRefused`], read by the caller as for a wrong passphrase.
    pub fn prove_attested(&self, name: &str, shown: &[Attestation]) -> Result<Proof, LoginRefused> {
        let directory = self.directory();
        let principal = directory.resolve(name).ok_or(LoginRefused::UnknownPrincipal)?;
        let (id, credential_version) = (principal.id, principal.credential_version);
        let credentials = directory.credentials(id);
        let known = credentials.is_some_and(|c| c.attested.iter().any(|one| shown.contains(one)));
        match (known, principal.enabled) {
            (false, _) => Err(LoginRefused::NotAttested(id)),
            (true, false) => Err(LoginRefused::Disabled(id)),
            (true, true) => Ok(Proof { principal: id, credential_version, with_mfa: false }),
        }
    }
}

impl Changing<'_> {
    /// Checks a code of the second factor, or a recovery code, after the passphrase. Two requests
    /// with one code cannot both pass: the second comes after the first one's [`Self::apply_code`].
    ///
    /// # Errors
    ///
    /// [`LoginRefused`]; the proof is gone, and the login begins anew.
    pub fn accept_code(
        &self,
        proven: Proven,
        (code, client): (&SecretBytes, &Client<'_>),
        now: Timestamp,
    ) -> Result<AcceptedCode, LoginError> {
        let id = proven.proof.principal;
        let credentials = self.credentials_of_proof(&proven.proof)?;
        let totp = credentials.totp.as_ref().ok_or(LoginRefused::NotEnrolled(id))?;
        let subject = Subject::principal(id);
        self.controller.lockout().charge_code(subject, client.address, now)?;
        let used = totp.accept((id, &proven.stretched), code, now).map_err(|e| refused(id, e))?;
        self.controller.lockout().code_was_right(subject, client.address);
        let change = Change::PutCredentials(Credentials { totp: Some(used), ..credentials });
        Ok(AcceptedCode { proven, change })
    }

    /// Spends a code whose use is durable by now, and gives the proof with a second factor.
    pub fn apply_code(&mut self, accepted: AcceptedCode) -> Proven {
        self.apply(&accepted.change);
        let AcceptedCode { proven: Proven { proof, stretched }, .. } = accepted;
        Proven { proof: Proof { with_mfa: true, ..proof }, stretched }
    }

    fn credentials_of_proof(&self, proof: &Proof) -> Result<Credentials, LoginRefused> {
        let changed = || LoginRefused::Changed(proof.principal);
        let directory = self.controller.directory();
        let principal = directory.of_proof(proof).ok_or_else(changed)?;
        directory.credentials(principal.id).cloned().ok_or_else(changed)
    }
}

/// Who a caller claims to be, as the directory knows them.
struct Claimed {
    subject: Subject,
    principal: Option<(PrincipalId, u64)>,
    enabled: bool,
    credential: Option<PassphraseCredential>,
}

impl Claimed {
    fn find(directory: &Directory, name: &str) -> Self {
        let Some(principal) = directory.resolve(name) else {
            let subject = Subject::unknown(name);
            return Self { subject, principal: None, enabled: false, credential: None };
        };
        let credentials = directory.credentials(principal.id);
        Self {
            subject: Subject::principal(principal.id),
            principal: Some((principal.id, principal.credential_version)),
            enabled: principal.enabled,
            credential: credentials.and_then(|credentials| credentials.passphrase.clone()),
        }
    }

    fn proof(self, opened: Option<Stretched>) -> Result<(Proof, Stretched), LoginRefused> {
        let (id, version) = self.principal.ok_or(LoginRefused::UnknownPrincipal)?;
        let stretched = opened.ok_or(LoginRefused::WrongPassphrase(id))?;
        if !self.enabled {
            return Err(LoginRefused::Disabled(id));
        }
        Ok((Proof { principal: id, credential_version: version, with_mfa: false }, stretched))
    }
}

fn refused(id: PrincipalId, error: CodeError) -> LoginError {
    match error {
        CodeError::Wrong => LoginRefused::WrongCode(id).into(),
        CodeError::Spent => LoginRefused::SpentCode(id).into(),
        CodeError::Fault(fault) => fault.into(),
    }
}
