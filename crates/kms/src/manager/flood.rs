//! A flood of callers whom nobody knows: the first of each minute are recorded one by one, the rest
//! as a count, so that who cannot log in cannot fill the disk.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::access::LoginRefused;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::Pending;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::way::text;
use crate::time::Timestamp;

/// Refusals of one minute that get a record each.
const ONE_BY_ONE: u32 = 20;
const MINUTE_S: u64 = 60;

/// The refusals of this minute, and those that no record tells of yet.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    since: Option<Timestamp>,
    recorded: u32,
    unrecorded: u64,
}

impl Flood {
    /// Takes in one more refusal at `now`. `Some` if it gets a record, which then also tells of so
    /// many before it that got none.
    fn another(&mut self, now: Timestamp) -> Option<u64> {
        if self.since.is_none_or(|since| now.seconds_since(since) >= MINUTE_S) {
            (self.since, self.recorded) = (Some(now), 0);
        }
        if self.recorded == ONE_BY_ONE {
            self.unrecorded += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

/// Whether a refusal cost the caller nothing: no passphrase was tried, since that takes its time
/// and is counted, for names that exist as for those that do not.
pub(crate) fn is_cheap(error: &Error) -> bool {
    match error {
        Error::Refused(Refused::Session(_) | Refused::Login(LoginRefused::LockedOut(_))) => true,
        Error::Refused(_) | Error::Fault(_) => false,
    }
}

impl KeyManager {
    /// As [`KeyManager::record_refusal`], for a caller whom nobody knows: in a flood of them the
    /// record is a count.
    pub(crate) fn record_stranger(&self, draft: Draft, error: Error) -> Error {
        self.record_one_of(&self.strangers, draft, error)
    }

    /// Likewise for what a node asked: one that was taken over may ask for ever.
    pub(crate) fn record_node(&self, draft: Draft, error: Error) -> Error {
        self.record_one_of(&self.nodes, draft, error)
    }

    /// Whether one more of what a node asks for again gets a record of its own.
    pub(crate) fn is_recorded_again(&self, now: Timestamp) -> bool {
        lock(&self.repeats).another(now).is_some()
    }

    fn record_one_of(&self, flood: &Mutex<Flood>, mut draft: Draft, error: Error) -> Error {
        let recorded = lock(flood).another(draft.time);
        let Some(unrecorded) = recorded else { return error };
        note_unrecorded(&mut draft, unrecorded);
        self.record_refusal(draft, error)
    }

    /// Writes the count of those that got no record, before the home is closed.
    pub(crate) fn record_flood(&self) -> Result<(), Error> {
        let of = |flood| std::mem::take(&mut lock(flood).unrecorded);
        let unrecorded = of(&self.strangers).saturating_add(of(&self.nodes));
        if unrecorded == 0 {
            return Ok(());
        }
        let (mut draft, _) = self.new_draft(EventType::AccessDenied);
        draft.success = false;
        note_unrecorded(&mut draft, unrecorded);
        Ok(self.audit.record(draft).and_then(Pending::wait)?)
    }
}

fn lock(flood: &Mutex<Flood>) -> MutexGuard<'_, Flood> {
    flood.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note_unrecorded(draft: &mut Draft, unrecorded: u64) {
    if unrecorded > 0 {
        draft.details.push(text("refused_unrecorded", unrecorded.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_a_minute_are_recorded_and_the_next_record_tells_of_the_rest() {
        let start: Timestamp = "2026-11-23T21:45:00Z".parse().unwrap();
        let mut flood = Flood::default();
        let one_by_one: Vec<_> = (0..20).map(|_| flood.another(start)).collect();
        assert_eq!(one_by_one, [Some(0); 20]);
        let just_before = Timestamp::from_micros(start.plus_seconds(60).micros() - 1);
        assert!((0..1000).all(|_| flood.another(just_before).is_none()));
        assert_eq!(flood.another(start.plus_seconds(60)), Some(1000));
        assert_eq!(flood.another(start.plus_seconds(61)), Some(0));
    }
}
