//! Options of every command.

use std::path::PathBuf;

use clap::Args;
use kms::access::PrincipalName;
use kms_server::Address;

use crate::output::Format;

/// Options of every command; flags win over environment, environment over configuration.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The home: where keys, state and audit log live [default: ~/.virtengine]
    #[arg(long, global = true, value_name = "DIR", env = "VIRTENGINE_HOME", help_heading = GLOBAL)]
    pub(crate) home: Option<PathBuf>,

    /// Who you are [default: the only administrator]
    #[arg(long = "as", global = true, value_name = "PRINCIPAL", env = "VIRTENGINE_PRINCIPAL")]
    #[arg(help_heading = GLOBAL)]
    pub(crate) principal: Option<PrincipalName>,

    /// Read the passphrase from this file, `-` for stdin [env: VIRTENGINE_PASSPHRASE_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Read the passphrase from this open file descriptor
    #[arg(long, global = true, value_name = "N", help_heading = GLOBAL)]
    #[arg(conflicts_with = "passphrase_file", value_parser = clap::value_parser!(u32).range(..=4096))]
    pub(crate) passphrase_fd: Option<u32>,

    /// The daemon to talk to: unix:PATH or https://HOST:PORT [default: the home's, if it runs]
    #[arg(long, global = true, value_name = "ADDRESS", env = "VIRTENGINE_SERVER")]
    #[arg(help_heading = GLOBAL)]
    pub(crate) server: Option<Address>,

    /// Trust servers with a certificate of these authorities, PEM [default: the machine's]
    #[arg(long, global = true, value_name = "FILE", env = "VIRTENGINE_SERVER_CA")]
    #[arg(help_heading = GLOBAL)]
    pub(crate) server_ca: Option<PathBuf>,

    /// Show this certificate to the server, PEM
    #[arg(long, global = true, value_name = "FILE", env = "VIRTENGINE_CLIENT_CERT")]
    #[arg(help_heading = GLOBAL, requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,

    /// The private key of that certificate, PEM
    #[arg(long, global = true, value_name = "FILE", env = "VIRTENGINE_CLIENT_KEY")]
    #[arg(help_heading = GLOBAL, requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,

    /// The current code of your authenticator, or a recovery code
    #[arg(long, global = true, value_name = "CODE", help_heading = GLOBAL)]
    pub(crate) mfa_code: Option<String>,

    /// How data is written [default: text]
    #[arg(short, long, global = true, env = "VIRTENGINE_OUTPUT", help_heading = GLOBAL)]
    pub(crate) output: Option<Format>,

    /// Check all that can be checked and say what would be done, but do nothing
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) dry_run: bool,

    /// Say yes to mild questions
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) yes: bool,

    /// Confirm a severe action by naming what it is done to
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) confirm: Option<String>,

    /// Accept that the machine's clock stands before the last record
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) accept_clock: bool,
}

const GLOBAL: &str = "Options of every command";
