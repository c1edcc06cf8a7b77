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
use kms::manager::Error;
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
}

/// Opens the home without logging in.
///
/// # Errors
/// When there is none, it is in use or cannot be read.
pub(crate) fn open(context: &Context<'_>) -> Result<KeyManager, Problem> {
    let kms = KeyManager::open(context.options()?)?;
    for notice in kms.notices() {
        warn(&notice.to_string());
    }
    Ok(kms)
}

/// Runs `work` for the caller; what fails first is what the person is told.
///
/// # Errors
/// When the home cannot be opened, the login is refused, `work` fails or the home cannot be closed.
pub(crate) fn visit<T>(
    context: &Context<'_>,
    input: Stdin,
    work: impl FnOnce(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if !context.home.exists() {
        open(context)?; // says what is missing, before a passphrase is asked for
    }
    let passphrase = secrets::passphrase(context.global, "Passphrase", input)?;
    let kms = open(context)?;
    let done = attend(context, &kms, &passphrase, work);
    drop(passphrase);
    let closed = kms.close().map_err(Problem::from);
    let value = done?;
    closed?;
    Ok(value)
}

fn attend<T>(
    context: &Context<'_>,
    kms: &KeyManager,
    passphrase: &SecretBytes,
    work: impl FnOnce(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let principal = principal(context, kms)?;
    let caller = log_in(context, kms, &principal, passphrase)?;
    let done = work(&Visit { context, kms, caller: &caller, principal: &principal });
    let left = kms.logout(caller).map_err(Problem::from);
    let value = done?;
    left?;
    Ok(value)
}

fn principal(context: &Context<'_>, kms: &KeyManager) -> Result<PrincipalName, Problem> {
    let named = context.global.principal.clone();
    named.or_else(|| kms.default_principal()).ok_or_else(|| {
        Problem::usage("no principal is named, and there is more than one administrator")
            .fix("add --as PRINCIPAL, or set VIRTENGINE_PRINCIPAL")
    })
}

/// Logs in; where only the second factor is missing and a person sits there, asks for it.
fn log_in(
    context: &Context<'_>,
    kms: &KeyManager,
    principal: &PrincipalName,
    passphrase: &SecretBytes,
) -> Result<Caller, Problem> {
    let given = context.global.mfa_code.as_deref();
    match login(kms, principal, passphrase, given) {
        Err(error) if given.is_none() && error.code() == "mfa_required" && at_terminal() => {
            let code = secrets::mfa_code()?;
            let code = std::str::from_utf8(code.expose())
                .map_err(|_| Problem::usage("the code has six digits"))?;
            Ok(login(kms, principal, passphrase, Some(code))?)
        }
        other => Ok(other?),
    }
}

fn login(
    kms: &KeyManager,
    principal: &PrincipalName,
    passphrase: &SecretBytes,
    mfa_code: Option<&str>,
) -> Result<Caller, Error> {
    let user_agent = concat!("virtengine/", env!("CARGO_PKG_VERSION")).to_owned();
    kms.login(Login {
        principal,
        passphrase,
        mfa_code,
        client: Client { source_ip: None, user_agent },
    })
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
        let would = would()?;
        self.context.data(&Rehearsal { dry_run: true, would: &would }, || {
            format!("dry run: would {would}; nothing was changed\n")
        })?;
        Ok(Some(Exit::Ok))
    }
}

#[derive(Serialize)]
struct Rehearsal<'a> {
    dry_run: bool,
    would: &'a str,
}
