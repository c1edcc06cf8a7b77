//! The thread that signs checkpoints and makes them durable, beside the one that writes records.

use std::sync::Arc;

use crate::audit::AuditFault;
use crate::audit::checkpoint::AuditKey;
use crate::audit::checkpoint::NOTE_BYTES;
use crate::audit::config::Names;
use crate::audit::group::Fate;
use crate::audit::growth::Growth;
use crate::audit::ledger::Ledger;
use crate::audit::ledger::Task;
use crate::durable::AppendFile;
use crate::durable::Disk;

/// After so many records the tree's edge is stored, so that a start after a crash reads no more.
const EDGE_RECORDS: u64 = 16 * 1024;

/// Signs and writes checkpoints.
#[derive(Debug)]
pub(crate) struct Notary {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) names: Names,
    pub(crate) key: AuditKey,
    pub(crate) file: Box<dyn AppendFile>,
    /// Bytes of the file that are reserved.
    pub(crate) reserved: u64,
    /// Number of records at the edge that is stored.
    pub(crate) stored: u64,
}

impl Notary {
    /// Signs a state. A full disk puts it off with nothing written.
    pub(crate) fn sign(&mut self, growth: &Growth) -> Result<(), AuditFault> {
        let path = self.names.checkpoints();
        let note = self.key.note(&growth.head());
        let end = self.file.len() + note.len() as u64;
        if end > self.reserved {
            let room = NOTE_BYTES as u64;
            self.file.reserve(room).map_err(AuditFault::at(&path))?;
            self.reserved = self.file.len() + room;
        }
        let written = self.file.write(&note).and_then(|()| self.file.sync());
        written.map_err(|error| match AuditFault::at(&path)(error) {
            AuditFault::NoSpace => AuditFault::Poisoned("no space in reserved room".into()),
            other => other,
        })
    }

    /// Stores the edge. A full disk leaves the older one, which only costs time at a start.
    pub(crate) fn store_edge(&mut self, growth: &Growth) -> Result<(), AuditFault> {
        let path = self.names.frontier();
        match self.disk.replace(&path, &growth.to_bytes()).map_err(AuditFault::at(&path)) {
            Ok(()) => self.stored = growth.size(),
            Err(AuditFault::NoSpace) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// The thread: until the ledger is closed, or a write went wrong.
    pub(crate) fn run(mut self, ledger: &Ledger, fate: &dyn Fate) -> Result<(), AuditFault> {
        loop {
            let task = ledger.next_task();
            let outcome = fate.poisoned().map_or_else(|| self.carry_out(ledger, &task), Err);
            let fatal = matches!(&outcome, Err(fault) if !matches!(fault, AuditFault::NoSpace));
            ledger.done(&task, outcome.clone());
            if fatal {
                let why = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
                fate.poison(&why);
                return self.refuse(ledger, outcome);
            }
            if task.last {
                return outcome;
            }
        }
    }

    fn carry_out(&mut self, ledger: &Ledger, task: &Task) -> Result<(), AuditFault> {
        let size = task.growth.size();
        if ledger.signed().is_none_or(|signed| signed.size < size) {
            self.sign(&task.growth)?;
        }
        let far = size >= self.stored + EDGE_RECORDS;
        if far || (task.store_edge && size > self.stored) {
            self.store_edge(&task.growth)?;
        }
        if task.last {
            let path = self.names.checkpoints();
            self.file.truncate(self.file.len()).map_err(AuditFault::at(&path))?;
        }
        Ok(())
    }

    /// Answers every further question with the same fault, until the ledger is closed.
    fn refuse(self, ledger: &Ledger, outcome: Result<(), AuditFault>) -> Result<(), AuditFault> {
        loop {
            let task = ledger.next_task();
            ledger.done(&task, outcome.clone());
            if task.last {
                return outcome;
            }
        }
    }
}
