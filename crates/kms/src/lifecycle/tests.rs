//! Tests of the room as a whole, and the keys they are made with.

mod guards;
mod model;
mod regressions;
mod rotation;
mod standards;
mod tables;

use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Origin;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Reason;
use crate::lifecycle::Context;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Successor;
use crate::time::Days;
use crate::time::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The present moment of these tests.
pub(crate) fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

pub(crate) fn days_from_now(days: u32) -> Timestamp {
    now().plus(Days(days))
}

/// A public key of the right shape, told apart by `seed`.
pub(crate) fn public_key(algorithm: Algorithm, seed: u8) -> PublicKey {
    let length = match algorithm {
        Algorithm::Ed25519 => 32,
        Algorithm::Secp256k1 | Algorithm::P256 => 33,
        Algorithm::Rsa2048 => 270,
        Algorithm::Rsa4096 => 526,
    };
    let mut bytes = vec![seed; length];
    bytes[0] = 2;
    PublicKey::new(algorithm, &bytes).unwrap()
}

/// A new Ed25519 key for general use under `default`, made ten days ago; another label is another
/// key.
pub(crate) fn key(label: &str) -> ManagedKey {
    let seed = label.bytes().fold(7, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte));
    ManagedKey {
        id: KeyId::from_random([seed; 16]),
        label: label.parse().unwrap(),
        purpose: Purpose::General,
        storage: "file".parse().unwrap(),
        origin: Origin::Generated,
        public_key: public_key(Algorithm::Ed25519, seed),
        policy: "default".parse().unwrap(),
        state: KeyState::Created,
        created_at: now().minus(Days(10)),
        activated_at: None,
        deactivated_at: None,
        expires_at: None,
        destroy_at: None,
        destroyed_at: None,
        successor: None,
        predecessor: None,
    }
}

/// The key `val` in `state`, with the dates that a key in that state has, but no expiration date.
pub(crate) fn key_in(state: KeyState) -> ManagedKey {
    let used = Some(now().minus(Days(9)));
    let stopped = Some(now().minus(Days(1)));
    let (activated_at, deactivated_at) = match state {
        KeyState::Created | KeyState::Pending => (None, None),
        KeyState::Active | KeyState::Rotating | KeyState::Suspended => (used, None),
        KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Archived
        | KeyState::Compromised
        | KeyState::Destroyed => (used, stopped),
    };
    let destroyed_at = stopped.filter(|_| state == KeyState::Destroyed);
    ManagedKey { state, activated_at, deactivated_at, destroyed_at, ..key("val") }
}

/// What a move is made with.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) now: Timestamp,
    pub(crate) approved_by: Option<&'static str>,
    pub(crate) policy: KeyLifecyclePolicy,
    reason: Reason,
}

impl Default for Scene {
    fn default() -> Self {
        let reason = "because".parse().unwrap();
        Self { now: now(), approved_by: None, policy: KeyLifecyclePolicy::standard(), reason }
    }
}

impl Scene {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    pub(crate) fn ctx(&self) -> Context<'_> {
        Context {
            now: self.now,
            by: "alice",
            approved_by: self.approved_by,
            reason: &self.reason,
            policy: &self.policy,
        }
    }

    pub(crate) fn successor<'a>(&'a self, key: &'a ManagedKey) -> Successor<'a> {
        Successor { key, policy: &self.policy }
    }
}
