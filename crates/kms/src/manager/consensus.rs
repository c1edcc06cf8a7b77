//! Votes and proposals: the way of a consensus key, and what persons do with its floor.
//!
//! ```text
//! node ─▶ admit ─▶ observe ─▶ guard (floor) ─▶ [ sign, verify ] ─▶ record ┬▶ release ─▶ node
//!                                                                  floor  ┘  both durable
//! ```

use std::collections::BTreeMap;

use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;

use crate::access;
use crate::access::Permission;
use crate::audit::AuditEvent;
use crate::audit::Cause;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::Query;
use crate::compromise;
use crate::consensus::Asked;
use crate::consensus::Floor;
use crate::consensus::FloorName;
use crate::consensus::LastSigned;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::consensus::Turn;
use crate::consensus::Unkept;
use crate::consensus::Verdict;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::ManagedKey;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Reason;
use crate::lifecycle;
use crate::lifecycle::uses::Consensus;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::Notice;
use crate::manager::Refused;
use crate::manager::keys::fingerprint;
use crate::manager::signing::sha256_hex;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::storage;
use crate::time::Timestamp;

/// A validator's node: what its connection may use, by the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The connection's name in records.
    pub name: String,
    /// The one key it may use.
    pub key: KeyId,
    /// The one chain it may use it on.
    pub chain: ChainId,
}

/// A vote or a proposal that may leave: its record and its floor are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The time that was signed: that of the first request for the same.
    pub time: Time,
    /// The signature over it, 64 bytes.
    pub signature: Vec<u8>,
    /// The signature over its extension, 64 bytes.
    pub extension_signature: Option<Vec<u8>>,
}

/// What persons do with the floors of consensus keys, for one caller.
#[derive(Debug)]
pub struct ConsensusManager<'a> {
    pub(crate) kms: &'a KeyManager,
    pub(crate) caller: &'a Caller,
}

/// What a floor is to be raised to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorStart {
    /// Nothing here or before is signed.
    pub position: Position,
    /// What was signed there, if that is known.
    pub last: Option<LastSigned>,
}

/// A floor, and whether it signs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorState {
    /// The floor.
    pub floor: Floor,
    /// Why it signs nothing, if it does not.
    pub usable: Result<(), Refusal>,
}

impl KeyManager {
    /// Signs what a node asks for; returns once the record and the floor are durable. What was
    /// signed before comes again, with its time.
    ///
    /// # Errors
    /// When the key's state, the guard or the configuration forbid it, the key cannot be used, or
    /// the record or the floor cannot be written; nothing has left then, and the refusal is on
    /// record.
    pub fn sign_consensus(
        &self,
        node: &Node,
        (message, chain): (Message, &ChainId),
        skips_extension: bool,
    ) -> Result<Vouched, Error> {
        let (mut draft, now) = self.node_draft(node, EventType::KeySigned);
        describe(&mut draft, &message, chain);
        let told = draft.clone();
        let vouched = now.and_then(|now| {
            if *chain != node.chain {
                let (asked, configured) = (chain.clone(), node.chain.clone());
                return Err(Refusal::OtherChain { asked, configured }.into());
            }
            let asked = Asked::new(message, chain.clone(), skips_extension);
            self.vouch(node, &asked, (draft, now))
        });
        vouched.map_err(|error| self.record_node(told, error))
    }

    /// The public half of a node's key, for the node; recorded.
    ///
    /// # Errors
    /// When there is no such key, it is for something else, or the record cannot be written.
    pub fn consensus_public_key(&self, node: &Node) -> Result<PublicKey, Error> {
        let (draft, now) = self.node_draft(node, EventType::KeyRead);
        let found = now.and_then(|_| self.consensus_key(node));
        match found {
            Ok(key) => {
                self.audit.record(draft)?.wait()?;
                Ok(key)
            }
            Err(error) => Err(self.record_node(draft, error)),
        }
    }

    /// The key that a label names now, or an id: what a configuration means by it. Tells nothing else
    /// of the key, and asks nobody's leave.
    pub fn key_id(&self, key: &KeyRef) -> Option<KeyId> {
        self.keys.find(key).map(|slot| slot.read().id)
    }

    /// Records a request of a node that is none, and hands back what it is told.
    pub fn refuse_consensus(&self, node: &Node, why: &'static str) -> Error {
        let (draft, _) = self.node_draft(node, EventType::KeySigned);
        self.record_node(draft, Refusal::Malformed(why).into())
    }

    fn consensus_key(&self, node: &Node) -> Result<PublicKey, Error> {
        let key = KeyRef::Id(node.key);
        let slot = self.keys.find(&key).ok_or(Refused::KeyNotFound { key, like: Vec::new() })?;
        let record = slot.read();
        check_purpose(&record)?;
        Ok(record.public_key.clone())
    }

    fn vouch(
        &self,
        node: &Node,
        asked: &Asked,
        (draft, now): (Draft, Timestamp),
    ) -> Result<Vouched, Error> {
        self.store.check_not_given_up()?;
        let key = KeyRef::Id(node.key);
        let slot = self.keys.find(&key).ok_or(Refused::KeyNotFound { key, like: Vec::new() })?;
        let record = slot.read(); // no move of this key until its record is queued
        let grant = access::authorize_node(record.id);
        let admitted = lifecycle::admit_consensus(grant, Consensus { key: &record }, now)?;
        let cleared = compromise::observe(admitted);
        let storage = self.storage(&record.storage)?;
        let name = FloorName { key: record.id, chain: node.chain.clone() };
        let own = fingerprint(&record.public_key).to_string();
        self.floors.with_turn(&name, &own, |mut turn| {
            let verdict = turn.judge(cleared, (asked, now))?;
            self.carry_out_verdict(turn, (verdict, asked), storage, draft)
        })
    }

    /// Signs what the guard lets through. A crash between the record and the floor leaves the
    /// record, from which the next start raises the floor.
    fn carry_out_verdict(
        &self,
        turn: Turn<'_>,
        (verdict, asked): (Verdict<'_>, &Asked),
        storage: &dyn storage::KeyStorage,
        mut draft: Draft,
    ) -> Result<Vouched, Error> {
        let time = asked.message().time();
        match (verdict.sign, verdict.again) {
            // 1. Something new: signed, recorded, kept; it leaves when both are durable.
            (Some(vote), _) => {
                let mut keep = None;
                let both = (vote, verdict.extension);
                let unreleased = storage::sign_vote(storage, both, |signature, extension| {
                    keep = Some(turn.keep(asked, &signature));
                    tell(&mut draft, asked, &signature.bytes);
                    let extension_signature = extension.map(|extension| extension.bytes);
                    let signature = signature.bytes;
                    (Unkept::new(Vouched { time, signature, extension_signature }), draft)
                })?;
                let pending = self.audit.release(unreleased)?;
                let keep = keep.expect("what was signed is to be kept");
                let kept = turn.raise(keep, pending.seq())?;
                Ok(pending.wait()?.open(kept))
            }
            // 2. What was signed before, with a new extension: that one is recorded.
            (None, Some(last)) => {
                draft.details.push(text("again", "true"));
                let time = last.time().unwrap_or(time);
                let kept = turn.leave();
                let Some(extension) = verdict.extension else {
                    // A log that takes nothing more says so here.
                    if self.audit.fault().is_some() || self.is_recorded_again(draft.time) {
                        self.audit.record(draft)?.wait()?;
                    }
                    let signature = last.signature;
                    return Ok(Vouched { time, signature, extension_signature: None });
                };
                let unreleased = storage::sign_vote(storage, (extension, None), |signed, _| {
                    draft.details.push(text("extension_sha256", sha256_hex(&signed.bytes)));
                    let extension_signature = Some(signed.bytes);
                    let signature = last.signature;
                    (Unkept::new(Vouched { time, signature, extension_signature }), draft)
                })?;
                Ok(self.audit.release(unreleased)?.wait()?.open(kept))
            }
            (None, None) => Err(Refusal::NotKept { at: asked.position() }.into()),
        }
    }

    fn node_draft(&self, node: &Node, event: EventType) -> (Draft, Result<Timestamp, Error>) {
        let (mut draft, now) = self.new_draft(event);
        draft.cause = Cause::Node;
        draft.for_consensus = true;
        draft.key = Some(node.key);
        draft.details.push(text("node", &*node.name));
        (draft, now)
    }

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
    fn check_begins_above(
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

type Told = BTreeMap<Position, (Option<LastSigned>, u64)>;

impl ConsensusManager<'_> {
    /// Every floor of this home. Needs `key:read`.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn states(&self) -> Result<Vec<FloorState>, Error> {
        self.kms.operation(self.caller, EventType::KeyRead, |way| {
            _ = way.authorize(Permission::KeyRead, &access::Target::None)?;
            way.note("read", "consensus states");
            let state = |floor: Floor| {
                let usable = self.kms.floors.check(&floor.name()).map(drop);
                FloorState { floor, usable }
            };
            Ok(self.kms.floors.all().into_iter().map(state).collect())
        })
    }

    /// Begins the floor of a key on a chain, once: nothing at `start` or before it is ever signed
    /// here. Durable on return.
    ///
    /// Needs `key:suspend` and `key:create` on the key, and fresh MFA: what another signer signed
    /// before is believed on the caller's word.
    ///
    /// # Errors
    /// [`Refusal::StateExists`]; when the key is not for consensus or the caller may not.
    pub fn begin_state(
        &self,
        key: &KeyRef,
        chain: &ChainId,
        (start, reason): (FloorStart, &Reason),
    ) -> Result<Floor, Error> {
        self.with_state(key, chain, reason, |way, record| {
            let (position, name) = (start.position, floor_name(record, chain));
            way.note("position", position.to_string());
            let begun = Floor {
                sequence: 0,
                key: record.id,
                fingerprint: fingerprint(&record.public_key).to_string(),
                chain: chain.clone(),
                position,
                last: start.last,
                stop_at: None,
                handed_over: false,
                record: self.kms.audit.head().size,
                binding: crate::consensus::Binding::none(),
            };
            self.kms.floors.check_none(&name)?;
            self.kms.check_begins_above((record, chain), position)?;
            way.intend()?; // the floor is no row of the store: its record follows it
            self.kms.floors.begin(&name, begun)?;
            Ok(self.kms.floors.check(&name)?)
        })
    }

    /// Confirms a floor that was copied, put back or handed over, at `height`: nothing at that
    /// height or before it is signed here, and the floor is bound to this place. Durable on return.
    ///
    /// Needs what [`Self::begin_state`] needs.
    ///
    /// # Errors
    /// [`Refusal::Lowering`] below what was signed already; as [`Self::begin_state`].
    pub fn confirm_state(
        &self,
        key: &KeyRef,
        chain: &ChainId,
        (height, reason): (i64, &Reason),
    ) -> Result<Floor, Error> {
        self.with_state(key, chain, reason, |way, record| {
            way.note("confirmed_height", height.to_string());
            way.intend()?;
            let position = Position::end_of(height);
            Ok(self.kms.floors.change(&floor_name(record, chain), |floor| {
                (floor.position, floor.last, floor.handed_over) = (position, None, false);
            })?)
        })
    }

    /// Sets the height from which on a key signs nothing on a chain, for a planned hand-over, or
    /// takes it away. Durable on return. Needs what [`Self::begin_state`] needs.
    ///
    /// # Errors
    /// As [`Self::begin_state`].
    pub fn stop_at(
        &self,
        key: &KeyRef,
        chain: &ChainId,
        (height, reason): (Option<i64>, &Reason),
    ) -> Result<Floor, Error> {
        self.with_state(key, chain, reason, |way, record| {
            way.note("stop_at", height.map_or("none".to_owned(), |height| height.to_string()));
            let name = floor_name(record, chain);
            self.kms.floors.check(&name)?;
            way.intend()?;
            Ok(self.kms.floors.change(&name, |floor| floor.stop_at = height)?)
        })
    }

    /// Hands a key over to another signer: from now on it signs nothing on this chain here, and what
    /// is returned is the floor for the other to begin at. Durable on return, so that the two never
    /// sign together. Needs what [`Self::begin_state`] needs.
    ///
    /// # Errors
    /// As [`Self::begin_state`].
    pub fn hand_over(
        &self,
        key: &KeyRef,
        chain: &ChainId,
        reason: &Reason,
    ) -> Result<Floor, Error> {
        self.with_state(key, chain, reason, |way, record| {
            let name = floor_name(record, chain);
            self.kms.floors.check(&name)?;
            way.intend()?;
            let floor = self.kms.floors.change(&name, |floor| floor.handed_over = true)?;
            way.note("handed_over_at", floor.position.to_string());
            Ok(floor)
        })
    }

    fn with_state(
        &self,
        key: &KeyRef,
        chain: &ChainId,
        reason: &Reason,
        work: impl FnOnce(&mut Way<'_>, &ManagedKey) -> Result<Floor, Error>,
    ) -> Result<Floor, Error> {
        self.kms.operation(self.caller, EventType::ConsensusState, |way| {
            way.note("reason", reason.as_str());
            way.note("chain", chain.as_str());
            let slot = way.find(key)?;
            let record = slot.read().clone();
            _ = way.authorize_key(Permission::KeySuspend, &record)?;
            let grant = way.authorize_key(Permission::KeyCreate, &record)?;
            _ = way.confirm(grant)?;
            check_purpose(&record)?;
            work(way, &record)
        })
    }
}

fn floor_name(record: &ManagedKey, chain: &ChainId) -> FloorName {
    FloorName { key: record.id, chain: chain.clone() }
}

fn check_purpose(record: &ManagedKey) -> Result<(), lifecycle::Refusal> {
    match record.purpose {
        Purpose::Consensus => Ok(()),
        purpose @ (Purpose::Account | Purpose::Provider | Purpose::General) => {
            Err(lifecycle::Refusal::NotForConsensus { key: record.label.clone(), purpose })
        }
    }
}

/// What was asked, for the record.
fn describe(draft: &mut Draft, message: &Message, chain: &ChainId) {
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
fn tell(draft: &mut Draft, asked: &Asked, signature: &[u8]) {
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
