//! The bytes a consensus key signs.
//!
//! ```text
//! signed bytes            = length (varint) ‖ message
//! CanonicalVote           = 1 type, 2 height sfixed64, 3 round sfixed64, 4 block_id?, 5 timestamp, 6 chain_id
//! CanonicalProposal       = 1 type, 2 height sfixed64, 3 round sfixed64, 4 pol_round int64, 5 block_id?,
//!                           6 timestamp, 7 chain_id
//! CanonicalVoteExtension  = 1 extension, 2 height sfixed64, 3 round sfixed64, 4 chain_id
//! CanonicalBlockID        = 1 hash, 2 part_set_header { 1 total, 2 hash }
//! ```
//!
//! Numbers that are zero are left out; the timestamp and the header of the parts never are. A vote
//! for nil has no block id.

use crate::comet::BlockId;
use crate::comet::ChainId;
use crate::comet::Message;
use crate::comet::Proposal;
use crate::comet::Time;
use crate::comet::Vote;
use crate::protobuf::Value;
use crate::protobuf::fields;
use crate::protobuf::put_bytes;
use crate::protobuf::put_fixed64;
use crate::protobuf::put_varint;
use crate::protobuf::varint;

/// The longest bytes of a vote or proposal, whatever the chain's name: so much is kept of each.
pub const SIGN_BYTES: usize = 256;

/// The bytes of a vote or a proposal on `chain`; at most [`SIGN_BYTES`].
pub fn sign_bytes(message: &Message, chain: &ChainId) -> Vec<u8> {
    match message {
        Message::Vote(vote) => vote_bytes(vote, chain),
        Message::Proposal(proposal) => proposal_bytes(proposal, chain),
    }
}

/// The bytes of a vote's extension; as much longer than the extension as [`SIGN_BYTES`] at most.
pub fn extension_bytes(vote: &Vote, chain: &ChainId) -> Vec<u8> {
    let mut out = Vec::with_capacity(vote.extension.len() + SIGN_BYTES);
    if !vote.extension.is_empty() {
        put_bytes(&mut out, 1, &vote.extension);
    }
    put_fixed64(&mut out, 2, vote.height);
    put_fixed64(&mut out, 3, vote.round.into());
    put_bytes(&mut out, 4, chain.as_str().as_bytes());
    delimited(&out)
}

/// The time in the signed bytes of a vote or a proposal; `None` if they are none.
pub fn time_of(sign_bytes: &[u8]) -> Option<Time> {
    let length_bytes = if sign_bytes.first()? & 0x80 == 0 { 1 } else { 2 };
    let message = fields(sign_bytes.get(length_bytes..)?, 7)?;
    let is_proposal = message.first()?.value == Value::Varint(32);
    let place = if is_proposal { 6 } else { 5 };
    let Value::Bytes(time) = message.iter().find(|field| field.number == place)?.value else {
        return None;
    };
    let mut found = Time { seconds: 0, nanos: 0 };
    for field in fields(time, 2)? {
        match (field.number, field.value) {
            (1, Value::Varint(seconds)) => found.seconds = seconds.cast_signed(),
            (2, Value::Varint(nanos)) => found.nanos = u32::try_from(nanos).ok()?,
            _ => return None,
        }
    }
    Some(found)
}

fn vote_bytes(vote: &Vote, chain: &ChainId) -> Vec<u8> {
    let mut out = Vec::with_capacity(SIGN_BYTES);
    put_varint(&mut out, 1, vote.step().message_type());
    put_fixed64(&mut out, 2, vote.height);
    put_fixed64(&mut out, 3, vote.round.into());
    if let Some(block) = &vote.block {
        put_bytes(&mut out, 4, &block_id(block));
    }
    put_bytes(&mut out, 5, &timestamp(vote.time));
    put_bytes(&mut out, 6, chain.as_str().as_bytes());
    delimited(&out)
}

fn proposal_bytes(proposal: &Proposal, chain: &ChainId) -> Vec<u8> {
    let mut out = Vec::with_capacity(SIGN_BYTES);
    put_varint(&mut out, 1, crate::comet::Step::Proposal.message_type());
    put_fixed64(&mut out, 2, proposal.height);
    put_fixed64(&mut out, 3, proposal.round.into());
    put_varint(&mut out, 4, signed(proposal.pol_round.into()));
    put_bytes(&mut out, 5, &block_id(&proposal.block));
    put_bytes(&mut out, 6, &timestamp(proposal.time));
    put_bytes(&mut out, 7, chain.as_str().as_bytes());
    delimited(&out)
}

/// A block id, as signed and as sent.
pub(super) fn block_id(block: &BlockId) -> Vec<u8> {
    let mut parts = Vec::with_capacity(40);
    put_varint(&mut parts, 1, block.parts.into());
    put_bytes(&mut parts, 2, &block.parts_hash);
    let mut out = Vec::with_capacity(80);
    put_bytes(&mut out, 1, &block.hash);
    put_bytes(&mut out, 2, &parts);
    out
}

/// `google.protobuf.Timestamp`.
pub(super) fn timestamp(time: Time) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put_varint(&mut out, 1, signed(time.seconds));
    put_varint(&mut out, 2, time.nanos.into());
    out
}

/// A negative number as protobuf's `int64` and `int32` are written: in ten bytes.
pub(super) fn signed(value: i64) -> u64 {
    value.cast_unsigned()
}

fn delimited(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 3);
    varint(&mut out, message.len() as u64);
    out.extend_from_slice(message);
    out
}
