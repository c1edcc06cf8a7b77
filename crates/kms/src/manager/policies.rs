//! Lifecycle policies: the built-in, the configured and the registered ones.

use std::sync::Arc;
use std::sync::PoisonError;

use crate::access::Permission;
use crate::access::Target;
use crate::audit::EventType;
use crate::key::ManagedKey;
use crate::key::PolicyName;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::Policies;
use crate::lifecycle::PolicyRefusal;
use crate::manager::Error;
use crate::manager::KeyLifecycleManager;
use crate::manager::KeyManager;
use crate::manager::NewKey;
use crate::manager::Refused;
use crate::manager::orders::Order;
use crate::store::Document;
use crate::time::Timestamp;

impl Document for KeyLifecyclePolicy {
    const KIND: &'static str = "policy";

    fn document_id(&self) -> String {
        self.name.folded()
    }
}

impl KeyLifecycleManager<'_> {
    /// Registers a policy, or replaces the one of that name; durable on return. Keys under it
    /// follow it from the next decision on; dates they already have stay.
    ///
    /// Needs `policy:manage` and fresh MFA.
    ///
    /// # Errors
    /// When the policy contradicts itself or the caller may not.
    pub fn register_policy(&self, policy: KeyLifecyclePolicy) -> Result<(), Error> {
        let order = Order::SetPolicy { policy: policy.clone() };
        self.change_policies(&policy.name.clone(), &order, |policies| {
            match policies.register(policy.clone()) {
                Err(PolicyRefusal::Exists(_)) => policies.replace(policy.clone()).map(|_| ())?,
                other => other?,
            }
            Ok(Some(policy))
        })
    }

    /// Removes a policy no key lives under; durable on return. Needs `policy:manage` and fresh MFA.
    ///
    /// # Errors
    /// When it is built in, unknown or in use, or the caller may not.
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), Error> {
        let order = Order::RemovePolicy { name: name.clone() };
        self.change_policies(name, &order, |policies| {
            if let Some(key) = self.user_of(name) {
                return Err(Refused::PolicyInUse { policy: name.clone(), key }.into());
            }
            policies.remove(name)?;
            Ok(None)
        })
    }

    /// All policies, by name. Needs `key:read`.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn policies(&self) -> Result<Vec<KeyLifecyclePolicy>, Error> {
        self.kms.operation(self.caller, EventType::KeyRead, |way| {
            way.note("read", "policies");
            _ = way.authorize(Permission::KeyRead, &Target::None)?;
            Ok(self.kms.policies().iter().cloned().collect())
        })
    }

    fn change_policies(
        &self,
        name: &PolicyName,
        order: &Order,
        change: impl FnOnce(&mut Policies) -> Result<Option<KeyLifecyclePolicy>, Error>,
    ) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::PolicyChanged, |way| {
            _ = way.confirm(way.authorize(Permission::PolicyManage, &Target::None)?)?;
            // One change at a time; the policies themselves are locked for the exchange only, so
            // that whoever holds a key can always read them.
            let changing = self.kms.changing_policies.lock();
            let _one = changing.unwrap_or_else(PoisonError::into_inner);
            let mut policies = Policies::clone(&self.kms.policies());
            let put = change(&mut policies)?;
            let permit = self.kms.standing(way, order, None)?.permit(way)?;
            way.spend(permit);
            way.note("policy", name.as_str());
            way.note("change", if put.is_some() { "set" } else { "removed" });
            way.commit("change policy", |tx| match &put {
                Some(policy) => tx.put(policy),
                None => tx.delete::<KeyLifecyclePolicy>(&name.folded()).map(|_| ()),
            })?;
            *self.kms.policies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
            Ok(())
        })
    }

    fn user_of(&self, policy: &PolicyName) -> Option<crate::key::Label> {
        let folded = policy.folded();
        self.kms.keys.all().into_iter().find_map(|slot| {
            let record = slot.read();
            (record.policy.folded() == folded).then(|| record.label.clone())
        })
    }
}

impl KeyManager {
    /// When a rotation of `key` is due under its policy; absent where it never is. Asks for no
    /// session: it follows from a record the caller holds already.
    pub fn rotate_by(&self, key: &ManagedKey) -> Option<Timestamp> {
        let age = self.policy_of(key).max_active_age_days;
        key.activated_at.zip(age).map(|(activated, age)| activated.plus(age))
    }

    /// The policies as they stand now.
    pub(crate) fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The policy `key` lives under.
    pub(crate) fn policy_of(&self, key: &ManagedKey) -> KeyLifecyclePolicy {
        self.policies().of(key).clone()
    }

    /// The policy a new key will live under.
    pub(crate) fn policy_for(&self, new: &NewKey) -> Result<KeyLifecyclePolicy, Error> {
        let name = match &new.policy {
            Some(name) => name.clone(),
            None => KeyLifecyclePolicy::default_policy_for(new.purpose).name,
        };
        let policies = self.policies();
        policies.named(&name).cloned().ok_or_else(|| Refused::PolicyNotFound(name).into())
    }
}
