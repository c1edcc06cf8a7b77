//! The heap of the C cryptography library, routed into locked memory.
//!
//! AWS-LC allocates through three functions that can be set once, by `CRYPTO_set_mem_functions`. Set to ours,
//! every `EVP_PKEY`, `BIGNUM` and scratch buffer lies in locked memory and is wiped when freed or moved.
//!
//! Blocks that the library allocated before come back to our functions too. They carry a prefix of its own
//! (`OPENSSL_MALLOC_PREFIX` in `crypto/mem.c`: 8 bytes that hold the length) and go back to `free(3)` from there.

use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::fs;
use std::ptr::NonNull;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::heap::HEAP;
use crate::process::ProtectionError;
use crate::wipe::wipe;

/// What the library itself puts before a block: its length.
const PREFIX_BYTES: usize = 8;

static ROUTED: Mutex<bool> = Mutex::new(false);

/// Sets the library's memory functions. A second call does nothing and is `Ok`.
///
/// The library stores them one by one without a lock, so this refuses as soon as the process has a second thread,
/// which might be allocating.
pub(crate) fn route_into_locked_memory() -> Result<(), ProtectionError> {
    let mut routed = ROUTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *routed {
        return Ok(());
    }
    let threads = thread_count()?;
    if threads != 1 {
        return Err(ProtectionError::OtherThreads { threads });
    }
    // SAFETY: the three functions have the signatures and keep the contract of malloc, realloc and free, for blocks
    // of the library's own too; no other thread runs that could see only some of them set.
    let done = unsafe {
        aws_lc_sys::CRYPTO_set_mem_functions(Some(allocate), Some(reallocate), Some(release))
    };
    if done != 1 {
        return Err(ProtectionError::CryptoHeapTaken);
    }
    *routed = true;
    Ok(())
}

fn thread_count() -> Result<usize, ProtectionError> {
    let unknown = |source| ProtectionError::System { call: "readdir /proc/self/task", source };
    Ok(fs::read_dir("/proc/self/task").map_err(unknown)?.count())
}

/// `malloc(3)`: also of nothing, which is a block as any other.
unsafe extern "C" fn allocate(len: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    HEAP.allocate(len.max(1)).map_or(null_mut(), |block| block.as_ptr().cast())
}

/// `realloc(3)`, but the old place is wiped.
unsafe extern "C" fn reallocate(
    block: *mut c_void,
    len: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    let Some(old) = NonNull::new(block.cast::<u8>()) else {
        // SAFETY: the contract of malloc asks for nothing.
        return unsafe { allocate(len, file, line) };
    };
    let len = len.max(1);
    let old_len = match HEAP.block_bytes_at(old) {
        Some(bytes) if len <= bytes && len > bytes / 4 => {
            // SAFETY: the block has `bytes` bytes, all the caller's, who keeps the first `len`.
            unsafe { wipe(old.as_ptr().add(len), bytes - len) };
            return block;
        }
        Some(bytes) => bytes,
        // SAFETY: what is not of our heap is a block of the library's own.
        None => unsafe { foreign_len(old) },
    };
    let Some(new) = HEAP.allocate(len) else { return null_mut() };
    // SAFETY: both blocks have at least that many bytes and are not the same; the old one is given up.
    unsafe {
        old.copy_to_nonoverlapping(new, old_len.min(len));
        release(block, file, line);
    }
    new.as_ptr().cast()
}

/// `free(3)`, but the block is wiped.
unsafe extern "C" fn release(block: *mut c_void, _file: *const c_char, _line: c_int) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    match HEAP.block_bytes_at(block) {
        // SAFETY: the contract of free: a block that we handed out and that nobody uses any more.
        Some(bytes) => unsafe { HEAP.release(block, bytes) },
        // SAFETY: what is not of our heap is a block of the library's own, wiped and freed as the library would.
        None => unsafe {
            let start = block.sub(PREFIX_BYTES).as_ptr();
            wipe(start, PREFIX_BYTES + foreign_len(block));
            libc::free(start.cast());
        },
    }
}

/// The length of a block that the library allocated itself.
///
/// # Safety
/// `block` was returned by `OPENSSL_malloc` before our functions were set, and has not been freed.
unsafe fn foreign_len(block: NonNull<u8>) -> usize {
    // SAFETY: such a block has its length in the word before it.
    unsafe { block.sub(PREFIX_BYTES).cast::<usize>().read_unaligned() }
}
