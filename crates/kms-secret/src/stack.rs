//! Wiping the stack that a computation with a secret has left behind.
//!
//! Compiled code copies values to the stack as it likes, and no library wipes those copies. They lie below
//! the caller's frame, where the next deep call would overwrite them by chance; these functions do it at once.
//! What lies in the caller's own frame is out of their reach: use secrets by reference, in a function of
//! their own that is not inlined.

use std::mem::MaybeUninit;

use crate::wipe::wipe;

/// What [`burn_stack`] overwrites. The deepest is secp256k1, whose code runs below a frame with room for its table of
/// points: 34 KiB. P-256 takes 12, making an RSA key 8, Ed25519 7. Code that is not fully optimised takes up to 45.
const BURNT_BYTES: usize = 64 * 1024;
/// What [`burn_stack_to_16_kib`] overwrites: enough for optimised Ed25519, P-256 and RSA signing.
const MIDDLE_BYTES: usize = 16 * 1024;
/// Enough after encoding and moving, which call nothing deep.
const SHALLOW_BYTES: usize = 4 * 1024;

/// Overwrites 64 KiB of stack below the caller, more than any key of ours needs to be parsed, made or used.
/// Costs 0.7 microseconds.
#[inline(never)]
pub fn burn_stack() {
    burn::<BURNT_BYTES>();
}

/// Overwrites 16 KiB of stack below the caller: for what is known not to go deeper, in the paths
/// where 64 would be felt. Costs 0.1 microseconds, and leaves the caches to others.
#[inline(never)]
pub fn burn_stack_to_16_kib() {
    burn::<MIDDLE_BYTES>();
}

/// Overwrites 4 KiB of stack below the caller: for after this crate's own work.
#[inline(never)]
pub(crate) fn burn_shallow() {
    burn::<SHALLOW_BYTES>();
}

#[inline(always)]
fn burn<const BYTES: usize>() {
    let mut frame = MaybeUninit::<[u8; BYTES]>::uninit();
    // SAFETY: `frame` is ours and `BYTES` long; any byte is valid in a `MaybeUninit`.
    unsafe { wipe(frame.as_mut_ptr().cast(), BYTES) };
}
