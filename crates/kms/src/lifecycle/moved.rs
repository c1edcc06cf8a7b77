//! What a move makes of a key: its new value, and the steps that led there.

use crate::key::KeyState;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Move;
use crate::key::Reason;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Refusal;
use crate::lifecycle::Transition;
use crate::lifecycle::state::expired;
use crate::time::Timestamp;

/// Who the steps are by that time alone causes.
pub const SYSTEM: &str = "system";

/// When, by whom and why a key is moved, and under which policy.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// The principal's id, or [`SYSTEM`].
    pub by: &'a str,
    /// The id of the principal who approved, where the policy asks for that. That they may approve
    /// is for access control; that they are not `by` is checked here.
    pub approved_by: Option<&'a str>,
    /// Why.
    pub reason: &'a Reason,
    /// The policy of the key that is moved.
    pub policy: &'a KeyLifecyclePolicy,
}

/// A key after a move. Both parts are to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a move that is not stored has not happened"]
pub struct Moved {
    /// The key's new value.
    pub key: ManagedKey,
    /// What led there, in order: one step; two where the expiration date had passed and nothing had
    /// recorded it yet; none where only a link to another key was written. An ordered or cancelled
    /// destruction is a step from a state to itself.
    pub steps: Vec<Move>,
}

impl Moved {
    /// The key as it stands at `now`: an expiration that nothing has recorded yet is its first step.
    pub(crate) fn settled(key: &ManagedKey, now: Timestamp) -> Self {
        let mut moved = Self { key: key.clone(), steps: Vec::new() };
        if let Some(at) = expired(key, now) {
            moved.enter(KeyState::Expired, at);
            moved.steps.push(Move {
                from: Some(key.state),
                to: KeyState::Expired,
                at,
                by: SYSTEM.to_owned(),
                reason: expiration_reason(at),
            });
        }
        moved
    }

    /// The key as it stands at `ctx.now`, if `transition` starts from there.
    pub(crate) fn start(
        key: &ManagedKey,
        transition: Transition,
        ctx: &Context<'_>,
    ) -> Result<Self, Refusal> {
        let moved = Self::settled(key, ctx.now);
        let state = moved.key.state;
        match transition.target(state) {
            Some(_) => Ok(moved),
            None => Err(Refusal::State { key: moved.label(), state, transition }),
        }
    }

    /// Makes the step of `transition`, which was started, and sets the dates that go with it.
    pub(crate) fn step(mut self, transition: Transition, ctx: &Context<'_>) -> Self {
        let from = self.key.state;
        let to = transition.target(from).unwrap_or(from);
        let at = self.moment(ctx);
        if to != from {
            self.enter(to, at);
        }
        let (by, reason) = (ctx.by.to_owned(), ctx.reason.to_string());
        self.steps.push(Move { from: Some(from), to, at, by, reason });
        self
    }

    /// The moment of this move: now, but never before what has already happened to the key, so that
    /// a clock that went back shortens no grace period and no delay.
    pub(crate) fn moment(&self, ctx: &Context<'_>) -> Timestamp {
        let key = &self.key;
        let past = [Some(key.created_at), key.activated_at, key.deactivated_at];
        past.into_iter().flatten().fold(ctx.now, Timestamp::max)
    }

    pub(crate) fn label(&self) -> Label {
        self.key.label.clone()
    }

    fn enter(&mut self, to: KeyState, at: Timestamp) {
        let key = &mut self.key;
        key.state = to;
        match to {
            KeyState::Active => key.activated_at = key.activated_at.or(Some(at)),
            KeyState::Deactivated | KeyState::Expired | KeyState::Compromised => {
                key.deactivated_at = key.deactivated_at.or(key.activated_at.map(|_| at));
            }
            KeyState::Destroyed => key.destroyed_at = Some(at),
            KeyState::Created
            | KeyState::Pending
            | KeyState::Rotating
            | KeyState::Suspended
            | KeyState::Archived => {}
        }
    }
}

/// Why a key expired.
pub(crate) fn expiration_reason(at: Timestamp) -> String {
    format!("its expiration date {at} has passed")
}
