//! `virtengine mfa`.

use kms::access::Permission;
use kms::access::PrincipalName;
use kms_api::EnrollMfa;
use kms_api::Enrolled;
use kms_api::ResetMfa;
use kms_api::Secret;
use kms_api::Unnamed;
use serde::Serialize;

use crate::cli::access::MfaCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::output::secret::SecretText;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::rehearsal;
use crate::visit::visit;
use crate::visit::visit_keeping_code;

/// Carries out an `mfa` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &MfaCommand) -> Result<Exit, Problem> {
    match command {
        MfaCommand::Enroll => visit_keeping_code(context, enroll),
        MfaCommand::Verify if context.global.mfa_code.is_none() => {
            Err(Problem::usage("no code is given").fix("add --mfa-code CODE"))
        }
        MfaCommand::Verify => visit(context, Stdin::Free, verify),
        MfaCommand::Reset(args) => visit(context, Stdin::Free, |visit| reset(visit, &args.name)),
    }
}

fn reset(visit: &Visit<'_>, name: &PrincipalName) -> Result<Exit, Problem> {
    let would = || Ok(format!("take the authenticator of {name} away"));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    _ = visit.ask(name.clone(), ResetMfa {})?;
    say(&format!("{name} can enrol another authenticator: virtengine mfa enroll"));
    Ok(Exit::Ok)
}

fn enroll(visit: &Visit<'_>) -> Result<Exit, Problem> {
    if visit.context.global.dry_run {
        return rehearsal(visit.context, "enrol an authenticator");
    }
    let code = visit.context.global.mfa_code.as_ref();
    let code = code.map(|code| Secret::copy_from(code.as_bytes()));
    let passphrase = visit.passphrase()?;
    let enrolment = visit.ask(Unnamed, EnrollMfa { passphrase, code })?;
    let text = match visit.context.format {
        Format::Text => text(&enrolment),
        Format::Json | Format::Yaml => SecretText::default()
            .add("{\"uri\":")
            .json(&enrolment.uri.0)?
            .add(",\"recovery_codes\":")
            .codes(enrolment.recovery_codes.iter().map(|code| &code.0))?
            .add("}\n"),
    };
    text.write()?;
    say("this is shown once; keep the recovery codes elsewhere");
    Ok(Exit::Ok)
}

fn text(enrolment: &Enrolled) -> SecretText {
    let uri = SecretText::default().add("uri        ").secret(&enrolment.uri.0).add("\n");
    enrolment
        .recovery_codes
        .iter()
        .fold(uri, |text, code| text.add("recovery   ").secret(&code.0).add("\n"))
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
}

fn verify(visit: &Visit<'_>) -> Result<Exit, Problem> {
    // The login has taken the code, once and for all: that it succeeded is the answer.
    visit.context.data(&Verified { verified: true }, || "the code is right".to_owned())?;
    Ok(Exit::Ok)
}
