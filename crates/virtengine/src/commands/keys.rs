//! `virtengine keys`: reading and dispatch. Making and moving keys stand beside.

mod export;
mod make;
mod moves;

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::Purpose;
use kms_api::Abort;
use kms_api::Activate;
use kms_api::Archive;
use kms_api::Complete;
use kms_api::Deactivate;
use kms_api::ExportPublicKey;
use kms_api::KeyHistory;
use kms_api::KeyView;
use kms_api::ListKeys;
use kms_api::Operation;
use kms_api::Reactivate;
use kms_api::RenameKey;
use kms_api::Suspend;
use kms_api::Unnamed;
use serde::Serialize;

use crate::cli::keys::KeyArgs;
use crate::cli::keys::KeysCommand;
use crate::cli::keys::ListArgs;
use crate::cli::keys::MigrateArgs;
use crate::cli::keys::RenameArgs;
use crate::cli::keys::ShowArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::key::table;
use crate::output::key::text;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `keys` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &KeysCommand) -> Result<Exit, Problem> {
    let inside =
        |work: &dyn Fn(&Visit<'_>) -> Result<Exit, Problem>| visit(context, Stdin::Free, work);
    match command {
        KeysCommand::ListKeyTypes => list_key_types(context),
        KeysCommand::Add(args) => inside(&|visit| make::add(visit, args)),
        KeysCommand::Import(args) => make::import(context, args),
        KeysCommand::ImportHex(args) => make::import_hex(context, args),
        KeysCommand::List(args) => inside(&|visit| list(visit, args)),
        KeysCommand::Show(args) => inside(&|visit| show(visit, args)),
        KeysCommand::Rename(args) => inside(&|visit| rename(visit, args)),
        KeysCommand::Export(args) => inside(&|visit| export::export(visit, args)),
        KeysCommand::History(args) => inside(&|visit| history(visit, args)),
        KeysCommand::Activate(args) => inside(&|visit| moves::take::<Activate>(visit, args)),
        KeysCommand::Suspend(args) => inside(&|visit| moves::reasoned::<Suspend>(visit, args)),
        KeysCommand::Reactivate(args) => {
            inside(&|visit| moves::reasoned::<Reactivate>(visit, args))
        }
        KeysCommand::Rotate(args) => inside(&|visit| moves::rotate(visit, args)),
        KeysCommand::CompleteRotation(args) => {
            inside(&|visit| moves::take::<Complete>(visit, args))
        }
        KeysCommand::AbortRotation(args) => inside(&|visit| moves::take::<Abort>(visit, args)),
        KeysCommand::Deactivate(args) => inside(&|visit| moves::take::<Deactivate>(visit, args)),
        KeysCommand::Archive(args) => inside(&|visit| moves::take::<Archive>(visit, args)),
        KeysCommand::Migrate(MigrateArgs { key, reason, .. }) => {
            inside(&|visit| moves::step::<Archive>(visit, key, reason.as_ref()))
        }
        KeysCommand::Delete(args) => moves::delete(context, args),
        KeysCommand::Destroy(args) => moves::destroy(context, args),
        KeysCommand::Compromise(args) => moves::compromise(context, args),
    }
}

/// Writes a key as it is now.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn print(visit: &Visit<'_>, key: &KeyView) -> Result<Exit, Problem> {
    visit.context.data(key, || text(key))?;
    Ok(Exit::Ok)
}

fn list(visit: &Visit<'_>, args: &ListArgs) -> Result<Exit, Problem> {
    let mut page = ListKeys { state: args.state, purpose: args.purpose, after: None, limit: None };
    let mut keys = Vec::new();
    loop {
        let found = visit.ask(Unnamed, page.clone())?;
        let next = ListKeys::next(&found).and_then(|next| next.parse().ok());
        keys.extend(found);
        page.after = next;
        if next.is_none() {
            break;
        }
    }
    if args.list_names {
        let names: Vec<&str> = keys.iter().map(|key| &*key.name).collect();
        visit.context.data(&names, || names.join("\n"))?;
    } else {
        visit.context.data(&keys, || table(&keys))?;
    }
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, args: &ShowArgs) -> Result<Exit, Problem> {
    if args.pem {
        let public = visit.ask(args.key.clone(), ExportPublicKey {})?;
        output::bytes(public.pem.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let key = visit.key(&args.key)?;
    let (only, what) = match (args.address, args.pubkey) {
        (true, _) => (key.address.as_ref(), "address"),
        (_, true) => (key.pubkey.as_ref(), "Cosmos public key"),
        (false, false) => return print(visit, &key),
    };
    let only = only.ok_or_else(|| no_such_form(&key, what))?;
    visit.context.data(only, || only.clone())?;
    Ok(Exit::Ok)
}

fn no_such_form(key: &KeyView, what: &str) -> Problem {
    Problem::usage(format!("`{}` has no {what}", key.name))
        .because(format!("its purpose is {} and its algorithm {}", key.purpose, key.algorithm))
}

fn rename(visit: &Visit<'_>, args: &RenameArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("rename {} to {}", visit.key(&args.key)?.name, args.name));
    if let Some(exit) = visit.rehearse(Permission::KeyCreate, would)? {
        return Ok(exit);
    }
    let key = visit.ask(args.key.clone(), RenameKey { name: args.name.clone() })?;
    say(&format!("key was renamed from {} to {}", args.key, key.name));
    print(visit, &key)
}

fn history(visit: &Visit<'_>, args: &KeyArgs) -> Result<Exit, Problem> {
    let moves = visit.ask(args.key.clone(), KeyHistory {})?;
    visit.context.data(&moves, || {
        let mut table = Table::new(&["WHEN", "FROM", "TO", "WHO", "WHY"]);
        for step in &moves {
            let from = step.from.map(|state| state.to_string()).unwrap_or_default();
            table.row([
                step.at.to_string(),
                from,
                step.to.to_string(),
                step.by.clone(),
                step.reason.clone(),
            ]);
        }
        table.render_or("no moves")
    })?;
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct KeyType {
    algorithm: Algorithm,
    purposes: Vec<Purpose>,
    default_for: Vec<Purpose>,
}

fn list_key_types(context: &Context<'_>) -> Result<Exit, Problem> {
    let that =
        |test: &dyn Fn(Purpose) -> bool| Purpose::ALL.into_iter().filter(|p| test(*p)).collect();
    let types: Vec<KeyType> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| KeyType {
            algorithm,
            purposes: that(&|purpose| purpose.allows(algorithm)),
            default_for: that(&|purpose| purpose.default_algorithm() == algorithm),
        })
        .collect();
    context.data(&types, || {
        let mut table = Table::new(&["ALGORITHM", "PURPOSES", "DEFAULT FOR"]);
        let joined =
            |purposes: &[Purpose]| purposes.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
        for kind in &types {
            table.row([
                kind.algorithm.to_string(),
                joined(&kind.purposes),
                joined(&kind.default_for),
            ]);
        }
        table.render_or("none")
    })?;
    Ok(Exit::Ok)
}
