//! Lifecycle policies: how long a key may be used, and what its moves need.
//!
//! A policy is a value and does nothing by itself. `0` and a missing line both mean "off, never",
//! except where a field says otherwise; the two that guard ([`KeyLifecyclePolicy::require_mfa`] and
//! [`KeyLifecyclePolicy::destroy_delay_days`]) are on unless switched off by name.
//!
//! SPEC: "Rotation Policy", "Lifecycle Policies".

use serde::Deserialize;
use serde::Serialize;

use crate::key::Algorithm;
use crate::key::PolicyName;
use crate::key::Purpose;
use crate::time::Days;

/// How long keys live and what their moves need; as in the configuration's `[[policy]]`.
///
/// Days are 24 hours each. An absent number of days is never; it is written as `0`, and `0` is read
/// as absent, so `Some(Days(0))` does not occur in a policy that passed [`Self::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLifecyclePolicy {
    /// What keys name it by.
    pub name: PolicyName,
    /// A rotation is needed so long after the first activation.
    #[serde(default, with = "days_or_never")]
    pub max_active_age_days: Option<Days>,
    /// A key counts as expiring so long before its expiration date.
    #[serde(default, with = "days_or_never")]
    pub warning_days_before_exp: Option<Days>,
    /// A key expires so long after its first activation.
    #[serde(default, with = "days_or_never")]
    pub expiration_days: Option<Days>,
    /// A key that stopped signing is kept at least so long before it is archived or destroyed.
    #[serde(default, with = "days_or_never")]
    pub grace_period_days: Option<Days>,
    /// A successor is prepared when a rotation is needed; with MFA required, a person still
    /// approves it.
    #[serde(default)]
    pub auto_rotate: bool,
    /// The moves of [`crate::lifecycle::requires_mfa`] need a fresh second factor. On if absent.
    #[serde(default = "on")]
    pub require_mfa: bool,

    /// The algorithms a key may have; empty for all.
    #[serde(default)]
    pub allowed_algorithms: Vec<Algorithm>,
    /// The security strength a key must have, in bits of NIST SP 800-57 Part 1 Rev. 5 table 2;
    /// 0 for any.
    #[serde(default)]
    pub minimum_strength_bits: u32,
    /// Activation needs the approval of a second person.
    #[serde(default)]
    pub require_approval_for_activation: bool,
    /// Ordering a destruction needs the approval of a second person.
    #[serde(default)]
    pub require_approval_for_destruction: bool,
    /// A key that stopped signing is archived after so long; not before its grace period is over.
    #[serde(default, with = "days_or_never")]
    pub archive_after_days: Option<Days>,
    /// An archived key's destruction is proposed after so long.
    #[serde(default, with = "days_or_never")]
    pub destroy_after_days: Option<Days>,
    /// An ordered destruction can be cancelled for so long. 7 if absent; 0 for not at all.
    #[serde(default = "seven_days")]
    pub destroy_delay_days: Days,
}

/// Why a policy contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The warning would come at the first activation or before.
    #[error("policy {policy} warns {warning} before expiration, which comes after {expiration}")]
    WarningNotBeforeExpiration {
        /// The policy.
        policy: PolicyName,
        /// `warning_days_before_exp`.
        warning: Days,
        /// `expiration_days`.
        expiration: Days,
    },
    /// A key rotated when it should be would expire before its grace period is over.
    #[error(
        "policy {policy} rotates after {max_active_age} and keeps for {grace}, \
         which is longer than the {expiration} to expiration"
    )]
    RotationAndGraceExceedExpiration {
        /// The policy.
        policy: PolicyName,
        /// `max_active_age_days`.
        max_active_age: Days,
        /// `grace_period_days`.
        grace: Days,
        /// `expiration_days`.
        expiration: Days,
    },
    /// Keys would be archived while their grace period runs.
    #[error("policy {policy} archives after {archive}, within the grace period of {grace}")]
    ArchiveWithinGrace {
        /// The policy.
        policy: PolicyName,
        /// `archive_after_days`.
        archive: Days,
        /// `grace_period_days`.
        grace: Days,
    },
    /// No key could ever be made under it.
    #[error("policy {0} allows no algorithm at all")]
    NoAlgorithm(PolicyName),
    /// `Some(Days(0))`, which reads as "at once" where "never" is meant.
    #[error("policy {0} holds zero days; never is written as absent")]
    ZeroDays(PolicyName),
}

impl KeyLifecyclePolicy {
    /// `default`: rotation after a year by hand, expiration after two, 90 days of grace, MFA.
    ///
    /// SPEC: "Lifecycle Policies", default policy.
    pub fn standard() -> Self {
        Self {
            max_active_age_days: Some(Days(365)),
            warning_days_before_exp: Some(Days(30)),
            expiration_days: Some(Days(730)),
            grace_period_days: Some(Days(90)),
            ..Self::empty("default")
        }
    }

    /// `high-security`: rotation every 90 days prepared by itself, expiration after 180, MFA.
    ///
    /// SPEC: "Lifecycle Policies", high-security policy.
    pub fn high_security() -> Self {
        Self {
            max_active_age_days: Some(Days(90)),
            warning_days_before_exp: Some(Days(14)),
            expiration_days: Some(Days(180)),
            grace_period_days: Some(Days(30)),
            auto_rotate: true,
            ..Self::empty("high-security")
        }
    }

    /// `validator`: a review every year, no rotation by itself and no expiration, which would stop
    /// a validator at a date; the grace period outlasts evidence and unbonding.
    ///
    /// SPEC: "Key Rotation" (validator keys annually).
    pub fn validator() -> Self {
        Self {
            max_active_age_days: Some(Days(365)),
            grace_period_days: Some(Days(90)),
            ..Self::empty("validator")
        }
    }

    /// The policy a key of this purpose lives under unless another is named.
    pub fn default_policy_for(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Consensus => Self::validator(),
            Purpose::Account | Purpose::Provider | Purpose::General => Self::standard(),
        }
    }

    /// This policy without a second factor: for homes marked as development.
    #[must_use]
    pub fn without_mfa(self) -> Self {
        Self { require_mfa: false, ..self }
    }

    /// Whether a key under this policy may have `algorithm`.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        let listed =
            self.allowed_algorithms.is_empty() || self.allowed_algorithms.contains(&algorithm);
        listed && strength_bits(algorithm) >= self.minimum_strength_bits
    }

    /// Checks that the policy does not contradict itself; done whenever one is registered.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        if self.days().contains(&Some(Days(0))) {
            return Err(InvalidPolicy::ZeroDays(self.name.clone()));
        }
        if !Algorithm::ALL.into_iter().any(|algorithm| self.allows(algorithm)) {
            return Err(InvalidPolicy::NoAlgorithm(self.name.clone()));
        }
        self.validate_warning()?;
        self.validate_rotation()?;
        self.validate_archiving()
    }

    fn validate_warning(&self) -> Result<(), InvalidPolicy> {
        match (self.warning_days_before_exp, self.expiration_days) {
            (Some(warning), Some(expiration)) if warning >= expiration => {
                let policy = self.name.clone();
                Err(InvalidPolicy::WarningNotBeforeExpiration { policy, warning, expiration })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    fn validate_rotation(&self) -> Result<(), InvalidPolicy> {
        let (Some(max_active_age), Some(expiration)) =
            (self.max_active_age_days, self.expiration_days)
        else {
            return Ok(());
        };
        let grace = self.grace_period_days.unwrap_or_default();
        if u64::from(max_active_age.0) + u64::from(grace.0) <= u64::from(expiration.0) {
            return Ok(());
        }
        Err(InvalidPolicy::RotationAndGraceExceedExpiration {
            policy: self.name.clone(),
            max_active_age,
            grace,
            expiration,
        })
    }

    fn validate_archiving(&self) -> Result<(), InvalidPolicy> {
        match (self.archive_after_days, self.grace_period_days) {
            (Some(archive), Some(grace)) if archive < grace => {
                let policy = self.name.clone();
                Err(InvalidPolicy::ArchiveWithinGrace { policy, archive, grace })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    fn days(&self) -> [Option<Days>; 6] {
        [
            self.max_active_age_days,
            self.warning_days_before_exp,
            self.expiration_days,
            self.grace_period_days,
            self.archive_after_days,
            self.destroy_after_days,
        ]
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.parse().expect("built-in names are labels"),
            max_active_age_days: None,
            warning_days_before_exp: None,
            expiration_days: None,
            grace_period_days: None,
            auto_rotate: false,
            require_mfa: on(),
            allowed_algorithms: Vec::new(),
            minimum_strength_bits: 0,
            require_approval_for_activation: false,
            require_approval_for_destruction: false,
            archive_after_days: None,
            destroy_after_days: None,
            destroy_delay_days: seven_days(),
        }
    }
}

/// SPEC: NIST SP 800-57 Part 1 Rev. 5 table 2; RSA-4096 lies between its rows of 128 and 192 bits.
fn strength_bits(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Rsa2048 => 112,
        Algorithm::Ed25519 | Algorithm::Secp256k1 | Algorithm::P256 | Algorithm::Rsa4096 => 128,
    }
}

fn on() -> bool {
    true
}

fn seven_days() -> Days {
    Days(7)
}

/// Reads 0 as never and writes never as 0, so that TOML and JSON show every line.
mod days_or_never {
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    use crate::time::Days;

    #[expect(clippy::ref_option, reason = "serde's `with` hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(days: &Option<Days>, to: S) -> Result<S::Ok, S::Error> {
        days.unwrap_or_default().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Days>, D::Error> {
        Ok(Option::<Days>::deserialize(from)?.filter(|days| *days > Days(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<KeyLifecyclePolicy, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn built_in_policies_have_the_values_of_the_specification() {
        let numbers = |p: KeyLifecyclePolicy| {
            let days = p.days().map(|days| days.unwrap_or_default().0);
            (p.name.to_string(), days, p.auto_rotate, p.require_mfa)
        };
        let expected = ("default".to_owned(), [365, 30, 730, 90, 0, 0], false, true);
        assert_eq!(numbers(KeyLifecyclePolicy::standard()), expected);
        let expected = ("high-security".to_owned(), [90, 14, 180, 30, 0, 0], true, true);
        assert_eq!(numbers(KeyLifecyclePolicy::high_security()), expected);
        let expected = ("validator".to_owned(), [365, 0, 0, 90, 0, 0], false, true);
        assert_eq!(numbers(KeyLifecyclePolicy::validator()), expected);
    }

    #[test]
    fn built_in_policies_are_valid() {
        for policy in [
            KeyLifecyclePolicy::standard(),
            KeyLifecyclePolicy::high_security(),
            KeyLifecyclePolicy::validator(),
        ] {
            assert_eq!(policy.validate(), Ok(()), "{}", policy.name);
            assert_eq!(policy.destroy_delay_days, Days(7));
        }
    }

    #[test]
    fn consensus_keys_live_under_validator_and_others_under_default() {
        for purpose in Purpose::ALL {
            let expected = if purpose == Purpose::Consensus { "validator" } else { "default" };
            let policy = KeyLifecyclePolicy::default_policy_for(purpose);
            assert_eq!(policy.name.as_str(), expected, "{purpose}");
        }
    }

    #[test]
    fn zero_and_absent_days_mean_never() {
        let zero = read(r#"{"name":"p","expiration_days":0,"grace_period_days":0}"#).unwrap();
        let absent = read(r#"{"name":"p"}"#).unwrap();
        assert_eq!(zero, absent);
        assert_eq!(absent, KeyLifecyclePolicy::empty("p"));
        assert_eq!(absent.expiration_days, None);
        assert_eq!(absent.validate(), Ok(()));
    }

    #[test]
    fn missing_lines_leave_the_guards_on() {
        let policy = read(r#"{"name":"p","max_active_age_days":365,"auto_rotate":true}"#).unwrap();
        assert!(policy.require_mfa);
        assert_eq!(policy.destroy_delay_days, Days(7));
        assert!(!policy.without_mfa().require_mfa);
    }

    #[test]
    fn policies_are_read_back_as_they_were_written() {
        let written = KeyLifecyclePolicy {
            allowed_algorithms: vec![Algorithm::Ed25519],
            destroy_delay_days: Days(0),
            require_mfa: false,
            archive_after_days: Some(Days(100)),
            ..KeyLifecyclePolicy::standard()
        };
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(read(&json).unwrap(), written);
        assert!(json.contains(r#""destroy_after_days":0"#), "{json}");
    }

    #[test]
    fn unknown_lines_and_negative_days_are_refused() {
        assert!(read(r#"{"name":"p","rotation_grace_period_days":7}"#).is_err());
        assert!(read(r#"{"name":"p","expiration_days":-1}"#).is_err());
        assert!(read(r#"{"name":"../p"}"#).is_err());
        assert!(read(r#"{"expiration_days":1}"#).is_err());
    }

    #[test]
    fn warning_must_come_before_expiration() {
        let mut policy = KeyLifecyclePolicy::standard();
        policy.warning_days_before_exp = Some(Days(729));
        assert_eq!(policy.validate(), Ok(()));
        policy.warning_days_before_exp = Some(Days(730));
        assert_eq!(
            policy.validate().unwrap_err().to_string(),
            "policy default warns 730 days before expiration, which comes after 730 days"
        );
    }

    #[test]
    fn rotation_and_grace_must_fit_before_expiration() {
        let mut policy = KeyLifecyclePolicy::standard();
        policy.expiration_days = Some(Days(455));
        assert_eq!(policy.validate(), Ok(()));
        policy.expiration_days = Some(Days(454));
        assert_eq!(
            policy.validate().unwrap_err().to_string(),
            "policy default rotates after 365 days and keeps for 90 days, \
             which is longer than the 454 days to expiration"
        );
        policy.max_active_age_days = Some(Days(u32::MAX));
        policy.grace_period_days = Some(Days(u32::MAX));
        assert!(policy.validate().is_err(), "the sum must not wrap around");
    }

    #[test]
    fn archiving_within_the_grace_period_is_refused() {
        let mut policy = KeyLifecyclePolicy::standard();
        policy.archive_after_days = Some(Days(90));
        assert_eq!(policy.validate(), Ok(()));
        policy.archive_after_days = Some(Days(89));
        assert!(matches!(policy.validate(), Err(InvalidPolicy::ArchiveWithinGrace { .. })));
    }

    #[test]
    fn zero_days_made_in_code_are_refused() {
        let mut policy = KeyLifecyclePolicy::standard();
        policy.expiration_days = Some(Days(0));
        assert_eq!(policy.validate(), Err(InvalidPolicy::ZeroDays(policy.name.clone())));
    }

    #[test]
    fn algorithms_are_limited_by_list_and_by_strength() {
        let mut policy = KeyLifecyclePolicy::standard();
        assert!(Algorithm::ALL.into_iter().all(|algorithm| policy.allows(algorithm)));
        policy.minimum_strength_bits = 128;
        assert!(!policy.allows(Algorithm::Rsa2048));
        assert!(policy.allows(Algorithm::Rsa4096));
        policy.allowed_algorithms = vec![Algorithm::Rsa2048];
        assert!(!policy.allows(Algorithm::Ed25519));
        assert_eq!(policy.validate(), Err(InvalidPolicy::NoAlgorithm(policy.name.clone())));
    }
}
