//! Who counts for how much: the specification's `MultiSigConfig` and `AuthorizedSigner`.

use std::fmt;

use kms_formats::multisig::InvalidMultisig;
use serde::Deserialize;
use serde::Serialize;

use crate::key::InvalidPublicKey;
use crate::key::Label;
use crate::key::PublicKey;
use crate::time::Timestamp;

/// The most signers of one key.
pub const SIGNERS: usize = 64;
/// The greatest weight of one signer.
const WEIGHT: u32 = 1_000_000;
/// The shortest and the longest time an operation waits, in seconds: a minute, and 366 days.
pub(crate) const TIMEOUT_S: std::ops::RangeInclusive<u64> = 60..=366 * 86_400;

/// What a statement says where there is no rule, and nobody who does not count.
pub(crate) const NOBODY: &str = "none";

/// How much a signer counts: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Weight(u32);

impl Weight {
    /// The weight of everyone who is not said to have another.
    pub const ONE: Self = Self(1);

    /// A weight.
    ///
    /// # Errors
    /// [`InvalidConfig::Weight`] when it is zero or too great.
    pub fn new(weight: u32) -> Result<Self, InvalidConfig> {
        (1..=WEIGHT).contains(&weight).then_some(Self(weight)).ok_or(InvalidConfig::Weight(weight))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// SPEC: "MultiSigConfig".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiSigConfig {
    /// The weight that has to come together; not a number of signers, unless all weigh 1.
    pub threshold: u64,
    /// As many signers as there are.
    pub total_signers: u32,
    /// Seconds an operation waits for signatures.
    pub timeout_s: u64,
    /// Whether the signatures can be read out before the threshold is met. They never count as
    /// complete.
    pub allow_partial_sig: bool,
    /// Whether signers sign in the order of their places: nobody after one who comes later.
    pub require_ordered: bool,
}

/// SPEC: "AuthorizedSigner".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizedSigner {
    /// What people call them; unlike the others'.
    pub label: Label,
    /// Their key; unlike the others'.
    pub public_key: PublicKey,
    /// How much they count.
    pub weight: Weight,
    /// Until when they count; absent for as long as the key is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Their place, where signers sign in order; unlike the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// The id of the principal whose key it is; absent for someone who is none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What the signatures become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Form {
    /// Evidence of an approval, which anyone can verify.
    Approval,
    /// The signature of a Cosmos account.
    Cosmos {
        /// The members' order: that of their addresses, or the one they are given in.
        sorted: bool,
    },
}

impl Form {
    /// The name in files, on the command line and in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Cosmos { sorted: true } => "cosmos",
            Self::Cosmos { sorted: false } => "cosmos-unsorted",
        }
    }
}

/// Why a configuration cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// None or too many signers.
    #[error("a multisig key has 1 to 64 signers, not {0}")]
    Signers(usize),
    /// The number of signers is another than was said.
    #[error("{said} signers are announced, {given} are given")]
    TotalSigners {
        /// As the configuration says.
        said: u32,
        /// As many as there are.
        given: usize,
    },
    /// A weight out of bounds.
    #[error("a signer's weight is 1 to 1000000, not {0}")]
    Weight(u32),
    /// A threshold nobody needs to reach, or nobody can.
    #[error("threshold {threshold} is not between 1 and the sum of all weights, {sum}")]
    Threshold {
        /// As asked for.
        threshold: u64,
        /// The weight of all.
        sum: u64,
    },
    /// Waits too short or too long.
    #[error("a timeout is 60 seconds to 366 days, not {0} seconds")]
    Timeout(u64),
    /// One label twice.
    #[error("signer {0} is there twice")]
    LabelTwice(Label),
    /// One key twice, however it is written.
    #[error("signers {0} and {1} have the same public key")]
    KeyTwice(Label, Label),
    /// Bytes that are no public key.
    #[error("signer {0}: {1}")]
    PublicKey(Label, InvalidPublicKey),
    /// Where signers sign in order, each has a place, and only there.
    #[error("signer {0} has no place of their own, or has one though the order does not matter")]
    Order(Label),
    /// A signer whose time is over.
    #[error("signer {0} is authorized until {1}, which has passed")]
    SignerExpired(Label, Timestamp),
    /// Equal weights only on the chain.
    #[error("members of a Cosmos multisig account weigh 1; signer {0} weighs more")]
    CosmosWeight(Label),
    /// The chain knows no order, no end and no partial signature.
    #[error("a Cosmos multisig account has no order of signing and no signer that expires")]
    CosmosTerms,
    /// No account of the chain.
    #[error(transparent)]
    Cosmos(#[from] InvalidMultisig),
    /// A key that signs nothing but votes.
    #[error("signer {0} has a key for consensus, which signs votes and proposals only")]
    Consensus(Label),
    /// What statements say where nobody is meant.
    #[error("a signer cannot be called {0}")]
    Reserved(Label),
    /// An owner that cannot be the id of a principal.
    #[error("owner of signer {0} is no id of a principal")]
    Owner(Label),
}

/// Checks all of it together.
pub(crate) fn check(
    config: &MultiSigConfig,
    signers: &[AuthorizedSigner],
    (form, now): (&Form, Timestamp),
) -> Result<(), InvalidConfig> {
    if !(1..=SIGNERS).contains(&signers.len()) {
        return Err(InvalidConfig::Signers(signers.len()));
    }
    if usize::try_from(config.total_signers) != Ok(signers.len()) {
        let (said, given) = (config.total_signers, signers.len());
        return Err(InvalidConfig::TotalSigners { said, given });
    }
    // At most 64 weights of at most a million: the sum cannot overflow.
    let sum: u64 = signers.iter().map(|signer| u64::from(signer.weight.get())).sum();
    if !(1..=sum).contains(&config.threshold) {
        return Err(InvalidConfig::Threshold { threshold: config.threshold, sum });
    }
    if !TIMEOUT_S.contains(&config.timeout_s) {
        return Err(InvalidConfig::Timeout(config.timeout_s));
    }
    for (at, signer) in signers.iter().enumerate() {
        check_signer(config, signer, now)?;
        signers.iter().take(at).try_for_each(|before| differ(before, signer))?;
    }
    match form {
        Form::Approval => Ok(()),
        Form::Cosmos { .. } => check_cosmos(config, signers),
    }
}

fn check_signer(
    config: &MultiSigConfig,
    signer: &AuthorizedSigner,
    now: Timestamp,
) -> Result<(), InvalidConfig> {
    let (label, key) = (&signer.label, &signer.public_key);
    PublicKey::validated(key.algorithm(), key.as_bytes())
        .map_err(|invalid| InvalidConfig::PublicKey(label.clone(), invalid))?;
    // SPEC: a statement says `without: none` where everyone counts.
    if label.folded() == NOBODY {
        return Err(InvalidConfig::Reserved(label.clone()));
    }
    if signer.order.is_some() != config.require_ordered {
        return Err(InvalidConfig::Order(label.clone()));
    }
    let plain = |owner: &str| {
        (2..=64).contains(&owner.len())
            && owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // What stands in the configuration's lines may not be able to end them.
    if signer.owner.as_deref().is_some_and(|owner| !plain(owner)) {
        return Err(InvalidConfig::Owner(label.clone()));
    }
    match signer.expires_at {
        Some(at) if at <= now => Err(InvalidConfig::SignerExpired(label.clone(), at)),
        Some(_) | None => Ok(()),
    }
}

fn differ(a: &AuthorizedSigner, b: &AuthorizedSigner) -> Result<(), InvalidConfig> {
    if a.label.folded() == b.label.folded() {
        return Err(InvalidConfig::LabelTwice(b.label.clone()));
    }
    if a.public_key == b.public_key {
        return Err(InvalidConfig::KeyTwice(a.label.clone(), b.label.clone()));
    }
    if a.order.is_some() && a.order == b.order {
        return Err(InvalidConfig::Order(b.label.clone()));
    }
    Ok(())
}

fn check_cosmos(
    config: &MultiSigConfig,
    signers: &[AuthorizedSigner],
) -> Result<(), InvalidConfig> {
    if let Some(heavy) = signers.iter().find(|signer| signer.weight != Weight::ONE) {
        return Err(InvalidConfig::CosmosWeight(heavy.label.clone()));
    }
    if config.require_ordered || signers.iter().any(|signer| signer.expires_at.is_some()) {
        return Err(InvalidConfig::CosmosTerms);
    }
    Ok(())
}
