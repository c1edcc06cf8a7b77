//! The state of a key at a moment, which its stored state and its dates make together.

use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::time::Timestamp;

/// The state of `key` at `now`: a key in use or suspended is Expired from its expiration date on,
/// that moment included, whether or not anything has recorded it.
///
/// An ordered destruction changes nothing before it is done. Time turns nothing into a state that
/// signs; but what it has turned into Expired is for ever only once it is recorded, see
/// [`crate::lifecycle::due()`].
pub fn state_at(key: &ManagedKey, now: Timestamp) -> KeyState {
    if expired(key, now).is_some() { KeyState::Expired } else { key.state }
}

/// When the grace period of a key that stopped signing is over; `None` if it has none, because it
/// was never in use, has not stopped, or its policy keeps nothing.
///
/// Counted from `deactivated_at`, which for an expired key is its expiration date.
pub fn grace_ends(key: &ManagedKey, policy: &KeyLifecyclePolicy) -> Option<Timestamp> {
    key.activated_at?;
    Some(key.deactivated_at?.plus(policy.grace_period_days?))
}

/// The expiration date that has taken a key out of use by `now` while its record still says
/// otherwise.
pub(crate) fn expired(key: &ManagedKey, now: Timestamp) -> Option<Timestamp> {
    match key.state {
        KeyState::Active | KeyState::Rotating | KeyState::Suspended => {
            key.expires_at.filter(|at| *at <= now)
        }
        KeyState::Created
        | KeyState::Pending
        | KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => None,
    }
}

/// Whether no step of the table leads from `state` to one that signs.
pub(crate) fn stopped_for_good(state: KeyState) -> bool {
    match state {
        KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => true,
        KeyState::Created
        | KeyState::Pending
        | KeyState::Active
        | KeyState::Rotating
        | KeyState::Suspended => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::at;
    use crate::lifecycle::tests::key_in;
    use crate::time::Days;

    #[test]
    fn a_key_in_use_is_expired_from_its_date_on() {
        let date = at("2026-06-01T00:00:00Z");
        for state in KeyState::ALL {
            let mut key = key_in(state);
            assert_eq!(state_at(&key, date), state, "no date");
            key.expires_at = Some(date);
            let just_before = Timestamp::from_micros(date.micros() - 1);
            assert_eq!(state_at(&key, just_before), state);
            let in_use = matches!(state, KeyState::Active | KeyState::Rotating)
                || state == KeyState::Suspended;
            let expected = if in_use { KeyState::Expired } else { state };
            assert_eq!(state_at(&key, date), expected, "{state}");
        }
    }

    #[test]
    fn an_ordered_destruction_changes_no_state() {
        let mut key = key_in(KeyState::Archived);
        key.destroy_at = Some(at("2026-06-01T00:00:00Z"));
        assert_eq!(state_at(&key, at("2027-01-01T00:00:00Z")), KeyState::Archived);
    }

    #[test]
    fn grace_is_for_keys_that_were_in_use() {
        let policy = KeyLifecyclePolicy::standard();
        let mut key = key_in(KeyState::Deactivated);
        let stopped = key.deactivated_at.unwrap();
        assert_eq!(grace_ends(&key, &policy), Some(stopped.plus(Days(90))));
        key.activated_at = None;
        assert_eq!(grace_ends(&key, &policy), None);
    }

    #[test]
    fn stopped_for_good_means_that_no_path_leads_back() {
        for from in KeyState::ALL {
            let mut reached = vec![from];
            let mut next = 0;
            while let Some(state) = reached.get(next).copied() {
                next += 1;
                let follows = |to: &KeyState| crate::lifecycle::allowed(state, *to);
                let new: Vec<_> = KeyState::ALL
                    .into_iter()
                    .filter(follows)
                    .filter(|to| !reached.contains(to))
                    .collect();
                reached.extend(new);
            }
            let signs = reached.contains(&KeyState::Active);
            assert_eq!(stopped_for_good(from), !signs, "{from}");
        }
    }
}
