//! Memory for secrets, straight from the kernel: one mapping at a time, between two guard pages.
//!
//! The best kind there is, in this order: `memfd_secret(2)`, whose pages the kernel takes out of its own map
//! (not even root reads them through `/proc/PID/mem`); anonymous memory under `mlock(2)`; and, where the limit
//! on locked memory refuses both, plain memory. Every kind is kept out of core dumps and away from forked
//! children (`MADV_DONTFORK`: a child that only wants to `exec` never needs them, and `MADV_WIPEONFORK` does not
//! exist for shared mappings, which `memfd_secret` ones are).

use std::ffi::c_long;
use std::fmt;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::ptr::null_mut;

use crate::wipe::wipe;

/// How well a piece of memory is kept from other eyes. Ordered: the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryKind {
    /// Out of core dumps and forked children, but it may be swapped: locking was refused (`RLIMIT_MEMLOCK`).
    Plain,
    /// `mlock(2)`: also never swapped.
    Locked,
    /// `memfd_secret(2)`: also unreadable for debuggers, `/proc/PID/mem` and most of the kernel itself.
    Secret,
}

impl MemoryKind {
    /// The kinds to try, best first.
    pub(crate) const BEST_FIRST: [Self; 3] = [Self::Secret, Self::Locked, Self::Plain];
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Plain => "plain memory",
            Self::Locked => "mlock",
            Self::Secret => "memfd_secret",
        })
    }
}

/// Readable and writable pages, zero at first, between two pages that kill the process when touched.
/// Wiped and given back on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    kind: MemoryKind,
}

// SAFETY: a mapping belongs to the process, not to a thread, and `Mapping` itself never reads or writes it before drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access yields only the address, the length and the kind.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps at least `len` bytes of the best kind there is. `None`: the system has no more memory for us.
    pub(crate) fn best(len: usize) -> Option<Self> {
        MemoryKind::BEST_FIRST.into_iter().find_map(|kind| Self::of_kind(kind, len))
    }

    /// Maps at least `len` bytes of exactly this kind. `None`: refused.
    pub(crate) fn of_kind(kind: MemoryKind, len: usize) -> Option<Self> {
        let guard = page_bytes();
        let len = len.checked_next_multiple_of(guard)?;
        let total = len.checked_add(guard.checked_mul(2)?)?;
        let base = match kind {
            MemoryKind::Secret => map_secret(total)?,
            MemoryKind::Locked | MemoryKind::Plain => map_anonymous(total)?,
        };
        // SAFETY: `guard` < `total`, so this stays inside the mapping just made.
        let start = unsafe { base.add(guard) };
        let mapping = Self { start, len, kind };
        // From here on a failure drops `mapping`, which unmaps everything.
        mapping.open()?;
        mapping.keep_private(kind)?;
        Some(mapping)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn kind(&self) -> MemoryKind {
        self.kind
    }

    /// Makes the middle readable and writable; the first and the last page stay out of bounds.
    fn open(&self) -> Option<()> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the range is the middle of our own mapping, page-aligned, and nobody else knows it yet.
        let done = unsafe { libc::mprotect(self.start.as_ptr().cast(), self.len, rights) };
        (done == 0).then_some(())
    }

    fn keep_private(&self, kind: MemoryKind) -> Option<()> {
        // SAFETY: our own mapping; neither advice changes what it holds in this process.
        let done = unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTDUMP) == 0
                && libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTFORK) == 0
        };
        if !done {
            return None;
        }
        match kind {
            // The kernel locks these pages itself.
            MemoryKind::Secret | MemoryKind::Plain => Some(()),
            MemoryKind::Locked => {
                // SAFETY: locks pages of our own mapping in memory and changes nothing in them.
                let locked = unsafe { libc::mlock(self.start.as_ptr().cast(), self.len) };
                (locked == 0).then_some(())
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let guard = page_bytes();
        // SAFETY: the whole mapping, guards included, is ours, and its owner has given it up. Only pages that
        // were opened may be wiped; opening again those that are open changes nothing.
        unsafe {
            if self.open().is_some() {
                wipe(self.start.as_ptr(), self.len);
            }
            libc::munmap(self.start.as_ptr().sub(guard).cast(), self.len + 2 * guard);
        }
    }
}

/// The size of a page, which is also that of a guard.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: asks for a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

fn map_anonymous(total: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    mapped(unsafe { libc::mmap(null_mut(), total, libc::PROT_NONE, flags, -1, 0) })
}

fn map_secret(total: usize) -> Option<NonNull<u8>> {
    // The same number on every architecture; the C library has no wrapper.
    const SYS_MEMFD_SECRET: c_long = 447;
    if total > file_bytes_allowed() {
        // A longer file would not be an error but a deadly signal, SIGXFSZ.
        return None;
    }
    // SAFETY: makes a new descriptor and touches no memory.
    let fd = unsafe { libc::syscall(SYS_MEMFD_SECRET, libc::O_CLOEXEC) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let file_len = libc::off_t::try_from(total).ok()?;
    // SAFETY: sets the length of a file that only we have.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), file_len) } != 0 {
        return None;
    }
    let (rights, flags) = (libc::PROT_NONE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    mapped(unsafe { libc::mmap(null_mut(), total, rights, flags, fd.as_raw_fd(), 0) })
}

fn mapped(address: *mut libc::c_void) -> Option<NonNull<u8>> {
    if address == libc::MAP_FAILED { None } else { NonNull::new(address.cast()) }
}

/// The longest file that this process may make (`RLIMIT_FSIZE`), in bytes.
fn file_bytes_allowed() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    limit.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_zero_writable_and_whole_pages() {
        for kind in MemoryKind::BEST_FIRST {
            let Some(mapping) = Mapping::of_kind(kind, 5000) else {
                assert_ne!(kind, MemoryKind::Plain);
                eprintln!("SKIPPED: this machine refuses {kind}");
                continue;
            };
            assert_eq!(mapping.kind(), kind);
            assert_eq!(mapping.len(), 5000usize.next_multiple_of(page_bytes()));
            // SAFETY: the mapping is ours, readable and writable over its length.
            let bytes =
                unsafe { std::slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.len()) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(0xa5);
            assert!(bytes.iter().all(|byte| *byte == 0xa5));
        }
    }

    /// What the kernel says of the mapping at this address, in the two letters of `/proc/PID/smaps`.
    fn kernel_flags(mapping: &Mapping) -> Vec<String> {
        let start = format!("{:x}-", mapping.start().addr());
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = lines.find_map(|line| line.strip_prefix("VmFlags: ")).unwrap();
        flags.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_is_undumped_and_uninherited_and_locked_if_it_says_so() {
        for kind in MemoryKind::BEST_FIRST {
            let Some(mapping) = Mapping::of_kind(kind, 5000) else { continue };
            let flags = kernel_flags(&mapping);
            let has = |flag: &str| flags.iter().any(|found| found == flag);
            assert!(has("dd") && has("dc"), "{kind}: {flags:?}");
            assert_eq!(has("lo"), kind != MemoryKind::Plain, "{kind}: {flags:?}");
        }
    }

    #[test]
    fn impossible_length_is_refused() {
        assert!(Mapping::best(usize::MAX).is_none());
        assert!(Mapping::best(usize::MAX / 2).is_none());
    }
}
