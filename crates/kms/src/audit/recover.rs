//! Taking up a log at the start: what does the disk hold, and does it fit what was signed?
//!
//! Decides which bytes count. From the newest stored edge whose root the audit key has signed (or
//! from the first line, where there is none) every line is read again: number, link and, at each
//! checkpoint, the root must be right. What stands behind the last whole line and was never
//! acknowledged is set aside under another name, never deleted. Anything else is damage, and then
//! nothing is changed.

use std::path::PathBuf;

use crate::audit::AuditFault;
use crate::audit::checkpoint::CheckpointVerifier;
use crate::audit::checkpoint::split_notes;
use crate::audit::config::Names;
use crate::audit::files::LineReader;
use crate::audit::files::Piece;
use crate::audit::files::read_tail;
use crate::audit::files::segments;
use crate::audit::files::unreadable;
use crate::audit::growth::Growth;
use crate::audit::line::AuditEvent;
use crate::audit::line::LineHead;
use crate::audit::line::hex_of;
use crate::audit::tree::Head;
use crate::durable::Disk;
use crate::time::Timestamp;

/// How much of the file of checkpoints is read at a start, in bytes: about a thousand notes.
const NOTES_TAIL: u64 = 256 * 1024;
/// Most that can be half-written: one batch.
const TORN_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes that were set aside at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Where they are now.
    pub file: PathBuf,
    /// How many.
    pub bytes: u64,
}

/// A log as it was found, ready to go on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) growth: Growth,
    /// The segment to go on in.
    pub(crate) segment: u32,
    /// The newest checkpoint.
    pub(crate) signed: Option<Head>,
    /// The time of the last record.
    pub(crate) last_time: Option<Timestamp>,
    pub(crate) torn: Option<Torn>,
}

/// What a start goes by.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) names: &'a Names,
    pub(crate) verifier: &'a CheckpointVerifier,
    /// A head that was kept elsewhere: the log may not be shorter or other than it.
    pub(crate) anchor: Option<Head>,
}

/// Reads the log back.
pub(crate) fn recover(ground: Ground<'_>) -> Result<Recovered, AuditFault> {
    let segment = last_segment(ground.names)?;
    let notes = Notes::read(ground)?;
    let start = notes.start(ground, segment)?;
    let mut walk = Walk { ground, notes: &notes, growth: start, last_line: Vec::new() };
    let torn = walk.until_the_end(segment)?;
    walk.check_heads()?;
    let Walk { growth, last_line, .. } = walk;
    let torn = torn.map(|torn| set_aside(ground, torn)).transpose()?;
    notes.drop_torn(ground)?;
    let last_time = last_time(ground.names, &growth, &last_line)?;
    Ok(Recovered { growth, segment, signed: notes.newest, last_time, torn })
}

fn damaged<T>(what: String) -> Result<T, AuditFault> {
    Err(AuditFault::Integrity(what))
}

/// The number of the last segment; they must be there from 1 without a gap.
fn last_segment(names: &Names) -> Result<u32, AuditFault> {
    let found = segments(names.dir())?;
    let ours = |(stem, number): &(String, u32)| names.number(&format!("{stem}-{number:06}.log"));
    let numbers: Vec<u32> = found.iter().filter_map(ours).collect();
    let missing = (1..).zip(&numbers).find(|(expected, number)| expected != *number);
    match (numbers.last(), missing) {
        (_, Some((expected, _))) => damaged(format!("{} is missing", names.segment_name(expected))),
        (Some(last), None) => Ok(*last),
        (None, None) => damaged(format!("{} is missing", names.segment_name(1))),
    }
}

/// The newest checkpoints. Each is checked when it is first relied on.
struct Notes {
    bytes: Vec<u8>,
    torn: usize,
    newest: Option<Head>,
    /// Size and place in `bytes` of each, oldest first.
    sizes: Vec<(u64, std::ops::Range<usize>)>,
}

impl Notes {
    fn read(ground: Ground<'_>) -> Result<Self, AuditFault> {
        let path = ground.names.checkpoints();
        let (tail, whole) = read_tail(&path, NOTES_TAIL)?;
        let bytes = if whole { tail } else { from_a_note(tail) };
        let (placed, torn) = split_notes(&bytes);
        let mut sizes = Vec::new();
        let mut at = 0;
        for note in placed {
            let text = std::str::from_utf8(note.note).unwrap_or_default();
            let size = text.lines().nth(1).and_then(|size| size.parse().ok());
            let Some(size) = size else { return damaged("a checkpoint is no note".to_owned()) };
            sizes.push((size, at..at + note.note.len()));
            at += note.note.len() + 1;
        }
        let mut notes = Self { bytes, torn, newest: None, sizes };
        if let Some((_, range)) = notes.sizes.last().cloned() {
            notes.newest = Some(notes.check(ground, range)?);
        }
        Ok(notes)
    }

    fn check(&self, ground: Ground<'_>, range: std::ops::Range<usize>) -> Result<Head, AuditFault> {
        let note = self.bytes.get(range).unwrap_or_default();
        ground.verifier.check(note).or_else(|why| damaged(format!("a checkpoint {why}")))
    }

    /// The signed head of `size` records, if one is at hand.
    fn signed(&self, ground: Ground<'_>, size: u64) -> Result<Option<Head>, AuditFault> {
        let from = self.sizes.partition_point(|(other, _)| *other < size);
        let note = self.sizes.get(from).filter(|(other, _)| *other == size);
        note.map(|(_, range)| self.check(ground, range.clone())).transpose()
    }

    /// Where to begin reading: behind the stored edge if it can be relied on and the anchor can be
    /// checked from there, else at the first line.
    fn start(&self, ground: Ground<'_>, last_segment: u32) -> Result<Growth, AuditFault> {
        let stored = ground.disk.read(&ground.names.frontier(), 16 * 1024).ok();
        let Some(stored) = stored.and_then(|bytes| Growth::from_bytes(&bytes)) else {
            return Ok(Growth::nothing());
        };
        let signed = self.signed(ground, stored.size())? == Some(stored.head());
        let reachable = match ground.anchor {
            Some(anchor) if anchor.size <= stored.size() => {
                self.signed(ground, anchor.size)? == Some(anchor)
            }
            Some(_) | None => true,
        };
        let there = stored.segment <= last_segment && links_to(ground.names, &stored)?;
        Ok(if signed && reachable && there { stored } else { Growth::nothing() })
    }

    /// Cuts off a note that was not written to its end.
    fn drop_torn(&self, ground: Ground<'_>) -> Result<(), AuditFault> {
        if self.torn == 0 {
            return Ok(());
        }
        let path = ground.names.checkpoints();
        let mut file = ground.disk.append(&path).map_err(AuditFault::at(&path))?;
        let whole = file.len().saturating_sub(self.torn as u64);
        file.truncate(whole).map_err(AuditFault::at(&path))
    }
}

/// `tail` from the first note that begins in it.
fn from_a_note(tail: Vec<u8>) -> Vec<u8> {
    let begins = b"\n\nvirtengine-kms/";
    let at = tail.windows(begins.len()).position(|window| window == begins);
    at.map(|at| tail.get(at + 2..).unwrap_or_default().to_vec()).unwrap_or_default()
}

/// Whether the line that ends where `growth` says has the hash and number it says.
fn links_to(names: &Names, growth: &Growth) -> Result<bool, AuditFault> {
    if growth.offset == 0 {
        return Ok(growth.size() == 0);
    }
    let line = line_before(names, growth)?;
    let seq = LineHead::read(&line).map(|head| head.seq);
    Ok(seq == Some(growth.size()) && crate::audit::line::sha256(&line) == growth.last)
}

/// The line that ends where `growth` says, without its newline.
fn line_before(names: &Names, growth: &Growth) -> Result<Vec<u8>, AuditFault> {
    let path = names.segment(growth.segment);
    let from = growth.offset.saturating_sub(crate::audit::line::LINE_BYTES as u64 + 2);
    let mut reader = LineReader::open(&path, from)?;
    let bytes = reader.rest(growth.offset - from).map_err(unreadable(&path))?;
    let line = bytes.strip_suffix(b"\n").unwrap_or_default();
    let start = line.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    Ok(line.get(start..).unwrap_or_default().to_vec())
}

fn last_time(names: &Names, growth: &Growth, line: &[u8]) -> Result<Option<Timestamp>, AuditFault> {
    if growth.size() == 0 {
        return Ok(None);
    }
    let read = if line.is_empty() { line_before(names, growth)? } else { line.to_vec() };
    Ok(AuditEvent::from_line(&read).map(|event| event.time))
}

/// Reading forward, line by line.
struct Walk<'a> {
    ground: Ground<'a>,
    notes: &'a Notes,
    growth: Growth,
    last_line: Vec<u8>,
}

/// Where a segment stops making sense.
struct Break {
    segment: u32,
    offset: u64,
    why: String,
}

impl Walk<'_> {
    fn until_the_end(&mut self, last_segment: u32) -> Result<Option<Break>, AuditFault> {
        for segment in self.growth.segment..=last_segment {
            let offset = if segment == self.growth.segment { self.growth.offset } else { 0 };
            let broken = self.segment(segment, offset)?;
            match broken {
                None => {}
                Some(broken) if segment == last_segment => return self.only_torn(broken).map(Some),
                Some(broken) => return damaged(self.told(&broken)),
            }
        }
        Ok(None)
    }

    fn told(&self, broken: &Break) -> String {
        let (name, seq) = (self.ground.names.segment_name(broken.segment), self.growth.size() + 1);
        format!("{name}, byte {}: expected record {seq}, {}", broken.offset, broken.why)
    }

    fn segment(&mut self, segment: u32, from: u64) -> Result<Option<Break>, AuditFault> {
        let path = self.ground.names.segment(segment);
        let mut lines = LineReader::open(&path, from)?;
        loop {
            let offset = lines.offset();
            let end = match lines.read().map_err(unreadable(&path))? {
                Piece::End => return Ok(None),
                Piece::Torn(_) => Err("the line has no end".to_owned()),
                Piece::Line(line) => self.line(line)?,
            };
            match end {
                Ok(()) => (self.growth.segment, self.growth.offset) = (segment, lines.offset()),
                Err(why) => return Ok(Some(Break { segment, offset, why })),
            }
        }
    }

    /// Takes in a line, or says why it is none of this log.
    fn line(&mut self, line: &[u8]) -> Result<Result<(), String>, AuditFault> {
        let expected = self.growth.size() + 1;
        let Some(head) = LineHead::read(line) else { return Ok(Err("got no record".to_owned())) };
        if head.seq != expected {
            return Ok(Err(format!("got record {}", head.seq)));
        }
        if head.prev != hex_of(&self.growth.last) {
            return Ok(Err("it does not link to the record before".to_owned()));
        }
        let signed = self.notes.newest.is_some_and(|newest| expected <= newest.size);
        if !signed && AuditEvent::from_line(line).is_none() {
            return Ok(Err("got no record".to_owned()));
        }
        self.growth.push(line);
        self.last_line.clear();
        self.last_line.extend_from_slice(line);
        self.check_root().map(Ok)
    }

    /// The root must be the one signed, wherever one was signed, and the anchor's.
    fn check_root(&self) -> Result<(), AuditFault> {
        let size = self.growth.size();
        let signed = self.notes.signed(self.ground, size)?;
        let anchor = self.ground.anchor.filter(|anchor| anchor.size == size);
        if signed.is_none() && anchor.is_none() {
            return Ok(());
        }
        let head = Some(self.growth.head());
        if signed.is_some() && signed != head {
            return damaged(format!("the first {size} records are not those that were signed"));
        }
        if anchor.is_some() && anchor != head {
            return damaged(format!("rewritten: the first {size} records are not those on record"));
        }
        Ok(())
    }

    /// At the end: nothing that was signed or anchored may be missing.
    fn check_heads(&self) -> Result<(), AuditFault> {
        let size = self.growth.size();
        for (known, by) in [(self.notes.newest, "signed"), (self.ground.anchor, "on record")] {
            let known = known.map_or(0, |head| head.size);
            if known > size {
                return damaged(format!("truncated: it has {size} records, {known} are {by}"));
            }
        }
        Ok(())
    }

    /// Accepts a break as a half-written end: nothing signed is missing, and no whole record
    /// stands behind it.
    fn only_torn(&self, broken: Break) -> Result<Break, AuditFault> {
        self.check_heads()?;
        let path = self.ground.names.segment(broken.segment);
        let mut lines = LineReader::open(&path, broken.offset)?;
        let bytes = lines.rest(TORN_BYTES + 1).map_err(unreadable(&path))?;
        let whole = |piece: &[u8]| {
            piece.strip_suffix(b"\n").is_some_and(|line| AuditEvent::from_line(line).is_some())
        };
        if bytes.len() as u64 > TORN_BYTES || bytes.split_inclusive(|&b| b == b'\n').any(whole) {
            return damaged(self.told(&broken));
        }
        Ok(broken)
    }
}

/// Moves the half-written end out of the way. The copy is durable before the segment is cut.
fn set_aside(ground: Ground<'_>, torn: Break) -> Result<Torn, AuditFault> {
    let path = ground.names.segment(torn.segment);
    let mut lines = LineReader::open(&path, torn.offset)?;
    let bytes = lines.rest(TORN_BYTES).map_err(unreadable(&path))?;
    let mut names = (1..).map(|n| ground.names.torn(torn.segment, n));
    let file = names.find(|name| !name.exists()).unwrap_or_else(|| path.with_extension("torn"));
    ground.disk.create(&file, &bytes).map_err(AuditFault::at(&file))?;
    let mut segment = ground.disk.append(&path).map_err(AuditFault::at(&path))?;
    segment.truncate(torn.offset).map_err(AuditFault::at(&path))?;
    Ok(Torn { file, bytes: bytes.len() as u64 })
}
