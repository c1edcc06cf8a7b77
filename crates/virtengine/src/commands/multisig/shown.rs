//! How multi-signature keys and operations are shown.

use kms::manager::Listed;
use kms::manager::OperationView;
use kms::multisig::Form;
use kms::multisig::MultiSigKey;
use kms::multisig::Operation;
use kms::multisig::Outcome;
use kms::multisig::Tally;
use kms_formats::address::AddressKind;
use kms_formats::address::Prefix;
use serde::Serialize;

use crate::output::text::Details;
use crate::output::text::Table;

/// A multi-signature key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyShown {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    description: String,
    form: &'static str,
    threshold: u64,
    total_signers: u32,
    timeout_s: u64,
    allow_partial_sig: bool,
    require_ordered: bool,
    configuration_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pubkey: Option<String>,
    signers: Vec<SignerShown>,
    created_at: String,
}

#[derive(Debug, Serialize)]
struct SignerShown {
    label: String,
    algorithm: &'static str,
    fingerprint: String,
    public_key: String,
    weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

impl KeyShown {
    /// What is shown of a key.
    pub(crate) fn of(key: &MultiSigKey) -> Self {
        let account = match key.form {
            Form::Cosmos { .. } => key.account().ok(),
            Form::Approval => None,
        };
        let address = |account: &kms_formats::multisig::LegacyAminoPubKey| {
            account.address().to_bech32(&Prefix::default(), AddressKind::Account)
        };
        let signers = key.signers.iter().map(|signer| SignerShown {
            label: signer.label.to_string(),
            algorithm: signer.public_key.algorithm().name(),
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
            kind: "multi",
            description: key.description.to_string(),
            form: key.form.name(),
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

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut details = Details::default()
            .add("name", &self.name)
            .add("id", &self.id)
            .add("description", &self.description)
            .add("form", self.form)
            .maybe("address", self.address.as_ref())
            .add("threshold", self.threshold)
            .add("waits", format!("{} seconds", self.timeout_s))
            .add("created", &self.created_at);
        for signer in &self.signers {
            let until = signer.expires_at.as_ref().map(|at| format!(", until {at}"));
            let owner = signer.owner.as_ref().map(|owner| format!(", of {owner}"));
            let shown = format!(
                "{} weighs {}, {} {}{}{}",
                signer.label,
                signer.weight,
                signer.algorithm,
                signer.fingerprint,
                owner.unwrap_or_default(),
                until.unwrap_or_default()
            );
            details = details.add("signer", shown);
        }
        details.render()
    }

    /// Several, one a line.
    pub(crate) fn table(keys: &[Self]) -> String {
        let mut table = Table::new(&["NAME", "ID", "FORM", "THRESHOLD", "SIGNERS"]);
        for key in keys {
            let signers: Vec<&str> = key.signers.iter().map(|s| s.label.as_str()).collect();
            table.row([
                key.name.clone(),
                key.id.clone(),
                key.form.to_owned(),
                key.threshold.to_string(),
                signers.join(", "),
            ]);
        }
        table.render_or("no multisig keys")
    }
}

/// An operation.
#[derive(Debug, Serialize)]
pub(crate) struct OperationShown {
    id: String,
    state: &'static str,
    key: String,
    key_id: String,
    description: String,
    initiator: String,
    created_at: String,
    expires_at: String,
    weight: u64,
    threshold: u64,
    signed: Vec<SignedShown>,
    missing: Vec<MissingShown>,
    message_sha256: String,
    message_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reminder_due_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

#[derive(Debug, Serialize)]
struct SignedShown {
    signer: String,
    weight: u32,
    signed_at: String,
    counts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Debug, Serialize)]
struct MissingShown {
    signer: String,
    weight: u32,
    can_sign: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct MessageShown {
    kind: &'static str,
    lines: Vec<LineShown>,
}

#[derive(Debug, Serialize)]
struct LineShown {
    name: String,
    value: String,
}

impl OperationShown {
    /// What is shown of an operation.
    pub(crate) fn of(view: &OperationView) -> Self {
        let percent = view.reminder.as_ref().map(|reminder| reminder.percent);
        let mut shown = summary((&view.operation, &view.tally), view.key.label.as_str(), percent);
        let lines = view
            .description
            .lines
            .iter()
            .map(|(name, value)| LineShown { name: name.trim().to_owned(), value: value.clone() });
        shown.message = Some(MessageShown { kind: view.description.kind, lines: lines.collect() });
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

    /// For people: what is signed first, the digest to compare last.
    pub(crate) fn text(&self) -> String {
        let mut details = Details::default()
            .add("operation", &self.id)
            .add("state", self.state)
            .add("multisig key", format!("{} ({})", self.key, self.key_id))
            .add("description", &self.description)
            .add("asked by", &self.initiator)
            .add("begun", &self.created_at)
            .add("expires", &self.expires_at)
            .maybe("approves", self.act)
            .maybe("rule", self.rule.as_ref())
            .maybe("closed", self.closed_at.as_ref())
            .maybe("reason", self.reason.as_ref())
            .add("weight", format!("{} of {}", self.weight, self.threshold));
        for signed in &self.signed {
            let not = signed.why_not.map(|why| format!(", does not count: {why}"));
            let shown =
                format!("{} at {}{}", signed.signer, signed.signed_at, not.unwrap_or_default());
            details = details.add("signed", shown);
        }
        for missing in &self.missing {
            let not = missing.why_not.map(|why| format!(" (cannot: {why})"));
            details =
                details.add("missing", format!("{}{}", missing.signer, not.unwrap_or_default()));
        }
        if let Some(percent) = self.reminder_due_percent {
            let due =
                format!("{percent} percent of the time is over: remind those who are missing");
            details = details.add("reminder", due);
        }
        if let Some(message) = &self.message {
            details = details.add("what is signed", message.kind);
            for line in &message.lines {
                details = details.add(&format!("  {}", line.name), &line.value);
            }
        }
        let length = format!("{} bytes", self.message_bytes);
        details.add("message", length).add("message sha256", &self.message_sha256).render()
    }
}

/// What is shown of an operation in a list.
pub(crate) fn listed(listed: &Listed) -> OperationShown {
    let percent = listed.reminder.as_ref().map(|reminder| reminder.percent);
    summary((&listed.operation, &listed.tally), listed.key.as_str(), percent)
}

/// Several, one a line.
pub(crate) fn table(operations: &[OperationShown]) -> String {
    let heading =
        ["OPERATION", "STATE", "KEY", "WEIGHT", "MISSING", "EXPIRES", "DUE", "DESCRIPTION"];
    let mut table = Table::new(&heading);
    for one in operations {
        let missing: Vec<&str> =
            one.missing.iter().filter(|m| m.can_sign).map(|m| m.signer.as_str()).collect();
        table.row([
            one.id.clone(),
            one.state.to_owned(),
            one.key.clone(),
            format!("{}/{}", one.weight, one.threshold),
            missing.join(", "),
            one.expires_at.clone(),
            one.reminder_due_percent.map(|percent| format!("{percent}%")).unwrap_or_default(),
            one.description.clone(),
        ]);
    }
    table.render_or("no operations")
}

fn summary(
    (operation, tally): (&Operation, &Tally),
    key: &str,
    reminder_due_percent: Option<u8>,
) -> OperationShown {
    let signed = tally.signed.iter().map(|signed| SignedShown {
        signer: signed.signer.to_string(),
        weight: signed.weight,
        signed_at: signed.at.to_string(),
        counts: signed.excluded.is_none(),
        why_not: signed.excluded.map(|why| why.why()),
        signature: None,
    });
    let missing = tally.missing.iter().map(|missing| MissingShown {
        signer: missing.signer.to_string(),
        weight: missing.weight,
        can_sign: missing.excluded.is_none(),
        why_not: missing.excluded.map(|why| why.why()),
    });
    let closed = operation.closed.as_ref();
    let reason = closed.and_then(|closed| match &closed.outcome {
        Outcome::Cancelled { reason } => Some(reason.to_string()),
        Outcome::Complete { .. } | Outcome::Expired => None,
    });
    OperationShown {
        id: operation.id.to_string(),
        state: tally.state.name(),
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
        act: operation.act.map(|act| act.name()),
        rule: operation.rule.as_ref().map(|rule| format!("{} v{}", rule.name, rule.version)),
        without: operation.without.as_ref().map(ToString::to_string),
        reminder_due_percent,
        closed_at: closed.map(|closed| closed.at.to_string()),
        reason,
        message: None,
        request: None,
    }
}
