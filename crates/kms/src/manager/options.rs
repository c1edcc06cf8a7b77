//! What the manager is told: where the home is, who calls from where, what key is wanted.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kms_secret::SecretBytes;

use crate::access;
use crate::access::Assignment;
use crate::access::Presented;
use crate::access::PrincipalKind;
use crate::access::PrincipalName;
use crate::access::SessionPolicy;
use crate::audit::AuditLogConfig;
use crate::consensus;
use crate::key::Algorithm;
use crate::key::PolicyName;
use crate::key::Purpose;
use crate::key::StorageName;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::manager::home::Layout;
use crate::storage::KeyStorage;
use crate::time::Clock;
use crate::time::SystemClock;
use crate::time::Timestamp;

/// How a home is opened. [`Options::new`] is right for everyone without a configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory; mode 0700.
    pub home: PathBuf,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// The audit log; `<home>/audit/audit.log` if not said.
    pub audit: Option<AuditLogConfig>,
    /// How long sessions live and what they are bound to.
    pub session: SessionPolicy,
    /// Policies of the configuration, beside the built-in and the registered ones.
    pub policies: Vec<KeyLifecyclePolicy>,
    /// Takes the clock's word although it is far ahead of the last record, or behind it.
    pub accept_clock: bool,
    /// The id of this machine, to which the floors of consensus keys are bound.
    pub machine_id: Option<String>,
    /// What a consensus key may be asked for.
    pub consensus: consensus::Limits,
    /// Storages beside `file` and `memory`, each under a name of its own: tokens and devices.
    pub storages: Vec<Arc<dyn KeyStorage>>,
    /// Whether this process stays, so that keys in memory make sense.
    pub stays: bool,
}

impl Options {
    /// Everything as the specification has it, for the home at `home`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            clock: Arc::new(SystemClock),
            audit: None,
            session: SessionPolicy::default(),
            policies: Vec::new(),
            accept_clock: false,
            machine_id: None,
            consensus: consensus::Limits::default(),
            storages: Vec::new(),
            stays: false,
        }
    }

    /// The settings of the log of the home at `layout`.
    pub(crate) fn audit_config(&self, layout: &Layout) -> AuditLogConfig {
        let in_home = || AuditLogConfig::new(layout.audit().join("audit.log"));
        self.audit.clone().unwrap_or_else(in_home)
    }
}

/// Whether a home asks for a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa {
    /// Time-based one-time passwords (RFC 6238).
    Totp,
    /// None, which marks the home as *development* for ever.
    None,
}

/// How a home is made.
#[derive(Debug)]
pub struct Init<'a> {
    /// The first administrator.
    pub admin: PrincipalName,
    /// The administrator's passphrase, which both unseals and authenticates.
    pub passphrase: &'a SecretBytes,
    /// The second factor.
    pub mfa: Mfa,
}

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The address; absent for this process itself and for the local socket.
    pub source_ip: Option<IpAddr>,
    /// The program, as it names itself.
    pub user_agent: String,
}

/// What a person shows to begin a session.
#[derive(Debug)]
pub struct Login<'a> {
    /// Who they say they are.
    pub principal: &'a PrincipalName,
    /// Their passphrase.
    pub passphrase: &'a SecretBytes,
    /// Their second factor: six digits, or a recovery code.
    pub mfa_code: Option<&'a str>,
    /// Where they are.
    pub client: Client,
}

impl Client {
    /// The same place, and any program there.
    #[must_use]
    pub fn of_any_agent(self) -> Self {
        Self { user_agent: access::ANY_AGENT.to_owned(), ..self }
    }

    /// As the access room looks at it.
    pub(crate) fn shown(&self) -> access::Client<'_> {
        access::Client { address: self.source_ip, user_agent: &self.user_agent }
    }

    /// The program's name, if it has one.
    pub(crate) fn named(&self) -> Option<String> {
        (!self.user_agent.is_empty()).then(|| self.user_agent.clone())
    }
}

/// Someone with a session: what every operation is called with.
#[derive(Debug)]
pub struct Caller {
    token: SecretBytes,
    client: Client,
    request: Option<String>,
    expires_at: Option<Timestamp>,
}

impl Caller {
    /// Whoever shows `token` from `client`; whether that is a session is looked at on each call.
    pub fn new(token: SecretBytes, client: Client) -> Self {
        Self { token, client, request: None, expires_at: None }
    }

    /// With the name of the request this is, which will stand in its records.
    #[must_use]
    pub fn within(mut self, request: impl Into<String>) -> Self {
        self.request = Some(request.into());
        self
    }

    /// Whoever has just logged in.
    pub(crate) fn started(token: SecretBytes, client: Client, expires_at: Timestamp) -> Self {
        Self { token, client, request: None, expires_at: Some(expires_at) }
    }

    /// When the session ends at the latest; known to the caller that a login returned.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The name of the request.
    pub(crate) fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// The session's token: 64 hex digits that stand for the session's holder.
    pub fn token(&self) -> &SecretBytes {
        &self.token
    }

    /// Where the caller is.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn presented(&self) -> Presented<'_> {
        Presented { token: &self.token, client: self.client.shown() }
    }
}

/// The principal that is wanted.
#[derive(Debug, Clone)]
pub struct NewPrincipal {
    /// The name to log in with; unlike every other, also in another case.
    pub name: PrincipalName,
    /// A person or a service.
    pub kind: PrincipalKind,
    /// The roles, each everywhere or for some keys.
    pub assignments: Vec<Assignment>,
    /// Whether the principal's passphrase opens the keystore, too. If not said: when one of the
    /// roles makes or uses keys.
    pub slot: Option<bool>,
}

/// The key that is wanted.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What it is for.
    pub purpose: Purpose,
    /// Its algorithm; the purpose's default if absent.
    pub algorithm: Option<Algorithm>,
    /// Where its private half will live.
    pub storage: StorageName,
    /// The policy it will live under; the purpose's default if absent.
    pub policy: Option<PolicyName>,
    /// Whether it becomes active at once; else it stays created.
    pub activate: bool,
}
