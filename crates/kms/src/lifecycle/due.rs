//! What time alone has caused: steps that are recorded when a home is opened, and whenever one is
//! seen. A list of what is to be done; nothing is done here.

use crate::key::KeyId;
use crate::key::ManagedKey;
use crate::lifecycle::Transition;
use crate::lifecycle::moved::expiration_reason;
use crate::lifecycle::state::expired;
use crate::time::Timestamp;

/// A step that time has caused and nothing has recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The key.
    pub key: KeyId,
    /// [`Transition::Expire`] or [`Transition::Destroy`].
    pub transition: Transition,
    /// Why it is due.
    pub reason: String,
}

/// The step that time has caused for `key` by `now`, if there is one: Expire for a key in use past
/// its expiration date, Destroy for one whose ordered destruction is due.
///
/// Never one that gives a key back into use. A destruction that is due was ordered by a person and
/// may still be refused: [`crate::lifecycle::destroy`] asks for the grace period once more.
pub fn due(key: &ManagedKey, now: Timestamp) -> Option<Due> {
    let step = |transition, reason| Some(Due { key: key.id, transition, reason });
    if let Some(at) = expired(key, now) {
        return step(Transition::Expire, expiration_reason(at));
    }
    let at = key.destroy_at.filter(|at| *at <= now)?;
    Transition::Destroy.target(key.state)?;
    step(Transition::Destroy, format!("its destruction, ordered before, was due {at}"))
}

/// Every step that time has caused by `now`, at most one a key, in the order of `keys`.
pub fn due_at_open<'a>(keys: impl IntoIterator<Item = &'a ManagedKey>, now: Timestamp) -> Vec<Due> {
    keys.into_iter().filter_map(|key| due(key, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyState;
    use crate::lifecycle::tests::key_in;
    use crate::lifecycle::tests::now;

    #[test]
    fn expiry_is_due_for_keys_in_use_from_their_date_on() {
        for state in KeyState::ALL {
            let key = ManagedKey { expires_at: Some(now()), ..key_in(state) };
            let in_use =
                matches!(state, KeyState::Active | KeyState::Rotating | KeyState::Suspended);
            let found = due(&key, now()).map(|due| due.transition);
            assert_eq!(found, in_use.then_some(Transition::Expire), "{state}");
            assert_eq!(due(&key, Timestamp::from_micros(now().micros() - 1)), None);
        }
    }

    #[test]
    fn an_ordered_destruction_is_due_from_its_date_on() {
        for state in KeyState::ALL {
            let key = ManagedKey { destroy_at: Some(now()), ..key_in(state) };
            let found = due(&key, now()).map(|due| due.transition);
            let destroyable = Transition::Destroy.sources().contains(&state);
            assert_eq!(found, destroyable.then_some(Transition::Destroy), "{state}");
            assert_eq!(due(&key, Timestamp::from_micros(now().micros() - 1)), None);
        }
    }

    #[test]
    fn due_steps_come_with_their_reason_in_the_order_of_the_keys() {
        let first = ManagedKey { destroy_at: Some(now()), ..key_in(KeyState::Archived) };
        let second = key_in(KeyState::Active);
        let third = ManagedKey { expires_at: Some(now()), ..key_in(KeyState::Active) };
        let reasons: Vec<_> = due_at_open([&first, &second, &third], now())
            .into_iter()
            .map(|due| due.reason)
            .collect();
        let expected = [
            "its destruction, ordered before, was due 2026-06-01T00:00:00.000000Z",
            "its expiration date 2026-06-01T00:00:00.000000Z has passed",
        ];
        assert_eq!(reasons, expected);
    }
}
