//! Signing: one message, or many in one group commit.

use kms::access::Permission;
use kms::audit::Pending;
use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::KeyRef;
use kms::manager::Signed;
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
use crate::Underway;
use crate::Uses;
use crate::failure::ProblemDetails;
use crate::schema::AlgorithmName;
use crate::schema::KeyIdText;

/// Most items of one batch.
pub const BATCH_LIMIT: usize = 1000;

/// Signs a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The message, base64. Missing is an error; an empty one must be said.
    pub message: Bytes,
    /// The message is meant to have no bytes.
    #[serde(default)]
    pub empty: bool,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How it is made.
    #[serde(default)]
    pub scheme: SchemeView,
}

/// A signature, and the key that made it: a label names another key after a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Signed)]
pub struct SignedView {
    /// The key.
    #[schema(value_type = KeyIdText)]
    pub key_id: KeyId,
    /// Its algorithm.
    #[schema(value_type = AlgorithmName)]
    pub algorithm: Algorithm,
    /// How the signature is written.
    pub encoding: Encoding,
    /// The signature.
    pub signature: String,
}

impl Sign {
    fn begin(&self, key: &KeyRef, desk: &Desk<'_>) -> Result<Pending<Signed>, Failure> {
        if self.message.0.is_empty() && !self.empty {
            return Err(message_missing());
        }
        if matches!(self.encoding, Encoding::Der | Encoding::Rsv) {
            // Before the key is used: a signature nobody can write down need not be made.
            self.encoding.fits(desk.kms.get_key(desk.caller, key)?.algorithm())?;
        }
        let scheme = self.scheme.scheme();
        Ok(desk.kms.sign_pending(desk.caller, key, &self.message.0, scheme)?)
    }
}

fn message_missing() -> Failure {
    let failure = Failure::new(crate::Kind::Usage, "message_missing", "the message is empty");
    failure.fix("an empty message must be said: \"empty\": true")
}

fn view(signed: &Signed, encoding: Encoding) -> Result<SignedView, Failure> {
    Ok(SignedView {
        key_id: signed.key_id,
        algorithm: signed.signature.algorithm,
        encoding,
        signature: encoding.write(&signed.signature)?,
    })
}

impl Operation for Sign {
    type On = KeyRef;
    type Answer = SignedView;
    const NAME: &'static str = "keys.sign";
    const ABOUT: &'static str = "Sign a message";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/sign";
    const NEEDS: Option<Permission> = Some(Permission::KeySign);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<SignedView, Failure> {
        view(&self.begin(&key, desk)?.wait()?, self.encoding)
    }
}

impl Uses for Sign {
    fn start(self, key: KeyRef, desk: &Desk<'_>) -> Result<Underway<SignedView>, Failure> {
        let pending = self.begin(&key, desk)?;
        let encoding = self.encoding;
        Ok(Box::pin(async move { view(&pending.await?, encoding) }))
    }
}

/// Signs many messages; each gets its own answer, all in one group commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignBatch {
    /// The messages.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<SignItem>,
    /// How the signatures are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How they are made.
    #[serde(default)]
    pub scheme: SchemeView,
}

/// One message of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignItem {
    /// The message, base64.
    pub message: Bytes,
    /// The caller's own name for it; comes back with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What came of each message, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedBatch {
    /// One result each.
    pub results: Vec<SignedItem>,
}

/// What came of one message: a signature, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedItem {
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyIdText>)]
    pub key_id: Option<KeyId>,
    /// The signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemDetails>)]
    pub error: Option<Failure>,
}

impl SignedItem {
    fn of(reference: Option<String>, outcome: Result<SignedView, Failure>) -> Self {
        match outcome {
            Ok(signed) => Self {
                reference,
                key_id: Some(signed.key_id),
                signature: Some(signed.signature),
                error: None,
            },
            Err(error) => Self { reference, key_id: None, signature: None, error: Some(error) },
        }
    }
}

type Begun = (Option<String>, Result<Pending<Signed>, Failure>);

impl SignBatch {
    /// Uses the key for every message; no record is waited for yet.
    fn begin(self, key: &KeyRef, desk: &Desk<'_>) -> Result<Vec<Begun>, Failure> {
        check_batch(self.items.len())?;
        if matches!(self.encoding, Encoding::Der | Encoding::Rsv) {
            self.encoding.fits(desk.kms.get_key(desk.caller, key)?.algorithm())?;
        }
        let scheme = self.scheme.scheme();
        let sign = |item: SignItem| {
            let message = item.message.0;
            let begun = match message.is_empty() {
                // an empty one is signed alone, where it can be said
                true => Err(message_missing()),
                false => {
                    desk.kms.sign_pending(desk.caller, key, &message, scheme).map_err(Failure::from)
                }
            };
            (item.reference, begun)
        };
        Ok(self.items.into_iter().map(sign).collect())
    }
}

/// Refuses a batch of nothing or of too much.
///
/// # Errors
/// When it is one.
pub(crate) fn check_batch(items: usize) -> Result<(), Failure> {
    if (1..=BATCH_LIMIT).contains(&items) {
        return Ok(());
    }
    Err(Failure::usage(format!("a batch has 1 to {BATCH_LIMIT} items, not {items}")))
}

impl Operation for SignBatch {
    type On = KeyRef;
    type Answer = SignedBatch;
    const NAME: &'static str = "keys.sign_batch";
    const ABOUT: &'static str = "Sign many messages; each gets its own result";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/sign-batch";
    const NEEDS: Option<Permission> = Some(Permission::KeySign);
    const EFFECT: Effect = Effect::Changes;

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<SignedBatch, Failure> {
        let encoding = self.encoding;
        let finish = |(reference, begun): Begun| {
            let signed = begun.and_then(|pending| Ok(pending.wait()?));
            SignedItem::of(reference, signed.and_then(|signed| view(&signed, encoding)))
        };
        let results = self.begin(&key, desk)?.into_iter().map(finish).collect();
        Ok(SignedBatch { results })
    }
}

impl Uses for SignBatch {
    fn start(self, key: KeyRef, desk: &Desk<'_>) -> Result<Underway<SignedBatch>, Failure> {
        let encoding = self.encoding;
        let begun = self.begin(&key, desk)?;
        Ok(Box::pin(async move {
            let mut results = Vec::with_capacity(begun.len());
            for (reference, begun) in begun {
                let signed = match begun {
                    Ok(pending) => pending.await.map_err(Failure::from),
                    Err(failure) => Err(failure),
                };
                let outcome = signed.and_then(|signed| view(&signed, encoding));
                results.push(SignedItem::of(reference, outcome));
            }
            Ok(SignedBatch { results })
        }))
    }

    fn items(&self) -> usize {
        self.items.len()
    }
}
