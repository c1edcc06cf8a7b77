//! Damages a copy of the log, so that one can see it found.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::problem::Problem;

/// Copies the directory `from` to `to` and changes one byte in the middle of the copied log; tells
/// which.
///
/// # Errors
/// When there is no log, or the copy cannot be written.
pub(crate) fn one_byte_of_a_copy(from: &Path, to: &Path) -> Result<String, Problem> {
    damage(from, to).map_err(|e| Problem::io(format!("cannot copy {}", from.display()), &e))
}

fn damage(from: &Path, to: &Path) -> io::Result<String> {
    fs::create_dir(to)?;
    let mut log: Option<PathBuf> = None;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_log = Path::new(&name).extension().is_some_and(|extension| extension == "log");
        let is_key = Path::new(&name).extension().is_some_and(|extension| extension == "key");
        if entry.file_type()?.is_file() && !is_key {
            fs::copy(entry.path(), to.join(&name))?;
        }
        if is_log {
            log = Some(to.join(&name));
        }
    }
    let log = log.ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = fs::read(&log)?;
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).ok_or(io::ErrorKind::UnexpectedEof)?;
    *byte ^= 1;
    fs::write(&log, bytes)?;
    Ok(format!("byte {middle} of {}", log.display()))
}
