//! `virtengine role`.

use kms::access::Permission;
use kms_api::ListRoles;
use kms_api::RemoveRole;
use kms_api::RoleView;
use kms_api::SetRole;
use kms_api::ShowRole;
use kms_api::Unnamed;

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
    visit(context, Stdin::Free, |visit| match command {
        RoleCommand::List => list(visit),
        RoleCommand::Show(args) => print(visit, &visit.ask(args.name.clone(), ShowRole {})?),
        RoleCommand::Set(args) => set(visit, args),
        RoleCommand::Remove(args) => {
            let would = || Ok(format!("remove role {}", args.name));
            if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
                return Ok(exit);
            }
            _ = visit.ask(args.name.clone(), RemoveRole {})?;
            say(&format!("role {} is removed", args.name));
            Ok(Exit::Ok)
        }
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let views = visit.ask(Unnamed, ListRoles {})?;
    visit.context.data(&views, || {
        let mut table = Table::new(&["NAME", "PERMISSIONS"]);
        for view in &views {
            table.row([view.name.clone(), view.permissions.join(", ")]);
        }
        table.render_or("no roles")
    })?;
    Ok(Exit::Ok)
}

fn print(visit: &Visit<'_>, view: &RoleView) -> Result<Exit, Problem> {
    visit.context.data(view, || {
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
    let permissions = args.permissions.clone();
    print(visit, &visit.ask(args.name.clone(), SetRole { permissions })?)
}
