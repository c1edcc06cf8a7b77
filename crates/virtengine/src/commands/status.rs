//! `virtengine status` and `virtengine doctor`. Neither asks for a passphrase.

use crate::context::Context;
use crate::exit::Exit;
use crate::output::text::document;
use crate::problem::Problem;
use crate::visit;

/// Shows the state of the home.
///
/// # Errors
/// When the home cannot be opened or stdout cannot be written.
pub(crate) fn status(context: &Context<'_>) -> Result<Exit, Problem> {
    let kms = visit::open(context)?;
    let status = kms.status();
    kms.close()?;
    context.data(&status, || document(&status))?;
    Ok(Exit::Ok)
}
