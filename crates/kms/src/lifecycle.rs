//! KeyLifecycleManager: what a key may do follows from its state at this moment.

pub mod uses;
mod admit;

pub use admit::Admitted;
