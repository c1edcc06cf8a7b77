//! The sections of `config.toml`. Every field has a default; `0` and absent mean "off, never" in
//! policies.

use std::path::Path;
use std::path::PathBuf;

use kms::access::SessionPolicy;
use kms::audit::AuditLogConfig;
use kms::audit::MIN_FILE_BYTES;
use serde::Deserialize;
use serde::Serialize;

use crate::config::hsm::Hsm;

/// A section and the names of its settings, for "did you mean" and for the environment.
///
/// A test holds this table and the structs together.
pub(crate) const KNOWN: &[(&str, &[&str])] = &[
    ("audit", Audit::FIELDS),
    ("session", Session::FIELDS),
    ("hsm", Hsm::FIELDS),
    ("policy", POLICY_FIELDS),
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
        assert_eq!(sorted(Hsm::FIELDS), names(Hsm::default()));
        assert_eq!(sorted(POLICY_FIELDS), names(KeyLifecyclePolicy::standard()));
    }
}
