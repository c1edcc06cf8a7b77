//! Multi-signature keys and operations as programs see them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::manager::Completed;
use kms::manager::Listed;
use kms::manager::OperationView;
use kms::multisig::Form;
use kms::multisig::MultiSigKey;
use kms::multisig::Operation;
use kms::multisig::Outcome;
use kms::multisig::Tally;
use kms_formats::address::AddressKind;
use kms_formats::address::Prefix;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// A multi-signature key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MultiSigKeyView {
    /// Its id, for ever.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `multi`, as Cosmos SDK calls it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    pub description: String,
    /// `approval` or `cosmos`.
    pub form: String,
    /// The weight that is needed.
    pub threshold: u64,
    /// How many may sign.
    pub total_signers: u32,
    /// How long an operation waits, in seconds.
    pub timeout_s: u64,
    /// Whether signatures can be read before enough have signed.
    pub allow_partial_sig: bool,
    /// Whether signers sign in order.
    pub require_ordered: bool,
    /// SHA-256 of the configuration that operations are bound to, hex.
    pub configuration_sha256: String,
    /// The address of the account, bech32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Cosmos SDK's JSON, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<String>,
    /// Who may sign.
    pub signers: Vec<SignerView>,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// Who may sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignerView {
    /// What people call them.
    pub label: String,
    /// The algorithm of their key.
    pub algorithm: String,
    /// SHA-256 of the DER of its SubjectPublicKeyInfo, hex.
    pub fingerprint: String,
    /// The bytes of their key, base64.
    pub public_key: String,
    /// How much counts, or counts already.
    pub weight: u32,
    /// Until when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Their place in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// The principal whose key it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl MultiSigKeyView {
    /// What is shown of a key.
    pub(crate) fn of(key: &MultiSigKey) -> Self {
        let account = match key.form {
            Form::Cosmos { .. } => key.account().ok(),
            Form::Approval => None,
        };
        let address = |account: &kms_formats::multisig::LegacyAminoPubKey| {
            account.address().to_bech32(&Prefix::default(), AddressKind::Account)
        };
        let signers = key.signers.iter().map(|signer| SignerView {
            label: signer.label.to_string(),
            algorithm: signer.public_key.algorithm().name().to_owned(),
            fingerprint: signer.public_key.fingerprint().map(hex::encode).unwrap_or_default(),
            public_key: signer.public_key.to_base64(),
            weight: signer.weight.get(),
            expires_at: signer.expires_at.map(|at| at.to_string()),
            order: signer.order,
            owner: signer.owner.clone(),
        });
        Self {
            id: key.id.to_string(),
            name: key.label.to_string(),
            kind: "multi".to_owned(),
            description: key.description.to_string(),
            form: key.form.name().to_owned(),
            threshold: key.config.threshold,
            total_signers: key.config.total_signers,
            timeout_s: key.config.timeout_s,
            allow_partial_sig: key.config.allow_partial_sig,
            require_ordered: key.config.require_ordered,
            configuration_sha256: hex::encode(key.configuration_sha256()),
            address: account.as_ref().map(address),
            pubkey: account.as_ref().map(|account| account.to_cosmos_json()),
            signers: signers.collect(),
            created_at: key.created_at.to_string(),
        }
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MultiSigOperationView {
    /// Its id, for ever.
    pub id: String,
    /// `pending`, `threshold_met`, `complete`, `expired` or `cancelled`.
    pub state: String,
    /// The key's name.
    pub key: String,
    /// The key's id.
    pub key_id: String,
    /// What it is for.
    pub description: String,
    /// The principal that asked.
    pub initiator: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Until when, RFC 3339.
    pub expires_at: String,
    /// How much counts, or counts already.
    pub weight: u64,
    /// The weight that is needed.
    pub threshold: u64,
    /// Who has signed.
    pub signed: Vec<SignedByView>,
    /// Who has not.
    pub missing: Vec<MissingView>,
    /// SHA-256 of the message, hex: what signers compare.
    pub message_sha256: String,
    /// How long the message is.
    pub message_bytes: usize,
    /// What it approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// The rule that asks for it, and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The signer who does not count, as the one who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    /// How much of its time is over, where a reminder is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_due_percent: Option<u8>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is signed, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
    /// The message itself, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_base64: Option<String>,
    /// The bytes a signer signs, which are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Who has signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignedByView {
    /// What people call them.
    pub signer: String,
    /// How much counts, or counts already.
    pub weight: u32,
    /// When they signed.
    pub signed_at: String,
    /// Whether it counts.
    pub counts: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// The signature, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Who has not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MissingView {
    /// What people call them.
    pub signer: String,
    /// How much counts, or counts already.
    pub weight: u32,
    /// Whether they still can.
    pub can_sign: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// What is signed, decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// `multi`, as Cosmos SDK calls it.
    pub kind: String,
    /// Its fields, as people read them.
    pub lines: Vec<LineView>,
}

/// One field of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LineView {
    /// What people call it.
    pub name: String,
    /// The value.
    pub value: String,
}

impl MultiSigOperationView {
    /// What is shown of an operation.
    pub(crate) fn of(view: &OperationView) -> Self {
        let percent = view.reminder.as_ref().map(|reminder| reminder.percent);
        let mut shown = summary((&view.operation, &view.tally), view.key.label.as_str(), percent);
        let lines = view
            .description
            .lines
            .iter()
            .map(|(name, value)| LineView { name: name.trim().to_owned(), value: value.clone() });
        shown.message =
            Some(MessageView { kind: view.description.kind.to_owned(), lines: lines.collect() });
        shown.message_base64 = Some(STANDARD.encode(&view.message));
        shown.request = String::from_utf8(view.sign_bytes.clone()).ok();
        for signed in &mut shown.signed {
            let of = |collected: &&kms::multisig::Collected| {
                collected.signer.as_str() == signed.signer && !collected.signature.is_empty()
            };
            let found = view.operation.signatures.iter().find(of);
            signed.signature = found.map(|collected| collected.signature.clone());
        }
        shown
    }
}

/// What is shown of an operation in a list.
pub(crate) fn listed(listed: &Listed) -> MultiSigOperationView {
    let percent = listed.reminder.as_ref().map(|reminder| reminder.percent);
    summary((&listed.operation, &listed.tally), listed.key.as_str(), percent)
}

fn summary(
    (operation, tally): (&Operation, &Tally),
    key: &str,
    reminder_due_percent: Option<u8>,
) -> MultiSigOperationView {
    let signed = tally.signed.iter().map(|signed| SignedByView {
        signer: signed.signer.to_string(),
        weight: signed.weight,
        signed_at: signed.at.to_string(),
        counts: signed.excluded.is_none(),
        why_not: signed.excluded.map(|why| why.why().to_owned()),
        signature: None,
    });
    let missing = tally.missing.iter().map(|missing| MissingView {
        signer: missing.signer.to_string(),
        weight: missing.weight,
        can_sign: missing.excluded.is_none(),
        why_not: missing.excluded.map(|why| why.why().to_owned()),
    });
    let closed = operation.closed.as_ref();
    let reason = closed.and_then(|closed| match &closed.outcome {
        Outcome::Cancelled { reason } => Some(reason.to_string()),
        Outcome::Complete { .. } | Outcome::Expired => None,
    });
    MultiSigOperationView {
        id: operation.id.to_string(),
        state: tally.state.name().to_owned(),
        key: key.to_owned(),
        key_id: operation.key.to_string(),
        description: operation.description.to_string(),
        initiator: operation.initiator.clone(),
        created_at: operation.created_at.to_string(),
        expires_at: operation.expires_at.to_string(),
        weight: tally.weight,
        threshold: tally.threshold,
        signed: signed.collect(),
        missing: missing.collect(),
        message_sha256: operation.message_sha256.to_string(),
        message_bytes: operation.message_bytes,
        act: operation.act.map(|act| act.name().to_owned()),
        rule: operation.rule.as_ref().map(|rule| format!("{} v{}", rule.name, rule.version)),
        without: operation.without.as_ref().map(ToString::to_string),
        reminder_due_percent,
        closed_at: closed.map(|closed| closed.at.to_string()),
        reason,
        message: None,
        message_base64: None,
        request: None,
    }
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompletedView {
    /// Its id, for ever.
    pub id: String,
    /// `pending`, `threshold_met`, `complete`, `expired` or `cancelled`.
    pub state: String,
    /// `approval` or `cosmos`.
    pub form: String,
    /// What it is worth: the evidence, or the Cosmos MultiSignature, base64.
    pub final_signature: String,
    /// The evidence bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<serde_json::Value>,
    /// What was done, where it approved one of the product's own acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// The signature it approved, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The key that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Who signed, as Cosmos counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_array: Option<BitArrayView>,
    /// The SignerInfo of the transaction, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_info: Option<String>,
}

/// Who signed, as Cosmos counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BitArrayView {
    /// Bits in the last byte.
    pub extra_bits_stored: u32,
    /// The bits, base64.
    pub elems: String,
}

impl CompletedView {
    pub(crate) fn of(done: &Completed) -> Self {
        let mut shown = Self {
            id: String::new(),
            state: "complete".to_owned(),
            form: "approval".to_owned(),
            final_signature: String::new(),
            evidence: None,
            done: None,
            signature: None,
            key_id: None,
            bit_array: None,
            signer_info: None,
        };
        match done {
            Completed::Approved { operation, evidence, done, signed } => {
                shown.id = operation.id.to_string();
                shown.final_signature = STANDARD.encode(evidence);
                shown.evidence = serde_json::from_slice(evidence).ok();
                shown.done.clone_from(done);
                shown.signature = signed.as_ref().map(|s| STANDARD.encode(&s.signature.bytes));
                shown.key_id = signed.as_ref().map(|signed| signed.key_id.to_string());
            }
            Completed::Signed { operation, assembled } => {
                shown.id = operation.id.to_string();
                shown.form = "cosmos".to_owned();
                shown.final_signature = STANDARD.encode(&assembled.multi_signature);
                shown.bit_array = Some(BitArrayView {
                    extra_bits_stored: assembled.extra_bits,
                    elems: STANDARD.encode(&assembled.elems),
                });
                shown.signer_info = Some(STANDARD.encode(&assembled.signer_info));
            }
        }
        shown
    }
}
