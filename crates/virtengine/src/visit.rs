//! One visit to a home: open, log in, one operation, log out, close.
//!
//! The passphrase is read before the home is opened, so that a person who thinks at the prompt does
//! not keep the home locked.

use std::cell::RefCell;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::io::stderr;
use std::io::stdin;

use kms::access::Permission;
use kms::access::PrincipalName;
use kms::audit::ExportFormat;
use kms::audit::Query;
use kms::key::KeyRef;
use kms::manager::Caller;
use kms::manager::Client as From;
use kms::manager::Error;
use kms::manager::Fault;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Options;
use kms_api::CheckPermission;
use kms_api::Desk;
use kms_api::KeyView;
use kms_api::Operation;
use kms_api::Secret;
use kms_api::ShowKey;
use kms_secret::SecretBytes;
use kms_server::Client;
use kms_server::ClientError;
use serde::Serialize;

use crate::context::Context;
use crate::daemon;
use crate::daemon::AGENT;
use crate::daemon::Kept;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::problem::warn;
use crate::secrets;
use crate::secrets::Stdin;

/// A home with someone logged in.
pub(crate) struct Visit<'a> {
    /// What every command has at hand.
    pub(crate) context: &'a Context<'a>,
    /// Where operations are carried out.
    line: Line<'a>,
    /// Their name.
    pub(crate) principal: &'a PrincipalName,
    /// Their passphrase, where it was asked for.
    passphrase: Option<&'a SecretBytes>,
}

/// Where operations are carried out.
#[derive(Clone, Copy)]
enum Line<'a> {
    /// In this process.
    Here(Desk<'a>),
    /// In the daemon.
    There(&'a RefCell<Client>),
}

/// Opens the home without logging in.
///
/// # Errors
/// When there is none, it is in use or cannot be read.
pub(crate) fn open(context: &Context<'_>) -> Result<KeyManager, Problem> {
    open_with(context.options()?, context)
}

/// Opens the home in a way of one's own.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_with(options: Options, context: &Context<'_>) -> Result<KeyManager, Problem> {
    let kms = KeyManager::open(options).map_err(|e| {
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

/// Runs `work` for the caller: in the daemon where one runs, else in this process. What fails first
/// is what the person is told.
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
    let given = context.global.mfa_code.as_deref();
    enter(
        context,
        input,
        |place, passphrase| match place.attend(context, (passphrase, given), &work) {
            Err(problem) if problem.code == "mfa_required" && given.is_none() && at_terminal() => {
                let code = secrets::mfa_code()?;
                let code = std::str::from_utf8(code.expose());
                let code = code.map_err(|_| Problem::usage("the code has six digits"))?;
                place.attend(context, (passphrase, Some(code)), &work)
            }
            done => done,
        },
        &work,
    )
}

/// As [`visit`], but leaves the second factor's code for `work` to use: a code serves once.
///
/// # Errors
/// As [`visit`].
pub(crate) fn visit_keeping_code<T>(
    context: &Context<'_>,
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let attend =
        |place: &Place<'_>, passphrase: &_| place.attend(context, (passphrase, None), &work);
    enter(context, Stdin::Free, attend, &work)
}

/// Where a visit takes place.
enum Place<'a> {
    Here(&'a KeyManager),
    There(&'a RefCell<Client>),
}

fn enter<T>(
    context: &Context<'_>,
    input: Stdin,
    attend: impl FnOnce(&Place<'_>, &SecretBytes) -> Result<T, Problem>,
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if let Some(client) = daemon::find(context)? {
        let client = RefCell::new(client);
        if let Some(done) = with_kept_session(context, &client, work) {
            return done;
        }
        let passphrase = secrets::passphrase(context.global, "Passphrase", input)?;
        return attend(&Place::There(&client), &passphrase);
    }
    if !context.home.join("state/kms.db").exists() {
        open(context)?; // says what is missing, before a passphrase is asked for
    }
    let passphrase = secrets::passphrase(context.global, "Passphrase", input)?;
    let kms = open(context)?;
    unseal_by_token(context, &kms);
    let done = attend(&Place::Here(&kms), &passphrase);
    drop(passphrase);
    let closed = kms.close().map_err(Problem::from);
    let value = done?;
    closed?;
    Ok(value)
}

/// Opens the keystore by the tokens that are to do so. That one does not answer stops nobody who has
/// a slot of their own.
pub(crate) fn unseal_by_token(context: &Context<'_>, kms: &KeyManager) {
    let enabled = context.loaded.config.hsm.iter().filter(|(_, hsm)| hsm.unlock_keystore);
    for (name, _) in enabled {
        let Ok(storage) = format!("hsm:{name}").parse() else { continue };
        if let Err(error) = kms.unseal_with_token(&storage) {
            warn(&format!("{storage} did not open the keystore: {error}"));
        }
    }
}

/// Runs `work` with the session that `login` kept, if there is one and it lives. One that lacks a
/// second factor makes room for a login with one.
fn with_kept_session<T>(
    context: &Context<'_>,
    client: &RefCell<Client>,
    work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
) -> Option<Result<T, Problem>> {
    let kept = Kept::find(context, &client.borrow())?;
    let Kept { session, principal, .. } = kept;
    client.borrow_mut().with_session(session.0);
    let (line, principal) = (Line::There(client), &principal);
    match work(&Visit { context, line, principal, passphrase: None }) {
        Err(problem) if problem.code == "session_ended" || problem.code == "session_missing" => {
            Kept::forget(&client.borrow());
            None
        }
        Err(problem) if problem.code == "mfa_required" && at_terminal() => None,
        done => Some(done),
    }
}

impl Place<'_> {
    fn attend<T>(
        &self,
        context: &Context<'_>,
        (passphrase, mfa_code): (&SecretBytes, Option<&str>),
        work: impl Fn(&Visit<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        match self {
            Self::Here(kms) => {
                let principal = &principal(context, kms)?;
                let caller = kms.login(login(principal, passphrase, mfa_code))?;
                let line = Line::Here(Desk { kms, caller: &caller });
                let done = work(&Visit { context, line, principal, passphrase: Some(passphrase) });
                leave(kms, caller, done)
            }
            Self::There(client) => {
                let login = shown(context, passphrase, mfa_code);
                let principal = &client.borrow_mut().login(&login)?.principal;
                let line = Line::There(client);
                let done = work(&Visit { context, line, principal, passphrase: Some(passphrase) });
                let left = client.borrow_mut().logout().map_err(Problem::from);
                let value = done?;
                match left {
                    // What was done has ended it already, as a new passphrase does.
                    Err(problem) if !problem.code.starts_with("session_") => Err(problem),
                    Ok(()) | Err(_) => Ok(value),
                }
            }
        }
    }
}

/// What is shown to the daemon to begin a session.
pub(crate) fn shown(
    context: &Context<'_>,
    passphrase: &SecretBytes,
    mfa_code: Option<&str>,
) -> kms_api::Login {
    kms_api::Login {
        principal: context.global.principal.clone(),
        passphrase: Some(Secret::copy_from(passphrase.expose())),
        mfa_code: mfa_code.map(|code| Secret::copy_from(code.as_bytes())),
        any_agent: false,
    }
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
    let client = From { source_ip: None, user_agent: AGENT.to_owned() };
    Login { principal, passphrase, mfa_code, client }
}

/// Whether a person can be asked.
pub(crate) fn at_terminal() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

impl Visit<'_> {
    /// Carries out an operation.
    ///
    /// # Errors
    /// When it was refused or went wrong.
    pub(crate) fn ask<O: Operation>(&self, on: O::On, what: O) -> Result<O::Answer, Problem> {
        match self.line {
            Line::Here(desk) => Ok(what.carry_out(on, &desk)?),
            Line::There(client) => Ok(client.borrow_mut().ask(&on, &what)?),
        }
    }

    /// The home itself, for what is done only where it lies: its tokens are plugged in here.
    ///
    /// # Errors
    /// When a daemon has the home.
    pub(crate) fn here(&self) -> Result<Desk<'_>, Problem> {
        match self.line {
            Line::Here(desk) => Ok(desk),
            Line::There(_) => Err(Problem::new(
                Exit::Conflict,
                "daemon_runs",
                "a daemon has the home, and this is done where no daemon runs",
            )
            .fix("stop the daemon, run this, and start it again")),
        }
    }

    /// The caller's passphrase, for what asks for it again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn passphrase(&self) -> Result<Secret, Problem> {
        match self.passphrase {
            Some(passphrase) => Ok(Secret::copy_from(passphrase.expose())),
            None => secrets::passphrase(self.context.global, "Passphrase", Stdin::Free).map(Secret),
        }
    }

    /// The key that is named.
    ///
    /// # Errors
    /// When there is none, or the caller may not see it.
    pub(crate) fn key(&self, key: &KeyRef) -> Result<KeyView, Problem> {
        self.ask(key.clone(), ShowKey {})
    }

    /// Writes all records of the log to `out`; returns how many, where that is known.
    ///
    /// # Errors
    /// When the caller may not, or `out` takes no more.
    pub(crate) fn export(
        &self,
        format: ExportFormat,
        out: &mut dyn Write,
    ) -> Result<u64, ExportFailed> {
        let client = match self.line {
            Line::There(client) => client,
            Line::Here(Desk { kms, caller }) => {
                let exported = kms.audit(caller).export(&Query::default(), format, out);
                return exported.map_err(|error| match error {
                    Error::Fault(Fault::Output(cause)) => ExportFailed::Output(cause),
                    other => ExportFailed::Refused(other.into()),
                });
            }
        };
        let (name, heading) = match format {
            ExportFormat::Jsonl => ("jsonl", 0),
            ExportFormat::Csv => ("csv", 1),
        };
        let mut lines = Lines { out, count: 0 };
        let copied =
            client.borrow_mut().copy(&format!("/v1/audit/export?format={name}"), &mut lines);
        match copied {
            Ok(()) => Ok(lines.count.saturating_sub(heading)),
            Err(ClientError::Output(cause)) => Err(ExportFailed::Output(cause)),
            Err(error) => Err(ExportFailed::Refused(error.into())),
        }
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
        _ = self.ask(permission, CheckPermission {})?;
        rehearsal(self.context, &would()?).map(Some)
    }
}

/// Counts the lines that go by; a record never has more than one.
struct Lines<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let lines = bytes.iter().take(written).filter(|b| **b == b'\n').count();
        self.count += u64::try_from(lines).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Why an export stopped.
pub(crate) enum ExportFailed {
    /// It was refused or went wrong.
    Refused(Problem),
    /// Where it goes to took no more.
    Output(io::Error),
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
