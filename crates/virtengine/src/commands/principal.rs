//! `virtengine principal`.

use std::path::Path;

use kms::access::Assignment;
use kms::access::Attestation;
use kms::access::Glob;
use kms::access::Permission;
use kms::access::PrincipalKind;
use kms::access::PrincipalName;
use kms::access::Scope;
use kms::access::Selection;
use kms::key::Purpose;
use kms_api::ChangePassphrase;
use kms_api::CreatePrincipal;
use kms_api::DisablePrincipal;
use kms_api::EnablePrincipal;
use kms_api::ListPrincipals;
use kms_api::Operation;
use kms_api::PrincipalView;
use kms_api::RemovePrincipal;
use kms_api::ResetPassphrase;
use kms_api::Secret;
use kms_api::SetAttestations;
use kms_api::SetRoles;
use kms_api::ShowPrincipal;
use kms_api::Unnamed;

use crate::cli::access::AttestArgs;
use crate::cli::access::Kind;
use crate::cli::access::PassphraseArgs;
use crate::cli::access::PrincipalAddArgs;
use crate::cli::access::PrincipalCommand;
use crate::cli::access::RoleArgs;
use crate::cli::access::SetRolesArgs;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::Details;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `principal` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &PrincipalCommand) -> Result<Exit, Problem> {
    if let PrincipalCommand::Remove(args) = command {
        confirm::mild(context.global, &format!("Remove principal {}?", args.name))?;
    }
    visit(context, Stdin::Free, |visit| match command {
        PrincipalCommand::Add(args) => add(visit, args),
        PrincipalCommand::List => list(visit),
        PrincipalCommand::Show(args) => {
            print(visit, &visit.ask(args.name.clone(), ShowPrincipal {})?)
        }
        PrincipalCommand::Disable(args) => {
            change(visit, "disable", &args.name, || DisablePrincipal {})
        }
        PrincipalCommand::Enable(args) => {
            change(visit, "enable", &args.name, || EnablePrincipal {})
        }
        PrincipalCommand::Remove(args) => {
            change(visit, "remove", &args.name, || RemovePrincipal {})
        }
        PrincipalCommand::SetRoles(args) => set_roles(visit, args),
        PrincipalCommand::Attest(args) => attest(visit, args),
        PrincipalCommand::Passphrase(args) => passphrase(visit, args),
    })
}

fn role_names(view: &PrincipalView) -> String {
    let reach = |assignment: &Assignment| match &assignment.scope {
        Scope::All => assignment.role.to_string(),
        Scope::Only(_) => format!("{} ({})", assignment.role, assignment.scope),
    };
    view.roles.iter().map(reach).collect::<Vec<_>>().join(", ")
}

fn print(visit: &Visit<'_>, view: &PrincipalView) -> Result<Exit, Problem> {
    visit.context.data(view, || {
        Details::default()
            .add("name", &view.name)
            .add("id", &view.id)
            .add("roles", role_names(view))
            .add("enabled", view.enabled)
            .add("opens the keystore", view.slot)
            .add("created", view.created_at)
            .render()
    })?;
    Ok(Exit::Ok)
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let views = visit.ask(Unnamed, ListPrincipals {})?;
    visit.context.data(&views, || {
        let mut table = Table::new(&["NAME", "ROLES", "ENABLED", "KEYSTORE", "ID"]);
        for view in &views {
            table.row([
                view.name.to_string(),
                role_names(view),
                view.enabled.to_string(),
                view.slot.to_string(),
                view.id.clone(),
            ]);
        }
        table.render_or("no principals")
    })?;
    Ok(Exit::Ok)
}

fn add(visit: &Visit<'_>, args: &PrincipalAddArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("add principal {}", args.name));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    let kind = match args.kind {
        Kind::User => PrincipalKind::User,
        Kind::Service => PrincipalKind::Service,
    };
    let roles = assignments(&args.roles)?;
    let question = format!("New passphrase of {}", args.name);
    let passphrase = secrets::new_passphrase(args.new_passphrase_file.as_deref(), &question)?;
    let (name, slot, passphrase) = (args.name.clone(), args.slot, Secret(passphrase));
    let principal = visit.ask(Unnamed, CreatePrincipal { name, kind, roles, slot, passphrase })?;
    print(visit, &principal)
}

/// Every role with the same scope.
fn assignments(args: &RoleArgs) -> Result<Vec<Assignment>, Problem> {
    let scope = scope_of(&args.scopes, &args.purposes)?;
    let assign =
        |role: &kms::access::RoleName| Assignment { role: role.clone(), scope: scope.clone() };
    Ok(args.roles.iter().map(assign).collect())
}

/// The keys that patterns, ids and purposes choose; every key where there are none.
///
/// # Errors
/// When a text is no pattern.
pub(crate) fn scope_of(scopes: &[String], purposes: &[Purpose]) -> Result<Scope, Problem> {
    if scopes.is_empty() && purposes.is_empty() {
        return Ok(Scope::All);
    }
    let (mut keys, mut labels) = (Vec::new(), Vec::new());
    for text in scopes {
        match text.parse() {
            Ok(id) => keys.push(id),
            Err(_) => labels.push(text.parse::<Glob>().map_err(|e| Problem::usage(e.to_string()))?),
        }
    }
    let selection = Selection::new(keys, labels, purposes.to_vec());
    selection.map(Scope::Only).map_err(|e| Problem::usage(e.to_string()))
}

fn set_roles(visit: &Visit<'_>, args: &SetRolesArgs) -> Result<Exit, Problem> {
    let roles = assignments(&args.roles)?;
    change(visit, "set the roles of", &args.name, || SetRoles { roles })
}

fn attest(visit: &Visit<'_>, args: &AttestArgs) -> Result<Exit, Problem> {
    let users = args.uids.iter().map(|uid| Ok(Attestation::Uid(*uid)));
    let certificates = args.certificates.iter().map(|file| certificate(file));
    let attestations = users.chain(certificates).collect::<Result<_, _>>()?;
    change(visit, "set the attestations of", &args.name, || SetAttestations { attestations })
}

/// The attestation of a certificate.
fn certificate(file: &Path) -> Result<Attestation, Problem> {
    let hash = kms_server::certificate_hash(file).map_err(|why| {
        Problem::usage(format!("{} holds no certificate", file.display())).because(why)
    });
    hash.map(Attestation::Certificate)
}

/// Changes a principal.
fn change<O: Operation<On = PrincipalName>>(
    visit: &Visit<'_>,
    verb: &str,
    name: &PrincipalName,
    operation: impl FnOnce() -> O,
) -> Result<Exit, Problem> {
    let would = || Ok(format!("{verb} {name}"));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    _ = visit.ask(name.clone(), operation())?;
    say(&format!("done: {verb} {name}"));
    Ok(Exit::Ok)
}

/// One's own needs the old one; another's takes its second factor away with it.
fn passphrase(visit: &Visit<'_>, args: &PassphraseArgs) -> Result<Exit, Problem> {
    const VERB: &str = "change the passphrase of";
    let name = args.name.as_ref().unwrap_or(visit.principal);
    let question = format!("New passphrase of {name}");
    let new = secrets::new_passphrase(args.new_passphrase_file.as_deref(), &question)?;
    let new = Secret(new);
    if name != visit.principal {
        return change(visit, VERB, name, || ResetPassphrase { new });
    }
    let would = || Ok(format!("{VERB} {name}"));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    let old = visit.passphrase()?;
    _ = visit.ask(Unnamed, ChangePassphrase { old, new })?;
    say(&format!("done: {VERB} {name}"));
    Ok(Exit::Ok)
}
