//! PEM (RFC 7468), read strictly and without leaving a copy of what it carries.
//!
//! What it accepts: up to 4 KiB of any text before the first block, blocks that follow each other
//! directly, line ends of LF or CRLF, lines of any length. What it never does: skip over something
//! it does not understand, or hold decoded bytes outside [`SecretBytes`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms_secret::SecretBytes;

/// How many bytes of text may stand before the first block.
const PROLOGUE_LIMIT: usize = 4096;
/// The longest label, in bytes.
const LABEL_LIMIT: usize = 40;
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Text that is not the PEM it looks like (RFC 7468 section 3, strict).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Too much text before the first block.
    #[error("{0} bytes of text stand before the first PEM block, at most 4096 are accepted")]
    Prologue(usize),
    /// A line that begins a block but names no label.
    #[error("the PEM block's first line is no `-----BEGIN LABEL-----`")]
    Begin,
    /// The end is missing or is another label's.
    #[error("the PEM block `{0}` has no `-----END {0}-----`")]
    Unfinished(String),
    /// Text after a block that is neither a blank line nor another block.
    #[error("text follows the PEM block `{0}`")]
    Trailing(String),
    /// The lines are no base64.
    #[error("the PEM block `{0}` is no base64 (RFC 4648 section 4, with padding)")]
    Base64(String),
}

/// One block, not decoded yet.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// Capital letters, digits and spaces, at most 40: safe to show.
    pub(crate) label: &'a str,
    lines: Vec<&'a [u8]>,
}

impl Block<'_> {
    /// Whether the block is encrypted by its own headers (RFC 1421 section 4.6.1.1).
    pub(crate) fn is_encrypted(&self) -> bool {
        self.lines.first().is_some_and(|line| line.starts_with(b"Proc-Type:"))
    }

    /// Decodes the block in locked memory.
    ///
    /// # Errors
    /// When the lines together are no padded base64.
    pub(crate) fn decode(&self) -> Result<SecretBytes, PemError> {
        let mut text = SecretBytes::zeroed(self.lines.iter().map(|line| line.len()).sum());
        let mut rest = text.expose_mut();
        for line in &self.lines {
            let (head, tail) = rest.split_at_mut(line.len());
            head.copy_from_slice(line);
            rest = tail;
        }
        SecretBytes::from_base64(text.expose()).ok_or_else(|| PemError::Base64(self.label.into()))
    }
}

/// Reads the blocks of `text`; `None` when no line begins one.
///
/// # Errors
/// When what looks like PEM is not.
pub(crate) fn read(text: &[u8]) -> Result<Option<Vec<Block<'_>>>, PemError> {
    let Some(prologue) = prologue_len(text) else { return Ok(None) };
    if prologue > PROLOGUE_LIMIT {
        return Err(PemError::Prologue(prologue));
    }
    let mut lines = text.get(prologue..).unwrap_or_default().split(|byte| *byte == b'\n');
    let mut blocks: Vec<Block<'_>> = Vec::new();
    while let Some(line) = lines.next() {
        let line = without_return(line);
        if line.starts_with(BEGIN) {
            blocks.push(block(line, &mut lines)?);
        } else if !line.is_empty() {
            return Err(PemError::Trailing(blocks.last().map_or("", |b| b.label).into()));
        }
    }
    Ok(Some(blocks))
}

/// Writes one block of public bytes: 64 characters a line, LF.
pub(crate) fn write(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index.is_multiple_of(64) {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
}

/// How many bytes stand before the first line that begins a block.
fn prologue_len(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in text.split(|byte| *byte == b'\n') {
        if line.starts_with(BEGIN) {
            return Some(start);
        }
        start += line.len() + 1;
    }
    None
}

fn block<'a>(
    first: &'a [u8],
    lines: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<Block<'a>, PemError> {
    let label = label(first).ok_or(PemError::Begin)?;
    let mut block = Block { label, lines: Vec::new() };
    for line in lines {
        let line = without_return(line);
        if line.starts_with(DASHES) {
            return if ends(line, label) { Ok(block) } else { Err(unfinished(label)) };
        }
        block.lines.push(line);
    }
    Err(unfinished(label))
}

fn unfinished(label: &str) -> PemError {
    PemError::Unfinished(label.into())
}

fn label(line: &[u8]) -> Option<&str> {
    let label = line.strip_prefix(BEGIN)?.strip_suffix(DASHES)?;
    let shown = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ';
    let fits = !label.is_empty() && label.len() <= LABEL_LIMIT && label.iter().all(shown);
    fits.then(|| str::from_utf8(label).ok()).flatten()
}

fn ends(line: &[u8], label: &str) -> bool {
    line.strip_prefix(END).and_then(|rest| rest.strip_suffix(DASHES)) == Some(label.as_bytes())
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, PemError> {
        let blocks = read(text.as_bytes())?.expect("PEM");
        blocks[0].decode().map(|bytes| bytes.expose().to_vec())
    }

    #[test]
    fn block_is_written_and_read_back() {
        for len in [0, 1, 47, 48, 49, 96, 1000] {
            let bytes: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
            let text = write("PUBLIC KEY", &bytes);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            if len > 0 {
                assert_eq!(decoded(&text).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn carriage_returns_and_text_before_are_tolerated() {
        let text = "0: a note\r\n\r\n-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\n\r\n";
        assert_eq!(decoded(text).unwrap(), [1, 2, 3]);
        assert!(read(b"no PEM at all").unwrap().is_none());
        assert!(read(b" -----BEGIN X-----").unwrap().is_none());
    }

    #[test]
    fn text_before_the_block_is_limited_to_four_kibibytes() {
        let block = "-----BEGIN X-----\nAQID\n-----END X-----\n";
        let fits = format!("{}\n{block}", "x".repeat(4095));
        let exceeds = format!("{}\n{block}", "x".repeat(4096));
        assert_eq!(decoded(&fits).unwrap(), [1, 2, 3]);
        assert_eq!(decoded(&exceeds), Err(PemError::Prologue(4097)));
    }

    #[test]
    fn text_after_the_block_is_refused() {
        for tail in ["x", "x\n", " \n", "\nAQID\n", "\0"] {
            let text = format!("-----BEGIN X-----\nAQID\n-----END X-----\n{tail}");
            assert_eq!(decoded(&text), Err(PemError::Trailing("X".into())), "{tail:?}");
        }
        let same_line = "-----BEGIN X-----\nAQID\n-----END X-----x\n";
        assert_eq!(decoded(same_line), Err(PemError::Unfinished("X".into())));
    }

    #[test]
    fn block_without_its_own_end_is_refused() {
        for text in [
            "-----BEGIN X-----\nAQID\n",
            "-----BEGIN X-----\nAQID\n-----END Y-----\n",
            "-----BEGIN X-----\nAQID\n-----BEGIN X-----\nAQID\n-----END X-----\n",
            "-----BEGIN X-----\nAQID\n-----END X\n",
        ] {
            assert_eq!(decoded(text), Err(PemError::Unfinished("X".into())), "{text}");
        }
    }

    #[test]
    fn labels_that_are_not_plain_capitals_are_refused() {
        let long = format!("-----BEGIN {}-----\n", "X".repeat(41));
        for text in [
            "-----BEGIN -----\n",
            "-----BEGIN x-----\n",
            "-----BEGIN X----\n",
            "-----BEGIN \u{1b}[31m-----\n",
            &long,
        ] {
            assert_eq!(decoded(text), Err(PemError::Begin), "{text}");
        }
    }

    #[test]
    fn lines_that_are_not_base64_are_refused() {
        for body in ["AQI", "AQ=D", "AQID\n\u{20}AQID", "AQID=", "A:B=", "AQJ="] {
            let text = format!("-----BEGIN X-----\n{body}\n-----END X-----\n");
            assert_eq!(decoded(&text), Err(PemError::Base64("X".into())), "{body}");
        }
    }
}
