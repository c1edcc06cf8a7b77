//! What a connection did: for people, and for metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use kms_formats::comet::Step;

/// Upper bounds of the latency buckets, in microseconds; one more bucket is above them.
pub const LATENCY_BOUNDS_US: [u64; 10] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// What a connection did since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The connection's name.
    pub name: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Who is, or was, at the other end.
    pub peer: Option<String>,
    /// How often it connected.
    pub connects: u64,
    /// Why it is not connected.
    pub trouble: Option<String>,
    /// Where the last signature was: height, round and step.
    pub last_signed: Option<(i64, i32, Step)>,
    /// Signatures that left, by step.
    pub signed: BTreeMap<&'static str, u64>,
    /// Requests that were refused, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// The last refusal, in words.
    pub last_refusal: Option<String>,
    /// How long signing took: the counts of the buckets of [`LATENCY_BOUNDS_US`], and one above.
    pub latency: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// How long signing took in all, in microseconds.
    pub latency_sum_us: u64,
}

impl Status {
    pub(crate) fn signed(&mut self, at: (i64, i32, Step), took: Duration) {
        self.last_signed = Some(at);
        *self.signed.entry(at.2.name()).or_default() += 1;
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < took);
        if let Some(count) = self.latency.get_mut(bucket) {
            *count += 1;
        }
        self.latency_sum_us = self.latency_sum_us.saturating_add(took);
    }

    pub(crate) fn refused(&mut self, code: &'static str, why: String) {
        *self.refused.entry(code).or_default() += 1;
        self.last_refusal = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_the_bucket_they_do_not_exceed() {
        let mut status = Status::default();
        for took in [100, 101, 2_000_000] {
            status.signed((1, 0, Step::Prevote), Duration::from_micros(took));
        }
        assert_eq!((status.latency[0], status.latency[1], status.latency[10]), (1, 1, 1));
        assert_eq!((status.latency_sum_us, status.signed["prevote"]), (2_000_201, 3));
    }
}
