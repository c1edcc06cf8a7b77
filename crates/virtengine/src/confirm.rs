//! Asking before what cannot be undone.
//!
//! A mild question is asked on a terminal only: a script that names the command means it. A severe
//! action needs its object named a second time, by `--confirm NAME` or at the terminal.

use std::io::Write;
use std::io::stderr;
use std::io::stdin;

use crate::cli::global::Global;
use crate::output::text::escape;
use crate::problem::Problem;
use crate::visit::at_terminal;

/// Asks a mild question, unless `--yes` or `--dry-run` says it need not be.
///
/// # Errors
/// When the answer is no.
pub(crate) fn mild(global: &Global, question: &str) -> Result<(), Problem> {
    if global.yes || global.dry_run || !at_terminal() {
        return Ok(());
    }
    let answer = ask(&format!("{question} [y/N] "))?;
    if matches!(answer.as_str(), "y" | "Y" | "yes") { Ok(()) } else { Err(declined()) }
}

/// Asks a mild question about one object, unless that is named a second time: then by its name.
///
/// # Errors
/// When the answer is no, or when another name is given.
pub(crate) fn mild_or_named(global: &Global, action: &str, object: &str) -> Result<(), Problem> {
    match &global.confirm {
        Some(_) => severe(global, &format!("{action} {object}"), object),
        None => mild(global, &format!("Do you want to {action} {object}?")),
    }
}

/// Demands that a severe action's object is named a second time.
///
/// # Errors
/// Exit 2, with what to type, when it is not or when another name is given.
pub(crate) fn severe(global: &Global, action: &str, object: &str) -> Result<(), Problem> {
    let given = match &global.confirm {
        Some(name) => name.clone(),
        None if global.dry_run => return Ok(()),
        None if at_terminal() => ask(&format!("To {action}, type `{object}`: "))?,
        None => return Err(unconfirmed(action, "--confirm is missing", object)),
    };
    if given == object {
        return Ok(());
    }
    Err(unconfirmed(action, &format!("`{given}` was confirmed, not `{object}`"), object))
}

fn unconfirmed(action: &str, reason: &str, object: &str) -> Problem {
    let mut problem =
        Problem::usage(format!("to {action}, it must be named again")).because(reason);
    problem.code = "confirmation_required".into();
    problem.fix(format!("add --confirm {}", quoted(object)))
}

/// The name as a shell takes it.
fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }
}

fn declined() -> Problem {
    let mut problem = Problem::usage("nothing was done");
    problem.code = "declined".into();
    problem
}

fn ask(question: &str) -> Result<String, Problem> {
    let unanswered = |e| Problem::io("no answer could be read", &e);
    let mut terminal = stderr().lock();
    terminal.write_all(escape(question).as_bytes()).map_err(unanswered)?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(unanswered)?;
    Ok(answer.trim().to_owned())
}
