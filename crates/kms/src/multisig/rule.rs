//! Approval rules: which acts wait for whose approval.
//!
//! Every rule that covers an act has to be satisfied, so that another rule never weakens one. To
//! change or remove a rule, the rule as it stands has to be satisfied, whatever it is about.

use serde::Deserialize;
use serde::Serialize;

use crate::access::Scope;
use crate::key::Label;
use crate::multisig::ActKind;
use crate::multisig::Form;
use crate::multisig::MultiSigId;
use crate::multisig::MultiSigKey;
use crate::multisig::Present;
use crate::multisig::Subject;
use crate::store::Document;
use crate::time::Timestamp;

/// Which acts wait for an approval, and for whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Its name; unlike the others'.
    pub name: Label,
    /// 1, and one more with each change. An approval is for one version.
    pub version: u64,
    /// Which acts.
    pub acts: Vec<ActKind>,
    /// Of which keys.
    pub scope: Scope,
    /// Whose approval: a multi-signature key of the approval form.
    pub quorum: MultiSigId,
    /// Whether whoever asks may be among those who approve.
    pub initiator_counts: bool,
    /// When it was set as it stands.
    pub set_at: Timestamp,
    /// By which principal.
    pub set_by: String,
}

impl Document for ApprovalRule {
    const KIND: &'static str = "approval_rule";

    fn document_id(&self) -> String {
        self.name.folded()
    }
}

/// Why a rule cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// It asks for nothing.
    #[error("approval rule {0} is about no act")]
    NoActs(Label),
    /// What is done to no key is not done to some keys.
    #[error(
        "approval rule {0} is about {1}, which is done to no key; it covers everything or nothing"
    )]
    Scope(Label, ActKind),
    /// A Cosmos account approves nothing here.
    #[error(
        "multisig key {0} is of the form cosmos; approvals are given by one of the form approval"
    )]
    Form(Label),
    /// Whose signer it is decides whether they may approve.
    #[error("signer {0} has no owner; who asks and who approves could not be told apart")]
    NoOwner(Label),
    /// One person would count twice.
    #[error("signers {0} and {1} are the same person")]
    SamePerson(Label, Label),
    /// Nobody could ever approve.
    #[error(
        "the quorum cannot be met{}: of weight {threshold} only {reachable} can come together",
        without.as_ref().map(|label| format!(" when {label} asks")).unwrap_or_default()
    )]
    Unreachable {
        /// Who asks, where that is the reason.
        without: Option<Label>,
        /// The weight that is needed.
        threshold: u64,
        /// The weight that can come together.
        reachable: u64,
    },
}

/// Decides whether a rule can stand: it says what it is about, it can tell who asks from who
/// approves, and whoever of the signers asks, the others reach the threshold.
///
/// # Errors
/// When it cannot.
pub fn check_quorum(
    rule: &ApprovalRule,
    quorum: &MultiSigKey,
    present: &Present<'_>,
) -> Result<(), InvalidRule> {
    let name = || rule.name.clone();
    if rule.acts.is_empty() {
        return Err(InvalidRule::NoActs(name()));
    }
    if rule.scope != Scope::All
        && let Some(kind) = rule.acts.iter().find(|kind| !kind.is_of_key())
    {
        return Err(InvalidRule::Scope(name(), *kind));
    }
    match quorum.form {
        Form::Approval => {}
        Form::Cosmos { .. } => return Err(InvalidRule::Form(quorum.label.clone())),
    }
    let threshold = quorum.config.threshold;
    let reachable = |without: Option<&Label>| -> u64 {
        let counts = |signer: &&_| present.excluded(signer, without).is_none();
        quorum.signers.iter().filter(counts).map(|signer| u64::from(signer.weight.get())).sum()
    };
    if reachable(None) < threshold {
        return Err(InvalidRule::Unreachable {
            without: None,
            threshold,
            reachable: reachable(None),
        });
    }
    if rule.initiator_counts {
        return Ok(());
    }
    for (at, signer) in quorum.signers.iter().enumerate() {
        let Some(owner) = &signer.owner else {
            return Err(InvalidRule::NoOwner(signer.label.clone()));
        };
        let mut before = quorum.signers.iter().take(at);
        if let Some(same) = before.find(|before| before.owner.as_ref() == Some(owner)) {
            return Err(InvalidRule::SamePerson(same.label.clone(), signer.label.clone()));
        }
        let (without, reachable) = (Some(signer.label.clone()), reachable(Some(&signer.label)));
        if reachable < threshold {
            return Err(InvalidRule::Unreachable { without, threshold, reachable });
        }
    }
    Ok(())
}

/// The rules that cover an act, each of which has to be satisfied; in the order of their names.
pub fn rules_for<'r>(
    act: ActKind,
    subject: &Subject,
    rules: &'r [ApprovalRule],
) -> Vec<&'r ApprovalRule> {
    rules.iter().filter(|rule| covers(rule, act, subject)).collect()
}

fn covers(rule: &ApprovalRule, act: ActKind, subject: &Subject) -> bool {
    // A rotation puts the successor into use.
    let named = |kind| rule.acts.contains(&kind);
    let asked = named(act) || (act == ActKind::Rotate && named(ActKind::Activate));
    match subject {
        Subject::Key { id, label, purpose } => {
            asked && rule.scope.covers_key(Some(id), label, *purpose)
        }
        // Another label must not lead a key out of a rule that it stands under.
        Subject::Renamed { id, from, to, purpose } => {
            rule.scope.covers_key(Some(id), from, *purpose)
                && !rule.scope.covers_key(Some(id), to, *purpose)
        }
        Subject::Rule(name) => asked || rule.name.folded() == name.folded(),
        Subject::Home => asked,
    }
}
