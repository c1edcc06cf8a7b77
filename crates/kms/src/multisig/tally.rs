//! Counting: who has signed and counts, who has not, and why.

use std::fmt;

use crate::key::Label;
use crate::key::PublicKey;
use crate::multisig::AuthorizedSigner;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::OperationState;
use crate::time::Timestamp;

/// What is true at the moment a decision is made for.
pub struct Present<'a> {
    /// The moment.
    pub now: Timestamp,
    /// Whether a key is one of this home that was suspended, compromised or destroyed.
    pub is_stopped: &'a dyn Fn(&PublicKey) -> bool,
    /// Whether a principal is one who may log in.
    pub is_active: &'a dyn Fn(&str) -> bool,
}

/// Why a signer does not count at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// Their time is over.
    Expired,
    /// They asked.
    Asked,
    /// Their key was suspended, compromised or destroyed.
    KeyStopped,
    /// The principal whose key it is was disabled or removed.
    OwnerGone,
}

impl Exclusion {
    /// For people.
    pub fn why(self) -> &'static str {
        match self {
            Self::Expired => "their authorization has expired",
            Self::Asked => "they asked for it",
            Self::KeyStopped => "their key is suspended, compromised or destroyed",
            Self::OwnerGone => "the principal is disabled or gone",
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl Present<'_> {
    /// Why a signer does not count now; `without` is who asked.
    pub fn excluded(
        &self,
        signer: &AuthorizedSigner,
        without: Option<&Label>,
    ) -> Option<Exclusion> {
        if without == Some(&signer.label) {
            return Some(Exclusion::Asked);
        }
        if signer.expires_at.is_some_and(|at| at <= self.now) {
            return Some(Exclusion::Expired);
        }
        if (self.is_stopped)(&signer.public_key) {
            return Some(Exclusion::KeyStopped);
        }
        match &signer.owner {
            Some(owner) if !(self.is_active)(owner) => Some(Exclusion::OwnerGone),
            Some(_) | None => None,
        }
    }
}

impl fmt::Debug for Present<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Present({})", self.now)
    }
}

/// Someone who has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who.
    pub signer: Label,
    /// How much they count.
    pub weight: u32,
    /// When.
    pub at: Timestamp,
    /// Why they do not count now, if they do not.
    pub excluded: Option<Exclusion>,
}

/// Someone who has not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Who.
    pub signer: Label,
    /// How much they count.
    pub weight: u32,
    /// Why they cannot sign now, if they cannot.
    pub excluded: Option<Exclusion>,
}

/// The count at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The state.
    pub state: OperationState,
    /// The weight of all who signed and count.
    pub weight: u64,
    /// The weight that is needed.
    pub threshold: u64,
    /// Who signed, in the order in which they did.
    pub signed: Vec<Signed>,
    /// Who did not, in the order of the key.
    pub missing: Vec<Missing>,
}

impl Tally {
    /// Who signed and counts.
    pub fn counted(&self) -> Vec<Label> {
        let counted = self.signed.iter().filter(|signed| signed.excluded.is_none());
        counted.map(|signed| signed.signer.clone()).collect()
    }

    /// Who has not signed and could.
    pub fn awaited(&self) -> Vec<Label> {
        let awaited = self.missing.iter().filter(|missing| missing.excluded.is_none());
        awaited.map(|missing| missing.signer.clone()).collect()
    }

    /// The weight that can come together from here.
    pub fn reachable(&self) -> u64 {
        let awaited = self.missing.iter().filter(|missing| missing.excluded.is_none());
        self.weight.saturating_add(awaited.map(|missing| u64::from(missing.weight)).sum())
    }
}

/// Counts the signatures of an operation at a moment. Each was verified when it came.
///
/// Membership is looked at anew, so a signature of someone who is no signer of the key counts for
/// nothing, wherever it came from.
pub fn tally(key: &MultiSigKey, operation: &Operation, present: &Present<'_>) -> Tally {
    let (mut signed, mut missing) = (Vec::new(), Vec::new());
    let without = operation.without.as_ref();
    for collected in &operation.signatures {
        let Some(signer) = key.signers.iter().find(|signer| signer.label == collected.signer)
        else {
            continue;
        };
        signed.push(Signed {
            signer: signer.label.clone(),
            weight: signer.weight.get(),
            at: collected.signed_at,
            excluded: present.excluded(signer, without),
        });
    }
    for signer in &key.signers {
        if operation.signature_of(&signer.label).is_none() {
            let excluded = present.excluded(signer, without);
            let (signer, weight) = (signer.label.clone(), signer.weight.get());
            missing.push(Missing { signer, weight, excluded });
        }
    }
    let counting = signed.iter().filter(|signed| signed.excluded.is_none());
    let weight = counting.map(|signed| u64::from(signed.weight)).sum(); // at most 64 million
    let threshold = key.config.threshold;
    let state = operation.state_at(present.now, weight >= threshold);
    Tally { state, weight, threshold, signed, missing }
}
