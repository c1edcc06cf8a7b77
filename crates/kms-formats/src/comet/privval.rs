//! The messages between a node and its remote signer, after the frame's length.
//!
//! ```text
//! Message { 1 PubKeyRequest       { 1 chain_id }                2 PubKeyResponse       { 1 pub_key, 2 error }
//!           3 SignVoteRequest     { 1 vote, 2 chain_id }        4 SignedVoteResponse   { 1 vote, 2 error }
//!           5 SignProposalRequest { 1 proposal, 2 chain_id }    6 SignedProposalResponse { 1 proposal, 2 error }
//!           7 PingRequest         {}                            8 PingResponse         {} }
//! Vote     { 1 type, 2 height, 3 round, 4 block_id, 5 timestamp, 6 validator_address, 7 validator_index,
//!            8 signature, 9 extension, 10 extension_signature }
//! Proposal { 1 type, 2 height, 3 round, 4 pol_round, 5 block_id, 6 timestamp, 7 signature }
//! ```
//!
//! v1.0 adds `skip_extension_signing` (3) to SignVoteRequest, writes the public key as bytes (3) and
//! type (4), and has raw signing (9, 10), which is refused: bytes that somebody else made may be
//! a vote.
//!
//! The reader is strict: a field twice, of another kind or unknown is an error, and so is a block id
//! that is neither empty nor whole. What is signed is built anew from what was read.

mod read;
mod write;

use std::fmt;
use std::str::FromStr;

use crate::comet::ChainId;
use crate::comet::Message;
use crate::comet::Proposal;
use crate::comet::Time;
use crate::comet::Vote;
use crate::public::PublicKey;

pub use read::decode;
pub use write::encode;

/// The longest message that is read, in bytes: a vote with an extension of 1 MiB.
pub const MESSAGE_BYTES: usize = (1 << 20) + 4096;

/// Which of CometBFT's wire formats a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// v0.34 and v0.37: votes without extensions.
    V0_34,
    /// v0.38, v0.39 and v0.40: votes with extensions.
    V0_38,
    /// v1.0: another form of public keys, and the node says whether it wants extensions signed.
    V1_0,
}

impl Dialect {
    /// Whether votes have extensions.
    pub fn has_extensions(self) -> bool {
        self != Self::V0_34
    }

    /// The name in configuration: that of the oldest release that speaks it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_34 => "v0.34",
            Self::V0_38 => "v0.38",
            Self::V1_0 => "v1.0",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no release whose dialect is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dialect; there are v0.34, v0.37, v0.38, v0.39, v0.40 and v1.0")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text.trim().trim_start_matches('v') {
            "0.34" | "0.37" => Ok(Self::V0_34),
            "0.38" | "0.39" | "0.40" => Ok(Self::V0_38),
            "1" | "1.0" => Ok(Self::V1_0),
            _ => Err(UnknownDialect(text.chars().take(20).collect())),
        }
    }
}

/// What a node asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which key signs.
    PublicKey {
        /// For which chain; old nodes leave it out.
        chain: Option<ChainId>,
    },
    /// A vote or a proposal is to be signed.
    Sign {
        /// What.
        message: Message,
        /// For which chain.
        chain: ChainId,
        /// Whether the signature over the extension of a precommit for a block is left out.
        skips_extension: bool,
    },
    /// Whether anyone is there.
    Ping,
}

/// Which kind of request could not be answered as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the public key.
    PublicKey,
    /// For a vote.
    Vote,
    /// For a proposal.
    Proposal,
    /// For a signature over any bytes (v1.0).
    Bytes,
}

/// What a signer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The key.
    PublicKey(PublicKey),
    /// A signed vote.
    Vote(Signed<Vote>),
    /// A signed proposal.
    Proposal(Signed<Proposal>),
    /// Someone is there.
    Ping,
    /// No; final: a node does not ask again.
    Refused {
        /// What was asked.
        kind: Kind,
        /// Why; at most [`DESCRIPTION_BYTES`] are sent.
        why: String,
    },
}

/// A message and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<M> {
    /// The message as it was signed: its time may be that of an earlier request.
    pub message: M,
    /// The signature over it, 64 bytes.
    pub signature: Vec<u8>,
    /// The signature over the extension, of precommits for a block.
    pub extension_signature: Option<Vec<u8>>,
}

/// The longest reason that is sent, in bytes: a node takes 10 KiB in all.
pub const DESCRIPTION_BYTES: usize = 1024;

/// Why bytes are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// They are no message of this protocol; the connection is not to be trusted.
    #[error("not a privval message of {0}")]
    NotAMessage(Dialect),
    /// They are a request that is not one to answer; the node is told, and may ask another.
    #[error("{why}")]
    Refused {
        /// What was asked.
        kind: Kind,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Whether a moment is one that CometBFT can have written.
fn is_time(seconds: i64, nanos: i64) -> bool {
    // 0001-01-01 to 9999-12-31, as google.protobuf.Timestamp says.
    (Time::ZERO.seconds..=253_402_300_799).contains(&seconds) && (0..1_000_000_000).contains(&nanos)
}
