//! CometBFT's own privval code, in a program of its own: it listens as a node does.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;

/// The program of `tests/comet`, built once. `None` where there is no Go, which CI must have.
pub(crate) fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/comet");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comet");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(sources);
    match go.output() {
        Ok(built) if built.status.success() => Some(program),
        Ok(failed) => panic!("go build: {}", String::from_utf8_lossy(&failed.stderr)),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "Go is missing, and CI needs it: {error}");
            eprintln!("SKIP: no Go, so nothing was tested against CometBFT's own code");
            None
        }
    }
}

/// A node that asks what it is told to ask.
pub(crate) struct Node {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    _errors: BufReader<ChildStderr>,
    /// Where it listens.
    pub(crate) address: String,
}

impl Node {
    /// Listens at `address`; a tcp port of 0 becomes a free one.
    pub(crate) fn listen(address: &str) -> Option<Self> {
        let mut command = Command::new(program()?);
        command.args(["ask", address]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let place = line.trim().strip_prefix("listening at ").unwrap_or_else(|| panic!("{line}"));
        let protocol = address.split_once("://").unwrap().0;
        Some(Self {
            to: child.stdin.take(),
            from: BufReader::new(child.stdout.take().unwrap()),
            address: format!("{protocol}://{place}"),
            _errors: errors,
            child,
        })
    }

    /// Asks one question and waits for the answer.
    pub(crate) fn ask(&mut self, question: Value) -> Value {
        writeln!(self.to.as_ref().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{question}: {line}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.to.take());
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
