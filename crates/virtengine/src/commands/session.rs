//! `virtengine session`.

use std::net::IpAddr;

use kms::access::Permission;
use kms::access::Session;
use kms::time::Timestamp;
use serde::Serialize;

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
            let access = visit.kms.access(visit.caller);
            if !access.sessions()?.iter().any(|session| session.tag() == args.tag) {
                return Err(not_found(&args.tag.to_string()));
            }
            access.end_session(args.tag)?;
            say(&format!("session {} has ended", args.tag));
            Ok(Exit::Ok)
        }
    })
}

fn not_found(tag: &str) -> Problem {
    let message = format!("session {tag} is not here, or has ended");
    Problem::new(Exit::NotFound, "session_not_found", message)
        .fix("see what is there: virtengine session list")
}

/// A session as programs see it.
#[derive(Serialize)]
struct SessionView {
    session: String,
    principal: String,
    created_at: Timestamp,
    last_activity: Timestamp,
    mfa_at: Option<Timestamp>,
    source_ip: Option<IpAddr>,
    user_agent: String,
}

impl SessionView {
    fn of(session: &Session) -> Self {
        Self {
            session: session.tag().to_string(),
            principal: session.principal().to_string(),
            created_at: session.created_at(),
            last_activity: session.last_activity(),
            mfa_at: session.mfa_at(),
            source_ip: session.address(),
            user_agent: session.user_agent().to_owned(),
        }
    }
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let sessions = visit.kms.access(visit.caller).sessions()?;
    let sessions: Vec<SessionView> =
        sessions.iter().map(|session| SessionView::of(session)).collect();
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
