//! A run of secret bytes.

use std::alloc::Layout;
use std::alloc::handle_alloc_error;
use std::fmt;
use std::ptr::NonNull;
use std::slice;

use base64ct::Base64;
use base64ct::Encoding;
use subtle::Choice;
use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

use crate::heap::HEAP;
use crate::stack::burn_shallow;
use crate::wipe::wipe_slice;

/// Secret bytes in locked memory: wiped on drop, compared in constant time, printed as their length only.
///
/// There is no `Clone`, so that each copy is one that somebody wrote down. The length is not secret.
///
/// ```compile_fail,E0599
/// let secret = kms_secret::SecretBytes::zeroed(32);
/// let copy = secret.clone();
/// ```
///
/// ```compile_fail,E0277
/// let secret = kms_secret::SecretBytes::zeroed(32);
/// println!("{secret}");
/// ```
///
/// # Panics
/// Making one ends the process as any failed allocation does when the system has no more memory at all.
pub struct SecretBytes {
    /// Dangling if `allocated` is zero.
    start: NonNull<u8>,
    len: usize,
    /// The length the block was allocated with.
    allocated: usize,
}

// SAFETY: the block belongs to this value alone, as in a `Vec<u8>`, and the heap may be used from any thread.
unsafe impl Send for SecretBytes {}
// SAFETY: shared access only reads, as in a `Vec<u8>`.
unsafe impl Sync for SecretBytes {}

impl SecretBytes {
    /// Makes `len` zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self { start: NonNull::dangling(), len, allocated: 0 };
        }
        Self { start: allocate(len), len, allocated: len }
    }

    /// Copies bytes. The source stays the caller's to wipe; [`SecretBytes::take`] does both.
    #[must_use]
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self::make(bytes.len(), |place| place.copy_from_slice(bytes))
    }

    /// Copies bytes and wipes the source.
    #[must_use]
    pub fn take(bytes: &mut [u8]) -> Self {
        let secret = Self::copy_from(bytes);
        wipe_slice(bytes);
        secret
    }

    /// Makes `len` bytes in place: `fill` is given them all zero.
    #[must_use]
    pub fn make(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Self::zeroed(len);
        fill(secret.expose_mut());
        secret
    }

    /// Shows the bytes. Do not copy them out.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes (or dangling with length zero), and borrowed with `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Shows the bytes for writing.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`, and `self` is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Tells how many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps the first `len` bytes and wipes the rest; does nothing if there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.expose_mut().get_mut(len..) {
            wipe_slice(rest);
            self.len = len;
        }
    }

    /// Encodes as base64 with padding (RFC 4648 section 4), without branches or table look-ups on the bytes.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the encoder is given the length it asks for")]
    pub fn to_base64(&self) -> Self {
        let encoded = Self::make(Base64::encoded_len(self.expose()), |text| {
            Base64::encode(self.expose(), text)
                .expect("the place has the length that was asked for");
        });
        burn_shallow();
        encoded
    }

    /// Decodes base64 with padding (RFC 4648 section 4). `None`: anything else, whitespace and non-canonical endings included.
    #[must_use]
    pub fn from_base64(text: &[u8]) -> Option<Self> {
        let mut bytes = Self::zeroed(text.len().div_ceil(4) * 3);
        let decoded = Base64::decode(text, bytes.expose_mut()).map(<[u8]>::len);
        burn_shallow();
        bytes.truncate(decoded.ok()?);
        Some(bytes)
    }

    /// Encodes as lower-case hexadecimal (RFC 4648 section 8), without branches or table look-ups on the bytes.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the encoder is given the length it asks for")]
    pub fn to_hex(&self) -> Self {
        let encoded = Self::make(base16ct::encoded_len(self.expose()), |text| {
            base16ct::lower::encode(self.expose(), text)
                .expect("the place has the length that was asked for");
        });
        burn_shallow();
        encoded
    }

    /// Decodes hexadecimal of either case (RFC 4648 section 8). `None`: anything else, whitespace and prefixes included.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let mut bytes = Self::zeroed(text.len() / 2);
        let decoded = base16ct::mixed::decode(text, bytes.expose_mut()).map(<[u8]>::len);
        burn_shallow();
        (decoded.ok()? == bytes.len()).then_some(bytes)
    }

    /// Moves the bytes to the start of a longer run of `len` bytes, the new ones zero; the old place is wiped.
    pub(crate) fn grow(&mut self, len: usize) {
        let longer = Self::make(len.max(self.len), |place| {
            place.iter_mut().zip(self.expose()).for_each(|(to, from)| *to = *from);
        });
        *self = longer;
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        if self.allocated != 0 {
            // SAFETY: allocated with this length, released only here.
            unsafe { HEAP.release(self.start, self.allocated) };
        }
    }
}

impl ZeroizeOnDrop for SecretBytes {}

impl ConstantTimeEq for SecretBytes {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().ct_eq(other.expose())
    }
}

/// In constant time for equal lengths; runs of different lengths differ at once.
impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretBytes(<{} bytes>)", self.len)
    }
}

/// A block of the heap, or the end of the process as for any failed allocation.
pub(crate) fn allocate(len: usize) -> NonNull<u8> {
    HEAP.allocate(len).unwrap_or_else(|| match Layout::array::<u8>(len) {
        Ok(layout) => handle_alloc_error(layout),
        Err(_) => handle_alloc_error(Layout::new::<u8>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_and_nothing_else() {
        let secret = SecretBytes::copy_from(b"correct horse battery staple 123");
        assert_eq!(format!("{secret:?}"), "SecretBytes(<32 bytes>)");
        assert_eq!(format!("{secret:#?}"), "SecretBytes(<32 bytes>)");
    }

    #[test]
    fn take_leaves_zeros_behind() {
        let mut source = *b"0123456789abcdef";
        let secret = SecretBytes::take(&mut source);
        assert_eq!(source, [0; 16]);
        assert_eq!(secret.expose(), b"0123456789abcdef");
    }

    #[test]
    fn truncate_wipes_what_it_cuts_off() {
        let mut secret = SecretBytes::copy_from(&[7; 32]);
        secret.truncate(40);
        assert_eq!(secret.len(), 32);
        secret.truncate(5);
        assert_eq!(secret.expose(), [7; 5]);
        // SAFETY: the block is still allocated with 32 initialised bytes.
        let block = unsafe { slice::from_raw_parts(secret.start.as_ptr(), 32) };
        assert_eq!(block, [[7; 5].as_slice(), &[0; 27]].concat());
    }

    #[test]
    fn no_bytes_take_no_memory_and_are_equal() {
        let none = SecretBytes::zeroed(0);
        assert!(none.is_empty() && none.expose().is_empty());
        assert_eq!(none, SecretBytes::copy_from(b""));
        assert!(none.to_base64().is_empty() && none.to_hex().is_empty());
        assert_eq!(SecretBytes::from_base64(b""), Some(SecretBytes::zeroed(0)));
        assert_eq!(SecretBytes::from_hex(b""), Some(SecretBytes::zeroed(0)));
    }

    #[test]
    fn equal_means_same_length_and_same_bytes() {
        let secret = SecretBytes::copy_from(b"abc");
        assert_eq!(secret, SecretBytes::copy_from(b"abc"));
        assert_ne!(secret, SecretBytes::copy_from(b"abd"));
        assert_ne!(secret, SecretBytes::copy_from(b"xbc"));
        assert_ne!(secret, SecretBytes::copy_from(b"ab"));
        assert_ne!(secret, SecretBytes::copy_from(b"abc\0"));
    }

    #[test]
    fn grow_keeps_the_bytes_and_adds_zeros() {
        let mut secret = SecretBytes::copy_from(b"abc");
        secret.grow(5);
        assert_eq!(secret.expose(), b"abc\0\0");
    }

    #[test]
    fn base64_and_hex_are_those_of_rfc_4648_section_10() {
        let vectors: [(&[u8], &[u8], &[u8]); 7] = [
            (b"", b"", b""),
            (b"f", b"Zg==", b"66"),
            (b"fo", b"Zm8=", b"666f"),
            (b"foo", b"Zm9v", b"666f6f"),
            (b"foob", b"Zm9vYg==", b"666f6f62"),
            (b"fooba", b"Zm9vYmE=", b"666f6f6261"),
            (b"foobar", b"Zm9vYmFy", b"666f6f626172"),
        ];
        for (bytes, base64, hex) in vectors {
            let secret = SecretBytes::copy_from(bytes);
            assert_eq!(secret.to_base64().expose(), base64);
            assert_eq!(secret.to_hex().expose(), hex);
            assert_eq!(SecretBytes::from_base64(base64).unwrap(), secret);
            assert_eq!(SecretBytes::from_hex(hex).unwrap(), secret);
        }
    }

    #[test]
    fn every_byte_and_length_survives_base64_and_hex() {
        let all: Vec<u8> = (0..=255).rev().collect();
        for len in 0..all.len() {
            let secret = SecretBytes::copy_from(&all[..len]);
            assert_eq!(SecretBytes::from_base64(secret.to_base64().expose()).unwrap(), secret);
            assert_eq!(SecretBytes::from_hex(secret.to_hex().expose()).unwrap(), secret);
        }
    }

    #[test]
    fn loose_base64_and_hex_are_refused() {
        let base64: [&[u8]; 7] =
            [b"Zg", b"Zg=", b"Zh==", b"Zm9v\n", b" Zm9v", b"Zm-_", b"Zg==Zg=="];
        for text in base64 {
            assert!(SecretBytes::from_base64(text).is_none(), "{text:?}");
        }
        let hex: [&[u8]; 5] = [b"6", b"0x66", b"66 ", b"6g", b"666"];
        for text in hex {
            assert!(SecretBytes::from_hex(text).is_none(), "{text:?}");
        }
        assert_eq!(SecretBytes::from_hex(b"aBCd").unwrap().expose(), [0xab, 0xcd]);
    }
}
