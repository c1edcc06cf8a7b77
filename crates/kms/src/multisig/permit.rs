//! Leave to carry out an act: given only when every rule that covers it is satisfied.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::key::Label;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::Present;
use crate::multisig::Refusal;
use crate::multisig::Subject;
use crate::multisig::complete;
use crate::multisig::rules_for;

/// Leave to carry out one act, once: made by [`permit`] only, and only from approvals that are met.
///
/// ```compile_fail,E0451
/// let forged = kms::multisig::Permit { spent: Vec::new(), _turn: None }; // private fields
/// ```
#[derive(Debug)]
#[must_use = "a permit that is not spent has permitted nothing"]
pub struct Permit<'t> {
    /// The operations as they stand once the act is carried out.
    spent: Vec<Operation>,
    /// No approval is spent by anyone else until this one is.
    _turn: Option<MutexGuard<'t, ()>>,
}

impl Permit<'_> {
    /// The operations that are to be stored, complete, in the transaction of the act.
    pub fn spent(&self) -> &[Operation] {
        &self.spent
    }

    /// Says which approvals an act was carried out with; empty where none was asked for.
    pub fn approvals(&self) -> String {
        let ids: Vec<String> =
            self.spent.iter().map(|operation| operation.id.to_string()).collect();
        ids.join(" ")
    }
}

/// Changes of operations, one at a time.
#[derive(Debug, Default)]
pub struct Turn(Mutex<()>);

impl Turn {
    /// Waits for one's turn.
    pub fn take(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An approval that was found for a rule.
#[derive(Debug)]
pub struct Found {
    /// The rule's name.
    pub rule: Label,
    /// Whose approval it asks for.
    pub quorum: MultiSigKey,
    /// The operation over the act under the rule as it stands, if there is one.
    pub operation: Option<Operation>,
}

/// A rule that is not satisfied.
#[derive(Debug)]
pub struct Open<'r> {
    /// The rule.
    pub rule: &'r ApprovalRule,
    /// What its approval lacks; absent where nobody has asked for one.
    pub lacks: Option<Refusal>,
}

impl<'t> Permit<'t> {
    /// Leave for what no rule covers.
    pub fn unguarded(act: ActKind, subject: &Subject, rules: &[ApprovalRule]) -> Option<Self> {
        rules_for(act, subject, rules).is_empty().then(|| Self { spent: Vec::new(), _turn: None })
    }
}

/// Decides whether an act may be carried out now by `by`: every rule that covers it has an approval
/// among `found`, over exactly this act, under the rule as it stands, and met at this moment.
///
/// # Errors
/// The rules that are not satisfied, each with what its approval lacks.
pub fn permit<'t, 'r>(
    (act, rules): (&Act, &'r [ApprovalRule]),
    found: &[Found],
    turn: MutexGuard<'t, ()>,
    (by, present): (&str, &Present<'_>),
) -> Result<Permit<'t>, Vec<Open<'r>>> {
    let bytes = act.to_bytes();
    let (mut spent, mut open) = (Vec::new(), Vec::new());
    for rule in rules_for(act.act, &act.subject, rules) {
        let found = found.iter().find(|found| found.rule == rule.name);
        let settled = match found.map(|found| (&found.quorum, &found.operation)) {
            Some((quorum, Some(operation))) => {
                settle(rule, (quorum, operation, &bytes), by, present)
            }
            Some((_, None)) | None => Err(None),
        };
        match settled {
            Ok(operation) => spent.push(operation),
            Err(lacks) => open.push(Open { rule, lacks }),
        }
    }
    if open.is_empty() { Ok(Permit { spent, _turn: Some(turn) }) } else { Err(open) }
}

fn settle(
    rule: &ApprovalRule,
    (quorum, operation, bytes): (&MultiSigKey, &Operation, &[u8]),
    by: &str,
    present: &Present<'_>,
) -> Result<Operation, Option<Refusal>> {
    let named = operation.rule.as_ref();
    let same = named.is_some_and(|named| named.version == rule.version && named.name == rule.name);
    if !same || operation.key != rule.quorum || quorum.id != rule.quorum {
        return Err(Some(Refusal::OtherAct(operation.id)));
    }
    complete((quorum, operation, bytes), by, present).map_err(Some)
}
