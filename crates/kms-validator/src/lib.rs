//! The CometBFT remote signer: dials the nodes of a validator and answers what they ask.
//!
//! ```text
//! node (listens) ◀─dial─ connection ─▶ frame ─▶ request ─▶ KeyManager::sign_consensus ─▶ response
//!                        unix or tcp, secret           (admit, guard, sign, record, floor)
//! ```
//!
//! Decides when to dial and whom to believe; never what is signed: that is the library's guard. A
//! refusal is told to the node and the connection stays; a fault of ours and bytes that are no message
//! end it, so that the node asks again. A
//! connection that is gone is dialled again within half a second, for ever, because a node waits
//! three seconds for its signer at its start and then gives up.
//!
//! Modules stand in dependency order.

pub mod address;
pub mod identity;
mod deadline;
mod frame;
mod secret;
mod dial;
pub mod status;
mod serve;
pub mod signer;

pub use address::Address;
pub use identity::Identity;
pub use identity::NodeId;
pub use signer::Connection;
pub use signer::Event;
pub use signer::Signer;
pub use status::Status;
