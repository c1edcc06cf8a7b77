//! Stretching: a passphrase and a salt become 64 bytes, and these become independent keys.
//!
//! ```text
//! stretched = Argon2id(passphrase, salt; t, m, p)               RFC 9106, version 0x13, 64 bytes
//! key       = HKDF-SHA256(salt = none, stretched, info = label) RFC 5869, 32 bytes each
//! ```
//!
//! Decides which parameters may be run at all, before memory is asked for, and that no more than
//! two runs go on at once. Never stores anything.

use std::fmt;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Block;
use argon2::Params;
use argon2::Version;
use aws_lc_rs::hkdf;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroize;

use crate::access::AccessFault;

/// Most runs of Argon2 at once: a flood of logins waits instead of taking the machine's memory.
pub const MAX_RUNS: usize = 2;

/// What a run of Argon2id costs. Only values inside the bounds exist.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawParams")]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Parameters outside the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParams {
    /// Memory.
    #[error("argon2 memory is 8192 to 1048576 KiB, not {0}")]
    Memory(u32),
    /// Passes.
    #[error("argon2 passes are 1 to 16, not {0}")]
    Passes(u32),
    /// Lanes.
    #[error("argon2 lanes are 1 to 16, not {0}")]
    Lanes(u32),
}

impl Argon2Params {
    /// t = 3, m = 64 MiB, p = 4: RFC 9106 section 4, second recommendation.
    pub const DEFAULT: Self = Self { memory_kib: 65_536, passes: 3, lanes: 4 };

    /// Parameters of `memory_kib` KiB (8 MiB to 1 GiB), `passes` (1 to 16) and `lanes` (1 to 16).
    ///
    /// # Errors
    ///
    /// The first value outside its bounds.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidParams> {
        if !(8_192..=1_048_576).contains(&memory_kib) {
            return Err(InvalidParams::Memory(memory_kib));
        }
        if !(1..=16).contains(&passes) {
            return Err(InvalidParams::Passes(passes));
        }
        if !(1..=16).contains(&lanes) {
            return Err(InvalidParams::Lanes(lanes));
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// Whether a run with these costs at least as much memory and as many passes as with `floor`.
    /// Lanes cost an attacker nothing and do not count.
    pub fn at_least(self, floor: Self) -> bool {
        self.memory_kib >= floor.memory_kib && self.passes >= floor.passes
    }
}

impl TryFrom<RawParams> for Argon2Params {
    type Error = InvalidParams;

    fn try_from(raw: RawParams) -> Result<Self, InvalidParams> {
        Self::new(raw.memory_kib, raw.passes, raw.lanes)
    }
}

impl fmt::Display for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={} m={}KiB p={}", self.passes, self.memory_kib, self.lanes)
    }
}

impl fmt::Debug for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs Argon2id, at most [`MAX_RUNS`] at once, and keeps one wiped arena of memory for the next
/// run (page faults are a third of the cost of a fresh one).
pub struct Stretcher {
    params: Argon2Params,
    runs: Mutex<Runs>,
    freed: Condvar,
    started: AtomicU64,
}

#[derive(Default)]
struct Runs {
    active: usize,
    arena: Option<Arena>,
}

impl Stretcher {
    /// A stretcher that makes new credentials with [`Argon2Params::DEFAULT`] and refuses stored
    /// ones that are weaker.
    pub fn new() -> Self {
        Self::with(Argon2Params::DEFAULT)
    }

    /// What new credentials are made with; stored ones may cost more, never less.
    pub fn params(&self) -> Argon2Params {
        self.params
    }

    /// How many runs were started so far.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Stretches `passphrase`. Waits while [`MAX_RUNS`] others go on.
    ///
    /// # Errors
    ///
    /// [`AccessFault::Downgraded`] before anything is run; [`AccessFault::Memory`].
    pub fn stretch(
        &self,
        passphrase: &SecretBytes,
        salt: &[u8; 16],
        params: Argon2Params,
    ) -> Result<Stretched, AccessFault> {
        if !params.at_least(self.params) {
            return Err(AccessFault::Downgraded { stored: params, floor: self.params });
        }
        let mut run = self.wait();
        let mut arena = run.arena.take().unwrap_or_default();
        arena.grow(params.memory_kib)?;
        let stretched = argon2id(&mut arena, passphrase, (salt, params));
        arena.wipe();
        run.arena = Some(arena);
        stretched
    }

    fn with(params: Argon2Params) -> Self {
        let (runs, freed) = (Mutex::default(), Condvar::new());
        Self { params, runs, freed, started: AtomicU64::new(0) }
    }

    fn wait(&self) -> Run<'_> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |runs: &mut Runs| runs.active >= MAX_RUNS;
        let mut runs = self.freed.wait_while(runs, full).unwrap_or_else(PoisonError::into_inner);
        self.started.fetch_add(1, Ordering::Relaxed);
        runs.active += 1;
        Run { stretcher: self, arena: runs.arena.take() }
    }
}

impl Default for Stretcher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stretcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stretcher({})", self.params)
    }
}

/// One run's place; gives it back on drop, also when the run ends early.
struct Run<'a> {
    stretcher: &'a Stretcher,
    arena: Option<Arena>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut runs = self.stretcher.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.active -= 1;
        let default_size = self.stretcher.params.memory_kib as usize;
        runs.arena =
            self.arena.take().filter(|arena| arena.0.len() <= default_size).or(runs.arena.take());
        self.stretcher.freed.notify_one();
    }
}

/// The memory of one run; wiped after it and on drop.
#[derive(Default)]
struct Arena(Vec<Block>);

impl Arena {
    fn grow(&mut self, memory_kib: u32) -> Result<(), AccessFault> {
        let blocks = memory_kib as usize; // one block is 1 KiB
        let more = blocks.saturating_sub(self.0.len());
        self.0.try_reserve_exact(more).map_err(|_| AccessFault::Memory(memory_kib))?;
        self.0.resize(blocks.max(self.0.len()), Block::new());
        Ok(())
    }

    fn wipe(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn argon2id(
    arena: &mut Arena,
    passphrase: &SecretBytes,
    (salt, params): (&[u8; 16], Argon2Params),
) -> Result<Stretched, AccessFault> {
    let refused = |_| AccessFault::Primitive("argon2");
    let params =
        Params::new(params.memory_kib, params.passes, params.lanes, Some(64)).map_err(refused)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = SecretBytes::zeroed(64);
    let run = argon2.hash_password_into_with_memory(
        passphrase.expose(),
        salt,
        out.expose_mut(),
        &mut arena.0,
    );
    burn_stack();
    run.map_err(refused)?;
    Ok(Stretched(out))
}

/// A stretched passphrase: 64 secret bytes, used only to derive keys that tell nothing about each
/// other.
#[derive(Debug)]
pub struct Stretched(SecretBytes);

impl Stretched {
    /// 32 bytes to store and compare with; they open nothing.
    pub(in crate::access) fn verifier(&self) -> SecretBytes {
        self.derive(b"virtengine-kms v1 verifier")
    }

    /// The key of this principal's slot around the keystore's key, 32 bytes.
    pub fn unseal_key(&self) -> SecretBytes {
        self.derive(b"virtengine-kms v1 unseal")
    }

    /// The key around this principal's TOTP seed, 32 bytes.
    pub(in crate::access) fn totp_key(&self) -> SecretBytes {
        self.derive(b"virtengine-kms v1 totp")
    }

    fn derive(&self, label: &[u8]) -> SecretBytes {
        let derived = SecretBytes::make(32, |out| {
            hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
                .extract(self.0.expose())
                .expand(&[label], hkdf::HKDF_SHA256)
                .and_then(|key| key.fill(out))
                .expect("32 bytes are one block of HKDF-SHA256, which it always gives");
        });
        burn_stack();
        derived
    }
}

#[cfg(test)]
impl Stretcher {
    /// A stretcher whose runs are quick, for tests: 8 MiB and one pass are enough for it.
    pub(crate) fn quick() -> Self {
        Self::with(Argon2Params { memory_kib: 8_192, passes: 1, lanes: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::copy_from(text.as_bytes())
    }

    // Attack 14: parameters from outside, checked before memory is asked for.
    #[test]
    fn argon2_bombs_are_refused_before_allocation() {
        for json in [
            r#"{"memory_kib":4294967295,"passes":3,"lanes":4}"#,
            r#"{"memory_kib":1048577,"passes":3,"lanes":4}"#,
            r#"{"memory_kib":65536,"passes":2147483648,"lanes":4}"#,
            r#"{"memory_kib":65536,"passes":3,"lanes":17}"#,
            r#"{"memory_kib":8,"passes":3,"lanes":4}"#,
            r#"{"memory_kib":65536,"passes":0,"lanes":4}"#,
            r#"{"memory_kib":65536,"passes":3,"lanes":4,"kdf":"none"}"#,
        ] {
            assert!(serde_json::from_str::<Argon2Params>(json).is_err(), "{json} was read");
        }
    }

    // Attack 14: downgrade.
    #[test]
    fn stored_parameters_below_the_defaults_are_refused_without_a_run() {
        let stretcher = Stretcher::new();
        for (memory, passes) in [(65_535, 3), (65_536, 2), (8_192, 16)] {
            let weak = Argon2Params::new(memory, passes, 4).unwrap();
            let refused = stretcher.stretch(&secret("correct horse"), &[7; 16], weak);
            assert!(matches!(refused, Err(AccessFault::Downgraded { .. })));
        }
        assert_eq!(stretcher.started(), 0);
    }

    // The value is the reference implementation's; see testdata/SOURCES.md.
    #[test]
    fn stretched_passphrase_equals_the_reference_implementation() {
        let run = Stretcher::new().stretch(
            &secret("correct horse"),
            b"0123456789abcdef",
            Argon2Params::DEFAULT,
        );
        assert_eq!(
            hex::encode(run.unwrap().0.expose()),
            "bfc227f7655cb9e90a80f69518ac8f49c55adc09355c693a4ccc878d7c6ad23b\
             f7fc91f0d1c3b68ce7e382894d359d2b8439ab0f821b99504b5fed7f4328a11b"
        );
    }

    #[test]
    fn no_more_than_two_runs_go_on_at_once() {
        let stretcher = Stretcher::quick();
        let (first, _second) = (stretcher.wait(), stretcher.wait());
        std::thread::scope(|scope| {
            let third = scope.spawn(|| drop(stretcher.wait()));
            assert_eq!(stretcher.runs.lock().unwrap().active, MAX_RUNS);
            assert_eq!(stretcher.started(), 2);
            drop(first);
            third.join().unwrap();
        });
        assert_eq!(stretcher.started(), 3);
    }

    #[test]
    fn a_run_leaves_its_arena_wiped_and_to_be_used_again() {
        let stretcher = Stretcher::quick();
        stretcher.stretch(&secret("correct horse"), &[7; 16], stretcher.params()).unwrap();
        let runs = stretcher.runs.lock().unwrap();
        let arena = runs.arena.as_ref().unwrap();
        assert_eq!(arena.0.len(), 8_192);
        assert!(arena.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }

    #[test]
    fn derived_keys_differ_from_each_other_and_repeat() {
        let stretcher = Stretcher::quick();
        let run = || stretcher.stretch(&secret("correct horse"), &[7; 16], stretcher.params());
        let (one, other) = (run().unwrap(), run().unwrap());
        assert_eq!(one.unseal_key(), other.unseal_key());
        assert_ne!(one.unseal_key(), one.verifier());
        assert_ne!(one.totp_key(), one.verifier());
        assert_ne!(one.totp_key(), one.unseal_key());
    }
}
