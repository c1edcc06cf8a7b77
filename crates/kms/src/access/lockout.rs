//! Lockout: how many wrong guesses there are, for whom, from where.
//!
//! | counter | limit | local socket |
//! |---|---|---|
//! | passphrase, per principal and address | 5 | exempt, so that nobody locks out the last admin |
//! | passphrase, per address over all names | 50 | exempt |
//! | code of the second factor, per principal, all addresses together | 5 | counted apart |
//!
//! A counter that is full refuses for 15 minutes after its last failure, and is forgotten 15
//! minutes after it. Attempts are charged before they are tried and refunded when they succeed, so
//! parallel guesses gain nothing. Names that do not exist are counted like those that do. An IPv6
//! network of 64 bits counts as one address. A code is only ever tried after the right passphrase,
//! so the shared counter of codes is no way to lock out others, and many addresses do not add up
//! to many guesses.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;

use aws_lc_rs::digest;
use serde::Deserialize;
use serde::Serialize;

use crate::access::PrincipalId;
use crate::access::hex_array;
use crate::time::Timestamp;

/// Seconds a full counter refuses.
const LOCK_S: u64 = 15 * 60;
/// Failures that fill a counter.
const LIMIT: u32 = 5;
/// Failures over all names that fill an address's counter.
const ADDRESS_LIMIT: u32 = 50;
/// Most counters held; beyond it the longest untouched goes, those that refuse last.
const MAX_COUNTERS: usize = 4096;

/// Too many failures; nothing was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failures; the next attempt is possible at {until}")]
pub struct LockedOut {
    /// When the next attempt is possible.
    pub until: Timestamp,
}

/// Whom an attempt is for: a principal, or a name that belongs to nobody. Bounded, however long
/// the name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(#[serde(with = "hex_array")] [u8; 16]);

impl Subject {
    /// A principal, under whichever spelling it was named.
    pub fn principal(id: PrincipalId) -> Self {
        Self::hashed(b"principal", id.as_bytes())
    }

    /// A text that names nobody; letter case and outer spaces do not make another name of it.
    pub fn unknown(name: &str) -> Self {
        Self::hashed(b"unknown", name.trim().to_lowercase().as_bytes())
    }

    fn hashed(kind: &[u8], text: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(kind);
        context.update(&[0]);
        context.update(text);
        let digest = context.finish();
        Self(digest.as_ref().first_chunk::<16>().copied().unwrap_or_default())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What failures are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Counter {
    Passphrase { subject: Subject, address: IpAddr },
    Address { address: IpAddr },
    Code { subject: Subject, local: bool },
}

impl Counter {
    fn limit(self) -> u32 {
        match self {
            Self::Passphrase { .. } | Self::Code { .. } => LIMIT,
            Self::Address { .. } => ADDRESS_LIMIT,
        }
    }
}

/// One counter as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockoutRecord {
    counter: Counter,
    failures: u32,
    last: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Every counter.
#[derive(Debug, Default)]
pub struct Lockout(HashMap<Counter, Failures>);

impl Lockout {
    /// The counters as stored before.
    pub fn restore(records: Vec<LockoutRecord>) -> Self {
        let failures = |r: &LockoutRecord| Failures { count: r.failures, last: r.last };
        Self(records.iter().take(MAX_COUNTERS).map(|r| (r.counter, failures(r))).collect())
    }

    /// The counters as they are to be stored.
    pub fn records(&self) -> Vec<LockoutRecord> {
        let record = |(counter, failures): (&Counter, &Failures)| LockoutRecord {
            counter: *counter,
            failures: failures.count,
            last: failures.last,
        };
        self.0.iter().map(record).collect()
    }

    /// Charges one attempt at a passphrase; `address` is absent on the local socket.
    ///
    /// # Errors
    ///
    /// [`LockedOut`]: nothing was charged, and nothing may be tried.
    pub fn charge_passphrase(
        &mut self,
        subject: Subject,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), LockedOut> {
        let Some(address) = address.map(network) else { return Ok(()) };
        self.charge(&[Counter::Passphrase { subject, address }, Counter::Address { address }], now)
    }

    /// Refunds an attempt that succeeded and forgets the failures before it.
    pub fn passphrase_was_right(&mut self, subject: Subject, address: Option<IpAddr>) {
        let Some(address) = address.map(network) else { return };
        self.0.remove(&Counter::Passphrase { subject, address });
        // Only this attempt: one's own account must not wash clean an address that tries others.
        if let Some(failures) = self.0.get_mut(&Counter::Address { address }) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    /// Charges one attempt at a code.
    ///
    /// # Errors
    ///
    /// [`LockedOut`]: nothing was charged, and nothing may be tried.
    pub fn charge_code(
        &mut self,
        subject: Subject,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), LockedOut> {
        self.charge(&[Counter::Code { subject, local: address.is_none() }], now)
    }

    /// Refunds an attempt that succeeded and forgets the failures before it.
    pub fn code_was_right(&mut self, subject: Subject, address: Option<IpAddr>) {
        self.0.remove(&Counter::Code { subject, local: address.is_none() });
    }

    /// Forgets every failure counted for `subject`.
    pub fn unlock(&mut self, subject: Subject) {
        self.0.retain(|counter, _| match counter {
            Counter::Passphrase { subject: of, .. } | Counter::Code { subject: of, .. } => {
                *of != subject
            }
            Counter::Address { .. } => true,
        });
    }

    fn charge(&mut self, counters: &[Counter], now: Timestamp) -> Result<(), LockedOut> {
        for counter in counters {
            self.check(*counter, now)?;
        }
        for counter in counters {
            self.make_room(now);
            let failures = self.0.entry(*counter).or_insert(Failures { count: 0, last: now });
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
        Ok(())
    }

    fn check(&mut self, counter: Counter, now: Timestamp) -> Result<(), LockedOut> {
        let Some(failures) = self.0.get_mut(&counter) else { return Ok(()) };
        // A clock that was set back neither shortens a lock nor makes it last for years.
        failures.last = failures.last.min(now);
        let until = failures.last.plus_seconds(LOCK_S);
        if now >= until {
            self.0.remove(&counter);
            return Ok(());
        }
        if failures.count >= counter.limit() { Err(LockedOut { until }) } else { Ok(()) }
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() < MAX_COUNTERS {
            return;
        }
        self.0.retain(|_, failures| now < failures.last.plus_seconds(LOCK_S));
        if self.0.len() < MAX_COUNTERS {
            return;
        }
        let order = |(counter, failures): &(&Counter, &Failures)| {
            (failures.count >= counter.limit(), failures.last)
        };
        if let Some(oldest) = self.0.iter().min_by_key(order).map(|(counter, _)| *counter) {
            self.0.remove(&oldest);
        }
    }
}

/// The address failures count under: IPv4, also when written as IPv6, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn at(seconds: u64) -> Timestamp {
        NOW.plus_seconds(seconds)
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    fn alice() -> Subject {
        Subject::principal(PrincipalId::from_bytes([1; 8]))
    }

    fn fail_five(lockout: &mut Lockout, subject: Subject, address: Option<IpAddr>) {
        for _ in 0..5 {
            lockout.charge_passphrase(subject, address, NOW).unwrap();
        }
    }

    #[test]
    fn sixth_attempt_within_fifteen_minutes_is_refused() {
        let mut lockout = Lockout::default();
        fail_five(&mut lockout, alice(), from("192.0.2.1"));
        let refused = lockout.charge_passphrase(alice(), from("192.0.2.1"), at(899));
        assert_eq!(refused, Err(LockedOut { until: at(900) }));
        assert_eq!(lockout.charge_passphrase(alice(), from("192.0.2.1"), at(900)), Ok(()));
    }

    // Attack 11.
    #[test]
    fn attacker_elsewhere_does_not_lock_out_the_admin() {
        let mut lockout = Lockout::default();
        fail_five(&mut lockout, alice(), from("192.0.2.1"));
        assert!(lockout.charge_passphrase(alice(), from("192.0.2.1"), NOW).is_err());
        assert_eq!(lockout.charge_passphrase(alice(), from("192.0.2.2"), NOW), Ok(()));
        for _ in 0..20 {
            assert_eq!(lockout.charge_passphrase(alice(), None, NOW), Ok(()));
        }
    }

    // Attack 10: the local socket is not exempt for codes, and is not locked from afar.
    #[test]
    fn codes_are_counted_over_all_addresses_and_locally_apart() {
        let mut lockout = Lockout::default();
        for host in 1..=5 {
            let address = from(&format!("192.0.2.{host}"));
            lockout.charge_code(alice(), address, NOW).unwrap();
        }
        assert!(lockout.charge_code(alice(), from("192.0.2.6"), NOW).is_err());
        for _ in 0..5 {
            lockout.charge_code(alice(), None, NOW).unwrap();
        }
        assert!(lockout.charge_code(alice(), None, NOW).is_err());
        let bob = Subject::principal(PrincipalId::from_bytes([2; 8]));
        assert_eq!(lockout.charge_code(bob, from("192.0.2.6"), NOW), Ok(()));
    }

    #[test]
    fn other_spellings_of_an_address_or_a_name_are_the_same() {
        let mut lockout = Lockout::default();
        fail_five(&mut lockout, alice(), from("192.0.2.1"));
        assert!(lockout.charge_passphrase(alice(), from("::ffff:192.0.2.1"), NOW).is_err());
        fail_five(&mut lockout, Subject::unknown("Mallory"), from("2001:db8::1"));
        let spelled = Subject::unknown(" mALLORY ");
        assert!(lockout.charge_passphrase(spelled, from("2001:db8::2"), NOW).is_err());
        assert_eq!(lockout.charge_passphrase(spelled, from("2001:db8:0:1::2"), NOW), Ok(()));
    }

    #[test]
    fn trying_many_names_locks_the_address_also_when_some_succeed() {
        let mut lockout = Lockout::default();
        let address = from("192.0.2.1");
        for name in 0..50 {
            lockout.charge_passphrase(alice(), address, NOW).unwrap();
            lockout.passphrase_was_right(alice(), address);
            let unknown = Subject::unknown(&name.to_string());
            lockout.charge_passphrase(unknown, address, NOW).unwrap();
        }
        assert!(lockout.charge_passphrase(alice(), address, NOW).is_err());
    }

    #[test]
    fn success_forgets_the_failures_before_it() {
        let mut lockout = Lockout::default();
        let address = from("192.0.2.1");
        for _ in 0..20 {
            lockout.charge_passphrase(alice(), address, NOW).unwrap();
            lockout.passphrase_was_right(alice(), address);
        }
        fail_five(&mut lockout, alice(), address);
        lockout.unlock(alice());
        assert_eq!(lockout.charge_passphrase(alice(), address, NOW), Ok(()));
    }

    #[test]
    fn clock_set_back_neither_shortens_nor_eternalises_a_lock() {
        let mut lockout = Lockout::default();
        let (address, later) = (from("192.0.2.1"), at(1_000_000_000));
        for _ in 0..5 {
            lockout.charge_passphrase(alice(), address, later).unwrap();
        }
        let refused = lockout.charge_passphrase(alice(), address, at(100));
        assert_eq!(refused, Err(LockedOut { until: at(1_000) }));
        assert_eq!(lockout.charge_passphrase(alice(), address, at(1_000)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_locks_outlive_a_flood_of_names() {
        let mut lockout = Lockout::default();
        fail_five(&mut lockout, alice(), from("192.0.2.1"));
        for host in 0..5_000_u32 {
            let address = IpAddr::V4(host.into());
            let name = Subject::unknown(&host.to_string());
            lockout.charge_passphrase(name, Some(address), at(1)).unwrap();
        }
        assert!(lockout.0.len() <= MAX_COUNTERS);
        assert!(lockout.charge_passphrase(alice(), from("192.0.2.1"), at(2)).is_err());
    }

    #[test]
    fn lock_survives_being_stored() {
        let mut lockout = Lockout::default();
        fail_five(&mut lockout, alice(), from("192.0.2.1"));
        let json = serde_json::to_string(&lockout.records()).unwrap();
        let mut restored = Lockout::restore(serde_json::from_str(&json).unwrap());
        assert!(restored.charge_passphrase(alice(), from("192.0.2.1"), NOW).is_err());
    }
}
