//! `virtengine session`.

use kms::access::Permission;
use kms_api::EndSession;
use kms_api::ListSessions;
use kms_api::Unnamed;

use crate::cli::access::SessionCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `session` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &SessionCommand) -> Result<Exit, Problem> {
    visit(context, Stdin::Free, |visit| match command {
        SessionCommand::List => list(visit),
        SessionCommand::End(args) => {
            let would = || Ok(format!("end session {}", args.tag));
            if let Some(exit) = visit.rehearse(Permission::AccessManage, would)? {
                return Ok(exit);
            }
            _ = visit.ask(args.tag, EndSession {})?;
            say(&format!("session {} has ended", args.tag));
            Ok(Exit::Ok)
        }
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let sessions = visit.ask(Unnamed, ListSessions {})?;
    visit.context.data(&sessions, || {
        let mut table = Table::new(&["SESSION", "PRINCIPAL", "SINCE", "LAST USED", "FROM"]);
        for session in &sessions {
            let from = session.source_ip.map_or_else(|| "here".to_owned(), |ip| ip.to_string());
            table.row([
                session.session.clone(),
                session.principal.clone(),
                session.created_at.to_string(),
                session.last_activity.to_string(),
                from,
            ]);
        }
        table.render_or("no sessions")
    })?;
    Ok(Exit::Ok)
}
