//! The slow look: which record is the first that is wrong, and what was done to it.

use std::collections::VecDeque;

use crate::audit::AuditFault;
use crate::audit::config::Names;
use crate::audit::files::LineReader;
use crate::audit::files::Piece;
use crate::audit::files::unreadable;
use crate::audit::line::AuditEvent;
use crate::audit::line::Hash;
use crate::audit::line::LineHead;
use crate::audit::line::hex_of;
use crate::audit::line::sha256;
use crate::audit::verify::Violation;
use crate::audit::verify::ViolationKind;
use crate::audit::verify::notes::Witness;
use crate::audit::verify::scan::Scan;
use crate::audit::verify::scan::Segment;
use crate::audit::verify::scan::Stop;

/// How many lines are looked through for a record that stands in the wrong place.
const WINDOW: usize = 10_000;
/// Of 64 hex digits: two links that share so many are one link with an edit, for two different
/// hashes share about four.
const ALIKE: usize = 32;

/// One line, as far as it can be read.
#[derive(Debug, Clone)]
struct Seen {
    segment: usize,
    line: u64,
    /// Number and link; `None` if it is no record.
    head: Option<(u64, [u8; 64])>,
    hash: Hash,
}

impl Seen {
    fn seq(&self) -> Option<u64> {
        self.head.map(|(seq, _)| seq)
    }

    fn links_to(&self, hash: &Hash) -> bool {
        self.head.is_some_and(|(_, prev)| prev == hex_of(hash))
    }

    fn nearly_links_to(&self, hash: &Hash) -> bool {
        let same = |prev: [u8; 64]| prev.iter().zip(hex_of(hash)).filter(|(a, b)| *a == b).count();
        self.head.is_some_and(|(_, prev)| same(prev) >= ALIKE)
    }
}

/// The lines from some place on, over the ends of files.
struct Walker<'a> {
    segments: &'a [Segment],
    at: usize,
    reader: Option<LineReader>,
    line: u64,
}

impl<'a> Walker<'a> {
    fn from(segments: &'a [Segment], stop: Stop) -> Result<Self, AuditFault> {
        let segment = segments.get(stop.segment);
        let reader = segment.map(|s| LineReader::open(&s.path, stop.offset)).transpose()?;
        Ok(Self { segments, at: stop.segment, reader, line: stop.lines })
    }

    fn next(&mut self) -> Result<Option<Seen>, AuditFault> {
        while let (Some(segment), Some(reader)) = (self.segments.get(self.at), &mut self.reader) {
            let piece = reader.read().map_err(unreadable(&segment.path))?;
            let (bytes, whole) = match piece {
                Piece::Line(line) => (line, true),
                Piece::Torn(bytes) => (bytes, false),
                Piece::End => {
                    (self.at, self.line) = (self.at + 1, 0);
                    let next = self.segments.get(self.at);
                    self.reader = next.map(|s| LineReader::open(&s.path, 0)).transpose()?;
                    continue;
                }
            };
            self.line += 1;
            let record = whole && AuditEvent::from_line(bytes).is_some();
            let head = LineHead::read(bytes).filter(|_| record);
            let head = head.and_then(|head| Some((head.seq, head.prev.try_into().ok()?)));
            let hash = sha256(bytes);
            return Ok(Some(Seen { segment: self.at, line: self.line, head, hash }));
        }
        Ok(None)
    }
}

/// The first line that is wrong, with what is needed to say how.
struct Bad {
    /// The number that should stand there, and the hash it should link to.
    expected: u64,
    prev: Hash,
    seen: Seen,
    /// What stands behind it.
    after: VecDeque<Seen>,
}

impl Bad {
    /// Whether the record that should stand there stands further on.
    fn comes_later(&self) -> bool {
        self.after.iter().any(|seen| seen.seq() == Some(self.expected))
    }
}

/// Names what the fast pass came upon.
pub(crate) struct Diagnosis<'a> {
    scan: &'a Scan<'a>,
    names: &'a Names,
}

impl<'a> Diagnosis<'a> {
    pub(crate) fn new(scan: &'a Scan<'a>, names: &'a Names) -> Self {
        Self { scan, names }
    }

    /// A line that is not what should stand there, at or behind `stop`.
    pub(crate) fn of_break(&self, stop: Stop) -> Result<Violation, AuditFault> {
        match self.first_bad(stop)? {
            Some(bad) => self.classify(&bad),
            None => Ok(Violation {
                file: self.file(stop.segment),
                line: stop.lines + 1,
                seq: Some(self.scan.records() + 1),
                kind: ViolationKind::Malformed,
                detail: "it changed while it was being verified".to_owned(),
            }),
        }
    }

    /// The root of `last.0` records is not the one that `last.1` knows, although all lines link:
    /// what was changed lies from `first` on.
    pub(crate) fn of_root(
        &self,
        first: u64,
        last: (u64, Witness),
    ) -> Result<Violation, AuditFault> {
        let place = self.find(first)?;
        let (size, says) = (last.0, last.1.says());
        let (kind, detail) = if first >= size {
            (ViolationKind::Edited, format!("record {size} is not the one {says}"))
        } else {
            let what = format!("they link to each other, but are not those {says}");
            (ViolationKind::Rewritten, format!("records {first} to {size}: {what}"))
        };
        let (file, line) =
            place.map_or((self.file(0), 0), |seen| (self.file(seen.segment), seen.line));
        Ok(Violation { file, line, seq: Some(first), kind, detail })
    }

    fn file(&self, segment: usize) -> String {
        let number = self.scan.segments.get(segment).map_or(1, |segment| segment.number);
        self.names.segment_name(number)
    }

    fn first_bad(&self, stop: Stop) -> Result<Option<Bad>, AuditFault> {
        let mut walker = Walker::from(&self.scan.segments, stop)?;
        let (mut expected, mut prev) = (self.scan.records() + 1, self.scan.growth.last);
        while let Some(seen) = walker.next()? {
            if seen.seq() == Some(expected) && seen.links_to(&prev) {
                (expected, prev) = (expected + 1, seen.hash);
                continue;
            }
            let mut after = VecDeque::new();
            while let Some(next) = walker.next()? {
                after.push_back(next);
                if after.len() >= WINDOW {
                    break;
                }
            }
            return Ok(Some(Bad { expected, prev, seen, after }));
        }
        Ok(None)
    }

    fn classify(&self, bad: &Bad) -> Result<Violation, AuditFault> {
        let next = bad.after.front().and_then(Seen::seq);
        match bad.seen.seq() {
            None => Ok(self.no_record(bad, next)),
            Some(seq) if seq == bad.expected => self.wrong_link(bad),
            Some(seq) if seq > bad.expected && bad.comes_later() => {
                let detail = format!("record {seq} stands there, record {} later", bad.expected);
                Ok(self.at(bad, (ViolationKind::Reordered, bad.expected), detail))
            }
            Some(seq) if next == Some(bad.expected + 1) => {
                let n = bad.expected;
                Ok(self.at(bad, (ViolationKind::Edited, n), format!("its number is now {seq}")))
            }
            Some(seq) if seq > bad.expected => Ok(self.gap(bad, seq)),
            Some(seq) => self.seen_before(bad, seq),
        }
    }

    fn at(&self, bad: &Bad, what: (ViolationKind, u64), detail: String) -> Violation {
        let file = self.file(bad.seen.segment);
        Violation { file, line: bad.seen.line, seq: Some(what.1), kind: what.0, detail }
    }

    fn no_record(&self, bad: &Bad, next: Option<u64>) -> Violation {
        let n = bad.expected;
        let (kind, detail) = match next {
            Some(seq) if seq == n => (ViolationKind::Inserted, "a line that is no record"),
            Some(seq) if seq == n + 1 => (ViolationKind::Edited, "the line is no record any more"),
            Some(_) | None if n <= self.known_size() => {
                (ViolationKind::Edited, "the line is no record any more")
            }
            Some(_) | None => (ViolationKind::Malformed, "the line is no record"),
        };
        self.at(bad, (kind, n), detail.to_owned())
    }

    /// Number of records that are known to have been there.
    fn known_size(&self) -> u64 {
        self.scan.known.last().map_or(0, |(head, _)| head.size)
    }

    /// The right number, but a link to something else: was the record before edited, or this link?
    fn wrong_link(&self, bad: &Bad) -> Result<Violation, AuditFault> {
        let n = bad.expected;
        let confirmed = bad.after.front().is_none_or(|next| next.links_to(&bad.seen.hash));
        let before_is_proven = n == 1 || self.scan.proven >= n - 1;
        if before_is_proven || bad.seen.nearly_links_to(&bad.prev) || !confirmed {
            let detail = format!("its link is not the hash of record {}", n - 1);
            return Ok(self.at(bad, (ViolationKind::Edited, n), detail));
        }
        let detail = format!("record {n} links to other content of it");
        let place = self.find(n - 1)?;
        let mut violation = self.at(bad, (ViolationKind::Edited, n - 1), detail);
        if let Some(seen) = place {
            (violation.file, violation.line) = (self.file(seen.segment), seen.line);
        }
        Ok(violation)
    }

    /// A number beyond the expected one.
    fn gap(&self, bad: &Bad, seq: u64) -> Violation {
        let n = bad.expected;
        let detail = match seq - n {
            1 => format!("record {n} is not there"),
            _ => format!("records {n} to {} are not there", seq - 1),
        };
        let mut violation = self.at(bad, (ViolationKind::Missing, n), detail);
        if let Some(absent) = self.absent_before(&bad.seen) {
            (violation.file, violation.line) = (self.names.segment_name(absent), 0);
            violation.detail.push_str(", nor is the file");
        }
        violation
    }

    /// The number of the file that should stand before the one `seen` begins, if it is not there.
    fn absent_before(&self, seen: &Seen) -> Option<u32> {
        let number = |at: usize| self.scan.segments.get(at).map(|segment| segment.number);
        let before = seen.segment.checked_sub(1).and_then(number).unwrap_or(0);
        let here = number(seen.segment).filter(|_| seen.line == 1)?;
        (here != before + 1).then_some(before + 1)
    }

    /// A number that was there already: a copy, a forgery, or another writer.
    fn seen_before(&self, bad: &Bad, seq: u64) -> Result<Violation, AuditFault> {
        let (kind, detail) = match self.find(seq)? {
            Some(first) if first.hash == bad.seen.hash => {
                (ViolationKind::Inserted, format!("a copy of record {seq}"))
            }
            Some(first) if first.head.map(|h| h.1) == bad.seen.head.map(|h| h.1) => {
                let detail = format!("a second, different record {seq} behind the same one");
                (ViolationKind::DuplicateWriter, detail)
            }
            Some(_) | None => (ViolationKind::Inserted, format!("a second record {seq}")),
        };
        Ok(self.at(bad, (kind, seq), detail))
    }

    /// The first line with number `seq`.
    fn find(&self, seq: u64) -> Result<Option<Seen>, AuditFault> {
        let start = Stop { segment: 0, offset: 0, lines: 0 };
        let mut walker = Walker::from(&self.scan.segments, start)?;
        while let Some(seen) = walker.next()? {
            if seen.seq() == Some(seq) {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }
}
