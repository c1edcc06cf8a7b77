//! How multi-signature keys and operations are shown to people.

use kms_api::CompletedView;
use kms_api::MultiSigKeyView;
use kms_api::MultiSigOperationView;

use crate::output::text::Details;
use crate::output::text::Table;

/// A key.
pub(crate) fn key(key: &MultiSigKeyView) -> String {
    let mut details = Details::default()
        .add("name", &key.name)
        .add("id", &key.id)
        .add("description", &key.description)
        .add("form", &key.form)
        .maybe("address", key.address.as_ref())
        .add("threshold", key.threshold)
        .add("waits", format!("{} seconds", key.timeout_s))
        .add("created", &key.created_at);
    for signer in &key.signers {
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
pub(crate) fn key_table(keys: &[MultiSigKeyView]) -> String {
    let mut table = Table::new(&["NAME", "ID", "FORM", "THRESHOLD", "SIGNERS"]);
    for key in keys {
        let signers: Vec<&str> = key.signers.iter().map(|s| s.label.as_str()).collect();
        table.row([
            key.name.clone(),
            key.id.clone(),
            key.form.clone(),
            key.threshold.to_string(),
            signers.join(", "),
        ]);
    }
    table.render_or("no multisig keys")
}

/// For people: what is signed first, the digest to compare last.
pub(crate) fn operation(shown: &MultiSigOperationView) -> String {
    let mut details = Details::default()
        .add("operation", &shown.id)
        .add("state", &shown.state)
        .add("multisig key", format!("{} ({})", shown.key, shown.key_id))
        .add("description", &shown.description)
        .add("asked by", &shown.initiator)
        .add("begun", &shown.created_at)
        .add("expires", &shown.expires_at)
        .maybe("approves", shown.act.as_ref())
        .maybe("rule", shown.rule.as_ref())
        .maybe("closed", shown.closed_at.as_ref())
        .maybe("reason", shown.reason.as_ref())
        .add("weight", format!("{} of {}", shown.weight, shown.threshold));
    for signed in &shown.signed {
        let not = signed.why_not.as_ref().map(|why| format!(", does not count: {why}"));
        let line = format!("{} at {}{}", signed.signer, signed.signed_at, not.unwrap_or_default());
        details = details.add("signed", line);
    }
    for missing in &shown.missing {
        let not = missing.why_not.as_ref().map(|why| format!(" (cannot: {why})"));
        details = details.add("missing", format!("{}{}", missing.signer, not.unwrap_or_default()));
    }
    if let Some(percent) = shown.reminder_due_percent {
        let due = format!("{percent} percent of the time is over: remind those who are missing");
        details = details.add("reminder", due);
    }
    if let Some(message) = &shown.message {
        details = details.add("what is signed", &message.kind);
        for field in &message.lines {
            details = details.add(&format!("  {}", field.name), &field.value);
        }
    }
    let length = format!("{} bytes", shown.message_bytes);
    details.add("message", length).add("message sha256", &shown.message_sha256).render()
}

/// Several, one a line.
pub(crate) fn table(operations: &[MultiSigOperationView]) -> String {
    let heading =
        ["OPERATION", "STATE", "KEY", "WEIGHT", "MISSING", "EXPIRES", "DUE", "DESCRIPTION"];
    let mut table = Table::new(&heading);
    for one in operations {
        let missing: Vec<&str> =
            one.missing.iter().filter(|m| m.can_sign).map(|m| m.signer.as_str()).collect();
        table.row([
            one.id.clone(),
            one.state.clone(),
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

/// What came of an operation; without the evidence where that was written to a file.
pub(crate) fn completed(shown: &CompletedView, written: bool) -> String {
    let details = Details::default()
        .add("operation", &shown.id)
        .add("state", &shown.state)
        .maybe("done", shown.done.as_ref())
        .maybe("signature", shown.signature.as_ref());
    match &shown.evidence {
        _ if written => details.render(),
        Some(evidence) => format!("{}\n{evidence}\n", details.render()),
        None => details
            .add("final signature", &shown.final_signature)
            .maybe("signer info", shown.signer_info.as_ref())
            .render(),
    }
}
