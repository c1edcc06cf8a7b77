//! From bytes to a request.

use crate::comet::BlockId;
use crate::comet::ChainId;
use crate::comet::Message;
use crate::comet::Proposal;
use crate::comet::Time;
use crate::comet::Vote;
use crate::comet::privval::Dialect;
use crate::comet::privval::InvalidRequest;
use crate::comet::privval::Kind;
use crate::comet::privval::Request;
use crate::comet::privval::is_time;
use crate::protobuf::Value;
use crate::protobuf::fields;

/// More fields than any of these messages has.
const FIELDS: usize = 16;

type Why = &'static str;

/// Reads a request: one message without the length before it.
///
/// # Errors
/// [`InvalidRequest`]; a refused one leaves the connection usable.
pub fn decode(bytes: &[u8], dialect: Dialect) -> Result<Request, InvalidRequest> {
    let not_a_message = InvalidRequest::NotAMessage(dialect);
    let outer = fields(bytes, 1).and_then(|all| all.first().copied());
    let Some(outer) = outer else { return Err(not_a_message) };
    let Value::Bytes(inner) = outer.value else { return Err(not_a_message) };
    let refused = |kind| move |why| InvalidRequest::Refused { kind, why };
    match outer.number {
        1 => public_key(inner).map_err(refused(Kind::PublicKey)),
        3 => vote_request(inner, dialect).map_err(refused(Kind::Vote)),
        5 => proposal_request(inner).map_err(refused(Kind::Proposal)),
        7 if inner.is_empty() => Ok(Request::Ping),
        9 if dialect == Dialect::V1_0 => {
            let why = "raw bytes are not signed: they may be a vote";
            Err(InvalidRequest::Refused { kind: Kind::Bytes, why })
        }
        _ => Err(not_a_message),
    }
}

fn public_key(bytes: &[u8]) -> Result<Request, Why> {
    let mut message = Fields::read(bytes, 1)?;
    let chain = match message.bytes(1)? {
        None | Some([]) => None,
        Some(name) => Some(chain_id(name)?),
    };
    Ok(Request::PublicKey { chain })
}

fn vote_request(bytes: &[u8], dialect: Dialect) -> Result<Request, Why> {
    let last = if dialect == Dialect::V1_0 { 3 } else { 2 };
    let mut request = Fields::read(bytes, last)?;
    let vote = vote(request.bytes(1)?.ok_or("vote is missing")?, dialect)?;
    let chain = chain_id(request.bytes(2)?.ok_or("chain id is missing")?)?;
    let skips_extension = request.number(3)? != 0;
    Ok(Request::Sign { message: Message::Vote(vote), chain, skips_extension })
}

fn proposal_request(bytes: &[u8]) -> Result<Request, Why> {
    let mut request = Fields::read(bytes, 2)?;
    let proposal = proposal(request.bytes(1)?.ok_or("proposal is missing")?)?;
    let chain = chain_id(request.bytes(2)?.ok_or("chain id is missing")?)?;
    Ok(Request::Sign { message: Message::Proposal(proposal), chain, skips_extension: false })
}

fn vote(bytes: &[u8], dialect: Dialect) -> Result<Vote, Why> {
    let last = if dialect.has_extensions() { 10 } else { 8 };
    let mut fields = Fields::read(bytes, last)?;
    let is_precommit = match fields.number(1)? {
        1 => false,
        2 => true,
        _ => return Err("vote is neither a prevote nor a precommit"),
    };
    let vote = Vote {
        is_precommit,
        height: fields.height(2)?,
        round: fields.round(3)?,
        block: fields.bytes(4)?.map(block_id).transpose()?.flatten(),
        time: time(fields.bytes(5)?.ok_or("timestamp is missing")?)?,
        validator_address: fields.bytes(6)?.unwrap_or_default().to_vec(),
        validator_index: i32::try_from(fields.number(7)?).map_err(|_| "index is no int32")?,
        extension: fields.bytes(9)?.unwrap_or_default().to_vec(),
    };
    fields.none_of(&[8, 10], "vote is signed already")?;
    if vote.validator_address.len() > 20 {
        return Err("validator address is longer than 20 bytes");
    }
    if !vote.extension.is_empty() && !vote.extends() {
        return Err("extension on a vote that is no precommit for a block");
    }
    Ok(vote)
}

fn proposal(bytes: &[u8]) -> Result<Proposal, Why> {
    let mut fields = Fields::read(bytes, 7)?;
    if fields.number(1)? != 32 {
        return Err("proposal has another type");
    }
    let proposal = Proposal {
        height: fields.height(2)?,
        round: fields.round(3)?,
        pol_round: i32::try_from(fields.number(4)?).map_err(|_| "pol round is no int32")?,
        block: fields.bytes(5)?.map(block_id).transpose()?.flatten().ok_or("block is missing")?,
        time: time(fields.bytes(6)?.ok_or("timestamp is missing")?)?,
    };
    fields.none_of(&[7], "proposal is signed already")?;
    if !(-1..proposal.round.max(0)).contains(&proposal.pol_round) {
        return Err("pol round is not before the round");
    }
    Ok(proposal)
}

/// A block id: whole, or empty, which is nil.
fn block_id(bytes: &[u8]) -> Result<Option<BlockId>, Why> {
    const HALF: Why = "block id is neither empty nor whole";
    let mut fields = Fields::read(bytes, 2)?;
    let hash = fields.bytes(1)?.unwrap_or_default();
    let mut parts = Fields::read(fields.bytes(2)?.unwrap_or_default(), 2)?;
    let total = u32::try_from(parts.number(1)?).map_err(|_| HALF)?;
    let parts_hash = parts.bytes(2)?.unwrap_or_default();
    if hash.is_empty() && total == 0 && parts_hash.is_empty() {
        return Ok(None);
    }
    match (hash.try_into(), parts_hash.try_into()) {
        (Ok(hash), Ok(parts_hash)) if total > 0 => {
            Ok(Some(BlockId { hash, parts: total, parts_hash }))
        }
        _ => Err(HALF),
    }
}

fn time(bytes: &[u8]) -> Result<Time, Why> {
    let mut fields = Fields::read(bytes, 2)?;
    let (seconds, nanos) = (fields.number(1)?, fields.number(2)?);
    let nanos_fit = u32::try_from(nanos).ok().filter(|_| is_time(seconds, nanos));
    Ok(Time { seconds, nanos: nanos_fit.ok_or("timestamp is none")? })
}

fn chain_id(bytes: &[u8]) -> Result<ChainId, Why> {
    let text = std::str::from_utf8(bytes).map_err(|_| "chain id is no text")?;
    text.parse().map_err(|_| "chain id is none")
}

/// The fields of one message, each at most once and none beyond the last known.
struct Fields<'a>(Vec<Option<Value<'a>>>);

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8], last: usize) -> Result<Self, Why> {
        let mut known = vec![None; last];
        for field in fields(bytes, FIELDS).ok_or("message is malformed")? {
            let place = usize::try_from(field.number).ok().and_then(|n| n.checked_sub(1));
            let slot = place.and_then(|place| known.get_mut(place));
            match slot {
                Some(slot @ None) => *slot = Some(field.value),
                Some(Some(_)) => return Err("field stands there twice"),
                None => return Err("field is unknown"),
            }
        }
        Ok(Self(known))
    }

    fn take(&mut self, number: usize) -> Option<Value<'a>> {
        self.0.get_mut(number.checked_sub(1)?)?.take()
    }

    fn bytes(&mut self, number: usize) -> Result<Option<&'a [u8]>, Why> {
        match self.take(number) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_)) => {
                Err("field has another kind")
            }
        }
    }

    /// An `int64` or `int32`; 0 if absent.
    fn number(&mut self, number: usize) -> Result<i64, Why> {
        match self.take(number) {
            None => Ok(0),
            Some(Value::Varint(value)) => Ok(value.cast_signed()),
            Some(Value::Bytes(_) | Value::Fixed64(_) | Value::Fixed32(_)) => {
                Err("field has another kind")
            }
        }
    }

    fn height(&mut self, number: usize) -> Result<i64, Why> {
        Some(self.number(number)?).filter(|height| *height > 0).ok_or("height is not above zero")
    }

    fn round(&mut self, number: usize) -> Result<i32, Why> {
        let round = i32::try_from(self.number(number)?).ok().filter(|round| *round >= 0);
        round.ok_or("round is no int32 from zero")
    }

    /// Refuses with `why` if one of these holds something.
    fn none_of(&mut self, numbers: &[usize], why: Why) -> Result<(), Why> {
        for number in numbers {
            if self.bytes(*number)?.is_some_and(|bytes| !bytes.is_empty()) {
                return Err(why);
            }
        }
        Ok(())
    }
}
