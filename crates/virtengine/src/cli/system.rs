//! `virtengine init`, `config`, `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap_complete::Shell;
use kms::access::PrincipalName;

/// `dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Serve the home afterwards, until Ctrl-C; at a terminal that is so without being asked for
    #[arg(long)]
    pub(crate) serve: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Name of the first administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) admin: PrincipalName,
    /// The administrator's second factor; `none` makes a development home for ever
    #[arg(long, default_value = "totp")]
    pub(crate) mfa: MfaKind,
}

/// Second factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MfaKind {
    /// Codes of an authenticator app
    Totp,
    /// None: for development
    None,
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Listen on this socket [default: kms.sock in the home, or as configured]
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Listen on this address with TLS [default: as configured]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// How the journal on stderr is written [default: text on a terminal, else json]
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<LogForm>,
    /// Write a line for each request
    #[arg(long)]
    pub(crate) log_requests: bool,
}

/// `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Show no passphrase, but who you are on this connection: your user, or --client-cert
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd", "mfa_code"])]
    pub(crate) attested: bool,
}

/// Forms of the daemon's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file and name every mistake with its line
    Check(ConfigCheckArgs),
    /// Show the settings in effect and where they came from
    Show,
}

/// `config check`.
#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    /// The file [default: the one in effect]
    pub(crate) file: Option<PathBuf>,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh or fish
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for every command into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
