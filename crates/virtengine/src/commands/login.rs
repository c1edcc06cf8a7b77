//! `virtengine login`, `logout`, `unlock` and `lock`: with the daemon.

use kms_api::Lock;
use kms_api::LoggedIn;
use kms_api::Unnamed;

use crate::cli::system::LoginArgs;
use crate::context::Context;
use crate::daemon;
use crate::daemon::Kept;
use crate::exit::Exit;
use crate::output::Format;
use crate::output::secret::SecretText;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets;
use crate::secrets::Stdin;
use crate::visit::shown;
use crate::visit::visit;

/// Begins a session, keeps it, and shows it to programs.
///
/// # Errors
/// When there is no daemon or the login is refused.
pub(crate) fn login(context: &Context<'_>, args: &LoginArgs) -> Result<Exit, Problem> {
    let mut client = daemon::needed(context)?;
    let shown = if args.attested {
        let principal = context.global.principal.clone();
        kms_api::Login { principal, passphrase: None, mfa_code: None, any_agent: true }
    } else {
        let passphrase = secrets::passphrase(context.global, "Passphrase", Stdin::Free)?;
        shown(context, &passphrase, context.global.mfa_code.as_deref())
    };
    // The session is handed on: to later commands, and by programs to other programs.
    let login = kms_api::Login { any_agent: true, ..shown };
    let logged_in = client.login(&login)?;
    let kept = Kept::keep(&client, &logged_in)?;
    let LoggedIn { session, expires_at, principal } = &logged_in;
    match context.format {
        Format::Json | Format::Yaml => {
            let rest =
                format!(",\"expires_at\":\"{expires_at}\",\"principal\":\"{principal}\"}}\n");
            SecretText::default().add("{\"session\":").json(&session.0)?.add(&rest).write()?;
        }
        Format::Text if kept => say(&format!("logged in as {principal} until {expires_at}")),
        Format::Text => {
            say("there is no place to keep the session (HOME is not set); here it is");
            SecretText::default().secret(&session.0).add("\n").write()?;
        }
    }
    Ok(Exit::Ok)
}

/// Ends the session that was kept.
///
/// # Errors
/// When there is no daemon.
pub(crate) fn logout(context: &Context<'_>) -> Result<Exit, Problem> {
    let mut client = daemon::needed(context)?;
    let Some(kept) = Kept::find(context, &client) else {
        say("there is no session to end");
        return Ok(Exit::Ok);
    };
    client.with_session(kept.session.0);
    let ended = client.logout().map_err(Problem::from);
    Kept::forget(&client);
    match ended {
        Err(problem) if !problem.code.starts_with("session_") => Err(problem),
        Ok(()) | Err(_) => {
            say(&format!("the session of {} has ended", kept.principal));
            Ok(Exit::Ok)
        }
    }
}

/// Lets the daemon use keys.
///
/// # Errors
/// When there is no daemon, the login is refused, or the caller does not open the keystore.
pub(crate) fn unlock(context: &Context<'_>) -> Result<Exit, Problem> {
    let mut client = daemon::needed(context)?;
    let passphrase = secrets::passphrase(context.global, "Passphrase", Stdin::Free)?;
    let code = context.global.mfa_code.as_deref();
    let logged_in = client.login(&shown(context, &passphrase, code))?;
    let sealed = client.status()?.sealed;
    client.logout()?;
    if sealed {
        let message = format!("{} does not open the keystore", logged_in.principal);
        return Err(Problem::new(Exit::NotPermitted, "no_slot", message)
            .fix("see who does: virtengine principal list"));
    }
    say("unlocked: keys can be used");
    Ok(Exit::Ok)
}

/// Makes the daemon forget every secret.
///
/// # Errors
/// When there is no daemon or the caller may not.
pub(crate) fn lock(context: &Context<'_>) -> Result<Exit, Problem> {
    daemon::needed(context)?;
    visit(context, Stdin::Free, |visit| {
        _ = visit.ask(Unnamed, Lock {})?;
        say("locked: no key can be used until someone unlocks");
        Ok(Exit::Ok)
    })
}
