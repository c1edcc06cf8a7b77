//! Reading what need not be ours: an auditor's copy of a log, whoever owns it.
//!
//! Nothing is trusted because it is there, so owner and mode do not matter; what is read must prove
//! itself. Links are not followed at the last component, and nothing here waits or writes.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::fstat;
use rustix::io::retry_on_intr;

use crate::durable::Danger;
use crate::durable::DiskError;
use crate::durable::steps::names_in;

/// A regular file of anyone, open for reading.
#[derive(Debug)]
pub struct ForeignFile {
    file: File,
    len: u64,
}

impl ForeignFile {
    /// Opens a file: `openat(O_NOFOLLOW|O_NONBLOCK)`, `fstat`.
    ///
    /// # Errors
    /// [`DiskError::Unsafe`] for a symbolic link or anything but a regular file.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let at = |e| DiskError::at(path, e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || rustix::fs::open(path, flags | OFlags::NOCTTY, Mode::empty());
        let file = retry_on_intr(open).map_err(at)?;
        let stat = fstat(&file).map_err(at)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(DiskError::Unsafe { path: path.to_owned(), why: Danger::NotAFile });
        }
        Ok(Self { file: file.into(), len: u64::try_from(stat.st_size).unwrap_or(0) })
    }

    /// How many bytes it had when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was empty then.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Read for ForeignFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for ForeignFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The names in anyone's directory, sorted. A name that is no UTF-8 is shown with U+FFFD.
///
/// # Errors
/// [`DiskError::NotFound`]; [`DiskError::Unsafe`] if it is no directory.
pub fn list_foreign(dir: &Path) -> Result<Vec<String>, DiskError> {
    let at = |e| DiskError::at(dir, e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = retry_on_intr(|| rustix::fs::open(dir, flags, Mode::empty())).map_err(at)?;
    let mut names = names_in(&directory).map_err(at)?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;
    use rustix::fs::mknodat;

    use super::*;
    use crate::durable::testing::home;

    #[test]
    fn file_open_to_others_is_read_and_sought() {
        let (_home, dir) = home();
        fs::write(dir.join("b.log"), b"one two").unwrap();
        fs::set_permissions(dir.join("b.log"), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        fs::write(dir.join("a.log"), b"").unwrap();
        let mut file = ForeignFile::open(&dir.join("b.log")).unwrap();
        assert_eq!(file.len(), 7);
        file.seek(SeekFrom::Start(4)).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "two");
        assert!(ForeignFile::open(&dir.join("a.log")).unwrap().is_empty());
        assert_eq!(list_foreign(&dir).unwrap(), ["a.log", "b.log"]);
        assert!(matches!(list_foreign(&dir.join("none")), Err(DiskError::NotFound)));
    }

    #[test]
    fn link_directory_and_fifo_are_refused_without_waiting() {
        let (_home, dir) = home();
        fs::write(dir.join("log"), b"").unwrap();
        symlink(dir.join("log"), dir.join("link")).unwrap();
        mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let danger = |name: &str| match ForeignFile::open(&dir.join(name)) {
            Err(DiskError::Unsafe { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(danger("link"), Danger::SymbolicLink);
        assert_eq!(danger("fifo"), Danger::NotAFile);
        assert_eq!(danger("."), Danger::NotAFile);
    }
}
