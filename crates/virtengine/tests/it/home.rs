//! A development home of its own for one test.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::Run;
use crate::harness::Virtengine;

/// The administrator's passphrase; no run may show it.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple 7!";

/// A home with the administrator `alice`.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// Makes a home without a second factor.
    pub(crate) fn new() -> Self {
        Self::with(&["--mfa", "none"]).0
    }

    /// Makes a home with these arguments of `init`; returns what `init` printed.
    pub(crate) fn with(arguments: &[&str]) -> (Self, Value) {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.write("passphrase", PASSPHRASE);
        let arguments = [&["init", "--admin", "alice", "-o", "json"], arguments].concat();
        let made = home.run(&arguments).expect(0).json();
        (home, made)
    }

    /// The home's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A file beside the home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn file_name(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beside the home, mode 0600; returns its path as text.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.file(name), content).unwrap();
        fs::set_permissions(self.file(name), Permissions::from_mode(0o600)).unwrap();
        self.file_name(name)
    }

    /// A command on this home, without a passphrase.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Virtengine {
        Virtengine::new(arguments).home(&self.path())
    }

    /// A command on this home with the administrator's passphrase file.
    pub(crate) fn command(&self, arguments: &[&str]) -> Virtengine {
        let file = self.file_name("passphrase");
        let arguments = [arguments, &["--passphrase-file", &file]].concat();
        self.bare(&arguments)
    }

    /// Runs a command as the administrator; its output may not hold the passphrase.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        checked(self.command(arguments).run())
    }

    /// Runs a command that must succeed; returns its JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["-o", "json"]].concat()).expect(0).json()
    }

    /// Runs a command that must end with this code; returns its JSON problem.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> Value {
        let run = self.run(&[arguments, &["-o", "json"]].concat()).expect(code);
        assert_eq!(run.text(), "", "a refusal prints no data");
        run.problem()
    }

    /// Every file of the home, by its path inside.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut unseen = vec![self.path()];
        while let Some(dir) = unseen.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { unseen.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

/// The run, if the passphrase stands nowhere in what it printed.
#[track_caller]
pub(crate) fn checked(run: Run) -> Run {
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(!stdout.contains(PASSPHRASE), "the passphrase is on stdout");
    assert!(!run.stderr.contains(PASSPHRASE), "the passphrase is on stderr: {}", run.stderr);
    run
}

/// Reads a file as text.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}
