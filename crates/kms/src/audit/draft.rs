//! The content of one record, before it has a place in the log.
//!
//! Decides how text from outside becomes part of a record: capped in length, escaped, never able
//! to begin a record of its own. Encoding happens outside every lock; the log only puts the number
//! and the link in front. Never holds key material, and cannot: it has no field of bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;
use serde::ser::SerializeMap;
use serde::ser::Serializer;

use crate::audit::AuditEvent;
use crate::audit::AuditFault;
use crate::audit::Cause;
use crate::audit::EventType;
use crate::audit::Phase;
use crate::key::KeyId;
use crate::time::Timestamp;

/// Longest short text (ids, operation, user agent, names of details), in bytes.
pub const SHORT_TEXT_BYTES: usize = 256;
/// Longest long text (error message, value of a detail), in bytes.
pub const LONG_TEXT_BYTES: usize = 1024;
/// Most details one record carries; further ones are left out and counted.
pub const DETAILS: usize = 24;
/// Longest encoded content of a record, in bytes: every text at its cap and every byte escaped.
pub const BODY_BYTES: usize = 240 * 1024;

/// Room for what most records take, in bytes.
const TYPICAL_BODY_BYTES: usize = 640;

/// Stands at the end of a text that was cut.
const CUT: &str = "[cut]";

/// Names one record for ever, so that one written twice after a crash can be told from two.
///
/// 128 random bits, written as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordId([u8; 16]);

impl RecordId {
    /// Makes an id of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws an id from the operating system.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Randomness`] if the system has none to give.
    pub fn draw() -> Result<Self, AuditFault> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuditFault::Randomness)?;
        Ok(Self(bytes))
    }

    /// The 32 hex digits.
    pub fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The value of one detail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A text, cut at [`LONG_TEXT_BYTES`].
    Text(String),
}

/// The content of one record. What is `None` does not appear in the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Names the record for ever.
    pub id: RecordId,
    /// When, UTC.
    pub time: Timestamp,
    /// What happened.
    pub event: EventType,
    /// The request it belongs to.
    pub request: Option<String>,
    /// On whose account.
    pub cause: Cause,
    /// A tag of the session; never the session id.
    pub session: Option<String>,
    /// The principal's id; never a personal name, so that erasure does not touch the log.
    pub principal: Option<String>,
    /// Where the request came from.
    pub source_ip: Option<String>,
    /// With which program; cut at [`SHORT_TEXT_BYTES`].
    pub user_agent: Option<String>,
    /// The key it is about.
    pub key: Option<KeyId>,
    /// What was asked for, in the caller's words; cut at [`SHORT_TEXT_BYTES`].
    pub operation: Option<String>,
    /// Which point of the operation.
    pub phase: Phase,
    /// Whether it was done.
    pub success: bool,
    /// The stable code of the error.
    pub error_code: Option<String>,
    /// The error's message; cut at [`LONG_TEXT_BYTES`].
    pub error_message: Option<String>,
    /// Anything else, in this order; at most [`DETAILS`].
    pub details: Vec<(String, Detail)>,
    /// Whether it records the use of a consensus key, for which space on the disk is kept back.
    /// Not part of the line.
    pub for_consensus: bool,
}

impl Draft {
    /// Makes a record of a successful, single-phase event on a person's account, with nothing
    /// else in it.
    pub fn new(event: EventType, time: Timestamp, id: RecordId) -> Self {
        Self {
            id,
            time,
            event,
            request: None,
            cause: Cause::Person,
            session: None,
            principal: None,
            source_ip: None,
            user_agent: None,
            key: None,
            operation: None,
            phase: Phase::Single,
            success: true,
            error_code: None,
            error_message: None,
            details: Vec::new(),
            for_consensus: false,
        }
    }

    /// Adds a detail at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: Detail) -> Self {
        self.details.push((name.to_owned(), value));
        self
    }

    /// Encodes everything that stands behind the number and the link of a line.
    ///
    /// At most [`BODY_BYTES`] of UTF-8 without control characters or line separators of any kind.
    pub fn encode(&self) -> Encoded {
        let mut json = Vec::with_capacity(TYPICAL_BODY_BYTES);
        if serde_json::to_writer(&mut json, &Body(self)).is_err() {
            json.clear(); // writing to memory does not fail, and our names are texts
        }
        let plain = json.iter().all(|b| *b < 0x7f);
        let inner = json.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        let inner = inner.unwrap_or_default();
        let body = if plain { inner.to_vec() } else { escape_separators(inner) };
        Encoded { body, for_consensus: self.for_consensus }
    }
}

/// The encoded content of one record: what an outbox keeps so that exactly this record can be
/// appended after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    body: Vec<u8>,
    for_consensus: bool,
}

impl Encoded {
    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }

    /// Takes back bytes that [`Encoded::as_bytes`] gave.
    ///
    /// # Errors
    ///
    /// [`AuditFault::NotARecord`] for anything that could not have come from [`Draft::encode`].
    pub fn from_stored(bytes: Vec<u8>) -> Result<Self, AuditFault> {
        let text = std::str::from_utf8(&bytes).map_err(|_| AuditFault::NotARecord)?;
        let begins = text.starts_with("\"rid\":\"") && text.len() <= BODY_BYTES;
        let quiet = !text.chars().any(is_separator);
        let whole = AuditEvent::of_body(text);
        (begins && quiet && whole.is_some())
            .then_some(Self { body: bytes, for_consensus: false })
            .ok_or(AuditFault::NotARecord)
    }

    /// Whether it may use the space kept back for consensus keys.
    pub(crate) fn is_for_consensus(&self) -> bool {
        self.for_consensus
    }
}

impl From<Draft> for Encoded {
    fn from(draft: Draft) -> Self {
        draft.encode()
    }
}

/// The draft as a JSON object in its fixed order.
struct Body<'a>(&'a Draft);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rid", &draft.id.to_hex())?;
        map.serialize_entry("time", &draft.time)?;
        map.serialize_entry("type", &draft.event)?;
        present(&mut map, "request", short(&draft.request))?;
        map.serialize_entry("cause", &draft.cause)?;
        present(&mut map, "session", short(&draft.session))?;
        present(&mut map, "principal", short(&draft.principal))?;
        present(&mut map, "ip", short(&draft.source_ip))?;
        present(&mut map, "agent", short(&draft.user_agent))?;
        present(&mut map, "key", draft.key)?;
        present(&mut map, "op", short(&draft.operation))?;
        map.serialize_entry("phase", &draft.phase)?;
        map.serialize_entry("success", &draft.success)?;
        present(&mut map, "code", short(&draft.error_code))?;
        let message = draft.error_message.as_deref().map(|t| capped(t, LONG_TEXT_BYTES));
        present(&mut map, "error", message)?;
        if !draft.details.is_empty() {
            map.serialize_entry("details", &Details(&draft.details))?;
        }
        map.end()
    }
}

fn present<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &str,
    value: Option<T>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

struct Details<'a>(&'a [(String, Detail)]);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut seen: Vec<Cow<'_, str>> = Vec::with_capacity(self.0.len());
        for (name, value) in self.0.iter().take(DETAILS) {
            let name = unused(capped(name, SHORT_TEXT_BYTES), &seen);
            match value {
                Detail::Text(text) => map.serialize_entry(&name, &capped(text, LONG_TEXT_BYTES))?,
                Detail::Number(_) | Detail::Flag(_) => map.serialize_entry(&name, value)?,
            }
            seen.push(name);
        }
        if self.0.len() > DETAILS {
            map.serialize_entry(&unused("left_out".into(), &seen), &(self.0.len() - DETAILS))?;
        }
        map.end()
    }
}

/// `name`, or `name` with marks behind it where it stands in `seen`: an object with one name twice
/// is read differently by different readers.
fn unused<'a>(mut name: Cow<'a, str>, seen: &[Cow<'_, str>]) -> Cow<'a, str> {
    while seen.contains(&name) {
        name.to_mut().push('\'');
    }
    name
}

fn short(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(|text| capped(text, SHORT_TEXT_BYTES))
}

/// `text`, or as many whole characters of it as leave room for the mark within `limit` bytes.
fn capped(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text.into();
    }
    let keep = text.floor_char_boundary(limit - CUT.len());
    let (kept, _) = text.split_at(keep);
    format!("{kept}{CUT}").into()
}

/// Characters that some reader takes for the end of a line or for a command to a terminal, and
/// that JSON lets stand unescaped besides: DEL, the C1 controls, U+2028, U+2029 and the marks that
/// turn the direction of text.
fn is_separator(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes the separators of a JSON text; all of them lie below U+10000 and within strings.
fn escape_separators(json: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(json.len() + 16);
    for c in String::from_utf8_lossy(json).chars() {
        if is_separator(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft::new(EventType::KeySigned, Timestamp::EPOCH, RecordId::from_random([7; 16]))
    }

    fn text(draft: &Draft) -> String {
        String::from_utf8(draft.encode().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn fields_stand_in_their_fixed_order() {
        let mut draft = draft().with("height", Detail::Number(7)).with("ok", Detail::Flag(true));
        draft.request = Some("r-1".to_owned());
        draft.key = Some(KeyId::from_random([1; 16]));
        draft.success = false;
        draft.error_code = Some("denied".to_owned());
        assert_eq!(
            text(&draft),
            "\"rid\":\"07070707070707070707070707070707\",\"time\":\"1970-01-01T00:00:00.000000Z\",\
             \"type\":\"key_signed\",\"request\":\"r-1\",\"cause\":\"person\",\
             \"key\":\"k-01010101010101010101010101010101\",\"phase\":\"single\",\
             \"success\":false,\"code\":\"denied\",\"details\":{\"height\":7,\"ok\":true}"
        );
    }

    #[test]
    fn text_from_outside_cannot_begin_a_record() {
        let hostile = "a\nb\r\nc\u{1b}[31m\",\"seq\":9}\u{2028}\u{2029}\u{85}\u{7f}\u{202e}|=\0é";
        let mut draft = draft().with(hostile, Detail::Text(hostile.to_owned()));
        draft.user_agent = Some(hostile.to_owned());
        draft.operation = Some(hostile.to_owned());
        draft.error_message = Some(hostile.to_owned());
        let text = text(&draft);
        assert!(!text.chars().any(is_separator), "{text}");
        let read = AuditEvent::of_body(&text).unwrap();
        assert_eq!(read.user_agent.as_deref(), Some(hostile));
        assert_eq!(read.error_message.as_deref(), Some(hostile));
    }

    #[test]
    fn long_text_is_cut_on_a_character_with_a_mark() {
        let mut draft = draft();
        draft.user_agent = Some("é".repeat(500_000));
        draft.error_message = Some("x".repeat(1_000_000));
        let text = text(&draft);
        let read = AuditEvent::of_body(&text).unwrap();
        let agent = read.user_agent.unwrap();
        assert!(agent.len() <= SHORT_TEXT_BYTES && agent.ends_with("é[cut]"), "{agent}");
        assert_eq!(read.error_message.unwrap().len(), LONG_TEXT_BYTES);
    }

    #[test]
    fn the_largest_record_stays_within_its_limit() {
        let worst = "\0".repeat(LONG_TEXT_BYTES);
        let mut draft = draft();
        for _ in 0..100 {
            draft = draft.with(&worst, Detail::Text(worst.clone()));
        }
        for field in [&mut draft.request, &mut draft.session, &mut draft.principal] {
            *field = Some(worst.clone());
        }
        draft.error_message = Some(worst.clone());
        let encoded = draft.encode();
        assert!(encoded.as_bytes().len() <= BODY_BYTES, "{}", encoded.as_bytes().len());
        assert!(text(&draft).contains("\"left_out\":76"));
    }

    #[test]
    fn a_name_given_twice_is_told_apart() {
        let draft = draft().with("a", Detail::Number(1)).with("a", Detail::Number(2));
        assert!(text(&draft).ends_with("\"details\":{\"a\":1,\"a'\":2}"));
    }

    #[test]
    fn stored_content_is_taken_back_and_anything_else_refused() {
        let encoded = draft().encode();
        assert_eq!(Encoded::from_stored(encoded.as_bytes().to_vec()).unwrap(), encoded);
        let mut broken = encoded.as_bytes().to_vec();
        broken.push(b'\n');
        assert!(matches!(Encoded::from_stored(broken), Err(AuditFault::NotARecord)));
        let two = br#""rid":"00"},{"seq":1"#.to_vec();
        assert!(matches!(Encoded::from_stored(two), Err(AuditFault::NotARecord)));
    }
}
