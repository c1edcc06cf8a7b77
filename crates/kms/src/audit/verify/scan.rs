//! The fast pass: chunks of whole lines, hashed on several threads, put together in order.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;

use crate::audit::AuditFault;
use crate::audit::config::Names;
use crate::audit::files::open_regular;
use crate::audit::files::segments;
use crate::audit::files::unreadable;
use crate::audit::growth::Growth;
use crate::audit::line::AuditEvent;
use crate::audit::line::Hash;
use crate::audit::line::LINE_BYTES;
use crate::audit::line::LineHead;
use crate::audit::line::hex_of;
use crate::audit::line::sha256;
use crate::audit::tree::Head;
use crate::audit::tree::leaf_hash;
use crate::audit::verify::Violation;
use crate::audit::verify::ViolationKind;
use crate::audit::verify::notes::Known;
use crate::audit::verify::notes::Witness;
use crate::durable::ForeignFile;

/// Bytes read at a time; each thread holds one such chunk.
const CHUNK: usize = 1024 * 1024;

/// One file of the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    /// Where reading ends, in bytes.
    until: u64,
}

/// Where the fast pass stopped: the beginning of the chunk that is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Index into the segments.
    pub(crate) segment: usize,
    pub(crate) offset: u64,
    /// Whole lines of the segment before that.
    pub(crate) lines: u64,
}

/// What the fast pass found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All lines link, all roots are as known.
    Whole,
    /// A line is not what should stand there.
    Broken(Stop),
    /// All lines up to `size` link, but the root there is not the one that `by` knows. The records
    /// up to `agreed` are those that it knows.
    Differs { size: u64, agreed: u64, by: Witness },
}

/// The pass and how far it came.
pub(crate) struct Scan<'a> {
    pub(crate) segments: Vec<Segment>,
    pub(crate) growth: Growth,
    /// The largest size whose root was found right,
    pub(crate) proven: u64,
    /// and that among them which somebody else than the log knows.
    kept: u64,
    pub(crate) known: &'a Known,
    next_known: usize,
    /// Whole lines of the present segment so far.
    lines: (usize, u64),
    torn: Option<Stop>,
}

impl<'a> Scan<'a> {
    /// Looks up the files; `until` is how far a log that is being written is durable.
    pub(crate) fn new(
        names: &Names,
        known: &'a Known,
        until: Option<&Growth>,
    ) -> Result<Self, AuditFault> {
        let mut files = Vec::new();
        for (stem, number) in segments(names.dir())? {
            let ours = names.number(&format!("{stem}-{number:06}.log")).is_some();
            let limit = match until {
                Some(growth) if number > growth.segment => 0,
                Some(growth) if number == growth.segment => growth.offset,
                Some(_) | None => u64::MAX,
            };
            if ours && (limit > 0 || number == 1) {
                files.push(Segment { number, path: names.segment(number), until: limit });
            }
        }
        let growth = Growth::nothing();
        let (lines, next_known) = ((0, 0), 0);
        Ok(Self {
            segments: files,
            growth,
            proven: 0,
            kept: 0,
            known,
            next_known,
            lines,
            torn: None,
        })
    }

    pub(crate) fn records(&self) -> u64 {
        self.growth.size()
    }

    pub(crate) fn head(&self) -> Head {
        self.growth.head()
    }

    /// Runs to the end or to the first thing that is not in order.
    pub(crate) fn run(&mut self) -> Result<Outcome, AuditFault> {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
        let source = Mutex::new(Source::new(self.segments.clone()));
        let signed = self.known.signed();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(threads);
            for _ in 0..threads {
                let (sender, source) = (sender.clone(), &source);
                scope.spawn(move || work(source, signed, &sender));
            }
            drop(sender);
            self.merge(receiver.into_iter())
        })
    }

    /// Puts the chunks together in their order. Returning early ends the threads.
    fn merge(
        &mut self,
        results: impl Iterator<Item = Result<Chunk, AuditFault>>,
    ) -> Result<Outcome, AuditFault> {
        if let Some(outcome) = self.check_roots() {
            return Ok(outcome);
        }
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for chunk in results {
            let chunk = chunk?;
            waiting.insert(chunk.index, chunk);
            while let Some(chunk) = waiting.remove(&next) {
                next += 1;
                if let Some(outcome) = self.take(&chunk) {
                    return Ok(outcome);
                }
            }
        }
        Ok(Outcome::Whole)
    }

    fn take(&mut self, chunk: &Chunk) -> Option<Outcome> {
        if self.lines.0 != chunk.segment {
            self.lines = (chunk.segment, 0);
        }
        let (segment, offset, lines) = (chunk.segment, chunk.offset, self.lines.1);
        let stop = Stop { segment, offset, lines };
        let Some(digest) = &chunk.digest else { return Some(Outcome::Broken(stop)) };
        if let Some((seq, prev)) = digest.first {
            let follows = seq == self.growth.size() + 1 && prev == hex_of(&self.growth.last);
            if !follows {
                return Some(Outcome::Broken(stop));
            }
            for leaf in &digest.leaves {
                self.growth.tree.push(*leaf);
                if let Some(outcome) = self.check_roots() {
                    return Some(outcome);
                }
            }
            self.growth.last = digest.last;
            self.lines.1 += digest.leaves.len() as u64;
        }
        self.end_of(chunk)
    }

    /// A half-written line is in order at the very end only.
    fn end_of(&mut self, chunk: &Chunk) -> Option<Outcome> {
        if chunk.torn == 0 {
            return None;
        }
        let (segment, lines) = (chunk.segment, self.lines.1);
        let offset = chunk.offset + chunk.whole;
        let stop = Stop { segment, offset, lines };
        if segment + 1 < self.segments.len() || chunk.torn > LINE_BYTES as u64 {
            return Some(Outcome::Broken(stop));
        }
        self.torn = Some(stop).filter(|_| !self.grew(chunk));
        None
    }

    /// Whether somebody has written on since: then the line was caught in the middle.
    fn grew(&self, chunk: &Chunk) -> bool {
        let read = chunk.offset + chunk.whole + chunk.torn;
        let segment = self.segments.get(chunk.segment);
        let file = segment.and_then(|segment| ForeignFile::open(&segment.path).ok());
        file.is_some_and(|file| file.len() > read)
    }

    fn check_roots(&mut self) -> Option<Outcome> {
        let size = self.growth.size();
        while let Some((head, by)) = self.known.0.get(self.next_known).filter(|k| k.0.size == size)
        {
            // Whoever has the audit key can sign anything, so what checkpoints say is no evidence
            // against a head that was kept elsewhere.
            let own = *by == Witness::Checkpoint;
            if head.root != self.growth.tree.root() {
                let agreed = if own { self.proven } else { self.kept };
                return Some(Outcome::Differs { size, agreed, by: *by });
            }
            self.next_known += 1;
            self.proven = size;
            if !own {
                self.kept = size;
            }
        }
        None
    }

    /// The violation if records are missing at the end.
    pub(crate) fn cut_off(&self, known: &Known) -> Option<Violation> {
        let (head, by) = known.last().filter(|(head, _)| head.size > self.records())?;
        let (records, says) = (self.records(), by.says());
        let detail = format!("the log has {records} records, {} are {says}", head.size);
        Some(self.at_the_end(ViolationKind::Truncated, detail))
    }

    /// What else is wrong with the end, or with the numbers of the files.
    pub(crate) fn end(&self, names: &Names) -> Option<Violation> {
        if self.torn.is_some() {
            let detail = "the last line was not written to its end".to_owned();
            return Some(self.at_the_end(ViolationKind::Torn, detail));
        }
        let numbers = self.segments.iter().map(|segment| segment.number);
        let gap = (1..).zip(numbers).find(|(expected, number)| expected != number);
        let none = self.segments.is_empty().then_some((1, 0));
        gap.or(none).map(|(expected, _)| Violation {
            file: names.segment_name(expected),
            line: 0,
            seq: None,
            kind: ViolationKind::Missing,
            detail: "there is no such file".to_owned(),
        })
    }

    fn at_the_end(&self, kind: ViolationKind, detail: String) -> Violation {
        let path = self.segments.last().map(|segment| &segment.path);
        let name = path.and_then(|path| path.file_name());
        let file = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let in_last = self.lines.0 + 1 == self.segments.len();
        let line = if in_last { self.lines.1 + 1 } else { 1 };
        Violation { file, line, seq: Some(self.records() + 1), kind, detail }
    }
}

/// Whole lines of one segment, hashed.
struct Chunk {
    index: u64,
    segment: usize,
    offset: u64,
    /// Bytes of whole lines, and bytes behind them at the end of the file.
    whole: u64,
    torn: u64,
    /// `None` where a line is not in order within the chunk.
    digest: Option<Digest>,
}

struct Digest {
    /// Number and link of the first line.
    first: Option<(u64, [u8; 64])>,
    last: Hash,
    leaves: Vec<Hash>,
}

/// One thread: takes chunks until there are none or nobody listens.
fn work(source: &Mutex<Source>, signed: u64, results: &SyncSender<Result<Chunk, AuditFault>>) {
    let mut bytes = Vec::new();
    loop {
        let next = source.lock().unwrap_or_else(PoisonError::into_inner).read(&mut bytes);
        let result = match next {
            Ok(None) => return,
            Err(fault) => Err(fault),
            Ok(Some(mut chunk)) => {
                let whole = usize::try_from(chunk.whole).unwrap_or(usize::MAX);
                chunk.digest = digest(bytes.get(..whole).unwrap_or(&bytes), signed);
                Ok(chunk)
            }
        };
        let last = result.is_err();
        if results.send(result).is_err() || last {
            return;
        }
    }
}

/// Hashes whole lines; `None` if one is not of the form it must have, or does not link to the one
/// before. Lines that no checkpoint covers must parse as records too.
fn digest(lines: &[u8], signed: u64) -> Option<Digest> {
    let text = std::str::from_utf8(lines).ok()?;
    let controls = count_controls(lines);
    let mut digest = Digest { first: None, last: [0; 32], leaves: Vec::new() };
    digest.leaves.reserve(controls);
    let mut expected = 0;
    for line in text.split_terminator('\n').map(str::as_bytes) {
        let head = LineHead::read(line).filter(|_| line.len() <= LINE_BYTES)?;
        match digest.first {
            None => digest.first = Some((head.seq, head.prev.try_into().ok()?)),
            Some(_) if head.seq != expected || head.prev != hex_of(&digest.last) => return None,
            Some(_) => {}
        }
        if head.seq > signed && AuditEvent::from_line(line).is_none() {
            return None;
        }
        expected = head.seq.checked_add(1)?;
        digest.last = sha256(line);
        digest.leaves.push(leaf_hash(line));
    }
    // The only control characters are the newlines, one behind each line.
    (controls == digest.leaves.len()).then_some(digest)
}

/// How many bytes are control characters. Counted in bytes, in blocks too short to overflow one, so
/// that the compiler makes vector instructions of it.
fn count_controls(bytes: &[u8]) -> usize {
    let count = |block: &[u8]| block.iter().fold(0u8, |n, &b| n.wrapping_add(u8::from(b < b' ')));
    bytes.chunks(255).map(|block| usize::from(count(block))).sum()
}

/// Reads the segments one after the other in chunks of whole lines.
struct Source {
    segments: Vec<Segment>,
    at: usize,
    open: Option<ForeignFile>,
    offset: u64,
    /// Read already, behind the last newline.
    carry: Vec<u8>,
    index: u64,
}

impl Source {
    fn new(segments: Vec<Segment>) -> Self {
        Self { segments, at: 0, open: None, offset: 0, carry: Vec::new(), index: 0 }
    }

    /// Fills `bytes` with the next chunk; `None` at the end.
    fn read(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Chunk>, AuditFault> {
        loop {
            let Some(segment) = self.segments.get(self.at) else { return Ok(None) };
            let mut file = match self.open.take() {
                Some(file) => file,
                None => open_regular(&segment.path)?,
            };
            bytes.clear();
            bytes.append(&mut self.carry);
            let before = self.offset + bytes.len() as u64;
            let limit = segment.until.saturating_sub(before).min(CHUNK as u64);
            let read =
                file.by_ref().take(limit).read_to_end(bytes).map_err(unreadable(&segment.path))?;
            let end = read < CHUNK;
            let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            let torn = bytes.len() - whole;
            if !end && torn <= LINE_BYTES {
                self.carry.extend_from_slice(bytes.get(whole..).unwrap_or_default());
            }
            let chunk = self.chunk(whole as u64, if end || torn > LINE_BYTES { torn } else { 0 });
            if end || torn > LINE_BYTES {
                (self.at, self.offset) = (self.at + 1, 0);
            } else {
                (self.open, self.offset) = (Some(file), self.offset + whole as u64);
            }
            if !bytes.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    fn chunk(&mut self, whole: u64, torn: usize) -> Chunk {
        let (index, segment, offset) = (self.index, self.at, self.offset);
        if whole > 0 || torn > 0 {
            self.index += 1;
        }
        Chunk { index, segment, offset, whole, torn: torn as u64, digest: None }
    }
}
