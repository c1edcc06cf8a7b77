//! `virtengine approval`.

use kms::access::Permission;
use kms::access::Scope;
use kms::key::Label;
use kms::multisig::ApprovalRule;
use kms_api::ListMultiSigKeys;
use kms_api::ListRules;
use kms_api::RemoveRule;
use kms_api::RuleName;
use kms_api::RuleView;
use kms_api::SetRule;
use kms_api::Unnamed;

use crate::cli::multisig::ApprovalCommand;
use crate::cli::multisig::RuleSetArgs;
use crate::commands::principal::scope_of;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out an `approval` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &ApprovalCommand) -> Result<Exit, Problem> {
    if let ApprovalCommand::Remove(args) = command {
        confirm::mild(context.global, &format!("Remove approval rule {}?", args.name))?;
    }
    visit(context, Stdin::Free, |visit| match command {
        ApprovalCommand::List => list(visit),
        ApprovalCommand::Set(args) => set(visit, args),
        ApprovalCommand::Remove(args) => remove(visit, &args.name),
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let rules = visit.ask(Unnamed, ListRules {})?;
    let keys = visit.ask(Unnamed, ListMultiSigKeys {})?;
    visit.context.data(&rules, || {
        let mut table = Table::new(&["NAME", "VERSION", "ACTS", "KEYS", "QUORUM", "INITIATOR"]);
        for RuleView(rule) in &rules {
            let quorum = keys.iter().find(|key| key.id == rule.quorum.to_string());
            table.row([
                rule.name.to_string(),
                rule.version.to_string(),
                acts(rule),
                scope(&rule.scope),
                quorum.map_or_else(|| rule.quorum.to_string(), |key| key.name.clone()),
                if rule.initiator_counts { "counts" } else { "does not count" }.to_owned(),
            ]);
        }
        table.render_or("no approval rules")
    })?;
    Ok(Exit::Ok)
}

fn set(visit: &Visit<'_>, args: &RuleSetArgs) -> Result<Exit, Problem> {
    let new = SetRule {
        acts: args.acts.iter().copied().collect(),
        scope: scope_of(&args.scopes, &args.purposes)?,
        quorum: args.quorum.clone(),
        initiator_counts: args.initiator_counts,
    };
    let would = || Ok(format!("set approval rule {}", args.name));
    if let Some(exit) = visit.rehearse(Permission::PolicyManage, would)? {
        return Ok(exit);
    }
    let RuleView(rule) = visit.ask(RuleName(args.name.clone()), new)?;
    visit.context.data(&rule, || {
        format!("approval rule {} is set, version {}: {}\n", rule.name, rule.version, acts(&rule))
    })?;
    Ok(Exit::Ok)
}

fn remove(visit: &Visit<'_>, name: &Label) -> Result<Exit, Problem> {
    let would = || Ok(format!("remove approval rule {name}"));
    if let Some(exit) = visit.rehearse(Permission::PolicyManage, would)? {
        return Ok(exit);
    }
    visit.ask(RuleName(name.clone()), RemoveRule {})?;
    say(&format!("approval rule {name} is removed"));
    Ok(Exit::Ok)
}

fn acts(rule: &ApprovalRule) -> String {
    let names: Vec<&str> = rule.acts.iter().map(|act| act.name()).collect();
    names.join(", ")
}

fn scope(scope: &Scope) -> String {
    scope.to_string()
}
