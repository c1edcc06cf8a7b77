//! An allocator that wipes what is given back.
//!
//! Bodies of requests and answers pass through buffers of libraries that know nothing of secrets. With
//! this as the program's allocator no freed block keeps what stood in it.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;

use crate::wipe::wipe;

/// The system's allocator; every block is wiped before it goes back.
#[derive(Debug, Clone, Copy, Default)]
pub struct WipingAllocator;

// SAFETY: every call is handed to `System` as it came. A block is written to only before it is given
// back, within the length it was asked for with. `realloc` is not handed on: the trait's own takes a new
// block, copies, and gives the old one back through `dealloc`, so that what is left behind is wiped, too.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the one of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the one of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this layout that nobody else uses.
        unsafe {
            wipe(block, layout.size());
            System.dealloc(block, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_grows_leaves_nothing_behind() {
        let layout = Layout::array::<u8>(4096).unwrap();
        // SAFETY: the layout has a size; the block is used within it and given back once.
        unsafe {
            let block = WipingAllocator.alloc(layout);
            block.write_bytes(0x5a, 4096);
            let grown = WipingAllocator.realloc(block, layout, 8192);
            assert_eq!(std::slice::from_raw_parts(grown, 4096), [0x5a; 4096]);
            WipingAllocator.dealloc(grown, Layout::array::<u8>(8192).unwrap());
        }
    }
}
