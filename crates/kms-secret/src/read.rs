//! Letting secrets in through raw system calls: no buffer of the standard library ever holds one.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use thiserror::Error;

use crate::secret_bytes::SecretBytes;

/// What is read at first; it grows with what comes.
const FIRST_BYTES: usize = 4096;

/// Why a secret could not be read. None of these tells anything of the secret but that it is too long.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadSecretError {
    /// More bytes came than the caller allows.
    #[error("secret is longer than expected: at most {limit} bytes are allowed")]
    TooLong {
        /// The most bytes allowed.
        limit: usize,
    },
    /// The input ended where a line was expected.
    #[error("input has ended, expected a line with a secret")]
    Ended,
    /// The last part of the path is a symbolic link.
    #[error("{}: is a symbolic link, expected a file: name the link's target", path.display())]
    SymbolicLink {
        /// The path as given.
        path: PathBuf,
    },
    /// The path names a directory, device or socket.
    #[error("{}: is a {kind}, expected a regular file or a pipe", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
        /// What it names.
        kind: &'static str,
    },
    /// The file cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system call that reads has refused.
    #[error("secret cannot be read: {source}")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// There is no terminal to ask on.
    #[error("terminal /dev/tty cannot be used to ask for a secret: {source}")]
    NoTerminal {
        /// Why.
        source: io::Error,
    },
    /// The person pressed Ctrl-C or Ctrl-\ instead of answering.
    #[error("question was interrupted at the terminal")]
    Interrupted,
}

/// Who else could read the file that a secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileExposure {
    /// Group or others may read or write the file: a reason to warn.
    pub wide_open: bool,
    /// The permission bits of the file, nine of them. Zero for a pipe, which nobody else reads.
    pub mode: u32,
}

/// Reads to the end of the input with `read(2)`. At most `limit` bytes; none is no error.
///
/// # Errors
/// [`ReadSecretError::TooLong`] or [`ReadSecretError::Read`]; what had been read is wiped.
pub fn read_secret(fd: impl AsFd, limit: usize) -> Result<SecretBytes, ReadSecretError> {
    let mut secret = SecretBytes::zeroed(FIRST_BYTES.min(limit.saturating_add(1)));
    let mut len = 0;
    loop {
        let rest = secret.expose_mut().get_mut(len..).unwrap_or_default();
        match read_some(fd.as_fd(), rest)? {
            0 => break,
            more => len += more,
        }
        if len > limit {
            return Err(ReadSecretError::TooLong { limit });
        }
        if len == secret.len() {
            // One byte past the limit, so that too much is seen as such.
            secret.grow(len.saturating_mul(2).min(limit.saturating_add(1)));
        }
    }
    secret.truncate(len);
    Ok(secret)
}

/// Reads one line with `read(2)`, byte by byte, so that what follows is left to the next reader.
/// Its end, `\n` or `\r\n`, is stripped and may be missing at the end of the input. At most `limit` bytes without it.
///
/// # Errors
/// [`ReadSecretError::Ended`] if the input ends before its first byte, [`ReadSecretError::TooLong`] or
/// [`ReadSecretError::Read`]; what had been read is wiped.
pub fn read_secret_line(fd: impl AsFd, limit: usize) -> Result<SecretBytes, ReadSecretError> {
    // Room for the `\r`, which does not count.
    let mut line = Line::new(limit.saturating_add(1));
    let mut byte = SecretBytes::zeroed(1);
    loop {
        if read_some(fd.as_fd(), byte.expose_mut())? == 0 {
            if line.len == 0 {
                return Err(ReadSecretError::Ended);
            }
            return within(line.finish(), limit);
        }
        if byte.expose() == b"\n" {
            let mut secret = line.finish();
            strip_end(&mut secret, b"\r");
            return within(secret, limit);
        }
        line.push(&byte).map_err(|_| ReadSecretError::TooLong { limit })?;
    }
}

/// Reads a file that holds one secret, without the `\n` or `\r\n` at its end. At most `limit` bytes without it.
///
/// A regular file or a FIFO is read; a symbolic link as the last part of the path is not followed, so that nobody who
/// may write the directory chooses what is read. `/dev/stdin`, `/dev/fd/N` and `/proc/self/fd/N` (what a shell
/// passes for `<(command)`) name descriptors that the caller gave us and are read as such. A file that group or
/// others may use is read all the same; [`FileExposure`] says so and the caller warns.
///
/// # Errors
/// Every one of [`ReadSecretError`] but those of lines and terminals.
pub fn read_secret_file(
    path: &Path,
    limit: usize,
) -> Result<(SecretBytes, FileExposure), ReadSecretError> {
    let fd = open(path)?;
    let stat = rustix::fs::fstat(&fd).map_err(open_error(path))?;
    expect_readable(path, &stat)?;
    let mut secret = read_secret(&fd, limit.saturating_add(2)).map_err(|error| match error {
        ReadSecretError::TooLong { .. } => ReadSecretError::TooLong { limit },
        other => other,
    })?;
    if strip_end(&mut secret, b"\n") {
        strip_end(&mut secret, b"\r");
    }
    Ok((within(secret, limit)?, exposure(&stat)))
}

/// A secret that comes byte by byte.
pub(crate) struct Line {
    bytes: SecretBytes,
    len: usize,
    limit: usize,
}

impl Line {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: SecretBytes::zeroed(64), len: 0, limit }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one byte.
    pub(crate) fn push(&mut self, byte: &SecretBytes) -> Result<(), ReadSecretError> {
        if self.len >= self.limit {
            return Err(ReadSecretError::TooLong { limit: self.limit });
        }
        if self.len == self.bytes.len() {
            self.bytes.grow(self.len * 2);
        }
        let place = self.bytes.expose_mut().get_mut(self.len..).unwrap_or_default();
        place.iter_mut().zip(byte.expose()).for_each(|(to, from)| *to = *from);
        self.len += byte.len();
        Ok(())
    }

    /// Takes back the last character, which in UTF-8 may be several bytes.
    pub(crate) fn pop_char(&mut self) {
        let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        while self.len > 0 {
            self.len -= 1;
            let Some(place) = self.bytes.expose_mut().get_mut(self.len) else { return };
            let byte = std::mem::take(place);
            if !is_continuation(byte) {
                return;
            }
        }
    }

    /// Takes everything back.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    pub(crate) fn finish(mut self) -> SecretBytes {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

/// One `read(2)`, repeated while signals interrupt it. Zero: the end of the input.
pub(crate) fn read_some(fd: BorrowedFd<'_>, place: &mut [u8]) -> Result<usize, ReadSecretError> {
    loop {
        match rustix::io::read(fd, &mut *place) {
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(error) => return Err(ReadSecretError::Read { source: error.into() }),
        }
    }
}

fn within(secret: SecretBytes, limit: usize) -> Result<SecretBytes, ReadSecretError> {
    if secret.len() > limit { Err(ReadSecretError::TooLong { limit }) } else { Ok(secret) }
}

fn strip_end(secret: &mut SecretBytes, end: &[u8]) -> bool {
    let found = secret.expose().ends_with(end);
    if found {
        secret.truncate(secret.len() - end.len());
    }
    found
}

fn open(path: &Path) -> Result<OwnedFd, ReadSecretError> {
    if let Some(number) = descriptor_number(path) {
        // SAFETY: borrowed for this one call, which answers EBADF if there is no such descriptor.
        let named = unsafe { BorrowedFd::borrow_raw(number) };
        return rustix::io::fcntl_dupfd_cloexec(named, 3).map_err(open_error(path));
    }
    // Looked at before it is opened, since opening a device may already have effects; and again afterwards.
    // A link is left to O_NOFOLLOW, which nobody can outrun.
    let stat =
        rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(open_error(path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        expect_readable(path, &stat)?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => ReadSecretError::SymbolicLink { path: path.to_owned() },
        error => open_error(path)(error),
    })
}

/// The descriptor that a path of the kernel's own names.
fn descriptor_number(path: &Path) -> Option<i32> {
    let path = path.to_str()?;
    if path == "/dev/stdin" {
        return Some(0);
    }
    let digits = path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn expect_readable(path: &Path, stat: &Stat) -> Result<(), ReadSecretError> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Fifo => return Ok(()),
        FileType::Symlink => return Err(ReadSecretError::SymbolicLink { path: path.to_owned() }),
        FileType::Directory => "directory",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "file of unknown kind",
    };
    Err(ReadSecretError::NotAFile { path: path.to_owned(), kind })
}

fn exposure(stat: &Stat) -> FileExposure {
    let mode = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_mode & 0o777,
        _ => 0,
    };
    FileExposure { wide_open: mode & 0o066 != 0, mode }
}

fn open_error(path: &Path) -> impl Fn(Errno) -> ReadSecretError {
    let path = path.to_owned();
    move |error| ReadSecretError::Open { path: path.clone(), source: error.into() }
}

#[cfg(test)]
mod tests;
