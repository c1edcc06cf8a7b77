//! What was made with a key and has not left yet.
//!
//! ```compile_fail,E0616
//! fn steal<T>(unreleased: kms::audit::Unreleased<T>) -> T {
//!     unreleased.value // private: only the log opens it
//! }
//! ```
//!
//! ```compile_fail,E0624
//! fn forge(body: kms::audit::Encoded) -> kms::audit::Unreleased<u8> {
//!     kms::audit::Unreleased::new(7, body) // not to be made outside this crate either
//! }
//! ```
//!
//! ```compile_fail,E0616
//! fn hurry<T>(pending: kms::audit::Pending<T>) -> T {
//!     pending.value // private: `wait` gives it when its record is durable
//! }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use crate::audit::AuditFault;
use crate::audit::Encoded;
use crate::audit::group::Receipt;

/// A result and the record of how it came about. Only
/// [`AuditLogger::release`](crate::audit::AuditLogger::release) opens it.
#[must_use = "what is not released is lost, and what was done is not on record"]
pub struct Unreleased<T> {
    value: T,
    record: Encoded,
}

impl<T> Unreleased<T> {
    /// Binds a result to its record.
    pub(crate) fn new(value: T, record: impl Into<Encoded>) -> Self {
        Self { value, record: record.into() }
    }

    /// Takes it apart, for the log alone.
    pub(in crate::audit) fn open(self) -> (T, Encoded) {
        (self.value, self.record)
    }
}

impl<T> fmt::Debug for Unreleased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unreleased(..)")
    }
}

/// A result whose record has its place in the log and is being made durable. Dropping it discards
/// the result; the record stays.
#[must_use = "the result is given out by `wait` or by awaiting it, only"]
pub struct Pending<T> {
    /// Taken out once, when the record is durable.
    value: Option<T>,
    seq: u64,
    receipt: Receipt,
}

impl<T> Pending<T> {
    pub(in crate::audit) fn new(value: T, seq: u64, receipt: Receipt) -> Self {
        Self { value: Some(value), seq, receipt }
    }

    /// The number of the record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Waits until the record is durable, then gives the result.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Poisoned`]; the result is discarded.
    ///
    /// # Panics
    ///
    /// When the result was taken already, by polling.
    pub fn wait(self) -> Result<T, AuditFault> {
        self.receipt.wait()?;
        Ok(self.value.expect("a result is taken once"))
    }
}

/// As [`Pending::wait`], for callers that have no thread to spare: many are awaited on few threads.
///
/// # Panics
/// When polled again after it was ready.
impl<T: Unpin> Future for Pending<T> {
    type Output = Result<T, AuditFault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let durable = ready!(Pin::new(&mut self.receipt).poll(context));
        let value = self.value.take();
        Poll::Ready(durable.map(|()| value.expect("a future is not polled after it was ready")))
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("seq", &self.seq).finish_non_exhaustive()
    }
}
