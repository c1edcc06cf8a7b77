//! Keys in tokens: made, listed, taken in, taken over, moved in, and removed where no record names
//! them.

use kms::access::Permission;
use kms::key::KeyState;
use kms::key::Label;
use kms::key::StorageName;
use kms::manager::NewKey;
use kms::manager::TokenObject;
use kms_api::Desk;
use serde::Serialize;

use crate::cli;
use crate::cli::hsm::DeleteArgs;
use crate::cli::hsm::ImportArgs;
use crate::cli::hsm::KeptArgs;
use crate::cli::hsm::KeygenArgs;
use crate::cli::hsm::MigrateArgs;
use crate::cli::hsm::NamedArgs;
use crate::cli::keys::KeysCommand;
use crate::cli::keys::NewKeyArgs;
use crate::commands;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::hsm;
use crate::output::progress::spin;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::visit;

/// The storage of the HSM that is meant.
///
/// # Errors
/// When there is none of this name, or no name and not exactly one.
pub(super) fn storage(context: &Context<'_>, name: Option<&Label>) -> Result<StorageName, Problem> {
    let name = hsm::named(&context.loaded.config, name)?;
    format!("hsm:{name}").parse().map_err(|e| Problem::usage(format!("{e}")))
}

/// `hsm keygen`: `keys add` with the storage said.
///
/// # Errors
/// When it is not allowed, or the key cannot be made.
pub(super) fn keygen(context: &Context<'_>, args: &KeygenArgs) -> Result<Exit, Problem> {
    let name = args.name.clone().or_else(|| args.label.clone());
    let name = name.ok_or_else(|| Problem::usage("the key has no name"))?;
    let new = kept(context, &args.kept)?;
    let add = cli::keys::AddArgs {
        name,
        algo: args.kept.algo,
        public_key: None,
        multisig: Vec::new(),
        multisig_threshold: 1,
        nosort: false,
        new,
    };
    commands::keys::run(context, &KeysCommand::Add(add))
}

/// `hsm import`: `keys import` with the storage said, or a key taken over.
///
/// # Errors
/// When it is not allowed, or the key cannot be taken.
pub(super) fn import(context: &Context<'_>, args: &ImportArgs) -> Result<Exit, Problem> {
    let new = kept(context, &args.kept)?;
    let Some(object) = &args.adopt else {
        let file = args.file.clone().ok_or_else(|| Problem::usage("no file is named"))?;
        let (name, format, algo) = (args.name.clone(), args.format, args.kept.algo);
        let import = cli::keys::ImportArgs { name, file, format, algo, new };
        return commands::keys::run(context, &KeysCommand::Import(import));
    };
    visit(context, Stdin::Free, |visit| {
        let would = || Ok(format!("take over the key `{object}` of {}", new.storage));
        if let Some(exit) = visit.rehearse(Permission::KeyImport, would)? {
            return Ok(exit);
        }
        let wanted = NewKey {
            purpose: new.purpose,
            algorithm: args.kept.algo,
            storage: new.storage.clone(),
            policy: new.policy.clone(),
            activate: !new.inactive,
        };
        let Desk { kms, caller } = visit.here()?;
        let key = kms.adopt_key(caller, (&args.name, object), wanted)?;
        if key.state == KeyState::Created && !new.inactive {
            say(&format!("policy {} asks for an approval before it is used", key.policy));
        }
        commands::keys::print(visit, &visit.key(&key.id.into())?)
    })
}

/// `hsm list`.
///
/// # Errors
/// When it is not allowed, or the token does not answer.
pub(super) fn list(context: &Context<'_>, args: &NamedArgs) -> Result<Exit, Problem> {
    let name = storage(context, args.name.as_ref())?;
    let objects = visit(context, Stdin::Free, |visit| {
        let Desk { kms, caller } = visit.here()?;
        Ok(kms.list_token_objects(caller, &name)?)
    })?;
    let views: Vec<ObjectView> = objects.iter().map(ObjectView::from).collect();
    context.data(&views, || table(&views))?;
    Ok(Exit::Ok)
}

/// `hsm delete`.
///
/// # Errors
/// When it is not confirmed or not allowed, or the key is on record.
pub(super) fn delete(context: &Context<'_>, args: &DeleteArgs) -> Result<Exit, Problem> {
    let name = storage(context, args.hsm.as_ref())?;
    let object = &args.object;
    confirm::severe(
        context.global,
        &format!("remove the key `{object}` of {name} for ever"),
        object,
    )?;
    visit(context, Stdin::Free, |visit| {
        let would = || Ok(format!("remove the key `{object}` of {name}"));
        if let Some(exit) = visit.rehearse(Permission::HsmManage, would)? {
            return Ok(exit);
        }
        let Desk { kms, caller } = visit.here()?;
        kms.delete_token_object(caller, &name, object)?;
        say(&format!("`{object}` is gone from {name}"));
        Ok(Exit::Ok)
    })
}

/// `hsm migrate`.
///
/// # Errors
/// When it is not allowed, the key has no file, or the token does not take it.
pub(super) fn migrate(context: &Context<'_>, args: &MigrateArgs) -> Result<Exit, Problem> {
    let name = storage(context, args.hsm.as_ref())?;
    confirm::mild(context.global, &format!("Move {} into {name}?", args.key))?;
    visit(context, Stdin::Free, |visit| {
        let would = || Ok(format!("move {} into {name}", visit.key(&args.key)?.name));
        if let Some(exit) = visit.rehearse(Permission::KeyRotate, would)? {
            return Ok(exit);
        }
        let before = visit.key(&args.key)?;
        let Desk { kms, caller } = visit.here()?;
        let key =
            spin("moving the key", || kms.migrate_key(caller, &args.key, (&name, &args.reason)))?;
        say(&format!("the token has signed with it; {} names it from now on", key.label));
        say(&format!(
            "its file is still there, deactivated, as {}; it goes with: virtengine keys archive {}",
            before.id, before.id
        ));
        commands::keys::print(visit, &visit.key(&key.id.into())?)
    })
}

fn kept(context: &Context<'_>, args: &KeptArgs) -> Result<NewKeyArgs, Problem> {
    Ok(NewKeyArgs {
        purpose: args.purpose,
        storage: storage(context, args.hsm.as_ref())?,
        policy: args.policy.clone(),
        inactive: args.inactive,
    })
}

#[derive(Serialize)]
struct ObjectView {
    object: String,
    object_id: String,
    algorithm: Option<&'static str>,
    fingerprint: Option<String>,
    /// Name and id of the key that it is, where the caller may know.
    key: Option<String>,
    key_id: Option<String>,
    state: Option<KeyState>,
    /// own, other, left behind: see `docs/hsm.md`.
    standing: &'static str,
    local: bool,
    sensitive: bool,
    extractable: bool,
    always_sensitive: bool,
    never_extractable: bool,
}

impl From<&TokenObject> for ObjectView {
    fn from(found: &TokenObject) -> Self {
        let (object, record) = (&found.object, &found.record);
        let gone = |state| matches!(state, KeyState::Destroyed | KeyState::Archived);
        let standing = match (found.on_record, record.as_ref().map(|key| key.state), object.key) {
            (true, Some(state), _) if gone(state) => "left behind",
            (true, _, _) => "own",
            (false, _, Some(_)) => "left behind",
            (false, _, None) => "other",
        };
        let public = object.public_key.as_ref();
        Self {
            object: object.label.clone(),
            object_id: object.object_id.clone(),
            algorithm: public.map(|key| key.algorithm().name()),
            fingerprint: public.and_then(|key| key.fingerprint().ok()).map(hex::encode),
            key: record.as_ref().map(|key| key.label.to_string()),
            key_id: record.as_ref().map(|key| key.id.to_string()),
            state: record.as_ref().map(|key| key.state),
            standing,
            local: object.attributes.local,
            sensitive: object.attributes.sensitive,
            extractable: object.attributes.extractable,
            always_sensitive: object.attributes.always_sensitive,
            never_extractable: object.attributes.never_extractable,
        }
    }
}

fn table(views: &[ObjectView]) -> String {
    let mut table = Table::new(&["OBJECT", "ID", "ALGORITHM", "STANDING", "KEY", "STATE"]);
    for view in views {
        table.row([
            view.object.clone(),
            view.object_id.clone(),
            view.algorithm.unwrap_or("?").to_owned(),
            view.standing.to_owned(),
            view.key.clone().unwrap_or_default(),
            view.state.map(|state| state.to_string()).unwrap_or_default(),
        ]);
    }
    table.render_or("no private keys")
}
