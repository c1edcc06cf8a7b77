//! What there is, what expires soon and what needs a rotation. Counts and lists; nothing is moved.
//!
//! SPEC: "Lifecycle Reports".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Policies;
use crate::lifecycle::state_at;
use crate::time::Timestamp;

/// The keys of a home, counted at one moment. States are those of that moment, so a key past its
/// expiration date counts as expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifecycleReport {
    /// The moment.
    pub generated_at: Timestamp,
    /// Every key, also the tombstones of destroyed ones.
    pub total_keys: u64,
    /// Keys in the state Active; rotating ones count under `by_state`.
    pub active_keys: u64,
    /// Keys in use or suspended that are within the warning days of their expiration.
    pub expiring_keys: u64,
    /// Active keys that are older than their policy's maximum active age.
    pub rotation_needed: u64,
    /// Keys by state; states without keys are absent.
    pub by_state: BTreeMap<String, u64>,
    /// Keys by the policy they name, destroyed ones aside.
    pub by_policy: BTreeMap<String, u64>,
    /// Keys by algorithm, destroyed ones aside.
    pub by_algorithm: BTreeMap<String, u64>,
}

impl LifecycleReport {
    /// Counts `keys` as they stand at `now`.
    pub fn of<'a>(
        keys: impl IntoIterator<Item = &'a ManagedKey>,
        policies: &Policies,
        now: Timestamp,
    ) -> Self {
        let mut report = Self::empty(now);
        for key in keys {
            report.count(key, policies.of(key));
        }
        report
    }

    fn empty(now: Timestamp) -> Self {
        Self {
            generated_at: now,
            total_keys: 0,
            active_keys: 0,
            expiring_keys: 0,
            rotation_needed: 0,
            by_state: BTreeMap::new(),
            by_policy: BTreeMap::new(),
            by_algorithm: BTreeMap::new(),
        }
    }

    fn count(&mut self, key: &ManagedKey, policy: &KeyLifecyclePolicy) {
        let now = self.generated_at;
        let state = state_at(key, now);
        self.total_keys += 1;
        add(&mut self.by_state, state.name());
        if state == KeyState::Destroyed {
            return;
        }
        self.active_keys += u64::from(state == KeyState::Active);
        self.expiring_keys += u64::from(nears_expiration(key, policy, now));
        self.rotation_needed += u64::from(needs_rotation(key, policy, now));
        add(&mut self.by_policy, key.policy.as_str());
        add(&mut self.by_algorithm, key.algorithm().name());
    }
}

/// Whether an active key has been in use for its policy's maximum active age, counted from its
/// first activation. A rotating key has its rotation already.
pub fn needs_rotation(key: &ManagedKey, policy: &KeyLifecyclePolicy, now: Timestamp) -> bool {
    let (Some(activated), Some(age)) = (key.activated_at, policy.max_active_age_days) else {
        return false;
    };
    state_at(key, now) == KeyState::Active && activated.plus(age) <= now
}

/// Whether a key in use or suspended is within its policy's warning days of its expiration date.
/// One that has expired no longer nears it.
pub fn nears_expiration(key: &ManagedKey, policy: &KeyLifecyclePolicy, now: Timestamp) -> bool {
    let (Some(expires), Some(warning)) = (key.expires_at, policy.warning_days_before_exp) else {
        return false;
    };
    match state_at(key, now) {
        KeyState::Active | KeyState::Rotating | KeyState::Suspended => {
            expires.minus(warning) <= now
        }
        KeyState::Created
        | KeyState::Pending
        | KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => false,
    }
}

/// The keys for which [`needs_rotation`] holds, in the order of `keys`.
pub fn keys_needing_rotation<'a>(
    keys: impl IntoIterator<Item = &'a ManagedKey>,
    policies: &Policies,
    now: Timestamp,
) -> Vec<&'a ManagedKey> {
    keys.into_iter().filter(|key| needs_rotation(key, policies.of(key), now)).collect()
}

/// The keys for which [`nears_expiration`] holds, in the order of `keys`.
pub fn keys_nearing_expiration<'a>(
    keys: impl IntoIterator<Item = &'a ManagedKey>,
    policies: &Policies,
    now: Timestamp,
) -> Vec<&'a ManagedKey> {
    keys.into_iter().filter(|key| nears_expiration(key, policies.of(key), now)).collect()
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::key_in;
    use crate::lifecycle::tests::now;
    use crate::time::Days;

    fn aged(state: KeyState, days: u32) -> ManagedKey {
        ManagedKey { activated_at: Some(now().minus(Days(days))), ..key_in(state) }
    }

    #[test]
    fn rotation_is_needed_from_the_maximum_active_age_on() {
        let policy = KeyLifecyclePolicy::standard();
        assert!(!needs_rotation(&aged(KeyState::Active, 364), &policy, now()));
        assert!(needs_rotation(&aged(KeyState::Active, 365), &policy, now()));
        let off = KeyLifecyclePolicy { max_active_age_days: None, ..policy };
        assert!(!needs_rotation(&aged(KeyState::Active, 10_000), &off, now()));
    }

    #[test]
    fn rotation_is_needed_of_active_keys_only() {
        let policy = KeyLifecyclePolicy::standard();
        for state in KeyState::ALL {
            let needed = needs_rotation(&aged(state, 400), &policy, now());
            assert_eq!(needed, state == KeyState::Active, "{state}");
        }
        let expired = ManagedKey { expires_at: Some(now()), ..aged(KeyState::Active, 400) };
        assert!(!needs_rotation(&expired, &policy, now()));
    }

    #[test]
    fn expiration_is_near_from_the_warning_to_the_date() {
        let policy = KeyLifecyclePolicy::standard();
        let expiring = |days| ManagedKey {
            expires_at: Some(now().plus(Days(days))),
            ..key_in(KeyState::Suspended)
        };
        assert!(!nears_expiration(&expiring(31), &policy, now()));
        assert!(nears_expiration(&expiring(30), &policy, now()));
        assert!(!nears_expiration(&expiring(0), &policy, now()), "it has expired");
        let off = KeyLifecyclePolicy { warning_days_before_exp: None, ..policy };
        assert!(!nears_expiration(&expiring(1), &off, now()));
    }

    #[test]
    fn report_counts_every_key_once_by_its_state_at_that_moment() {
        let mut expired = key_in(KeyState::Active);
        expired.expires_at = Some(now());
        let mut near = key_in(KeyState::Rotating);
        near.expires_at = Some(now().plus(Days(1)));
        let keys = [
            aged(KeyState::Active, 400),
            expired,
            near,
            key_in(KeyState::Suspended),
            key_in(KeyState::Destroyed),
        ];
        let report = LifecycleReport::of(&keys, &Policies::default(), now());
        let expected = serde_json::json!({
            "generated_at": "2026-06-01T00:00:00.000000Z",
            "total_keys": 5,
            "active_keys": 1,
            "expiring_keys": 1,
            "rotation_needed": 1,
            "by_state": {"active": 1, "destroyed": 1, "expired": 1, "rotating": 1, "suspended": 1},
            "by_policy": {"default": 4},
            "by_algorithm": {"ed25519": 4},
        });
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }

    #[test]
    fn lists_name_the_keys_that_the_report_counts() {
        let policies = Policies::default();
        let mut near = key_in(KeyState::Active);
        near.expires_at = Some(now().plus(Days(1)));
        let keys = [aged(KeyState::Active, 400), near, key_in(KeyState::Created)];
        assert_eq!(keys_needing_rotation(&keys, &policies, now()), [&keys[0]]);
        assert_eq!(keys_nearing_expiration(&keys, &policies, now()), [&keys[1]]);
    }
}
