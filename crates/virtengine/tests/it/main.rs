//! Runs the built program as a person or a script would, and holds it to its contract: data on
//! stdout, everything else on stderr, published exit codes, nothing secret anywhere.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this crate is tests, also the functions beside them"
)]

mod harness;
mod home;
mod without_home;
mod keys;
mod lives;
mod signing;
mod access;
mod second_factor;
mod policies;
mod audit;
mod secrets;
mod dev;
mod dev_serve;
mod serving;
mod validator;
mod daemon;
mod daemon_tls;
mod packaging;
mod damage;
mod multisig;
mod cosmjs;
mod streams;
mod hsm;
