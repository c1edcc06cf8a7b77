//! [`AccessManager`]: principals, roles, credentials and sessions, for one caller.
//!
//! The access room decides; here its changes are made durable, with their record, before they are
//! applied, and the keystore's slots are kept in step with the passphrases.

use kms_secret::SecretBytes;

use crate::access;
use crate::access::Assignment;
use crate::access::Attestation;
use crate::access::Change;
use crate::access::ChangeRefused;
use crate::access::Changing;
use crate::access::Confirmed;
use crate::access::Credentials;
use crate::access::Enrolment;
use crate::access::PassphraseCredential;
use crate::access::Permission;
use crate::access::PermissionSet;
use crate::access::Principal;
use crate::access::PrincipalId;
use crate::access::PrincipalName;
use crate::access::Proven;
use crate::access::Role;
use crate::access::RoleName;
use crate::access::Session;
use crate::access::SessionTag;
use crate::access::Target;
use crate::audit::EventType;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::KeyManager;
use crate::manager::NewPrincipal;
use crate::manager::Refused;
use crate::manager::orders::Order;
use crate::manager::way::Way;
use crate::storage;
use crate::storage::NewSlot;
use crate::storage::SlotId;
use crate::storage::SlotKind;
use crate::storage::StorageError;
use crate::store::Document;
use crate::store::StoreError;
use crate::store::Transaction;

/// The specification's `AccessController`, for one caller.
#[derive(Debug)]
pub struct AccessManager<'a> {
    pub(crate) kms: &'a KeyManager,
    pub(crate) caller: &'a Caller,
}

impl Document for Principal {
    const KIND: &'static str = "principal";

    fn document_id(&self) -> String {
        self.id.to_string()
    }
}

impl Document for Credentials {
    const KIND: &'static str = "credentials";

    fn document_id(&self) -> String {
        self.principal.to_string()
    }
}

impl Document for Role {
    const KIND: &'static str = "role";

    fn document_id(&self) -> String {
        self.name.to_string()
    }
}

impl AccessManager<'_> {
    /// Makes a principal; durable on return. Gives it a slot of the keystore if asked to, or, if
    /// not said, when one of its roles makes or uses keys. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the name is taken, a role is unknown or holds more than the caller does, the passphrase
    /// is too weak, the keystore is sealed and a slot is wanted, or the caller may not.
    pub fn create_principal(
        &self,
        new: NewPrincipal,
        passphrase: &SecretBytes,
    ) -> Result<Principal, Error> {
        self.kms.operation(self.caller, EventType::PrincipalCreated, |way| {
            let id = PrincipalId::random()?;
            let by = self.may_manage(way, Target::Principal(id))?;
            let has_slot = new.slot.unwrap_or_else(|| self.uses_keys(&new.assignments));
            let order = Order::CreatePrincipal {
                name: new.name.clone(),
                kind: new.kind,
                roles: new.assignments.clone(),
                slot: new.slot,
            };
            let (credential, stretched) =
                PassphraseCredential::create(self.kms.access.stretcher(), passphrase)?;
            let wanted = access::NewPrincipal {
                id,
                name: new.name,
                kind: new.kind,
                passphrase: Some(credential),
                totp: None,
                has_slot,
            };
            let mut changing = self.kms.access.changing();
            let change = changing.create_principal(&by, (wanted, new.assignments), way.now)?;
            way.note("subject", id.to_string());
            way.note("slot", has_slot.to_string());
            let permit = self.kms.standing(way, &order, None)?.permit(way)?;
            if has_slot {
                _ = self.kms.add_slot(id, &stretched.unseal_key())?;
            }
            way.spend(permit);
            self.kms.change(way, &mut changing, &change)?;
            drop(changing);
            self.find(&id.to_string())
        })
    }

    /// All principals, by name. Needs `access:manage`.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn principals(&self) -> Result<Vec<Principal>, Error> {
        self.read(|| self.kms.access.principals())
    }

    /// One principal, by name or id. Needs `access:manage`.
    ///
    /// # Errors
    /// When there is none or the caller may not.
    pub fn principal(&self, name: &str) -> Result<Principal, Error> {
        self.read(|| self.find(name))?
    }

    /// Lets a disabled principal log in again. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// When there is none, it holds more than the caller, or the caller may not.
    pub fn enable(&self, name: &str) -> Result<Principal, Error> {
        let asks = |principal| Some(Order::EnablePrincipal { principal });
        self.alter((name, "enabled"), asks, |changing, by, id| changing.set_enabled(by, id, true))
    }

    /// Ends a principal's sessions and refuses its logins. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// As [`Self::enable`]; also when it is the last administrator.
    pub fn disable(&self, name: &str) -> Result<Principal, Error> {
        let freely = |_| None; // what takes rights away at once waits for nobody
        self.alter((name, "disabled"), freely, |changing, by, id| {
            changing.set_enabled(by, id, false)
        })
    }

    /// Gives a principal these roles and no others; its sessions end. Needs `access:manage` and
    /// fresh MFA.
    ///
    /// # Errors
    /// As [`Self::disable`]; also when a role is unknown or holds more than the caller does.
    pub fn set_roles(&self, name: &str, roles: Vec<Assignment>) -> Result<Principal, Error> {
        let asked = roles.clone();
        let asks = |principal| Some(Order::SetRoles { principal, roles: asked });
        self.alter((name, "roles"), asks, |changing, by, id| changing.set_roles(by, id, roles))
    }

    /// Says what a principal's connections may show in place of a passphrase; its sessions end. Needs
    /// `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// As [`Self::enable`]; also when one is another principal's.
    pub fn set_attestations(
        &self,
        name: &str,
        attested: Vec<Attestation>,
    ) -> Result<Principal, Error> {
        let asked = attested.clone();
        let asks = |principal| Some(Order::SetAttestations { principal, attested: asked });
        self.alter((name, "attestations"), asks, |changing, by, id| {
            changing.set_attestations(by, id, attested)
        })
    }

    /// Takes a principal's second factor away, so that a new one can be enrolled. Needs
    /// `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// As [`Self::enable`].
    pub fn reset_mfa(&self, name: &str) -> Result<Principal, Error> {
        let event = EventType::MfaReset;
        let asks = |principal| Some(Order::ResetMfa { principal });
        self.alter_as((event, name, "second factor"), asks, |changing, by, id| {
            changing.reset_mfa(by, id)
        })
    }

    /// Removes a principal and its slot; the keystore key is replaced, so that what it may have
    /// copied opens nothing new. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// As [`Self::disable`]; also when it has a slot and the keystore is sealed.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::PrincipalRemoved, |way| {
            let (subject, by) = self.subject(way, name)?;
            self.kms.may_remove_slots(subject.id)?;
            let mut changing = self.kms.access.changing();
            let change = changing.remove_principal(&by, subject.id)?;
            way.note("subject", subject.id.to_string());
            self.kms.change(way, &mut changing, &change)?;
            self.kms.remove_slots(subject.id, None)
        })
    }

    /// Gives another principal a new passphrase; its second factor and its sessions go. Needs
    /// `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// As [`Self::enable`]; also when the passphrase is too weak.
    pub fn reset_passphrase(&self, name: &str, new: &SecretBytes) -> Result<Principal, Error> {
        self.kms.operation(self.caller, EventType::PrincipalChanged, |way| {
            let (subject, by) = self.subject(way, name)?;
            let (credential, stretched) =
                PassphraseCredential::create(self.kms.access.stretcher(), new)?;
            let mut changing = self.kms.access.changing();
            let change = changing.reset_passphrase(&by, subject.id, credential)?;
            way.note("subject", subject.id.to_string());
            way.note("change", "passphrase reset");
            let order = Order::ResetPassphrase { principal: subject.id };
            let permit = self.kms.standing(way, &order, None)?.permit(way)?;
            way.spend(permit);
            let slot = subject.has_slot.then(|| stretched.unseal_key());
            self.kms.change_with_slot(way, &mut changing, (&change, subject.id, slot))?;
            drop(changing);
            self.find(name)
        })
    }

    /// Changes the caller's own passphrase; its sessions end. Needs the old one.
    ///
    /// # Errors
    /// When the old one is wrong, the new one too weak, or the keystore sealed.
    pub fn change_passphrase(&self, old: &SecretBytes, new: &SecretBytes) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::PrincipalChanged, |way| {
            let proven = self.prove(way, old)?;
            let mut changing = self.kms.access.changing();
            let (change, stretched) = changing.change_passphrase(&proven, new)?;
            let id = proven.proof().principal();
            way.note("subject", id.to_string());
            way.note("change", "passphrase");
            let has_slot = self.find(&id.to_string())?.has_slot;
            let slot = has_slot.then(|| stretched.unseal_key());
            self.kms.change_with_slot(way, &mut changing, (&change, id, slot))
        })
    }

    /// Enrols a second factor for the caller, or replaces it; needs the caller's passphrase, and,
    /// when there is one already, a code of it. The caller's sessions end.
    ///
    /// # Errors
    /// When the passphrase or the code is wrong.
    pub fn enroll_mfa(
        &self,
        passphrase: &SecretBytes,
        code: Option<&SecretBytes>,
    ) -> Result<Enrolment, Error> {
        self.kms.operation(self.caller, EventType::MfaEnrolled, |way| {
            let mut proven = self.prove(way, passphrase)?;
            let mut changing = self.kms.access.changing();
            if let Some(code) = code {
                let client = self.caller.client().shown();
                let at = self.kms.options.clock.now();
                let accepted = changing.accept_code(proven, (code, &client), at);
                let accepted = accepted.or_else(|error| {
                    self.kms.keep_lockouts()?;
                    Err(Error::from(error))
                })?;
                self.kms.store.transact("accept code", |tx| put_change(tx, accepted.change()))?;
                proven = changing.apply_code(accepted);
            }
            let (change, enrolment) = changing.enroll_mfa(&proven, way.now)?;
            way.note("subject", proven.proof().principal().to_string());
            self.kms.change(way, &mut changing, &change)?;
            Ok(enrolment)
        })
    }

    /// All roles, the built-in ones first. Needs a session and no permission: which roles there
    /// are is no secret among those who have one.
    ///
    /// # Errors
    /// When the caller has no session.
    pub fn roles(&self) -> Result<Vec<Role>, Error> {
        self.kms.operation(self.caller, EventType::AccessRead, |way| {
            way.note("read", "roles");
            Ok(self.kms.access.roles())
        })
    }

    /// Makes an own role or changes it. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the role is built in, empty, or holds what the caller does not.
    pub fn set_role(&self, name: RoleName, permissions: PermissionSet) -> Result<(), Error> {
        let role = Role::own(name.clone(), permissions);
        let order = Order::SetRole { role: role.clone() };
        self.alter_roles(&name, &order, |changing, by| changing.put_role(by, role))
    }

    /// Removes an own role nobody has. Needs `access:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the role is built in, unknown or in use.
    pub fn remove_role(&self, name: &RoleName) -> Result<(), Error> {
        let order = Order::RemoveRole { name: name.clone() };
        self.alter_roles(name, &order, |changing, by| changing.remove_role(by, name))
    }

    /// The sessions there are. Needs `access:manage`.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn sessions(&self) -> Result<Vec<std::sync::Arc<Session>>, Error> {
        self.read(|| self.kms.access.sessions())
    }

    /// Ends a session at once. Needs `access:manage`.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn end_session(&self, tag: SessionTag) -> Result<(), Error> {
        let way = self.kms.begin(self.caller, EventType::SessionEnded)?;
        match way.authorize(Permission::AccessManage, &Target::None) {
            Ok(_) => self.kms.end_sessions(way, &[tag]),
            Err(error) => Err(way.refuse(error)),
        }
    }

    /// Whether the caller holds a permission, for some keys at least.
    ///
    /// # Errors
    /// When not, or when the session is none.
    pub fn check_permission(&self, permission: Permission) -> Result<(), Error> {
        let now = self.kms.now()?;
        match self.kms.access.check_permission(&self.caller.presented(), permission, now) {
            Ok(()) => Ok(()),
            Err(access::CheckRefused::Session(refused)) => Err(refused.into()),
            Err(access::CheckRefused::Denied(denied)) => Err(denied.into()),
        }
    }

    fn may_manage(&self, way: &Way<'_>, target: Target<'_>) -> Result<Confirmed, Error> {
        way.confirm(way.authorize(Permission::AccessManage, &target)?)
    }

    /// Finds whom a change is about. Who may not manage principals does not learn who there is.
    fn subject(&self, way: &Way<'_>, name: &str) -> Result<(Principal, Confirmed), Error> {
        let Some(subject) = self.kms.access.principal(name) else {
            _ = self.may_manage(way, Target::None)?;
            return Err(Refused::PrincipalNotFound(name.to_owned()).into());
        };
        let by = self.may_manage(way, Target::Principal(subject.id))?;
        Ok((subject, by))
    }

    fn read<T>(&self, read: impl FnOnce() -> T) -> Result<T, Error> {
        self.kms.operation(self.caller, EventType::AccessRead, |way| {
            way.note("read", "principals");
            _ = way.authorize(Permission::AccessManage, &Target::None)?;
            Ok(read())
        })
    }

    fn alter(
        &self,
        (name, what): (&str, &str),
        asks: impl FnOnce(PrincipalId) -> Option<Order>,
        decide: impl FnOnce(&Changing<'_>, &Confirmed, PrincipalId) -> Result<Change, ChangeRefused>,
    ) -> Result<Principal, Error> {
        self.alter_as((EventType::PrincipalChanged, name, what), asks, decide)
    }

    fn alter_as(
        &self,
        (event, name, what): (EventType, &str, &str),
        asks: impl FnOnce(PrincipalId) -> Option<Order>,
        decide: impl FnOnce(&Changing<'_>, &Confirmed, PrincipalId) -> Result<Change, ChangeRefused>,
    ) -> Result<Principal, Error> {
        self.kms.operation(self.caller, event, |way| {
            let (subject, by) = self.subject(way, name)?;
            let mut changing = self.kms.access.changing();
            let change = decide(&changing, &by, subject.id)?;
            way.note("subject", subject.id.to_string());
            way.note("change", what);
            if let Some(order) = asks(subject.id) {
                let permit = self.kms.standing(way, &order, None)?.permit(way)?;
                way.spend(permit);
            }
            self.kms.change(way, &mut changing, &change)?;
            drop(changing);
            self.find(name)
        })
    }

    fn alter_roles(
        &self,
        name: &RoleName,
        order: &Order,
        decide: impl FnOnce(&Changing<'_>, &Confirmed) -> Result<Change, ChangeRefused>,
    ) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::RoleChanged, |way| {
            let by = self.may_manage(way, Target::None)?;
            let mut changing = self.kms.access.changing();
            let change = decide(&changing, &by)?;
            way.note("role", name.to_string());
            let permit = self.kms.standing(way, order, None)?.permit(way)?;
            way.spend(permit);
            self.kms.change(way, &mut changing, &change)
        })
    }

    fn prove(&self, way: &Way<'_>, passphrase: &SecretBytes) -> Result<Proven, Error> {
        let name = way.who.principal().to_string();
        let client = self.caller.client().shown();
        let proven =
            self.kms.access.prove(&access::Login { name: &name, passphrase, client }, way.now);
        proven.or_else(|error| {
            self.kms.keep_lockouts()?;
            Err(error.into())
        })
    }

    fn find(&self, name: &str) -> Result<Principal, Error> {
        let unknown = || Refused::PrincipalNotFound(name.to_owned());
        Ok(self.kms.access.principal(name).ok_or_else(unknown)?)
    }

    fn uses_keys(&self, assignments: &[Assignment]) -> bool {
        const USES: [Permission; 4] = [
            Permission::KeyCreate,
            Permission::KeySign,
            Permission::KeyRotate,
            Permission::KeyImport,
        ];
        let roles = self.kms.access.roles();
        let uses = |role: &Role| USES.iter().any(|permission| role.permissions.grants(*permission));
        let named = |name: &RoleName| roles.iter().find(|role| role.name == *name);
        assignments.iter().filter_map(|given| named(&given.role)).any(uses)
    }
}

impl KeyManager {
    /// The only administrator, for whom nobody has to say who they are.
    pub fn default_principal(&self) -> Option<PrincipalName> {
        let admin = RoleName::admin();
        let mut admins = self.access.principals().into_iter().filter(|principal| {
            principal.enabled && principal.assignments.iter().any(|given| given.role == admin)
        });
        let first = admins.next()?;
        admins.next().is_none().then_some(first.name)
    }

    /// Stores a change with its record, then applies it.
    fn change(
        &self,
        way: &mut Way<'_>,
        changing: &mut Changing<'_>,
        change: &Change,
    ) -> Result<(), Error> {
        way.commit("change access", |tx| put_change(tx, change))?;
        changing.apply(change);
        Ok(())
    }

    /// Stores a change of a passphrase between adding the new slot and removing the old ones: at
    /// every instant a passphrase that logs in opens the keystore.
    fn change_with_slot(
        &self,
        way: &mut Way<'_>,
        changing: &mut Changing<'_>,
        (change, id, seed): (&Change, PrincipalId, Option<SecretBytes>),
    ) -> Result<(), Error> {
        let slot = match &seed {
            Some(seed) => Some(self.add_slot(id, seed)?),
            None => None,
        };
        self.change(way, changing, change)?;
        self.remove_slots(id, slot)
    }

    fn add_slot(&self, id: PrincipalId, seed: &SecretBytes) -> Result<SlotId, Error> {
        let principal = id.to_string();
        let new =
            NewSlot { kind: SlotKind::Passphrase, principal: &principal, seed, wrapped: None };
        Ok(self.keystore.add_slot(new)?)
    }

    /// Refuses what would leave a slot behind.
    fn may_remove_slots(&self, id: PrincipalId) -> Result<(), Error> {
        let principal = id.to_string();
        let has_one = self.keystore.slots().iter().any(|slot| slot.principal == principal);
        if has_one && self.keystore.is_sealed() {
            return Err(Error::from(StorageError::from(storage::Refused::Locked)));
        }
        Ok(())
    }

    fn remove_slots(&self, id: PrincipalId, but: Option<SlotId>) -> Result<(), Error> {
        let principal = id.to_string();
        let slots = self.keystore.slots();
        let gone = slots.iter().filter(|slot| slot.principal == principal && Some(slot.id) != but);
        let mut removed = false;
        for slot in gone {
            _ = self.keystore.remove_slot(slot.id)?;
            removed = true;
        }
        if removed { self.keep_generation() } else { Ok(()) }
    }
}

/// Stores a change of the access room.
pub(crate) fn put_change(tx: &mut Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::PutPrincipal { principal, credentials } => {
            tx.put(principal)?;
            tx.put(credentials)
        }
        Change::PutCredentials(credentials) => tx.put(credentials),
        Change::RemovePrincipal(id) => {
            tx.delete::<Principal>(&id.to_string())?;
            tx.delete::<Credentials>(&id.to_string()).map(|_| ())
        }
        Change::PutRole(role) => tx.put(role),
        Change::RemoveRole(name) => tx.delete::<Role>(name.as_str()).map(|_| ()),
    }
}
