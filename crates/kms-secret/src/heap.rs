//! The heap for secrets: blocks of 16 bytes to 64 KiB from locked chunks, longer ones from a mapping of their own.
//!
//! Blocks come in powers of two. A chunk is cut into spans, a span into blocks of one size, and a freed block is
//! wiped and waits in the list of its size: taking one costs a lock and two moves. Each size has a lock of its own.
//! Chunks are never given back, so that an address once ours stays ours, and asking whose it is needs no lock.
//!
//! Invariant: a block that is not in use is all zeros, but for the link to the next one in its first bytes.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::arena::Mapping;
use crate::arena::MemoryKind;
use crate::heap::chunks::Chunks;
use crate::wipe::wipe;

mod chunks;

/// The one heap of this process.
pub(crate) static HEAP: Heap = Heap::new();

const SMALLEST_BYTES: usize = 16;
const LARGEST_BYTES: usize = 64 * 1024;
/// Powers of two from the smallest to the largest.
const SIZES: usize = 13;

/// What the memory for secrets is and how much of it is used, in bytes. Made by [`locked_memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedMemory {
    /// Bytes in use, rounded up to whole blocks.
    pub in_use_bytes: usize,
    /// Bytes taken from the system.
    pub capacity_bytes: usize,
    /// Bytes of the capacity that could not be locked and may be swapped.
    pub unlocked_bytes: usize,
    /// The weakest kind among the memory now held: what may be promised about all of it.
    pub kind: MemoryKind,
}

/// Reports the memory for secrets. If none was needed yet, takes the first of it, so that the kind is an observation.
#[must_use]
pub fn locked_memory() -> LockedMemory {
    if let Some(block) = HEAP.allocate(SMALLEST_BYTES) {
        // SAFETY: the block was allocated with this length just now, and nobody else has it.
        unsafe { HEAP.release(block, SMALLEST_BYTES) };
    }
    HEAP.report()
}

/// Blocks by size, the chunks they are cut from, and the mappings of longer ones by address.
pub(crate) struct Heap {
    sizes: [Mutex<Blocks>; SIZES],
    chunks: Chunks,
    large: Mutex<BTreeMap<usize, Mapping>>,
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self {
            sizes: [const { Mutex::new(Blocks::NONE) }; SIZES],
            chunks: Chunks::new(),
            large: Mutex::new(BTreeMap::new()),
        }
    }

    /// Hands out at least `len` bytes, all zero, aligned to the smaller of the block's size and a page.
    /// `None`: the system has no more memory for us.
    pub(crate) fn allocate(&self, len: usize) -> Option<NonNull<u8>> {
        if len > LARGEST_BYTES {
            return self.allocate_large(len);
        }
        let size = size_index(len);
        let mut blocks = locked(self.sizes.get(size)?);
        if blocks.are_spent() {
            let span = self.chunks.take_span(size, block_bytes(size))?;
            blocks.cut(span.start, span.len);
        }
        Some(blocks.take(block_bytes(size)))
    }

    /// Wipes a block and takes it back.
    ///
    /// # Safety
    /// `block` came from [`Heap::allocate`] of this heap for a length of the same size class as `len`, is not used any more,
    /// and was not released before.
    pub(crate) unsafe fn release(&self, block: NonNull<u8>, len: usize) {
        if len > LARGEST_BYTES {
            drop(locked(&self.large).remove(&block.addr().get()));
            return;
        }
        let size = size_index(len);
        // SAFETY: the whole block is ours again; a length of the same class has the same block size.
        unsafe { wipe(block.as_ptr(), block_bytes(size)) };
        if let Some(blocks) = self.sizes.get(size) {
            // SAFETY: a wiped block of this size that nobody uses.
            unsafe { locked(blocks).put(block) };
        }
    }

    /// Tells how many bytes the block at this address has; `None` if the address is not of this heap.
    pub(crate) fn block_bytes_at(&self, block: NonNull<u8>) -> Option<usize> {
        match self.chunks.size_at(block) {
            Some(size) => Some(block_bytes(size)),
            None => locked(&self.large).get(&block.addr().get()).map(Mapping::len),
        }
    }

    fn allocate_large(&self, len: usize) -> Option<NonNull<u8>> {
        let mapping = Mapping::best(len)?;
        let start = mapping.start();
        locked(&self.large).insert(start.addr().get(), mapping);
        Some(start)
    }

    fn report(&self) -> LockedMemory {
        let mut report = self.chunks.report();
        for (size, blocks) in self.sizes.iter().enumerate() {
            report.in_use_bytes += locked(blocks).in_use * block_bytes(size);
        }
        for mapping in locked(&self.large).values() {
            report.in_use_bytes += mapping.len();
            report.add(mapping);
        }
        report
    }
}

impl LockedMemory {
    const NONE: Self =
        Self { in_use_bytes: 0, capacity_bytes: 0, unlocked_bytes: 0, kind: MemoryKind::Secret };

    fn add(&mut self, mapping: &Mapping) {
        self.capacity_bytes += mapping.len();
        self.kind = self.kind.min(mapping.kind());
        match mapping.kind() {
            MemoryKind::Plain => self.unlocked_bytes += mapping.len(),
            MemoryKind::Locked | MemoryKind::Secret => {}
        }
    }
}

/// The blocks of one size that are not in use: wiped ones in a list through their first bytes, and the rest of a span never used.
struct Blocks {
    wiped: *mut Wiped,
    fresh: *mut u8,
    fresh_bytes: usize,
    in_use: usize,
}

struct Wiped {
    next: *mut Wiped,
}

// SAFETY: the pointers name memory of the process, not of a thread; the mutex around makes access exclusive.
unsafe impl Send for Blocks {}

impl Blocks {
    const NONE: Self = Self { wiped: null_mut(), fresh: null_mut(), fresh_bytes: 0, in_use: 0 };

    fn are_spent(&self) -> bool {
        self.wiped.is_null() && self.fresh_bytes == 0
    }

    /// Takes on a span of zeros, a whole number of blocks long.
    fn cut(&mut self, span: NonNull<u8>, len: usize) {
        self.fresh = span.as_ptr();
        self.fresh_bytes = len;
    }

    /// Takes one block out. The caller has seen that they are not spent.
    fn take(&mut self, bytes: usize) -> NonNull<u8> {
        self.in_use += 1;
        if let Some(first) = NonNull::new(self.wiped) {
            // SAFETY: what is in the list is a block of ours with a link in its first bytes, and nobody else's.
            unsafe {
                self.wiped = first.read().next;
                first.write(Wiped { next: null_mut() });
            }
            return first.cast();
        }
        let block = self.fresh;
        self.fresh_bytes -= bytes;
        // SAFETY: `fresh_bytes` was at least one block, so the block and the place behind it are inside the span or at its end.
        unsafe {
            self.fresh = block.add(bytes);
            NonNull::new_unchecked(block)
        }
    }

    /// Puts one block back.
    ///
    /// # Safety
    /// `block` is a wiped block of this size that nobody uses.
    unsafe fn put(&mut self, block: NonNull<u8>) {
        self.in_use -= 1;
        let block = block.cast::<Wiped>();
        // SAFETY: a block has at least 16 bytes at an address divisible by 16, and it is ours alone.
        unsafe { block.write(Wiped { next: self.wiped }) };
        self.wiped = block.as_ptr();
    }
}

/// The size class of a length up to the largest.
fn size_index(len: usize) -> usize {
    let power = len.clamp(SMALLEST_BYTES, LARGEST_BYTES).next_power_of_two();
    (power / SMALLEST_BYTES).ilog2() as usize
}

fn block_bytes(size: usize) -> usize {
    SMALLEST_BYTES << size
}

/// The lock, also after a panic elsewhere: nothing in these critical sections can panic half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
