//! A file that grows at its end.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;
use rustix::fs::fallocate;
use rustix::fs::fdatasync;
use rustix::fs::fstat;
use rustix::fs::fstatvfs;
use rustix::fs::ftruncate;
use rustix::io::Errno;

use crate::durable::AppendFile;
use crate::durable::DiskError;
use crate::durable::effects::Effects;

/// The one kind of [`AppendFile`] there is.
#[derive(Debug)]
pub(crate) struct Appending<E> {
    effects: E,
    file: OwnedFd,
    path: PathBuf,
    len: u64,
    /// The bytes before this offset have their blocks.
    reserved_to: u64,
    given_up: bool,
}

impl<E: Effects> Appending<E> {
    /// Takes an open and checked file.
    pub(crate) fn new(effects: E, file: OwnedFd, path: &Path) -> Result<Self, DiskError> {
        let stat = effects.look(|| fstat(&file)).map_err(|e| DiskError::at(path, e))?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Self { effects, file, path: path.to_owned(), len, reserved_to: len, given_up: false })
    }

    fn usable(&self) -> Result<(), DiskError> {
        if self.given_up {
            return Err(DiskError::GivenUp { path: self.path.clone() });
        }
        Ok(())
    }

    fn at(&self, errno: Errno) -> DiskError {
        DiskError::at(&self.path, errno)
    }

    fn allocate(&self, from: u64, to: u64) -> Result<(), Errno> {
        let more = to.saturating_sub(from);
        match self.effects.run(|| fallocate(&self.file, FallocateFlags::KEEP_SIZE, from, more)) {
            Err(Errno::OPNOTSUPP) => self.effects.look(|| room_for(&self.file, more)),
            done => done,
        }
    }

    /// A refused `fallocate` may keep what it found so far, and so take the last free blocks from
    /// everyone: they are given back, and what was reserved before is taken again.
    fn give_back(&mut self) {
        let (len, before) = (self.len, self.reserved_to);
        let given = self.effects.run(|| ftruncate(&self.file, len)).is_ok();
        if given && before > len && self.allocate(len, before).is_err() {
            self.reserved_to = len;
        }
    }
}

impl<E: Effects> AppendFile for Appending<E> {
    fn len(&self) -> u64 {
        self.len
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.usable()?;
        let end = self.len.checked_add(bytes).ok_or(DiskError::NoSpace)?;
        if end <= self.reserved_to {
            return Ok(());
        }
        if let Err(e) = self.allocate(self.reserved_to.max(self.len), end) {
            self.give_back();
            // A length no file may have is room nobody has.
            return Err(if e == Errno::FBIG { DiskError::NoSpace } else { self.at(e) });
        }
        self.reserved_to = end;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.usable()?;
        let end = self.len.checked_add(bytes.len() as u64).ok_or(DiskError::NoSpace)?;
        if let Err(e) = self.effects.write(self.file.as_fd(), bytes, self.len) {
            self.reserved_to = self.len;
            // Without the cut a shorter line written next would be followed by the rest of this.
            self.given_up = self.effects.run(|| ftruncate(&self.file, self.len)).is_err();
            return Err(self.at(e));
        }
        self.len = end;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.usable()?;
        self.effects.run(|| fdatasync(&self.file)).map_err(|e| {
            self.given_up = true;
            self.at(e)
        })
    }

    fn truncate(&mut self, len: u64) -> Result<(), DiskError> {
        self.usable()?;
        if len > self.len {
            return Err(self.at(Errno::INVAL));
        }
        self.effects.run(|| ftruncate(&self.file, len)).map_err(|e| self.at(e))?;
        (self.len, self.reserved_to) = (len, len);
        self.sync()
    }
}

/// Whether the file system has `bytes` bytes left for this user at this moment.
fn room_for(file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
    let disk = fstatvfs(file)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < bytes { Err(Errno::NOSPC) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_fallocate_the_free_space_is_looked_at() {
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        assert_eq!(room_for(&file, 1), Ok(()));
        assert_eq!(room_for(&file, u64::MAX), Err(Errno::NOSPC));
    }
}
