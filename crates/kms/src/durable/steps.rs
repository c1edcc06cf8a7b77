//! The calls of a disk as sequences of effects, in the order their documentation promises.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::fchmod;
use rustix::fs::fdatasync;
use rustix::fs::fsync;
use rustix::fs::linkat;
use rustix::fs::mkdirat;
use rustix::fs::openat;
use rustix::fs::renameat;
use rustix::fs::renameat_with;
use rustix::fs::unlinkat;
use rustix::io::Errno;

use crate::durable::AppendFile;
use crate::durable::Disk;
use crate::durable::DiskError;
use crate::durable::InPlaceFile;
use crate::durable::OsDisk;
use crate::durable::append::Appending;
use crate::durable::effects::Effects;
use crate::durable::in_place::InPlace;
use crate::durable::open::Place;
use crate::durable::open::check_private;
use crate::durable::open::open_directory;

const OURS: Mode = Mode::RUSR.union(Mode::WUSR);
const OURS_TO_ENTER: Mode = Mode::RWXU;
const TEMPORARY: &str = ".tmp-";

impl<E: Effects> Disk for E {
    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        let place = Place::of(path)?;
        let made = match self.run(|| mkdirat(&place.directory, &place.name, OURS_TO_ENTER)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(place.at(e)),
        };
        let directory = self.look(|| open_in(&place)).map_err(|e| place.at(e))?;
        if made {
            self.run(|| fchmod(&directory, OURS_TO_ENTER)).map_err(|e| place.at(e))?;
        }
        check_private(&directory, path)?;
        self.run(|| fsync(&directory)).map_err(|e| place.at(e))?;
        self.run(|| fsync(&place.directory)).map_err(|e| place.at(e))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
        let too_long = || DiskError::TooLong { path: path.to_owned(), limit };
        let place = Place::of(path)?;
        let (file, stat) = place.open(OFlags::RDONLY)?;
        let expected = u64::try_from(stat.st_size).unwrap_or(0);
        if expected > limit {
            return Err(too_long());
        }
        let bytes = read_all(self, file, limit, expected).map_err(|e| place.at(e))?;
        if bytes.len() as u64 > limit {
            return Err(too_long()); // it grew while it was read
        }
        Ok(bytes)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let place = Place::of(path)?;
        put(self, &place, bytes, |temporary| {
            let place_of_temporary = (place.directory.as_fd(), temporary);
            rename_new(self, place_of_temporary, (place.directory.as_fd(), &place.name))
        })
        .map_err(|e| place.at(e))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let place = Place::of(path)?;
        put(self, &place, bytes, |temporary| {
            self.run(|| renameat(&place.directory, temporary, &place.directory, &place.name))
        })
        .map_err(|e| place.at(e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let (from, to) = (Place::of(from)?, Place::of(to)?);
        let old = (from.directory.as_fd(), from.name.as_os_str());
        rename_new(self, old, (to.directory.as_fd(), &to.name)).map_err(|e| from.at(e))?;
        self.run(|| fsync(&to.directory)).map_err(|e| to.at(e))?;
        self.run(|| fsync(&from.directory)).map_err(|e| from.at(e))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let place = Place::of(path)?;
        remove_from(self, &place.directory, &place.name).map_err(|e| place.at(e))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let directory = open_directory(dir)?;
        let mut names = self.look(|| names_in(&directory)).map_err(|e| DiskError::at(dir, e))?;
        names.retain(|name| !is_temporary(name));
        names.sort();
        Ok(names)
    }

    fn append(&self, path: &Path) -> Result<Box<dyn AppendFile>, DiskError> {
        let place = Place::of(path)?;
        let file = match make(self, &place.directory, &place.name) {
            Err(Errno::EXIST) => place.open(OFlags::RDWR)?.0,
            made => {
                let file = made.map_err(|e| place.at(e))?;
                self.run(|| fsync(&file)).map_err(|e| place.at(e))?;
                file
            }
        };
        self.run(|| fsync(&place.directory)).map_err(|e| place.at(e))?;
        Ok(Box::new(Appending::new(self.clone(), file, path)?))
    }

    fn in_place(&self, path: &Path, len: u64) -> Result<Box<dyn InPlaceFile>, DiskError> {
        let place = Place::of(path)?;
        let (file, stat) = place.open(OFlags::RDWR)?;
        if u64::try_from(stat.st_size) != Ok(len) {
            return Err(DiskError::TooLong { path: path.to_owned(), limit: len });
        }
        Ok(Box::new(InPlace::new(self.clone(), file, (path, len))?))
    }
}

impl OsDisk {
    /// Removes what crashed writes left in `dir`: files named `.tmp-` and 16 hex digits. Only under
    /// the home's lock, since a write under way looks the same. Returns how many there were.
    ///
    /// `unlinkat` each, `fsync(dir)` if there was one. A crash leaves some of them.
    ///
    /// # Errors
    /// As [`Disk::list`].
    pub fn sweep(self, dir: &Path) -> Result<usize, DiskError> {
        sweep(&self, dir)
    }
}

/// See [`OsDisk::sweep`].
pub(crate) fn sweep(effects: &impl Effects, dir: &Path) -> Result<usize, DiskError> {
    let at = |e| DiskError::at(dir, e);
    let directory = open_directory(dir)?;
    let mut names = effects.look(|| names_in(&directory)).map_err(at)?;
    names.retain(|name| is_temporary(name));
    for name in &names {
        effects.run(|| unlinkat(&directory, name.as_str(), AtFlags::empty())).map_err(at)?;
    }
    if !names.is_empty() {
        effects.run(|| fsync(&directory)).map_err(at)?;
    }
    Ok(names.len())
}

/// Writes a temporary, syncs it, lets `land` give it its name, syncs the directory.
fn put<E: Effects>(
    effects: &E,
    place: &Place,
    bytes: &[u8],
    land: impl FnOnce(&OsStr) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let temporary = temporary_name()?;
    let temporary = OsStr::new(&temporary);
    let written = write_new(effects, place, temporary, bytes).and_then(|()| land(temporary));
    if let Err(e) = written {
        // Best effort: what stays behind is removed by the next sweep.
        let remove = || unlinkat(&place.directory, temporary, AtFlags::empty());
        let _ = effects.run(remove);
        return Err(e);
    }
    effects.run(|| fsync(&place.directory))
}

fn write_new(
    effects: &impl Effects,
    place: &Place,
    name: &OsStr,
    bytes: &[u8],
) -> Result<(), Errno> {
    let file = make(effects, &place.directory, name)?;
    effects.write(file.as_fd(), bytes, 0)?;
    effects.run(|| fdatasync(&file))
}

/// Makes an empty file of mode 0600, whatever the umask took away from it.
fn make(effects: &impl Effects, directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = effects.run(|| openat(directory, name, flags, OURS))?;
    effects.run(|| fchmod(&file, OURS))?;
    Ok(file)
}

type Name<'a> = (BorrowedFd<'a>, &'a OsStr);

/// Renames, but never over something.
fn rename_new(effects: &impl Effects, from: Name<'_>, to: Name<'_>) -> Result<(), Errno> {
    let not_over = RenameFlags::NOREPLACE;
    match effects.run(|| renameat_with(from.0, from.1, to.0, to.1, not_over)) {
        // Network file systems do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => link_then_unlink(effects, from, to),
        done => done,
    }
}

fn link_then_unlink(effects: &impl Effects, from: Name<'_>, to: Name<'_>) -> Result<(), Errno> {
    effects.run(|| linkat(from.0, from.1, to.0, to.1, AtFlags::empty()))?;
    effects.run(|| unlinkat(from.0, from.1, AtFlags::empty()))
}

fn remove_from(effects: &impl Effects, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    effects.run(|| unlinkat(directory, name, AtFlags::empty()))?;
    effects.run(|| fsync(directory))
}

fn open_in(place: &Place) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&place.directory, &place.name, flags, Mode::empty())
}

/// Reads to the end, or one byte past `limit`, so that the caller sees that there is more.
pub(crate) fn read_all(
    effects: &impl Effects,
    file: OwnedFd,
    limit: u64,
    expected: u64,
) -> Result<Vec<u8>, Errno> {
    let room = usize::try_from(expected.saturating_add(1)).map_err(|_| Errno::FBIG)?;
    let mut bytes = Vec::with_capacity(room);
    effects.look(|| Ok(()))?;
    File::from(file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(bytes)
}

pub(crate) fn names_in(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn temporary_name() -> Result<String, Errno> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Errno::IO)?;
    Ok(format!("{TEMPORARY}{}", hex::encode(random)))
}

fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(TEMPORARY).unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rename_by_two_names_never_replaces() {
        let home = tempfile::tempdir().unwrap();
        let directory = open_directory(home.path()).unwrap();
        for name in ["a", "b"] {
            OsDisk.create(&home.path().join(name), name.as_bytes()).unwrap();
        }
        let at = |name: &'static str| (directory.as_fd(), OsStr::new(name));
        assert_eq!(link_then_unlink(&OsDisk, at("a"), at("b")), Err(Errno::EXIST));
        assert_eq!(OsDisk.read(&home.path().join("b"), 9).unwrap(), b"b");
        link_then_unlink(&OsDisk, at("a"), at("c")).unwrap();
        assert_eq!(OsDisk.list(home.path()).unwrap(), ["b", "c"]);
    }

    #[test]
    fn only_our_own_temporaries_are_swept() {
        assert!(is_temporary(&temporary_name().unwrap()));
        for other in
            [".tmp-", ".tmp-0123456789abcdeg", ".tmp-0123456789abcdef0", "a.tmp-0123456789abcdef"]
        {
            assert!(!is_temporary(other), "{other}");
        }
    }
}
