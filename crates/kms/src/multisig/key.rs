//! A multi-signature key: its configuration, which never changes, and the name that follows from it.

use std::fmt::Write;

use aws_lc_rs::digest;
use kms_formats::multisig::LegacyAminoPubKey;
use serde::Deserialize;
use serde::Serialize;

use crate::key::Fingerprint;
use crate::key::Label;
use crate::key::PublicKey;
use crate::key::Reason;
use crate::multisig::AuthorizedSigner;
use crate::multisig::Form;
use crate::multisig::InvalidConfig;
use crate::multisig::MultiSigConfig;
use crate::multisig::MultiSigId;
use crate::multisig::config;
use crate::store::Document;
use crate::time::Timestamp;

/// SPEC: "MultiSigKey". Made once, never changed: another set of signers is another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiSigKey {
    /// Follows from everything below but the description and who made it.
    pub id: MultiSigId,
    /// What people call it; unlike the others'.
    pub label: Label,
    /// What it is for.
    pub description: Reason,
    /// What its signatures become.
    pub form: Form,
    /// What it asks for.
    pub config: MultiSigConfig,
    /// Who signs.
    pub signers: Vec<AuthorizedSigner>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By which principal.
    pub created_by: String,
}

impl Document for MultiSigKey {
    const KIND: &'static str = "multisig_key";

    fn document_id(&self) -> String {
        self.id.to_string()
    }
}

/// A multi-signature key that is wanted.
#[derive(Debug, Clone)]
pub struct NewMultiSigKey {
    /// What people will call it.
    pub label: Label,
    /// What it is for.
    pub description: Reason,
    /// What its signatures become.
    pub form: Form,
    /// What it asks for.
    pub config: MultiSigConfig,
    /// Who signs.
    pub signers: Vec<AuthorizedSigner>,
}

/// A signer as a caller names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerRef {
    /// By what people call them.
    Label(Label),
    /// By their key.
    Key(PublicKey),
}

impl MultiSigKey {
    /// Decides a new key.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(
        wanted: NewMultiSigKey,
        created_by: &str,
        now: Timestamp,
    ) -> Result<Self, InvalidConfig> {
        config::check(&wanted.config, &wanted.signers, (&wanted.form, now))?;
        let mut key = Self {
            id: MultiSigId::of(&[0; 32]),
            label: wanted.label,
            description: wanted.description,
            form: wanted.form,
            config: wanted.config,
            signers: wanted.signers,
            created_at: now,
            created_by: created_by.to_owned(),
        };
        key.id = MultiSigId::of(&key.configuration_sha256());
        if let Form::Cosmos { .. } = key.form {
            _ = key.account()?;
        }
        Ok(key)
    }

    /// SHA-256 of [`Self::configuration`].
    pub fn configuration_sha256(&self) -> [u8; 32] {
        sha256(self.configuration().as_bytes())
    }

    /// The configuration in its one spelling, which the id and every statement bind. A line for each
    /// term, one for each signer; nothing in a line can end it.
    pub fn configuration(&self) -> String {
        let mut text = String::from("virtengine multisig key v1\n");
        let config = &self.config;
        for (name, value) in [
            ("label", self.label.to_string()),
            ("form", self.form.name().to_owned()),
            ("threshold", config.threshold.to_string()),
            ("total-signers", config.total_signers.to_string()),
            ("timeout-seconds", config.timeout_s.to_string()),
            ("allow-partial", config.allow_partial_sig.to_string()),
            ("ordered", config.require_ordered.to_string()),
        ] {
            _ = writeln!(text, "{name}: {value}"); // a String takes any text
        }
        for signer in &self.signers {
            let expires = signer.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            let order = signer.order.map_or_else(|| "-".to_owned(), |order| order.to_string());
            let owner = signer.owner.as_deref().unwrap_or("-");
            let fingerprint = fingerprint(&signer.public_key);
            let (weight, label) = (signer.weight, &signer.label);
            _ = writeln!(text, "signer: {weight} {expires} {order} {owner} {fingerprint} {label}");
        }
        text
    }

    /// The signer that is named.
    pub fn signer(&self, named: &SignerRef) -> Option<&AuthorizedSigner> {
        self.signers.iter().find(|signer| match named {
            SignerRef::Label(label) => signer.label.folded() == label.folded(),
            SignerRef::Key(key) => signer.public_key == *key,
        })
    }

    /// The account on a Cosmos chain.
    ///
    /// # Errors
    /// When this is not a key of that form, or the chain would not take it.
    pub fn account(&self) -> Result<LegacyAminoPubKey, InvalidConfig> {
        let members = self.signers.iter().map(|signer| signer.public_key.clone()).collect();
        let threshold = u32::try_from(self.config.threshold).unwrap_or(u32::MAX);
        Ok(match self.form {
            Form::Cosmos { sorted: true } => LegacyAminoPubKey::sorted(threshold, members)?,
            Form::Cosmos { sorted: false } => LegacyAminoPubKey::new(threshold, members)?,
            Form::Approval => return Err(InvalidConfig::CosmosTerms),
        })
    }
}

/// SHA-256 of a key's SubjectPublicKeyInfo; of its bytes where it is none, which no signer is.
pub(crate) fn fingerprint(key: &PublicKey) -> Fingerprint {
    Fingerprint(key.fingerprint().unwrap_or_else(|_| sha256(key.as_bytes())))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    array
}
