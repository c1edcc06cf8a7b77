//! What was signed last.

use std::fmt;

use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;
use kms_formats::comet::canonical;
use serde::Deserialize;
use serde::Serialize;

use crate::durable::FileIdentity;
use crate::key::KeyId;

/// A height, a round and a step: later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The height; 0 before the first.
    pub height: i64,
    /// The round.
    pub round: i32,
    /// The step: 1 proposal, 2 prevote, 3 precommit; 0 before the first of a round.
    pub step: u8,
}

impl Position {
    /// Where a message stands.
    pub fn of(message: &Message) -> Self {
        let step = message.step().number();
        Self { height: message.height(), round: message.round(), step }
    }

    /// The last of a height: nothing more is signed there.
    pub fn end_of(height: i64) -> Self {
        Self { height, round: i32::MAX, step: 3 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::end_of(self.height) {
            return write!(f, "the end of height {}", self.height);
        }
        write!(f, "height {}, round {}, step {}", self.height, self.round, self.step)
    }
}

/// The bytes that were signed last, and their signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastSigned {
    /// The signed bytes, with their length before them; at most [`canonical::SIGN_BYTES`].
    #[serde(with = "hex::serde")]
    pub sign_bytes: Vec<u8>,
    /// The signature, 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

impl LastSigned {
    /// The time that was signed.
    pub fn time(&self) -> Option<Time> {
        canonical::time_of(&self.sign_bytes)
    }
}

/// Where a floor may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// SHA-256 of the machine's id, in hex digits; empty where the machine has none.
    pub machine: String,
    /// The file it was written to.
    pub file: FileIdentity,
}

impl Binding {
    /// That of a floor that is not written yet.
    pub(crate) fn none() -> Self {
        Self { machine: String::new(), file: FileIdentity { inode: 0, born: 0 } }
    }
}

/// What one key signed last on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// How often it was written; the newest of two counts.
    pub sequence: u64,
    /// The key.
    pub key: KeyId,
    /// SHA-256 of the key's SubjectPublicKeyInfo, in hex digits.
    pub fingerprint: String,
    /// The chain.
    pub chain: ChainId,
    /// Where the last message stood.
    pub position: Position,
    /// The last message; absent where only its place is known.
    pub last: Option<LastSigned>,
    /// From this height on nothing is signed: for a planned hand-over.
    pub stop_at: Option<i64>,
    /// The key was handed over to another signer.
    pub handed_over: bool,
    /// The number of the audit record that tells of the last message.
    pub record: u64,
    /// Where it may be used.
    pub binding: Binding,
}

impl Floor {
    /// The key and the chain.
    pub fn name(&self) -> FloorName {
        FloorName { key: self.key, chain: self.chain.clone() }
    }
}

/// A key on a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FloorName {
    /// The key.
    pub key: KeyId,
    /// The chain.
    pub chain: ChainId,
}

impl fmt::Display for FloorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} on chain {}", self.key, self.chain)
    }
}
