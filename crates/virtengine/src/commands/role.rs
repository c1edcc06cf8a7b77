//! `virtengine role`.

use kms::access::Permission;
use kms::access::PermissionSet;
use kms::access::Role;
use kms::access::RoleName;
use serde::Serialize;

use crate::cli::access::RoleCommand;
use crate::cli::access::RoleSetArgs;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::Details;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `role` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &RoleCommand) -> Result<Exit, Problem> {
    if let RoleCommand::Remove(args) = command {
        confirm::mild(context.global, &format!("Remove role {}?", args.name))?;
    }
    visit(context, Stdin::Free, |visit| {
        let access = visit.kms.access(visit.caller);
        match command {
            RoleCommand::List => list(visit),
            RoleCommand::Show(args) => show(visit, &args.name),
            RoleCommand::Set(args) => set(visit, args),
            RoleCommand::Remove(args) => {
                let would = || Ok(format!("remove role {}", args.name));
                if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
                    return Ok(exit);
                }
                access.remove_role(&args.name)?;
                say(&format!("role {} is removed", args.name));
                Ok(Exit::Ok)
            }
        }
    })
}

/// A role as programs see it.
#[derive(Serialize)]
struct RoleView {
    name: String,
    permissions: Vec<&'static str>,
    builtin: bool,
}

impl RoleView {
    fn new(role: &Role) -> Self {
        Self {
            name: role.name.to_string(),
            permissions: role.permissions.iter().map(Permission::name).collect(),
            builtin: role.builtin,
        }
    }
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let roles = visit.kms.access(visit.caller).roles()?;
    let views: Vec<RoleView> = roles.iter().map(RoleView::new).collect();
    visit.context.data(&views, || {
        let mut table = Table::new(&["NAME", "PERMISSIONS"]);
        for view in &views {
            table.row([view.name.clone(), view.permissions.join(", ")]);
        }
        table.render_or("no roles")
    })?;
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, name: &RoleName) -> Result<Exit, Problem> {
    let roles = visit.kms.access(visit.caller).roles()?;
    let role = roles.iter().find(|role| role.name == *name);
    let missing = || {
        Problem::new(Exit::NotFound, "role_not_found", format!("role {name} is not here"))
            .fix("see what is there: virtengine role list")
    };
    print(visit, role.ok_or_else(missing)?)
}

fn print(visit: &Visit<'_>, role: &Role) -> Result<Exit, Problem> {
    let view = RoleView::new(role);
    visit.context.data(&view, || {
        Details::default()
            .add("name", &view.name)
            .add("permissions", view.permissions.join(", "))
            .add("built in", view.builtin)
            .render()
    })?;
    Ok(Exit::Ok)
}

fn set(visit: &Visit<'_>, args: &RoleSetArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("set role {}", args.name));
    if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
        return Ok(exit);
    }
    let permissions = PermissionSet::of(&args.permissions);
    visit.kms.access(visit.caller).set_role(args.name.clone(), permissions)?;
    print(visit, &Role::own(args.name.clone(), permissions))
}
