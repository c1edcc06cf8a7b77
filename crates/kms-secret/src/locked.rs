//! One value in locked memory.

use std::any::type_name;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::ptr::drop_in_place;

use zeroize::ZeroizeOnDrop;

use crate::heap::HEAP;
use crate::secret_bytes::allocate;
use crate::stack::burn_stack;
use crate::wipe::wipe;

/// A value in locked memory: dropped there, then its bytes are wiped. No `Clone`, printed as its type only.
///
/// Only the value's own bytes lie there, not what it points to: right for arrays and for keys that hold their
/// numbers in themselves, wrong for a `Vec`.
///
/// ```compile_fail,E0599
/// let secret = kms_secret::Locked::new([0u8; 32]);
/// let copy: kms_secret::Locked<[u8; 32]> = secret.clone();
/// ```
pub struct Locked<T> {
    place: NonNull<T>,
}

// SAFETY: the value belongs to this owner alone, as in a `Box<T>`.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: shared access only yields `&T`, as in a `Box<T>`.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// What the heap is asked for: enough bytes that their power of two satisfies the alignment.
    const BLOCK_BYTES: usize = {
        assert!(align_of::<T>() <= 4096, "blocks are aligned to a page at most");
        let size = if size_of::<T>() < align_of::<T>() { align_of::<T>() } else { size_of::<T>() };
        if size == 0 { 1 } else { size }
    };

    /// Moves a value in, wipes the place it was passed in and burns the stack below the caller.
    ///
    /// Copies that the caller's own code made are out of reach, and unoptimised code makes some: where the value is
    /// computed, [`Locked::make`] leaves nothing behind.
    #[inline(always)]
    pub fn new(value: T) -> Self {
        Self::adopt(ManuallyDrop::new(value))
    }

    #[inline(never)]
    fn adopt(mut value: ManuallyDrop<T>) -> Self {
        let place = allocate(Self::BLOCK_BYTES).cast::<T>();
        let passed = NonNull::from(&mut value).cast::<T>();
        // SAFETY: the block is big enough and aligned for a `T`, and it is not the argument. The argument's bytes are
        // wiped after the value has moved; nothing reads or drops them any more.
        unsafe {
            place.copy_from_nonoverlapping(passed, 1);
            wipe(passed.as_ptr().cast(), size_of::<T>());
        }
        burn_stack();
        Self { place }
    }

    /// Makes the value in a frame below, moves it in and burns the stack it was made on.
    #[inline(never)]
    pub fn make(make: impl FnOnce() -> T) -> Self {
        let place = allocate(Self::BLOCK_BYTES).cast::<T>();
        make_at(place, make);
        burn_stack();
        Self { place }
    }
}

/// Writes the value that `make` returns. A function of its own, so that what it leaves lies below the caller's frame.
#[inline(never)]
fn make_at<T>(place: NonNull<T>, make: impl FnOnce() -> T) {
    // SAFETY: the callers pass a block big enough and aligned for a `T`, with nothing in it.
    unsafe { place.write(make()) };
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the place holds a valid `T` from construction to drop, borrowed with `self`.
        unsafe { self.place.as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the value is dropped once, here; then its block, allocated with this length, is wiped and released.
        unsafe {
            drop_in_place(self.place.as_ptr());
            HEAP.release(self.place.cast(), Self::BLOCK_BYTES);
        }
    }
}

impl<T> ZeroizeOnDrop for Locked<T> {}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Locked(<{}>)", type_name::<T>())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn debug_shows_the_type_and_nothing_else() {
        assert_eq!(format!("{:?}", Locked::new([7u8; 4])), "Locked(<[u8; 4]>)");
    }

    #[test]
    fn value_is_dropped_once() {
        struct Counted<'a>(&'a Cell<u32>);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let drops = Cell::new(0);
        let moved = Locked::new(Counted(&drops));
        let made = Locked::make(|| Counted(&drops));
        assert_eq!(drops.get(), 0);
        drop(moved);
        drop(made);
        assert_eq!(drops.get(), 2);
    }

    #[test]
    fn odd_sizes_and_alignments_are_kept() {
        #[repr(align(1024))]
        struct Aligned(u8);
        assert_eq!(Locked::new(Aligned(9)).0, 9);
        assert_eq!((&raw const *Locked::new(Aligned(9))).addr() % 1024, 0);
        assert_eq!(*Locked::new(()), ());
        assert_eq!(*Locked::new([3u8; 33]), [3; 33]);
        assert_eq!(Locked::make(|| [5u64; 20_000]).iter().sum::<u64>(), 100_000);
    }
}
