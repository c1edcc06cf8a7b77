//! The encodings against files other software made, and against files nobody should make.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail"
)]

mod caller;
mod comet;
mod damaged;
mod fixture;
mod hostile;
mod private_key;
mod privval;
mod public_key;
mod raw;
mod signature;
mod address;
