//! The daemon in this process, asked over its socket as anyone would.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this crate is tests, also the functions beside them"
)]

mod daemon;
mod permissions;
mod exchange;
mod hostile;
mod stopping;
