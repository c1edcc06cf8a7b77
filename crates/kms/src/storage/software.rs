//! Private keys in this process's own memory: made, checked, parsed once and signing from then on.
//!
//! | algorithm | library | nonce |
//! |---|---|---|
//! | Ed25519 | aws-lc | RFC 8032, pure |
//! | secp256k1 | k256 | RFC 6979, low-S, recovery id |
//! | P-256 | aws-lc | random |
//! | RSA | aws-lc | PSS salt random (32 bytes); PKCS#1 v1.5 has none |
//!
//! Parsed keys live in locked memory: k256's in [`kms_secret::Locked`], aws-lc's in its own heap,
//! which [`kms_secret`] routes there. The stack is burnt after each private operation. Each
//! algorithm passes a known-answer test before its first use, each new or imported key a pairwise
//! test; after one wrong answer this process signs nothing more.
//!
//! Never decides whether a key may be used, never stores one, never takes a public half on trust.

mod ed25519;
mod secp256k1;
mod p256;
mod rsa;
mod pair;
mod selftest;
#[cfg(test)]
mod tests;

use kms_formats::private::PrivateKey;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use kms_secret::burn_stack_to_16_kib;

use crate::key::Algorithm;
use crate::key::PublicKey;
use crate::key::Scheme;
use crate::key::Signature;
use crate::storage::error::Fault;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::software::pair::Form;
use crate::storage::software::pair::Pair;
use crate::storage::software::selftest::SelfTests;

/// A private key ready to sign.
pub(in crate::storage) struct SoftwareKey {
    public: PublicKey,
    pair: Pair,
    tests: &'static SelfTests,
}

impl SoftwareKey {
    /// Makes a key: its private form, to be stored, and itself, ready and tested.
    ///
    /// # Errors
    /// Only faults: no random bytes, a failed self-test or pairwise test (the key is discarded).
    pub(in crate::storage) fn generate(
        algorithm: Algorithm,
    ) -> Result<(PrivateKey, Self), StorageError> {
        Self::generate_tested(algorithm, &selftest::PROCESS)
    }

    /// Parses a private key that this product stored; the public half is computed.
    ///
    /// # Errors
    /// [`Refused::InvalidKey`] for bytes that are no such key (lengths, a scalar that is 0 or not
    /// below n, RSA numbers that do not fit each other); [`Fault::SelfTestFailed`].
    pub(in crate::storage) fn from_private(private: &PrivateKey) -> Result<Self, StorageError> {
        Self::parse_tested(private, &selftest::PROCESS)
    }

    /// Takes in a private key from outside: parses it, compares the public half that came with it,
    /// if any, with the one it computes, and signs and verifies once.
    ///
    /// # Errors
    /// As [`Self::from_private`], and [`Refused::PublicMismatch`].
    pub(in crate::storage) fn import(
        private: &PrivateKey,
        claimed_public: Option<&PublicKey>,
    ) -> Result<Self, StorageError> {
        let key = Self::from_private(private)?;
        if claimed_public.is_some_and(|claimed| *claimed != key.public) {
            return Err(Refused::PublicMismatch(private.algorithm).into());
        }
        key.pairwise_test()
    }

    /// The public half, computed from the private one.
    pub(in crate::storage) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` as `scheme` says.
    ///
    /// # Errors
    /// [`Refused::Scheme`] where the algorithm cannot, or a digest has not 32 bytes;
    /// [`Fault::SelfTestFailed`] once anything has failed in this process.
    pub(in crate::storage) fn sign(
        &self,
        message: &[u8],
        scheme: Scheme,
    ) -> Result<Signature, StorageError> {
        self.tests.intact()?;
        let signature = self.pair.sign(message, scheme);
        match self.public.algorithm() {
            Algorithm::Secp256k1 => burn_stack(), // its table of points goes 34 KiB deep
            Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                burn_stack_to_16_kib();
            }
        }
        signature
    }

    fn generate_tested(
        algorithm: Algorithm,
        tests: &'static SelfTests,
    ) -> Result<(PrivateKey, Self), StorageError> {
        tests.ready(algorithm)?;
        let private = PrivateKey { algorithm, bytes: pair::draw(algorithm)? };
        let key = Self::parse_tested(&private, tests)?.pairwise_test()?;
        Ok((private, key))
    }

    fn parse_tested(private: &PrivateKey, tests: &'static SelfTests) -> Result<Self, StorageError> {
        tests.ready(private.algorithm)?;
        let pair = Pair::parse(private.algorithm, &private.bytes);
        burn_stack();
        let pair = pair?;
        Ok(Self { public: pair.public()?, pair, tests })
    }

    /// Signs and verifies once; a key that cannot is discarded and stops the process's signing
    /// (FIPS 140-3, pairwise consistency).
    fn pairwise_test(self) -> Result<Self, StorageError> {
        let message = b"pairwise consistency test";
        let signature = self.sign(message, Scheme::default())?;
        let options = (Scheme::default(), Form::Fixed);
        if !pair::verify(&self.public, message, &signature.bytes, options) {
            return Err(self.tests.fail(self.public.algorithm()).into());
        }
        Ok(self)
    }
}

impl std::fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SoftwareKey({:?})", self.public)
    }
}

/// Whether `signature`, in the form of [`Signature`], is one of `message` under `public`.
///
/// Strict: one encoding per signature. Ed25519 as RFC 8032 section 5.1.7 with s < L; secp256k1
/// refuses high s; a point that is not on its curve verifies nothing; PSS has a salt of 32 bytes.
/// Says `false` also when a self-test of this process failed.
pub fn verify(public: &PublicKey, message: &[u8], signature: &[u8], scheme: Scheme) -> bool {
    let options = (scheme, Form::Fixed);
    selftest::PROCESS.ready(public.algorithm()).is_ok()
        && pair::verify(public, message, signature, options)
}

/// [`verify`] for ECDSA signatures in DER (RFC 3279 section 2.2.3; strict, BER is refused); other
/// algorithms have no other form and are verified as they are.
pub fn verify_der(public: &PublicKey, message: &[u8], der: &[u8], scheme: Scheme) -> bool {
    let options = (scheme, Form::Der);
    selftest::PROCESS.ready(public.algorithm()).is_ok()
        && pair::verify(public, message, der, options)
}

/// Tests every algorithm now, whether or not it was used before.
///
/// # Errors
/// [`Fault::SelfTestFailed`], now or ever before in this process; it stays so until the end.
pub fn run_self_tests() -> Result<(), Fault> {
    selftest::PROCESS.run()
}

/// Whether no self-test has failed in this process; costs one load, for health answers.
///
/// # Errors
/// [`Fault::SelfTestFailed`].
pub fn self_test_state() -> Result<(), Fault> {
    selftest::PROCESS.intact()
}

/// Random bytes for the rest of the room, in locked memory.
///
/// # Errors
/// [`Fault::Random`].
pub(in crate::storage) fn random(len: usize) -> Result<SecretBytes, Fault> {
    pair::random(len)
}

/// A fresh private key with its public half, as if from outside, for the suite of storages.
#[cfg(any(test, feature = "test-util"))]
pub(in crate::storage) fn material(
    algorithm: Algorithm,
) -> Result<(PrivateKey, PublicKey), StorageError> {
    let (private, key) = SoftwareKey::generate(algorithm)?;
    Ok((private, key.public))
}
