//! VirtEngine KMS, the library: guarded keys.
//!
//! A private key is used in one place only, reached by one way only, and nothing that was made
//! with it leaves before the audit record of it is durable:
//!
//! ```text
//! caller ─authenticate─▶ authorize ─▶ admit ─▶ observe ─▶ [ use the key ] ─▶ record ─▶ release
//!         access         access       lifecycle compromise  storage           audit (durable)
//! ```
//!
//! Each stage hands the next a value that only it can make: `Authenticated → Grant → Admitted →
//! Cleared`, and a key's use yields an `Unreleased`, which only the audit log opens, after its
//! record is on disk.
//!
//! The modules stand in dependency order, and a test holds them to it: each names only those above
//! it, and only [`manager`] composes stages.

pub mod time;
pub mod key;
pub mod durable;
pub mod store;
pub mod audit;
pub mod access;
pub mod lifecycle;
pub mod compromise;
pub mod consensus;
pub mod storage;
pub mod multisig;
pub mod manager;
