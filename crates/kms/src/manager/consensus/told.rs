//! What the log knows of votes: each record tells what was signed, and floors are held against it.

use std::collections::BTreeMap;

use kms_formats::comet::ChainId;
use kms_formats::comet::Message;

use crate::audit::AuditEvent;
use crate::audit::Cause;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::Query;
use crate::consensus::Asked;
use crate::consensus::Floor;
use crate::consensus::LastSigned;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::key::KeyId;
use crate::key::ManagedKey;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::Notice;
use crate::manager::keys::fingerprint;
use crate::manager::way::text;

type Told = BTreeMap<Position, (Option<LastSigned>, u64)>;

impl KeyManager {
    /// Raises each floor to what the log tells of: a crash, or a floor that was put back, left it
    /// behind.
    pub(crate) fn raise_floors(&self) -> Result<(), Error> {
        for floor in self.floors.all() {
            let name = floor.name();
            let told = self.told_since(&floor)?;
            let behind = told.len();
            let Some((position, (last, record))) = told.into_iter().next_back() else { continue };
            let raised = self.floors.raise_to(&name, (position, last, record))?;
            if raised && behind > 1 {
                self.notice(Notice::FloorBehind { name, behind });
            }
        }
        Ok(())
    }

    /// What the log tells was signed after a floor was written, by position.
    fn told_since(&self, floor: &Floor) -> Result<Told, Error> {
        // The floor's own record too: where a crash lost it, another has its number.
        let after = floor.record.saturating_sub(1);
        let mut told = self.told((floor.key, &floor.chain), after)?;
        told.retain(|position, _| *position > floor.position);
        Ok(told)
    }

    /// What the log tells a key signed on a chain after a record, by position.
    fn told(&self, (key, chain): (KeyId, &ChainId), after: u64) -> Result<Told, Error> {
        let event = Some(EventType::KeySigned);
        let query = Query { after, key: Some(key), event, ..Query::default() };
        let mut told = Told::new();
        self.audit.files().visit(&query, |event, _| {
            if let Some((position, last)) = read_back(&event, chain) {
                told.insert(position, (Some(last), event.seq));
            }
        })?;
        Ok(told)
    }

    /// Refuses to begin a floor below what this private key is known to have signed on the chain: by
    /// the log, and by the floors of its other records, such as the one it had before it was moved
    /// into a token.
    pub(super) fn check_begins_above(
        &self,
        (key, chain): (&ManagedKey, &ChainId),
        begun: Position,
    ) -> Result<(), Error> {
        let fingerprint = fingerprint(&key.public_key).to_string();
        let floors = self.floors.all().into_iter();
        let mut signed = Vec::new();
        for floor in floors.filter(|f| f.fingerprint == fingerprint && f.chain == *chain) {
            if floor.handed_over {
                return Err(Refusal::HandedOver.into());
            }
            signed.push(floor.position);
        }
        for id in self.keys.all_public(&key.public_key) {
            signed.extend(self.told((id, chain), 0)?.into_keys().next_back());
        }
        match signed.into_iter().max() {
            Some(signed) if begun < signed => {
                Err(Refusal::Lowering { asked: begun.height, signed }.into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What was asked, for the record.
pub(super) fn describe(draft: &mut Draft, message: &Message, chain: &ChainId) {
    let block = message.block().map_or("nil".to_owned(), |block| hex::encode(block.hash));
    draft.details.extend([
        text("chain", chain.as_str()),
        text("height", message.height().to_string()),
        text("round", message.round().to_string()),
        text("step", message.step().name()),
        text("block", block),
    ]);
}

/// What was signed, for the record, so that a floor can be raised from it: whoever reads it can do
/// no more with it than the node that got it.
pub(super) fn tell(draft: &mut Draft, asked: &Asked, signature: &[u8]) {
    draft.details.push(text("sign_bytes", hex::encode(asked.sign_bytes())));
    draft.details.push(text("signature", hex::encode(signature)));
}

/// What a record tells was signed on `chain`.
fn read_back(event: &AuditEvent, chain: &ChainId) -> Option<(Position, LastSigned)> {
    let is_of_node = event.success && event.cause == Cause::Node;
    if !is_of_node || event.detail_text("chain") != Some(chain.as_str()) {
        return None;
    }
    let number = |name| event.detail_text(name)?.parse::<i64>().ok();
    let step = match event.detail_text("step")? {
        "proposal" => 1,
        "prevote" => 2,
        "precommit" => 3,
        _ => return None,
    };
    let round = i32::try_from(number("round")?).ok()?;
    let bytes = |name| hex::decode(event.detail_text(name)?).ok();
    let last = LastSigned { sign_bytes: bytes("sign_bytes")?, signature: bytes("signature")? };
    Some((Position { height: number("height")?, round, step }, last))
}
