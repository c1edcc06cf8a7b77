//! What may be signed next: decided from the floor and the request alone.

use std::cmp::Ordering;

use kms_formats::comet::ChainId;

use crate::consensus::Asked;
use crate::consensus::Floor;
use crate::consensus::LastSigned;
use crate::consensus::Position;
use crate::durable::DiskError;
use crate::key::KeyId;

/// What a person set for a key's signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How far above the floor a height may be. A node that asks for height 2^62 would otherwise
    /// stop its validator for ever.
    pub max_height_jump: i64,
    /// How many requests are answered in a second: each is a record on the disk, and a node that
    /// was taken over could fill it.
    pub max_per_second: u32,
}

impl Default for Limits {
    /// 100,000 heights, more than a day of a chain with a block each second; 1,000 requests a second.
    fn default() -> Self {
        Self { max_height_jump: 100_000, max_per_second: 1000 }
    }
}

/// Why a consensus key does not sign. The connection stays; the node does not ask again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something later was signed already.
    #[error("{asked} is before {signed}, which was signed already")]
    Regression {
        /// What was asked.
        asked: Position,
        /// What was signed last.
        signed: Position,
    },
    /// Something else was signed there: this would be the double signature.
    #[error("conflicting data: something else was signed at {at}")]
    Conflict {
        /// Where.
        at: Position,
    },
    /// Something was signed there, and what it was is not known.
    #[error("{at} is reserved: what was signed there is not known here")]
    NotKept {
        /// Where.
        at: Position,
    },
    /// Too far above what was signed last to be believed.
    #[error("height {asked} is more than {limit} above height {signed}, which was signed last")]
    Jump {
        /// The height asked for.
        asked: i64,
        /// The height signed last.
        signed: i64,
        /// How far it may be above.
        limit: i64,
    },
    /// More requests in a second than any chain makes.
    #[error("more than {limit} requests in a second")]
    TooFast {
        /// How many are answered.
        limit: u32,
    },
    /// The request is none.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// A person set a height from which on nothing is signed.
    #[error("height {asked} is at or above the stop height {stop_at}")]
    Stopped {
        /// The height asked for.
        asked: i64,
        /// The first height that is not signed.
        stop_at: i64,
    },
    /// Another signer has the key now.
    #[error("the key was handed over to another signer")]
    HandedOver,
    /// The request is for another chain than the connection.
    #[error("chain {asked} is not {configured}, for which this connection is")]
    OtherChain {
        /// As asked.
        asked: ChainId,
        /// As configured.
        configured: ChainId,
    },
    /// There is no floor: what was signed before is not known.
    #[error("there is no state of key {key} on chain {chain}")]
    NoState {
        /// The key.
        key: KeyId,
        /// The chain.
        chain: ChainId,
    },
    /// There is a floor already.
    #[error("there is a state of key {key} on chain {chain} already, at {position}")]
    StateExists {
        /// The key.
        key: KeyId,
        /// The chain.
        chain: ChainId,
        /// Where it is.
        position: Position,
    },
    /// The floor is not where it was written: somebody put a copy there.
    #[error("the state of key {key} on chain {chain} {why}; it was at {position}")]
    Elsewhere {
        /// The key.
        key: KeyId,
        /// The chain.
        chain: ChainId,
        /// What is different.
        why: &'static str,
        /// Where it is.
        position: Position,
    },
    /// The floor cannot be read.
    #[error("the state of key {key} on chain {chain} is damaged")]
    Damaged {
        /// The key.
        key: KeyId,
        /// The chain.
        chain: ChainId,
    },
    /// The floor is of another public key.
    #[error("the state of key {key} on chain {chain} is of another public key")]
    OtherKey {
        /// The key.
        key: KeyId,
        /// The chain.
        chain: ChainId,
    },
    /// A height below what was signed was to be set.
    #[error("height {asked} is below {signed}, which was signed already")]
    Lowering {
        /// As asked.
        asked: i64,
        /// What was signed last.
        signed: Position,
    },
    /// The floor could not be written; nothing is signed until the home is opened again.
    #[error("the state could not be written: {0}")]
    NotWritten(String),
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        Self::NotWritten(error.to_string())
    }
}

/// What comes of a request that is not refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision<'f> {
    /// It is signed.
    Sign,
    /// It was signed before, perhaps at another time.
    Again(&'f LastSigned),
}

/// Decides a request: the rules of CometBFT's own file-based signer, and the limits.
pub(crate) fn decide<'f>(
    floor: &'f Floor,
    asked: &Asked,
    limits: &Limits,
) -> Result<Decision<'f>, Refusal> {
    let position = asked.position();
    if floor.handed_over {
        return Err(Refusal::HandedOver);
    }
    if let Some(stop_at) = floor.stop_at
        && position.height >= stop_at
    {
        return Err(Refusal::Stopped { asked: position.height, stop_at });
    }
    match position.cmp(&floor.position) {
        Ordering::Less => Err(Refusal::Regression { asked: position, signed: floor.position }),
        Ordering::Equal => same(floor, asked),
        Ordering::Greater => {
            let (asked, signed) = (position.height, floor.position.height);
            let limit = limits.max_height_jump;
            if asked.saturating_sub(signed) > limit {
                return Err(Refusal::Jump { asked, signed, limit });
            }
            Ok(Decision::Sign)
        }
    }
}

/// SPEC: at one height, round and step a key signs one thing; only the time may be asked anew, and
/// then the first one counts.
fn same<'f>(floor: &'f Floor, asked: &Asked) -> Result<Decision<'f>, Refusal> {
    let at = floor.position;
    let last = floor.last.as_ref().ok_or(Refusal::NotKept { at })?;
    let first_time = last.time().ok_or(Refusal::NotKept { at })?;
    if asked.sign_bytes_at(first_time) == last.sign_bytes {
        return Ok(Decision::Again(last));
    }
    Err(Refusal::Conflict { at })
}
