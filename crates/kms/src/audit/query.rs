//! Reading events from the files of a log.

use std::path::Path;

use crate::audit::AuditFault;
use crate::audit::EventType;
use crate::audit::Verification;
use crate::audit::VerifyOptions;
use crate::audit::config::Names;
use crate::audit::files::LineReader;
use crate::audit::files::Piece;
use crate::audit::files::segments;
use crate::audit::files::unreadable;
use crate::audit::growth::Growth;
use crate::audit::line::AuditEvent;
use crate::audit::line::LineHead;
use crate::audit::verify::verify_names;
use crate::key::KeyId;
use crate::time::Timestamp;

/// The files of a log, for reading: also of one that is damaged, or being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFiles(Names);

/// Which events are wanted. The default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Of this type.
    pub event: Option<EventType>,
    /// About this key.
    pub key: Option<KeyId>,
    /// By this principal.
    pub principal: Option<String>,
    /// With a larger number: where the last page ended.
    pub after: u64,
    /// At most so many.
    pub limit: Option<usize>,
}

impl AuditFiles {
    /// The files of the log that is configured as `log_file`.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Setting`] for a path that cannot be one.
    pub fn at(log_file: &Path) -> Result<Self, AuditFault> {
        Names::of(log_file).map(Self)
    }

    pub(crate) fn of(names: Names) -> Self {
        Self(names)
    }

    /// The directory they are in.
    pub fn dir(&self) -> &Path {
        self.0.dir()
    }

    /// The events since `since`, of one type or of all, oldest first.
    ///
    /// # Errors
    ///
    /// [`AuditFault::File`] if a file cannot be read, [`AuditFault::Integrity`] at a line that is
    /// no record.
    pub fn events(
        &self,
        since: Timestamp,
        event: Option<EventType>,
    ) -> Result<Vec<AuditEvent>, AuditFault> {
        self.find(&Query { since: Some(since), event, ..Query::default() })
    }

    /// The events about `key` since `since`, oldest first.
    ///
    /// # Errors
    ///
    /// As [`AuditFiles::events`].
    pub fn events_by_key(
        &self,
        key: KeyId,
        since: Timestamp,
    ) -> Result<Vec<AuditEvent>, AuditFault> {
        self.find(&Query { since: Some(since), key: Some(key), ..Query::default() })
    }

    /// The events that `query` wants, oldest first.
    ///
    /// # Errors
    ///
    /// As [`AuditFiles::events`].
    pub fn find(&self, query: &Query) -> Result<Vec<AuditEvent>, AuditFault> {
        let mut found = Vec::new();
        self.visit(query, |event, _| found.push(event))?;
        Ok(found)
    }

    /// Calls `visit` with each event that `query` wants and the exact bytes of its line, oldest
    /// first. Holds one line at a time, and does not wait for a line that is being written.
    ///
    /// # Errors
    ///
    /// As [`AuditFiles::events`].
    pub fn visit(
        &self,
        query: &Query,
        mut visit: impl FnMut(AuditEvent, &[u8]),
    ) -> Result<(), AuditFault> {
        let filter = Filter::new(query);
        let mut left = query.limit.unwrap_or(usize::MAX);
        for number in self.numbers_after(query.after)? {
            let path = self.0.segment(number);
            let mut lines = LineReader::open(&path, 0)?;
            let mut count: u64 = 0;
            while left > 0 {
                let line = match lines.read().map_err(unreadable(&path))? {
                    Piece::Line(line) => line,
                    Piece::Torn(_) | Piece::End => break,
                };
                count += 1;
                let event = match filter.may_want(line) {
                    true => parsed(line, (&self.0.segment_name(number), count))?,
                    false => continue,
                };
                if filter.wants(&event) {
                    visit(event, line);
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    /// Whether the record named `rid` (32 hex digits) stands behind record `after`.
    ///
    /// # Errors
    ///
    /// As [`AuditFiles::events`].
    pub fn contains_since(&self, after: u64, rid: &str) -> Result<bool, AuditFault> {
        let pattern = format!(",\"rid\":\"{rid}\",");
        for number in self.numbers()?.into_iter().rev() {
            let path = self.0.segment(number);
            let mut lines = LineReader::open(&path, 0)?;
            let mut first = None;
            while let Piece::Line(line) = lines.read().map_err(unreadable(&path))? {
                let Some(head) = LineHead::read(line) else { continue };
                first = first.or(Some(head.seq));
                if head.seq > after && contains(line, &pattern) {
                    return Ok(true);
                }
            }
            if first.is_some_and(|first| first <= after) {
                break; // older files hold smaller numbers only
            }
        }
        Ok(false)
    }

    /// Verifies what is durable of a log that is being written.
    pub(crate) fn verify_while_written(
        &self,
        audit_key: &str,
        until: &Growth,
    ) -> Result<Verification, AuditFault> {
        let anchor = Some(until.head());
        let options =
            VerifyOptions { audit_key: Some(audit_key.to_owned()), anchor, expect_head: None };
        verify_names(&self.0, &options, Some(until))
    }

    /// The segments that may hold records after `after`: those before hold smaller numbers only.
    fn numbers_after(&self, after: u64) -> Result<Vec<u32>, AuditFault> {
        let mut numbers = self.numbers()?;
        let mut first = 0;
        for (place, number) in numbers.iter().enumerate().rev() {
            let path = self.0.segment(*number);
            let mut lines = LineReader::open(&path, 0)?;
            let Piece::Line(line) = lines.read().map_err(unreadable(&path))? else { continue };
            if LineHead::read(line).is_some_and(|head| head.seq <= after.saturating_add(1)) {
                first = place;
                break;
            }
        }
        Ok(numbers.split_off(first))
    }

    fn numbers(&self) -> Result<Vec<u32>, AuditFault> {
        let found = segments(self.0.dir())?;
        let name = |(stem, number): &(String, u32)| format!("{stem}-{number:06}.log");
        Ok(found.iter().filter_map(|segment| self.0.number(&name(segment))).collect())
    }
}

fn parsed(line: &[u8], place: (&str, u64)) -> Result<AuditEvent, AuditFault> {
    AuditEvent::from_line(line)
        .ok_or_else(|| AuditFault::Integrity(format!("{}, line {} is no record", place.0, place.1)))
}

fn contains(line: &[u8], pattern: &str) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.contains(pattern))
}

/// A query, with the texts that a line must contain to be worth parsing.
struct Filter<'a> {
    query: &'a Query,
    patterns: Vec<String>,
}

impl<'a> Filter<'a> {
    fn new(query: &'a Query) -> Self {
        let event = query.event.map(|event| format!(",\"type\":\"{event}\","));
        let key = query.key.map(|key| format!(",\"key\":\"{key}\","));
        Self { query, patterns: event.into_iter().chain(key).collect() }
    }

    /// Cheap: never false for a line that is wanted.
    fn may_want(&self, line: &[u8]) -> bool {
        let late = LineHead::read(line).is_none_or(|head| head.seq > self.query.after);
        late && (self.patterns.is_empty() || self.patterns.iter().all(|p| contains(line, p)))
    }

    fn wants(&self, event: &AuditEvent) -> bool {
        let query = self.query;
        event.seq > query.after
            && query.since.is_none_or(|since| event.time >= since)
            && query.until.is_none_or(|until| event.time < until)
            && query.event.is_none_or(|wanted| event.event == wanted)
            && query.key.is_none_or(|wanted| event.key == Some(wanted))
            && query.principal.as_ref().is_none_or(|p| event.principal.as_ref() == Some(p))
    }
}
