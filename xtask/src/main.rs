//! The project's own chores: `cargo xtask ci`, `campaign`, `bench`.

mod bench;
mod campaign;
mod ci;
mod home;
mod shell;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  ci                      installs what the tests need (or prints how), then checks and tests all
  bench [NAME...] [--json] prints ratios against named opponents; needs an optimised build
  tools                   only the first part of that
  campaign [NAME...] [--ci] [--json] [--from N]
                          crash campaigns: power-cut-ext4, power-cut-xfs, disk-full, kill-9,
                          daemon-kill-9, system-calls;
                          `--from N` begins at round N, to see again what was seen there
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["crash-worker", rest @ ..] => return campaign::worker_main(rest), // started by campaigns
        ["campaign", rest @ ..] => campaign::main(rest),
        ["ci"] => ci::run(),
        ["tools"] => tools::ensure(),
        ["bench", names @ ..] => bench::main(names),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
