//! Beginning and ending sessions; unsealing with the passphrase that is shown.

use std::sync::PoisonError;

use kms_secret::SecretBytes;

use crate::access;
use crate::access::AccessContents;
use crate::access::Attestation;
use crate::access::LockoutRecord;
use crate::access::Permission;
use crate::access::PrincipalId;
use crate::access::PrincipalName;
use crate::access::Proof;
use crate::access::Proven;
use crate::access::SessionRecord;
use crate::access::SessionTag;
use crate::access::Target;
use crate::audit::Cause;
use crate::audit::Draft;
use crate::audit::EventType;
use crate::manager::Caller;
use crate::manager::Client;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::manager::Login;
use crate::manager::Refused;
use crate::manager::flood;
use crate::manager::home::meta;
use crate::manager::people::put_change;
use crate::manager::way::Way;
use crate::manager::way::text;
use crate::storage::KeyStorage;
use crate::storage::Refused as Stored;
use crate::storage::SlotKind;
use crate::storage::SlotRef;
use crate::storage::StorageError;
use crate::store::Document;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::time::Timestamp;

/// A stored session, under its tag.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct StoredSession {
    tag: String,
    session: SessionRecord,
}

impl Document for StoredSession {
    const KIND: &'static str = "session";

    fn document_id(&self) -> String {
        self.tag.clone()
    }
}

/// How often who failed; one document, so that it cannot grow without bound.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct StoredLockouts {
    lockouts: Vec<LockoutRecord>,
}

impl Document for StoredLockouts {
    const KIND: &'static str = "lockouts";

    fn document_id(&self) -> String {
        "all".to_owned()
    }
}

impl KeyManager {
    /// Begins a session for who shows a principal's passphrase and, if there is one, the second
    /// factor. Unseals the keystore when the principal has a slot.
    ///
    /// # Errors
    /// One answer for an unknown name, a wrong passphrase and a wrong code, after the same time;
    /// also when too many attempts failed. Failures are recorded.
    pub fn login(&self, login: Login<'_>) -> Result<Caller, Error> {
        self.login_within(login, None)
    }

    /// As [`Self::login`], with the name of the request it is, which stands in the record.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub fn login_within(&self, login: Login<'_>, request: Option<&str>) -> Result<Caller, Error> {
        let (mut draft, now) = self.new_draft(EventType::SessionCreated);
        draft.request = request.map(str::to_owned);
        draft.source_ip = login.client.source_ip.map(|ip| ip.to_string());
        draft.user_agent = login.client.named();
        match now.and_then(|now| self.try_login(&mut draft, &login, now)) {
            Ok((token, expires_at)) => Ok(Caller::started(token, login.client, expires_at)),
            Err(error) => {
                let was_tried = !flood::is_cheap(&error);
                let error = self.login_failed(draft, error);
                if was_tried {
                    self.keep_lockouts()?;
                }
                Err(error)
            }
        }
    }

    fn login_failed(&self, mut draft: Draft, error: Error) -> Error {
        draft.event = EventType::LoginFailed;
        if let Error::Refused(Refused::Login(refused)) = &error {
            // For the record alone: the caller's answer is the same for all of these.
            draft.principal = refused.principal().map(|id| id.to_string());
            draft.details.push(text("why", refused.name()));
        }
        if flood::is_cheap(&error) {
            return self.record_stranger(draft, error);
        }
        self.record_refusal(draft, error)
    }

    /// Begins a session for whoever's connection shows one of a principal's attestations. It has no
    /// second factor and unseals nothing.
    ///
    /// # Errors
    /// One answer whatever was wrong. Failures are recorded.
    pub fn login_attested(
        &self,
        (principal, shown): (&PrincipalName, &[Attestation]),
        client: Client,
        request: Option<&str>,
    ) -> Result<Caller, Error> {
        let (mut draft, now) = self.new_draft(EventType::SessionCreated);
        draft.request = request.map(str::to_owned);
        draft.source_ip = client.source_ip.map(|ip| ip.to_string());
        draft.user_agent = client.named();
        let started = now.and_then(|now| {
            self.audit.check_room()?;
            let proof = self.access.prove_attested(principal.as_str(), shown)?;
            draft.principal = Some(proof.principal().to_string());
            draft.details.push(text("by", "attestation"));
            self.begin_session(&mut draft, (proof, &client), now)
        });
        match started {
            Ok((token, expires_at)) => Ok(Caller::started(token, client, expires_at)),
            Err(error) => Err(self.login_failed(draft, error)),
        }
    }

    fn try_login(
        &self,
        draft: &mut Draft,
        login: &Login<'_>,
        now: Timestamp,
    ) -> Result<(SecretBytes, Timestamp), Error> {
        self.audit.check_room()?;
        // 1. The passphrase.
        let shown = access::Login {
            name: login.principal.as_str(),
            passphrase: login.passphrase,
            client: login.client.shown(),
        };
        let proven = self.access.prove(&shown, now)?;
        draft.principal = Some(proven.proof().principal().to_string());
        // 2. The second factor, whose use is stored before it counts.
        let proven = match login.mfa_code {
            Some(code) => self.accept_code(proven, code, login)?,
            None => proven,
        };
        // 3. The keystore, where the principal may open it.
        if self.unseal_with(&proven)? {
            draft.details.push(text("unsealed", "true"));
        }
        // 4. The session, stored with its record.
        self.begin_session(draft, (proven.into_proof(), &login.client), now)
    }

    /// The session of a proof, stored with its record.
    fn begin_session(
        &self,
        draft: &mut Draft,
        (proof, client): (Proof, &Client),
        now: Timestamp,
    ) -> Result<(SecretBytes, Timestamp), Error> {
        let started = self.access.create_session(proof, client.shown(), now)?;
        draft.session = Some(started.session.tag().to_string());
        let encoded = draft.encode();
        let ended = &started.ended;
        let tag = started.session.tag();
        let stored = StoredSession {
            tag: tag.to_string(),
            session: self.access.session_record(&started.session),
        };
        let position = self.store.transact("begin session", |tx| {
            ended.iter().try_for_each(|tag| delete_session(tx, *tag))?;
            tx.put(&stored)?;
            tx.outbox(&draft.id.to_hex(), self.audit.head().size, encoded.as_bytes())
        })?;
        self.audit.record(encoded)?.wait()?;
        self.store.clear_outbox(position);
        Ok((started.token, started.expires_at))
    }

    /// A code is of the clock's time, also while decisions wait for the clock to catch up.
    fn accept_code(&self, proven: Proven, code: &str, login: &Login<'_>) -> Result<Proven, Error> {
        let code = SecretBytes::copy_from(code.as_bytes());
        let mut changing = self.access.changing();
        let at = self.options.clock.now();
        let accepted = changing.accept_code(proven, (&code, &login.client.shown()), at)?;
        self.store.transact("accept code", |tx| put_change(tx, accepted.change()))?;
        Ok(changing.apply_code(accepted))
    }

    fn unseal_with(&self, proven: &Proven) -> Result<bool, Error> {
        let id = proven.proof().principal();
        let owner = id.to_string();
        let principal = self.access.principal(&owner);
        if !principal.is_some_and(|principal| principal.has_slot) || !self.keystore.is_sealed() {
            return Ok(false);
        }
        let seed = proven.stretched().unseal_key();
        self.keystore.unseal(SlotRef::Principal(&owner), &seed)?;
        self.options.storages.iter().for_each(|storage| storage.unlock());
        self.keep_generation()?; // before a removal, which counts on from an older number
        self.remove_stale_slots(&owner, &seed)?;
        self.keep_generation()?;
        Ok(true)
    }

    /// Keeps the number of the keystore key, and refuses one that has gone back: the keystore of
    /// last week would have keys and slots that are gone.
    pub(crate) fn keep_generation(&self) -> Result<(), Error> {
        let found = self.keystore.generation();
        let stored = self.store.meta(meta::KEYSTORE_GENERATION)?;
        let known = stored.and_then(|text| text.parse().ok()).unwrap_or(0);
        if found < known {
            self.forget_secrets();
            return Err(Fault::KeystorePutBack { found, known }.into());
        }
        if found > known {
            let name = meta::KEYSTORE_GENERATION;
            self.store.transact("keep generation", |tx| tx.set_meta(name, &found.to_string()))?;
        }
        Ok(())
    }

    /// Removes slots that a crash left behind: of principals that are gone, and, where a change of
    /// the passphrase was cut off and left two, the one that this passphrase does not open.
    fn remove_stale_slots(&self, owner: &str, seed: &SecretBytes) -> Result<(), Error> {
        let slots = self.keystore.slots();
        let own = slots.iter().filter(|slot| slot.principal == owner).count();
        for slot in slots {
            if slot.kind == SlotKind::Hsm {
                continue; // a token's, which no principal's leaving concerns
            }
            let is_stale = if slot.principal == owner {
                let opened = || self.keystore.unseal(SlotRef::Id(slot.id), seed);
                own > 1 && matches!(opened(), Err(StorageError::Refused(Stored::WrongPassphrase)))
            } else {
                self.access.principal(&slot.principal).is_none()
            };
            if is_stale {
                _ = self.keystore.remove_slot(slot.id)?;
            }
        }
        Ok(())
    }

    /// Whose session the caller shows, if there is one; it is neither used nor checked, so nothing is
    /// decided by it but how much of a request is read.
    pub fn holder(&self, caller: &Caller) -> Option<PrincipalId> {
        self.access.holder(caller.token())
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.access.session_count()
    }

    /// Writes one record of `count` refusals of callers without a session: a flood of them must not
    /// fill the log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_refusals(&self, count: u64) -> Result<(), Error> {
        let (mut draft, _) = self.new_draft(EventType::AccessDenied);
        draft.cause = Cause::Timer;
        draft.success = false;
        draft.error_code = Some("session_missing".to_owned());
        draft.details.push(text("count", count.to_string()));
        Ok(self.audit.record(draft)?.wait()?)
    }

    /// Whether the caller's session lives. Nothing is done, so nothing is on record but a refusal.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_session(&self, caller: &Caller) -> Result<(), Error> {
        self.begin(caller, EventType::AccessRead).map(|_| ())
    }

    /// Ends the caller's session. Ending one that has ended is no error.
    ///
    /// # Errors
    /// When the record of it cannot be written.
    pub fn logout(&self, caller: Caller) -> Result<(), Error> {
        let Ok(way) = self.begin(&caller, EventType::SessionEnded) else { return Ok(()) };
        let tag = way.who.session();
        self.end_sessions(way, &[tag])
    }

    /// Ends sessions at once and durably.
    pub(crate) fn end_sessions(&self, mut way: Way<'_>, tags: &[SessionTag]) -> Result<(), Error> {
        let ended: Vec<String> = tags.iter().map(ToString::to_string).collect();
        way.note("ended", ended.join(" "));
        tags.iter().for_each(|tag| self.access.end_session(*tag));
        way.commit("end session", |tx| tags.iter().try_for_each(|tag| delete_session(tx, *tag)))?;
        way.finish(())
    }

    /// Forgets every secret: parsed keys and the keystore key. Sessions stay; their holders can
    /// read, and use keys again once someone with a slot has logged in.
    ///
    /// Needs `key:suspend` on every key, since it stops them all.
    ///
    /// # Errors
    /// When the caller may not or the record cannot be written.
    pub fn lock(&self, caller: &Caller) -> Result<(), Error> {
        self.operation(caller, EventType::Locked, |way| {
            _ = way.authorize(Permission::KeySuspend, &Target::None)?;
            self.forget_secrets();
            Ok(())
        })
    }

    pub(crate) fn forget_secrets(&self) {
        self.file.lock(); // and the keystore key
        self.memory.lock();
        self.options.storages.iter().for_each(|storage| storage.lock());
    }

    /// Closes the home: the last checkpoint is signed, its size and root are stored, and every
    /// secret is forgotten.
    ///
    /// # Errors
    /// When something cannot be written any more.
    pub fn close(self) -> Result<(), Error> {
        self.forget_secrets();
        self.record_flood()?;
        self.audit.close()?;
        self.store.transact("close", |tx| self.keep_head(tx))?;
        Ok(self.store.close()?)
    }

    /// Keeps the newest signed head of the log in the store, so that a log cut short shows.
    pub(crate) fn keep_head(&self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        let mut stored = self.stored_head.lock().unwrap_or_else(PoisonError::into_inner);
        match self.audit.anchor() {
            Some(head) if Some(head) != *stored => {
                tx.set_meta(meta::AUDIT_HEAD, &head.to_string())?;
                *stored = Some(head);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Removes sessions from the store that ended with their time.
    pub(crate) fn forget_ended_sessions(&self, now: Timestamp) -> Result<(), Error> {
        let ended = self.access.sweep_sessions(now);
        if ended.is_empty() {
            return Ok(());
        }
        Ok(self.store.transact("ended sessions", |tx| {
            ended.iter().try_for_each(|tag| delete_session(tx, *tag))
        })?)
    }

    /// Stores how often who failed, so that a restart does not forgive.
    pub(crate) fn keep_lockouts(&self) -> Result<(), Error> {
        let kept = StoredLockouts { lockouts: self.access.lockout_records() };
        Ok(self.store.transact("keep lockouts", |tx| tx.put(&kept))?)
    }
}

/// What the store has for the access room.
pub(crate) fn load_access(store: &Store) -> Result<AccessContents, Error> {
    let stored: Vec<StoredSession> = store.read_all()?;
    let lockouts: Vec<StoredLockouts> = store.read_all()?;
    Ok(AccessContents {
        principals: store.read_all()?,
        credentials: store.read_all()?,
        roles: store.read_all()?,
        sessions: stored.into_iter().map(|stored| stored.session).collect(),
        lockouts: lockouts.into_iter().flat_map(|all| all.lockouts).collect(),
    })
}

/// Removes a session from the store, if it is there.
pub(crate) fn delete_session(tx: &mut Transaction<'_>, tag: SessionTag) -> Result<(), StoreError> {
    tx.delete::<StoredSession>(&tag.to_string()).map(|_| ())
}
