//! What persons do with the floors of consensus keys: begin, confirm, stop, hand over.

use kms::access::Permission;
use kms::consensus::Floor;
use kms::consensus::LastSigned;
use kms::consensus::Position;
use kms::key::KeyId;
use kms::key::KeyRef;
use kms::key::Reason;
use kms::manager::FloorStart;
use kms::manager::FloorState;
use kms_formats::comet::ChainId;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Failure;
use crate::Method;
use crate::Operation;
use crate::Unnamed;
use crate::schema::ChainIdText;
use crate::schema::KeyIdText;
use crate::schema::ReasonText;

/// What one key signed last on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ConsensusState)]
pub struct ConsensusStateView {
    /// The key.
    #[schema(value_type = KeyIdText)]
    pub key_id: KeyId,
    /// The chain.
    #[schema(value_type = ChainIdText)]
    pub chain_id: ChainId,
    /// The height that was signed last.
    pub height: i64,
    /// The round.
    pub round: i32,
    /// The step: 1 proposal, 2 prevote, 3 precommit.
    pub step: u8,
    /// The signed bytes, hex; absent where only their place is known.
    pub sign_bytes: Option<String>,
    /// The signature over them, hex.
    pub signature: Option<String>,
    /// From this height on nothing is signed.
    pub stop_at: Option<i64>,
    /// Another signer has the key.
    pub handed_over: bool,
    /// Whether it signs here now.
    pub usable: bool,
    /// Why it does not.
    pub trouble: Option<String>,
}

impl ConsensusStateView {
    fn new(floor: &Floor, trouble: Option<String>) -> Self {
        let last = floor.last.as_ref();
        Self {
            key_id: floor.key,
            chain_id: floor.chain.clone(),
            height: floor.position.height,
            round: floor.position.round,
            step: floor.position.step,
            sign_bytes: last.map(|last| hex::encode(&last.sign_bytes)),
            signature: last.map(|last| hex::encode(&last.signature)),
            stop_at: floor.stop_at,
            handed_over: floor.handed_over,
            usable: trouble.is_none() && !floor.handed_over,
            trouble,
        }
    }
}

impl From<FloorState> for ConsensusStateView {
    fn from(state: FloorState) -> Self {
        let trouble = state.usable.err().map(|refusal| refusal.to_string());
        Self::new(&state.floor, trouble)
    }
}

/// Lists what consensus keys signed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListConsensusStates {}

impl Operation for ListConsensusStates {
    type On = Unnamed;
    type Answer = Vec<ConsensusStateView>;
    const NAME: &'static str = "validator.states";
    const ABOUT: &'static str = "List what consensus keys signed last";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/validator/states";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let states = desk.kms.consensus(desk.caller).states()?;
        Ok(states.into_iter().map(ConsensusStateView::from).collect())
    }
}

/// Begins what a key signed last on a chain, once: nothing there or before is ever signed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginConsensusState {
    /// The chain.
    #[schema(value_type = ChainIdText)]
    pub chain_id: ChainId,
    /// The height another signer stopped at; 0 for a key that never signed.
    pub height: i64,
    /// The round it stopped at; absent: at the end of the height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<i32>,
    /// The step it stopped at: 0 to 3; absent: at the end of the height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// What it signed there, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_bytes: Option<String>,
    /// The signature over that, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl BeginConsensusState {
    fn start(&self) -> Result<FloorStart, Failure> {
        let invalid = |what: &str| Failure::usage(format!("{what} of the state is none"));
        if self.height < 0 || self.round.is_some_and(|round| round < 0) {
            return Err(invalid("the height or the round"));
        }
        let position = match (self.round, self.step) {
            (None, None) => Position::end_of(self.height),
            (Some(round), Some(step)) if step <= 3 => Position { height: self.height, round, step },
            _ => return Err(invalid("the round or the step")),
        };
        let bytes = |text: &Option<String>| text.as_deref().map(hex::decode).transpose();
        let (Ok(sign_bytes), Ok(signature)) = (bytes(&self.sign_bytes), bytes(&self.signature))
        else {
            return Err(invalid("what was signed"));
        };
        let last = match (sign_bytes, signature) {
            (Some(sign_bytes), Some(signature))
                if sign_bytes.len() <= kms_formats::comet::canonical::SIGN_BYTES
                    && signature.len() == 64 =>
            {
                Some(LastSigned { sign_bytes, signature })
            }
            (None, None) => None,
            _ => return Err(invalid("what was signed")),
        };
        Ok(FloorStart { position, last })
    }
}

impl Operation for BeginConsensusState {
    type On = KeyRef;
    type Answer = ConsensusStateView;
    const NAME: &'static str = "validator.begin";
    const ABOUT: &'static str = "Begin what a key signed last on a chain, once";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/consensus-state";
    const NEEDS: Option<Permission> = Some(Permission::KeySuspend);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let begun = (self.start()?, &self.reason);
        let floor = desk.kms.consensus(desk.caller).begin_state(&key, &self.chain_id, begun)?;
        Ok(ConsensusStateView::new(&floor, None))
    }
}

/// Confirms a state that was copied, put back or handed over: nothing at the height or before it is
/// signed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmConsensusState {
    /// The chain.
    #[schema(value_type = ChainIdText)]
    pub chain_id: ChainId,
    /// The height the other signer stopped at, or a later one.
    pub height: i64,
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl Operation for ConfirmConsensusState {
    type On = KeyRef;
    type Answer = ConsensusStateView;
    const NAME: &'static str = "validator.confirm";
    const ABOUT: &'static str = "Confirm a state that was copied, put back or handed over";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/consensus-state/confirm";
    const NEEDS: Option<Permission> = Some(Permission::KeySuspend);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let confirmed = (self.height, &self.reason);
        let consensus = desk.kms.consensus(desk.caller);
        let floor = consensus.confirm_state(&key, &self.chain_id, confirmed)?;
        Ok(ConsensusStateView::new(&floor, None))
    }
}

/// Sets the height from which on a key signs nothing on a chain, or takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopConsensusAt {
    /// The chain.
    #[schema(value_type = ChainIdText)]
    pub chain_id: ChainId,
    /// The first height that is not signed; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl Operation for StopConsensusAt {
    type On = KeyRef;
    type Answer = ConsensusStateView;
    const NAME: &'static str = "validator.stop_at";
    const ABOUT: &'static str = "Set the height from which on a key signs nothing on a chain";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/consensus-state/stop-at";
    const NEEDS: Option<Permission> = Some(Permission::KeySuspend);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let stop = (self.height, &self.reason);
        let floor = desk.kms.consensus(desk.caller).stop_at(&key, &self.chain_id, stop)?;
        Ok(ConsensusStateView::new(&floor, None))
    }
}

/// Hands a key over to another signer: it signs no more here, and the answer is where the other
/// begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOverConsensus {
    /// The chain.
    #[schema(value_type = ChainIdText)]
    pub chain_id: ChainId,
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl Operation for HandOverConsensus {
    type On = KeyRef;
    type Answer = ConsensusStateView;
    const NAME: &'static str = "validator.hand_over";
    const ABOUT: &'static str = "Hand a key over to another signer: it signs no more here";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/consensus-state/hand-over";
    const NEEDS: Option<Permission> = Some(Permission::KeySuspend);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let consensus = desk.kms.consensus(desk.caller);
        let floor = consensus.hand_over(&key, &self.chain_id, &self.reason)?;
        Ok(ConsensusStateView::new(&floor, None))
    }
}
