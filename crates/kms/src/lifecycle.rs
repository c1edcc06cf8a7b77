//! KeyLifecycleManager: what a key may do follows from its state at this moment.
//!
//! It decides which state may follow which ([`allowed`]), whether a move is made now ([`activate`],
//! [`begin_rotation`] and the others, each giving the key's new value and its history, or a
//! [`Refusal`]), what may be done in a state ([`permits()`]), whether a private key may be used now
//! ([`Admitted`]), what time alone has caused ([`due()`]) and what is to be reported
//! ([`LifecycleReport`]).
//!
//! It never touches a disk, takes a lock or asks a clock: values in, values out. Invariants:
//!
//! - A state moves along the table in `table.rs` only, and each step says who, when and why.
//! - Nothing leaves Destroyed, and nothing that stopped for good ever signs again.
//! - Of a lineage of consensus keys at most one may sign.
//! - No decision made by time gives a key back into use. A key past its expiration date is expired
//!   whether or not that was recorded; once recorded ([`due()`]), a clock that goes back changes
//!   nothing. So whoever opens a home, and whoever sees a step due, records it before all else.
//!
//! What time alone takes away is only as good as the clock: the caller refuses a `now` that has
//! leapt (no step here can tell ten years of sleep from a broken clock).

pub mod uses;
mod policy;
mod policies;
mod table;
mod permits;
mod refusal;
mod state;
mod moved;
mod decide;
mod rotation;
mod admit;
mod due;
mod report;

#[cfg(test)]
pub(crate) mod tests;

pub use admit::Admitted;
pub(crate) use admit::admit_adopt;
pub(crate) use admit::admit_adopted;
pub(crate) use admit::admit_consensus;
pub(crate) use admit::admit_destroy;
pub(crate) use admit::admit_generate;
pub(crate) use admit::admit_import;
pub(crate) use admit::admit_joint_sign;
pub(crate) use admit::admit_left_behind;
pub(crate) use admit::admit_migrate;
pub(crate) use admit::admit_operation;
pub(crate) use admit::admit_remove_object;
pub(crate) use admit::admit_sign;
pub(crate) use admit::signing_permission;
pub use decide::activate;
pub use decide::activate_after;
pub use decide::archive;
pub use decide::cancel_destroy;
pub use decide::deactivate;
pub use decide::destroy;
pub use decide::destroy_now;
pub use decide::expire;
pub use decide::mark_compromised;
pub use decide::reactivate;
pub use decide::reject;
pub use decide::schedule_destroy;
pub use decide::submit;
pub use decide::suspend;
pub use due::Due;
pub use due::due;
pub use due::due_at_open;
pub use moved::Context;
pub use moved::Moved;
pub use moved::SYSTEM;
pub use permits::KeyOperation;
pub use permits::permits;
pub use policies::Policies;
pub use policies::PolicyRefusal;
pub use policy::InvalidPolicy;
pub use policy::KeyLifecyclePolicy;
pub use refusal::Refusal;
pub use report::LifecycleReport;
pub use report::keys_nearing_expiration;
pub use report::keys_needing_rotation;
pub use report::nears_expiration;
pub use report::needs_rotation;
pub use rotation::Rotation;
pub use rotation::Successor;
pub use rotation::abort_rotation;
pub use rotation::begin_rotation;
pub use rotation::complete_consensus_rotation;
pub use rotation::complete_rotation;
pub use rotation::may_rotate;
pub(crate) use rotation::migrate;
pub use state::grace_ends;
pub use state::state_at;
pub use table::Transition;
pub use table::allowed;
pub use table::requires_mfa;
pub use table::transitions_from;
