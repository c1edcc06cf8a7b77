//! The seam to the disk: what is written here is there after a crash, whole, and nobody else's.
//!
//! Decides how bytes reach the disk and which files may be trusted. Never decides what is in them,
//! and never holds secrets in the clear: those are read by `kms_secret`, sealed before they come
//! here.
//!
//! Every call begins with the directory: it is opened once, without following a symbolic link
//! anywhere in the path (`openat2` with `RESOLVE_NO_SYMLINKS`; before Linux 5.6 `O_NOFOLLOW`, which
//! guards the last component only), checked on the open descriptor, and everything after happens
//! relative to that descriptor. So nothing can be swapped between a check and a use. Paths are
//! therefore given resolved; [`resolve`] does it once for the home.
//!
//! A directory is trusted when it belongs to this user or to root and others cannot write to it (or
//! it is sticky, as `/tmp`). A file is trusted when it is a regular file of this user with one name
//! and no rights for group and others.

mod append;
mod effects;
#[cfg(any(test, feature = "test-util"))]
mod faulty;
mod foreign;
mod in_place;
mod lock;
mod open;
mod steps;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;

pub use effects::OsDisk;
#[cfg(any(test, feature = "test-util"))]
pub use faulty::Fault;
#[cfg(any(test, feature = "test-util"))]
pub use faulty::FaultyDisk;
pub use foreign::ForeignFile;
pub use foreign::list_foreign;
pub use lock::HomeLock;
pub use lock::LockError;
pub use lock::lock_home;
pub use open::Danger;
pub(crate) use open::check_file;
pub use open::resolve;

/// The seam to the disk. A call that returns `Ok` has reached the disk; a call that returns `Err`
/// left the old or the new, never half, and which of them it was is known only where the error says
/// so (`Exists`, `NotFound`, `Unsafe`, `TooLong`: the old).
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory of mode 0700 whatever the umask; one that is there already is accepted if
    /// it is this user's and closed to everyone else.
    ///
    /// `mkdirat(0700)`, `openat`, `fchmod(0700)`, `fsync(new)`, `fsync(parent)`. A crash before the
    /// last step leaves the directory or nothing; the same call completes it.
    ///
    /// # Errors
    /// [`DiskError::Unsafe`] if something else stands there, or a directory others can enter.
    fn create_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// `openat(O_NOFOLLOW|O_NONBLOCK)`, `fstat`, `read` to the end. Changes nothing.
    ///
    /// # Errors
    /// [`DiskError::Unsafe`] for a symbolic link, anything but a regular file, a second name, a
    /// foreign owner or a mode wider than 0600; [`DiskError::TooLong`] beyond the limit.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, DiskError>;

    /// Makes a new file of mode 0600, whatever the umask, never over one that is there.
    ///
    /// `openat(.tmp-…, O_CREAT|O_EXCL, 0600)`, `fchmod(0600)`, `pwrite` all, `fdatasync`,
    /// `renameat2(RENAME_NOREPLACE)`, `fsync(dir)`. A crash before the rename is on disk leaves at
    /// most a temporary, which [`OsDisk::sweep`] removes; after it, the whole file.
    ///
    /// # Errors
    /// [`DiskError::Exists`] if the name is taken, also by a symbolic link.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError>;

    /// Puts `bytes` in the place of a file, or makes it; mode 0600 whatever the umask.
    ///
    /// As [`Disk::create`] with a plain `renameat`: a symbolic link there is replaced, not
    /// followed. A crash before the rename is on disk leaves the old file, after it the new one.
    ///
    /// # Errors
    /// [`DiskError::NoSpace`] leaves the old file as it was.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError>;

    /// Gives a file another name, never that of another file.
    ///
    /// `renameat2(RENAME_NOREPLACE)`, `fsync(directory of to)`, `fsync(directory of from)`. A crash
    /// leaves it under one of the names. Where the file system cannot refuse to replace: `linkat`,
    /// `unlinkat`; a crash between leaves both names, refused by `read` until one is removed.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] without `from`, [`DiskError::Exists`] if `to` is taken.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Removes a name. Its blocks are not overwritten: what must be unreadable is kept sealed.
    ///
    /// `unlinkat`, `fsync(dir)`. A crash leaves the file or nothing.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] if there is none.
    fn remove(&self, path: &Path) -> Result<(), DiskError>;

    /// The names in a directory, sorted, without the temporaries of writes under way. A name that
    /// is no UTF-8 is shown with U+FFFD and so opens nothing.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], [`DiskError::Unsafe`] for a directory others can write to.
    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError>;

    /// Opens a file for appending, and makes it (mode 0600, empty) if there is none.
    ///
    /// New: `openat(O_CREAT|O_EXCL)`, `fchmod(0600)`, `fsync`, `fsync(dir)`. There already:
    /// `openat(O_NOFOLLOW|O_NONBLOCK)`, `fstat`, `fsync(dir)`. A crash leaves the file or nothing.
    ///
    /// # Errors
    /// As [`Disk::read`] for one that is there.
    fn append(&self, path: &Path) -> Result<Box<dyn AppendFile>, DiskError>;

    /// Opens a file of exactly `len` bytes, made by [`Disk::create`], for writing in place.
    ///
    /// `openat(O_NOFOLLOW|O_NONBLOCK)`, `fstat`, `statx`. Changes nothing.
    ///
    /// # Errors
    /// As [`Disk::read`]; [`DiskError::TooLong`] for a file of another length.
    fn in_place(&self, path: &Path, len: u64) -> Result<Box<dyn InPlaceFile>, DiskError>;
}

/// A file of one length whose bytes are written where they stand: no metadata changes, so that a
/// sync is one write to the disk. What was under way when the power went is any mixture of old and
/// new bytes; whoever writes keeps a checksum, and another place to fall back to.
pub trait InPlaceFile: Debug + Send {
    /// Which file it is: a copy, also one put in its place, is another.
    fn identity(&self) -> FileIdentity;

    /// Reads all of it.
    ///
    /// # Errors
    /// Those of the disk.
    fn read(&self) -> Result<Vec<u8>, DiskError>;

    /// Writes `bytes` at `offset`: `pwrite`. Not durable before [`InPlaceFile::sync`].
    ///
    /// # Errors
    /// Any is final, as of `sync`; a write beyond the end is refused.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Puts everything written on the disk: `fdatasync`.
    ///
    /// # Errors
    /// Any error is final: this file refuses everything afterwards, and the caller stops too.
    fn sync(&mut self) -> Result<(), DiskError>;
}

/// Tells a file from every other that was ever made on its file system, as far as that remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    /// The number of the inode.
    pub inode: u64,
    /// When the file was made, in nanoseconds since 1970; 0 where the file system does not know.
    pub born: i64,
}

/// A file that grows at its end. One writer: the home's lock sees to it.
pub trait AppendFile: Debug + Send {
    /// Length in bytes, reservations not counted.
    fn len(&self) -> u64;

    /// Whether nothing is in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that the next `bytes` bytes find room: `fallocate(KEEP_SIZE)`. On a file system
    /// without it the free space is looked at, which another writer may use up.
    ///
    /// # Errors
    /// [`DiskError::NoSpace`] leaves length, contents and earlier reservations as they were.
    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError>;

    /// Writes `bytes` after the last one: `pwrite`. Not durable before [`AppendFile::sync`]: a
    /// crash leaves any part of them.
    ///
    /// # Errors
    /// The length stays as it was, and what was half written is cut off again.
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError>;

    /// Puts everything written on the disk: `fdatasync`.
    ///
    /// # Errors
    /// Any error is final: the kernel may have dropped the pages, so a second sync that succeeds
    /// proves nothing. This file refuses everything afterwards, and the caller stops too.
    fn sync(&mut self) -> Result<(), DiskError>;

    /// Cuts the file to `len` bytes and gives reservations back: `ftruncate`, `fdatasync`. Durable
    /// on return.
    ///
    /// # Errors
    /// As [`AppendFile::sync`]; `len` beyond the end is refused.
    fn truncate(&mut self, len: u64) -> Result<(), DiskError>;
}

/// Why the disk did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No such file or directory.
    #[error("no such file or directory")]
    NotFound,
    /// The name is taken.
    #[error("a file of that name is there already")]
    Exists,
    /// Something there must not be trusted; nothing was read from it or written to it.
    #[error("{}: {why}", path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: Danger,
    },
    /// The file is longer than the caller takes.
    #[error("{}: longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most the caller takes, in bytes.
        limit: u64,
    },
    /// The disk is full, or this user's quota is.
    #[error("no space left on the disk")]
    NoSpace,
    /// The file system is mounted read-only.
    #[error("the file system is read-only")]
    ReadOnly,
    /// This user may not.
    #[error("{}: permission denied", path.display())]
    Denied {
        /// The file or directory.
        path: PathBuf,
    },
    /// The file was given up after an earlier error; only opening it anew may help.
    #[error("{}: not used any more after an earlier write error", path.display())]
    GivenUp {
        /// The file.
        path: PathBuf,
    },
    /// Anything else, with the path in its text.
    #[error(transparent)]
    Io(io::Error),
}

/// An error of the system with the path it happened at.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct At {
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    /// Sorts an error of a system call on `path`.
    fn at(path: &Path, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::EXIST | Errno::NOTEMPTY => Self::Exists,
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace,
            Errno::ROFS => Self::ReadOnly,
            Errno::ACCESS | Errno::PERM => Self::Denied { path },
            Errno::LOOP => Self::Unsafe { path, why: Danger::SymbolicLink },
            Errno::NOTDIR => Self::Unsafe { path, why: Danger::NotADirectory },
            Errno::ISDIR | Errno::NXIO => Self::Unsafe { path, why: Danger::NotAFile },
            other => Self::io(&path, other.into()),
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io(io::Error::new(source.kind(), At { path: path.to_owned(), source }))
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
