//! Runs `virtengine` with an empty environment and collects what came back.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

/// What a run gave back.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    /// stdout as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is text")
    }

    /// stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is no JSON ({e}): {self:?}"))
    }

    /// The last line of stderr as JSON: the problem.
    pub(crate) fn problem(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("no JSON problem ({e}): {self:?}"))
    }

    /// Holds the run to an exit code; a failure prints all of it.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}\nstdout: {}", String::from_utf8_lossy(&self.stdout));
        self
    }
}

/// A command on its way.
pub(crate) struct Virtengine {
    command: Command,
    stdin: Vec<u8>,
}

impl Virtengine {
    /// `virtengine` with these arguments, an empty environment and nothing on stdin.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtengine"));
        command.args(arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, stdin: Vec::new() }
    }

    /// With `--home`.
    pub(crate) fn home(mut self, home: &Path) -> Self {
        self.command.arg("--home").arg(home);
        self
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With these bytes on stdin.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it to its end with nobody left to read its stdout.
    pub(crate) fn run_into_closed_pipe(mut self) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe is made");
        drop(reader);
        self.command.stdout(writer).stdin(Stdio::null());
        let child = self.command.spawn().expect("the built program starts");
        let output = child.wait_with_output().expect("the program ends");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: Vec::new(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Run {
        let mut child = self.command.spawn().expect("the built program starts");
        let mut pipe = child.stdin.take().expect("stdin is a pipe");
        // The program may end without reading its input.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&self.stdin)));
        let output = child.wait_with_output().expect("the program ends");
        feeder.join().expect("writing to a pipe does not panic");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs `virtengine` with these arguments.
pub(crate) fn virtengine(arguments: &[&str]) -> Run {
    Virtengine::new(arguments).run()
}
