//! One visit to a home: open, log in, one operation, log out, close.
//!
//! The passphrase is read before the home is opened, so that a person who thinks at the prompt does
//! not keep the home locked.

use std::io::IsTerminal;
use std::io::stderr;
use std::io::stdin;

use kms::access::Permission;
use kms::access::PrincipalName;
use kms::key::KeyRef;
use kms::key::ManagedKey;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms_secret::SecretBytes;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::problem::warn;
use crate::secrets;
use crate::secrets::Stdin;

/// An open home with someone logged in.
pub(crate) struct Visit<'a> {
    /// What every command has at hand.
    pub(crate) context: &'a Context<'a>,
    /// The home.
    pub(crate) kms: &'a KeyManager,
    /// Who is logged in.
    pub(crate) caller: &'a Caller,
    /// Their name.
    pub(crate) principal: &'a PrincipalName,
    /// Their passphrase, for what asks for it again.
    pub(crate) passphrase: &'a SecretBytes,
}

/// Opens the home without logging in.
///
/// # Errors
/// When there is none, it is in use or cannot be read.
pub(crate) fn open(context: &Context<'_>) -> Result<KeyManager, Problem> {
    let kms = KeyManager::open(context.options()?).map_err(|e| {
        let mut problem = Problem::from(e);
        let home = context.home.display().to_string();
        problem.advice.iter_mut().for_each(|line| *line = line.replace("HOME", &home));
        problem
    })?;
    for notice in kms.notices() {
        warn(&notice.to_string());
    }
    Ok(kms)
}

/// Runs `work` for the caller; what fails first is what the person is told.
///
/// `work` runs a second time where it wants a second factor and the person at the terminal has
/// given a code then.
///
/// # Errors
/// When the home cannot be opened, the login is refused, `work` fails or the home cannot be closed.
pub(crate) fn visit<T>(
    context: &Context<'_>,
    input: Stdin,
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    enter(context, input, |kms, passphrase| {
        let given = context.global.mfa_code.as_deref();
        match attend(context, kms, (passphrase, given), &work) {
            Err(problem) if problem.code == "mfa_required" && given.is_none() && at_terminal() => {
                let code = secrets::mfa_code()?;
                let code = std::str::from_utf8(code.expose());
                let code = code.map_err(|_| Problem::usage("the code has six digits"))?;
                attend(context, kms, (passphrase, Some(code)), &work)
            }
            done => done,
        }
    })
}

/// As [`visit`], but leaves the second factor's code for `work` to use: a code serves once.
///
/// # Errors
/// As [`visit`].
pub(crate) fn visit_keeping_code<T>(
    context: &Context<'_>,
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    enter(context, Stdin::Free, |kms, passphrase| attend(context, kms, (passphrase, None), &work))
}

fn enter<T>(
    context: &Context<'_>,
    input: Stdin,
    attend: impl FnOnce(&KeyManager, &SecretBytes) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if !context.home.join("state/kms.db").exists() {
        open(context)?; // says what is missing, before a passphrase is asked for
    }
    let passphrase = secrets::passphrase(context.global, "Passphrase", input)?;
    let kms = open(context)?;
    unseal_by_token(context, &kms);
    let done = attend(&kms, &passphrase);
    drop(passphrase);
    let closed = kms.close().map_err(Problem::from);
    let value = done?;
    closed?;
    Ok(value)
}

/// Opens the keystore by the tokens that are to do so. That one does not answer stops nobody who has
/// a slot of their own.
fn unseal_by_token(context: &Context<'_>, kms: &KeyManager) {
    let enabled = context.loaded.config.hsm.iter().filter(|(_, hsm)| hsm.unlock_keystore);
    for (name, _) in enabled {
        let Ok(storage) = format!("hsm:{name}").parse() else { continue };
        if let Err(error) = kms.unseal_with_token(&storage) {
            warn(&format!("{storage} did not open the keystore: {error}"));
        }
    }
}

fn attend<T>(
    context: &Context<'_>,
    kms: &KeyManager,
    (passphrase, mfa_code): (&SecretBytes, Option<&str>),
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let principal = &principal(context, kms)?;
    let caller = kms.login(login(principal, passphrase, mfa_code))?;
    let done = work(&Visit { context, kms, caller: &caller, principal, passphrase });
    leave(kms, caller, done)
}

/// Logs out. A session that what was done has ended already, as a new passphrase does, is left too.
fn leave<T>(kms: &KeyManager, caller: Caller, done: Result<T, Problem>) -> Result<T, Problem> {
    let left = kms.logout(caller).map_err(Problem::from);
    let value = done?;
    match left {
        Err(problem) if problem.code != "session_ended" => Err(problem),
        Ok(()) | Err(_) => Ok(value),
    }
}

fn principal(context: &Context<'_>, kms: &KeyManager) -> Result<PrincipalName, Problem> {
    let named = context.global.principal.clone();
    named.or_else(|| kms.default_principal()).ok_or_else(|| {
        Problem::usage("no principal is named, and there is more than one administrator")
            .fix("add --as PRINCIPAL, or set VIRTENGINE_PRINCIPAL")
    })
}

fn login<'a>(
    principal: &'a PrincipalName,
    passphrase: &'a SecretBytes,
    mfa_code: Option<&'a str>,
) -> Login<'a> {
    let user_agent = concat!("virtengine/", env!("CARGO_PKG_VERSION")).to_owned();
    let client = Client { source_ip: None, user_agent };
    Login { principal, passphrase, mfa_code, client }
}

/// Whether a person can be asked.
pub(crate) fn at_terminal() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

impl Visit<'_> {
    /// The key that is named.
    ///
    /// # Errors
    /// When there is none, or the caller may not see it.
    pub(crate) fn key(&self, key: &KeyRef) -> Result<ManagedKey, Problem> {
        Ok(self.kms.get_key(self.caller, key)?)
    }

    /// With `--dry-run`: checks the permission, says what would be done, and ends the command.
    ///
    /// # Errors
    /// When the permission is missing.
    pub(crate) fn rehearse(
        &self,
        permission: Permission,
        would: impl FnOnce() -> Result<String, Problem>,
    ) -> Result<Option<Exit>, Problem> {
        if !self.context.global.dry_run {
            return Ok(None);
        }
        self.kms.access(self.caller).check_permission(permission)?;
        rehearsal(self.context, &would()?).map(Some)
    }
}

/// Says what would be done.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn rehearsal(context: &Context<'_>, would: &str) -> Result<Exit, Problem> {
    context.data(&Rehearsal { dry_run: true, would }, || {
        format!("dry run: would {would}; nothing was changed\n")
    })?;
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct Rehearsal<'a> {
    dry_run: bool,
    would: &'a str,
}
