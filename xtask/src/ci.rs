//! Everything that must hold before a change lands; the same here and in CI.

use std::process::Command;

use crate::campaign;
use crate::interop;
use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::root;
use crate::shell::step;
use crate::tools;

/// Runs all checks in the order of what fails fastest.
pub(crate) fn run() -> Outcome {
    tools::ensure()?;
    step("fmt", &mut cargo(["fmt", "--all", "--check"]))?;
    step("deny", &mut cargo(["deny", "--workspace", "check", "bans", "licenses", "sources"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step("clippy", &mut cargo(clippy))?;
    step("test", &mut cargo(["test", "--workspace", "--locked"]))?;
    campaign::main(&["--ci"])?;
    interop::main(&["--ci"])?;
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    step("doc", cargo(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    if root().join(".git").exists() {
        step("nothing changed", Command::new("git").args(["diff", "--exit-code", "--stat"]))?;
    }
    Ok(())
}
