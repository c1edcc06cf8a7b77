//! The shape of a line: number, link, content.
//!
//! ```text
//! {"v":1,"seq":7,"prev":"<64 hex digits>","rid":…}\n
//! ```
//!
//! `prev` is the SHA-256 of the bytes of the line before, without its newline; 64 zeros in the
//! first line. Nothing is ever parsed and written again to verify: the bytes are the record.

use aws_lc_rs::digest;
use serde::Deserialize;
use serde::Serialize;

use crate::audit::Cause;
use crate::audit::Detail;
use crate::audit::EventType;
use crate::audit::Phase;
use crate::key::KeyId;
use crate::time::Timestamp;

/// A SHA-256 value, 32 bytes.
pub type Hash = [u8; 32];

/// What stands as `prev` in the first line.
pub(crate) const GENESIS: Hash = [0; 32];
/// Longest line, in bytes; longer ones were not written by this product.
pub(crate) const LINE_BYTES: usize = 256 * 1024;
/// What every line begins with.
pub(crate) const PREFIX: &[u8] = b"{\"v\":1,\"seq\":";
const LINK: &[u8] = b",\"prev\":\"";
const LINK_END: &[u8] = b"\",";

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    fixed(digest::digest(&digest::SHA256, bytes))
}

/// SHA-256 of `a` and `b`, one after the other.
pub(crate) fn sha256_of_two(a: &[u8], b: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(a);
    context.update(b);
    fixed(context.finish())
}

fn fixed(digest: digest::Digest) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// The 64 lower-case hex digits of `hash`.
pub(crate) fn hex_of(hash: &Hash) -> [u8; 64] {
    let digit = |n: u8| n + if n < 10 { b'0' } else { b'a' - 10 };
    let mut text = [0; 64];
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(hash) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

/// Appends a whole line, newline included, to `out`; returns the hash that the next one links to.
pub(crate) fn write_line(out: &mut Vec<u8>, place: (u64, &Hash), body: &[u8]) -> Hash {
    let start = out.len();
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(place.0.to_string().as_bytes());
    out.extend_from_slice(LINK);
    out.extend_from_slice(&hex_of(place.1));
    out.extend_from_slice(LINK_END);
    out.extend_from_slice(body);
    out.push(b'}');
    let hash = sha256(out.get(start..).unwrap_or_default());
    out.push(b'\n');
    hash
}

/// Bytes of a line around a body, at most: prefix, 20 digits, link, brace and newline.
pub(crate) const FRAME_BYTES: usize = PREFIX.len() + 20 + LINK.len() + 64 + LINK_END.len() + 2;

/// The number and the link at the front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineHead<'a> {
    pub(crate) seq: u64,
    /// 64 lower-case hex digits.
    pub(crate) prev: &'a [u8],
}

impl<'a> LineHead<'a> {
    /// Reads the front of `line` (without its newline); `None` where it is spelled in any other
    /// way than [`write_line`] does.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(PREFIX)?;
        let digits = rest.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = rest.split_at(digits);
        if number.first()? == &b'0' {
            return None; // one number has one spelling, and none is zero
        }
        let add = |n: u64, b: &u8| n.checked_mul(10)?.checked_add(u64::from(b - b'0'));
        let seq = number.iter().try_fold(0, add)?;
        let (prev, rest) = rest.strip_prefix(LINK)?.split_at_checked(64)?;
        let is_hex = |b: &u8| b.is_ascii_digit() | (b'a'..=b'f').contains(b);
        let hex = prev.iter().fold(true, |all, b| all & is_hex(b));
        let framed = rest.starts_with(LINK_END) && rest.ends_with(b"}");
        (hex && framed).then_some(Self { seq, prev })
    }
}

/// One record, parsed. What does not stand in the line is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// The version of the format: 1.
    pub v: u8,
    /// Its number over the life of the log, from 1.
    pub seq: u64,
    /// The link: 64 hex digits.
    pub prev: String,
    /// The random name of the record: 32 hex digits.
    pub rid: String,
    /// When, UTC.
    pub time: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub event: EventType,
    /// The request it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// On whose account.
    pub cause: Cause,
    /// The session's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The principal's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Where the request came from.
    #[serde(default, rename = "ip", skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// With which program.
    #[serde(default, rename = "agent", skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The key it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// What was asked for.
    #[serde(default, rename = "op", skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Which point of the operation.
    pub phase: Phase,
    /// Whether it was done.
    pub success: bool,
    /// The stable code of the error.
    #[serde(default, rename = "code", skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The error's message.
    #[serde(default, rename = "error", skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Anything else, in the order of the line.
    #[serde(default, with = "details", skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, Detail)>,
}

impl AuditEvent {
    /// Parses a line (without its newline); `None` if it is no record.
    pub fn from_line(line: &[u8]) -> Option<Self> {
        let fits = line.len() <= LINE_BYTES && LineHead::read(line).is_some();
        fits.then(|| serde_json::from_slice(line).ok()).flatten()
    }

    /// The text of the first detail of that name.
    pub fn detail_text(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
            Detail::Text(text) => Some(text.as_str()),
            Detail::Number(_) | Detail::Flag(_) => None,
        })
    }

    /// Parses the content of a record as it stands behind number and link.
    pub(crate) fn of_body(body: &str) -> Option<Self> {
        let mut line = Vec::with_capacity(body.len() + FRAME_BYTES);
        write_line(&mut line, (1, &GENESIS), body.as_bytes());
        Self::from_line(line.strip_suffix(b"\n")?)
    }
}

/// Details keep their order, which a map type would lose.
mod details {
    use serde::de::Deserializer;
    use serde::de::MapAccess;
    use serde::de::Visitor;
    use serde::ser::Serializer;

    use crate::audit::Detail;

    pub(super) fn serialize<S: Serializer>(
        details: &[(String, Detail)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(details.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Detail)>, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Vec<(String, Detail)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts, numbers and flags")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut details: Self::Value = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    details.push(entry);
                }
                Ok(details)
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_line(&mut out, (seq, &[0xab; 32]), b"\"rid\":\"x\"");
        out.pop();
        out
    }

    #[test]
    fn a_line_is_written_and_its_front_read_back() {
        let line = line(7);
        let text = format!("{{\"v\":1,\"seq\":7,\"prev\":\"{}\",\"rid\":\"x\"}}", "ab".repeat(32));
        assert_eq!(line, text.as_bytes());
        let head = LineHead::read(&line).unwrap();
        assert_eq!((head.seq, head.prev), (7, "ab".repeat(32).as_bytes()));
        assert_eq!(LineHead::read(&self::line(u64::MAX)).unwrap().seq, u64::MAX);
    }

    #[test]
    fn any_other_spelling_of_the_front_is_refused() {
        let good = String::from_utf8(line(7)).unwrap();
        for (from, to) in [
            ("\"seq\":7", "\"seq\":07"),
            ("\"seq\":7", "\"seq\":0"),
            ("\"seq\":7", "\"seq\":18446744073709551616"),
            ("\"seq\":7", "\"seq\": 7"),
            ("\"seq\":7", "\"seq\":"),
            ("\"v\":1", "\"v\":2"),
            ("abab", "ABab"),
            ("abab", "ab"),
            ("\"x\"}", "\"x\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(LineHead::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(LineHead::read(b""), None);
    }
}
