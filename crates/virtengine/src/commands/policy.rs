//! `virtengine policy`.

use kms::access::Permission;
use kms::key::PolicyName;
use kms::lifecycle::KeyLifecyclePolicy;
use kms::time::Days;
use kms_api::ListPolicies;
use kms_api::PolicyView;
use kms_api::RemovePolicy;
use kms_api::SetPolicy;
use kms_api::ShowPolicy;
use kms_api::Unnamed;

use crate::cli::policy::PolicyCommand;
use crate::cli::policy::PolicySetArgs;
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

/// Carries out a `policy` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &PolicyCommand) -> Result<Exit, Problem> {
    if let PolicyCommand::Remove(args) = command {
        confirm::mild(context.global, &format!("Remove policy {}?", args.name))?;
    }
    visit(context, Stdin::Free, |visit| match command {
        PolicyCommand::List => list(visit),
        PolicyCommand::Show(args) => show(visit, &args.name),
        PolicyCommand::Set(args) => set(visit, args),
        PolicyCommand::Remove(args) => remove(visit, &args.name),
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let policies = visit.ask(Unnamed, ListPolicies {})?;
    visit.context.data(&policies, || {
        let mut table = Table::new(&["NAME", "ROTATE", "WARN", "EXPIRE", "GRACE", "AUTO", "MFA"]);
        for PolicyView(policy) in &policies {
            table.row([
                policy.name.to_string(),
                days(policy.max_active_age_days),
                days(policy.warning_days_before_exp),
                days(policy.expiration_days),
                days(policy.grace_period_days),
                policy.auto_rotate.to_string(),
                policy.require_mfa.to_string(),
            ]);
        }
        table.render_or("no policies")
    })?;
    Ok(Exit::Ok)
}

fn days(days: Option<Days>) -> String {
    days.map_or_else(|| "never".to_owned(), |days| days.to_string())
}

fn show(visit: &Visit<'_>, name: &PolicyName) -> Result<Exit, Problem> {
    let PolicyView(policy) = visit.ask(name.clone(), ShowPolicy {})?;
    print(visit, &policy)
}

fn print(visit: &Visit<'_>, policy: &KeyLifecyclePolicy) -> Result<Exit, Problem> {
    visit.context.data(policy, || {
        let algorithms: Vec<&str> = policy.allowed_algorithms.iter().map(|a| a.name()).collect();
        Details::default()
            .add("name", &policy.name)
            .add("rotate after", days(policy.max_active_age_days))
            .add("warn before expiry", days(policy.warning_days_before_exp))
            .add("expire after", days(policy.expiration_days))
            .add("grace period", days(policy.grace_period_days))
            .add("automatic rotation", policy.auto_rotate)
            .add("needs MFA", policy.require_mfa)
            .add("activation needs approval", policy.require_approval_for_activation)
            .add("destruction needs approval", policy.require_approval_for_destruction)
            .add("destruction waits", policy.destroy_delay_days)
            .maybe("algorithms", (!algorithms.is_empty()).then(|| algorithms.join(", ")))
            .render()
    })?;
    Ok(Exit::Ok)
}

fn set(visit: &Visit<'_>, args: &PolicySetArgs) -> Result<Exit, Problem> {
    if let Some(exit) =
        visit.rehearse(Permission::PolicyManage, || Ok(format!("set policy {}", args.name)))?
    {
        return Ok(exit);
    }
    let PolicyView(policy) = visit.ask(Unnamed, SetPolicy(wanted(args)))?;
    say(&format!("policy {} is set", args.name));
    print(visit, &policy)
}

fn wanted(args: &PolicySetArgs) -> KeyLifecyclePolicy {
    let days = |days: u32| (days > 0).then_some(Days(days));
    KeyLifecyclePolicy {
        name: args.name.clone(),
        max_active_age_days: days(args.max_active_age_days),
        warning_days_before_exp: days(args.warning_days_before_exp),
        expiration_days: days(args.expiration_days),
        grace_period_days: days(args.grace_period_days),
        auto_rotate: args.auto_rotate,
        require_mfa: args.require_mfa,
        allowed_algorithms: args.algorithms.clone(),
        minimum_strength_bits: args.minimum_strength_bits,
        require_approval_for_activation: args.require_approval_for_activation,
        require_approval_for_destruction: args.require_approval_for_destruction,
        archive_after_days: days(args.archive_after_days),
        destroy_after_days: days(args.destroy_after_days),
        destroy_delay_days: Days(args.destroy_delay_days),
    }
}

fn remove(visit: &Visit<'_>, name: &PolicyName) -> Result<Exit, Problem> {
    if let Some(exit) =
        visit.rehearse(Permission::PolicyManage, || Ok(format!("remove policy {name}")))?
    {
        return Ok(exit);
    }
    _ = visit.ask(name.clone(), RemovePolicy {})?;
    say(&format!("policy {name} is removed"));
    Ok(Exit::Ok)
}
