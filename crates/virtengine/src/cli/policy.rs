//! `virtengine policy` and `virtengine lifecycle`.

use clap::Args;
use clap::Subcommand;
use kms::key::Algorithm;
use kms::key::PolicyName;

/// How long keys live.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// List the policies
    List,
    /// Show a policy
    Show(PolicyNameArgs),
    /// Make a policy, or replace it; what is not said is off
    Set(PolicySetArgs),
    /// Remove a policy no key lives under
    Remove(PolicyNameArgs),
}

/// Names a policy.
#[derive(Debug, Args)]
pub(crate) struct PolicyNameArgs {
    /// Name of the policy
    pub(crate) name: PolicyName,
}

/// `policy set`. 0 days means never.
#[derive(Debug, Args)]
pub(crate) struct PolicySetArgs {
    /// Name of the policy
    pub(crate) name: PolicyName,
    /// Days a key may be active before a rotation is due
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) max_active_age_days: u32,
    /// Days before the expiry at which warnings begin
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) warning_days_before_exp: u32,
    /// Days after its activation at which a key expires
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) expiration_days: u32,
    /// Days an old key is kept after its rotation
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) grace_period_days: u32,
    /// A timer prepares the successor
    #[arg(long)]
    pub(crate) auto_rotate: bool,
    /// Rotating needs fresh MFA
    #[arg(long)]
    pub(crate) require_mfa: bool,
    /// An algorithm its keys may have; repeat for several [default: all]
    #[arg(long = "allow-algorithm", value_name = "ALGORITHM")]
    pub(crate) algorithms: Vec<Algorithm>,
}

/// The lives of all keys.
#[derive(Debug, Subcommand)]
pub(crate) enum LifecycleCommand {
    /// Count the keys: in use, expiring, due for rotation
    Report,
}
