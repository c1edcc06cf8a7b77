//! The library from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail")]

mod consensus;
mod crash;
mod attacks;
mod home;
mod invariants;
mod layers;
mod multisig;
mod people;
mod regressions;
mod way;
