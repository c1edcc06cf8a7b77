//! Asking a person for a secret.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::SpecialCodeIndex;
use rustix::termios::Termios;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetattr;

use crate::read::Line;
use crate::read::ReadSecretError;
use crate::read::read_some;
use crate::secret_bytes::SecretBytes;

/// Asks on the controlling terminal, `/dev/tty`, whatever standard input is, and reads one line without showing it.
/// At most `limit` bytes.
///
/// While it waits, the terminal neither echoes nor turns keys into signals, so Ctrl-C cannot end the process with
/// the echo off: Ctrl-C and Ctrl-\ are read as keys and become [`ReadSecretError::Interrupted`]. Backspace takes
/// back a character, Ctrl-U everything; Ctrl-D ends the line. The terminal is restored on every way out, panics
/// included; only a signal from elsewhere that ends the process leaves it to the shell (which resets it) or to `stty sane`.
/// What was typed before the question is discarded.
///
/// # Errors
/// [`ReadSecretError::NoTerminal`], [`ReadSecretError::Interrupted`], [`ReadSecretError::TooLong`],
/// [`ReadSecretError::Ended`] (Ctrl-D at once, or the terminal has gone) or [`ReadSecretError::Read`].
pub fn prompt_secret(question: &str, limit: usize) -> Result<SecretBytes, ReadSecretError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    let tty = rustix::fs::open("/dev/tty", flags, Mode::empty()).map_err(no_terminal)?;
    let quiet = Quiet::start(tty.as_fd()).map_err(no_terminal)?;
    say(quiet.tty, question).map_err(no_terminal)?;
    let answer = read_answer(quiet.tty, limit);
    // The person's own newline was not shown. If the terminal has gone by now, the answer matters and this does not.
    say(quiet.tty, "\n").ok();
    drop(quiet);
    answer
}

/// A terminal that shows nothing and sends no signals, until dropped.
struct Quiet<'a> {
    tty: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn start(tty: BorrowedFd<'a>) -> Result<Self, Errno> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let guard = Self { tty, before };
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(guard)
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Fails only if the terminal has gone, and then there is nothing to restore.
        tcsetattr(self.tty, OptionalActions::Flush, &self.before).ok();
    }
}

fn read_answer(tty: BorrowedFd<'_>, limit: usize) -> Result<SecretBytes, ReadSecretError> {
    const CTRL_C: u8 = 0x03;
    const CTRL_D: u8 = 0x04;
    const BACKSPACE: u8 = 0x08;
    const CTRL_U: u8 = 0x15;
    const CTRL_Z: u8 = 0x1a;
    const CTRL_BACKSLASH: u8 = 0x1c;
    const DELETE: u8 = 0x7f;
    let mut line = Line::new(limit);
    let mut key = SecretBytes::zeroed(1);
    loop {
        if read_some(tty, key.expose_mut())? == 0 {
            return Err(ReadSecretError::Ended);
        }
        match key.expose() {
            [b'\r' | b'\n'] => return Ok(line.finish()),
            [CTRL_D] if line.is_empty() => return Err(ReadSecretError::Ended),
            [CTRL_D] => return Ok(line.finish()),
            [CTRL_C | CTRL_BACKSLASH] => return Err(ReadSecretError::Interrupted),
            [CTRL_Z] => {}
            [BACKSPACE | DELETE] => line.pop_char(),
            [CTRL_U] => line.clear(),
            _ => line.push(&key)?,
        }
    }
}

fn say(tty: BorrowedFd<'_>, text: &str) -> Result<(), Errno> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(tty, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn no_terminal(error: Errno) -> ReadSecretError {
    ReadSecretError::NoTerminal { source: error.into() }
}
