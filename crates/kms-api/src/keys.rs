//! Making, registering, reading and naming keys.

use std::collections::BTreeMap;

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Label;
use kms::key::ManagedKey;
use kms::key::PolicyName;
use kms::key::PublicKey;
use kms::key::Purpose;
use kms::key::StorageName;
use kms::lifecycle::LifecycleReport;
use kms::manager::NewKey;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Bytes;
use crate::Desk;
use crate::Effect;
use crate::Failure;
use crate::KeyView;
use crate::Kind;
use crate::Method;
use crate::Operation;
use crate::PAGE_LIMIT;
use crate::Unnamed;
use crate::schema::AlgorithmName;
use crate::schema::KeyIdText;
use crate::schema::LabelText;
use crate::schema::Moment;
use crate::schema::PurposeName;
use crate::schema::StateName;
use crate::schema::StorageText;

/// Makes a key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateKey {
    /// Name of the new key.
    #[schema(value_type = LabelText)]
    pub name: Label,
    /// What it is for; `general` if absent.
    #[serde(default = "general")]
    #[schema(value_type = PurposeName, required = false)]
    pub purpose: Purpose,
    /// Its algorithm; that of the purpose if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AlgorithmName>)]
    pub algorithm: Option<Algorithm>,
    /// Where its private half will live; `file` if absent.
    #[serde(default = "file")]
    #[schema(value_type = StorageText, required = false)]
    pub storage: StorageName,
    /// The policy it will live under; that of its purpose if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LabelText>)]
    pub policy: Option<PolicyName>,
    /// Leave it created, not yet usable.
    #[serde(default)]
    pub inactive: bool,
}

/// The purpose of a key that says none.
pub(crate) fn general() -> Purpose {
    Purpose::General
}

/// The storage of a key that says none.
pub(crate) fn file() -> StorageName {
    "file".parse().expect("`file` is a storage")
}

impl Operation for GenerateKey {
    type On = Unnamed;
    type Answer = KeyView;
    const NAME: &'static str = "keys.generate";
    const ABOUT: &'static str = "Make a key";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys";
    const NEEDS: Option<Permission> = Some(Permission::KeyCreate);
    const EFFECT: Effect = Effect::Creates;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let new = NewKey {
            purpose: self.purpose,
            algorithm: self.algorithm,
            storage: self.storage,
            policy: self.policy,
            activate: !self.inactive,
        };
        let key = desk.kms.generate_key(desk.caller, &self.name, new)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Registers a key whose private half is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterKey {
    /// Name of the new key.
    #[schema(value_type = LabelText)]
    pub name: Label,
    /// Its public half: a SubjectPublicKeyInfo as PEM or DER, base64.
    pub public_key: Bytes,
    /// What it is for; `general` if absent.
    #[serde(default = "general")]
    #[schema(value_type = PurposeName, required = false)]
    pub purpose: Purpose,
    /// The policy it will live under; that of its purpose if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LabelText>)]
    pub policy: Option<PolicyName>,
}

impl Operation for RegisterKey {
    type On = Unnamed;
    type Answer = KeyView;
    const NAME: &'static str = "keys.register";
    const ABOUT: &'static str = "Register a key whose private half is elsewhere";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/register";
    const NEEDS: Option<Permission> = Some(Permission::KeyCreate);
    const EFFECT: Effect = Effect::Creates;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let public_key = PublicKey::from_spki(&self.public_key.0).map_err(|e| {
            Failure::new(Kind::Usage, "key_file_invalid", "this is no public key")
                .because(e.to_string())
                .fix("a SubjectPublicKeyInfo is wanted, as PEM or DER")
        })?;
        let life = (self.purpose, self.policy);
        let key = desk.kms.register_key(desk.caller, &self.name, public_key, life)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Lists the keys the caller may see, by name, then by age.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListKeys {
    /// Only keys in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StateName>)]
    pub state: Option<KeyState>,
    /// Only keys of this purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PurposeName>)]
    pub purpose: Option<Purpose>,
    /// Behind this key: where the last page ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyIdText>)]
    pub after: Option<KeyId>,
    /// At most so many; 1000 if absent, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

impl Operation for ListKeys {
    type On = Unnamed;
    type Answer = Vec<KeyView>;
    const NAME: &'static str = "keys.list";
    const ABOUT: &'static str = "List the keys";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/keys";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<KeyView>, Failure> {
        let limit = page(self.limit)?;
        let keys = desk.kms.list_keys(desk.caller)?;
        let start = match self.after {
            Some(after) => keys.iter().position(|key| key.id == after).map(|at| at + 1),
            None => Some(0),
        };
        let start = start.ok_or_else(|| {
            Failure::new(Kind::NotFound, "page_not_found", "`after` names no key of this list")
        })?;
        Ok(keys
            .iter()
            .skip(start)
            .filter(|key| self.purpose.is_none_or(|purpose| key.purpose == purpose))
            .map(|key| KeyView::new(desk.kms, key))
            .filter(|key| self.state.is_none_or(|state| key.state == state))
            .take(limit)
            .collect())
    }

    /// A full page may be the last one; the page after it is empty then.
    fn next(answer: &Vec<KeyView>) -> Option<String> {
        (answer.len() >= PAGE_LIMIT).then(|| answer.last().map(|key| key.id.to_string()))?
    }
}

/// How many items a page has.
///
/// # Errors
/// For none, and for more than [`PAGE_LIMIT`]: a limit that is not kept would not be noticed.
pub(crate) fn page(limit: Option<u32>) -> Result<usize, Failure> {
    let limit = limit.map_or(PAGE_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if (1..=PAGE_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Failure::usage(format!("a page has 1 to {PAGE_LIMIT} items, not {limit}")))
}

/// Shows a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowKey {}

impl Operation for ShowKey {
    type On = KeyRef;
    type Answer = KeyView;
    const NAME: &'static str = "keys.show";
    const ABOUT: &'static str = "Show a key";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/keys/{key}";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let key = desk.kms.get_key(desk.caller, &key)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Shows the public half of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportPublicKey {}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicHalf {
    /// The algorithm.
    #[schema(value_type = AlgorithmName)]
    pub algorithm: Algorithm,
    /// The bytes of the key alone, base64.
    pub public_key: Bytes,
    /// SubjectPublicKeyInfo as PEM.
    pub pem: String,
}

impl Operation for ExportPublicKey {
    type On = KeyRef;
    type Answer = PublicHalf;
    const NAME: &'static str = "keys.public";
    const ABOUT: &'static str = "Take out the public half of a key";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/keys/{key}/public";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<PublicHalf, Failure> {
        let key = desk.kms.export_public_key(desk.caller, &key)?;
        let pem = key.to_spki_pem().map_err(|e| {
            let detail = "the stored public key is damaged";
            Failure::new(Kind::Integrity, "public_key_invalid", detail).because(e.to_string())
        })?;
        let (algorithm, public_key) = (key.algorithm(), Bytes(key.as_bytes().to_vec()));
        Ok(PublicHalf { algorithm, public_key, pem })
    }
}

/// Shows every move of a key's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyHistory {}

/// One step of a key's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = KeyMove)]
pub struct MoveView {
    /// The state before; absent for the first step.
    #[schema(value_type = Option<StateName>)]
    pub from: Option<KeyState>,
    /// The state after.
    #[schema(value_type = StateName)]
    pub to: KeyState,
    /// When.
    #[schema(value_type = Moment)]
    pub at: Timestamp,
    /// The principal's id, or `system`.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Operation for KeyHistory {
    type On = KeyRef;
    type Answer = Vec<MoveView>;
    const NAME: &'static str = "keys.history";
    const ABOUT: &'static str = "Show every move of a key: when, who, why";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/keys/{key}/history";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<Vec<MoveView>, Failure> {
        let moves = desk.kms.key_history(desk.caller, &key)?.into_iter();
        let view = |step: kms::key::Move| {
            let kms::key::Move { from, to, at, by, reason } = step;
            MoveView { from, to, at, by, reason }
        };
        Ok(moves.map(view).collect())
    }
}

/// Gives a lineage another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameKey {
    /// The new name.
    #[schema(value_type = LabelText)]
    pub name: Label,
}

impl Operation for RenameKey {
    type On = KeyRef;
    type Answer = KeyView;
    const NAME: &'static str = "keys.rename";
    const ABOUT: &'static str = "Give a key another name";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/rename";
    const NEEDS: Option<Permission> = Some(Permission::KeyCreate);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let key = desk.kms.rename_key(desk.caller, &key, &self.name)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Counts the keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportLifecycle {}

/// The keys, counted at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LifecycleReport)]
pub struct Reported {
    /// The moment.
    #[schema(value_type = Moment)]
    pub generated_at: Timestamp,
    /// Every key, also the tombstones of destroyed ones.
    pub total_keys: u64,
    /// Keys in the state Active.
    pub active_keys: u64,
    /// Keys within the warning days of their expiration.
    pub expiring_keys: u64,
    /// Active keys that are older than their policy allows.
    pub rotation_needed: u64,
    /// Keys by state.
    pub by_state: BTreeMap<String, u64>,
    /// Keys by policy.
    pub by_policy: BTreeMap<String, u64>,
    /// Keys by algorithm.
    pub by_algorithm: BTreeMap<String, u64>,
}

impl From<LifecycleReport> for Reported {
    fn from(report: LifecycleReport) -> Self {
        Self {
            generated_at: report.generated_at,
            total_keys: report.total_keys,
            active_keys: report.active_keys,
            expiring_keys: report.expiring_keys,
            rotation_needed: report.rotation_needed,
            by_state: report.by_state,
            by_policy: report.by_policy,
            by_algorithm: report.by_algorithm,
        }
    }
}

impl Operation for ReportLifecycle {
    type On = Unnamed;
    type Answer = Reported;
    const NAME: &'static str = "lifecycle.report";
    const ABOUT: &'static str = "Count the keys: in use, expiring, due for rotation";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/lifecycle/report";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Reported, Failure> {
        Ok(desk.kms.lifecycle(desk.caller).generate_lifecycle_report()?.into())
    }
}

/// Lists the active keys that are older than their policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListKeysNeedingRotation {}

impl Operation for ListKeysNeedingRotation {
    type On = Unnamed;
    type Answer = Vec<KeyView>;
    const NAME: &'static str = "lifecycle.due";
    const ABOUT: &'static str = "List the keys that need a rotation";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/lifecycle/due";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<KeyView>, Failure> {
        let keys = desk.kms.lifecycle(desk.caller).get_keys_needing_rotation()?;
        Ok(keys.iter().map(|key: &ManagedKey| KeyView::new(desk.kms, key)).collect())
    }
}
