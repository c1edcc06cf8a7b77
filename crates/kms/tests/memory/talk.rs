//! Lines between the two processes. The child's side never goes through a buffer of the standard
//! library, as the product's own input and output of secrets.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::ChildStdin;
use std::process::ChildStdout;

/// The end that made the secrets.
pub(crate) struct Talk {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    pub(crate) fn new(to: ChildStdin, from: ChildStdout) -> Self {
        Self { to, from: BufReader::new(from) }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; `None` when the child has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }
}
