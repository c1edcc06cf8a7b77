//! Approval rules, and carrying out what they made wait.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::access::Permission;
use crate::access::Scope;
use crate::access::Target;
use crate::audit::EventType;
use crate::key::Label;
use crate::key::Scheme;
use crate::manager::Error;
use crate::manager::MultiSigManager;
use crate::manager::Refused;
use crate::manager::Signed;
use crate::manager::agreed::Completed;
use crate::manager::agreed::completed;
use crate::manager::approvals::Circumstances;
use crate::manager::orders::Order;
use crate::multisig;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::OperationId;

/// An approval rule that is wanted.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// Its name.
    pub name: Label,
    /// Which acts wait.
    pub acts: BTreeSet<ActKind>,
    /// Of which keys.
    pub scope: Scope,
    /// Whose approval: label or id of a multi-signature key.
    pub quorum: String,
    /// Whether whoever asks may be among those who approve.
    pub initiator_counts: bool,
}

impl MultiSigManager<'_> {
    /// The approval rules, by name.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub fn approval_rules(&self) -> Result<Vec<ApprovalRule>, Error> {
        self.look(|_| Ok(self.kms.rules().to_vec()))
    }

    /// Sets an approval rule, new or in place of the one of that name; durable on return. To change
    /// one, its own quorum has to approve.
    ///
    /// Needs `policy:manage` and fresh MFA.
    ///
    /// # Errors
    /// [`Refused::ApprovalAwaited`]; when the quorum could not be met, or the caller may not.
    pub fn set_rule(&self, new: NewRule) -> Result<ApprovalRule, Error> {
        self.kms.operation(self.caller, EventType::PolicyChanged, |way| {
            way.draft.operation = Some("approval rule".to_owned());
            _ = way.confirm(way.authorize(Permission::PolicyManage, &Target::None)?)?;
            let changing = self.kms.changing_policies.lock();
            let _one = changing.unwrap_or_else(std::sync::PoisonError::into_inner);
            let quorum = self.key_named(&new.quorum)?;
            let version = self.version_of(&new.name).map_or(1, |version| version.saturating_add(1));
            let rule = ApprovalRule {
                name: new.name,
                version,
                acts: new.acts.into_iter().collect(),
                scope: new.scope,
                quorum: quorum.id,
                initiator_counts: new.initiator_counts,
                set_at: way.now,
                set_by: way.who.principal().to_string(),
            };
            let circumstances = Circumstances::new(self.kms, way.now);
            multisig::check_quorum(&rule, &quorum, &circumstances.present())?;
            let order = Order::SetRule {
                name: rule.name.clone(),
                acts: rule.acts.clone(),
                scope: rule.scope.clone(),
                quorum: rule.quorum,
                initiator_counts: rule.initiator_counts,
                version,
            };
            let permit = self.kms.standing(way, &order, None)?.permit(way)?;
            way.note("policy", rule.name.as_str());
            way.note("change", format!("approval rule set, version {version}"));
            way.spend(permit);
            way.commit("set approval rule", |tx| tx.put(&rule))?;
            self.kms.reload_rules()?;
            Ok(rule)
        })
    }

    /// Removes an approval rule; durable on return. Its own quorum has to approve.
    ///
    /// Needs `policy:manage` and fresh MFA.
    ///
    /// # Errors
    /// [`Refused::ApprovalAwaited`]; when there is none, or the caller may not.
    pub fn remove_rule(&self, name: &Label) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::PolicyChanged, |way| {
            way.draft.operation = Some("approval rule".to_owned());
            _ = way.confirm(way.authorize(Permission::PolicyManage, &Target::None)?)?;
            let changing = self.kms.changing_policies.lock();
            let _one = changing.unwrap_or_else(std::sync::PoisonError::into_inner);
            let unknown = || Refused::MultiSigNotFound(name.to_string());
            let version = self.version_of(name).ok_or_else(unknown)?;
            let order = Order::RemoveRule { name: name.clone(), version };
            let permit = self.kms.standing(way, &order, None)?.permit(way)?;
            way.note("policy", name.as_str());
            way.note("change", "approval rule removed");
            way.spend(permit);
            way.commit("remove approval rule", |tx| {
                tx.delete::<ApprovalRule>(&name.folded()).map(|_| ())
            })?;
            self.kms.reload_rules()
        })
    }

    fn version_of(&self, name: &Label) -> Option<u64> {
        let rules = self.kms.rules();
        let found = rules.iter().find(|rule| rule.name.folded() == name.folded());
        found.map(|rule| rule.version)
    }

    /// Carries out what an operation approves: by the same method and the same way as any caller,
    /// who looks at everything anew and finds the approval.
    pub(crate) fn carry_out(
        &self,
        operation: OperationId,
        order: Order,
    ) -> Result<Completed, Error> {
        let mut signature = None;
        let done = match order {
            Order::Sign { key, message, hash, padding } => {
                let message = STANDARD.decode(message).unwrap_or_default();
                let scheme = Scheme { prehash: hash.into(), padding: padding.into() };
                let signed: Signed = self.kms.sign(self.caller, &key.into(), &message, scheme)?;
                signature = Some(signed);
                format!("{key} signed")
            }
            order => self.change(operation, order)?,
        };
        let operation = self.kms.multisig_operation(operation)?;
        let key = self.kms.multisig_key(operation.key)?;
        let message = self.kms.multisig_message(operation.id)?;
        Ok(match completed(&key, operation, &message)? {
            Completed::Approved { operation, evidence, .. } => {
                Completed::Approved { operation, evidence, done: Some(done), signed: signature }
            }
            other @ Completed::Signed { .. } => other,
        })
    }

    fn change(&self, operation: OperationId, order: Order) -> Result<String, Error> {
        let (kms, caller) = (self.kms, self.caller);
        let (lifecycle, access) = (kms.lifecycle(caller), kms.access(caller));
        let moved =
            |key: crate::key::ManagedKey| format!("{} {} is {}", key.id, key.label, key.state);
        Ok(match order {
            Order::ActivateKey { key, reason } => {
                moved(lifecycle.activate_key(&key.into(), &reason)?)
            }
            Order::ReactivateKey { key, reason } => {
                moved(lifecycle.reactivate_key(&key.into(), &reason)?)
            }
            Order::ArchiveKey { key, reason } => {
                moved(lifecycle.archive_key(&key.into(), &reason)?)
            }
            Order::ScheduleDestroy { key, reason } => {
                moved(lifecycle.schedule_destroy(&key.into(), &reason)?)
            }
            Order::DestroyNow { key, reason } => {
                moved(lifecycle.destroy_now(&key.into(), &reason)?)
            }
            Order::RotateKey { key, reason } => {
                moved(kms.rotate_key(caller, &key.into(), &reason)?)
            }
            Order::RotateTo { key, successor, reason } => {
                moved(lifecycle.rotate_key(&key.into(), &successor.into(), &reason)?)
            }
            Order::CompleteRotation { key, reason, .. } => {
                moved(lifecycle.complete_rotation(&key.into(), &reason)?)
            }
            Order::RenameKey { key, to } => moved(kms.rename_key(caller, &key.into(), &to)?),
            Order::SetRoles { principal, roles } => {
                access.set_roles(&principal.to_string(), roles)?;
                format!("roles of {principal} are set")
            }
            Order::EnablePrincipal { principal } => {
                access.enable(&principal.to_string())?;
                format!("{principal} is enabled")
            }
            Order::SetAttestations { principal, attested } => {
                access.set_attestations(&principal.to_string(), attested)?;
                format!("attestations of {principal} are set")
            }
            Order::ResetMfa { principal } => {
                access.reset_mfa(&principal.to_string())?;
                format!("{principal} has no second factor")
            }
            Order::SetRole { role } => {
                access.set_role(role.name.clone(), role.permissions)?;
                format!("role {} is set", role.name)
            }
            Order::RemoveRole { name } => {
                access.remove_role(&name)?;
                format!("role {name} is removed")
            }
            Order::SetPolicy { policy } => {
                let name = policy.name.clone();
                lifecycle.register_policy(policy)?;
                format!("policy {name} is set")
            }
            Order::RemovePolicy { name } => {
                lifecycle.remove_policy(&name)?;
                format!("policy {name} is removed")
            }
            Order::SetRule { name, acts, scope, quorum, initiator_counts, .. } => {
                let (acts, quorum) = (acts.into_iter().collect(), quorum.to_string());
                let rule = NewRule { name, acts, scope, quorum, initiator_counts };
                let set = self.set_rule(rule)?;
                format!("approval rule {} is set, version {}", set.name, set.version)
            }
            Order::RemoveRule { name, .. } => {
                self.remove_rule(&name)?;
                format!("approval rule {name} is removed")
            }
            Order::CreatePrincipal { .. } | Order::ResetPassphrase { .. } => {
                return Err(Refused::RunAgain(operation).into());
            }
            Order::Sign { key, .. } => format!("{key} signed"),
        })
    }
}
