//! The only types that hold secret bytes: locked memory, wiped, redacted.
//!
//! What this crate decides: where secret bytes lie, how they come in and go out, and what is left of them.
//! They lie in memory that the kernel takes out of its own reach (`memfd_secret`), or else in memory that is
//! never swapped (`mlock`), never dumped, never inherited by a forked child; between guard pages; wiped when
//! freed. They come in through raw `read(2)` and go out through raw `write(2)`, so that no buffer of the
//! standard library ever sees them. [`protect_process`] also routes the heap of the C cryptography library
//! into that memory, so that parsed private keys lie there too.
//!
//! What it never does: print a secret, clone one, or fall back to weaker memory without saying so in
//! [`locked_memory`].
//!
//! This is the only crate of the workspace with `unsafe`, besides the one that loads PKCS#11 libraries.

mod wipe;
mod stack;
mod arena;
mod heap;
mod secret_bytes;
mod locked;
mod read;
mod prompt;
mod write;
mod aws_lc;
mod allocator;
mod process;

pub use allocator::WipingAllocator;
pub use arena::MemoryKind;
pub use heap::LockedMemory;
pub use heap::locked_memory;
pub use locked::Locked;
pub use process::Protection;
pub use process::ProtectionError;
pub use process::ProtectionReport;
pub use process::protect_process;
pub use prompt::prompt_secret;
pub use read::FileExposure;
pub use read::ReadSecretError;
pub use read::read_secret;
pub use read::read_secret_file;
pub use read::read_secret_line;
pub use secret_bytes::SecretBytes;
pub use stack::burn_stack;
pub use stack::burn_stack_to_16_kib;
pub use write::write_secret;
