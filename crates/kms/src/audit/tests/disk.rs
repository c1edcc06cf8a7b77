//! A real disk that fails on purpose.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::durable::AppendFile;
use crate::durable::Disk;
use crate::durable::DiskError;
use crate::durable::InPlaceFile;
use crate::durable::OsDisk;

/// What happens at the effect that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing is done, then or later: the machine has stopped.
    Stop,
    /// Nothing is done, once.
    NotDone,
    /// It is done, but reported as failed, once.
    DoneButReported,
    /// Half of what is to be written is written, then the machine has stopped.
    Half,
}

#[derive(Debug)]
struct Plan {
    effects: AtomicUsize,
    fail_at: usize,
    trouble: Trouble,
    full: AtomicBool,
}

/// [`OsDisk`] with trouble at the n-th effect, or full for as long as it is said to be.
#[derive(Debug, Clone)]
pub(super) struct TroubledDisk(Arc<Plan>);

impl TroubledDisk {
    pub(super) fn new(fail_at: usize, trouble: Trouble) -> Self {
        let (effects, full) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Plan { effects, fail_at, trouble, full }))
    }

    pub(super) fn sound() -> Self {
        Self::new(usize::MAX, Trouble::Stop)
    }

    pub(super) fn effects(&self) -> usize {
        self.0.effects.load(Ordering::SeqCst)
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    fn check_room(&self) -> Result<(), DiskError> {
        if self.0.full.load(Ordering::SeqCst) {
            return Err(DiskError::NoSpace);
        }
        Ok(())
    }

    fn run<T>(&self, effect: impl FnOnce(bool) -> Result<T, DiskError>) -> Result<T, DiskError> {
        let n = self.0.effects.fetch_add(1, Ordering::SeqCst);
        let broken = || DiskError::Io(io::Error::other("trouble"));
        match self.0.trouble {
            Trouble::Stop | Trouble::Half if n > self.0.fail_at => Err(broken()),
            _ if n != self.0.fail_at => effect(false),
            Trouble::Stop | Trouble::NotDone => Err(broken()),
            Trouble::DoneButReported => effect(false).and_then(|_| Err(broken())),
            Trouble::Half => effect(true).and_then(|_| Err(broken())),
        }
    }
}

impl Disk for TroubledDisk {
    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.run(|_| OsDisk.create_dir(path))
    }
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
        OsDisk.read(path, limit)
    }
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_room()?;
        self.run(|_| OsDisk.create(path, bytes))
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_room()?;
        self.run(|_| OsDisk.replace(path, bytes))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.run(|_| OsDisk.rename(from, to))
    }
    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.run(|_| OsDisk.remove(path))
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        OsDisk.list(dir)
    }
    fn append(&self, path: &Path) -> Result<Box<dyn AppendFile>, DiskError> {
        let file = self.run(|_| OsDisk.append(path))?;
        Ok(Box::new(Troubled { disk: self.clone(), file }))
    }
    fn in_place(&self, path: &Path, len: u64) -> Result<Box<dyn InPlaceFile>, DiskError> {
        OsDisk.in_place(path, len) // the log has none
    }
}

#[derive(Debug)]
struct Troubled {
    disk: TroubledDisk,
    file: Box<dyn AppendFile>,
}

impl AppendFile for Troubled {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.disk.check_room()?;
        self.disk.run(|_| self.file.reserve(bytes))
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let half = &bytes[..bytes.len() / 2];
        self.disk.run(|only_half| self.file.write(if only_half { half } else { bytes }))
    }
    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.run(|_| self.file.sync())
    }
    fn truncate(&mut self, len: u64) -> Result<(), DiskError> {
        self.disk.run(|_| self.file.truncate(len))
    }
}
