//! A question on a terminal: the answer is not shown, and the terminal is as before whatever the person does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "this test uses a part of what tests share")]
mod common;

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use common::part;
use common::process_for;
use common::text;
use kms_secret::prompt_secret;
use rustix::pty::OpenptFlags;
use rustix::pty::grantpt;
use rustix::pty::openpt;
use rustix::pty::ptsname;
use rustix::pty::unlockpt;
use rustix::termios::LocalModes;
use rustix::termios::tcgetattr;

const TEST: &str = "answer_is_taken_unseen_and_the_terminal_restored";
const QUESTION: &str = "Passphrase: ";

struct Terminal {
    person: File,
    program: File,
}

impl Terminal {
    fn open() -> Self {
        let person =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let program = OpenOptions::new().read(true).write(true).open(name).unwrap();
        Self { person: person.into(), program }
    }

    /// Reads what the terminal shows up to this text.
    fn shown_until(&mut self, end: &str) -> String {
        let (mut shown, mut byte) = (Vec::new(), [0]);
        while !shown.ends_with(end.as_bytes()) {
            self.person.read_exact(&mut byte).unwrap();
            shown.push(byte[0]);
        }
        String::from_utf8(shown).unwrap()
    }

    /// Makes this the controlling terminal of a process to be started, in a session of its own.
    fn control(&self, command: &mut Command) {
        let terminal = self.program.as_raw_fd();
        in_own_session(command, move || {
            // SAFETY: two system calls between fork and exec, on a descriptor that is open.
            (unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) } == 0)
                .then_some(())
                .ok_or_else(std::io::Error::last_os_error)
        });
    }
}

fn in_own_session(
    command: &mut Command,
    then: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: between fork and exec the child only makes system calls.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            then()
        });
    }
}

/// Asks in a process on a terminal, types the keys once the question is there, and returns what came of it.
fn answer_to(keys: &[u8]) -> String {
    let mut terminal = Terminal::open();
    let before = tcgetattr(&terminal.program).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON));
    let mut command = process_for(TEST, "ask");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    terminal.control(&mut command);
    let child = command.spawn().unwrap();

    assert_eq!(terminal.shown_until(QUESTION), QUESTION);
    terminal.person.write_all(keys).unwrap();
    assert_eq!(terminal.shown_until("\n"), "\r\n", "the answer was shown");

    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let after = tcgetattr(&terminal.program).unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"), "the terminal is not as before");
    outcome(&text(&output))
}

fn outcome(text: &str) -> String {
    let (_, rest) = text.split_once("<outcome>").unwrap();
    rest.split_once("</outcome>").unwrap().0.to_owned()
}

#[test]
fn answer_is_taken_unseen_and_the_terminal_restored() {
    if part().is_some() {
        let outcome = match prompt_secret(QUESTION, 8) {
            Ok(secret) => String::from_utf8(secret.expose().to_vec()).unwrap(),
            Err(error) => format!("error: {error}"),
        };
        println!("<outcome>{outcome}</outcome>");
        return;
    }
    let cases: [(&[u8], &str); 12] = [
        (b"secret\r", "secret"),
        (b"secret\n", "secret"),
        (b"\r", ""),
        ("grün\r".as_bytes(), "grün"),
        ("grün\x7f\x7f\x7fau\r".as_bytes(), "gau"),
        (b"wrong\x15right\r", "right"),
        (b"a\x1ab\r", "ab"),
        (b"secret\x04", "secret"),
        (b"\x04", "error: input has ended, expected a line with a secret"),
        (b"sec\x03", "error: question was interrupted at the terminal"),
        (b"sec\x1c", "error: question was interrupted at the terminal"),
        (b"123456789\r", "error: secret is longer than expected: at most 8 bytes are allowed"),
    ];
    for (keys, expected) in cases {
        assert_eq!(answer_to(keys), expected, "{keys:?}");
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    if part().is_some() {
        println!("<outcome>{}</outcome>", prompt_secret(QUESTION, 8).unwrap_err());
        return;
    }
    let mut command = process_for("without_a_terminal_nothing_is_asked", "ask");
    in_own_session(&mut command, || Ok(()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let expected = "terminal /dev/tty cannot be used to ask for a secret: ";
    assert!(outcome(&text(&output)).starts_with(expected), "{}", text(&output));
}
