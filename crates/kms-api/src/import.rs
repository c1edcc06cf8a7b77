//! Taking in private keys.

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::Label;
use kms::key::PolicyName;
use kms::key::Purpose;
use kms::key::StorageName;
use kms::manager::NewKey;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::private::PrivvalError;
use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Effect;
use crate::Failure;
use crate::KeyView;
use crate::Kind;
use crate::Method;
use crate::Operation;
use crate::SecretData;
use crate::Unnamed;
use crate::keys::file;
use crate::keys::general;
use crate::schema::AlgorithmName;
use crate::schema::LabelText;
use crate::schema::PurposeName;
use crate::schema::StorageText;

/// Forms of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrivateForm {
    /// PKCS#8, SEC 1 or PKCS#1, as PEM or DER.
    #[default]
    Pkcs8,
    /// The 32 bytes of the seed or scalar.
    Raw,
    /// CometBFT's priv_validator_key.json.
    Privval,
}

/// Takes in a private key.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKey {
    /// Name of the new key.
    #[schema(value_type = LabelText)]
    pub name: Label,
    /// The key file, base64.
    pub material: SecretData,
    /// The form of the file.
    #[serde(default)]
    pub format: PrivateForm,
    /// The algorithm, where the file does not say it (raw); otherwise it must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AlgorithmName>)]
    pub algorithm: Option<Algorithm>,
    /// What it is for; `general` if absent.
    #[serde(default = "general")]
    #[schema(value_type = PurposeName, required = false)]
    pub purpose: Purpose,
    /// Where it will live; `file` if absent.
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

impl Operation for ImportKey {
    type On = Unnamed;
    type Answer = KeyView;
    const NAME: &'static str = "keys.import";
    const ABOUT: &'static str = "Take in a private key";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/import";
    const NEEDS: Option<Permission> = Some(Permission::KeyImport);
    const EFFECT: Effect = Effect::Secret;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let parsed = parse_private_key(&self.material.0, self.format, self.algorithm)?;
        let new = NewKey {
            purpose: self.purpose,
            algorithm: Some(parsed.key.algorithm),
            storage: self.storage,
            policy: self.policy,
            activate: !self.inactive,
        };
        let key = desk.kms.import_key(desk.caller, &self.name, new, &parsed)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Reads a private key file.
///
/// # Errors
/// When it holds no such key, or contradicts itself.
pub fn parse_private_key(
    file: &SecretBytes,
    form: PrivateForm,
    algorithm: Option<Algorithm>,
) -> Result<ParsedPrivateKey, Failure> {
    let format = match form {
        PrivateForm::Pkcs8 => PrivateFormat::Pkcs8,
        PrivateForm::Raw => PrivateFormat::Raw,
        PrivateForm::Privval => PrivateFormat::Privval,
    };
    let parsed = PrivateKey::parse(file.expose(), format, algorithm);
    kms_secret::burn_stack();
    parsed.map_err(|e| {
        let contradicts_itself = matches!(
            e,
            PrivateKeyError::OtherPublic(_) | PrivateKeyError::Privval(PrivvalError::Address(_))
        );
        let (kind, code) = if contradicts_itself {
            (Kind::Integrity, "public_key_mismatch")
        } else {
            (Kind::Usage, "key_file_invalid")
        };
        Failure::new(kind, code, "this is no private key that can be taken in")
            .because(e.to_string())
            .fix("--format pkcs8, raw or privval; --algo for raw")
    })
}
