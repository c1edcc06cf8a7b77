//! `virtengine keys`: reading and dispatch. Making and moving keys stand beside.

mod export;
mod make;
mod moves;

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::ManagedKey;
use kms::key::Purpose;
use kms::key::Reason;
use serde::Serialize;

use crate::cli::keys::KeyArgs;
use crate::cli::keys::KeysCommand;
use crate::cli::keys::ListArgs;
use crate::cli::keys::RenameArgs;
use crate::cli::keys::ShowArgs;
use crate::commands::keys::moves::Step;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::key::KeyView;
use crate::output::key::table;
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
    let taking = |step: &Step, key: &KeyRef, reason: Option<&Reason>| {
        inside(&|visit| moves::take(visit, step, key, reason))
    };
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
        KeysCommand::Activate(args) => taking(&moves::ACTIVATE, &args.key, args.reason.as_ref()),
        KeysCommand::Suspend(args) => taking(&moves::SUSPEND, &args.key, Some(&args.reason)),
        KeysCommand::Reactivate(args) => taking(&moves::REACTIVATE, &args.key, Some(&args.reason)),
        KeysCommand::Rotate(args) => inside(&|visit| moves::rotate(visit, args)),
        KeysCommand::CompleteRotation(args) => {
            taking(&moves::COMPLETE, &args.key, args.reason.as_ref())
        }
        KeysCommand::AbortRotation(args) => taking(&moves::ABORT, &args.key, args.reason.as_ref()),
        KeysCommand::Deactivate(args) => {
            taking(&moves::DEACTIVATE, &args.key, args.reason.as_ref())
        }
        KeysCommand::Archive(args) => taking(&moves::ARCHIVE, &args.key, args.reason.as_ref()),
        KeysCommand::Migrate(args) => taking(&moves::ARCHIVE, &args.key, args.reason.as_ref()),
        KeysCommand::Delete(args) => moves::delete(context, args),
        KeysCommand::Destroy(args) => moves::destroy(context, args),
        KeysCommand::Compromise(args) => moves::compromise(context, args),
    }
}

/// Writes a key as it is now.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn print(visit: &Visit<'_>, key: &ManagedKey) -> Result<Exit, Problem> {
    let view = view(visit, key);
    visit.context.data(&view, || view.text())?;
    Ok(Exit::Ok)
}

fn view(visit: &Visit<'_>, key: &ManagedKey) -> KeyView {
    KeyView::new(key, visit.kms.rotate_by(key), visit.context.now())
}

fn list(visit: &Visit<'_>, args: &ListArgs) -> Result<Exit, Problem> {
    let keys: Vec<KeyView> = visit
        .kms
        .list_keys(visit.caller)?
        .iter()
        .filter(|key| args.purpose.is_none_or(|purpose| key.purpose == purpose))
        .map(|key| view(visit, key))
        .filter(|key| args.state.is_none_or(|state| key.is_in(state)))
        .collect();
    if args.list_names {
        let names: Vec<&str> = keys.iter().map(KeyView::name).collect();
        visit.context.data(&names, || names.join("\n"))?;
    } else {
        visit.context.data(&keys, || table(&keys))?;
    }
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, args: &ShowArgs) -> Result<Exit, Problem> {
    let key = visit.key(&args.key)?;
    if args.pem {
        let pem = key.public_key.to_spki_pem().map_err(export::unencodable)?;
        output::bytes(pem.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let view = view(visit, &key);
    let (only, what) = match (args.address, args.pubkey) {
        (true, _) => (view.address.as_ref(), "address"),
        (_, true) => (view.pubkey.as_ref(), "Cosmos public key"),
        (false, false) => return print(visit, &key),
    };
    let only = only.ok_or_else(|| no_such_form(&key, what))?;
    visit.context.data(only, || only.clone())?;
    Ok(Exit::Ok)
}

fn no_such_form(key: &ManagedKey, what: &str) -> Problem {
    Problem::usage(format!("`{}` has no {what}", key.label)).because(format!(
        "its purpose is {} and its algorithm {}",
        key.purpose,
        key.algorithm()
    ))
}

fn rename(visit: &Visit<'_>, args: &RenameArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("rename {} to {}", visit.key(&args.key)?.label, args.name));
    if let Some(exit) = visit.rehearse(Permission::KeyCreate, would)? {
        return Ok(exit);
    }
    let key = visit.kms.rename_key(visit.caller, &args.key, &args.name)?;
    say(&format!("key was renamed from {} to {}", args.key, key.label));
    print(visit, &key)
}

fn history(visit: &Visit<'_>, args: &KeyArgs) -> Result<Exit, Problem> {
    let moves = visit.kms.key_history(visit.caller, &args.key)?;
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
