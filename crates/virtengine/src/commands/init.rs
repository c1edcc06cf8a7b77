//! `virtengine init`: a home and its first administrator.

use std::fs;

use kms::manager::Init;
use kms::manager::Initialized;
use kms::manager::KeyManager;
use kms::manager::Mfa;

use crate::cli::system::InitArgs;
use crate::cli::system::MfaKind;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::output::secret::SecretText;
use crate::problem::Problem;
use crate::problem::say;
use crate::problem::warn;
use crate::secrets;
use crate::visit::rehearsal;

/// Makes the home; prints what the administrator must keep, once.
///
/// # Errors
/// When there is a home already, or it cannot be made.
pub(crate) fn run(context: &Context<'_>, args: &InitArgs) -> Result<Exit, Problem> {
    if context.global.dry_run {
        return rehearsal(context, &format!("make a home in {}", context.home.display()));
    }
    let question = format!("New passphrase of {}", args.admin);
    let passphrase = secrets::chosen_passphrase(context.global, &question)?;
    let mfa = match args.mfa {
        MfaKind::Totp => Mfa::Totp,
        MfaKind::None => Mfa::None,
    };
    let above = context.home.parent().unwrap_or(&context.home);
    fs::create_dir_all(above)
        .map_err(|e| Problem::io(format!("cannot make {}", above.display()), &e))?;
    let init = Init { admin: args.admin.clone(), passphrase: &passphrase, mfa };
    let made = KeyManager::init(&context.options()?, init)?;
    if args.mfa == MfaKind::None {
        warn("this is a development home for ever: nobody is asked for a second factor");
    }
    let text = match context.format {
        Format::Text => text(context, &made),
        Format::Json | Format::Yaml => json(context, &made)?,
    };
    text.write()?;
    let keep =
        if made.mfa.is_some() { "the recovery codes and the audit key" } else { "the audit key" };
    say(&format!("keep {keep} elsewhere; next: virtengine keys add NAME"));
    Ok(Exit::Ok)
}

fn text(context: &Context<'_>, made: &Initialized) -> SecretText {
    let mut text = SecretText::default().add(&format!(
        "home       {}\nadmin      {}\naudit key  {}\n",
        context.home.display(),
        made.admin.name,
        made.audit_key
    ));
    if let Some(enrolment) = &made.mfa {
        text = text.add("mfa        ").secret(&enrolment.uri).add("\n");
        for code in &enrolment.recovery_codes {
            text = text.add("recovery   ").secret(code).add("\n");
        }
    }
    text
}

fn json(context: &Context<'_>, made: &Initialized) -> Result<SecretText, Problem> {
    let public = serde_json::json!({
        "home": context.home,
        "admin": made.admin.name,
        "audit_key": made.audit_key,
    });
    let head = public.to_string();
    let mut text = SecretText::default().add(head.trim_end_matches('}')).add(",\"mfa\":");
    let Some(enrolment) = &made.mfa else {
        return Ok(text.add("{\"type\":\"none\",\"uri\":null},\"recovery_codes\":[]}\n"));
    };
    text = text.add("{\"type\":\"totp\",\"uri\":").json(&enrolment.uri)?.add("}");
    Ok(text.add(",\"recovery_codes\":").codes(&enrolment.recovery_codes)?.add("}\n"))
}
