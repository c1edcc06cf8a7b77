//! What the multi-signature manager hands out: operations as a signer should see them, and what came
//! of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms_formats::multisig::Assembled;
use kms_formats::transaction;
use kms_formats::transaction::Description;

use crate::key::Label;
use crate::key::PublicKey;
use crate::manager::Error;
use crate::manager::Signed;
use crate::manager::orders::Order;
use crate::manager::signing::sha256_hex;
use crate::multisig::Act;
use crate::multisig::Evidence;
use crate::multisig::Form;
use crate::multisig::MultiSigKey;
use crate::multisig::Operation;
use crate::multisig::Refusal;
use crate::multisig::Reminder;
use crate::multisig::SignerRef;
use crate::multisig::Subject;
use crate::multisig::Tally;

/// An operation with everything a signer should see before signing.
#[derive(Debug, Clone)]
pub struct OperationView {
    /// The operation. Its signatures are left out before the threshold is met, unless the key
    /// allows partial ones to be read.
    pub operation: Operation,
    /// Its key.
    pub key: MultiSigKey,
    /// Who has signed and who has not.
    pub tally: Tally,
    /// What is to be signed, decoded.
    pub description: Description,
    /// The message.
    pub message: Vec<u8>,
    /// The bytes a signer signs.
    pub sign_bytes: Vec<u8>,
    /// The reminder that is due.
    pub reminder: Option<Reminder>,
}

/// An operation in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The operation, without its signatures.
    pub operation: Operation,
    /// Its key's label.
    pub key: Label,
    /// Who has signed and who has not.
    pub tally: Tally,
    /// The reminder that is due.
    pub reminder: Option<Reminder>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The operations.
    pub operations: Vec<Listed>,
    /// Where the next page begins; absent at the end.
    pub next: Option<String>,
}

/// What came of an operation.
#[derive(Debug)]
pub enum Completed {
    /// Evidence that it was agreed on: the specification's `FinalSignature` of the approval form.
    Approved {
        /// The operation.
        operation: Operation,
        /// The evidence bundle.
        evidence: Vec<u8>,
        /// What was done, where the operation approved one of the product's own.
        done: Option<String>,
        /// What was signed, where it approved a signature.
        signed: Option<Signed>,
    },
    /// The signature of a Cosmos account.
    Signed {
        /// The operation.
        operation: Operation,
        /// What the signatures become in the transaction.
        assembled: Assembled,
    },
}

/// What a completed operation gives, always the same.
pub(crate) fn completed(
    key: &MultiSigKey,
    operation: Operation,
    message: &[u8],
) -> Result<Completed, Error> {
    match key.form {
        Form::Approval => {
            let evidence = Evidence::of(key, &operation, message).to_bytes();
            Ok(Completed::Approved { operation, evidence, done: None, signed: None })
        }
        Form::Cosmos { .. } => {
            let account = key.account()?;
            let sequence =
                transaction::AminoSignDoc::read(message).map_err(Refusal::from)?.sequence;
            let bytes = |signer: &PublicKey| {
                let signer = key.signer(&SignerRef::Key(signer.clone()))?;
                hex::decode(&operation.signature_of(&signer.label)?.signature).ok()
            };
            let signed: Vec<Option<Vec<u8>>> = account.members().iter().map(bytes).collect();
            let of = |member: &PublicKey| {
                let at = account.members().iter().position(|other| other == member)?;
                signed.get(at)?.as_deref()
            };
            let assembled = account.assemble(sequence, of);
            Ok(Completed::Signed { operation, assembled })
        }
    }
}

/// What a message is: an act of the product's own, or whatever it decodes to.
pub(crate) fn described(message: &[u8]) -> Description {
    let Some(act) = Act::from_bytes(message) else { return transaction::describe(message) };
    let line = |name: &str, value: String| (name.to_owned(), value);
    let mut lines = vec![line("act", act.act.name().to_owned())];
    match &act.subject {
        Subject::Key { label, purpose, .. } => {
            lines.push(line("of key", format!("{label}, for {purpose}")));
        }
        Subject::Renamed { from, to, .. } => lines.push(line("of key", format!("{from} → {to}"))),
        Subject::Rule(name) => lines.push(line("of rule", name.to_string())),
        Subject::Home => {}
    }
    for (name, value) in act.order.as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        lines.push(line(name, shown));
    }
    if let Some(Order::Sign { message, .. }) = Order::of(&act)
        && let Ok(bytes) = STANDARD.decode(message)
    {
        lines.retain(|(name, _)| name != "message");
        let inner = transaction::describe(&bytes);
        lines.push(("signs".to_owned(), inner.kind.to_owned()));
        lines.push(("signs sha256".to_owned(), sha256_hex(&bytes)));
        let inner = inner.lines.into_iter();
        lines.extend(inner.map(|(name, value)| (format!("  {}", name.trim()), value)));
    }
    Description { kind: "operation of this product", lines }
}
