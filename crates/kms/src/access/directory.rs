//! The directory: principals, their credentials and the roles, as one value.
//!
//! A pure value: a change is tried on a copy first, so that no rule about the whole (there is an
//! admin; names are unique) can be broken by a change that looks harmless by itself.

use std::collections::HashMap;

use crate::access::AccessFault;
use crate::access::Assignment;
use crate::access::Change;
use crate::access::Credentials;
use crate::access::Permission;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::Proof;
use crate::access::Role;
use crate::access::Roles;
use crate::access::Scope;
use crate::access::Session;

/// Principals, credentials and roles.
#[derive(Debug, Clone)]
pub(in crate::access) struct Directory {
    principals: HashMap<PrincipalId, Principal>,
    credentials: HashMap<PrincipalId, Credentials>,
    ids_by_name: HashMap<String, PrincipalId>,
    roles: Roles,
}

impl Directory {
    /// The directory as stored.
    pub(in crate::access) fn load(
        principals: Vec<Principal>,
        credentials: Vec<Credentials>,
        own_roles: Vec<Role>,
    ) -> Result<Self, AccessFault> {
        let mut directory = Self {
            principals: HashMap::new(),
            credentials: HashMap::new(),
            ids_by_name: HashMap::new(),
            roles: Roles::new(own_roles)?,
        };
        for principal in principals {
            directory.load_principal(principal)?;
        }
        for credentials in credentials {
            directory.load_credentials(credentials)?;
        }
        directory.check_every_principal_has_credentials()?;
        Ok(directory)
    }

    pub(in crate::access) fn roles(&self) -> &Roles {
        &self.roles
    }

    pub(in crate::access) fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.principals.values()
    }

    pub(in crate::access) fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        self.principals.get(&id)
    }

    pub(in crate::access) fn credentials(&self, id: PrincipalId) -> Option<&Credentials> {
        self.credentials.get(&id)
    }

    /// The principal of this name, in whichever letter case, or of this id.
    pub(in crate::access) fn resolve(&self, name_or_id: &str) -> Option<&Principal> {
        let by_name = || self.ids_by_name.get(&name_or_id.to_ascii_lowercase()).copied();
        self.principal(name_or_id.parse().ok().or_else(by_name)?)
    }

    /// Who a session belongs to, if that principal is enabled and unchanged since.
    pub(in crate::access) fn of_session(&self, session: &Session) -> Option<&Principal> {
        self.principal(session.principal).filter(|principal| {
            principal.enabled && principal.credential_version == session.credential_version
        })
    }

    /// Who proved themselves, if that principal is enabled and unchanged since.
    pub(in crate::access) fn of_proof(&self, proof: &Proof) -> Option<&Principal> {
        self.principal(proof.principal).filter(|principal| {
            principal.enabled && principal.credential_version == proof.credential_version
        })
    }

    /// Whether an assignment's role grants `permission`; an unknown role grants nothing.
    pub(in crate::access) fn grants(
        &self,
        assignment: &Assignment,
        permission: Permission,
    ) -> bool {
        let role = self.roles.find(&assignment.role);
        role.is_some_and(|role| role.permissions.grants(permission))
    }

    /// Whether `holder` holds all that `given` would give: each permission of its role by one
    /// assignment that covers its whole scope.
    pub(in crate::access) fn holds(&self, holder: &Principal, given: &Assignment) -> bool {
        let Some(role) = self.roles.find(&given.role) else { return false };
        role.permissions.iter().all(|permission| self.holds_in(holder, permission, &given.scope))
    }

    /// Whether `holder` holds `permission` for every key in `scope`, by one assignment.
    pub(in crate::access) fn holds_in(
        &self,
        holder: &Principal,
        permission: Permission,
        scope: &Scope,
    ) -> bool {
        holder.assignments.iter().any(|assignment| {
            self.grants(assignment, permission) && assignment.scope.includes(scope)
        })
    }

    /// Whether any enabled principal holds everything, everywhere.
    pub(in crate::access) fn has_admin(&self) -> bool {
        self.principals().any(|principal| {
            principal.enabled && self.holds_in(principal, Permission::Admin, &Scope::All)
        })
    }

    /// Makes a change that was decided before.
    pub(in crate::access) fn apply(&mut self, change: &Change) {
        match change {
            Change::PutPrincipal { principal, credentials } => {
                self.forget_name(principal.id);
                self.ids_by_name.insert(principal.name.folded(), principal.id);
                self.credentials.insert(principal.id, credentials.clone());
                self.principals.insert(principal.id, principal.clone());
            }
            Change::PutCredentials(credentials) => {
                self.credentials.insert(credentials.principal, credentials.clone());
            }
            Change::RemovePrincipal(id) => {
                self.forget_name(*id);
                self.credentials.remove(id);
                self.principals.remove(id);
            }
            Change::PutRole(role) => self.roles.put(role.clone()),
            Change::RemoveRole(name) => self.roles.remove(name),
        }
    }

    fn forget_name(&mut self, id: PrincipalId) {
        if let Some(principal) = self.principals.get(&id) {
            self.ids_by_name.remove(&principal.name.folded());
        }
    }

    fn load_principal(&mut self, principal: Principal) -> Result<(), AccessFault> {
        let id = principal.id;
        for assignment in &principal.assignments {
            if self.roles.find(&assignment.role).is_none() {
                let role = assignment.role.clone();
                return Err(AccessFault::UnknownRole { principal: id, role });
            }
        }
        let same_name = self.ids_by_name.insert(principal.name.folded(), id);
        let same_id = self.principals.insert(id, principal);
        if same_name.is_some() || same_id.is_some() {
            return Err(AccessFault::DuplicatePrincipal(id));
        }
        Ok(())
    }

    fn load_credentials(&mut self, credentials: Credentials) -> Result<(), AccessFault> {
        let id = credentials.principal;
        let is_twice = self.credentials.insert(id, credentials).is_some();
        if is_twice || !self.principals.contains_key(&id) {
            return Err(AccessFault::StrayCredentials(id));
        }
        Ok(())
    }

    fn check_every_principal_has_credentials(&self) -> Result<(), AccessFault> {
        let without = self.principals.keys().find(|id| !self.credentials.contains_key(id));
        without.map_or(Ok(()), |id| Err(AccessFault::StrayCredentials(*id)))
    }
}
