//! Runs against real tokens: SoftHSM 2, Kryoptic, and a TPM 2.0 in software, each started by the test
//! that needs it.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this crate is tests, also the functions beside them"
)]

mod token;
mod softhsm;
mod faulty;
mod faults;
mod kryoptic;
mod tpm;
