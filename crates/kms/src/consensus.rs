//! The guard against double signing: what a consensus key signed last, and what it therefore may
//! sign next.
//!
//! For each key and chain there is one *floor*: the height, round and step of what was signed last,
//! with the signed bytes and the signature. What is asked is decided against it (`rules`):
//!
//! | asked | answer |
//! |---|---|
//! | above the floor | signed, and the floor is raised |
//! | at the floor, the same bytes, or the same but for the time | the stored signature and time again |
//! | at the floor, anything else | refused |
//! | below the floor | refused |
//!
//! A signature leaves when two things are durable: the record of it, and the floor that forbids
//! every other. [`Unkept`] holds it until the floor is, as [`crate::audit::Unreleased`] does until
//! the record is. The two are written side by side; where a crash leaves the record alone, the next
//! start raises the floor from it, so nothing that may have left is forgotten.
//!
//! A floor is bound to its key, its chain, this home's store key, this machine and the very file it
//! was written to. One that is missing, damaged, copied or put back signs nothing until a person has
//! confirmed a height.

mod floor;
mod rules;
mod slots;
mod turn;
mod floors;

pub use floor::Binding;
pub use floor::Floor;
pub use floor::FloorName;
pub use floor::LastSigned;
pub use floor::Position;
pub use floors::Floors;
pub use rules::Limits;
pub use rules::Refusal;
pub use slots::SlotsFault;
pub use turn::Asked;
pub use turn::Keep;
pub use turn::Kept;
pub use turn::Turn;
pub use turn::Unkept;
pub use turn::Verdict;

#[cfg(test)]
mod tests;
