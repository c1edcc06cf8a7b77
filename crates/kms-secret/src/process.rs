//! What the process does for its secrets before it has any.

use std::io;

use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::set_dumpable_behavior;
use rustix::process::setrlimit;
use rustix::thread::set_no_new_privs;
use thiserror::Error;

use crate::aws_lc::route_into_locked_memory;
use crate::heap::LockedMemory;
use crate::heap::locked_memory;

/// What [`protect_process`] has reached.
#[derive(Debug)]
pub struct ProtectionReport {
    /// No core file, whatever happens (`RLIMIT_CORE` 0, soft and hard).
    pub no_core_files: Protection,
    /// No dump and no debugger without root's rights (`PR_SET_DUMPABLE` 0).
    pub no_tracing: Protection,
    /// No program run from here gains rights, by set-uid bits or otherwise (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: Protection,
    /// As much locked memory as the system grants (`RLIMIT_MEMLOCK`, soft raised to hard).
    pub locked_memory_limit: Protection,
    /// The C cryptography library allocates from the memory for secrets.
    pub crypto_heap: Protection,
    /// The memory for secrets after all that.
    pub memory: LockedMemory,
}

/// One step of [`protect_process`].
#[derive(Debug)]
pub enum Protection {
    /// In force, until the process ends.
    On,
    /// Not in force.
    Refused(ProtectionError),
}

/// Why a protection is not in force.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProtectionError {
    /// The system has refused.
    #[error("{call}: {source}")]
    System {
        /// The call and its argument.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It is too late: another thread may be inside the library.
    #[error("process has {threads} threads, expected 1: protection must come first in main")]
    OtherThreads {
        /// How many run.
        threads: usize,
    },
    /// Other code has given the library memory functions before.
    #[error("memory functions of the cryptography library are already set by other code")]
    CryptoHeapTaken,
}

/// Closes the ways by which secrets leave a process unseen. To be called first thing in `main`, before there is a second
/// thread or any cryptography; calling it again changes nothing.
///
/// It never fails as a whole: each step is reported, and the caller says what is missing
/// ([`ProtectionReport::shortfalls`]).
#[must_use]
pub fn protect_process() -> ProtectionReport {
    let no_cores = Rlimit { current: Some(0), maximum: Some(0) };
    let memlock = getrlimit(Resource::Memlock);
    let raised = Rlimit { current: memlock.maximum, maximum: memlock.maximum };
    ProtectionReport {
        no_core_files: outcome("setrlimit RLIMIT_CORE 0", setrlimit(Resource::Core, no_cores)),
        no_tracing: outcome(
            "prctl PR_SET_DUMPABLE 0",
            set_dumpable_behavior(DumpableBehavior::NotDumpable),
        ),
        no_new_privileges: outcome("prctl PR_SET_NO_NEW_PRIVS", set_no_new_privs(true)),
        // Before the first secret and before the library allocates.
        locked_memory_limit: outcome(
            "setrlimit RLIMIT_MEMLOCK",
            setrlimit(Resource::Memlock, raised),
        ),
        crypto_heap: route_into_locked_memory()
            .map_or_else(Protection::Refused, |()| Protection::On),
        memory: locked_memory(),
    }
}

impl ProtectionReport {
    /// Lists what is not in force, one line each, for a warning or the log. Empty: all is well.
    ///
    /// Memory that could not be locked is listed too; memory locked by `mlock` only is not, since nothing can be done about it.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<String> {
        let steps = [
            ("core files are not switched off", &self.no_core_files),
            ("tracing is not switched off", &self.no_tracing),
            ("new privileges are not switched off", &self.no_new_privileges),
            ("limit on locked memory is not raised", &self.locked_memory_limit),
            ("cryptography does not use locked memory", &self.crypto_heap),
        ];
        let refused = steps.into_iter().filter_map(|(what, step)| match step {
            Protection::On => None,
            Protection::Refused(why) => Some(format!("{what}: {why}")),
        });
        let unlocked = (self.memory.unlocked_bytes > 0).then(|| {
            format!(
                "memory for secrets may be swapped: {} of {} bytes are not locked (RLIMIT_MEMLOCK)",
                self.memory.unlocked_bytes, self.memory.capacity_bytes
            )
        });
        refused.chain(unlocked).collect()
    }
}

fn outcome(call: &'static str, result: rustix::io::Result<()>) -> Protection {
    match result {
        Ok(()) => Protection::On,
        Err(error) => Protection::Refused(ProtectionError::System { call, source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::MemoryKind;

    fn report(crypto_heap: Protection, unlocked_bytes: usize) -> ProtectionReport {
        ProtectionReport {
            no_core_files: Protection::On,
            no_tracing: Protection::On,
            no_new_privileges: Protection::On,
            locked_memory_limit: Protection::On,
            crypto_heap,
            memory: LockedMemory {
                in_use_bytes: 0,
                capacity_bytes: 4096,
                unlocked_bytes,
                kind: MemoryKind::Plain,
            },
        }
    }

    #[test]
    fn shortfalls_name_what_is_missing_and_why() {
        assert!(report(Protection::On, 0).shortfalls().is_empty());
        let refused = Protection::Refused(ProtectionError::OtherThreads { threads: 3 });
        assert_eq!(
            report(refused, 4096).shortfalls(),
            [
                "cryptography does not use locked memory: process has 3 threads, expected 1: protection must come first in main",
                "memory for secrets may be swapped: 4096 of 4096 bytes are not locked (RLIMIT_MEMLOCK)",
            ]
        );
    }

    #[test]
    fn system_error_names_the_call() {
        let error = outcome("prctl PR_SET_DUMPABLE 0", Err(rustix::io::Errno::PERM));
        let Protection::Refused(error) = error else { panic!("refused") };
        assert!(error.to_string().starts_with("prctl PR_SET_DUMPABLE 0: "), "{error}");
    }
}
