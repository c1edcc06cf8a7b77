//! `virtengine status` and `virtengine doctor`. Neither asks for a passphrase.

use kms_api::ShowStatus;
use kms_api::StatusView;
use kms_api::Unnamed;
use kms_server::Address;

use crate::context::Context;
use crate::daemon;
use crate::exit::Exit;
use crate::output::text::Details;
use crate::output::text::counts;
use crate::problem::Problem;
use crate::secrets::Stdin;
use crate::visit;

/// Shows the state of the home.
///
/// # Errors
/// When the home cannot be opened or stdout cannot be written.
pub(crate) fn status(context: &Context<'_>) -> Result<Exit, Problem> {
    let status = match daemon::find(context)? {
        Some(mut daemon) => match daemon.address() {
            Address::Unix(_) => daemon.status()?,
            Address::Https { .. } => {
                visit::visit(context, Stdin::Free, |visit| visit.ask(Unnamed, ShowStatus {}))?
            }
        },
        None => {
            let kms = visit::open(context)?;
            let status = StatusView::from(kms.status());
            kms.close()?;
            status
        }
    };
    context.data(&status, || text(&status))?;
    Ok(Exit::Ok)
}

fn text(status: &StatusView) -> String {
    let sealed = if status.sealed { "yes, until someone logs in" } else { "no" };
    Details::default()
        .add("version", &status.version)
        .add("home", &status.home)
        .add("development", if status.development { "yes, for ever" } else { "no" })
        .add("sealed", sealed)
        .add("keys", counts(&status.keys))
        .add("audit records", status.audit_size)
        .add("audit root", &status.audit_root)
        .add("audit key", &status.audit_key)
        .add("audit writable", if status.audit_writable { "yes" } else { "NO" })
        .add("secrets in", &status.locked_memory)
        .add("now", status.now)
        .render()
}
