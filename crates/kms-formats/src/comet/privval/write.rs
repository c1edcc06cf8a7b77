//! From a response to bytes.

use crate::algorithm::Algorithm;
use crate::comet::Proposal;
use crate::comet::Vote;
use crate::comet::canonical::block_id;
use crate::comet::canonical::signed;
use crate::comet::canonical::timestamp;
use crate::comet::privval::DESCRIPTION_BYTES;
use crate::comet::privval::Dialect;
use crate::comet::privval::Kind;
use crate::comet::privval::Response;
use crate::comet::privval::Signed;
use crate::protobuf::put_bytes;
use crate::protobuf::put_varint;
use crate::public::PublicKey;

/// Longer extensions are not sent back, as a node takes 10 KiB at most; it reads only the time and
/// the signatures of what it gets.
const EXTENSION_BYTES: usize = 4096;

/// The code of every refusal. CometBFT itself gives none a meaning.
const CODE: u64 = 1;

/// Writes a response: one message without the length before it.
pub fn encode(response: &Response, dialect: Dialect) -> Vec<u8> {
    let mut inner = Vec::with_capacity(512);
    let number = match response {
        Response::PublicKey(key) => {
            put_public_key(&mut inner, key, dialect);
            2
        }
        Response::Vote(signed) => {
            put_bytes(&mut inner, 1, &vote(signed));
            4
        }
        Response::Proposal(signed) => {
            put_bytes(&mut inner, 1, &proposal(signed));
            6
        }
        Response::Ping => 8,
        Response::Refused { kind, why } => {
            put_bytes(&mut inner, 2, &error(why));
            match kind {
                Kind::PublicKey => 2,
                Kind::Vote => 4,
                Kind::Proposal => 6,
                Kind::Bytes => 10,
            }
        }
    };
    let mut out = Vec::with_capacity(inner.len() + 4);
    put_bytes(&mut out, number, &inner);
    out
}

fn put_public_key(out: &mut Vec<u8>, key: &PublicKey, dialect: Dialect) {
    match dialect {
        Dialect::V0_34 | Dialect::V0_38 => {
            let number = if key.algorithm() == Algorithm::Secp256k1 { 2 } else { 1 };
            let mut one_of = Vec::with_capacity(40);
            put_bytes(&mut one_of, number, key.as_bytes());
            put_bytes(out, 1, &one_of);
        }
        Dialect::V1_0 => {
            put_bytes(out, 3, key.as_bytes());
            put_bytes(out, 4, key.algorithm().name().as_bytes());
        }
    }
}

fn vote(signed_vote: &Signed<Vote>) -> Vec<u8> {
    let Signed { message: vote, signature, extension_signature } = signed_vote;
    let mut out = Vec::with_capacity(384 + vote.extension.len().min(EXTENSION_BYTES));
    put_varint(&mut out, 1, if vote.is_precommit { 2 } else { 1 });
    put_varint(&mut out, 2, signed(vote.height));
    put_varint(&mut out, 3, signed(vote.round.into()));
    // Nil is an empty hash and an empty header of the parts, which is never left out.
    put_bytes(&mut out, 4, &vote.block.as_ref().map_or_else(|| vec![0x12, 0], block_id));
    put_bytes(&mut out, 5, &timestamp(vote.time));
    put_some(&mut out, 6, &vote.validator_address);
    put_varint(&mut out, 7, signed(vote.validator_index.into()));
    put_bytes(&mut out, 8, signature);
    if vote.extension.len() <= EXTENSION_BYTES {
        put_some(&mut out, 9, &vote.extension);
    }
    put_some(&mut out, 10, extension_signature.as_deref().unwrap_or_default());
    out
}

fn proposal(signed_proposal: &Signed<Proposal>) -> Vec<u8> {
    let Signed { message: proposal, signature, .. } = signed_proposal;
    let mut out = Vec::with_capacity(256);
    put_varint(&mut out, 1, 32);
    put_varint(&mut out, 2, signed(proposal.height));
    put_varint(&mut out, 3, signed(proposal.round.into()));
    put_varint(&mut out, 4, signed(proposal.pol_round.into()));
    put_bytes(&mut out, 5, &block_id(&proposal.block));
    put_bytes(&mut out, 6, &timestamp(proposal.time));
    put_bytes(&mut out, 7, signature);
    out
}

/// Writes a field of bytes unless it has none.
fn put_some(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_bytes(out, number, bytes);
    }
}

fn error(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, 1, CODE);
    let end = why.floor_char_boundary(DESCRIPTION_BYTES);
    put_bytes(&mut out, 2, why.get(..end).unwrap_or_default().as_bytes());
    out
}
