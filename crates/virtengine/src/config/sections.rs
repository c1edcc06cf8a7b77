//! The sections of `config.toml`. Every field has a default; `0` and absent mean "off, never" in
//! policies.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use kms::access::SessionPolicy;
use kms::audit::AuditLogConfig;
use kms::audit::MIN_FILE_BYTES;
use kms::key::KeyRef;
use kms_formats::comet::ChainId;
use kms_formats::comet::privval::Dialect;
use kms_server::Limits;
use kms_validator::Address;
use serde::Deserialize;
use serde::Serialize;

use crate::config::hsm::Hsm;

/// A section and the names of its settings, for "did you mean" and for the environment.
///
/// A test holds this table and the structs together.
pub(crate) const KNOWN: &[(&str, &[&str])] = &[
    ("audit", Audit::FIELDS),
    ("session", Session::FIELDS),
    ("server", Server::FIELDS),
    ("policy", POLICY_FIELDS),
    ("validator", Validator::FIELDS),
    ("hsm", Hsm::FIELDS),
];

/// `[audit]`: the specification's `AuditLogConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// The file records are appended to; absent: `audit/audit.log` in the home.
    pub(crate) log_file: Option<PathBuf>,
    /// A new file begins once this one has so many bytes.
    pub(crate) max_file_size: u64,
    /// Whether each record carries the hash of the one before.
    pub(crate) enable_chaining: bool,
    /// Whether a record is on the disk before what it tells of is released. Off only in
    /// development homes.
    pub(crate) sync_writes: bool,
}

impl Audit {
    pub(crate) const FIELDS: &[&str] =
        &["log_file", "max_file_size", "enable_chaining", "sync_writes"];

    /// The settings as the library takes them, for the home at `home`; a relative `log_file` is
    /// taken from there.
    pub(crate) fn log(&self, home: &Path) -> AuditLogConfig {
        let configured = self.log_file.as_deref();
        AuditLogConfig {
            log_file: home.join(configured.unwrap_or(Path::new("audit/audit.log"))),
            max_file_size: self.max_file_size,
            enable_chaining: self.enable_chaining,
            sync_writes: self.sync_writes,
        }
    }

    /// What is wrong with the values.
    pub(crate) fn refusal(&self) -> Option<String> {
        let small = self.max_file_size < MIN_FILE_BYTES;
        let small = small.then(|| format!("audit.max_file_size is at least {MIN_FILE_BYTES}"));
        let unchained = (!self.enable_chaining)
            .then(|| "audit.enable_chaining cannot be switched off".to_owned());
        small.or(unchained)
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            log_file: None,
            max_file_size: 100 * 1024 * 1024,
            enable_chaining: true,
            sync_writes: true,
        }
    }
}

/// `[session]`: how long sessions live and what they are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Session {
    /// Seconds without a call after which a session ends.
    pub(crate) idle_timeout_s: u64,
    /// Seconds after login after which a session ends.
    pub(crate) absolute_timeout_s: u64,
    /// Seconds for which a second factor counts as fresh.
    pub(crate) mfa_freshness_s: u64,
    /// Sessions one principal may have at a time.
    pub(crate) max_per_principal: usize,
    /// Whether a session is bound to the address it was opened from.
    pub(crate) bind_ip: bool,
    /// Whether a session is bound to the user agent it was opened with.
    pub(crate) bind_user_agent: bool,
}

impl Session {
    pub(crate) const FIELDS: &[&str] = &[
        "idle_timeout_s",
        "absolute_timeout_s",
        "mfa_freshness_s",
        "max_per_principal",
        "bind_ip",
        "bind_user_agent",
    ];

    /// The settings as the library takes them.
    ///
    /// # Errors
    /// When a value is out of range.
    pub(crate) fn policy(&self) -> Result<SessionPolicy, String> {
        let policy = serde_json::json!({
            "absolute_timeout_s": self.absolute_timeout_s,
            "idle_timeout_s": self.idle_timeout_s,
            "mfa_freshness_s": self.mfa_freshness_s,
            "max_per_principal": self.max_per_principal,
            "bind_address": self.bind_ip,
            "bind_user_agent": self.bind_user_agent,
        });
        serde_json::from_value(policy).map_err(|e| e.to_string())
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_timeout_s: 15 * 60,
            absolute_timeout_s: 12 * 60 * 60,
            mfa_freshness_s: 5 * 60,
            max_per_principal: 5,
            bind_ip: true,
            bind_user_agent: true,
        }
    }
}

/// `[server]`: where the daemon listens, and what its callers have to keep to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// The socket for this machine; absent: `kms.sock` in the home.
    pub(crate) unix: Option<PathBuf>,
    /// The address for others, with TLS; absent: none.
    pub(crate) listen: Option<SocketAddr>,
    /// The server's certificate and those above it, PEM.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// Whose certificates clients may show, PEM.
    pub(crate) client_ca: Option<PathBuf>,
    /// Connections at a time.
    pub(crate) max_connections: usize,
    /// Requests per second from one address.
    pub(crate) requests_per_second: u32,
    /// Logins per minute from one address.
    pub(crate) logins_per_minute: u32,
    /// What one principal may spend per second, in signatures of Ed25519.
    pub(crate) units_per_second: u32,
    /// Seconds a stop waits for what was begun.
    pub(crate) stop_timeout_s: u64,
}

impl Server {
    pub(crate) const FIELDS: &[&str] = &[
        "unix",
        "listen",
        "tls_cert",
        "tls_key",
        "client_ca",
        "max_connections",
        "requests_per_second",
        "logins_per_minute",
        "units_per_second",
        "stop_timeout_s",
    ];

    /// What callers have to keep to.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            requests_per_s: self.requests_per_second,
            logins_per_min: self.logins_per_minute,
            units_per_s: self.units_per_second,
            stop_timeout: Duration::from_secs(self.stop_timeout_s),
            ..Limits::default()
        }
    }

    /// What is wrong with the values.
    pub(crate) fn refusal(&self) -> Option<String> {
        let zero = self.max_connections == 0
            || self.requests_per_second == 0
            || self.logins_per_minute == 0
            || self.units_per_second == 0;
        let none = zero.then(|| "the limits of [server] are at least 1".to_owned());
        let bare = self.listen.is_some() && (self.tls_cert.is_none() || self.tls_key.is_none());
        none.or_else(|| bare.then(|| "server.listen needs tls_cert and tls_key".to_owned()))
    }
}

impl Default for Server {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            unix: None,
            listen: None,
            tls_cert: None,
            tls_key: None,
            client_ca: None,
            max_connections: limits.connections,
            requests_per_second: limits.requests_per_s,
            logins_per_minute: limits.logins_per_min,
            units_per_second: limits.units_per_s,
            stop_timeout_s: limits.stop_timeout.as_secs(),
        }
    }
}

/// `[[validator]]`: a node, and the one key that it may use on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validator {
    /// The chain.
    pub(crate) chain_id: ChainId,
    /// The consensus key: label or id. A label means the key that has it when the daemon starts.
    #[serde(with = "as_text")]
    pub(crate) key: KeyRef,
    /// Where the node listens: `unix:///…` or `tcp://…`.
    #[serde(with = "as_text")]
    pub(crate) address: Address,
    /// Which release of CometBFT it speaks like.
    #[serde(with = "as_text", default = "Validator::dialect")]
    pub(crate) dialect: Dialect,
    /// The connection's name in records, logs and metrics; absent: the chain and the address.
    #[serde(default)]
    pub(crate) connection: Option<String>,
    /// The user whose node listens at a unix socket, besides this user and root.
    #[serde(default)]
    pub(crate) peer_uid: Option<u32>,
}

impl Validator {
    pub(crate) const FIELDS: &[&str] =
        &["chain_id", "key", "address", "dialect", "connection", "peer_uid"];

    fn dialect() -> Dialect {
        Dialect::V0_38
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        let unnamed = || format!("{} {}", self.chain_id, self.address);
        self.connection.clone().unwrap_or_else(unnamed)
    }

    /// What its files are called.
    pub(crate) fn file_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.name().chars().map(plain).take(100).collect()
    }
}

/// A value that is written and read as its text.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'d, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'d>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The settings of a `[[policy]]`, which is one `KeyLifecyclePolicy`.
const POLICY_FIELDS: &[&str] = &[
    "name",
    "max_active_age_days",
    "warning_days_before_exp",
    "expiration_days",
    "grace_period_days",
    "auto_rotate",
    "require_mfa",
    "allowed_algorithms",
    "minimum_strength_bits",
    "require_approval_for_activation",
    "require_approval_for_destruction",
    "archive_after_days",
    "destroy_after_days",
    "destroy_delay_days",
];

#[cfg(test)]
mod tests {
    use super::*;
    use kms::lifecycle::KeyLifecyclePolicy;

    fn names(value: impl Serialize) -> Vec<String> {
        let value = serde_json::to_value(value).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    fn sorted(fields: &[&str]) -> Vec<String> {
        let mut fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
        fields.sort();
        fields
    }

    #[test]
    fn table_of_names_and_structs_agree() {
        assert_eq!(sorted(Audit::FIELDS), names(Audit::default()));
        assert_eq!(sorted(Session::FIELDS), names(Session::default()));
        assert_eq!(sorted(Server::FIELDS), names(Server::default()));
        assert_eq!(sorted(Hsm::FIELDS), names(Hsm::default()));
        assert_eq!(sorted(POLICY_FIELDS), names(KeyLifecyclePolicy::standard()));
        let validator = Validator {
            chain_id: "c-1".parse().unwrap(),
            key: "val".parse().unwrap(),
            address: "tcp://a:1".parse().unwrap(),
            dialect: Validator::dialect(),
            connection: None,
            peer_uid: None,
        };
        assert_eq!(sorted(Validator::FIELDS), names(validator));
    }
}
