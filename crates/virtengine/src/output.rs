//! Data to stdout, in the form that was asked for. Everything else goes to stderr.

pub(crate) mod text;
pub(crate) mod key;
pub(crate) mod progress;
pub(crate) mod secret;

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;

use crate::exit::Exit;
use crate::problem::Problem;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on one line; fields may be added, never changed.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Writes data: `value` for programs, or what `text` makes for people.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn data<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Problem> {
    let mut out = match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string(value).map_err(|e| unwritable(&e))? + "\n",
        Format::Yaml => serde_saphyr::to_string(value).map_err(|e| unwritable(&e))?,
    };
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    bytes(out.as_bytes())
}

/// Writes bytes as they are.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| closed(&e))
}

/// Refuses to throw bytes that are no text at a terminal; asked before they are made.
///
/// # Errors
/// When stdout is a terminal.
pub(crate) fn takes_binary() -> Result<(), Problem> {
    if io::stdout().is_terminal() {
        let problem = Problem::usage("binary data does not go to a terminal");
        return Err(problem.fix("send it into a file: … > FILE"));
    }
    Ok(())
}

/// A failure of stdout: silent where the reader went away, as `head` does.
pub(crate) fn closed(error: &io::Error) -> Problem {
    let code = if error.kind() == io::ErrorKind::BrokenPipe { SILENT } else { "output" };
    Problem::new(Exit::Other, code, "stdout cannot be written").because(error.to_string())
}

fn unwritable(error: &dyn std::error::Error) -> Problem {
    Problem::new(Exit::Other, "output", "the result cannot be written in this format")
        .because(error.to_string())
}

/// The code of a problem that is not worth a message.
pub(crate) const SILENT: &str = "broken_pipe";

#[cfg(test)]
mod tests {
    #[test]
    fn yaml_keeps_the_order_and_quotes_what_could_be_misread() {
        #[derive(serde::Serialize)]
        struct Sample {
            name: &'static str,
            address: Option<u8>,
            pubkey: &'static str,
            list: Vec<&'static str>,
        }
        let sample = Sample {
            name: "no",
            address: None,
            pubkey: "{\"@type\":\"x\"}",
            list: vec!["1e3", "a: b", "- x"],
        };
        let yaml = serde_saphyr::to_string(&sample).unwrap();
        assert_eq!(
            yaml,
            "name: \"no\"\naddress: null\npubkey: \"{\\\"@type\\\":\\\"x\\\"}\"\nlist:\n- \
             \"1e3\"\n- \"a: b\"\n- \"- x\"\n"
        );
    }
}
