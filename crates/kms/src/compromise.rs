//! Observes each use of a key and clears it: the last stage before the key itself.
//!
//! What it hands on, [`Cleared`], is bound to exactly one use (which key, which operation, which
//! message), and a storage takes all of these from it, so clearance for one thing cannot be spent
//! on another. Usage windows and indicators take their place here, between [`Admitted`] and
//! [`Cleared`].

use crate::key::Scheme;
use crate::lifecycle::Admitted;
use crate::lifecycle::uses::Consensus;
use crate::lifecycle::uses::Sign;

/// One use of a private key that has passed every stage; a storage carries out nothing else.
///
/// `U` is one of [`crate::lifecycle::uses`]. Made by `observe` only, never cloned, spent by
/// the storage.
///
/// ```compile_fail,E0603
/// fn clear<U>(what: U) -> kms::compromise::Cleared<U> {
///     kms::compromise::Cleared(what) // private: only an admitted use is cleared
/// }
/// ```
///
/// ```compile_fail,E0603
/// use kms::compromise::observe; // not to be called outside this crate either
/// ```
#[derive(Debug)]
pub struct Cleared<U>(U);

impl<U> Cleared<U> {
    /// What was cleared.
    pub fn what(&self) -> &U {
        &self.0
    }
}

impl<'a> Cleared<Consensus<'a>> {
    /// Makes of a vote that was cleared the signing of its bytes and of its extension's. For the
    /// guard against double signing alone, which made both.
    pub(crate) fn into_signing(
        self,
        bytes: &'a [u8],
        extension: Option<&'a [u8]>,
    ) -> (Cleared<Sign<'a>>, Option<Cleared<Sign<'a>>>) {
        let key = self.0.key;
        let sign = |message| Cleared(Sign { key, message, scheme: Scheme::default() });
        (sign(bytes), extension.map(sign))
    }
}

/// Observes an admitted use and clears it.
pub(crate) fn observe<U>(admitted: Admitted<U>) -> Cleared<U> {
    Cleared(admitted.into_use())
}

#[cfg(any(test, feature = "test-util"))]
impl<U> Cleared<U> {
    /// Clears anything, for tests of what comes after; the suite for storages uses it.
    pub(crate) fn for_test(what: U) -> Self {
        Self(what)
    }
}
