//! Reading the files of a log, as anyone may who has them: no home, no lock, no key.
//!
//! Never writes, never follows a link, never waits at a pipe.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;

use crate::audit::AuditFault;
use crate::audit::config::parse;
use crate::audit::line::LINE_BYTES;
use crate::durable::DiskError;
use crate::durable::ForeignFile;
use crate::durable::list_foreign;

/// Opens a regular file for reading, whoever owns it.
pub(crate) fn open_regular(path: &Path) -> Result<ForeignFile, AuditFault> {
    ForeignFile::open(path).map_err(AuditFault::at(path))
}

/// The fault for an error met while reading `path`.
pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> AuditFault + '_ {
    |error| AuditFault::File { path: path.to_owned(), source: Arc::new(DiskError::Io(error)) }
}

/// At most the last `limit` bytes of a file, and whether these are all; nothing if it is not there.
pub(crate) fn read_tail(path: &Path, limit: u64) -> Result<(Vec<u8>, bool), AuditFault> {
    if !path.exists() {
        return Ok((Vec::new(), true));
    }
    let mut file = open_regular(path)?;
    let len = file.len();
    let start = len.saturating_sub(limit);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.take(len - start).read_to_end(&mut bytes))
        .map_err(unreadable(path))?;
    Ok((bytes, start == 0))
}

/// The segments in `dir`, as stem and number, sorted; other files are left out.
pub(crate) fn segments(dir: &Path) -> Result<Vec<(String, u32)>, AuditFault> {
    let names = list_foreign(dir).map_err(AuditFault::at(dir))?;
    let mut found: Vec<(String, u32)> = names
        .iter()
        .filter_map(|name| parse(name))
        .map(|(stem, number)| (stem.to_owned(), number))
        .collect();
    found.sort();
    Ok(found)
}

/// Reads a segment line by line.
#[derive(Debug)]
pub(crate) struct LineReader {
    reader: BufReader<ForeignFile>,
    line: Vec<u8>,
    /// Where the line begins that [`LineReader::read`] gives next.
    offset: u64,
}

/// What stands at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// Bytes without a newline behind them: the end of the file, or a line beyond all limits.
    Torn(&'a [u8]),
    /// Nothing more.
    End,
}

impl LineReader {
    /// Begins `offset` bytes into the file.
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self, AuditFault> {
        let mut file = open_regular(path)?;
        file.seek(SeekFrom::Start(offset)).map_err(unreadable(path))?;
        Ok(Self { reader: BufReader::with_capacity(256 * 1024, file), line: Vec::new(), offset })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads on.
    pub(crate) fn read(&mut self) -> io::Result<Piece<'_>> {
        self.line.clear();
        let limit = LINE_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        self.offset += read as u64;
        Ok(match self.line.strip_suffix(b"\n") {
            Some(line) => Piece::Line(line),
            None if read == 0 => Piece::End,
            None => Piece::Torn(&self.line),
        })
    }

    /// Everything from here to the end, at most `limit` bytes.
    pub(crate) fn rest(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn pipes_directories_and_links_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        std::fs::write(at("file"), "x\n").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        for name in ["pipe", "directory", "link"] {
            assert!(matches!(open_regular(&at(name)), Err(AuditFault::File { .. })), "{name}");
        }
        assert!(open_regular(&at("file")).is_ok());
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        std::fs::write(&path, vec![b'x'; 3 * LINE_BYTES]).unwrap();
        let mut lines = LineReader::open(&path, 0).unwrap();
        let Piece::Torn(bytes) = lines.read().unwrap() else { panic!("a line?") };
        assert_eq!(bytes.len(), LINE_BYTES + 1);
    }

    #[test]
    fn lines_are_read_with_their_places() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, "one\n\ntwo").unwrap();
        let mut lines = LineReader::open(&path, 0).unwrap();
        assert_eq!(lines.read().unwrap(), Piece::Line(b"one"));
        assert_eq!(lines.offset(), 4);
        assert_eq!(lines.read().unwrap(), Piece::Line(b""));
        assert_eq!(lines.read().unwrap(), Piece::Torn(b"two"));
        assert_eq!(lines.read().unwrap(), Piece::End);
    }
}
