//! Principals and their credentials.

use std::borrow::Cow;

use kms::access::Assignment;
use kms::access::Attestation;
use kms::access::Permission;
use kms::access::Principal;
use kms::access::PrincipalKind;
use kms::access::PrincipalName;
use kms::manager::NewPrincipal;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;

use crate::Desk;
use crate::Done;
use crate::Effect;
use crate::Failure;
use crate::Method;
use crate::Operation;
use crate::Secret;
use crate::Unnamed;
use crate::schema::AttestationText;
use crate::schema::KeyIdText;
use crate::schema::KindName;
use crate::schema::LabelText;
use crate::schema::Moment;
use crate::schema::PrincipalIdText;
use crate::schema::PurposeName;
use crate::schema::RoleNameText;

/// A principal as programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Principal)]
pub struct PrincipalView {
    /// One principal for ever.
    #[schema(value_type = PrincipalIdText)]
    pub id: String,
    /// What people call it.
    #[schema(value_type = LabelText)]
    pub name: PrincipalName,
    /// A person or a program.
    #[schema(value_type = KindName)]
    pub kind: PrincipalKind,
    /// What it holds.
    #[schema(value_type = Vec<AssignmentShape>)]
    pub roles: Vec<Assignment>,
    /// Whether it may log in and act.
    pub enabled: bool,
    /// Whether its passphrase also opens the keystore.
    pub slot: bool,
    /// When it was made.
    #[schema(value_type = Moment)]
    pub created_at: Timestamp,
}

/// One role over some keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Assignment)]
#[serde(deny_unknown_fields)]
struct AssignmentShape {
    /// The role.
    #[schema(value_type = RoleNameText)]
    role: String,
    /// The keys.
    scope: ScopeShape,
}

/// Every key and everything else, or some keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "a schema and nothing else")]
pub(crate) enum ScopeShape {
    /// Everything.
    All,
    /// Keys that every list which is not empty holds.
    Only(SelectionShape),
}

/// Keys chosen by id, label and purpose; one list at least is not empty.
#[derive(Serialize, Deserialize, Default, ToSchema)]
#[schema(as = Selection)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SelectionShape {
    /// Ids.
    #[schema(value_type = Vec<KeyIdText>, max_items = 256)]
    keys: Vec<String>,
    /// Labels, with `*` and `?`.
    #[schema(max_items = 256)]
    labels: Vec<String>,
    /// Purposes.
    #[schema(value_type = Vec<PurposeName>, max_items = 256)]
    purposes: Vec<String>,
}

impl From<Principal> for PrincipalView {
    fn from(principal: Principal) -> Self {
        Self {
            id: principal.id.to_string(),
            name: principal.name,
            kind: principal.kind,
            roles: principal.assignments,
            enabled: principal.enabled,
            slot: principal.has_slot,
            created_at: principal.created_at,
        }
    }
}

/// Makes a principal.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePrincipal {
    /// Its name.
    #[schema(value_type = LabelText)]
    pub name: PrincipalName,
    /// A person or a program; a person if absent.
    #[serde(default = "user")]
    #[schema(value_type = KindName, required = false)]
    pub kind: PrincipalKind,
    /// Its roles.
    #[schema(value_type = Vec<AssignmentShape>)]
    pub roles: Vec<Assignment>,
    /// Whether its passphrase opens the keystore, too; where a role uses keys, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<bool>,
    /// Its passphrase.
    pub passphrase: Secret,
}

fn user() -> PrincipalKind {
    PrincipalKind::User
}

impl Operation for CreatePrincipal {
    type On = Unnamed;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.create";
    const ABOUT: &'static str = "Add a principal";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/principals";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);
    const EFFECT: Effect = Effect::Secret;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        let Self { name, kind, roles, slot, passphrase } = self;
        let new = NewPrincipal { name, kind, assignments: roles, slot };
        Ok(desk.kms.access(desk.caller).create_principal(new, &passphrase.0)?.into())
    }
}

/// Lists the principals.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPrincipals {}

impl Operation for ListPrincipals {
    type On = Unnamed;
    type Answer = Vec<PrincipalView>;
    const NAME: &'static str = "principals.list";
    const ABOUT: &'static str = "List the principals";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/principals";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<PrincipalView>, Failure> {
        let principals = desk.kms.access(desk.caller).principals()?;
        Ok(principals.into_iter().map(PrincipalView::from).collect())
    }
}

/// Shows a principal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowPrincipal {}

impl Operation for ShowPrincipal {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.show";
    const ABOUT: &'static str = "Show a principal";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/principals/{principal}";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        Ok(desk.kms.access(desk.caller).principal(name.as_str())?.into())
    }
}

/// Stops a principal; its sessions end at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisablePrincipal {}

impl Operation for DisablePrincipal {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.disable";
    const ABOUT: &'static str = "Stop a principal; its sessions end at once";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/principals/{principal}/disable";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        Ok(desk.kms.access(desk.caller).disable(name.as_str())?.into())
    }
}

/// Lets a principal in again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnablePrincipal {}

impl Operation for EnablePrincipal {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.enable";
    const ABOUT: &'static str = "Let a principal in again";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/principals/{principal}/enable";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        Ok(desk.kms.access(desk.caller).enable(name.as_str())?.into())
    }
}

/// Removes a principal for good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovePrincipal {}

impl Operation for RemovePrincipal {
    type On = PrincipalName;
    type Answer = Done;
    const NAME: &'static str = "principals.remove";
    const ABOUT: &'static str = "Remove a principal for good";
    const METHOD: Method = Method::Delete;
    const ROUTE: &'static str = "/v1/principals/{principal}";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.access(desk.caller).remove(name.as_str())?;
        Ok(Done {})
    }
}

/// Replaces the roles of a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// Its roles from now on.
    #[schema(value_type = Vec<AssignmentShape>)]
    pub roles: Vec<Assignment>,
}

impl Operation for SetRoles {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.set_roles";
    const ABOUT: &'static str = "Replace the roles of a principal";
    const METHOD: Method = Method::Put;
    const ROUTE: &'static str = "/v1/principals/{principal}/roles";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        Ok(desk.kms.access(desk.caller).set_roles(name.as_str(), self.roles)?.into())
    }
}

/// Says what a principal's connections may show in place of a passphrase; its sessions end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAttestations {
    /// `uid:NUMBER` for a user on the local socket, `cert:` and the SHA-256 of a certificate's DER.
    #[schema(value_type = Vec<AttestationText>, max_items = 8)]
    pub attestations: Vec<Attestation>,
}

impl Operation for SetAttestations {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.set_attestations";
    const ABOUT: &'static str =
        "Say what a principal's connections may show in place of a passphrase";
    const METHOD: Method = Method::Put;
    const ROUTE: &'static str = "/v1/principals/{principal}/attestations";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        let access = desk.kms.access(desk.caller);
        Ok(access.set_attestations(name.as_str(), self.attestations)?.into())
    }
}

/// Gives another principal a new passphrase; its second factor and its sessions go.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassphrase {
    /// The new passphrase.
    pub new: Secret,
}

impl Operation for ResetPassphrase {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.reset_passphrase";
    const ABOUT: &'static str = "Give another principal a new passphrase";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/principals/{principal}/passphrase";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);
    const EFFECT: Effect = Effect::Secret;

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        let access = desk.kms.access(desk.caller);
        Ok(access.reset_passphrase(name.as_str(), &self.new.0)?.into())
    }
}

/// Takes the second factor of a principal away, so that it can enrol another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetMfa {}

impl Operation for ResetMfa {
    type On = PrincipalName;
    type Answer = PrincipalView;
    const NAME: &'static str = "principals.reset_mfa";
    const ABOUT: &'static str = "Take the authenticator of a principal away";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/principals/{principal}/reset-mfa";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: PrincipalName, desk: &Desk<'_>) -> Result<PrincipalView, Failure> {
        Ok(desk.kms.access(desk.caller).reset_mfa(name.as_str())?.into())
    }
}

/// Changes the caller's own passphrase; its sessions end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassphrase {
    /// The present passphrase.
    pub old: Secret,
    /// The new one.
    pub new: Secret,
}

impl Operation for ChangePassphrase {
    type On = Unnamed;
    type Answer = Done;
    const NAME: &'static str = "self.change_passphrase";
    const ABOUT: &'static str = "Change your own passphrase; your sessions end";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/self/passphrase";
    const NEEDS: Option<Permission> = None;
    const EFFECT: Effect = Effect::Secret;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.access(desk.caller).change_passphrase(&self.old.0, &self.new.0)?;
        Ok(Done {})
    }
}

/// Enrols a second factor for the caller, or replaces it; its sessions end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollMfa {
    /// The caller's passphrase.
    pub passphrase: Secret,
    /// A code of the second factor that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Secret>,
}

/// A second factor that was enrolled; shown once.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The `otpauth://totp/…` address an authenticator app reads.
    pub uri: Secret,
    /// Codes that each stand in for the second factor once.
    pub recovery_codes: Vec<Secret>,
}

/// How an enrolment looks in JSON: its secrets are read, not written.
#[derive(Serialize, ToSchema)]
struct EnrolledShape {
    /// The `otpauth://totp/…` address an authenticator app reads.
    uri: String,
    /// Codes that each stand in for the second factor once.
    recovery_codes: Vec<String>,
}

impl PartialSchema for Enrolled {
    fn schema() -> RefOr<Schema> {
        EnrolledShape::schema()
    }
}

impl ToSchema for Enrolled {
    fn name() -> Cow<'static, str> {
        "Enrolled".into()
    }
}

impl Operation for EnrollMfa {
    type On = Unnamed;
    type Answer = Enrolled;
    const NAME: &'static str = "self.enroll_mfa";
    const ABOUT: &'static str =
        "Enrol an authenticator; answers its address and recovery codes once";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/self/mfa";
    const NEEDS: Option<Permission> = None;
    const EFFECT: Effect = Effect::Secret;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Enrolled, Failure> {
        let code = self.code.as_ref().map(|code| &code.0);
        let enrolment = desk.kms.access(desk.caller).enroll_mfa(&self.passphrase.0, code)?;
        Ok(Enrolled {
            uri: Secret(enrolment.uri),
            recovery_codes: enrolment.recovery_codes.into_iter().map(Secret).collect(),
        })
    }
}
