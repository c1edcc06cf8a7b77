//! What the commands do: one file per group, each command one operation of the library.

mod config;
mod manual;

use crate::cli::Cli;
use crate::cli::Command;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::problem::Problem;

/// Carries out the command; `format` becomes what is in effect, for the report of a problem.
///
/// # Errors
/// When the command did not succeed.
pub(crate) fn run(cli: &Cli, format: &mut Format) -> Result<Exit, Problem> {
    match &cli.command {
        Command::Completions(args) => return manual::completions(args),
        Command::Man(args) => return manual::man(args),
        Command::Config(command) => return config::run(command, &cli.global, format),
        _ => {}
    }
    let _context = Context::new(&cli.global, format)?;
    Ok(Exit::Other)
}
