//! A command line that was not understood.

use std::error::Error;
use std::ffi::OsStr;
use std::ffi::OsString;

use clap::error::ContextKind;
use clap::error::ErrorKind;

use crate::exit::Exit;
use crate::output::Format;
use crate::problem::Problem;

/// Answers help and version; reports everything else as a usage error, as JSON where that was asked
/// for in words that could still be understood.
pub(crate) fn not_understood(error: &clap::Error) -> Exit {
    let answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if answer || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let shown = error.print();
        return if answer && shown.is_ok() { Exit::Ok } else { Exit::Usage };
    }
    if let Some(problem) = refused_value(error) {
        problem.report(wanted_format());
        return Exit::Usage;
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or_default();
    let mut problem = Problem::usage(message.trim_start_matches("error: "));
    for line in lines {
        problem = match line.strip_prefix("tip: ") {
            Some(tip) => problem.fix(tip),
            None if line.starts_with("For more information") => problem.fix("virtengine --help"),
            None => {
                let reason = format!("{} {line}", problem.reason);
                problem.because(reason.trim())
            }
        };
    }
    problem.report(wanted_format());
    Exit::Usage
}

/// A value that one of our own readers refused, whatever characters it has.
fn refused_value(error: &clap::Error) -> Option<Problem> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let argument = error.get(ContextKind::InvalidArg)?;
    let value = error.get(ContextKind::InvalidValue)?.to_string();
    let shown: String = value.chars().take(SHOWN_CHARS).collect();
    let more = if shown.len() < value.len() { "…" } else { "" };
    let problem = Problem::usage(format!("invalid value '{shown}{more}' for '{argument}'"));
    Some(problem.because(error.source()?.to_string()).fix("virtengine --help"))
}

/// A wrong value is shown up to so many characters.
const SHOWN_CHARS: usize = 80;

/// The format that was asked for on a command line that is wrong elsewhere.
fn wanted_format() -> Format {
    let arguments: Vec<_> = std::env::args_os().collect();
    let is = |text: &OsStr, flag: &str| text.to_str() == Some(flag);
    let pair = |two: &[OsString]| match two {
        [flag, value] => (is(flag, "-o") || is(flag, "--output")) && is(value, "json"),
        _ => false,
    };
    let joined =
        |one: &OsString| is(one, "-ojson") || is(one, "-o=json") || is(one, "--output=json");
    let asked = arguments.windows(2).any(pair) || arguments.iter().any(joined);
    let environment = std::env::var_os("VIRTENGINE_OUTPUT").is_some_and(|v| is(&v, "json"));
    if asked || environment { Format::Json } else { Format::Text }
}
