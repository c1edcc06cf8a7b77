//! Keys that move through their life.

use kms::access::Permission;
use kms::key::InvalidReason;
use kms::key::KeyRef;
use kms::key::Reason;
use kms_api::CancelDestroy;
use kms_api::Compromise;
use kms_api::DestroyNow;
use kms_api::Move;
use kms_api::Rotate;
use kms_api::ScheduleDestroy;

use crate::cli::keys::DeleteArgs;
use crate::cli::keys::DestroyArgs;
use crate::cli::keys::MoveArgs;
use crate::cli::keys::ReasonedArgs;
use crate::commands::keys::print;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::spin;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// `keys delete`: orders the destruction of each key.
///
/// # Errors
/// When an order is refused; those before it stand.
pub(crate) fn delete(context: &Context<'_>, args: &DeleteArgs) -> Result<Exit, Problem> {
    let names: Vec<String> = args.keys.iter().map(KeyRef::to_string).collect();
    confirm::mild(context.global, &format!("Order the destruction of {}?", names.join(", ")))?;
    visit(context, Stdin::Free, |visit| {
        for key in &args.keys {
            step::<ScheduleDestroy>(visit, key, Some(&args.reason))?;
            say(&format!("to keep it: virtengine keys destroy {key} --cancel --reason …"));
        }
        Ok(Exit::Ok)
    })
}

/// `keys destroy`: orders, cancels, or destroys at once. Only the last cannot be undone.
///
/// # Errors
/// When it is not confirmed or not allowed.
pub(crate) fn destroy(context: &Context<'_>, args: &DestroyArgs) -> Result<Exit, Problem> {
    let name = args.key.to_string();
    match (args.now, args.cancel) {
        (true, _) => {
            confirm::severe(context.global, &format!("destroy {name} at once"), &name)?;
            moved::<DestroyNow>(context, &args.key, &args.reason)
        }
        (false, true) => moved::<CancelDestroy>(context, &args.key, &args.reason),
        (false, false) => {
            confirm::mild_or_named(context.global, "order the destruction of", &name)?;
            moved::<ScheduleDestroy>(context, &args.key, &args.reason)
        }
    }
}

/// `keys compromise`.
///
/// # Errors
/// When it is not confirmed or not allowed.
pub(crate) fn compromise(context: &Context<'_>, args: &ReasonedArgs) -> Result<Exit, Problem> {
    let name = args.key.to_string();
    confirm::severe(context.global, &format!("mark {name} as compromised"), &name)?;
    moved::<Compromise>(context, &args.key, &args.reason)
}

fn moved<M: Move>(context: &Context<'_>, key: &KeyRef, reason: &Reason) -> Result<Exit, Problem> {
    visit(context, Stdin::Free, |visit| step::<M>(visit, key, Some(reason)))
}

/// A move with a reason of the person's own, if they gave one.
///
/// # Errors
/// When the move is not allowed.
pub(crate) fn take<M: Move>(visit: &Visit<'_>, args: &MoveArgs) -> Result<Exit, Problem> {
    step::<M>(visit, &args.key, args.reason.as_ref())
}

/// A move that needs a reason.
///
/// # Errors
/// When the move is not allowed.
pub(crate) fn reasoned<M: Move>(visit: &Visit<'_>, args: &ReasonedArgs) -> Result<Exit, Problem> {
    step::<M>(visit, &args.key, Some(&args.reason))
}

/// Makes a move; without a reason of the person's own, the move's name stands as one.
///
/// # Errors
/// When the move is not allowed.
pub(crate) fn step<M: Move>(
    visit: &Visit<'_>,
    key: &KeyRef,
    reason: Option<&Reason>,
) -> Result<Exit, Problem> {
    let would = || {
        let key = visit.key(key)?;
        Ok(format!("{} {} (now {})", M::VERB, key.name, key.state))
    };
    if let Some(needs) = M::NEEDS
        && let Some(exit) = visit.rehearse(needs, would)?
    {
        return Ok(exit);
    }
    let key = visit.ask(key.clone(), M::because(reason_or(reason, M::VERB)?))?;
    print(visit, &key)
}

/// `keys rotate`.
///
/// # Errors
/// When the key may not be rotated.
pub(crate) fn rotate(visit: &Visit<'_>, args: &MoveArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("rotate {}", visit.key(&args.key)?.name));
    if let Some(exit) = visit.rehearse(Permission::KeyRotate, would)? {
        return Ok(exit);
    }
    let reason = reason_or(args.reason.as_ref(), "rotate")?;
    let successor =
        spin("making the successor", || visit.ask(args.key.clone(), Rotate { reason }))?;
    if let Some(old) = successor.predecessor {
        say(&format!("the old key is {old}; end its use: virtengine keys complete-rotation {old}"));
    }
    print(visit, &successor)
}

fn reason_or(reason: Option<&Reason>, otherwise: &str) -> Result<Reason, Problem> {
    match reason {
        Some(reason) => Ok(reason.clone()),
        None => otherwise.parse().map_err(|e: InvalidReason| Problem::usage(e.to_string())),
    }
}
