//! Verifying: one signature, or many.

use kms::access::Permission;
use kms::audit::Pending;
use kms::key::KeyRef;
use kms::manager::Error;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Bytes;
use crate::Desk;
use crate::Effect;
use crate::Encoding;
use crate::Failure;
use crate::Method;
use crate::Operation;
use crate::SchemeView;
use crate::failure::ProblemDetails;
use crate::sign::check_batch;

/// Verifies a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The message, base64.
    pub message: Bytes,
    /// The signature.
    #[schema(max_length = 4096)]
    pub signature: String,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How it was made.
    #[serde(default)]
    pub scheme: SchemeView,
}

/// Whether a signature fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Valid)]
pub struct VerifiedView {
    /// Whether it fits.
    pub valid: bool,
}

impl Operation for Verify {
    type On = KeyRef;
    type Answer = VerifiedView;
    const NAME: &'static str = "keys.verify";
    const ABOUT: &'static str = "Verify a signature";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/verify";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);
    const EFFECT: Effect = Effect::Reads;

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<VerifiedView, Failure> {
        // What cannot be read is not valid, on record.
        let signature = self.encoding.read(&self.signature).unwrap_or_default();
        let scheme = self.scheme.scheme();
        let valid = desk.kms.verify(desk.caller, &key, &self.message.0, &signature, scheme)?;
        Ok(VerifiedView { valid })
    }
}

/// Verifies many signatures; each gets its own answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBatch {
    /// The signatures.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<VerifyItem>,
    /// How they are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How they were made.
    #[serde(default)]
    pub scheme: SchemeView,
}

/// One signature of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyItem {
    /// The message, base64.
    pub message: Bytes,
    /// The signature.
    #[schema(max_length = 4096)]
    pub signature: String,
    /// The caller's own name for it; comes back with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What came of each signature, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedBatch {
    /// One result each.
    pub results: Vec<VerifiedItem>,
}

/// What came of one signature: whether it fits, or why that cannot be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedItem {
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether it fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,
    /// Why that cannot be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemDetails>)]
    pub error: Option<Failure>,
}

impl Operation for VerifyBatch {
    type On = KeyRef;
    type Answer = VerifiedBatch;
    const NAME: &'static str = "keys.verify_batch";
    const ABOUT: &'static str = "Verify many signatures; each gets its own result";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/verify-batch";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);
    const EFFECT: Effect = Effect::Reads;

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<VerifiedBatch, Failure> {
        check_batch(self.items.len())?;
        let Self { items, encoding, scheme } = self;
        // All are looked at before the first record is waited for: one group commit.
        let begin = |item: VerifyItem| {
            let signature = encoding.read(&item.signature).unwrap_or_default();
            let how = (&*signature, scheme.scheme());
            (item.reference, desk.kms.verify_pending(desk.caller, &key, &item.message.0, how))
        };
        let begun: Vec<_> = items.into_iter().map(begin).collect();
        let finish =
            |(reference, begun): (Option<String>, Result<Pending<bool>, Error>)| match begun
                .and_then(|pending| Ok(pending.wait()?))
            {
                Ok(valid) => VerifiedItem { reference, valid: Some(valid), error: None },
                Err(error) => VerifiedItem { reference, valid: None, error: Some(error.into()) },
            };
        Ok(VerifiedBatch { results: begun.into_iter().map(finish).collect() })
    }
}
