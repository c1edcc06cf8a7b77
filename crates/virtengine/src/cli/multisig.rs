//! `virtengine multisig` and `virtengine approval`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::Purpose;
use kms::key::Reason;
use kms::multisig::ActKind;
use kms::multisig::MultiSigId;
use kms::multisig::OperationId;

use crate::cli::sign::MessageArgs;

/// Several parties authorize one thing.
#[derive(Debug, Subcommand)]
pub(crate) enum MultisigCommand {
    /// Make a multisig key: who signs, how much each counts, how much is needed
    Create(CreateArgs),
    /// List the operations that wait for signatures, those that expire first at the top
    List(ListArgs),
    /// Show an operation with what is signed, decoded; or a multisig key
    Show(ShowArgs),
    /// Ask for signatures over a message
    Initiate(InitiateArgs),
    /// Sign an operation with a key of this home
    Sign(SignArgs),
    /// Add a signature that was made elsewhere
    AddSignature(AddSignatureArgs),
    /// Complete an operation that has enough signatures; carry out what it approves
    Complete(CompleteArgs),
    /// Call an operation off, for ever
    Cancel(CancelArgs),
    /// Verify the evidence of an approval; needs no home (exit 0: valid, 8: not valid)
    Verify(VerifyArgs),
}

/// `multisig create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name of the multisig key
    pub(crate) name: Label,
    /// Weight of signatures that is needed
    #[arg(long, value_name = "N")]
    pub(crate) threshold: u64,
    /// A signer: their name, their public key and how much they count [weight: 1]. The key is a
    /// file (SPKI in PEM or DER), ALGORITHM:HEX, hex or base64, or the name of a key of this home
    #[arg(long = "signer", value_name = "LABEL=PUBKEY[:WEIGHT]", required = true)]
    pub(crate) signers: Vec<String>,
    /// Whose key a signer's is, by name of the principal; approvals need it of every signer
    #[arg(long = "owner", value_name = "LABEL=PRINCIPAL")]
    pub(crate) owners: Vec<String>,
    /// Until when a signer counts
    #[arg(long = "signer-expires", value_name = "LABEL=TIME")]
    pub(crate) expires: Vec<String>,
    /// How long an operation waits for signatures: 90s, 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    pub(crate) timeout: u64,
    /// What the signatures become
    #[arg(long, default_value = "approval")]
    pub(crate) form: FormName,
    /// Keep the members of a Cosmos account in the order they are given in
    #[arg(long)]
    pub(crate) nosort: bool,
    /// Let signatures be read before the threshold is met
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// Signers sign in the order they are given in
    #[arg(long)]
    pub(crate) ordered: bool,
    /// What it is for [default: its name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<Reason>,
}

/// Names of forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormName {
    /// Weighted signers of any algorithm; evidence that anyone can verify
    Approval,
    /// A Cosmos account of several secp256k1 keys; a signature of the chain
    Cosmos,
}

/// `multisig list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List the multisig keys instead
    #[arg(long)]
    pub(crate) keys: bool,
    /// Also those that are over, in the order of their beginning
    #[arg(long)]
    pub(crate) all: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Begin after this place, which the page before named
    #[arg(long, value_name = "PLACE", default_value = "")]
    pub(crate) after: String,
}

/// `multisig show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of an operation, or name or id of a multisig key
    #[arg(value_name = "OPERATION|NAME")]
    pub(crate) what: String,
    /// Write the bytes to sign to this file, `-` for stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) request_file: Option<PathBuf>,
    /// Write the message itself to this file, `-` for stdout
    #[arg(long, value_name = "FILE", conflicts_with = "request_file")]
    pub(crate) message_file: Option<PathBuf>,
}

/// `multisig initiate`.
#[derive(Debug, Args)]
pub(crate) struct InitiateArgs {
    /// Name or id of the multisig key
    pub(crate) key: String,
    /// What is to be agreed on.
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// What it is, for those who are asked
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Reason,
}

/// `multisig sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Id of the operation
    pub(crate) operation: OperationId,
    /// Label or id of your key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: KeyRef,
}

/// `multisig add-signature`.
#[derive(Debug, Args)]
pub(crate) struct AddSignatureArgs {
    /// Id of the operation
    pub(crate) operation: OperationId,
    /// Whose: name of the signer, or their public key
    #[arg(long, value_name = "LABEL|PUBKEY")]
    pub(crate) signer: String,
    /// The signature as hex or base64; ECDSA also in DER
    #[arg(long, value_name = "TEXT", required_unless_present = "signature_file")]
    #[arg(conflicts_with = "signature_file", allow_hyphen_values = true)]
    pub(crate) signature: Option<String>,
    /// A file with the signature, as bytes or text
    #[arg(long, value_name = "FILE")]
    pub(crate) signature_file: Option<PathBuf>,
}

/// `multisig complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// Id of the operation
    pub(crate) operation: OperationId,
    /// Write the evidence, or the signature of a Cosmos account, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `multisig cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// Id of the operation
    pub(crate) operation: OperationId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Reason,
}

/// `multisig verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The evidence, `-` for stdin
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// The multisig key it has to be of
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<MultiSigId>,
}

/// Which of the product's own operations wait for whose approval.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List the approval rules
    List,
    /// Make a rule, or replace it; to replace one, its own quorum has to approve
    Set(RuleSetArgs),
    /// Remove a rule; its own quorum has to approve
    Remove(RuleNameArgs),
}

/// `approval set`.
#[derive(Debug, Args)]
pub(crate) struct RuleSetArgs {
    /// Name of the rule
    pub(crate) name: Label,
    /// What waits: activate, rotate, reactivate, destroy, sign, access, policy or approval; repeat
    /// for several
    #[arg(long = "act", value_name = "ACT", required = true)]
    pub(crate) acts: Vec<ActKind>,
    /// Whose approval: name or id of a multisig key of the form approval
    #[arg(long, value_name = "MULTISIG")]
    pub(crate) quorum: String,
    /// Of which keys: pattern of labels, or id; repeat for several [default: all]
    #[arg(long = "scope", value_name = "KEY")]
    pub(crate) scopes: Vec<String>,
    /// Of keys for which purpose; repeat for several
    #[arg(long = "scope-purpose", value_name = "PURPOSE")]
    pub(crate) purposes: Vec<Purpose>,
    /// Let whoever asks be one of those who approve
    #[arg(long)]
    pub(crate) initiator_counts: bool,
}

/// Names a rule.
#[derive(Debug, Args)]
pub(crate) struct RuleNameArgs {
    /// Name of the rule
    pub(crate) name: Label,
}

/// Reads a time like `24h` in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let unknown = || format!("`{text}` is no time like 90s, 30m, 24h or 7d");
    let unit = text.chars().last().ok_or_else(unknown)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(unknown()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    number.and_then(|number| number.checked_mul(factor)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_units() {
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("7d"), Ok(7 * 86_400));
        for wrong in
            ["", "h", "24", "-1h", "1.5h", "99999999999999999999d", "9999999999999999d", "é"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
