//! The way of one operation: from the caller's session to the record of what came of it.
//!
//! ```text
//! begin (authenticate) ─▶ authorize ─▶ … decide … ─▶ commit or use ─▶ finish (record is durable)
//!                                          └──────────── refuse (record is durable) ─▶ error
//! ```
//!
//! Whatever comes of an operation, also a refusal, stands in the log before the caller hears of it.

use std::sync::Arc;

use crate::access::Authenticated;
use crate::access::Confirmed;
use crate::access::Denied;
use crate::access::Grant;
use crate::access::Permission;
use crate::access::Target;
use crate::audit::Detail;
use crate::audit::Draft;
use crate::audit::Encoded;
use crate::audit::EventType;
use crate::audit::Pending;
use crate::audit::Phase;
use crate::key::KeyRef;
use crate::key::ManagedKey;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Refused;
use crate::manager::approvals::put_closed;
use crate::manager::table::Slot;
use crate::multisig::Permit;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::time::Timestamp;

/// One operation under way.
#[derive(Debug)]
pub(crate) struct Way<'k> {
    kms: &'k KeyManager,
    /// The moment every decision of this operation is made for.
    pub(crate) now: Timestamp,
    /// Who asks.
    pub(crate) who: Authenticated,
    /// The record, filled in on the way.
    pub(crate) draft: Draft,
    /// The record once it is queued, or why it could not be.
    queued: Option<Result<Pending<()>, Error>>,
    /// Where the record stands in the store's outbox.
    outbox: Option<i64>,
    /// Leave to go on, whose approvals the next commit spends.
    permit: Option<Permit<'k>>,
}

impl KeyManager {
    /// Runs one operation for `caller`: authenticates, runs it, and returns its value or its
    /// refusal once the record of it is durable.
    pub(crate) fn operation<'k, T>(
        &'k self,
        caller: &Caller,
        event: EventType,
        run: impl FnOnce(&mut Way<'k>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut way = self.begin(caller, event)?;
        match run(&mut way) {
            Ok(value) => way.finish(value),
            Err(error) => Err(way.refuse(error)),
        }
    }

    /// Authenticates `caller` for one operation.
    pub(crate) fn begin(&self, caller: &Caller, event: EventType) -> Result<Way<'_>, Error> {
        let (mut draft, now) = self.new_draft(event);
        draft.source_ip = caller.client().source_ip.map(|ip| ip.to_string());
        draft.user_agent = caller.client().named();
        draft.request = caller.request().map(str::to_owned);
        let now = match now {
            Ok(now) => now,
            Err(leapt) => return Err(self.record_refusal(draft, leapt)),
        };
        match self.access.validate_session(&caller.presented(), now) {
            Ok(who) => {
                draft.session = Some(who.session().to_string());
                draft.principal = Some(who.principal().to_string());
                Ok(Way { kms: self, now, who, draft, queued: None, outbox: None, permit: None })
            }
            Err(refusal) => Err(self.record_stranger(draft, refusal.into())),
        }
    }

    /// A record of the present moment, and that moment; where the clock is not believed, of the last
    /// one that was.
    pub(crate) fn new_draft(&self, event: EventType) -> (Draft, Result<Timestamp, Error>) {
        let now = self.now();
        let moment = now.as_ref().map_or_else(|_| self.last_moment(), |now| *now);
        (Draft::new(event, moment, self.next_record_id()), now)
    }

    /// Writes that an operation was refused or went wrong, and hands the error on. When even that
    /// cannot be written, the caller is told of the log instead: nothing happens unrecorded.
    pub(crate) fn record_refusal(&self, mut draft: Draft, error: Error) -> Error {
        if error.is_denial() {
            draft.details.insert(0, text("wanted", draft.event.name()));
            draft.event = EventType::AccessDenied;
        }
        draft.success = false;
        draft.error_code = Some(error.code().to_owned());
        draft.error_message = Some(error.on_record());
        match self.audit.record(draft).and_then(Pending::wait) {
            Ok(()) => error,
            Err(fault) => fault.into(),
        }
    }
}

impl KeyManager {
    /// Makes a change durable together with a record that is not that of the operation under way,
    /// and waits for the record.
    pub(crate) fn commit_alone(
        &self,
        name: &'static str,
        draft: Draft,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), Error> {
        self.audit.check_room()?;
        let (id, encoded, log_size) = (draft.id.to_hex(), draft.encode(), self.audit.head().size);
        let position = self.store.transact(name, |tx| {
            change(tx)?;
            self.keep_head(tx)?;
            tx.outbox(&id, log_size, encoded.as_bytes())
        })?;
        self.audit.record(encoded)?.wait()?;
        self.store.clear_outbox(position);
        Ok(())
    }
}

impl<'k> Way<'k> {
    /// Hands in the leave to go on: the next commit spends its approvals, in its transaction.
    pub(crate) fn spend(&mut self, permit: Permit<'k>) {
        if !permit.spent().is_empty() {
            self.note("approvals", permit.approvals());
        }
        self.permit = Some(permit);
    }

    /// Spends the approvals in a transaction of their own, before what writes none: a crash after it
    /// leaves approvals that are used up, never one that serves twice.
    pub(crate) fn spend_before(&mut self, permit: Permit<'_>) -> Result<(), Error> {
        if permit.spent().is_empty() {
            return Ok(());
        }
        let details = vec![text("multisig", permit.approvals())];
        self.note("approvals", permit.approvals());
        self.aside((EventType::MultisigOperation, "complete", details), |tx| {
            permit.spent().iter().try_for_each(|operation| put_closed(tx, operation))
        })
    }

    /// Makes a change durable with a record of its own, on the account of whoever asks, while this
    /// operation is under way.
    pub(crate) fn aside(
        &self,
        (event, operation, details): (EventType, &str, Vec<(String, Detail)>),
        change: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), Error> {
        let (id, operation) = (self.kms.next_record_id(), Some(operation.to_owned()));
        let (phase, success) = (Phase::Single, true);
        let draft = Draft { id, event, operation, phase, success, details, ..self.draft.clone() };
        self.kms.commit_alone("change an operation", draft, change)
    }
}

impl Way<'_> {
    /// Says in the record which key this is about.
    pub(crate) fn about(&mut self, key: &ManagedKey) {
        self.draft.key = Some(key.id);
    }

    /// Asks for a permission on a target.
    pub(crate) fn authorize(
        &self,
        permission: Permission,
        target: &Target<'_>,
    ) -> Result<Grant, Error> {
        Ok(self.kms.access.authorize(&self.who, permission, target)?)
    }

    /// Finds a key. Who may read every key is told that there is none, and which names are like it;
    /// anyone else learns no more than of a key that their roles do not cover.
    pub(crate) fn find(&self, key: &KeyRef) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.kms.keys.find(key) {
            return Ok(slot);
        }
        _ = self.authorize(Permission::KeyRead, &Target::None).map_err(|_| Denied::Hidden)?;
        let like = match key {
            KeyRef::Id(_) => Vec::new(),
            KeyRef::Label(label) => self.kms.keys.labels_like(label),
        };
        Err(Refused::KeyNotFound { key: key.clone(), like }.into())
    }

    /// Refuses to go on with a key whose label went on to another one while its lock was waited
    /// for: who stops a key by its label means the one that signs.
    pub(crate) fn check_still_named(&self, key: &KeyRef, slot: &Arc<Slot>) -> Result<(), Error> {
        match self.kms.keys.find(key) {
            Some(found) if Arc::ptr_eq(&found, slot) => Ok(()),
            Some(_) | None => Err(Refused::KeyMovedOn(key.clone()).into()),
        }
    }

    /// Asks for a permission on a key that exists.
    pub(crate) fn authorize_key(
        &mut self,
        permission: Permission,
        key: &ManagedKey,
    ) -> Result<Grant, Error> {
        self.about(key);
        let target = Target::Key { id: &key.id, label: &key.label, purpose: key.purpose };
        self.authorize(permission, &target)
    }

    /// Asks for a second factor shown in the last minutes, on top of a permission.
    pub(crate) fn confirm(&self, grant: Grant) -> Result<Confirmed, Error> {
        Ok(self.kms.access.require_mfa(grant, self.now)?)
    }

    /// Asks for a second factor where `needed`.
    pub(crate) fn confirm_if(&self, needed: bool, grant: Grant) -> Result<Grant, Error> {
        if needed { self.confirm(grant).map(Confirmed::into_grant) } else { Ok(grant) }
    }

    /// Adds a detail to the record.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<String>) {
        self.draft.details.push(text(name, value));
    }

    /// Writes durably what is about to be done, for what cannot be undone or acts outside. An
    /// intent without an outcome is reported as "outcome unknown" at the next start.
    pub(crate) fn intend(&mut self) -> Result<(), Error> {
        let outcome = self.kms.next_record_id();
        self.draft.details.push(text("outcome", outcome.to_hex()));
        let mut intent = self.draft.clone();
        intent.phase = Phase::Intent;
        self.kms.audit.record(intent)?.wait()?;
        _ = self.draft.details.pop();
        self.draft.id = outcome;
        self.draft.phase = Phase::Outcome;
        Ok(())
    }

    /// Makes a change durable together with its record, then queues the record.
    ///
    /// A crash before the commit leaves nothing; after it, the record is appended from the outbox
    /// at the next start. Once this returned `Ok`, the change is made and must be published.
    pub(crate) fn commit(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), Error> {
        self.commit_then(name, change, || ())
    }

    /// As [`Self::commit`], with an effect outside the store between the commit and the record.
    /// What the effect returned is handed on; the change is made in any case.
    pub(crate) fn commit_then<T>(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
        effect: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        self.kms.audit.check_room()?;
        let encoded: Encoded = self.draft.encode();
        let (id, log_size) = (self.draft.id.to_hex(), self.kms.audit.head().size);
        let permit = self.permit.take(); // nobody else spends its approvals before this is done
        let spent = permit.as_ref().map(Permit::spent).unwrap_or_default();
        let committed = self.kms.store.transact(name, |tx| {
            change(tx)?;
            spent.iter().try_for_each(|operation| put_closed(tx, operation))?;
            self.kms.keep_head(tx)?;
            tx.outbox(&id, log_size, encoded.as_bytes())
        });
        let position = committed.inspect_err(|_: &StoreError| {
            // Nobody knows whether it is on the disk: if it is, its record is, too, and the one of
            // this failure must not be taken for it.
            self.draft.id = self.kms.next_record_id();
            self.draft.phase = Phase::Single;
            self.note("attempt", &*id);
        })?;
        self.outbox = Some(position);
        let outcome = effect();
        self.queued = Some(self.kms.audit.record(encoded).map_err(Error::from));
        Ok(outcome)
    }

    /// Closes the way: the value is returned once the record is durable.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Error> {
        let queued = match self.queued {
            Some(queued) => queued,
            None => self.kms.audit.record(self.draft).map_err(Error::from),
        };
        queued?.wait()?;
        if let Some(position) = self.outbox {
            self.kms.store.clear_outbox(position);
        }
        Ok(value)
    }

    /// Closes the way with an error: it is returned once the record of it is durable.
    pub(crate) fn refuse(mut self, error: Error) -> Error {
        let done = self.outbox.filter(|_| matches!(self.queued, Some(Ok(_))));
        if self.queued.is_some() {
            self.draft.id = self.kms.next_record_id(); // the change has its record already
            self.draft.phase = Phase::Single;
        }
        let error = self.kms.record_refusal(self.draft, error);
        if let (Some(position), false) = (done, matches!(error, Error::Fault(Fault::Audit(_)))) {
            self.kms.store.clear_outbox(position); // this record is durable, so the one before is
        }
        error
    }
}

/// A detail that is a text.
pub(crate) fn text(name: &str, value: impl Into<String>) -> (String, Detail) {
    (name.to_owned(), Detail::Text(value.into()))
}
