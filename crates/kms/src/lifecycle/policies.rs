//! The policies of a home, by name. The built-in ones are always there.

use std::collections::BTreeMap;

use crate::key::ManagedKey;
use crate::key::PolicyName;
use crate::lifecycle::InvalidPolicy;
use crate::lifecycle::KeyLifecyclePolicy;

/// Every policy of a home; each was validated when it came in.
///
/// Names that differ in case only are one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies(BTreeMap<String, KeyLifecyclePolicy>);

/// Why a policy was not taken or not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// It contradicts itself.
    #[error(transparent)]
    Invalid(#[from] InvalidPolicy),
    /// The name is taken; replacing is another call.
    #[error("policy {0} exists")]
    Exists(PolicyName),
    /// There is no such policy.
    #[error("policy {0} does not exist")]
    Unknown(PolicyName),
    /// A built-in policy can be replaced, not removed.
    #[error("policy {0} is built in; it can be changed, not removed")]
    BuiltIn(PolicyName),
}

impl Default for Policies {
    fn default() -> Self {
        let named = |policy: KeyLifecyclePolicy| (policy.name.folded(), policy);
        Self(built_in().map(named).into())
    }
}

impl Policies {
    /// Takes in a new policy.
    ///
    /// # Errors
    /// [`PolicyRefusal::Invalid`], or [`PolicyRefusal::Exists`]: nothing is overwritten silently.
    pub fn register(&mut self, policy: KeyLifecyclePolicy) -> Result<(), PolicyRefusal> {
        policy.validate()?;
        if self.named(&policy.name).is_some() {
            return Err(PolicyRefusal::Exists(policy.name));
        }
        self.0.insert(policy.name.folded(), policy);
        Ok(())
    }

    /// Changes a policy to `policy`, which has its name, and returns what it was. Keys that are
    /// active keep the expiration date they have.
    ///
    /// # Errors
    /// [`PolicyRefusal::Invalid`] or [`PolicyRefusal::Unknown`].
    pub fn replace(
        &mut self,
        policy: KeyLifecyclePolicy,
    ) -> Result<KeyLifecyclePolicy, PolicyRefusal> {
        policy.validate()?;
        match self.0.get_mut(&policy.name.folded()) {
            Some(current) => Ok(std::mem::replace(current, policy)),
            None => Err(PolicyRefusal::Unknown(policy.name)),
        }
    }

    /// Removes a policy. Whether keys still live under it is for the caller to ask first.
    ///
    /// # Errors
    /// [`PolicyRefusal::BuiltIn`] or [`PolicyRefusal::Unknown`].
    pub fn remove(&mut self, name: &PolicyName) -> Result<KeyLifecyclePolicy, PolicyRefusal> {
        if built_in().iter().any(|policy| policy.name.folded() == name.folded()) {
            return Err(PolicyRefusal::BuiltIn(name.clone()));
        }
        self.0.remove(&name.folded()).ok_or_else(|| PolicyRefusal::Unknown(name.clone()))
    }

    /// The policy of this name.
    pub fn named(&self, name: &PolicyName) -> Option<&KeyLifecyclePolicy> {
        self.0.get(&name.folded())
    }

    /// The policy `key` lives under; where that is gone, the default of its purpose, so that no key
    /// is ever without one.
    ///
    /// # Panics
    /// Never: built-in policies cannot be removed.
    pub fn of(&self, key: &ManagedKey) -> &KeyLifecyclePolicy {
        let default = || KeyLifecyclePolicy::default_policy_for(key.purpose).name;
        self.named(&key.policy)
            .or_else(|| self.named(&default()))
            .expect("built-in policies cannot be removed")
    }

    /// Every policy, by name.
    pub fn iter(&self) -> impl Iterator<Item = &KeyLifecyclePolicy> {
        self.0.values()
    }
}

fn built_in() -> [KeyLifecyclePolicy; 3] {
    [
        KeyLifecyclePolicy::standard(),
        KeyLifecyclePolicy::high_security(),
        KeyLifecyclePolicy::validator(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Purpose;
    use crate::lifecycle::tests::key;
    use crate::time::Days;

    fn named(name: &str) -> KeyLifecyclePolicy {
        KeyLifecyclePolicy { name: name.parse().unwrap(), ..KeyLifecyclePolicy::standard() }
    }

    #[test]
    fn registering_overwrites_nothing() {
        let mut policies = Policies::default();
        assert_eq!(policies.register(named("mine")), Ok(()));
        let refusal = policies.register(named("Mine")).unwrap_err();
        assert_eq!(refusal.to_string(), "policy Mine exists");
        assert_eq!(policies.iter().count(), 4);
    }

    #[test]
    fn invalid_policies_are_not_taken_in() {
        let mut policies = Policies::default();
        let bad = KeyLifecyclePolicy { warning_days_before_exp: Some(Days(730)), ..named("bad") };
        assert!(matches!(policies.register(bad), Err(PolicyRefusal::Invalid(_))));
        let bad =
            KeyLifecyclePolicy { warning_days_before_exp: Some(Days(730)), ..named("default") };
        assert!(matches!(policies.replace(bad), Err(PolicyRefusal::Invalid(_))));
        assert_eq!(policies, Policies::default());
    }

    #[test]
    fn replacing_needs_something_to_replace() {
        let mut policies = Policies::default();
        let unknown = policies.replace(named("mine"));
        assert_eq!(unknown, Err(PolicyRefusal::Unknown("mine".parse().unwrap())));
        let before = policies.replace(named("default").without_mfa()).unwrap();
        assert!(before.require_mfa);
        assert!(!policies.named(&"default".parse().unwrap()).unwrap().require_mfa);
    }

    #[test]
    fn built_in_policies_cannot_be_removed() {
        let mut policies = Policies::default();
        let name: PolicyName = "Validator".parse().unwrap();
        assert_eq!(policies.remove(&name), Err(PolicyRefusal::BuiltIn(name)));
        policies.register(named("mine")).unwrap();
        assert_eq!(policies.remove(&"mine".parse().unwrap()), Ok(named("mine")));
    }

    #[test]
    fn no_key_is_without_a_policy() {
        let policies = Policies::default();
        let mut lost = key("val");
        lost.policy = "removed".parse().unwrap();
        assert_eq!(policies.of(&lost).name.as_str(), "default");
        lost.purpose = Purpose::Consensus;
        assert_eq!(policies.of(&lost).name.as_str(), "validator");
        lost.policy = "high-security".parse().unwrap();
        assert_eq!(policies.of(&lost).name.as_str(), "high-security");
    }
}
