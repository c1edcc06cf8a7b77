//! Roles.

use kms::access::Permission;
use kms::access::PermissionSet;
use kms::access::Role;
use kms::access::RoleName;
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
use crate::schema::PermissionName;

/// A role as programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Role)]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// What it grants.
    #[schema(value_type = Vec<PermissionName>)]
    pub permissions: Vec<String>,
    /// Whether it comes with the product.
    pub builtin: bool,
}

impl RoleView {
    fn new(role: &Role) -> Self {
        Self {
            name: role.name.to_string(),
            permissions: role.permissions.iter().map(|p| p.name().to_owned()).collect(),
            builtin: role.builtin,
        }
    }
}

/// Lists the roles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRoles {}

impl Operation for ListRoles {
    type On = Unnamed;
    type Answer = Vec<RoleView>;
    const NAME: &'static str = "roles.list";
    const ABOUT: &'static str = "List the roles";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/roles";
    const NEEDS: Option<Permission> = None;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<RoleView>, Failure> {
        Ok(desk.kms.access(desk.caller).roles()?.iter().map(RoleView::new).collect())
    }
}

/// Shows a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowRole {}

impl Operation for ShowRole {
    type On = RoleName;
    type Answer = RoleView;
    const NAME: &'static str = "roles.show";
    const ABOUT: &'static str = "Show a role";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/roles/{role}";
    const NEEDS: Option<Permission> = None;

    fn carry_out(self, name: RoleName, desk: &Desk<'_>) -> Result<RoleView, Failure> {
        let roles = desk.kms.access(desk.caller).roles()?;
        let found = roles.iter().find(|role| role.name == name);
        found.map(RoleView::new).ok_or_else(|| {
            let detail = format!("role {name} is not here");
            Failure::new(Kind::NotFound, "role_not_found", detail)
                .fix("see what is there: virtengine role list")
        })
    }
}

/// Makes a role, or replaces its permissions; answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// What it grants.
    #[schema(value_type = Vec<PermissionName>)]
    pub permissions: Vec<Permission>,
}

impl Operation for SetRole {
    type On = RoleName;
    type Answer = RoleView;
    const NAME: &'static str = "roles.set";
    const ABOUT: &'static str = "Make a role, or replace its permissions";
    const METHOD: Method = Method::Put;
    const ROUTE: &'static str = "/v1/roles/{role}";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: RoleName, desk: &Desk<'_>) -> Result<RoleView, Failure> {
        let permissions = PermissionSet::of(&self.permissions);
        desk.kms.access(desk.caller).set_role(name.clone(), permissions)?;
        Ok(RoleView::new(&Role::own(name, permissions)))
    }
}

/// Removes a role nobody has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRole {}

impl Operation for RemoveRole {
    type On = RoleName;
    type Answer = Done;
    const NAME: &'static str = "roles.remove";
    const ABOUT: &'static str = "Remove a role nobody has";
    const METHOD: Method = Method::Delete;
    const ROUTE: &'static str = "/v1/roles/{role}";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, name: RoleName, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.access(desk.caller).remove_role(&name)?;
        Ok(Done {})
    }
}
