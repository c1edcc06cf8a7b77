//! `virtengine principal`.

use kms::access::Assignment;
use kms::access::Glob;
use kms::access::Permission;
use kms::access::Principal;
use kms::access::PrincipalKind;
use kms::access::PrincipalName;
use kms::access::Scope;
use kms::access::Selection;
use kms::key::Purpose;
use kms::manager::AccessManager;
use kms::manager::Error;
use kms::manager::NewPrincipal;
use serde::Serialize;

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
        PrincipalCommand::Show(args) => print(visit, &access(visit).principal(args.name.as_str())?),
        PrincipalCommand::Disable(args) => {
            change(visit, "disable", &args.name, |access, name| access.disable(name))
        }
        PrincipalCommand::Enable(args) => {
            change(visit, "enable", &args.name, |access, name| access.enable(name))
        }
        PrincipalCommand::Remove(args) => {
            change(visit, "remove", &args.name, |access, name| access.remove(name))
        }
        PrincipalCommand::SetRoles(args) => set_roles(visit, args),
        PrincipalCommand::Passphrase(args) => passphrase(visit, args),
    })
}

fn access<'a>(visit: &Visit<'a>) -> AccessManager<'a> {
    visit.kms.access(visit.caller)
}

/// A principal as programs see it.
#[derive(Serialize)]
struct PrincipalView<'a> {
    id: String,
    name: &'a PrincipalName,
    kind: PrincipalKind,
    roles: &'a [Assignment],
    enabled: bool,
    slot: bool,
    created_at: kms::time::Timestamp,
}

impl<'a> PrincipalView<'a> {
    fn new(principal: &'a Principal) -> Self {
        Self {
            id: principal.id.to_string(),
            name: &principal.name,
            kind: principal.kind,
            roles: &principal.assignments,
            enabled: principal.enabled,
            slot: principal.has_slot,
            created_at: principal.created_at,
        }
    }

    fn role_names(&self) -> String {
        let reach = |assignment: &Assignment| match &assignment.scope {
            Scope::All => assignment.role.to_string(),
            Scope::Only(_) => format!("{} ({})", assignment.role, assignment.scope),
        };
        self.roles.iter().map(reach).collect::<Vec<_>>().join(", ")
    }
}

fn print(visit: &Visit<'_>, principal: &Principal) -> Result<Exit, Problem> {
    let view = PrincipalView::new(principal);
    visit.context.data(&view, || {
        Details::default()
            .add("name", view.name)
            .add("id", &view.id)
            .add("roles", view.role_names())
            .add("enabled", view.enabled)
            .add("opens the keystore", view.slot)
            .add("created", view.created_at)
            .render()
    })?;
    Ok(Exit::Ok)
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let principals = access(visit).principals()?;
    let views: Vec<PrincipalView<'_>> = principals.iter().map(PrincipalView::new).collect();
    visit.context.data(&views, || {
        let mut table = Table::new(&["NAME", "ROLES", "ENABLED", "KEYSTORE", "ID"]);
        for view in &views {
            table.row([
                view.name.to_string(),
                view.role_names(),
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
    let assignments = assignments(&args.roles)?;
    let question = format!("New passphrase of {}", args.name);
    let passphrase = secrets::new_passphrase(args.new_passphrase_file.as_deref(), &question)?;
    let new = NewPrincipal { name: args.name.clone(), kind, assignments, slot: args.slot };
    let principal = access(visit).create_principal(new, &passphrase)?;
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
    let assignments = assignments(&args.roles)?;
    change(visit, "set the roles of", &args.name, |access, name| {
        access.set_roles(name, assignments)
    })
}

/// Changes a principal and shows it as it is then.
fn change<T>(
    visit: &Visit<'_>,
    verb: &str,
    name: &PrincipalName,
    change: impl FnOnce(&AccessManager<'_>, &str) -> Result<T, Error>,
) -> Result<Exit, Problem> {
    let would = || Ok(format!("{verb} {name}"));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    change(&access(visit), name.as_str())?;
    say(&format!("done: {verb} {name}"));
    Ok(Exit::Ok)
}

/// One's own needs the old one; another's takes its second factor away with it.
fn passphrase(visit: &Visit<'_>, args: &PassphraseArgs) -> Result<Exit, Problem> {
    let name = args.name.as_ref().unwrap_or(visit.principal);
    let question = format!("New passphrase of {name}");
    let new = secrets::new_passphrase(args.new_passphrase_file.as_deref(), &question)?;
    change(visit, "change the passphrase of", name, |access, other| {
        if name == visit.principal {
            access.change_passphrase(visit.passphrase, &new)
        } else {
            access.reset_passphrase(other, &new).map(|_| ())
        }
    })
}
