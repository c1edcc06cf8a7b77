//! Votes and proposals: the way of a consensus key, and what persons do with its floor.
//!
//! ```text
//! node ─▶ admit ─▶ observe ─▶ guard (floor) ─▶ [ sign, verify ] ─▶ record ┬▶ release ─▶ node
//!                                                                  floor  ┘  both durable
//! ```

mod told;
mod states;

use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;

use crate::access;
use crate::audit::Cause;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::compromise;
use crate::consensus::Asked;
use crate::consensus::FloorName;
use crate::consensus::Refusal;
use crate::consensus::Turn;
use crate::consensus::Unkept;
use crate::consensus::Verdict;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::ManagedKey;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::lifecycle;
use crate::lifecycle::uses::Consensus;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::consensus::told::describe;
use crate::manager::consensus::told::tell;
use crate::manager::keys::fingerprint;
use crate::manager::signing::sha256_hex;
use crate::manager::way::text;
use crate::storage;
use crate::time::Timestamp;

pub use states::ConsensusManager;
pub use states::FloorStart;
pub use states::FloorState;

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
}

fn check_purpose(record: &ManagedKey) -> Result<(), lifecycle::Refusal> {
    match record.purpose {
        Purpose::Consensus => Ok(()),
        purpose @ (Purpose::Account | Purpose::Provider | Purpose::General) => {
            Err(lifecycle::Refusal::NotForConsensus { key: record.label.clone(), purpose })
        }
    }
}
