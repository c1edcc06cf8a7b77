//! What a person is asked to sign, decoded as far as it can be, so that they see what it does.
//!
//! Known are the sign documents of Cosmos chains (amino JSON and `SIGN_MODE_DIRECT`), bodies of
//! Cosmos transactions, and unsigned Ethereum transactions (legacy, EIP-2930, EIP-1559). Anything
//! else is opaque: [`describe`] says so, and how long it is. Nothing is guessed: bytes that are not
//! wholly of a known form are opaque.

mod amino;
mod cosmos;
mod ethereum;
mod rlp;

use std::fmt::Write;

use sha2::Digest;
use sha2::Sha256;

pub use amino::AminoSignDoc;
pub use amino::InvalidAmino;

/// The longest bytes that are decoded: 1 MiB. Longer ones are opaque.
pub const LIMIT: usize = 1 << 20;
/// The longest text of one line.
const TEXT: usize = 512;
/// The longest name of one, in characters.
const NAME: usize = 64;
/// The most lines.
const LINES: usize = 256;

/// What bytes are, as lines for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What kind of thing it is: `Cosmos transaction (amino JSON)`, `opaque bytes`, …
    pub kind: &'static str,
    /// Names and values, in the order of the thing itself.
    pub lines: Vec<(String, String)>,
}

/// Decodes what is to be signed. Never fails: what is not known is `opaque bytes`.
pub fn describe(bytes: &[u8]) -> Description {
    let known = || {
        if bytes.is_empty() || bytes.len() > LIMIT {
            return None;
        }
        amino::describe(bytes)
            .or_else(|| ethereum::describe(bytes))
            .or_else(|| cosmos::describe(bytes))
    };
    known().unwrap_or_else(|| opaque(bytes))
}

fn opaque(bytes: &[u8]) -> Description {
    let mut lines = Lines::default();
    lines.add("length", format!("{} bytes", bytes.len()));
    if let Some(text) = plain_text(bytes) {
        lines.add("text", text);
    }
    lines.of("opaque bytes")
}

/// The bytes as text where they are one that can be shown whole.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let shown = |c: char| !c.is_control() || c == '\n' || c == '\t';
    (!text.is_empty() && text.len() <= TEXT && text.chars().all(shown)).then_some(text)
}

/// Lines being collected, each and all of them limited.
#[derive(Debug, Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (mut name, mut value) = (name.into(), value.into());
        if let Some((end, _)) = name.char_indices().nth(NAME) {
            name.truncate(end); // names come from outside, too
            name.push('…');
        }
        match self.0.len() {
            LINES.. => return,
            last if last == LINES - 1 => {
                self.0.push(("…".to_owned(), "more, which is not shown".to_owned()));
                return;
            }
            _ => {}
        }
        if value.len() > TEXT {
            let digest = hex(&Sha256::digest(value.as_bytes()));
            let (length, mut end) = (value.len(), TEXT - 120);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            value.truncate(end);
            _ = write!(value, "… ({length} bytes, SHA-256 {digest})");
        }
        self.0.push((name, value));
    }

    fn of(self, kind: &'static str) -> Description {
        Description { kind, lines: self.0 }
    }
}

fn hex(bytes: &[u8]) -> String {
    ::hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample;

    use super::*;

    #[test]
    fn what_is_not_known_is_opaque_and_shown_as_text_where_it_is_one() {
        let described = describe(b"pay 1000 VE");
        assert_eq!(described.kind, "opaque bytes");
        let lines = [("length", "11 bytes"), ("text", "pay 1000 VE")];
        assert_eq!(described.lines, lines.map(|(a, b)| (a.to_owned(), b.to_owned())));
        for bytes in [&[][..], &[0xff; 40], b"{\"a\":1}", &[0xc0], &[2, 0xc0], b"\x1b[2J"] {
            assert_eq!(describe(bytes).kind, "opaque bytes", "{bytes:02x?}");
            assert!(!describe(bytes).lines.iter().any(|(_, value)| value.contains('\u{1b}')));
        }
        assert_eq!(describe(&vec![b'{'; LIMIT + 1]).lines.len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_is_described_within_limits(
            bytes in prop_oneof![
                vec(any::<u8>(), 0..400),
                // What begins like something known goes further.
                (sample::select(&[0x0a_u8, 0x01, 0x02, 0xc9, 0xf8, b'{'][..]), vec(any::<u8>(), 0..400))
                    .prop_map(|(first, rest)| [&[first], &rest[..]].concat()),
            ],
        ) {
            let described = describe(&bytes);
            prop_assert!(described.lines.len() <= LINES);
            for (name, value) in described.lines {
                prop_assert!(name.chars().count() <= NAME + 1 && value.len() <= TEXT);
            }
        }
    }

    #[test]
    fn long_names_are_cut() {
        let mut lines = Lines::default();
        lines.add("é".repeat(65), "x");
        assert_eq!(lines.0[0].0, format!("{}…", "é".repeat(64)));
    }

    #[test]
    fn long_values_are_cut_and_named_by_their_digest() {
        let mut lines = Lines::default();
        lines.add("memo", "é".repeat(4000));
        let (_, value) = &lines.0[0];
        assert!(value.len() <= TEXT && value.contains("(8000 bytes, SHA-256 "), "{value}");
        (0..1000).for_each(|n| lines.add("n", n.to_string()));
        assert_eq!(lines.0.len(), LINES);
    }
}
