//! Names of requests: 32 random bits of this start, and a count.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Names requests.
#[derive(Debug)]
pub(crate) struct Ids {
    prefix: u32,
    count: AtomicU64,
}

impl Ids {
    /// Names of their own for this start; from the clock where the system has no randomness, since
    /// they are names and no secrets.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 4];
        let prefix = match aws_lc_rs::rand::fill(&mut bytes) {
            Ok(()) => u32::from_be_bytes(bytes),
            Err(_) => std::process::id(),
        };
        Self { prefix, count: AtomicU64::new(0) }
    }

    /// The next name.
    pub(crate) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("r-{:08x}{count:010x}", self.prefix)
    }
}
