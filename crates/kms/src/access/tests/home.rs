//! A home with an admin, for tests.

use kms_secret::SecretBytes;

use crate::access::AccessContents;
use crate::access::AccessController;
use crate::access::AccessSettings;
use crate::access::Assignment;
use crate::access::Authenticated;
use crate::access::Change;
use crate::access::ChangeRefused;
use crate::access::Client;
use crate::access::Confirmed;
use crate::access::Login;
use crate::access::LoginError;
use crate::access::MfaMode;
use crate::access::NewPrincipal;
use crate::access::PassphraseCredential;
use crate::access::Presented;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::Proven;
use crate::access::Scope;
use crate::access::Selection;
use crate::access::Sensitive;
use crate::access::SessionPolicy;
use crate::access::SessionRefused;
use crate::access::StartedSession;
use crate::access::Target;
use crate::time::Timestamp;

pub(in crate::access) const HERE: Client<'static> =
    Client { address: None, user_agent: "vekms/0.1" };

/// A moment `seconds` after the tests begin.
pub(in crate::access) fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_795_470_300 + seconds)
}

pub(in crate::access) fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from(text.as_bytes())
}

pub(in crate::access) fn from(address: &str) -> Client<'static> {
    Client { address: Some(address.parse().unwrap()), user_agent: "vekms/0.1" }
}

/// One role over everything.
pub(in crate::access) fn role(name: &str) -> Vec<Assignment> {
    vec![Assignment::everywhere(name.parse().unwrap())]
}

/// One role over the labels of one pattern.
pub(in crate::access) fn role_on(name: &str, labels: &str) -> Vec<Assignment> {
    let selection = Selection::new(vec![], vec![labels.parse().unwrap()], vec![]).unwrap();
    vec![Assignment { role: name.parse().unwrap(), scope: Scope::Only(selection) }]
}

/// A controller, and everybody's passphrase: see [`passphrase_of`].
pub(in crate::access) struct Home {
    pub(in crate::access) access: AccessController,
    pub(in crate::access) root: PrincipalId,
}

impl Home {
    /// A home whose only principal is the admin `root`.
    pub(in crate::access) fn new(mfa: MfaMode) -> Self {
        Self::with(AccessSettings { sessions: SessionPolicy::default(), mfa })
    }

    pub(in crate::access) fn with(settings: AccessSettings) -> Self {
        let access = AccessController::quick(AccessContents::default(), settings).unwrap();
        let mut changing = access.changing();
        let new = new_principal(&access, "root");
        let root = new.id;
        let change = changing.bootstrap(new, at(0)).unwrap();
        changing.apply(&change);
        drop(changing);
        Self { access, root }
    }

    /// Makes a principal, as `root`.
    pub(in crate::access) fn add(&self, name: &str, assignments: Vec<Assignment>) -> PrincipalId {
        self.try_add("root", name, assignments).unwrap()
    }

    /// Makes a principal, as `by`.
    pub(in crate::access) fn try_add(
        &self,
        by: &str,
        name: &str,
        assignments: Vec<Assignment>,
    ) -> Result<PrincipalId, ChangeRefused> {
        let new = new_principal(&self.access, name);
        let id = new.id;
        let by = self.confirmed(by, &Target::Principal(id));
        self.change(|changing| changing.create_principal(&by, (new, assignments), at(0)))?;
        Ok(id)
    }

    /// Decides and applies one change.
    pub(in crate::access) fn change<E>(
        &self,
        decide: impl FnOnce(&crate::access::Changing<'_>) -> Result<Change, E>,
    ) -> Result<(), E> {
        let mut changing = self.access.changing();
        let change = decide(&changing)?;
        changing.apply(&change);
        Ok(())
    }

    /// Leave to manage access to `target`, in a new session of `name`. For homes in development.
    pub(in crate::access) fn confirmed(&self, name: &str, target: &Target<'_>) -> Confirmed {
        let caller = self.caller(name);
        self.access.authorize_sensitive(&caller, (Sensitive::ManageAccess, target), at(0)).unwrap()
    }

    pub(in crate::access) fn prove(
        &self,
        name: &str,
        passphrase: &str,
        client: Client<'_>,
    ) -> Result<Proven, LoginError> {
        let login = Login { name, passphrase: &secret(passphrase), client };
        self.access.prove(&login, at(0))
    }

    pub(in crate::access) fn login(&self, name: &str) -> StartedSession {
        self.login_from(name, HERE)
    }

    pub(in crate::access) fn login_from(&self, name: &str, client: Client<'_>) -> StartedSession {
        let proven = self.prove(name, &passphrase_of(name), client).unwrap();
        self.access.create_session(proven.into_proof(), client, at(0)).unwrap()
    }

    pub(in crate::access) fn caller(&self, name: &str) -> Authenticated {
        self.validate(&self.login(name), HERE, at(0)).unwrap()
    }

    pub(in crate::access) fn validate(
        &self,
        session: &StartedSession,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, SessionRefused> {
        self.access.validate_session(&Presented { token: &session.token, client }, now)
    }
}

pub(in crate::access) fn passphrase_of(name: &str) -> String {
    format!("passphrase of {name}")
}

pub(in crate::access) fn new_principal(access: &AccessController, name: &str) -> NewPrincipal {
    let passphrase = secret(&passphrase_of(name));
    let (credential, _) = PassphraseCredential::create(access.stretcher(), &passphrase).unwrap();
    NewPrincipal {
        id: PrincipalId::random().unwrap(),
        name: name.parse().unwrap(),
        kind: PrincipalKind::User,
        passphrase: Some(credential),
        totp: None,
        has_slot: false,
    }
}
