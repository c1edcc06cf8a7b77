//! The project's own chores: `cargo xtask ci`, `campaign`, `bench`.

mod bench;
mod campaign;
mod ci;
mod home;
mod interop;
mod hsm;
mod shell;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  ci                      installs what the tests need (or prints how), then checks and tests all
  bench [NAME...] [--json] prints ratios against named opponents; needs an optimised build
  tools                   only the first part of that
  interop [VERSION...] [--ci]
                          real CometBFT nodes whose every block is signed by us; needs Go
  campaign [NAME...] [--ci] [--json] [--from N]
                          crash campaigns: power-cut-ext4, power-cut-xfs, disk-full, kill-9,
                          daemon-kill-9, system-calls, signer-kill-9, signer-cut-ext4, signer-cut-xfs,
                          hsm-faults, hsm-sessions;
                          `--from N` begins at round N, to see again what was seen there
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["hsm-worker"] => return kms_pkcs11::worker_main(), // started by kms-pkcs11 for a library
        ["hsm-loop", rest @ ..] => bench::hsm_loop(rest),   // started by a benchmark
        ["crash-worker", rest @ ..] => return campaign::worker_main(rest), // started by campaigns
        ["campaign", rest @ ..] => campaign::main(rest),
        ["signer", rest @ ..] => return interop::signer::main(rest), // likewise
        ["interop", rest @ ..] => interop::main(rest),
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
