//! Chunks of locked memory, cut into spans. An address is looked up without a lock; only growing takes one.

use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::arena::Mapping;
use crate::arena::MemoryKind;
use crate::heap::LockedMemory;
use crate::heap::locked;

/// The least that one size of blocks takes from a chunk.
const SPAN_BYTES: usize = 16 * 1024;
/// The first chunk, and the last resort near the limit on locked memory.
const CHUNK_BYTES: usize = 256 * 1024;
/// Each chunk adds a quarter, so that these are more than any machine has memory for.
const MAX_CHUNKS: usize = 128;

/// All chunks, the oldest first.
pub(super) struct Chunks {
    table: [OnceLock<Chunk>; MAX_CHUNKS],
    growing: Mutex<()>,
}

/// A run of zeros for blocks of one size.
pub(super) struct Span {
    pub(super) start: NonNull<u8>,
    pub(super) len: usize,
}

/// One mapping, what its spans are used for, and how much of it is.
struct Chunk {
    mapping: Mapping,
    span_sizes: Box<[AtomicU8]>,
    /// Changed only under the lock `growing`.
    used_bytes: AtomicUsize,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { table: [const { OnceLock::new() }; MAX_CHUNKS], growing: Mutex::new(()) }
    }

    /// Sets memory aside for blocks of one size. `None`: the system has no more memory for us.
    pub(super) fn take_span(&self, size: usize, block_bytes: usize) -> Option<Span> {
        let len = block_bytes.max(SPAN_BYTES);
        let _growing = locked(&self.growing);
        if let Some(span) = self.chunks().find_map(|chunk| chunk.take(size, len)) {
            return Some(span);
        }
        self.grow()?.take(size, len)
    }

    /// Finds the size class of the block at an address; `None` if the address is in no chunk.
    pub(super) fn size_at(&self, block: NonNull<u8>) -> Option<usize> {
        let (offset, chunk) =
            self.chunks().find_map(|chunk| Some((chunk.offset_of(block)?, chunk)))?;
        let size = chunk.span_sizes.get(offset / SPAN_BYTES)?;
        Some(usize::from(size.load(Ordering::Relaxed)))
    }

    /// Reports capacity and kind; what is in use the sizes know.
    pub(super) fn report(&self) -> LockedMemory {
        let mut report = LockedMemory::NONE;
        self.chunks().for_each(|chunk| report.add(&chunk.mapping));
        report
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.table.iter().map_while(OnceLock::get)
    }

    /// Adds a chunk. The caller holds the lock `growing`.
    fn grow(&self) -> Option<&Chunk> {
        let empty = self.table.iter().find(|place| place.get().is_none())?;
        let held: usize = self.chunks().map(|chunk| chunk.mapping.len()).sum();
        let wanted = (held / 4).next_multiple_of(CHUNK_BYTES).max(CHUNK_BYTES);
        // A small chunk of a better kind before a big one of a worse.
        let mapping = MemoryKind::BEST_FIRST.into_iter().find_map(|kind| {
            Mapping::of_kind(kind, wanted).or_else(|| Mapping::of_kind(kind, CHUNK_BYTES))
        })?;
        Some(empty.get_or_init(|| Chunk::new(mapping)))
    }
}

impl Chunk {
    fn new(mapping: Mapping) -> Self {
        let span_sizes = (0..mapping.len() / SPAN_BYTES).map(|_| AtomicU8::new(0)).collect();
        Self { mapping, span_sizes, used_bytes: AtomicUsize::new(0) }
    }

    /// Sets a span aside if there is room. The caller holds the lock `growing`.
    fn take(&self, size: usize, len: usize) -> Option<Span> {
        let used = self.used_bytes.load(Ordering::Relaxed);
        let end = used.checked_add(len).filter(|end| *end <= self.mapping.len())?;
        let spans = self.span_sizes.get(used / SPAN_BYTES..end / SPAN_BYTES)?;
        let size = u8::try_from(size).ok()?;
        spans.iter().for_each(|span| span.store(size, Ordering::Relaxed));
        self.used_bytes.store(end, Ordering::Relaxed);
        // SAFETY: `used` + `len` is inside the mapping.
        let start = unsafe { self.mapping.start().add(used) };
        Some(Span { start, len })
    }

    fn offset_of(&self, block: NonNull<u8>) -> Option<usize> {
        let offset = block.addr().get().checked_sub(self.mapping.start().addr().get())?;
        (offset < self.mapping.len()).then_some(offset)
    }
}
