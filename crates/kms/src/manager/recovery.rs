//! What a start puts right, by itself and on record: torn lines, orphans, open intents, and what
//! time alone has caused.
//!
//! The product acts here on its own account, with a short list of what it may do: record, expire,
//! and carry out a destruction that a person ordered before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::AuditEvent;
use crate::audit::Cause;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::audit::Phase;
use crate::audit::Query;
use crate::audit::Torn;
use crate::compromise;
use crate::key::KeyId;
use crate::key::KeyState;
use crate::key::ManagedKey;
use crate::key::Reason;
use crate::lifecycle;
use crate::lifecycle::Context;
use crate::lifecycle::Moved;
use crate::lifecycle::SYSTEM;
use crate::lifecycle::Transition;
use crate::lifecycle::uses::Destroy;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Notice;
use crate::manager::moves::put_move;
use crate::manager::table::Slot;
use crate::manager::way::text;
use crate::storage;
use crate::storage::StorageError;
use crate::time::Timestamp;

/// How far back the log is read at a start, in records.
const RECENT: u64 = 10_000;

/// What the end of the log says.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Operations that were begun and never told what came of them, by the name their outcome's
    /// record would have.
    open: BTreeMap<String, String>,
    /// The newest move of each key that a person made: when, and to which state.
    moves: BTreeMap<KeyId, (Timestamp, String)>,
}

impl Recent {
    fn take(&mut self, event: &AuditEvent) {
        match event.phase {
            Phase::Intent => {
                let key = event.key.map(|key| key.to_string()).unwrap_or_default();
                let what = format!("{} {key}", event.event);
                if let Some(outcome) = event.detail_text("outcome") {
                    self.open.insert(outcome.to_owned(), what);
                }
            }
            Phase::Outcome | Phase::Single => {
                self.open.remove(&event.rid);
                // Only our own report closes an intent that is not closed by its outcome; callers
                // write records too.
                let reported = event.event == EventType::OutcomeUnknown;
                let name = if reported { "intent" } else { "attempt" };
                if event.event != EventType::Custom
                    && let Some(intent) = event.detail_text(name)
                {
                    self.open.remove(intent);
                }
                self.take_move(event);
            }
        }
    }

    fn take_move(&mut self, event: &AuditEvent) {
        let by_person = event.success && event.cause == Cause::Person && is_move(event.event);
        let (Some(key), Some(to), true) = (event.key, event.detail_text("to"), by_person) else {
            return;
        };
        let known = self.moves.get(&key).map(|(at, _)| *at);
        if known.is_none_or(|at| at <= event.time) {
            self.moves.insert(key, (event.time, to.to_owned()));
        }
    }
}

/// Whether a record of this type tells a move of a key's state.
fn is_move(event: EventType) -> bool {
    use EventType as E;
    matches!(
        event,
        E::KeyActivated
            | E::KeySuspended
            | E::KeyReactivated
            | E::KeyDeactivated
            | E::KeyArchived
            | E::KeyCompromised
            | E::KeyDestroyed
            | E::KeyRotationCompleted
    )
}

impl KeyManager {
    pub(crate) fn record_clock_step(&self, now: Timestamp, last: Timestamp) -> Result<(), Error> {
        let mut draft = self.own_draft(EventType::ClockStep);
        draft.details.push(text("clock", now.to_string()));
        draft.details.push(text("last_record", last.to_string()));
        Ok(self.audit.record(draft)?.wait()?)
    }

    pub(crate) fn record_torn(&self, torn: &Torn) -> Result<(), Error> {
        let mut draft = self.own_draft(EventType::TornLineSetAside);
        draft.details.push(text("file", torn.file.display().to_string()));
        draft.details.push(text("bytes", torn.bytes.to_string()));
        Ok(self.audit.record(draft)?.wait()?)
    }

    /// Sets key files without a record aside: a crash came between the file and its record.
    pub(crate) fn set_orphans_aside(&self) -> Result<(), Error> {
        let orphans = self.file.orphans(|id| self.keys.contains(id))?;
        if orphans.is_empty() {
            return Ok(());
        }
        let files: Vec<String> =
            orphans.iter().map(|orphan| orphan.path.display().to_string()).collect();
        let mut draft = self.own_draft(EventType::OutcomeUnknown);
        draft.details.push(text("orphaned_key_files", files.join(" ")));
        self.audit.record(draft)?.wait()?;
        self.notice(Notice::Orphans(files));
        Ok(())
    }

    /// What the end of the log says of operations and keys.
    pub(crate) fn recent(&self) -> Result<Recent, Error> {
        let size = self.audit.head().size;
        let query = Query { after: size.saturating_sub(RECENT), ..Query::default() };
        let mut recent = Recent::default();
        self.audit.files().visit(&query, |event, _| recent.take(&event))?;
        Ok(recent)
    }

    /// Refuses records of keys that are older than the log. A change is committed before it is
    /// recorded, so each move that the log has stands in the key's history; where it does not, an
    /// older state was put in place, in which a stopped key may sign.
    pub(crate) fn check_state(&self, recent: &Recent) -> Result<(), Error> {
        for (id, (at, to)) in &recent.moves {
            let history = self.store.history(*id)?;
            if !history.iter().any(|step| step.at == *at && step.to.name() == to) {
                return Err(Fault::StatePutBack { key: *id, to: to.clone(), at: *at }.into());
            }
        }
        Ok(())
    }

    /// Reports operations that were begun and never told what came of them.
    pub(crate) fn report_open_intents(&self, recent: Recent) -> Result<(), Error> {
        let open = recent.open;
        if open.is_empty() {
            return Ok(());
        }
        for (outcome, what) in &open {
            let mut draft = self.own_draft(EventType::OutcomeUnknown);
            draft.details.push(text("intent", outcome));
            draft.details.push(text("what", what));
            self.audit.record(draft)?.wait()?;
        }
        self.notice(Notice::OutcomeUnknown(open.into_values().collect()));
        Ok(())
    }

    /// Expires what is past its date, carries out destructions that are due, and removes private
    /// halves that a crash left behind.
    pub(crate) fn carry_out_what_is_due(&self) -> Result<(), Error> {
        let (now, clock) = (self.now()?, self.options.clock.now());
        for slot in self.keys.all() {
            let mut record = slot.write();
            // Destroying needs the clock's own word: a moment it once showed by mistake, and that
            // the log holds decisions to since, destroys nothing.
            let due = lifecycle::due(&record, now).filter(|due| {
                due.transition != Transition::Destroy || lifecycle::due(&record, clock).is_some()
            });
            if let Some(due) = due {
                let policy = self.policy_of(&record);
                let reason: Reason = due.reason.parse().expect("a reason of our own is one");
                let context = Context {
                    now,
                    by: SYSTEM,
                    approved_by: None,
                    reason: &reason,
                    policy: &policy,
                };
                let (event, moved) = match due.transition {
                    Transition::Destroy => {
                        (EventType::KeyDestroyed, lifecycle::destroy(&record, &context))
                    }
                    _ => (EventType::KeyExpired, lifecycle::expire(&record, &context)),
                };
                // A destruction that is due may still wait for the end of the grace period.
                if let Ok(moved) = moved {
                    *record = self.carry_out(event, &record, moved)?;
                    if event == EventType::KeyDestroyed && record.storage.is_token() {
                        self.remove_from_token(&record);
                    }
                }
            }
            self.remove_left_behind(&record)?;
        }
        Ok(())
    }

    /// Carries out what time alone causes, if there is any: for a process that stays. Sessions that
    /// are over go, keys past their date expire, and what was ordered to be destroyed by now is.
    ///
    /// # Errors
    /// When something cannot be written; what is due stays due.
    pub fn carry_out_due(&self) -> Result<(), Error> {
        let now = self.now()?;
        self.forget_ended_sessions(now)?;
        let is_due = |slot: &Arc<Slot>| lifecycle::due(&slot.read(), now).is_some();
        if self.keys.all().iter().any(is_due) { self.carry_out_what_is_due() } else { Ok(()) }
    }

    fn carry_out(
        &self,
        event: EventType,
        before: &ManagedKey,
        moved: Moved,
    ) -> Result<ManagedKey, Error> {
        let mut draft = self.own_draft(event);
        draft.key = Some(before.id);
        draft.details.push(text("from", before.state.name()));
        draft.details.push(text("to", moved.key.state.name()));
        let encoded = draft.encode();
        let position = self.store.transact("what is due", |tx| {
            put_move(tx, &moved)?;
            tx.outbox(&draft.id.to_hex(), self.audit.head().size, encoded.as_bytes())
        })?;
        self.audit.record(encoded)?.wait()?;
        self.store.clear_outbox(position);
        Ok(moved.key)
    }

    fn remove_left_behind(&self, key: &ManagedKey) -> Result<(), Error> {
        let gone = matches!(key.state, KeyState::Destroyed | KeyState::Archived);
        if !gone || key.storage.as_str() != "file" {
            return Ok(());
        }
        let admitted = lifecycle::admit_left_behind(Destroy { key })?;
        match storage::destroy(self.storage(&key.storage)?, compromise::observe(admitted)) {
            Ok(_) | Err(StorageError::Refused(storage::Refused::NotFound(_))) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn own_draft(&self, event: EventType) -> Draft {
        let (mut draft, _) = self.new_draft(event);
        draft.cause = Cause::Timer;
        draft
    }
}
