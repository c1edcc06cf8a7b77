//! Approvals on the way: whether rules cover what is to be done, what they have been given so far,
//! and the operations that ask for the rest.
//!
//! ```text
//! standing ─decide as if approved─▶ permit ─▶ commit (the approvals are spent in that transaction)
//!                                     └─ asks, and refuses: approval_required
//! ```
//!
//! So nobody is asked to approve what would not be done anyway, and what was approved is decided
//! again, at the moment it is done.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::access::PrincipalId;
use crate::audit::EventType;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::PublicKey;
use crate::key::Reason;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::permits;
use crate::lifecycle::state_at;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::orders::Order;
use crate::manager::orders::subject_of;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::multisig;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::Claim;
use crate::multisig::Found;
use crate::multisig::HexDigest;
use crate::multisig::Message;
use crate::multisig::MultiSigId;
use crate::multisig::MultiSigKey;
use crate::multisig::New;
use crate::multisig::OpenOperation;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::Outcome;
use crate::multisig::Permit;
use crate::multisig::Present;
use crate::multisig::Refusal;
use crate::multisig::RuleRef;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::time::Timestamp;

/// An approval that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The operation whose signers are asked.
    pub operation: OperationId,
    /// The rule that asks for it.
    pub rule: crate::key::Label,
    /// Whose approval it is.
    pub quorum: crate::key::Label,
}

/// How an act stands with the rules that cover it.
#[derive(Debug)]
pub(crate) struct Standing<'k> {
    kms: &'k KeyManager,
    state: State<'k>,
}

#[derive(Debug)]
enum State<'k> {
    /// No rule covers it.
    Free(Permit<'k>),
    /// Every rule that covers it is satisfied.
    Approved(Permit<'k>),
    /// These rules are not: each with the approval it has been asked for and that is not over.
    Waiting { act: Box<Act>, rules: Vec<(ApprovalRule, MultiSigKey, Option<Operation>)> },
}

impl Standing<'_> {
    /// What a decision is told of the approval: also where it is still waited for, so that what
    /// would be refused anyway is refused before anyone is asked.
    pub(crate) fn approved_by(&self) -> Option<&'static str> {
        match &self.state {
            State::Free(_) => None,
            State::Approved(_) | State::Waiting { .. } => Some("multisig"),
        }
    }
}

impl<'k> Standing<'k> {
    /// Leave to go on; or the approvals that are missing are asked for, durably, and the caller is
    /// told which.
    pub(crate) fn permit(self, way: &Way<'_>) -> Result<Permit<'k>, Error> {
        match self.state {
            State::Free(permit) | State::Approved(permit) => Ok(permit),
            State::Waiting { act, rules } => {
                let mut awaited = Vec::new();
                for (rule, quorum, open) in rules {
                    let operation = match open {
                        Some(operation) => operation.id,
                        None => self.kms.ask(way, (&act, &rule), &quorum)?,
                    };
                    awaited.push(Awaited { operation, rule: rule.name, quorum: quorum.label });
                }
                Err(Refused::ApprovalAwaited { act: act.act, awaited }.into())
            }
        }
    }
}

impl KeyManager {
    /// How `order` stands with the rules; `key` is the key it is about, if there is one.
    pub(crate) fn standing(
        &self,
        way: &Way<'_>,
        order: &Order,
        key: Option<&ManagedKey>,
    ) -> Result<Standing<'_>, Error> {
        let (rules, kind, subject) = (self.rules(), order.kind(), order.subject(key));
        if let Some(permit) = Permit::unguarded(kind, &subject, &rules) {
            return Ok(Standing { kms: self, state: State::Free(permit) });
        }
        let (act, turn) = (order.act(key), self.multisig.take());
        let (digest, mut found) = (HexDigest(act.sha256()), Vec::new());
        for rule in multisig::rules_for(kind, &subject, &rules) {
            let named = RuleRef { name: rule.name.clone(), version: rule.version };
            let claim: Option<Claim> = self.store.read(&Claim::of_act(&digest, &named))?;
            let operation =
                claim.map(|claim| self.multisig_operation(claim.operation)).transpose()?;
            let quorum = self.multisig_key(rule.quorum)?;
            found.push(Found { rule: rule.name.clone(), quorum, operation });
        }
        let by = way.who.principal().to_string();
        let permitted = {
            let circumstances = Circumstances::new(self, way.now);
            multisig::permit((&act, &rules), &found, turn, (&by, &circumstances.present()))
        };
        let state = match permitted {
            Ok(permit) => State::Approved(permit),
            Err(open) => {
                let waiting = |open: multisig::Open<'_>| {
                    let at = found.iter().position(|found| found.rule == open.rule.name)?;
                    let found = found.swap_remove(at);
                    // One that is not over yet is waited for; else another is asked for.
                    let waits = matches!(open.lacks, Some(Refusal::Insufficient { .. }));
                    Some((open.rule.clone(), found.quorum, found.operation.filter(|_| waits)))
                };
                let rules = open.into_iter().filter_map(waiting).collect();
                State::Waiting { act: Box::new(act), rules }
            }
        };
        Ok(Standing { kms: self, state })
    }

    /// Whether a rule covers an act on a key, so that it is not done on the side.
    pub(crate) fn is_guarded(&self, act: ActKind, key: &ManagedKey) -> bool {
        !multisig::rules_for(act, &subject_of(key), &self.rules()).is_empty()
    }

    /// Refuses to do without asking what rules are over: that `key` leaves its record for another, as
    /// when its private half moves into a token.
    pub(crate) fn check_under_no_rule(&self, key: &ManagedKey) -> Result<(), Error> {
        let subject = subject_of(key);
        let mut found = ActKind::ALL.into_iter().filter_map(|act| {
            let rules = self.rules();
            multisig::rules_for(act, &subject, &rules).first().map(|rule| rule.name.clone())
        });
        match found.next() {
            None => Ok(()),
            Some(rule) => Err(Refused::RuleNotAsked { rule, key: key.id.into() }.into()),
        }
    }

    /// Refuses to do with `other` what only the rules over `asked` are asked about, where a rule over
    /// `other` is not over `asked`.
    pub(crate) fn check_rules_are_asked(
        &self,
        acts: &[ActKind],
        (other, asked): (&ManagedKey, &ManagedKey),
    ) -> Result<(), Error> {
        let (rules, subject) = (self.rules(), subject_of(asked));
        for act in acts {
            let over_asked = multisig::rules_for(*act, &subject, &rules);
            for rule in multisig::rules_for(*act, &subject_of(other), &rules) {
                if !over_asked.iter().any(|over| over.name == rule.name) {
                    let (rule, key) = (rule.name.clone(), other.id.into());
                    return Err(Refused::RuleNotAsked { rule, key }.into());
                }
            }
        }
        Ok(())
    }

    /// The rules as they stand now, by name.
    pub(crate) fn rules(&self) -> Arc<Vec<ApprovalRule>> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the rules anew, which have just been changed.
    pub(crate) fn reload_rules(&self) -> Result<(), Error> {
        let rules = Arc::new(self.store.read_all()?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// Begins an operation over an act, on record, on the caller's account.
    fn ask(
        &self,
        way: &Way<'_>,
        (act, rule): (&Act, &ApprovalRule),
        quorum: &MultiSigKey,
    ) -> Result<OperationId, Error> {
        let bytes = act.to_bytes();
        let described = format!("approval to {} under rule {}", act.act, rule.name);
        let new = New {
            id: self.next_operation_id(way.now)?,
            message: &bytes,
            description: plain(&described),
            initiator: &way.who.principal().to_string(),
            asked_by: Some((act.act, rule)),
        };
        let circumstances = Circumstances::new(self, way.now);
        let _turn = self.multisig.take();
        let named = RuleRef { name: rule.name.clone(), version: rule.version };
        let about = Claim::of_act(&HexDigest(act.sha256()), &named);
        if let Some(claim) = self.store.read::<Claim>(&about)? {
            // Somebody else has asked for the same in this very moment.
            let other = self.multisig_operation(claim.operation)?;
            if !other.state_at(way.now, false).is_final() {
                return Ok(other.id);
            }
        }
        let operation = multisig::initiate(quorum, new, &circumstances.present())?;
        let details = vec![
            text("multisig", operation.id.to_string()),
            text("rule", rule.name.as_str()),
            text("act", act.act.name()),
            text("message_sha256", operation.message_sha256.to_string()),
        ];
        way.aside((EventType::MultisigOperation, "initiate", details), |tx| {
            put_new(tx, &operation, &bytes)
        })?;
        Ok(operation.id)
    }

    pub(crate) fn next_operation_id(&self, now: Timestamp) -> Result<OperationId, Error> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Fault::Random)?;
        Ok(OperationId::new(now, random))
    }

    pub(crate) fn multisig_key(&self, id: MultiSigId) -> Result<MultiSigKey, Error> {
        let found = self.store.read(&id.to_string())?;
        Ok(found.ok_or_else(|| Refused::MultiSigNotFound(id.to_string()))?)
    }

    pub(crate) fn multisig_operation(&self, id: OperationId) -> Result<Operation, Error> {
        let found = self.store.read(&id.to_string())?;
        Ok(found.ok_or_else(|| Refused::MultiSigNotFound(id.to_string()))?)
    }

    pub(crate) fn multisig_message(&self, id: OperationId) -> Result<Vec<u8>, Error> {
        let found: Option<Message> = self.store.read(&id.to_string())?;
        let message = found.ok_or_else(|| Fault::Inconsistent(format!("{id} has no message")))?;
        let bytes = STANDARD.decode(message.base64);
        Ok(bytes.map_err(|_| Fault::Inconsistent(format!("the message of {id} is no base64")))?)
    }
}

/// What is true at one moment, looked up once for each signer.
pub(crate) struct Circumstances<'k> {
    kms: &'k KeyManager,
    now: Timestamp,
    #[expect(clippy::type_complexity, reason = "the closures that decisions ask")]
    asks: (Box<dyn Fn(&PublicKey) -> bool + 'k>, Box<dyn Fn(&str) -> bool + 'k>),
}

impl<'k> Circumstances<'k> {
    pub(crate) fn new(kms: &'k KeyManager, now: Timestamp) -> Self {
        let known = RefCell::new(BTreeMap::<Vec<u8>, bool>::new());
        let is_stopped = move |key: &PublicKey| {
            let name = [&[key.algorithm() as u8], key.as_bytes()].concat();
            *known.borrow_mut().entry(name).or_insert_with(|| kms.is_stopped(key, now))
        };
        let is_active = |owner: &str| match owner.parse::<PrincipalId>() {
            Ok(id) => kms.access.principal(&id.to_string()).is_some_and(|found| found.enabled),
            Err(_) => false,
        };
        Self { kms, now, asks: (Box::new(is_stopped), Box::new(is_active)) }
    }

    pub(crate) fn present(&self) -> Present<'_> {
        Present { now: self.now, is_stopped: &*self.asks.0, is_active: &*self.asks.1 }
    }
}

impl std::fmt::Debug for Circumstances<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Circumstances({} in {:?})", self.now, self.kms.layout.home)
    }
}

impl KeyManager {
    /// Whether a public key is one of this home that nothing signed with counts of any more. Read
    /// from the store, because whoever asks may hold the key's own lock. What cannot be read counts
    /// as stopped.
    fn is_stopped(&self, key: &PublicKey, now: Timestamp) -> bool {
        // A key that was moved into a token has two records: one that is over stops nothing while
        // the other lives, and what was stopped for cause stops both.
        let read = |id: &KeyId| self.store.read::<ManagedKey>(&id.to_string()).ok().flatten();
        let ids = self.keys.all_public(key);
        let records: Vec<Option<ManagedKey>> = ids.iter().map(read).collect();
        let is_over = |record: &Option<ManagedKey>| {
            let state = record.as_ref().map(|record| state_at(record, now));
            state.is_none_or(|state| !permits(state, KeyOperation::Verify))
        };
        let for_cause = |record: &Option<ManagedKey>| {
            let state = record.as_ref().map(|record| record.state);
            let stopped = [KeyState::Suspended, KeyState::Compromised];
            is_over(record) && state.is_none_or(|state| stopped.contains(&state))
        };
        !records.is_empty() && (records.iter().any(for_cause) || records.iter().all(is_over))
    }

    /// Records, in batches, which operations time has ended. What it costs does not depend on how
    /// many are open.
    pub(crate) fn expire_operations(&self, now: Timestamp) -> Result<(), Error> {
        const BATCH: u32 = 64;
        let _turn: MutexGuard<'_, ()> = self.multisig.take();
        loop {
            let rows: Vec<OpenOperation> = self.store.page("", BATCH)?;
            let due = rows.iter().take_while(|row| row.expires_at <= now);
            let mut expired = Vec::new();
            for row in due {
                let operation = self.multisig_operation(row.operation)?;
                expired.extend(multisig::expire(&operation, now));
            }
            if expired.is_empty() {
                return Ok(());
            }
            self.record_expired(&expired)?;
        }
    }

    fn record_expired(&self, expired: &[Operation]) -> Result<(), Error> {
        let mut draft = self.own_draft(EventType::MultisigOperation);
        draft.operation = Some("expire".to_owned());
        draft.details.push(text("count", expired.len().to_string()));
        for some in expired.chunks(16) {
            let ids: Vec<String> = some.iter().map(|operation| operation.id.to_string()).collect();
            draft.details.push(text("multisig", ids.join(" ")));
        }
        self.commit_alone("expire operations", draft, |tx| {
            expired.iter().try_for_each(|operation| put_closed(tx, operation))
        })
    }
}

/// Stores a new operation with its message and its rows.
pub(crate) fn put_new(
    tx: &mut Transaction<'_>,
    operation: &Operation,
    message: &[u8],
) -> Result<(), StoreError> {
    let message = Message { operation: operation.id, base64: STANDARD.encode(message) };
    tx.insert(operation)?;
    tx.insert(&message)?;
    tx.insert(&operation.open_row())?;
    operation.claim().map_or(Ok(()), |claim| tx.put(&claim))
}

/// Stores how an operation ended; its rows among the open ones go. A transaction that was signed
/// stays claimed: its signatures are out.
pub(crate) fn put_closed(
    tx: &mut Transaction<'_>,
    operation: &Operation,
) -> Result<(), StoreError> {
    tx.put(operation)?;
    _ = tx.delete::<OpenOperation>(&crate::store::Document::document_id(&operation.open_row()))?;
    let outcome = operation.closed.as_ref().map(|closed| &closed.outcome);
    let signed = operation.transaction && matches!(outcome, Some(Outcome::Complete { .. }));
    let Some(claim) = operation.claim().filter(|_| !signed) else { return Ok(()) };
    let held: Option<Claim> = tx.read(&claim.about)?;
    if held.is_some_and(|held| held.operation == operation.id) {
        _ = tx.delete::<Claim>(&claim.about)?;
    }
    Ok(())
}

/// A text of the product's own as a reason.
fn plain(text: &str) -> Reason {
    text.parse().expect("names and plain words are a reason")
}
