//! What persons do with the floors of consensus keys.

use kms_formats::comet::ChainId;

use crate::access;
use crate::access::Permission;
use crate::audit::EventType;
use crate::consensus::Floor;
use crate::consensus::FloorName;
use crate::consensus::LastSigned;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::key::KeyRef;
use crate::key::ManagedKey;
use crate::key::Reason;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::consensus::check_purpose;
use crate::manager::keys::fingerprint;
use crate::manager::way::Way;

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
