//! Lifecycle policies.

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::Label;
use kms::key::PolicyName;
use kms::lifecycle::KeyLifecyclePolicy;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Done;
use crate::Failure;
use crate::Kind;
use crate::Method;
use crate::Operation;
use crate::Unnamed;
use crate::schema::AlgorithmName;
use crate::schema::LabelText;

/// A lifecycle policy, as it stands in the configuration too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Policy, value_type = PolicyShape)]
pub struct PolicyView(pub KeyLifecyclePolicy);

/// How a policy looks in JSON. `0` days mean never.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyShape {
    /// What keys name it by.
    #[schema(value_type = LabelText)]
    name: PolicyName,
    /// Days a key may be active before a rotation is due.
    #[serde(default)]
    max_active_age_days: u32,
    /// Days before the expiry at which warnings begin.
    #[serde(default)]
    warning_days_before_exp: u32,
    /// Days after its activation at which a key expires.
    #[serde(default)]
    expiration_days: u32,
    /// Days an old key is kept after its rotation.
    #[serde(default)]
    grace_period_days: u32,
    /// A timer prepares the successor.
    #[serde(default)]
    auto_rotate: bool,
    /// Whether rotating needs fresh MFA; on if absent.
    #[serde(default)]
    require_mfa: bool,
    /// Algorithms its keys may have; empty for all.
    #[schema(value_type = Vec<AlgorithmName>)]
    #[serde(default)]
    allowed_algorithms: Vec<Algorithm>,
    /// Least strength of its keys, in bits.
    #[serde(default)]
    minimum_strength_bits: u32,
    /// Activating a key waits for an approval.
    #[serde(default)]
    require_approval_for_activation: bool,
    /// Destroying a key waits for an approval.
    #[serde(default)]
    require_approval_for_destruction: bool,
    /// Days after its deactivation at which a key is archived.
    #[serde(default)]
    archive_after_days: u32,
    /// Days after its deactivation at which its destruction is proposed.
    #[serde(default)]
    destroy_after_days: u32,
    /// Days from the order of a destruction to the destruction; 7 if absent.
    #[serde(default)]
    destroy_delay_days: u32,
}

/// Lists the policies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPolicies {}

impl Operation for ListPolicies {
    type On = Unnamed;
    type Answer = Vec<PolicyView>;
    const NAME: &'static str = "policies.list";
    const ABOUT: &'static str = "List the policies";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/policies";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<PolicyView>, Failure> {
        let policies = desk.kms.lifecycle(desk.caller).policies()?;
        Ok(policies.into_iter().map(PolicyView).collect())
    }
}

/// Shows a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowPolicy {}

impl Operation for ShowPolicy {
    type On = Label;
    type Answer = PolicyView;
    const NAME: &'static str = "policies.show";
    const ABOUT: &'static str = "Show a policy";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/policies/{policy}";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, name: Label, desk: &Desk<'_>) -> Result<PolicyView, Failure> {
        let policies = desk.kms.lifecycle(desk.caller).policies()?;
        let found = policies.into_iter().find(|policy| policy.name.folded() == name.folded());
        found.map(PolicyView).ok_or_else(|| {
            let detail = format!("policy {name} is not here");
            Failure::new(Kind::NotFound, "policy_not_found", detail)
                .fix("see what is there: virtengine policy list")
        })
    }
}

/// Makes a policy, or replaces the one of its name; answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Policy, value_type = PolicyShape)]
pub struct SetPolicy(pub KeyLifecyclePolicy);

impl Operation for SetPolicy {
    type On = Unnamed;
    type Answer = PolicyView;
    const NAME: &'static str = "policies.set";
    const ABOUT: &'static str = "Make a policy, or replace the one of its name";
    const METHOD: Method = Method::Put;
    const ROUTE: &'static str = "/v1/policies";
    const NEEDS: Option<Permission> = Some(Permission::PolicyManage);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<PolicyView, Failure> {
        desk.kms.lifecycle(desk.caller).register_policy(self.0.clone())?;
        Ok(PolicyView(self.0))
    }
}

/// Removes a policy no key lives under.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovePolicy {}

impl Operation for RemovePolicy {
    type On = Label;
    type Answer = Done;
    const NAME: &'static str = "policies.remove";
    const ABOUT: &'static str = "Remove a policy no key lives under";
    const METHOD: Method = Method::Delete;
    const ROUTE: &'static str = "/v1/policies/{policy}";
    const NEEDS: Option<Permission> = Some(Permission::PolicyManage);

    fn carry_out(self, name: Label, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.lifecycle(desk.caller).remove_policy(&name)?;
        Ok(Done {})
    }
}
