//! Time as a value: decisions take `now` as an argument, only the edges ask a [`Clock`].

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, counted in microseconds since 1970-01-01T00:00:00Z.
///
/// Shown as RFC 3339 with six decimals, always 27 bytes: `2026-11-23T21:45:00.123456Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The first microsecond of the year 10000, which RFC 3339 cannot write.
const END_OF_TIME: i64 = 253_402_300_800_000_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Makes a timestamp from microseconds since the epoch; values outside the years 1970 to 9999
    /// become the nearest moment inside.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(0, END_OF_TIME - 1))
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub fn unix_seconds(self) -> u64 {
        self.0.unsigned_abs() / 1_000_000
    }

    /// This moment and `days` days of 24 hours.
    #[must_use]
    pub fn plus(self, days: Days) -> Self {
        Self::from_micros(self.0.saturating_add(days.micros()))
    }

    /// This moment less `days` days of 24 hours.
    #[must_use]
    pub fn minus(self, days: Days) -> Self {
        Self::from_micros(self.0.saturating_sub(days.micros()))
    }

    /// This moment and `seconds` seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Whole seconds from `earlier` to this moment; zero if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> u64 {
        (self.0.saturating_sub(earlier.0)).max(0).unsigned_abs() / 1_000_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = i64::try_from(self.unix_seconds()).unwrap_or(i64::MAX);
        let at = OffsetDateTime::from_unix_timestamp(second).map_err(|_| fmt::Error)?;
        let micros = self.0.rem_euclid(1_000_000);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no RFC 3339 moment between the years 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no RFC 3339 time like 2026-11-23T21:45:00Z")]
pub struct InvalidTimestamp(String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.chars().take(40).collect());
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
        let micros = i64::try_from(at.unix_timestamp_nanos() / 1_000).map_err(|_| invalid())?;
        (0..END_OF_TIME).contains(&micros).then_some(Self(micros)).ok_or_else(invalid)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A number of days of 24 hours each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Days(pub u32);

impl Days {
    fn micros(self) -> i64 {
        i64::from(self.0).saturating_mul(86_400_000_000)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} day{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// Where the present moment comes from. Not required to be monotonic.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is set: for tests and for rehearsals.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }

    /// Moves the clock `seconds` seconds forwards.
    pub fn advance_seconds(&self, seconds: u64) {
        self.set(self.now().plus_seconds(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_written_with_six_decimals_and_read_back() {
        let at: Timestamp = "2026-11-23T21:45:00.123456Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-23T21:45:00.123456Z");
        assert_eq!(at.micros(), 1_795_470_300_123_456);
    }

    #[test]
    fn offsets_are_converted_to_utc() {
        let at: Timestamp = "2026-11-23T23:45:00+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-23T21:45:00.000000Z");
    }

    #[test]
    fn moments_outside_rfc_3339_are_refused_or_clamped() {
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::from_micros(-1), Timestamp::EPOCH);
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(
            Timestamp::from_micros(i64::MAX).plus(Days(u32::MAX)).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
    }

    #[test]
    fn days_are_counted_forwards_and_backwards() {
        let at: Timestamp = "2026-02-28T00:00:00Z".parse().unwrap();
        assert_eq!(at.plus(Days(1)).to_string(), "2026-03-01T00:00:00.000000Z");
        assert_eq!(at.plus(Days(365)).minus(Days(365)), at);
        assert_eq!(at.plus(Days(1)).seconds_since(at), 86_400);
        assert_eq!(at.seconds_since(at.plus(Days(1))), 0);
    }
}
