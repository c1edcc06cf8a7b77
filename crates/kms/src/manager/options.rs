//! What the manager is told: where the home is, who calls from where, what key is wanted.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kms_secret::SecretBytes;

use crate::access::PrincipalName;
use crate::access::SessionPolicy;
use crate::access::SessionToken;
use crate::audit::AuditLogConfig;
use crate::key::Algorithm;
use crate::key::PolicyName;
use crate::key::Purpose;
use crate::key::StorageName;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::time::Clock;
use crate::time::SystemClock;

/// How a home is opened. [`Options::new`] is right for everyone without a configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory; mode 0700.
    pub home: PathBuf,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// The audit log; a relative `log_file` is taken from the home.
    pub audit: AuditLogConfig,
    /// How long sessions live and what they are bound to.
    pub session: SessionPolicy,
    /// Policies of the configuration, beside the built-in and the registered ones.
    pub policies: Vec<KeyLifecyclePolicy>,
    /// Takes the clock's word although it is far ahead of the last record.
    pub accept_clock: bool,
}

impl Options {
    /// Everything as the specification has it, for the home at `home`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            clock: Arc::new(SystemClock),
            audit: AuditLogConfig::default(),
            session: SessionPolicy::default(),
            policies: Vec::new(),
            accept_clock: false,
        }
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

/// Someone with a session: what every operation is called with.
#[derive(Debug)]
pub struct Caller {
    pub(crate) token: SessionToken,
    pub(crate) client: Client,
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
