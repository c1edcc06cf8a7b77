//! Permissions: a closed set of names, and sets of them.
//!
//! Decides which names exist and what one implies: `admin:*` implies every permission, nothing
//! else implies anything. There are no patterns: `admin:*` is one literal name, and `key:*` is an
//! unknown one. Never decides who holds what.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// What a principal may be allowed to do.
///
/// SPEC: "Permission Model" has the first fifteen; the rest are this product's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Permission {
    /// `key:create`: generate new keys.
    KeyCreate,
    /// `key:read`: view key metadata.
    KeyRead,
    /// `key:sign`: sign with keys.
    KeySign,
    /// `key:rotate`: rotate keys.
    KeyRotate,
    /// `key:backup`: create backups.
    KeyBackup,
    /// `key:restore`: restore from a backup.
    KeyRestore,
    /// `key:delete`: order a destruction, which waits out its delay and can be cancelled.
    KeyDelete,
    /// `hsm:access`: use HSM operations.
    HsmAccess,
    /// `multisig:initiate`: start multisig operations.
    MultisigInitiate,
    /// `multisig:sign`: add signatures.
    MultisigSign,
    /// `multisig:complete`: complete operations.
    MultisigComplete,
    /// `audit:read`: view the audit log.
    AuditRead,
    /// `audit:export`: export audit data.
    AuditExport,
    /// `policy:manage`: manage policies.
    PolicyManage,
    /// `admin:*`: all permissions.
    Admin,
    /// `key:import`: take in private keys from outside.
    KeyImport,
    /// `key:export`: let a private key out.
    KeyExport,
    /// `key:suspend`: stop a key, and return it to use.
    KeySuspend,
    /// `key:destroy`: destroy a private key at once.
    KeyDestroy,
    /// `key:sign_digest`: sign a digest the caller made, whose message nobody here saw.
    KeySignDigest,
    /// `hsm:manage`: initialise tokens and change what they hold.
    HsmManage,
    /// `multisig:manage`: make and change multisig keys.
    MultisigManage,
    /// `compromise:report`: report a compromise, which may suspend a key.
    CompromiseReport,
    /// `compromise:manage`: acknowledge and close incidents.
    CompromiseManage,
    /// `access:manage`: change principals and roles.
    AccessManage,
}

impl Permission {
    /// Every permission; the specification's fifteen first, in its order.
    pub const ALL: [Self; 25] = [
        Self::KeyCreate,
        Self::KeyRead,
        Self::KeySign,
        Self::KeyRotate,
        Self::KeyBackup,
        Self::KeyRestore,
        Self::KeyDelete,
        Self::HsmAccess,
        Self::MultisigInitiate,
        Self::MultisigSign,
        Self::MultisigComplete,
        Self::AuditRead,
        Self::AuditExport,
        Self::PolicyManage,
        Self::Admin,
        Self::KeyImport,
        Self::KeyExport,
        Self::KeySuspend,
        Self::KeyDestroy,
        Self::KeySignDigest,
        Self::HsmManage,
        Self::MultisigManage,
        Self::CompromiseReport,
        Self::CompromiseManage,
        Self::AccessManage,
    ];

    /// The name used in commands, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyCreate => "key:create",
            Self::KeyRead => "key:read",
            Self::KeySign => "key:sign",
            Self::KeyRotate => "key:rotate",
            Self::KeyBackup => "key:backup",
            Self::KeyRestore => "key:restore",
            Self::KeyDelete => "key:delete",
            Self::HsmAccess => "hsm:access",
            Self::MultisigInitiate => "multisig:initiate",
            Self::MultisigSign => "multisig:sign",
            Self::MultisigComplete => "multisig:complete",
            Self::AuditRead => "audit:read",
            Self::AuditExport => "audit:export",
            Self::PolicyManage => "policy:manage",
            Self::Admin => "admin:*",
            Self::KeyImport => "key:import",
            Self::KeyExport => "key:export",
            Self::KeySuspend => "key:suspend",
            Self::KeyDestroy => "key:destroy",
            Self::KeySignDigest => "key:sign_digest",
            Self::HsmManage => "hsm:manage",
            Self::MultisigManage => "multisig:manage",
            Self::CompromiseReport => "compromise:report",
            Self::CompromiseManage => "compromise:manage",
            Self::AccessManage => "access:manage",
        }
    }

    const fn bit(self) -> u32 {
        1 << (self as u8)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no permission; names are exact, and the only one with a star is `admin:*`")]
pub struct UnknownPermission(String);

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.name() == text)
            .ok_or_else(|| UnknownPermission(text.chars().take(40).collect()))
    }
}

impl Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of permissions; written as the list of their names in the order of [`Permission::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionSet(u32);

impl PermissionSet {
    /// The set of `permissions`.
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = permissions;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Whether this set grants `permission`: by name, or because it has `admin:*`.
    pub fn grants(self, permission: Permission) -> bool {
        self.0 & (permission.bit() | Permission::Admin.bit()) != 0
    }

    /// The members by name, in the order of [`Permission::ALL`]; `admin:*` stands for itself.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.0 & permission.bit() != 0)
    }

    /// Whether there are no members.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Vec::<Permission>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_names_are_read_back_and_bits_are_distinct() {
        for (index, permission) in Permission::ALL.into_iter().enumerate() {
            assert_eq!(permission.name().parse(), Ok(permission));
            assert_eq!(permission as usize, index);
        }
    }

    // Attack 7: wildcard tricks.
    #[test]
    fn wildcards_other_than_the_literal_admin_are_unknown_permissions() {
        for trick in ["key:*", "admin:x", "*", "*:*", "admin:", "admin:**", "ADMIN:*", " admin:*"] {
            assert!(trick.parse::<Permission>().is_err(), "{trick:?} was taken");
            let json = serde_json::to_string(&[trick]).unwrap();
            assert!(serde_json::from_str::<PermissionSet>(&json).is_err(), "{trick:?} was read");
        }
    }

    #[test]
    fn only_admin_implies_other_permissions() {
        for holder in Permission::ALL {
            for wanted in Permission::ALL {
                let expected = holder == wanted || holder == Permission::Admin;
                assert_eq!(PermissionSet::of(&[holder]).grants(wanted), expected);
            }
        }
    }

    #[test]
    fn permission_set_is_written_as_a_list_of_names() {
        let set = PermissionSet::of(&[Permission::KeySign, Permission::KeyRead]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["key:read","key:sign"]"#);
        assert_eq!(serde_json::from_str::<PermissionSet>(&json).unwrap(), set);
    }
}
