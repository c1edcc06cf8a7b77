//! The sections of `config.toml`. Every field has a default; `0` and absent mean "off, never" in
//! policies.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// A section and the names of its settings, for "did you mean" and for the environment.
///
/// A test holds this table and the structs together.
pub(crate) const KNOWN: &[(&str, &[&str])] =
    &[("audit", Audit::FIELDS), ("session", Session::FIELDS), ("policy", Policy::FIELDS)];

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
    const FIELDS: &[&str] = &["log_file", "max_file_size", "enable_chaining", "sync_writes"];
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
    /// Sessions one principal may have at a time.
    pub(crate) max_per_principal: usize,
    /// Whether a session is bound to the address it was opened from.
    pub(crate) bind_ip: bool,
    /// Whether a session is bound to the user agent it was opened with.
    pub(crate) bind_user_agent: bool,
}

impl Session {
    const FIELDS: &[&str] = &[
        "idle_timeout_s",
        "absolute_timeout_s",
        "max_per_principal",
        "bind_ip",
        "bind_user_agent",
    ];
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_timeout_s: 15 * 60,
            absolute_timeout_s: 12 * 60 * 60,
            max_per_principal: 5,
            bind_ip: true,
            bind_user_agent: true,
        }
    }
}

/// `[[policy]]`: one `KeyLifecyclePolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// Its name; keys name their policy by it.
    pub(crate) name: String,
    /// Days a key may be active before a rotation is due.
    pub(crate) max_active_age_days: u32,
    /// Days before the expiry at which warnings begin; less than `expiration_days`.
    pub(crate) warning_days_before_exp: u32,
    /// Days after its activation at which a key expires.
    pub(crate) expiration_days: u32,
    /// Days an old key is kept after its rotation.
    pub(crate) grace_period_days: u32,
    /// Whether a timer prepares the successor.
    pub(crate) auto_rotate: bool,
    /// Whether rotating needs fresh MFA.
    pub(crate) require_mfa: bool,
}

impl Policy {
    const FIELDS: &[&str] = &[
        "name",
        "max_active_age_days",
        "warning_days_before_exp",
        "expiration_days",
        "grace_period_days",
        "auto_rotate",
        "require_mfa",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(sorted(Policy::FIELDS), names(Policy::default()));
    }
}
