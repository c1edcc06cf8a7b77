//! `virtengine completions` and `virtengine man`, made from the command line itself.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::cli::system::CompletionsArgs;
use crate::cli::system::ManArgs;
use crate::exit::Exit;
use crate::output;
use crate::problem::Problem;
use crate::problem::say;

/// Prints the completion script of a shell.
///
/// # Errors
/// When stdout cannot be written, or the shell is none of bash, zsh and fish.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Problem> {
    if !matches!(args.shell, Shell::Bash | Shell::Zsh | Shell::Fish) {
        return Err(Problem::usage(format!("no completions for {}", args.shell))
            .fix("there are bash, zsh and fish"));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "virtengine", &mut script);
    output::bytes(&script)?;
    Ok(Exit::Ok)
}

/// Prints the manual page of `virtengine`, or writes those of all commands into a directory.
///
/// # Errors
/// When stdout or the directory cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, Problem> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|e| Problem::io("no manual page", &e))?;
        output::bytes(&page)?;
        return Ok(Exit::Ok);
    };
    let written = write_pages(command, dir)
        .map_err(|e| Problem::io(format!("cannot write pages into {}", dir.display()), &e))?;
    say(&format!("{written} manual pages written into {}", dir.display()));
    Ok(Exit::Ok)
}

/// Writes `virtengine.1`, `virtengine-keys.1`, `virtengine-keys-add.1` and so on.
fn write_pages(root: clap::Command, dir: &Path) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    let mut unwritten = vec![root];
    let mut written = 0;
    while let Some(command) = unwritten.pop() {
        unwritten.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut page = Vec::new();
        Man::new(command).title(&name).render(&mut page)?;
        File::create(dir.join(format!("{name}.1")))?.write_all(&page)?;
        written += 1;
    }
    Ok(written)
}
