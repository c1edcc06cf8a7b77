//! Wiping the stack that a computation with a secret has left behind.
//!
//! Compiled code copies values to the stack as it likes, and no library wipes those copies. They lie below
//! the caller's frame, where the next deep call would overwrite them by chance; these functions do it at once.
//! What lies in the caller's own frame is out of their reach: use secrets by reference, in a function of
//! their own that is not inlined.

use std::mem::MaybeUninit;

use crate::wipe::wipe;

/// Bytes that [`burn_stack`] overwrites: more than any signature but RSA needs.
const SHALLOW_BYTES: usize = 16 * 1024;
/// Bytes that [`burn_stack_deep`] overwrites: more than parsing, making or using an RSA key of 4096 bits needs.
const DEEP_BYTES: usize = 64 * 1024;

/// Overwrites 16 KiB of stack below the caller; costs a fraction of a microsecond.
///
/// Enough after signing with Ed25519, P-256 and secp256k1. After work with an RSA key use [`burn_stack_deep`].
#[inline(never)]
pub fn burn_stack() {
    burn::<SHALLOW_BYTES>();
}

/// Overwrites 64 KiB of stack below the caller: for after work with RSA keys, and after parsing key files.
#[inline(never)]
pub fn burn_stack_deep() {
    burn::<DEEP_BYTES>();
}

#[inline(always)]
fn burn<const BYTES: usize>() {
    let mut frame = MaybeUninit::<[u8; BYTES]>::uninit();
    // SAFETY: `frame` is ours and `BYTES` long; any byte is valid in a `MaybeUninit`.
    unsafe { wipe(frame.as_mut_ptr().cast(), BYTES) };
}
