//! Sessions: what a caller holds after authenticating, and when it stops being worth anything.
//!
//! The caller holds a token of 256 random bits. Here stands its SHA-256; records carry the first 8
//! bytes of that, the tag, which names a session and opens nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest;
use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;

use crate::access::AccessFault;
use crate::access::PrincipalId;
use crate::access::PrincipalKind;
use crate::access::hex_array;
use crate::time::Timestamp;

/// Most bytes kept of what a client calls itself.
const MAX_USER_AGENT: usize = 256;
/// A week: no session is older.
const MAX_SESSION_S: u64 = 7 * 24 * 3600;

/// Rules for every session; the section `[session]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawPolicy")]
pub struct SessionPolicy {
    absolute_timeout_s: u64,
    idle_timeout_s: u64,
    mfa_freshness_s: u64,
    max_per_principal: usize,
    bind_address: bool,
    bind_user_agent: bool,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPolicy {
    absolute_timeout_s: u64,
    idle_timeout_s: u64,
    mfa_freshness_s: u64,
    max_per_principal: usize,
    bind_address: bool,
    bind_user_agent: bool,
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self {
            absolute_timeout_s: 12 * 3600,
            idle_timeout_s: 15 * 60,
            mfa_freshness_s: 5 * 60,
            max_per_principal: 5,
            bind_address: true,
            bind_user_agent: true,
        }
    }
}

/// Rules that contradict themselves or bind nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionPolicy {
    /// Timeouts cannot be switched off.
    #[error("session timeouts are 1 s <= idle <= absolute <= 604800 s")]
    Timeouts,
    /// Freshness of the second factor.
    #[error("mfa_freshness_s is 1 to 3600, not {0}")]
    Freshness(u64),
    /// How many.
    #[error("max_per_principal is 1 to 100, not {0}")]
    Max(usize),
}

impl TryFrom<RawPolicy> for SessionPolicy {
    type Error = InvalidSessionPolicy;

    fn try_from(raw: RawPolicy) -> Result<Self, InvalidSessionPolicy> {
        let (idle, absolute) = (raw.idle_timeout_s, raw.absolute_timeout_s);
        if idle == 0 || idle > absolute || absolute > MAX_SESSION_S {
            return Err(InvalidSessionPolicy::Timeouts);
        }
        if !(1..=3600).contains(&raw.mfa_freshness_s) {
            return Err(InvalidSessionPolicy::Freshness(raw.mfa_freshness_s));
        }
        if !(1..=100).contains(&raw.max_per_principal) {
            return Err(InvalidSessionPolicy::Max(raw.max_per_principal));
        }
        Ok(Self::from_checked(raw))
    }
}

impl Default for SessionPolicy {
    /// 12 hours in all, 15 minutes idle, a second factor fresh for 5 minutes, five sessions per
    /// principal, bound to address and user agent.
    fn default() -> Self {
        Self::from_checked(RawPolicy::default())
    }
}

impl SessionPolicy {
    /// Seconds from login to the end, whatever happens between.
    pub fn absolute_timeout_s(&self) -> u64 {
        self.absolute_timeout_s
    }

    /// Seconds without a call after which a session ends.
    pub fn idle_timeout_s(&self) -> u64 {
        self.idle_timeout_s
    }

    /// Seconds for which a second factor counts as fresh.
    pub fn mfa_freshness_s(&self) -> u64 {
        self.mfa_freshness_s
    }

    /// Most sessions a principal has at once; one more login ends the oldest.
    pub fn max_per_principal(&self) -> usize {
        self.max_per_principal
    }

    fn from_checked(raw: RawPolicy) -> Self {
        Self {
            absolute_timeout_s: raw.absolute_timeout_s,
            idle_timeout_s: raw.idle_timeout_s,
            mfa_freshness_s: raw.mfa_freshness_s,
            max_per_principal: raw.max_per_principal,
            bind_address: raw.bind_address,
            bind_user_agent: raw.bind_user_agent,
        }
    }
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// The peer's address; absent on the local socket and inside the process.
    pub address: Option<IpAddr>,
    /// What the client calls itself; untrusted.
    pub user_agent: &'a str,
}

/// What a call shows instead of a credential.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The token's 64 characters.
    pub token: &'a SecretBytes,
    /// Where the call comes from.
    pub client: Client<'a>,
}

/// A token's SHA-256, under which its session is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::access) struct TokenHash([u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl TokenHash {
    /// The hash of a presented token; of any text, since only a token's 64 characters lead anywhere.
    pub(in crate::access) fn of(token: &SecretBytes) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.expose()).as_ref());
        Self(hash)
    }

    /// Draws a token: 32 bytes from the operating system, as 64 hex digits.
    pub(in crate::access) fn draw() -> Result<(SecretBytes, Self), AccessFault> {
        let mut bytes = SecretBytes::zeroed(32);
        aws_lc_rs::rand::fill(bytes.expose_mut()).map_err(|_| AccessFault::Randomness)?;
        let token = bytes.to_hex();
        let hash = Self::of(&token);
        Ok((token, hash))
    }

    /// One byte of it, evenly distributed.
    pub(in crate::access) fn first_byte(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }
}

/// Names a session in records and commands; opens nothing. 16 hex digits: the first 8 bytes of the
/// token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionTag([u8; 8]);

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no session's tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session is named by 16 lower-case hex digits")]
pub struct InvalidSessionTag;

impl FromStr for SessionTag {
    type Err = InvalidSessionTag;

    fn from_str(text: &str) -> Result<Self, InvalidSessionTag> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidSessionTag)?;
        let tag = Self(bytes);
        if tag.to_string() == text { Ok(tag) } else { Err(InvalidSessionTag) }
    }
}

/// One session. Its times are the session clock's: they only move forward.
#[derive(Debug)]
pub struct Session {
    pub(in crate::access) hash: TokenHash,
    pub(in crate::access) principal: PrincipalId,
    pub(in crate::access) kind: PrincipalKind,
    pub(in crate::access) credential_version: u64,
    pub(in crate::access) created_at: Timestamp,
    pub(in crate::access) last_activity: AtomicI64,
    pub(in crate::access) mfa_at: Option<Timestamp>,
    pub(in crate::access) address: Option<IpAddr>,
    pub(in crate::access) user_agent: Box<str>,
}

/// A session as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    #[serde(with = "hex_array")]
    pub(in crate::access) hash: [u8; 32],
    pub(in crate::access) principal: PrincipalId,
    pub(in crate::access) kind: PrincipalKind,
    pub(in crate::access) credential_version: u64,
    pub(in crate::access) created_at: Timestamp,
    pub(in crate::access) last_activity: Timestamp,
    pub(in crate::access) mfa_at: Option<Timestamp>,
    pub(in crate::access) address: Option<IpAddr>,
    pub(in crate::access) user_agent: Box<str>,
}

/// Stands for the program of a session that any program may show: who logs in to hand the session to
/// another program says so.
pub const ANY_AGENT: &str = "*";

/// Why a token does not open a session. Safe to tell whoever holds the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    /// No session has it, or it has ended.
    #[error("session is not known or has ended; log in again")]
    Unknown,
    /// Too long since login.
    #[error("session {0} has reached its end; log in again")]
    Expired(SessionTag),
    /// Too long since the last call.
    #[error("session {0} was idle too long; log in again")]
    Idle(SessionTag),
    /// Shown from another address or by another program than it was given to; it was ended, since
    /// somebody else may have it.
    #[error("session {0} was used from elsewhere and has ended; log in again")]
    Moved(SessionTag),
    /// Its principal was disabled or removed, or its roles or credentials were changed.
    #[error("session {0} has ended because its principal was changed; log in again")]
    PrincipalChanged(SessionTag),
}

impl Session {
    /// What names it in records.
    pub fn tag(&self) -> SessionTag {
        SessionTag(self.hash.0.first_chunk().copied().unwrap_or_default())
    }

    /// Whose it is.
    pub fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// Whether a person's or a program's.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// When it began.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When it was last used.
    pub fn last_activity(&self) -> Timestamp {
        Timestamp::from_micros(self.last_activity.load(Ordering::Relaxed))
    }

    /// When its second factor was given, if it was.
    pub fn mfa_at(&self) -> Option<Timestamp> {
        self.mfa_at
    }

    /// The address it was given to; absent on the local socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What its client called itself: at most 256 bytes of printable ASCII.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// When it ends under `policy`, whatever happens.
    pub fn expires_at(&self, policy: &SessionPolicy) -> Timestamp {
        self.created_at.plus_seconds(policy.absolute_timeout_s)
    }

    /// Whether it is over at `now`.
    ///
    /// # Errors
    ///
    /// [`SessionRefused::Expired`], [`SessionRefused::Idle`].
    pub(in crate::access) fn check_time(
        &self,
        policy: &SessionPolicy,
        now: Timestamp,
    ) -> Result<(), SessionRefused> {
        if now >= self.expires_at(policy) {
            return Err(SessionRefused::Expired(self.tag()));
        }
        if now >= self.last_activity().plus_seconds(policy.idle_timeout_s) {
            return Err(SessionRefused::Idle(self.tag()));
        }
        Ok(())
    }

    /// Whether `client` is the one it was given to.
    ///
    /// # Errors
    ///
    /// [`SessionRefused::Moved`].
    pub(in crate::access) fn check_client(
        &self,
        policy: &SessionPolicy,
        client: &Client<'_>,
    ) -> Result<(), SessionRefused> {
        let same_address = canonical(self.address) == canonical(client.address);
        let same_agent = &*self.user_agent == ANY_AGENT
            || cleaned(client.user_agent).eq(self.user_agent.chars());
        let moved =
            (policy.bind_address && !same_address) || (policy.bind_user_agent && !same_agent);
        if moved { Err(SessionRefused::Moved(self.tag())) } else { Ok(()) }
    }

    pub(in crate::access) fn touch(&self, now: Timestamp) {
        self.last_activity.fetch_max(now.micros(), Ordering::Relaxed);
    }

    /// As it is stored; `back` turns a time of the session clock into one of the machine's.
    pub(in crate::access) fn record(&self, back: impl Fn(Timestamp) -> Timestamp) -> SessionRecord {
        SessionRecord {
            hash: self.hash.0,
            principal: self.principal,
            kind: self.kind,
            credential_version: self.credential_version,
            created_at: back(self.created_at),
            last_activity: back(self.last_activity()),
            mfa_at: self.mfa_at.map(back),
            address: self.address,
            user_agent: self.user_agent.clone(),
        }
    }
}

#[cfg(test)]
impl Session {
    /// A session of nobody, for tests of what comes after.
    pub(in crate::access) fn for_test() -> Self {
        Self {
            hash: TokenHash([0; 32]),
            principal: PrincipalId::from_bytes([0; 8]),
            kind: PrincipalKind::User,
            credential_version: 0,
            created_at: Timestamp::EPOCH,
            last_activity: AtomicI64::new(0),
            mfa_at: None,
            address: None,
            user_agent: "".into(),
        }
    }
}

impl From<SessionRecord> for Session {
    fn from(stored: SessionRecord) -> Self {
        Self {
            hash: TokenHash(stored.hash),
            principal: stored.principal,
            kind: stored.kind,
            credential_version: stored.credential_version,
            created_at: stored.created_at,
            last_activity: AtomicI64::new(stored.last_activity.micros()),
            mfa_at: stored.mfa_at,
            address: stored.address,
            user_agent: cleaned(&stored.user_agent).collect(),
        }
    }
}

/// What a client calls itself, made harmless: 256 characters, all printable ASCII.
pub(in crate::access) fn cleaned(user_agent: &str) -> impl Iterator<Item = char> {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    user_agent.chars().take(MAX_USER_AGENT).map(printable)
}

fn canonical(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_timeouts_cannot_be_switched_off() {
        for json in [
            r#"{"idle_timeout_s":0}"#,
            r#"{"absolute_timeout_s":60}"#,
            r#"{"absolute_timeout_s":604801}"#,
            r#"{"mfa_freshness_s":0}"#,
            r#"{"max_per_principal":0}"#,
            r#"{"max_sessions":5}"#,
        ] {
            assert!(serde_json::from_str::<SessionPolicy>(json).is_err(), "{json} was read");
        }
        assert_eq!(serde_json::from_str::<SessionPolicy>("{}").unwrap(), SessionPolicy::default());
    }

    #[test]
    fn user_agent_is_short_and_cannot_start_a_new_line() {
        let hostile = format!("curl\r\n\u{202e}é{}", "x".repeat(1000));
        let kept: String = cleaned(&hostile).collect();
        assert!(kept.starts_with("curl????x"));
        assert_eq!(kept.len(), 256);
    }

    // Attack 2.
    #[test]
    fn tokens_are_256_random_bits_and_are_kept_hashed() {
        let drawn: Vec<_> = (0..1000).map(|_| TokenHash::draw().unwrap()).collect();
        let mut tokens: Vec<&[u8]> = drawn.iter().map(|(token, _)| token.expose()).collect();
        assert!(tokens.iter().all(|token| token.len() == 64));
        assert!(!tokens.is_sorted(), "tokens show an order");
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), 1000);
        let (token, hash) = drawn.first().unwrap();
        assert_eq!(digest::digest(&digest::SHA256, token.expose()).as_ref(), hash.0);
    }

    #[test]
    fn session_tag_is_read_back_in_one_spelling() {
        let tag = SessionTag([0xab; 8]);
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert!("ABABABABABABABAB".parse::<SessionTag>().is_err());
    }
}
