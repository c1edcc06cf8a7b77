//! Wiping that the compiler may not remove.

use std::arch::asm;

/// Overwrites `len` bytes at `start` with zeros, whatever the compiler thinks of their future.
///
/// One `memset` and a barrier, since volatile writes of single bytes are an order of magnitude slower.
///
/// # Safety
/// `start` must be valid for writes of `len` bytes, and nothing may rely on what they hold.
pub(crate) unsafe fn wipe(start: *mut u8, len: usize) {
    // SAFETY: the caller says that these bytes may be written.
    unsafe { start.write_bytes(0, len) };
    // SAFETY: no instruction at all. Because the block is said to read any memory reachable from `start`, the
    // zeros must be there when it is reached.
    unsafe { asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags)) };
}

/// Overwrites a slice with zeros, whatever the compiler thinks of its future.
pub(crate) fn wipe_slice(bytes: &mut [u8]) {
    // SAFETY: an exclusive slice is valid for writes over its whole length, and zero is a valid byte.
    unsafe { wipe(bytes.as_mut_ptr(), bytes.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiped_slice_is_zero_and_its_neighbours_are_not() {
        let mut bytes = [7u8; 9];
        wipe_slice(&mut bytes[1..8]);
        assert_eq!(bytes, [7, 0, 0, 0, 0, 0, 0, 0, 7]);
    }
}
