//! The segment files as the sink of the group commit: append, sync, go on to the next.

use std::sync::Arc;

use crate::audit::config::Names;
use crate::audit::group::Fill;
use crate::audit::group::Sink;
use crate::audit::ledger::Ledger;
use crate::durable::AppendFile;
use crate::durable::Disk;
use crate::durable::DiskError;

/// The last number a file name has digits for.
const LAST_SEGMENT: u32 = 999_999;

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) names: Names,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) file: Box<dyn AppendFile>,
    pub(crate) number: u32,
    /// Length at which the next one is begun, in bytes.
    pub(crate) limit: u64,
    /// Whether every batch is synced.
    pub(crate) sync: bool,
}

impl Segments {
    /// Length of the whole lines at the front of `lines` that fit; at least one line goes into an
    /// empty file.
    fn fitting(&self, lines: &[u8]) -> usize {
        let length = self.file.len();
        let left = self.limit.saturating_sub(length);
        if lines.len() as u64 <= left {
            return lines.len();
        }
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let end = |part: &[u8]| part.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        match end(lines.get(..left).unwrap_or(lines)) {
            0 if length == 0 => {
                lines.iter().position(|&b| b == b'\n').map_or(lines.len(), |at| at + 1)
            }
            fitting => fitting,
        }
    }

    /// Makes everything durable and gives unused room back to the disk.
    pub(crate) fn finish(&mut self) -> Result<(), DiskError> {
        self.file.sync()?;
        self.file.truncate(self.file.len())
    }
}

impl Sink for Segments {
    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.file.reserve(bytes)
    }

    fn write(&mut self, lines: &[u8], fill: Fill) -> Result<usize, DiskError> {
        let taken = match fill {
            Fill::ToLimit => self.fitting(lines),
            Fill::Everything => lines.len(),
        };
        let (now, _) = lines.split_at(taken);
        if !now.is_empty() {
            self.file.write(now)?;
            if self.sync {
                self.file.sync()?;
            }
            self.ledger.grow(now, (self.number, self.file.len()));
        }
        Ok(taken)
    }

    fn advance(&mut self, bytes: u64) -> Result<bool, DiskError> {
        if self.number == LAST_SEGMENT {
            return Ok(false);
        }
        let path = self.names.segment(self.number + 1);
        let mut next = match self.disk.append(&path) {
            Ok(next) => next,
            Err(DiskError::NoSpace) => return Ok(false),
            Err(error) => return Err(error),
        };
        match next.reserve(bytes) {
            Ok(()) => {}
            Err(DiskError::NoSpace) => {
                self.disk.remove(&path)?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.finish()?;
        self.ledger.seal();
        self.file = next;
        self.number += 1;
        Ok(true)
    }
}
