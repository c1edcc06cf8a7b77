//! The signer against CometBFT's own code, and against nodes that do not keep to the protocol.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail"
)]

mod comet;
mod hostile;
mod home;
mod node;
