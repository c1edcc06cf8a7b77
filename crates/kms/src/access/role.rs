//! Roles: named sets of permissions.
//!
//! Decides which roles exist. The built-in ones come from this file and nowhere else: they are
//! never stored, changed or removed. Never decides who may make a role ([`crate::access::Changing`]
//! does).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::access::Permission;
use crate::access::PermissionSet;

/// The built-in roles. SPEC: "Default Roles" has the first four.
const BUILTIN: [(&str, PermissionSet); 5] = [
    ("admin", PermissionSet::of(&[Permission::Admin])),
    (
        "operator",
        PermissionSet::of(&[
            Permission::KeyCreate,
            Permission::KeyRead,
            Permission::KeySign,
            Permission::KeyRotate,
            Permission::HsmAccess,
        ]),
    ),
    (
        "auditor",
        PermissionSet::of(&[Permission::KeyRead, Permission::AuditRead, Permission::AuditExport]),
    ),
    (
        "signer",
        PermissionSet::of(&[Permission::KeyRead, Permission::KeySign, Permission::MultisigSign]),
    ),
    // Who may stop a key at three in the morning without being able to use it.
    (
        "responder",
        PermissionSet::of(&[
            Permission::KeyRead,
            Permission::KeySuspend,
            Permission::CompromiseReport,
            Permission::CompromiseManage,
        ]),
    ),
];

/// Names a role: 1 to 32 lower-case ASCII letters, digits, `-` and `_`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleName(Box<str>);

impl RoleName {
    /// The built-in role that holds `admin:*`.
    pub fn admin() -> Self {
        Self("admin".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot name a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role name: 1 to 32 lower-case letters, digits, - and _, first a letter")]
pub struct InvalidRoleName(String);

impl FromStr for RoleName {
    type Err = InvalidRoleName;

    fn from_str(text: &str) -> Result<Self, InvalidRoleName> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let fits = text.len() <= 32
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(allowed);
        fits.then(|| Self(text.into()))
            .ok_or_else(|| InvalidRoleName(text.chars().take(40).collect()))
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name, unique.
    pub name: RoleName,
    /// What it grants.
    pub permissions: PermissionSet,
    /// Whether it comes with the product; such a role is never stored.
    pub builtin: bool,
}

impl Role {
    /// A role of one's own.
    pub fn own(name: RoleName, permissions: PermissionSet) -> Self {
        Self { name, permissions, builtin: false }
    }
}

/// Why a role cannot stand among the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRole {
    /// Its name belongs to a built-in role, or it claims to be one.
    #[error("role `{0}` is built in and cannot be changed or removed")]
    Builtin(RoleName),
    /// It grants nothing.
    #[error("role `{0}` has no permissions")]
    Empty(RoleName),
    /// It stands there twice.
    #[error("role `{0}` is stored twice")]
    Twice(RoleName),
}

/// Every role there is: the built-in ones, always, and one's own.
#[derive(Debug, Clone)]
pub struct Roles(BTreeMap<RoleName, Role>);

impl Roles {
    /// The built-in roles and `own`, as read from the store.
    ///
    /// # Errors
    ///
    /// A stored role that claims a built-in name, is empty, or stands there twice.
    pub fn new(own: Vec<Role>) -> Result<Self, InvalidRole> {
        let mut roles = Self::builtin();
        for role in own {
            roles.admit(&role)?;
            if roles.0.contains_key(&role.name) {
                return Err(InvalidRole::Twice(role.name));
            }
            roles.put(role);
        }
        Ok(roles)
    }

    /// The role called `name`.
    pub fn find(&self, name: &RoleName) -> Option<&Role> {
        self.0.get(name)
    }

    /// Every role, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.values()
    }

    /// The names of the roles that grant `permission`.
    pub fn granting(&self, permission: Permission) -> Vec<RoleName> {
        let granting = self.iter().filter(|role| role.permissions.grants(permission));
        granting.map(|role| role.name.clone()).collect()
    }

    /// Whether `role` may be made or may replace the one of its name.
    ///
    /// # Errors
    ///
    /// [`InvalidRole::Builtin`], [`InvalidRole::Empty`].
    pub fn admit(&self, role: &Role) -> Result<(), InvalidRole> {
        if role.builtin || self.is_builtin(&role.name) {
            return Err(InvalidRole::Builtin(role.name.clone()));
        }
        if role.permissions.is_empty() {
            return Err(InvalidRole::Empty(role.name.clone()));
        }
        Ok(())
    }

    /// Whether `name` belongs to a built-in role.
    pub fn is_builtin(&self, name: &RoleName) -> bool {
        self.find(name).is_some_and(|role| role.builtin)
    }

    pub(in crate::access) fn put(&mut self, role: Role) {
        self.0.insert(role.name.clone(), role);
    }

    pub(in crate::access) fn remove(&mut self, name: &RoleName) {
        self.0.remove(name);
    }

    fn builtin() -> Self {
        let role = |(name, permissions): (&str, PermissionSet)| {
            let name = RoleName(name.into());
            (name.clone(), Role { name, permissions, builtin: true })
        };
        Self(BUILTIN.into_iter().map(role).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's table and ours: one row per permission, one column per role.
    const TABLE: &str = "\
permission         admin auditor operator responder signer
key:create         x     .       x        .         .
key:read           x     x       x        x         x
key:sign           x     .       x        .         x
key:rotate         x     .       x        .         .
key:backup         x     .       .        .         .
key:restore        x     .       .        .         .
key:delete         x     .       .        .         .
hsm:access         x     .       x        .         .
multisig:initiate  x     .       .        .         .
multisig:sign      x     .       .        .         x
multisig:complete  x     .       .        .         .
audit:read         x     x       .        .         .
audit:export       x     x       .        .         .
policy:manage      x     .       .        .         .
admin:*            x     .       .        .         .
key:import         x     .       .        .         .
key:export         x     .       .        .         .
key:suspend        x     .       .        x         .
key:destroy        x     .       .        .         .
key:sign_digest    x     .       .        .         .
hsm:manage         x     .       .        .         .
multisig:manage    x     .       .        .         .
compromise:report  x     .       .        x         .
compromise:manage  x     .       .        x         .
access:manage      x     .       .        .         .
";

    #[test]
    fn builtin_roles_grant_exactly_the_table() {
        let roles = Roles::new(Vec::new()).unwrap();
        let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
        let mut table = format!("{:19}{}\n", "permission", names.join(" "));
        for permission in Permission::ALL {
            let mark = |role: &Role| if role.permissions.grants(permission) { "x" } else { "." };
            let cells = roles.iter().map(|role| format!("{:1$}", mark(role), role.name.0.len()));
            let row = format!("{permission:19}{}", cells.collect::<Vec<_>>().join(" "));
            table.push_str(row.trim_end());
            table.push('\n');
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn stored_roles_cannot_pose_as_builtin_ones() {
        let all = PermissionSet::of(&[Permission::Admin]);
        let auditor = Role::own("auditor".parse().unwrap(), all);
        assert!(matches!(Roles::new(vec![auditor]), Err(InvalidRole::Builtin(_))));
        let posing = Role { name: "mine".parse().unwrap(), permissions: all, builtin: true };
        assert!(matches!(Roles::new(vec![posing]), Err(InvalidRole::Builtin(_))));
        let empty = Role::own("mine".parse().unwrap(), PermissionSet::default());
        assert!(matches!(Roles::new(vec![empty]), Err(InvalidRole::Empty(_))));
    }

    #[test]
    fn role_names_have_one_spelling() {
        for bad in ["", "Admin", "admin ", "-a", "1a", "a*", "a:b", &"a".repeat(33)] {
            assert!(bad.parse::<RoleName>().is_err(), "{bad:?} was taken");
        }
    }
}
