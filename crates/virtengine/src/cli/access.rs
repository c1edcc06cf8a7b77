//! `virtengine principal`, `role`, `mfa` and `session`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use kms::access::Permission;
use kms::access::PrincipalName;
use kms::access::RoleName;
use kms::access::SessionTag;

/// Who may call.
#[derive(Debug, Subcommand)]
pub(crate) enum PrincipalCommand {
    /// Add a principal
    Add(PrincipalAddArgs),
    /// List the principals
    List,
    /// Show a principal
    Show(NameArgs),
    /// Stop a principal; its sessions end at once
    Disable(NameArgs),
    /// Let a principal in again
    Enable(NameArgs),
    /// Remove a principal for good
    Remove(NameArgs),
    /// Replace the roles of a principal
    SetRoles(SetRolesArgs),
    /// Say what its connections may show in place of a passphrase; nothing said takes all away
    Attest(AttestArgs),
    /// Change a passphrase: your own, or another's
    Passphrase(PassphraseArgs),
}

/// Names a principal.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Name of the principal
    pub(crate) name: PrincipalName,
}

/// `principal add`.
#[derive(Debug, Args)]
pub(crate) struct PrincipalAddArgs {
    /// Name of the new principal
    pub(crate) name: PrincipalName,
    /// Its roles and what they reach.
    #[command(flatten)]
    pub(crate) roles: RoleArgs,
    /// A person or a service
    #[arg(long, default_value = "user")]
    pub(crate) kind: Kind,
    /// Whether it can open the keystore [default: where a role uses keys]
    #[arg(long, value_name = "BOOL")]
    pub(crate) slot: Option<bool>,
    /// Read its passphrase from this file, `-` for the next line of stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

/// Roles and what they reach.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// A role; repeat for several
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub(crate) roles: Vec<RoleName>,
    /// Only for keys with a label like this (`*` and `?`), or with this id; repeat for several
    #[arg(long = "scope", value_name = "KEY")]
    pub(crate) scopes: Vec<String>,
    /// Only for keys of this purpose; repeat for several
    #[arg(long = "scope-purpose", value_name = "PURPOSE")]
    pub(crate) purposes: Vec<kms::key::Purpose>,
}

/// Kinds of principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A person
    User,
    /// A program
    Service,
}

/// `principal set-roles`.
#[derive(Debug, Args)]
pub(crate) struct SetRolesArgs {
    /// Name of the principal
    pub(crate) name: PrincipalName,
    /// Its roles and what they reach.
    #[command(flatten)]
    pub(crate) roles: RoleArgs,
}

/// `principal attest`.
#[derive(Debug, Args)]
pub(crate) struct AttestArgs {
    /// Name of the principal
    pub(crate) name: PrincipalName,
    /// A user of this machine, on the daemon's socket; repeat for several
    #[arg(long = "uid", value_name = "NUMBER")]
    pub(crate) uids: Vec<u32>,
    /// A certificate for TLS, PEM; repeat for several
    #[arg(long = "certificate", value_name = "FILE")]
    pub(crate) certificates: Vec<PathBuf>,
}

/// `principal passphrase`.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArgs {
    /// Name of the principal [default: you]
    pub(crate) name: Option<PrincipalName>,
    /// Read the new passphrase from this file, `-` for the next line of stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

/// What a principal may do.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// List the roles
    List,
    /// Show a role
    Show(RoleNameArgs),
    /// Make a role, or replace its permissions
    Set(RoleSetArgs),
    /// Remove a role
    Remove(RoleNameArgs),
}

/// Names a role.
#[derive(Debug, Args)]
pub(crate) struct RoleNameArgs {
    /// Name of the role
    pub(crate) name: RoleName,
}

/// `role set`.
#[derive(Debug, Args)]
pub(crate) struct RoleSetArgs {
    /// Name of the role
    pub(crate) name: RoleName,
    /// A permission like key:sign; repeat for several
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    pub(crate) permissions: Vec<Permission>,
}

/// Your second factor.
#[derive(Debug, Subcommand)]
pub(crate) enum MfaCommand {
    /// Enrol an authenticator; prints its address and recovery codes once
    Enroll,
    /// Confirm the authenticator with its current code (--mfa-code)
    Verify,
    /// Take the authenticator of a principal away, so that it can enrol another
    Reset(NameArgs),
}

/// Sessions in use.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List the sessions
    List,
    /// End a session
    End(SessionEndArgs),
}

/// `session end`.
#[derive(Debug, Args)]
pub(crate) struct SessionEndArgs {
    /// The session's tag, as `session list` shows it
    pub(crate) tag: SessionTag,
}
