//! Pure encodings of the outside world: algorithms, public keys, key files, signatures, addresses,
//! multi-signature accounts, and transactions as far as a person has to see what they sign.
//!
//! Nothing here opens a file or a socket. Every parser takes hostile input: it has a size limit,
//! returns a typed error and never panics. Modules stand in dependency order.

mod pem;
mod point;
mod protobuf;

pub mod algorithm;
pub mod identifier;
pub mod rsa;
pub mod public;
pub mod address;
pub mod private;
pub mod signature;
pub mod comet;
pub mod multisig;
pub mod transaction;

pub use pem::PemError;
