//! `virtengine serve` on a home, as a process of its own.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::home::Home;

/// A daemon that runs; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    /// Where it listens, as it said.
    pub(crate) listening: Value,
}

impl Serving {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_virtengine"))
            .args(["serve", "-o", "json", "--home"])
            .arg(home.path())
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built program starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        stdout.read_line(&mut line).expect("stdout is read");
        let Ok(listening) = serde_json::from_str(&line) else {
            _ = child.kill();
            let mut stderr = String::new();
            _ = child.stderr.take().expect("stderr is a pipe").read_to_string(&mut stderr);
            panic!("it does not serve: {line}{stderr}");
        };
        Self { child, listening }
    }

    /// Starts it unlocked.
    pub(crate) fn unlocked(home: &Home, arguments: &[&str]) -> Self {
        let passphrase = home.file_name("passphrase");
        Self::start(home, &[arguments, &["--passphrase-file", &passphrase]].concat())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// The next line of its journal that has this in it.
    pub(crate) fn journal(&mut self, wanted: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("stderr is a pipe");
        let mut bytes = Vec::new();
        let mut byte = [0];
        while stderr.read(&mut byte).expect("stderr is read") == 1 {
            bytes.push(byte[0]);
            if byte[0] == b'\n' {
                let line = String::from_utf8_lossy(&bytes).into_owned();
                if line.contains(wanted) {
                    return line;
                }
                bytes.clear();
            }
        }
        panic!("it never said {wanted}");
    }

    /// Stops it, and looks how it ended.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().expect("it ends").success());
    }

    /// Ends it between any two instructions.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
