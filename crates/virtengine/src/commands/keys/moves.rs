//! Keys that move through their life.

use kms::access::Permission;
use kms::key::InvalidReason;
use kms::key::KeyRef;
use kms::key::ManagedKey;
use kms::key::Reason;
use kms::manager::Error;
use kms::manager::KeyLifecycleManager;

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
            take(visit, &SCHEDULE, key, Some(&args.reason))?;
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
    let step = match (args.now, args.cancel) {
        (true, _) => {
            confirm::severe(context.global, &format!("destroy {name} at once"), &name)?;
            DESTROY_NOW
        }
        (false, true) => CANCEL,
        (false, false) => {
            confirm::mild_or_named(context.global, "order the destruction of", &name)?;
            SCHEDULE
        }
    };
    visit(context, Stdin::Free, |visit| take(visit, &step, &args.key, Some(&args.reason)))
}

/// `keys compromise`.
///
/// # Errors
/// When it is not confirmed or not allowed.
pub(crate) fn compromise(context: &Context<'_>, args: &ReasonedArgs) -> Result<Exit, Problem> {
    let name = args.key.to_string();
    confirm::severe(context.global, &format!("mark {name} as compromised"), &name)?;
    visit(context, Stdin::Free, |visit| take(visit, &COMPROMISE, &args.key, Some(&args.reason)))
}

/// A move: how it is called, what it needs, and the call.
pub(crate) struct Step {
    verb: &'static str,
    needs: Permission,
    call: Call,
}

type Call = fn(&KeyLifecycleManager<'_>, &KeyRef, &Reason) -> Result<ManagedKey, Error>;

pub(crate) const ACTIVATE: Step =
    Step { verb: "activate", needs: Permission::KeyCreate, call: |l, k, r| l.activate_key(k, r) };
pub(crate) const SUSPEND: Step =
    Step { verb: "suspend", needs: Permission::KeySuspend, call: |l, k, r| l.suspend_key(k, r) };
pub(crate) const REACTIVATE: Step = Step {
    verb: "reactivate",
    needs: Permission::KeyCreate,
    call: |l, k, r| l.reactivate_key(k, r),
};
pub(crate) const COMPLETE: Step = Step {
    verb: "complete the rotation of",
    needs: Permission::KeyRotate,
    call: |l, k, r| l.complete_rotation(k, r),
};
pub(crate) const ABORT: Step = Step {
    verb: "abort the rotation of",
    needs: Permission::KeyRotate,
    call: |l, k, r| l.abort_rotation(k, r),
};
pub(crate) const DEACTIVATE: Step = Step {
    verb: "deactivate",
    needs: Permission::KeyRotate,
    call: |l, k, r| l.deactivate_key(k, r),
};
pub(crate) const ARCHIVE: Step =
    Step { verb: "archive", needs: Permission::KeyRotate, call: |l, k, r| l.archive_key(k, r) };
const COMPROMISE: Step = Step {
    verb: "mark as compromised",
    needs: Permission::CompromiseReport,
    call: |l, k, r| l.mark_compromised(k, r),
};
const SCHEDULE: Step = Step {
    verb: "order the destruction of",
    needs: Permission::KeyDestroy,
    call: |l, k, r| l.schedule_destroy(k, r),
};
const CANCEL: Step = Step {
    verb: "cancel the destruction of",
    needs: Permission::KeyDestroy,
    call: |l, k, r| l.cancel_destroy(k, r),
};
const DESTROY_NOW: Step = Step {
    verb: "destroy at once",
    needs: Permission::KeyDestroy,
    call: |l, k, r| l.destroy_now(k, r),
};

/// Takes a step; without a reason of the person's own, the step's name stands as one.
///
/// # Errors
/// When the step is not allowed.
pub(crate) fn take(
    visit: &Visit<'_>,
    step: &Step,
    key: &KeyRef,
    reason: Option<&Reason>,
) -> Result<Exit, Problem> {
    let would = || {
        let key = visit.key(key)?;
        Ok(format!("{} {} (now {})", step.verb, key.label, key.state))
    };
    if let Some(exit) = visit.rehearse(step.needs, would)? {
        return Ok(exit);
    }
    let reason = reason_or(reason, step.verb)?;
    let key = (step.call)(&visit.kms.lifecycle(visit.caller), key, &reason)?;
    print(visit, &key)
}

/// `keys rotate`.
///
/// # Errors
/// When the key may not be rotated.
pub(crate) fn rotate(visit: &Visit<'_>, args: &MoveArgs) -> Result<Exit, Problem> {
    let would = || Ok(format!("rotate {}", visit.key(&args.key)?.label));
    if let Some(exit) = visit.rehearse(Permission::KeyRotate, would)? {
        return Ok(exit);
    }
    let reason = reason_or(args.reason.as_ref(), "rotate")?;
    let successor =
        spin("making the successor", || visit.kms.rotate_key(visit.caller, &args.key, &reason))?;
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
