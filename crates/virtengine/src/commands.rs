//! What the commands do: one file per group, each command one operation of the library.

mod approval;
mod audit;
mod config;
mod dev;
mod doctor;
mod hsm;
mod init;
mod keys;
mod lifecycle;
mod login;
mod manual;
mod mfa;
mod multisig;
mod policy;
mod principal;
mod role;
mod serve;
mod session;
mod sign;
mod status;
mod validator;
mod comet;

use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::audit::AuditCommand;
use crate::cli::multisig::MultisigCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::problem::Problem;

/// Carries out the command; `format` becomes what is in effect, for the report of a problem.
///
/// # Errors
/// When the command did not succeed.
pub(crate) fn run(cli: &Cli, format: &mut Format) -> Result<Exit, Problem> {
    let global = &cli.global;
    let mut context = || Context::new(global, format);
    match &cli.command {
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        Command::Config(command) => config::run(command, global, format),
        Command::Dev(args) => dev::run(global, args),
        Command::Init(args) => init::run(&context()?, args),
        Command::Serve(args) => serve::run(&context()?, args),
        Command::Login(args) => login::login(&context()?, args),
        Command::Logout => login::logout(&context()?),
        Command::Unlock => login::unlock(&context()?),
        Command::Lock => login::lock(&context()?),
        Command::Status => status::status(&context()?),
        Command::Doctor => doctor::run(&context()?),
        Command::Hsm(command) => hsm::run(&context()?, command),
        Command::Keys(command) => keys::run(&context()?, command),
        Command::Sign(args) => sign::sign(&context()?, args),
        Command::Verify(args) => sign::verify(&context()?, args),
        Command::Policy(command) => policy::run(&context()?, command),
        Command::Multisig(MultisigCommand::Verify(args)) => {
            multisig::verify_anywhere(global, format, args)
        }
        Command::Multisig(command) => multisig::run(&context()?, command),
        Command::Approval(command) => approval::run(&context()?, command),
        Command::Lifecycle(command) => lifecycle::run(&context()?, command),
        Command::Principal(command) => principal::run(&context()?, command),
        Command::Role(command) => role::run(&context()?, command),
        Command::Mfa(command) => mfa::run(&context()?, command),
        Command::Session(command) => session::run(&context()?, command),
        Command::Audit(AuditCommand::Verify(args)) if args.dir.is_some() => {
            audit::verify_elsewhere(global, args)
        }
        Command::Audit(command) => audit::run(&context()?, command),
        Command::Validator(command) => validator::run(&context()?, command),
        Command::Comet(command) => comet::run(&context()?, command),
    }
}
