//! CometBFT: what a validator signs, and how a node asks for it.
//!
//! The bytes that are signed are made here, from typed votes and proposals, never taken from
//! outside ([`canonical`]). The messages of the privval socket are in [`privval`].
//!
//! Sources: CometBFT `spec/core/data_structures.md` and `proto/tendermint/types/canonical.proto`,
//! `proto/tendermint/privval/types.proto` (v0.38), `proto/cometbft/privval/v1/types.proto` (v1.0).

pub mod canonical;
pub mod privval;
pub mod state;

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// The longest chain id CometBFT takes, in bytes (`MaxChainIDLen`).
pub const CHAIN_ID_BYTES: usize = 50;

/// The name of a chain: 1 to 50 bytes of printable ASCII without spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainId(String);

/// A text that can be no chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chain id has 1 to {CHAIN_ID_BYTES} printable ASCII characters and no spaces")]
pub struct InvalidChainId;

impl ChainId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChainId {
    type Err = InvalidChainId;

    fn from_str(text: &str) -> Result<Self, InvalidChainId> {
        let fits = (1..=CHAIN_ID_BYTES).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && plain).then(|| Self(text.to_owned())).ok_or(InvalidChainId)
    }
}

impl TryFrom<String> for ChainId {
    type Error = InvalidChainId;

    fn try_from(text: String) -> Result<Self, InvalidChainId> {
        text.parse()
    }
}

impl From<ChainId> for String {
    fn from(chain: ChainId) -> Self {
        chain.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a message is about, in the order of one round: the file-based signer's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A proposal; step 1.
    Proposal,
    /// A first vote; step 2.
    Prevote,
    /// A second vote; step 3.
    Precommit,
}

impl Step {
    /// The number that CometBFT's state file has for it.
    pub fn number(self) -> u8 {
        match self {
            Self::Proposal => 1,
            Self::Prevote => 2,
            Self::Precommit => 3,
        }
    }

    /// The step of a number in CometBFT's state file; none for 0, where nothing was signed.
    pub fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Proposal),
            2 => Some(Self::Prevote),
            3 => Some(Self::Precommit),
            _ => None,
        }
    }

    /// The number of the type in a signed message (`SignedMsgType`).
    fn message_type(self) -> u64 {
        match self {
            Self::Prevote => 1,
            Self::Precommit => 2,
            Self::Proposal => 32,
        }
    }

    /// The name in records and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The block a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The hash of the block, 32 bytes.
    pub hash: [u8; 32],
    /// How many parts it is sent in, 1 or more.
    pub parts: u32,
    /// The hash over the parts, 32 bytes.
    pub parts_hash: [u8; 32],
}

/// A moment as CometBFT writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// Seconds since 1970; Go's zero time is -62,135,596,800.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
}

impl Time {
    /// Go's zero time, 0001-01-01T00:00:00Z.
    pub const ZERO: Self = Self { seconds: -62_135_596_800, nanos: 0 };
}

/// A vote that is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Whether it is a precommit; else a prevote.
    pub is_precommit: bool,
    /// The height, 1 or more.
    pub height: i64,
    /// The round, 0 or more.
    pub round: i32,
    /// For which block; absent for nil.
    pub block: Option<BlockId>,
    /// When.
    pub time: Time,
    /// The validator's address; not signed, given back as it came.
    pub validator_address: Vec<u8>,
    /// The validator's place; not signed, given back as it came.
    pub validator_index: i32,
    /// The extension that is signed beside a precommit for a block.
    pub extension: Vec<u8>,
}

impl Vote {
    /// The step it belongs to.
    pub fn step(&self) -> Step {
        if self.is_precommit { Step::Precommit } else { Step::Prevote }
    }

    /// Whether its extension is signed too: every precommit for a block has a signature over its
    /// extension, also over an empty one; nothing else ever has.
    pub fn extends(&self) -> bool {
        self.is_precommit && self.block.is_some()
    }
}

/// A proposal that is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The height, 1 or more.
    pub height: i64,
    /// The round, 0 or more.
    pub round: i32,
    /// The round of the last polka for the block; -1 if there was none.
    pub pol_round: i32,
    /// The block.
    pub block: BlockId,
    /// When.
    pub time: Time,
}

/// What a node asks a consensus key to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A vote.
    Vote(Vote),
    /// A proposal.
    Proposal(Proposal),
}

impl Message {
    /// The height.
    pub fn height(&self) -> i64 {
        match self {
            Self::Vote(vote) => vote.height,
            Self::Proposal(proposal) => proposal.height,
        }
    }

    /// The round.
    pub fn round(&self) -> i32 {
        match self {
            Self::Vote(vote) => vote.round,
            Self::Proposal(proposal) => proposal.round,
        }
    }

    /// The step.
    pub fn step(&self) -> Step {
        match self {
            Self::Vote(vote) => vote.step(),
            Self::Proposal(_) => Step::Proposal,
        }
    }

    /// For which block; absent for nil.
    pub fn block(&self) -> Option<&BlockId> {
        match self {
            Self::Vote(vote) => vote.block.as_ref(),
            Self::Proposal(proposal) => Some(&proposal.block),
        }
    }

    /// When.
    pub fn time(&self) -> Time {
        match self {
            Self::Vote(vote) => vote.time,
            Self::Proposal(proposal) => proposal.time,
        }
    }

    /// The same at another time.
    #[must_use]
    pub fn at(mut self, time: Time) -> Self {
        match &mut self {
            Self::Vote(vote) => vote.time = time,
            Self::Proposal(proposal) => proposal.time = time,
        }
        self
    }
}
