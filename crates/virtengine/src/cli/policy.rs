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
    /// Whether rotating needs fresh MFA
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) require_mfa: bool,
    /// Activating a key waits for an approval
    #[arg(long)]
    pub(crate) require_approval_for_activation: bool,
    /// Destroying a key waits for an approval
    #[arg(long)]
    pub(crate) require_approval_for_destruction: bool,
    /// Days after its deactivation at which a key is archived
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) archive_after_days: u32,
    /// Days after its deactivation at which the destruction of a key is ordered
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) destroy_after_days: u32,
    /// Days from the order of a destruction to the destruction
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    pub(crate) destroy_delay_days: u32,
    /// Least strength of its keys: 112 lets RSA-2048 in, 128 does not
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub(crate) minimum_strength_bits: u32,
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
