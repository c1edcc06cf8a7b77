//! The table of sessions, and the clock they live by.
//!
//! Decides which sessions are alive. Lookups take a read lock on one of sixteen shards and allocate
//! nothing.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicI64;

use kms_secret::SecretBytes;

use crate::access::AccessFault;
use crate::access::Presented;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::Session;
use crate::access::SessionPolicy;
use crate::access::SessionRecord;
use crate::access::SessionRefused;
use crate::access::SessionTag;
use crate::access::session::Client;
use crate::access::session::TokenHash;
use crate::access::session::cleaned;
use crate::time::Timestamp;

/// One second: threads read the clock and arrive here in another order, which is no setting back.
const CLOCK_TOLERANCE_MICROS: i64 = 1_000_000;

type Shard = RwLock<HashMap<TokenHash, Arc<Session>>>;

/// A time that never moves backwards: the machine's, plus all it was ever set back by.
///
/// So a session that has ended stays ended, and one that lives has no more time than it had, even
/// when the machine's clock is set back; and it loses none of the time it has left.
#[derive(Debug, Default)]
struct SessionClock(Mutex<Reading>);

#[derive(Debug, Default, Clone, Copy)]
struct Reading {
    newest_micros: i64,
    set_back_micros: i64,
}

impl SessionClock {
    /// The session clock's time when the machine's clock shows `now`.
    fn read(&self, now: Timestamp) -> Timestamp {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = reading.newest_micros.saturating_sub(now.micros());
        if behind <= 0 {
            reading.newest_micros = now.micros();
        } else if behind > CLOCK_TOLERANCE_MICROS {
            reading.set_back_micros = reading.set_back_micros.saturating_add(behind);
            reading.newest_micros = now.micros();
        }
        Timestamp::from_micros(reading.newest_micros.saturating_add(reading.set_back_micros))
    }

    /// The machine's time at the session clock's `time`.
    fn back(&self, time: Timestamp) -> Timestamp {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::from_micros(time.micros().saturating_sub(reading.set_back_micros))
    }
}

/// What a new session is made of.
#[derive(Debug)]
pub(in crate::access) struct NewSession<'a> {
    pub(in crate::access) principal: &'a Principal,
    pub(in crate::access) client: Client<'a>,
    pub(in crate::access) with_mfa: bool,
}

/// A session that was just made.
#[derive(Debug)]
pub struct StartedSession {
    /// The token, 64 hex digits; the only copy.
    pub token: SecretBytes,
    /// The session.
    pub session: Arc<Session>,
    /// When it ends at the latest, by the machine's clock.
    pub expires_at: Timestamp,
    /// Sessions of the same principal that ended to make room.
    pub ended: Vec<SessionTag>,
}

/// Every session.
pub(in crate::access) struct Sessions {
    policy: SessionPolicy,
    clock: SessionClock,
    shards: [Shard; 16],
    /// Held while a session is added, so that two logins at once do not both find room.
    adding: Mutex<()>,
}

impl Sessions {
    /// The sessions as stored before, of which those that are over go at their first use.
    pub(in crate::access) fn restore(policy: SessionPolicy, stored: Vec<SessionRecord>) -> Self {
        let clock = SessionClock::default();
        let sessions = Self { policy, clock, shards: Default::default(), adding: Mutex::default() };
        if let Some(newest) = stored.iter().map(|record| record.last_activity).max() {
            sessions.clock.read(newest); // a clock set back while the process was down counts too
        }
        for record in stored {
            sessions.insert(Arc::new(record.into()));
        }
        sessions
    }

    pub(in crate::access) fn policy(&self) -> &SessionPolicy {
        &self.policy
    }

    /// The session clock's time when the machine's clock shows `now`.
    pub(in crate::access) fn time(&self, now: Timestamp) -> Timestamp {
        self.clock.read(now)
    }

    /// Makes a session; the principal's oldest end where there would be too many. People expect a
    /// forgotten session somewhere not to keep them out here; whoever could abuse that has their
    /// credentials.
    pub(in crate::access) fn start(
        &self,
        new: &NewSession<'_>,
        now: Timestamp,
    ) -> Result<StartedSession, AccessFault> {
        let time = self.clock.read(now);
        let (token, hash) = TokenHash::draw()?;
        let session = Arc::new(session(hash, new, time));
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.make_room(new.principal.id);
        self.insert(Arc::clone(&session));
        let expires_at = now.plus_seconds(self.policy.absolute_timeout_s());
        Ok(StartedSession { token, session, expires_at, ended })
    }

    /// The live session of a token. Notes the activity.
    ///
    /// # Errors
    ///
    /// [`SessionRefused`]; what it refuses is gone.
    pub(in crate::access) fn validate(
        &self,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> Result<Arc<Session>, SessionRefused> {
        let time = self.clock.read(now);
        let session = self.find(&TokenHash::of(presented.token)).ok_or(SessionRefused::Unknown)?;
        let alive = session
            .check_time(&self.policy, time)
            .and_then(|()| session.check_client(&self.policy, &presented.client));
        if let Err(refused) = alive {
            self.end(&session);
            return Err(refused);
        }
        session.touch(time);
        Ok(session)
    }

    /// Whose session a token opens, whether or not its time is over.
    pub(in crate::access) fn holder(&self, token: &SecretBytes) -> Option<PrincipalId> {
        self.find(&TokenHash::of(token)).map(|session| session.principal)
    }

    /// How many there are.
    pub(in crate::access) fn count(&self) -> usize {
        let len = |shard: &Shard| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(len).sum()
    }

    /// Ends a session; nothing happens if it has ended already.
    pub(in crate::access) fn end(&self, session: &Session) {
        let mut shard = self.shard(&session.hash).write().unwrap_or_else(PoisonError::into_inner);
        shard.remove(&session.hash);
    }

    /// Ends every session for which `chosen` says so, and tells which those were.
    pub(in crate::access) fn end_where(
        &self,
        chosen: impl Fn(&Session) -> bool,
    ) -> Vec<SessionTag> {
        let ended: Vec<_> = self.all().into_iter().filter(|session| chosen(session)).collect();
        ended.iter().for_each(|session| self.end(session));
        ended.iter().map(|session| session.tag()).collect()
    }

    /// Ends every session that is over at `now`, and tells which those were.
    pub(in crate::access) fn sweep(&self, now: Timestamp) -> Vec<SessionTag> {
        let time = self.clock.read(now);
        self.end_where(|session| session.check_time(&self.policy, time).is_err())
    }

    /// Every session, oldest first.
    pub(in crate::access) fn all(&self) -> Vec<Arc<Session>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().cloned());
        }
        all.sort_by_key(|session| (session.created_at, session.hash));
        all
    }

    /// Every session as it is to be stored.
    pub(in crate::access) fn records(&self) -> Vec<SessionRecord> {
        self.all().iter().map(|session| self.record(session)).collect()
    }

    /// One session as it is to be stored.
    pub(in crate::access) fn record(&self, session: &Session) -> SessionRecord {
        session.record(|time| self.clock.back(time))
    }

    fn find(&self, hash: &TokenHash) -> Option<Arc<Session>> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn insert(&self, session: Arc<Session>) {
        let mut shard = self.shard(&session.hash).write().unwrap_or_else(PoisonError::into_inner);
        shard.insert(session.hash, session);
    }

    fn make_room(&self, principal: PrincipalId) -> Vec<SessionTag> {
        let mut of_principal = self.all();
        of_principal.retain(|session| session.principal == principal);
        let too_many = (of_principal.len() + 1).saturating_sub(self.policy.max_per_principal());
        of_principal.truncate(too_many);
        of_principal.iter().for_each(|session| self.end(session));
        of_principal.iter().map(|session| session.tag()).collect()
    }

    fn shard(&self, hash: &TokenHash) -> &Shard {
        let [first, ..] = &self.shards;
        self.shards.get(usize::from(hash.first_byte() % 16)).unwrap_or(first)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({} alive)", self.all().len())
    }
}

fn session(hash: TokenHash, new: &NewSession<'_>, time: Timestamp) -> Session {
    Session {
        hash,
        principal: new.principal.id,
        kind: new.principal.kind,
        credential_version: new.principal.credential_version,
        created_at: time,
        last_activity: AtomicI64::new(time.micros()),
        mfa_at: new.with_mfa.then_some(time),
        address: new.client.address.map(|address: IpAddr| address.to_canonical()),
        user_agent: cleaned(new.client.user_agent).collect(),
    }
}
