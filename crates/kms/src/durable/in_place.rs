//! A file of one length, written where its bytes stand.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::StatxFlags;
use rustix::fs::fdatasync;
use rustix::fs::statx;
use rustix::io::Errno;

use crate::durable::DiskError;
use crate::durable::FileIdentity;
use crate::durable::InPlaceFile;
use crate::durable::effects::Effects;

/// The one kind of [`InPlaceFile`] there is.
#[derive(Debug)]
pub(crate) struct InPlace<E> {
    effects: E,
    file: OwnedFd,
    path: PathBuf,
    len: u64,
    identity: FileIdentity,
    given_up: bool,
}

impl<E: Effects> InPlace<E> {
    /// Takes an open and checked file of `len` bytes.
    pub(crate) fn new(
        effects: E,
        file: OwnedFd,
        (path, len): (&Path, u64),
    ) -> Result<Self, DiskError> {
        let identity = effects.look(|| identity(&file)).map_err(|e| DiskError::at(path, e))?;
        Ok(Self { effects, file, path: path.to_owned(), len, identity, given_up: false })
    }

    fn usable(&self) -> Result<(), DiskError> {
        if self.given_up {
            return Err(DiskError::GivenUp { path: self.path.clone() });
        }
        Ok(())
    }

    fn give_up(&mut self, errno: Errno) -> DiskError {
        self.given_up = true;
        DiskError::at(&self.path, errno)
    }
}

impl<E: Effects> InPlaceFile for InPlace<E> {
    fn identity(&self) -> FileIdentity {
        self.identity
    }

    fn read(&self) -> Result<Vec<u8>, DiskError> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let read = self.effects.look(|| read_at(&self.file, &mut bytes));
        read.map_err(|e| DiskError::at(&self.path, e))?;
        Ok(bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.usable()?;
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(DiskError::TooLong { path: self.path.clone(), limit: self.len });
        }
        let written = self.effects.write(self.file.as_fd(), bytes, offset);
        written.map_err(|e| self.give_up(e))
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.usable()?;
        let synced = self.effects.run(|| fdatasync(&self.file));
        synced.map_err(|e| self.give_up(e))
    }
}

fn read_at(file: &OwnedFd, bytes: &mut [u8]) -> Result<(), Errno> {
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get_mut(at..).unwrap_or_default();
        let read = rustix::io::pread(file, rest, at as u64)?;
        if read == 0 {
            return Err(Errno::IO); // it was cut short while it is ours
        }
        at += read;
    }
    Ok(())
}

fn identity(file: &OwnedFd) -> Result<FileIdentity, Errno> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let found = statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    let knows_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = found.stx_btime.tv_sec.saturating_mul(1_000_000_000);
    let born = born.saturating_add(found.stx_btime.tv_nsec.into());
    Ok(FileIdentity { inode: found.stx_ino, born: if knows_birth { born } else { 0 } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::Disk;
    use crate::durable::Fault;
    use crate::durable::FaultyDisk;
    use crate::durable::OsDisk;
    use crate::durable::testing::home;

    #[test]
    fn bytes_are_written_where_they_stand_and_the_length_stays() {
        let (_guard, home) = home();
        let path = home.join("floor");
        OsDisk.create(&path, &[7; 64]).unwrap();
        let mut file = OsDisk.in_place(&path, 64).unwrap();
        file.write(32, &[9; 8]).unwrap();
        file.sync().unwrap();
        let expected = [&[7; 32][..], &[9; 8], &[7; 24]].concat();
        assert_eq!(file.read().unwrap(), expected);
        assert_eq!(OsDisk.read(&path, 64).unwrap(), expected);
        assert!(matches!(file.write(60, &[1; 5]), Err(DiskError::TooLong { .. })));
        assert!(matches!(file.write(u64::MAX, &[1; 5]), Err(DiskError::TooLong { .. })));
        assert!(matches!(OsDisk.in_place(&path, 63), Err(DiskError::TooLong { .. })));
        assert!(matches!(OsDisk.in_place(&home.join("none"), 64), Err(DiskError::NotFound)));
    }

    #[test]
    fn copy_put_in_its_place_is_another_file() {
        let (_guard, home) = home();
        let (path, aside) = (home.join("floor"), home.join("aside"));
        OsDisk.create(&path, &[7; 64]).unwrap();
        let identity = OsDisk.in_place(&path, 64).unwrap().identity();
        assert_eq!(OsDisk.in_place(&path, 64).unwrap().identity(), identity);
        OsDisk.rename(&path, &aside).unwrap();
        assert_eq!(OsDisk.in_place(&aside, 64).unwrap().identity(), identity);
        let copied = OsDisk.read(&aside, 64).unwrap();
        OsDisk.create(&path, &copied).unwrap();
        OsDisk.remove(&aside).unwrap();
        assert_ne!(OsDisk.in_place(&path, 64).unwrap().identity(), identity);
    }

    #[test]
    fn file_is_given_up_after_any_error() {
        for (fail_at, fault) in [(0, Fault::Eio), (0, Fault::NoSpace), (1, Fault::DoneButReported)]
        {
            let (_guard, home) = home();
            let path = home.join("floor");
            OsDisk.create(&path, &[7; 64]).unwrap();
            let mut file = FaultyDisk::new(fail_at, fault).in_place(&path, 64).unwrap();
            let done = file.write(0, &[9; 8]).and_then(|()| file.sync());
            assert!(done.is_err(), "{fault:?}");
            assert!(matches!(file.write(0, &[9; 8]), Err(DiskError::GivenUp { .. })));
            assert!(matches!(file.sync(), Err(DiskError::GivenUp { .. })));
        }
    }
}
