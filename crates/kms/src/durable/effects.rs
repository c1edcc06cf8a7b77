//! Where every change to the disk passes: done plainly by [`OsDisk`], counted and broken in tests.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::io::retry_on_intr;

/// Carries out the single effects of which the calls of a disk consist.
pub trait Effects: Clone + Debug + Send + Sync + 'static {
    /// Carries out one change: everything that makes, names, syncs or cuts.
    fn run<T>(&self, effect: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno>;

    /// Writes all of `bytes` at `offset`: the one change that can be half done.
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), Errno>;

    /// Carries out something that changes nothing.
    fn look<T>(&self, look: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Effects for OsDisk {
    fn run<T>(&self, effect: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        retry_on_intr(effect)
    }

    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        write_all(file, bytes, offset)
    }

    fn look<T>(&self, look: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        retry_on_intr(look)
    }
}

/// `pwrite` until everything is written. An error leaves any part of it.
pub(crate) fn write_all(
    file: BorrowedFd<'_>,
    mut bytes: &[u8],
    mut offset: u64,
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))?;
        if written == 0 {
            return Err(Errno::IO);
        }
        bytes = bytes.get(written..).ok_or(Errno::IO)?;
        offset = offset.checked_add(written as u64).ok_or(Errno::FBIG)?;
    }
    Ok(())
}
