//! The command line: what can be typed. Values only; nothing here does anything.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod global;
pub(crate) mod hsm;
pub(crate) mod keys;
pub(crate) mod multisig;
pub(crate) mod policy;
pub(crate) mod sign;
pub(crate) mod system;
pub(crate) mod validator;

use clap::Parser;
use clap::Subcommand;

use crate::cli::access::MfaCommand;
use crate::cli::access::PrincipalCommand;
use crate::cli::access::RoleCommand;
use crate::cli::access::SessionCommand;
use crate::cli::audit::AuditCommand;
use crate::cli::global::Global;
use crate::cli::hsm::HsmCommand;
use crate::cli::keys::KeysCommand;
use crate::cli::multisig::ApprovalCommand;
use crate::cli::multisig::MultisigCommand;
use crate::cli::policy::LifecycleCommand;
use crate::cli::policy::PolicyCommand;
use crate::cli::sign::SignArgs;
use crate::cli::sign::VerifyArgs;
use crate::cli::system::CompletionsArgs;
use crate::cli::system::ConfigCommand;
use crate::cli::system::DevArgs;
use crate::cli::system::InitArgs;
use crate::cli::system::LoginArgs;
use crate::cli::system::ManArgs;
use crate::cli::system::ServeArgs;
use crate::cli::validator::CometCommand;
use crate::cli::validator::ValidatorCommand;

/// VirtEngine key management: keys for validators, providers and accounts.
///
/// Every use of a key is authenticated, authorised, allowed by the key's state and on record
/// before anything made with it comes out. Data goes to stdout, everything else to stderr.
///
/// Exit codes: 0 ok, 1 other, 2 usage, 3 not found, 4 exists or in use, 5 not permitted,
/// 6 authentication or passphrase, 7 backend unavailable, 8 integrity failure, 9 threshold not met
/// or expired, 10 refused for safety, 11 waiting for approval, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "virtengine", version, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "First steps:  virtengine dev        shows all of it in a throw-away home\n\
                        \x20             virtengine init       makes your own home"
)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the product working in a throw-away home: keys, signatures, rotation, the audit log
    Dev(DevArgs),
    /// Make a home: store, keystore, audit log and the first administrator
    Init(InitArgs),
    /// Run the daemon: it holds the keys, and people and programs talk to it
    Serve(ServeArgs),
    /// Log in at the daemon and keep the session
    Login(LoginArgs),
    /// End the session that was kept
    Logout,
    /// Let the daemon use keys: with the passphrase of someone who opens the keystore
    Unlock,
    /// Make the daemon forget every secret until someone unlocks it
    Lock,
    /// Show the state of the home
    Status,
    /// Examine the machine and the home, and say what to mend
    Doctor,
    /// Make, import, show and retire keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Tokens: initialise, examine, make keys in them, move keys into them
    #[command(subcommand)]
    Hsm(HsmCommand),
    /// Sign a message with a key
    Sign(SignArgs),
    /// Verify a signature with a key (exit 0: valid, 8: not valid)
    Verify(VerifyArgs),
    /// Lifecycle policies: how long keys live
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Several parties authorize one thing, each with a signature
    #[command(subcommand)]
    Multisig(MultisigCommand),
    /// Approval rules: what waits for whose approval
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// The lives of all keys at a glance
    #[command(subcommand)]
    Lifecycle(LifecycleCommand),
    /// Principals: who may call
    #[command(subcommand)]
    Principal(PrincipalCommand),
    /// Roles: what a principal may do
    #[command(subcommand)]
    Role(RoleCommand),
    /// Your second factor
    #[command(subcommand)]
    Mfa(MfaCommand),
    /// Sessions in use
    #[command(subcommand)]
    Session(SessionCommand),
    /// The audit log: read it, verify it, take it away
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The remote signer of a CometBFT validator
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// CometBFT's own questions about a validator
    #[command(subcommand, visible_aliases = ["cometbft", "tendermint"])]
    Comet(CometCommand),
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for your shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a directory
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_documented() {
        let mut unseen = vec![Cli::command()];
        while let Some(command) = unseen.pop() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            unseen.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn no_passphrase_can_be_an_argument() {
        let mut unseen = vec![Cli::command()];
        while let Some(command) = unseen.pop() {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let names_a_place = name.ends_with("_file") || name.ends_with("_fd");
                assert!(!name.contains("passphrase") || names_a_place, "{name} takes a passphrase");
            }
            unseen.extend(command.get_subcommands().cloned());
        }
    }
}
