//! Opening without being led astray: no symbolic link, and checks on what was opened.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::fs::fstat;
use rustix::fs::openat;
use rustix::fs::openat2;
use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

use crate::durable::DiskError;

/// Why something on the disk is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// It is a symbolic link, or one stands in the path to it.
    SymbolicLink,
    /// A directory, FIFO, socket or device where a file should be.
    NotAFile,
    /// Anything else where a directory should be.
    NotADirectory,
    /// It has this many names; writing to it through one of them changes it under the others.
    HardLinks(u64),
    /// It belongs to this user id.
    Owner(u32),
    /// Others may do with it what its mode says.
    Mode(u32),
    /// The path has no last component, or leads upwards with `..`.
    Path,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SymbolicLink => f.write_str("a symbolic link stands in the path"),
            Self::NotAFile => f.write_str("not a regular file"),
            Self::NotADirectory => f.write_str("not a directory"),
            Self::HardLinks(count) => write!(f, "has {count} names (hard links), expected one"),
            Self::Owner(uid) => {
                write!(f, "belongs to user {uid}, not to user {}", geteuid().as_raw())
            }
            Self::Mode(mode) => {
                write!(f, "mode {mode:04o} is open to others (chmod go-rwx closes it)")
            }
            Self::Path => f.write_str("the path has no file name, or `..` in it"),
        }
    }
}

/// Resolves symbolic links once, so that none need be followed later. The last component need not
/// exist; everything before it must.
///
/// # Errors
/// [`DiskError::NotFound`] without the directory it would stand in.
pub fn resolve(path: &Path) -> Result<PathBuf, DiskError> {
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|e| match Errno::from_io_error(&e) {
            Some(errno) => DiskError::at(path, errno),
            None => DiskError::io(path, e),
        })
    };
    match (real(path), path.file_name()) {
        (Err(DiskError::NotFound), Some(name)) => Ok(real(directory_of(path))?.join(name)),
        (found, _) => found,
    }
}

/// Checks that a file is one to be trusted, without reading it.
///
/// `openat(O_NOFOLLOW|O_NONBLOCK)`, `fstat`.
///
/// # Errors
/// As [`crate::durable::Disk::read`].
pub(crate) fn check_file(path: &Path) -> Result<(), DiskError> {
    Place::of(path)?.open(OFlags::RDONLY).map(drop)
}

/// A directory, open and checked, and a name in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
}

impl Place {
    /// Opens the directory of `path`.
    pub(crate) fn of(path: &Path) -> Result<Self, DiskError> {
        let odd = || DiskError::Unsafe { path: path.to_owned(), why: Danger::Path };
        let name = path.file_name().ok_or_else(odd)?.to_owned();
        let directory = open_directory(directory_of(path))?;
        Ok(Self { directory, name, path: path.to_owned() })
    }

    /// Opens the file itself, if it may be trusted. Never waits, as opening a FIFO would.
    pub(crate) fn open(&self, access: OFlags) -> Result<(OwnedFd, Stat), DiskError> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = || openat(&self.directory, &self.name, flags, Mode::empty());
        let file = retry_on_intr(open).map_err(|e| self.at(e))?;
        let stat = fstat(&file).map_err(|e| self.at(e))?;
        check(file_danger(&stat), &self.path)?;
        Ok((file, stat))
    }

    /// Names this place in an error.
    pub(crate) fn at(&self, errno: Errno) -> DiskError {
        DiskError::at(&self.path, errno)
    }
}

/// Opens a directory that others cannot write to.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, DiskError> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(DiskError::Unsafe { path: path.to_owned(), why: Danger::Path });
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = || match openat2(CWD, path, flags, Mode::empty(), no_links) {
        // Linux before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            openat(CWD, path, flags | OFlags::NOFOLLOW, Mode::empty())
        }
        opened => opened,
    };
    let directory = retry_on_intr(open).map_err(|e| DiskError::at(path, e))?;
    check(directory_danger(&directory)?, path)?;
    Ok(directory)
}

/// Checks that a directory is this user's and closed to everyone else.
pub(crate) fn check_private(directory: impl AsFd, path: &Path) -> Result<(), DiskError> {
    let stat = fstat(directory).map_err(|e| DiskError::at(path, e))?;
    check(owner_danger(&stat).or_else(|| mode_danger(&stat, 0o077)), path)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != OsStr::new("")).unwrap_or(Path::new("."))
}

fn check(danger: Option<Danger>, path: &Path) -> Result<(), DiskError> {
    danger.map_or(Ok(()), |why| Err(DiskError::Unsafe { path: path.to_owned(), why }))
}

fn directory_danger(directory: &OwnedFd) -> Result<Option<Danger>, DiskError> {
    let stat = fstat(directory).map_err(|e| DiskError::Io(e.into()))?;
    let sticky = stat.st_mode & 0o1000 != 0;
    let owner = owner_danger(&stat).filter(|_| stat.st_uid != 0);
    Ok(owner.or_else(|| mode_danger(&stat, 0o022).filter(|_| !sticky)))
}

fn file_danger(stat: &Stat) -> Option<Danger> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let not_a_file = (kind != FileType::RegularFile).then_some(Danger::NotAFile);
    #[expect(clippy::useless_conversion, reason = "st_nlink is u32 on some targets")]
    let names = u64::from(stat.st_nlink);
    not_a_file
        .or_else(|| (names != 1).then_some(Danger::HardLinks(names)))
        .or_else(|| owner_danger(stat))
        .or_else(|| mode_danger(stat, 0o077))
}

fn owner_danger(stat: &Stat) -> Option<Danger> {
    (stat.st_uid != geteuid().as_raw()).then_some(Danger::Owner(stat.st_uid))
}

fn mode_danger(stat: &Stat, forbidden: u32) -> Option<Danger> {
    (stat.st_mode & forbidden != 0).then_some(Danger::Mode(stat.st_mode & 0o7777))
}
