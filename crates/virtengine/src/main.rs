//! `virtengine`: the one binary. Reads the command line and configuration, and calls the library;
//! decides nothing about keys itself.

mod exit;
mod output;
mod problem;
mod cli;
mod usage;
mod config;
mod context;
mod secrets;
mod daemon;
mod sandbox;
mod visit;
mod signer;
mod hsm;
mod confirm;
mod commands;

use std::process::ExitCode;

use clap::Parser;

use kms_secret::WipingAllocator;

use crate::cli::Cli;
use crate::exit::Exit;

/// Bodies of requests pass through buffers of libraries: none keeps what stood in it.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    // Before the first secret can be read: no core dumps, no debugger, locked memory.
    let _ = kms_secret::protect_process(); // `doctor` tells what this machine refused
    // The process that a PKCS#11 library runs in: this program, started anew by itself.
    if std::env::args_os().nth(1).is_some_and(|word| word == hsm::WORKER) {
        return kms_pkcs11::worker_main();
    }
    let exit = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(error) => usage::not_understood(&error),
    };
    exit.into()
}

fn run(cli: &Cli) -> Exit {
    let mut format = cli.global.output.unwrap_or_default();
    problem::hold_notes_for(format);
    let exit = match commands::run(cli, &mut format) {
        Ok(exit) => exit,
        Err(problem) if problem.code == output::SILENT => problem.exit,
        Err(problem) => {
            problem.report(format);
            problem.exit
        }
    };
    problem::release_notes();
    exit
}
