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
use kms::multisig::EvidenceError;
use kms::multisig::OperationId;
use kms::multisig::OperationState;
use kms::multisig::Verified;
use kms::multisig::verify_evidence;
use kms_api::AddSignature;
use kms_api::Bytes;
use kms_api::CancelOperation;
use kms_api::CompleteOperation;
use kms_api::InitiateOperation;
use kms_api::ListMultiSigKeys;
use kms_api::ListOperations;
use kms_api::MultiSigOperationView;
use kms_api::ShowMultiSigKey;
use kms_api::ShowOperation;
use kms_api::SignOperation;
use kms_api::Unnamed;
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
    if args.keys {
        let keys = visit.ask(Unnamed, ListMultiSigKeys {})?;
        visit.context.data(&keys, || shown::key_table(&keys))?;
        return Ok(Exit::Ok);
    }
    let (all, after, limit) = (args.all, args.after.clone(), Some(args.limit));
    let page = visit.ask(Unnamed, ListOperations { all, after, limit })?;
    visit.context.data(&page.operations, || shown::table(&page.operations))?;
    if let Some(next) = page.next {
        say(&format!("there is more: add --after '{next}'"));
    }
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, args: &ShowArgs) -> Result<Exit, Problem> {
    let Ok(operation) = args.what.parse::<OperationId>() else {
        let key = visit.ask(args.what.clone(), ShowMultiSigKey {})?;
        visit.context.data(&key, || shown::key(&key))?;
        return Ok(Exit::Ok);
    };
    let view = visit.ask(operation, ShowOperation {})?;
    if let Some(path) = &args.request_file {
        return write(path, view.request.unwrap_or_default().as_bytes());
    }
    if let Some(path) = &args.message_file {
        let message = STANDARD.decode(view.message_base64.unwrap_or_default());
        return write(path, &message.unwrap_or_default());
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
        let description = args.description.clone();
        let what = InitiateOperation { message: Bytes(message.clone()), description };
        let begun = visit.ask(args.key.clone(), what)?;
        say(&format!("signers see it: virtengine multisig show {}", begun.id));
        print(visit, &begun)
    })
}

fn sign(visit: &Visit<'_>, args: &SignArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("sign {} with {}", args.operation, visit.key(&args.key)?.name));
    if let Some(exit) = visit.rehearse(Permission::MultisigSign, would)? {
        return Ok(exit);
    }
    let view = visit.ask(args.operation, SignOperation { key: args.key.clone() })?;
    met(&view);
    print(visit, &view)
}

fn add_signature(context: &Context<'_>, args: &AddSignatureArgs) -> Result<Exit, Problem> {
    let given = match &args.signature_file {
        Some(path) => read(path)?,
        None => args.signature.clone().unwrap_or_default().into_bytes(),
    };
    let signature = Bytes(signature(&given));
    visit(context, Stdin::Free, |visit| {
        let would = || Ok(format!("add a signature of {} to {}", args.signer, args.operation));
        if let Some(exit) = visit.rehearse(Permission::MultisigSign, would)? {
            return Ok(exit);
        }
        let by_label = args.signer.parse::<Label>().ok();
        let mut what = AddSignature {
            signer: by_label.clone(),
            algorithm: None,
            public_key: None,
            signature: signature.clone(),
        };
        let known = by_label.is_some_and(|label| is_signer(visit, args.operation, &label));
        // Where nobody is called so, it may be a key; where it is none either, the name is refused.
        if !known && let Ok(key) = public_key(visit, &args.signer) {
            what.signer = None;
            what.algorithm = Some(key.algorithm());
            what.public_key = Some(Bytes(key.as_bytes().to_vec()));
        }
        let view = visit.ask(args.operation, what)?;
        met(&view);
        print(visit, &view)
    })
}

/// Whether a signer of the operation is called so.
fn is_signer(visit: &Visit<'_>, operation: OperationId, label: &Label) -> bool {
    let Ok(view) = visit.ask(operation, ShowOperation {}) else { return false };
    let signed = view.signed.iter().map(|signed| &signed.signer);
    let missing = view.missing.iter().map(|missing| &missing.signer);
    signed.chain(missing).any(|signer| signer.eq_ignore_ascii_case(label.as_str()))
}

fn complete(visit: &Visit<'_>, args: &CompleteArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("complete {}", args.operation));
    if let Some(exit) = visit.rehearse(Permission::MultisigComplete, would)? {
        return Ok(exit);
    }
    let done = visit.ask(args.operation, CompleteOperation {})?;
    if let Some(path) = &args.out {
        write(path, &STANDARD.decode(&done.final_signature).unwrap_or_default())?;
        say(&format!("written to {}", path.display()));
    }
    visit.context.data(&done, || shown::completed(&done, args.out.is_some()))?;
    Ok(Exit::Ok)
}

fn cancel(context: &Context<'_>, args: &CancelArgs) -> Result<Exit, Problem> {
    confirm::mild(context.global, &format!("Call {} off for ever?", args.operation))?;
    visit(context, Stdin::Free, |visit| {
        if visit.context.global.dry_run {
            let found = visit.ask(args.operation, ShowOperation {})?;
            let would = format!("cancel {} ({})", found.id, found.description);
            return crate::visit::rehearsal(visit.context, &would);
        }
        let view = visit.ask(args.operation, CancelOperation { reason: args.reason.clone() })?;
        print(visit, &view)
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
fn print(visit: &Visit<'_>, view: &MultiSigOperationView) -> Result<Exit, Problem> {
    visit.context.data(view, || shown::operation(view))?;
    Ok(Exit::Ok)
}

fn met(view: &MultiSigOperationView) {
    if view.state == OperationState::ThresholdMet.name() {
        say(&format!("enough have signed: virtengine multisig complete {}", view.id));
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
