//! `virtengine multisig`.

mod make;
mod shown;

use std::fs::File;
use std::io::Read;
use std::io::stdin;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::access::Permission;
use kms::key::Label;
use kms::manager::Completed;
use kms::manager::OperationView;
use kms::multisig::EvidenceError;
use kms::multisig::OperationId;
use kms::multisig::OperationState;
use kms::multisig::SignerRef;
use kms::multisig::Verified;
use kms::multisig::verify_evidence;
use serde::Serialize;

use crate::cli::global::Global;
use crate::cli::multisig::AddSignatureArgs;
use crate::cli::multisig::CancelArgs;
use crate::cli::multisig::CompleteArgs;
use crate::cli::multisig::InitiateArgs;
use crate::cli::multisig::ListArgs;
use crate::cli::multisig::MultisigCommand;
use crate::cli::multisig::ShowArgs;
use crate::cli::multisig::SignArgs;
use crate::cli::multisig::VerifyArgs;
pub(crate) use crate::commands::multisig::make::account;
use crate::commands::multisig::make::public_key;
use crate::commands::multisig::shown::KeyShown;
use crate::commands::multisig::shown::OperationShown;
use crate::commands::multisig::shown::listed;
use crate::commands::sign;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::Format;
use crate::output::text::Details;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// A file that is read here has at most so many bytes: evidence of the greatest message.
const FILE_LIMIT: u64 = 4 << 20;

/// Carries out a `multisig` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &MultisigCommand) -> Result<Exit, Problem> {
    match command {
        MultisigCommand::Create(args) => visit(context, Stdin::Free, |v| make::create(v, args)),
        MultisigCommand::List(args) => visit(context, Stdin::Free, |visit| list(visit, args)),
        MultisigCommand::Show(args) => visit(context, Stdin::Free, |visit| show(visit, args)),
        MultisigCommand::Initiate(args) => initiate(context, args),
        MultisigCommand::Sign(args) => visit(context, Stdin::Free, |visit| sign(visit, args)),
        MultisigCommand::AddSignature(args) => add_signature(context, args),
        MultisigCommand::Complete(args) => visit(context, Stdin::Free, |v| complete(v, args)),
        MultisigCommand::Cancel(args) => cancel(context, args),
        MultisigCommand::Verify(args) => verify(context.format, args),
    }
}

/// `multisig verify` without a home.
///
/// # Errors
/// When the evidence cannot be read or shows nothing.
pub(crate) fn verify_anywhere(
    global: &Global,
    format: &mut Format,
    args: &VerifyArgs,
) -> Result<Exit, Problem> {
    *format = global.output.unwrap_or_default();
    crate::problem::hold_notes_for(*format);
    verify(*format, args)
}

fn list(visit: &Visit<'_>, args: &ListArgs) -> Result<Exit, Problem> {
    let multisig = visit.kms.multisig(visit.caller);
    if args.keys {
        let keys = multisig.list_multisig_keys()?;
        let shown: Vec<KeyShown> = keys.iter().map(KeyShown::of).collect();
        visit.context.data(&shown, || KeyShown::table(&shown))?;
        return Ok(Exit::Ok);
    }
    let page = multisig.list_operations(!args.all, &args.after, args.limit)?;
    let shown: Vec<_> = page.operations.iter().map(listed).collect();
    visit.context.data(&shown, || shown::table(&shown))?;
    if let Some(next) = page.next {
        say(&format!("there is more: add --after '{next}'"));
    }
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, args: &ShowArgs) -> Result<Exit, Problem> {
    let multisig = visit.kms.multisig(visit.caller);
    let Ok(operation) = args.what.parse::<OperationId>() else {
        let key = KeyShown::of(&multisig.get_multisig_key(&args.what)?);
        visit.context.data(&key, || key.text())?;
        return Ok(Exit::Ok);
    };
    let view = multisig.get_operation(operation)?;
    if let Some(path) = &args.request_file {
        return write(path, &view.sign_bytes);
    }
    if let Some(path) = &args.message_file {
        return write(path, &view.message);
    }
    print(visit, &view)
}

fn initiate(context: &Context<'_>, args: &InitiateArgs) -> Result<Exit, Problem> {
    let (message, taken) = sign::message(&args.message)?;
    visit(context, taken, |visit| {
        let would = || Ok(format!("ask the signers of {} for signatures", args.key));
        if let Some(exit) = visit.rehearse(Permission::MultisigInitiate, would)? {
            return Ok(exit);
        }
        let multisig = visit.kms.multisig(visit.caller);
        let begun = multisig.initiate_operation(&args.key, &message, args.description.clone())?;
        say(&format!("signers see it: virtengine multisig show {}", begun.id));
        print(visit, &multisig.get_operation(begun.id)?)
    })
}

fn sign(visit: &Visit<'_>, args: &SignArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("sign {} with {}", args.operation, visit.key(&args.key)?.label));
    if let Some(exit) = visit.rehearse(Permission::MultisigSign, would)? {
        return Ok(exit);
    }
    let view = visit.kms.multisig(visit.caller).sign(args.operation, &args.key)?;
    met(&view);
    print(visit, &view)
}

fn add_signature(context: &Context<'_>, args: &AddSignatureArgs) -> Result<Exit, Problem> {
    let given = match &args.signature_file {
        Some(path) => read(path)?,
        None => args.signature.clone().unwrap_or_default().into_bytes(),
    };
    let signature = signature(&given);
    visit(context, Stdin::Free, |visit| {
        let would = || Ok(format!("add a signature of {} to {}", args.signer, args.operation));
        if let Some(exit) = visit.rehearse(Permission::MultisigSign, would)? {
            return Ok(exit);
        }
        let multisig = visit.kms.multisig(visit.caller);
        let key = multisig.get_operation(args.operation)?.key;
        let by_label = args.signer.parse::<Label>().ok().map(SignerRef::Label);
        let by_label = by_label.filter(|label| key.signer(label).is_some());
        let signer = match (by_label, args.signer.parse::<Label>()) {
            (Some(label), _) => label,
            (None, label) => match (public_key(visit, &args.signer), label) {
                (Ok(key), _) => SignerRef::Key(key),
                (Err(_), Ok(label)) => SignerRef::Label(label),
                (Err(problem), Err(_)) => return Err(problem),
            },
        };
        let view = multisig.add_signature(args.operation, &signer, &signature)?;
        met(&view);
        print(visit, &view)
    })
}

fn complete(visit: &Visit<'_>, args: &CompleteArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("complete {}", args.operation));
    if let Some(exit) = visit.rehearse(Permission::MultisigComplete, would)? {
        return Ok(exit);
    }
    let done = visit.kms.multisig(visit.caller).complete_operation(args.operation)?;
    let bytes = match &done {
        Completed::Approved { evidence, .. } => evidence,
        Completed::Signed { assembled, .. } => &assembled.multi_signature,
    };
    if let Some(path) = &args.out {
        write(path, bytes)?;
        say(&format!("written to {}", path.display()));
    }
    let shown = CompleteShown::of(&done);
    visit.context.data(&shown, || shown.text(args.out.is_some()))?;
    Ok(Exit::Ok)
}

fn cancel(context: &Context<'_>, args: &CancelArgs) -> Result<Exit, Problem> {
    confirm::mild(context.global, &format!("Call {} off for ever?", args.operation))?;
    visit(context, Stdin::Free, |visit| {
        let multisig = visit.kms.multisig(visit.caller);
        if visit.context.global.dry_run {
            let found = multisig.get_operation(args.operation)?.operation;
            let would = format!("cancel {} ({})", found.id, found.description);
            return crate::visit::rehearsal(visit.context, &would);
        }
        multisig.cancel_operation(args.operation, &args.reason)?;
        print(visit, &multisig.get_operation(args.operation)?)
    })
}

fn verify(format: Format, args: &VerifyArgs) -> Result<Exit, Problem> {
    let shown = verify_evidence(&read(&args.bundle)?).map_err(|why| not_valid(&why))?;
    if let Some(wanted) = args.key_id
        && wanted != shown.key
    {
        let problem = Problem::new(Exit::Integrity, "other_key", "the evidence is of another key");
        return Err(problem.because(format!("it is of {}, not of {wanted}", shown.key)));
    }
    output::data(format, &VerifiedShown::of(&shown), || verified_text(&shown))?;
    Ok(Exit::Ok)
}

fn not_valid(why: &EvidenceError) -> Problem {
    Problem::new(Exit::Integrity, "evidence_invalid", "the evidence shows nothing")
        .because(why.to_string())
}

/// The operation with all that a signer should see.
fn print(visit: &Visit<'_>, view: &OperationView) -> Result<Exit, Problem> {
    let shown = OperationShown::of(view);
    visit.context.data(&shown, || shown.text())?;
    Ok(Exit::Ok)
}

fn met(view: &OperationView) {
    if view.tally.state == OperationState::ThresholdMet {
        say(&format!("enough have signed: virtengine multisig complete {}", view.operation.id));
    }
}

/// A signature as bytes, hex or base64.
fn signature(given: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(given).ok().map(str::trim);
    let hex = |text: &str| hex::decode(text.trim_start_matches("0x")).ok();
    let decoded = text.and_then(|text| hex(text).or_else(|| STANDARD.decode(text).ok()));
    decoded.unwrap_or_else(|| given.to_vec())
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |e| Problem::io(format!("cannot read {}", path.display()), &e);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        stdin().take(FILE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<Exit, Problem> {
    if path == Path::new("-") {
        output::bytes(bytes)?;
    } else {
        let unwritable = |e| Problem::io(format!("cannot write {}", path.display()), &e);
        std::fs::write(path, bytes).map_err(unwritable)?;
    }
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct CompleteShown {
    id: String,
    state: &'static str,
    form: &'static str,
    final_signature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit_array: Option<BitArray>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_info: Option<String>,
}

#[derive(Serialize)]
struct BitArray {
    extra_bits_stored: u32,
    elems: String,
}

impl CompleteShown {
    fn of(done: &Completed) -> Self {
        let mut shown = Self {
            id: String::new(),
            state: "complete",
            form: "approval",
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
                shown.form = "cosmos";
                shown.final_signature = STANDARD.encode(&assembled.multi_signature);
                shown.bit_array = Some(BitArray {
                    extra_bits_stored: assembled.extra_bits,
                    elems: STANDARD.encode(&assembled.elems),
                });
                shown.signer_info = Some(STANDARD.encode(&assembled.signer_info));
            }
        }
        shown
    }

    fn text(&self, written: bool) -> String {
        let details = Details::default()
            .add("operation", &self.id)
            .add("state", self.state)
            .maybe("done", self.done.as_ref())
            .maybe("signature", self.signature.as_ref());
        match &self.evidence {
            _ if written => details.render(),
            Some(evidence) => format!("{}\n{evidence}\n", details.render()),
            None => details
                .add("final signature", &self.final_signature)
                .maybe("signer info", self.signer_info.as_ref())
                .render(),
        }
    }
}

#[derive(Serialize)]
struct VerifiedShown {
    valid: bool,
    key: String,
    operation: String,
    message_sha256: String,
    message: String,
    weight: u64,
    threshold: u64,
    signers: Vec<String>,
    completed_at: String,
}

impl VerifiedShown {
    fn of(shown: &Verified) -> Self {
        Self {
            valid: true,
            key: shown.key.to_string(),
            operation: shown.operation.to_string(),
            message_sha256: shown.message_sha256.clone(),
            message: STANDARD.encode(&shown.message),
            weight: shown.weight,
            threshold: shown.threshold,
            signers: shown.signers.iter().map(ToString::to_string).collect(),
            completed_at: shown.completed_at.to_string(),
        }
    }
}

fn verified_text(shown: &Verified) -> String {
    let signers: Vec<&str> = shown.signers.iter().map(Label::as_str).collect();
    let described = kms_formats::transaction::describe(&shown.message);
    let mut details = Details::default()
        .add("valid", "yes, of this multisig key: compare it with the one you know")
        .add("multisig key", shown.key)
        .add("operation", shown.operation)
        .add("completed", shown.completed_at)
        .add("signed by", signers.join(", "))
        .add("weight", format!("{} of {}", shown.weight, shown.threshold))
        .add("message sha256", &shown.message_sha256)
        .add("message", described.kind);
    for (name, value) in &described.lines {
        details = details.add(&format!("  {}", name.trim()), value);
    }
    details.render()
}
