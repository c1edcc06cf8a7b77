//! `virtengine session`.

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
            visit.kms.access(visit.caller).end_session(&args.tag)?;
            say(&format!("session {} has ended", args.tag));
            Ok(Exit::Ok)
        }
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let sessions = visit.kms.access(visit.caller).sessions()?;
    visit.context.data(&sessions, || {
        let mut table = Table::new(&["SESSION", "PRINCIPAL", "SINCE", "LAST USED", "FROM"]);
        for session in &sessions {
            let from = session.source_ip.map_or_else(|| "here".to_owned(), |ip| ip.to_string());
            table.row([
                session.tag.to_string(),
                session.principal.to_string(),
                session.created_at.to_string(),
                session.last_activity.to_string(),
                from,
            ]);
        }
        table.render_or("no sessions")
    })?;
    Ok(Exit::Ok)
}
