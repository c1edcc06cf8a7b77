//! A disk that breaks at the n-th effect, for tests that go through every one of them.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::durable::DiskError;
use crate::durable::OsDisk;
use crate::durable::effects::Effects;
use crate::durable::steps;

/// What happens at the chosen effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen (of a write, the first half does), and everything after it fails too, as
    /// for a process that was killed there.
    Stop,
    /// It fails with `EIO` (of a write, the first half happens); what follows works again.
    Eio,
    /// It fails with `ENOSPC` (of a write, the first half happens); what follows works again.
    NoSpace,
    /// It happens, and `EIO` is reported all the same.
    DoneButReported,
}

/// The disk of this machine, breaking once. Clones share the count.
///
/// A test loops `fail_at` = 0, 1, 2 … until [`FaultyDisk::fired`] says that a run passed untouched,
/// and looks after each run at what is really there with [`OsDisk`].
///
/// What was written and not synced stays on the disk: this shows what a killed process leaves, in
/// every place; what a power cut leaves is shown by cutting the power of a real file system.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    fail_at: usize,
    fault: Fault,
    effects: AtomicUsize,
    stopped: AtomicBool,
}

impl FaultyDisk {
    /// Breaks at the effect of number `fail_at`, counted from zero.
    pub fn new(fail_at: usize, fault: Fault) -> Self {
        let (effects, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Plan { fail_at, fault, effects, stopped }))
    }

    /// Effects asked for so far: each system call that changes something counts as one.
    pub fn effects(&self) -> usize {
        self.0.effects.load(Ordering::SeqCst)
    }

    /// Whether the chosen effect was reached.
    pub fn fired(&self) -> bool {
        self.effects() > self.0.fail_at
    }

    /// As [`OsDisk::sweep`].
    ///
    /// # Errors
    /// As [`OsDisk::sweep`], and the fault.
    pub fn sweep(&self, dir: &Path) -> Result<usize, DiskError> {
        steps::sweep(self, dir)
    }

    /// Counts an effect; says what becomes of it, unless it is just carried out.
    fn next(&self) -> Option<Fault> {
        let now = self.0.effects.fetch_add(1, Ordering::SeqCst);
        if now == self.0.fail_at && self.0.fault == Fault::Stop {
            self.0.stopped.store(true, Ordering::SeqCst);
        }
        (now == self.0.fail_at).then_some(self.0.fault)
    }

    fn running(&self) -> Result<(), Errno> {
        if self.0.stopped.load(Ordering::SeqCst) { Err(Errno::IO) } else { Ok(()) }
    }
}

impl Effects for FaultyDisk {
    fn run<T>(&self, effect: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        self.running()?;
        match self.next() {
            None => OsDisk.run(effect),
            Some(Fault::Stop | Fault::Eio) => Err(Errno::IO),
            Some(Fault::NoSpace) => Err(Errno::NOSPC),
            Some(Fault::DoneButReported) => OsDisk.run(effect).and(Err(Errno::IO)),
        }
    }

    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        self.running()?;
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let (part, then) = match self.next() {
            None => (bytes, Ok(())),
            Some(Fault::Stop | Fault::Eio) => (half, Err(Errno::IO)),
            Some(Fault::NoSpace) => (half, Err(Errno::NOSPC)),
            Some(Fault::DoneButReported) => (bytes, Err(Errno::IO)),
        };
        OsDisk.write(file, part, offset).and(then)
    }

    fn look<T>(&self, look: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        self.running()?;
        OsDisk.look(look)
    }
}
