//! Rates: a bucket per caller that fills with time and empties with use.
//!
//! The number of buckets is bounded: when there are too many, those that are full again go, and if
//! none is, the newest caller waits. So nobody can fill the memory by being many.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

/// Most callers a meter knows at a time.
const CALLERS: usize = 16_384;

/// What a caller may spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// Units that come in each second.
    pub(crate) per_s: f64,
    /// Units that can be saved up.
    pub(crate) burst: f64,
}

/// A meter over callers of one kind.
#[derive(Debug)]
pub(crate) struct Meter<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    units: f64,
    at: Instant,
}

impl Bucket {
    /// What is in it at `now`.
    fn fill(self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.units + since * rate.per_s).min(rate.burst)
    }
}

impl<K: Hash + Eq> Meter<K> {
    /// A meter with this rate for everyone.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Spends `units` of `caller`; `false` if there are not so many. A use that costs more than can
    /// ever be saved up is let through from a full bucket, which it leaves in debt.
    pub(crate) fn spend(&self, caller: K, units: u32, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS && !buckets.contains_key(&caller) {
            buckets.retain(|_, bucket| bucket.fill(self.rate, now) < self.rate.burst);
            if buckets.len() >= CALLERS {
                return false;
            }
        }
        let full = Bucket { units: self.rate.burst, at: now };
        let bucket = buckets.entry(caller).or_insert(full);
        let have = bucket.fill(self.rate, now);
        let units = f64::from(units);
        if have < units.min(self.rate.burst) {
            *bucket = Bucket { units: have, at: now };
            return false;
        }
        *bucket = Bucket { units: have - units, at: now };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_spends_too_much_waits_and_others_do_not() {
        let meter = Meter::new(Rate { per_s: 10.0, burst: 20.0 });
        let start = Instant::now();
        assert!(meter.spend("a", 20, start));
        assert!(!meter.spend("a", 1, start));
        assert!(meter.spend("b", 1, start), "another one has a bucket of their own");
        assert!(!meter.spend("a", 11, start + Duration::from_secs(1)));
        assert!(meter.spend("a", 10, start + Duration::from_secs(1)));
    }

    #[test]
    fn a_use_above_the_burst_is_paid_for_afterwards() {
        let meter = Meter::new(Rate { per_s: 10.0, burst: 20.0 });
        let start = Instant::now();
        assert!(meter.spend("a", 60, start));
        assert!(!meter.spend("a", 1, start + Duration::from_secs(4)));
        assert!(meter.spend("a", 1, start + Duration::from_secs(5)));
    }

    #[test]
    fn callers_without_number_do_not_fill_the_memory() {
        let meter = Meter::new(Rate { per_s: 10.0, burst: 20.0 });
        let start = Instant::now();
        let let_in = (0..2 * CALLERS).filter(|caller| meter.spend(*caller, 1, start)).count();
        assert_eq!(let_in, CALLERS);
        assert!(meter.spend(usize::MAX, 1, start + Duration::from_secs(1)), "full ones have gone");
    }
}
