//! `virtengine comet`, which also answers to `cometbft` and `tendermint`: stdout is the answer alone.

use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Purpose;
use kms_api::KeyView;
use kms_api::ListKeys;
use kms_api::Unnamed;

use crate::cli::validator::CometCommand;
use crate::cli::validator::ShowNodeIdArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::problem::Problem;
use crate::secrets::Stdin;
use crate::signer;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out a `comet` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &CometCommand) -> Result<Exit, Problem> {
    let (args, field): (_, fn(KeyView) -> Option<String>) = match command {
        CometCommand::ShowValidator(args) => (args, |key| key.pubkey),
        CometCommand::ShowAddress(args) => (args, |key| key.address),
        CometCommand::ShowNodeId(args) => return show_node_id(context, args),
    };
    visit(context, Stdin::Free, |visit| {
        let key = consensus_key(visit, args.key.as_ref())?;
        let line = field(key).ok_or_else(|| Problem::usage("the key has none"))?;
        output::bytes(format!("{line}\n").as_bytes())?;
        Ok(Exit::Ok)
    })
}

/// The key that is named, or the only one for consensus that signs.
fn consensus_key(visit: &Visit<'_>, named: Option<&KeyRef>) -> Result<KeyView, Problem> {
    if let Some(named) = named {
        let key = visit.key(named)?;
        if key.purpose == Purpose::Consensus {
            return Ok(key);
        }
        let what = format!("key {named} is for {}, not for consensus", key.purpose);
        return Err(Problem::new(Exit::Unsafe, "consensus_key", what));
    }
    let keys = visit.ask(Unnamed, ListKeys::default())?;
    let signs = |key: &KeyView| matches!(key.state, KeyState::Active | KeyState::Rotating);
    let mut found = keys.into_iter().filter(|key| key.purpose == Purpose::Consensus && signs(key));
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => {
            let problem =
                Problem::new(Exit::NotFound, "key_not_found", "no consensus key is active");
            Err(problem.fix("make one: virtengine keys add NAME --purpose consensus"))
        }
        (Some(one), Some(other)) => {
            let what = format!("{} and {} are both consensus keys", one.name, other.name);
            Err(Problem::usage(what).fix("say which: --key NAME"))
        }
    }
}

fn show_node_id(context: &Context<'_>, args: &ShowNodeIdArgs) -> Result<Exit, Problem> {
    let configured = &context.loaded.config.validator;
    let wanted = |name: &str| args.connection.as_deref().is_none_or(|wanted| wanted == name);
    let mut found = configured.iter().filter(|section| wanted(&section.name()));
    let section = match (found.next(), found.next()) {
        (Some(section), None) => section,
        (None, _) => {
            let what = "no such validator connection is configured";
            return Err(Problem::new(Exit::NotFound, "connection_not_found", what)
                .fix("see the [[validator]] sections: virtengine config show"));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::usage("there are several validator connections")
                .fix("say which: --connection NAME"));
        }
    };
    let identity = signer::identity(&context.home, section)?;
    output::bytes(format!("{}\n", identity.id()).as_bytes())?;
    Ok(Exit::Ok)
}
