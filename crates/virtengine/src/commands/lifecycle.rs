//! `virtengine lifecycle`.

use kms_api::ReportLifecycle;
use kms_api::Unnamed;

use crate::cli::policy::LifecycleCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::Details;
use crate::output::text::counts;
use crate::problem::Problem;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `lifecycle` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &LifecycleCommand) -> Result<Exit, Problem> {
    visit(context, Stdin::Free, |visit| match command {
        LifecycleCommand::Report => report(visit),
    })
}

fn report(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let report = visit.ask(Unnamed, ReportLifecycle {})?;
    visit.context.data(&report, || {
        Details::default()
            .add("total keys", report.total_keys)
            .add("active", report.active_keys)
            .add("expiring soon", report.expiring_keys)
            .add("needs rotation", report.rotation_needed)
            .add("by state", counts(&report.by_state))
            .add("by policy", counts(&report.by_policy))
            .add("by algorithm", counts(&report.by_algorithm))
            .render()
    })?;
    Ok(Exit::Ok)
}
