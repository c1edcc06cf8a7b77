//! [`MultiSigManager`]: multi-signature keys, operations and approval rules, for one caller.

use crate::access::Permission;
use crate::access::Target;
use crate::audit::EventType;
use crate::compromise;
use crate::key::KeyRef;
use crate::key::Purpose;
use crate::key::Reason;
use crate::key::Scheme;
use crate::lifecycle;
use crate::lifecycle::uses::Sign;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::agreed::Completed;
use crate::manager::agreed::Listed;
use crate::manager::agreed::OperationView;
use crate::manager::agreed::Page;
use crate::manager::agreed::completed;
use crate::manager::agreed::described;
use crate::manager::approvals::Circumstances;
use crate::manager::approvals::put_closed;
use crate::manager::approvals::put_new;
use crate::manager::orders::Order;
use crate::manager::signing::sha256_hex;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::multisig;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::Claim;
use crate::multisig::Form;
use crate::multisig::InvalidConfig;
use crate::multisig::MultiSigId;
use crate::multisig::MultiSigKey;
use crate::multisig::New;
use crate::multisig::NewMultiSigKey;
use crate::multisig::OpenOperation;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::OperationState;
use crate::multisig::Refusal;
use crate::multisig::Reminder;
use crate::multisig::SignerRef;
use crate::multisig::Tally;
use crate::storage;

/// The most operations of one page.
const PAGE_LIMIT: u32 = 1000;

/// The specification's `MultiSigManager`, for one caller.
///
/// Every call first records which operations time has ended.
#[derive(Debug)]
pub struct MultiSigManager<'a> {
    pub(crate) kms: &'a KeyManager,
    pub(crate) caller: &'a Caller,
}

impl MultiSigManager<'_> {
    /// Makes a multi-signature key; durable on return. Owners of signers are given by name or id.
    ///
    /// Needs `multisig:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the configuration contradicts itself, one of that name or just like it is here, a
    /// signer's key is one for consensus here, an owner is nobody, or the caller may not.
    pub fn create_multisig_key(&self, mut wanted: NewMultiSigKey) -> Result<MultiSigKey, Error> {
        self.step("create", |way| {
            _ = way.confirm(way.authorize(Permission::MultisigManage, &Target::None)?)?;
            for signer in &mut wanted.signers {
                if let Some(owner) = &signer.owner {
                    let found = self.kms.access.principal(owner);
                    let found = found.ok_or_else(|| Refused::PrincipalNotFound(owner.clone()))?;
                    signer.owner = Some(found.id.to_string());
                }
                let known = self.kms.keys.find_public(&signer.public_key);
                let slot = known.and_then(|id| self.kms.keys.find(&id.into()));
                if slot.is_some_and(|slot| slot.read().purpose == Purpose::Consensus) {
                    return Err(InvalidConfig::Consensus(signer.label.clone()).into());
                }
            }
            let by = way.who.principal().to_string();
            let key = MultiSigKey::new(wanted, &by, way.now)?;
            let _turn = self.kms.multisig.take();
            let all: Vec<MultiSigKey> = self.kms.store.read_all()?;
            let same = |other: &&MultiSigKey| {
                other.id == key.id || other.label.folded() == key.label.folded()
            };
            if let Some(other) = all.iter().find(same) {
                return Err(Refused::MultiSigExists(other.label.clone()).into());
            }
            way.note("multisig_key", key.id.to_string());
            way.note("configuration_sha256", hex::encode(key.configuration_sha256()));
            way.commit("create multisig key", |tx| tx.insert(&key))?;
            Ok(key)
        })
    }

    /// A multi-signature key, by label or id.
    ///
    /// # Errors
    /// When there is none, or the caller may see none.
    pub fn get_multisig_key(&self, named: &str) -> Result<MultiSigKey, Error> {
        self.look(|_| self.key_named(named))
    }

    /// All multi-signature keys, by label.
    ///
    /// # Errors
    /// When the caller may see none.
    pub fn list_multisig_keys(&self) -> Result<Vec<MultiSigKey>, Error> {
        self.look(|_| {
            let mut keys: Vec<MultiSigKey> = self.kms.store.read_all()?;
            keys.sort_by_key(|key| key.label.folded());
            Ok(keys)
        })
    }

    /// Begins an operation over a message; durable on return. The initiator is the caller.
    ///
    /// Needs `multisig:initiate`.
    ///
    /// # Errors
    /// When the message is none, too long, or no transaction of a Cosmos account; when not enough
    /// signers are left; when there is no such key, or the caller may not.
    pub fn initiate_operation(
        &self,
        key: &str,
        message: &[u8],
        description: Reason,
    ) -> Result<Operation, Error> {
        self.step("initiate", |way| {
            _ = way.authorize(Permission::MultisigInitiate, &Target::None)?;
            let key = self.key_named(key)?;
            let circumstances = Circumstances::new(self.kms, way.now);
            let initiator = way.who.principal().to_string();
            let id = self.kms.next_operation_id(way.now)?;
            let new = New { id, message, description, initiator: &initiator, asked_by: None };
            let _turn = self.kms.multisig.take();
            let operation = multisig::initiate(&key, new, &circumstances.present())?;
            if let Some(claim) = operation.claim()
                && let Some(other) = self.kms.store.read::<Claim>(&claim.about)?
            {
                return Err(Refusal::SameTransaction(other.operation).into());
            }
            self.note(way, &operation);
            way.commit("begin operation", |tx| put_new(tx, &operation, message))?;
            Ok(operation)
        })
    }

    /// Adds a signature that was made elsewhere, by a signer's key here or by other software; it is
    /// verified first. Anyone who may add signatures may bring it: what counts is whose it is.
    ///
    /// Needs `multisig:sign`.
    ///
    /// # Errors
    /// When it is none of a signer over this operation, the signer has signed, or the operation is
    /// over; when the caller may not.
    pub fn add_signature(
        &self,
        operation: OperationId,
        signer: &SignerRef,
        signature: &[u8],
    ) -> Result<OperationView, Error> {
        self.step("add_signature", |way| {
            _ = way.authorize(Permission::MultisigSign, &Target::None)?;
            self.add(way, operation, (signer, signature))
        })
    }

    /// Signs with a key of this home and adds the signature. The key is used as for any signature:
    /// its state and purpose are looked at, and its record is durable before the signature is used.
    ///
    /// Needs `multisig:sign` on the key. A signer's key that has an owner is used by its owner only.
    ///
    /// # Errors
    /// As [`Self::add_signature`], and when the key may not or cannot be used.
    pub fn sign(&self, operation: OperationId, key: &KeyRef) -> Result<OperationView, Error> {
        let now = self.kms.now()?;
        self.kms.expire_operations(now)?;
        let mut way = self.kms.begin(self.caller, EventType::KeySigned)?;
        way.draft.operation = Some("multisig sign".to_owned());
        match self.sign_on_the_way(&mut way, operation, key) {
            Ok(view) => Ok(view),
            Err(error) => Err(way.refuse(error)),
        }
    }

    /// An operation with what is to be signed, decoded.
    ///
    /// # Errors
    /// When there is none, or the caller may see none.
    pub fn get_operation(&self, operation: OperationId) -> Result<OperationView, Error> {
        self.look(|way| self.view(way, operation))
    }

    /// A page of operations: the open ones by their expiry, or all by their beginning. `after` is
    /// where the last page ended, or empty.
    ///
    /// # Errors
    /// When the caller may see none.
    pub fn list_operations(&self, open: bool, after: &str, limit: u32) -> Result<Page, Error> {
        self.look(|way| {
            let limit = limit.clamp(1, PAGE_LIMIT);
            let (mut operations, mut next) = (Vec::new(), None);
            if open {
                for row in self.kms.store.page::<OpenOperation>(after, limit)? {
                    next = Some(crate::store::Document::document_id(&row));
                    operations.push(self.kms.multisig_operation(row.operation)?);
                }
            } else {
                operations = self.kms.store.page::<Operation>(after, limit)?;
                next = operations.last().map(|operation| operation.id.to_string());
            }
            let whole = u32::try_from(operations.len()) == Ok(limit);
            let circumstances = Circumstances::new(self.kms, way.now);
            let keys: Vec<MultiSigKey> = self.kms.store.read_all()?;
            let listed = |operation: Operation| {
                let key = keys.iter().find(|key| key.id == operation.key)?;
                let tally = multisig::tally(key, &operation, &circumstances.present());
                let reminder = multisig::reminder(&operation, &tally, way.now);
                let operation = Operation { signatures: Vec::new(), ..operation };
                Some(Listed { operation, key: key.label.clone(), tally, reminder })
            };
            let operations = operations.into_iter().filter_map(listed).collect();
            Ok(Page { operations, next: next.filter(|_| whole) })
        })
    }

    /// Completes an operation whose threshold is met, once; asked again, it gives the same. What an
    /// approval is for is carried out, on the caller's account and with the caller's permissions.
    ///
    /// Needs `multisig:complete`; to carry out what was approved, whatever that needs.
    ///
    /// # Errors
    /// When the threshold is not met, the operation is over, or the caller may not; when what was
    /// approved is refused now.
    pub fn complete_operation(&self, operation: OperationId) -> Result<Completed, Error> {
        let order = self.step("complete", |way| {
            self.may_look(way)?;
            let found = self.kms.multisig_operation(operation)?;
            let key = self.kms.multisig_key(found.key)?;
            let message = self.kms.multisig_message(operation)?;
            if found.act.is_none() {
                _ = way.authorize(Permission::MultisigComplete, &Target::None)?;
            }
            if matches!(self.tally(way, (&key, &found)).state, OperationState::Complete) {
                return Ok(Next::Done(Box::new(completed(&key, found, &message)?)));
            }
            if let Some(asked) = &found.rule {
                let stands =
                    |rule: &ApprovalRule| rule.name == asked.name && rule.version == asked.version;
                if !self.kms.rules().iter().any(stands) {
                    return Err(Refusal::RuleChanged(operation).into());
                }
                let circumstances = Circumstances::new(self.kms, way.now);
                let by = way.who.principal().to_string();
                // Decided again where it is carried out; here for a plain answer.
                multisig::complete((&key, &found, &message), &by, &circumstances.present())?;
                let act = Act::from_bytes(&message).as_ref().and_then(Order::of);
                let unknown = || Fault::Inconsistent(format!("{operation} is over no known act"));
                return Ok(Next::CarryOut(Box::new(act.ok_or_else(unknown)?)));
            }
            let _turn = self.kms.multisig.take();
            let found = self.kms.multisig_operation(operation)?;
            if matches!(self.tally(way, (&key, &found)).state, OperationState::Complete) {
                // Somebody else has just completed it: the same for both.
                return Ok(Next::Done(Box::new(completed(&key, found, &message)?)));
            }
            let circumstances = Circumstances::new(self.kms, way.now);
            let by = way.who.principal().to_string();
            let done = multisig::complete((&key, &found, &message), &by, &circumstances.present());
            let done = done?;
            self.note(way, &done);
            way.commit("complete operation", |tx| put_closed(tx, &done))?;
            Ok(Next::Done(Box::new(completed(&key, done, &message)?)))
        })?;
        match order {
            Next::Done(completed) => Ok(*completed),
            Next::CarryOut(order) => self.carry_out(operation, *order),
        }
    }

    /// Calls an operation off, for ever. Whoever began it may, and who holds `multisig:manage`.
    ///
    /// # Errors
    /// When it is over, or the caller may not.
    pub fn cancel_operation(
        &self,
        operation: OperationId,
        reason: &Reason,
    ) -> Result<Operation, Error> {
        self.step("cancel", |way| {
            way.note("reason", reason.as_str());
            self.may_look(way)?;
            let _turn = self.kms.multisig.take();
            let found = self.kms.multisig_operation(operation)?;
            let by = way.who.principal().to_string();
            if found.initiator != by {
                _ = way.authorize(Permission::MultisigManage, &Target::None)?;
            }
            let key = self.kms.multisig_key(found.key)?;
            let circumstances = Circumstances::new(self.kms, way.now);
            let present = circumstances.present();
            let cancelled = multisig::cancel((&key, &found), (&by, reason), &present)?;
            self.note(way, &cancelled);
            way.commit("cancel operation", |tx| put_closed(tx, &cancelled))?;
            Ok(cancelled)
        })
    }

    /// The reminders that are due now, of at most `limit` operations, those that expire first
    /// before the others. Whoever sends them keeps what was sent.
    ///
    /// # Errors
    /// When the caller may see no operation.
    pub fn reminders(&self, limit: u32) -> Result<Vec<Reminder>, Error> {
        let page = self.list_operations(true, "", limit)?;
        Ok(page.operations.into_iter().filter_map(|listed| listed.reminder).collect())
    }

    /// One step, on record as a step of a multi-signature operation.
    pub(crate) fn step<'k, T>(
        &'k self,
        name: &str,
        run: impl FnOnce(&mut Way<'k>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let now = self.kms.now()?;
        self.kms.expire_operations(now)?;
        self.kms.operation(self.caller, EventType::MultisigOperation, |way| {
            way.draft.operation = Some(name.to_owned());
            run(way)
        })
    }

    pub(crate) fn look<'k, T>(
        &'k self,
        run: impl FnOnce(&mut Way<'k>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.step("read", |way| {
            self.may_look(way)?;
            run(way)
        })
    }

    /// Whoever has a part in it sees all of it: what is signed must be comparable.
    fn may_look(&self, way: &Way<'_>) -> Result<(), Error> {
        let parts = [
            Permission::MultisigSign,
            Permission::MultisigInitiate,
            Permission::MultisigComplete,
            Permission::MultisigManage,
        ];
        if parts.into_iter().any(|part| way.authorize(part, &Target::None).is_ok()) {
            return Ok(());
        }
        way.authorize(Permission::KeyRead, &Target::None).map(|_| ())
    }

    pub(crate) fn key_named(&self, named: &str) -> Result<MultiSigKey, Error> {
        if let Ok(id) = named.parse::<MultiSigId>() {
            return self.kms.multisig_key(id);
        }
        let (folded, mut found) = (named.to_ascii_lowercase(), None);
        self.kms.store.for_each(|key: MultiSigKey| {
            if key.label.folded() == folded {
                found = Some(key);
            }
        })?;
        Ok(found.ok_or_else(|| Refused::MultiSigNotFound(named.chars().take(64).collect()))?)
    }

    /// Says in the record which operation this is about.
    fn note(&self, way: &mut Way<'_>, operation: &Operation) {
        way.note("multisig", operation.id.to_string());
        way.note("multisig_key", operation.key.to_string());
        way.note("message_sha256", operation.message_sha256.to_string());
    }

    fn tally(&self, way: &Way<'_>, (key, operation): (&MultiSigKey, &Operation)) -> Tally {
        let circumstances = Circumstances::new(self.kms, way.now);
        multisig::tally(key, operation, &circumstances.present())
    }

    fn view(&self, way: &Way<'_>, operation: OperationId) -> Result<OperationView, Error> {
        let mut operation = self.kms.multisig_operation(operation)?;
        let key = self.kms.multisig_key(operation.key)?;
        let message = self.kms.multisig_message(operation.id)?;
        let tally = self.tally(way, (&key, &operation));
        let reminder = multisig::reminder(&operation, &tally, way.now);
        let sign_bytes = multisig::sign_bytes(&key, &operation, &message);
        let out = matches!(tally.state, OperationState::ThresholdMet | OperationState::Complete);
        if !out && !key.config.allow_partial_sig {
            let hidden = |collected: &mut multisig::Collected| collected.signature.clear();
            operation.signatures.iter_mut().for_each(hidden);
        }
        let description = described(&message);
        Ok(OperationView { operation, key, tally, description, message, sign_bytes, reminder })
    }

    /// Verifies a signature and stores it.
    fn add(
        &self,
        way: &mut Way<'_>,
        operation: OperationId,
        (signer, signature): (&SignerRef, &[u8]),
    ) -> Result<OperationView, Error> {
        {
            let _turn = self.kms.multisig.take();
            let added = self.added(way, operation, (signer, signature))?;
            self.note(way, &added);
            if let Some(collected) = added.signatures.last() {
                way.note("signer", collected.signer.as_str());
                let bytes = hex::decode(&collected.signature).unwrap_or_default();
                way.note("signature_sha256", sha256_hex(&bytes));
            }
            way.commit("add signature", |tx| tx.put(&added))?;
        }
        self.view(way, operation)
    }

    fn added(
        &self,
        way: &Way<'_>,
        operation: OperationId,
        (signer, signature): (&SignerRef, &[u8]),
    ) -> Result<Operation, Error> {
        let found = self.kms.multisig_operation(operation)?;
        let key = self.kms.multisig_key(found.key)?;
        let message = self.kms.multisig_message(operation)?;
        let by = way.who.principal().to_string();
        let circumstances = Circumstances::new(self.kms, way.now);
        let (of, given) = ((&key, &found, &*message), (signer, signature));
        Ok(multisig::add_signature(of, given, &by, &circumstances.present())?)
    }

    /// Uses a signer's key: as any key is used, with one more look at whose it is.
    fn sign_on_the_way(
        &self,
        way: &mut Way<'_>,
        operation: OperationId,
        key: &KeyRef,
    ) -> Result<OperationView, Error> {
        let slot = way.find(key)?;
        let record = slot.read(); // no move of this key until its record is queued
        let grant = way.authorize_key(Permission::MultisigSign, &record)?;
        let found = self.kms.multisig_operation(operation)?;
        let multisig_key = self.kms.multisig_key(found.key)?;
        let message = self.kms.multisig_message(operation)?;
        self.note(way, &found);
        let signer = SignerRef::Key(record.public_key.clone());
        let circumstances = Circumstances::new(self.kms, way.now);
        multisig::may_sign((&multisig_key, &found), &signer, &circumstances.present())?;
        let owner = multisig_key.signer(&signer).and_then(|signer| signer.owner.clone());
        if owner.is_some_and(|owner| owner != way.who.principal().to_string()) {
            return Err(Refusal::OtherOwner(record.label.clone()).into());
        }
        let bytes = multisig::sign_bytes(&multisig_key, &found, &message);
        let what = Sign { key: &record, message: &bytes, scheme: Scheme::default() };
        let admitted = lifecycle::admit_joint_sign(grant, what, way.now)?;
        // A statement is of no use outside its operation; a transaction is one like any other.
        if multisig_key.form != Form::Approval && self.kms.is_guarded(ActKind::Sign, &record) {
            let order = Order::sign(record.id, &bytes, Scheme::default());
            let permit = self.kms.standing(way, &order, Some(&record))?.permit(way)?;
            way.spend_before(permit)?;
        }
        let cleared = compromise::observe(admitted);
        let storage = self.kms.storage(&record.storage)?;
        let unreleased = storage::sign(storage, cleared, |signature| {
            let mut draft = way.draft.clone();
            draft.details.push(text("signature_sha256", sha256_hex(&signature.bytes)));
            (signature, draft)
        })?;
        let signature = self.kms.audit.release(unreleased)?.wait()?;
        drop(record);
        // The signature has its record; taking it in has another.
        way.draft.id = self.kms.next_record_id();
        let turn = self.kms.multisig.take();
        let added = self.added(way, operation, (&signer, &signature.bytes))?;
        let details = vec![
            text("multisig", added.id.to_string()),
            text("signer", added.signatures.last().map_or("", |last| last.signer.as_str())),
        ];
        way.aside((EventType::MultisigOperation, "add_signature", details), |tx| tx.put(&added))?;
        drop(turn);
        self.view(way, operation)
    }
}

/// What is to be done with an operation that is to be completed.
enum Next {
    Done(Box<Completed>),
    CarryOut(Box<Order>),
}
