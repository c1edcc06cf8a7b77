use std::collections::HashSet;
use std::thread;

use super::*;

/// A heap that lives as long as the process: what it hands out must not outlive it.
fn heap() -> &'static Heap {
    Box::leak(Box::new(Heap::new()))
}

fn bytes<'a>(block: NonNull<u8>, len: usize) -> &'a mut [u8] {
    // SAFETY: each test passes a block it has just allocated with at least this length.
    unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), len) }
}

#[test]
fn blocks_of_every_length_are_zero_aligned_and_apart() {
    let heap = heap();
    let mut taken = Vec::new();
    for len in [1, 15, 16, 17, 32, 33, 100, 512, 4096, 5000, 16_384, 40_000, 65_536, 65_537] {
        let block = heap.allocate(len).unwrap();
        assert!(bytes(block, len).iter().all(|byte| *byte == 0), "{len}");
        bytes(block, len).fill(0xff);
        assert_eq!(block.addr().get() % len.next_power_of_two().clamp(16, 4096), 0, "{len}");
        taken.push((block.addr().get(), len));
    }
    taken.sort_unstable();
    assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
}

#[test]
fn freed_block_is_wiped_but_for_its_link_and_handed_out_again_all_zero() {
    let heap = heap();
    for len in [16, 64, 4096, 65_536] {
        let block = heap.allocate(len).unwrap();
        bytes(block, len).fill(0xff);
        // SAFETY: allocated with this length above, used by nobody.
        unsafe { heap.release(block, len) };
        let link = size_of::<usize>();
        assert!(bytes(block, len)[link..].iter().all(|byte| *byte == 0), "{len}");
        let again = heap.allocate(len).unwrap();
        assert_eq!(again, block);
        assert!(bytes(again, len).iter().all(|byte| *byte == 0), "{len}");
    }
}

#[test]
fn block_knows_its_size_and_a_foreign_address_is_nobodys() {
    let heap = heap();
    for (len, expected) in [(1, 16), (17, 32), (64, 64), (40_000, 65_536), (100_000, 102_400)] {
        assert_eq!(heap.block_bytes_at(heap.allocate(len).unwrap()), Some(expected));
    }
    let foreign = Box::new([0u8; 64]);
    assert_eq!(heap.block_bytes_at(NonNull::from(&*foreign).cast()), None);
}

#[test]
fn bytes_in_use_are_counted_and_a_long_block_goes_back_to_the_system() {
    let heap = heap();
    let small = heap.allocate(100).unwrap();
    let before = heap.report();
    assert_eq!(before.in_use_bytes, 128);
    let long = heap.allocate(1 << 20).unwrap();
    assert_eq!(heap.report().in_use_bytes, 128 + (1 << 20));
    assert_eq!(heap.report().capacity_bytes, before.capacity_bytes + (1 << 20));
    // SAFETY: both were allocated with these lengths above and are used by nobody.
    unsafe {
        heap.release(long, 1 << 20);
        heap.release(small, 100);
    }
    assert_eq!(heap.report(), LockedMemory { in_use_bytes: 0, ..before });
}

#[test]
fn heap_grows_past_its_first_chunk() {
    let heap = heap();
    let blocks: HashSet<_> = (0..3000).map(|_| heap.allocate(1024).unwrap()).collect();
    assert_eq!(blocks.len(), 3000);
    assert!(blocks.iter().all(|block| heap.block_bytes_at(*block) == Some(1024)));
    assert!(heap.report().capacity_bytes >= 3000 * 1024);
}

#[test]
fn threads_never_share_a_block() {
    let heap = heap();
    let worker = |mark: u8| {
        for round in 0..2000usize {
            let len = 16 << (round % 6);
            let block = heap.allocate(len).unwrap();
            assert!(bytes(block, len).iter().all(|byte| *byte == 0));
            bytes(block, len).fill(mark);
            thread::yield_now();
            assert!(bytes(block, len).iter().all(|byte| *byte == mark));
            // SAFETY: allocated with this length above, used by nobody.
            unsafe { heap.release(block, len) };
        }
    };
    thread::scope(|scope| {
        for mark in 1..=4 {
            scope.spawn(move || worker(mark));
        }
    });
    assert_eq!(heap.report().in_use_bytes, 0);
}
