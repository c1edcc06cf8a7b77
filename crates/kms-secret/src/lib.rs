//! The only types that hold secret bytes: locked memory, wiped, redacted.

/// Secret bytes.
#[derive(Debug)]
pub struct SecretBytes(());
