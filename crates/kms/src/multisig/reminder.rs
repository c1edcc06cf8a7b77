//! When signers who have not signed are to be reminded: at 50, 75 and 90 percent of the time.

use crate::key::Label;
use crate::multisig::Operation;
use crate::multisig::OperationId;
use crate::multisig::OperationState;
use crate::multisig::Tally;
use crate::time::Timestamp;

/// The shares of the time after which reminders are due, in percent.
const SHARES: [u8; 3] = [50, 75, 90];

/// A reminder that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// The operation.
    pub operation: OperationId,
    /// 50, 75 or 90: each is sent once.
    pub percent: u8,
    /// When the operation expires.
    pub expires_at: Timestamp,
    /// Who is to be reminded.
    pub to: Vec<Label>,
}

/// The reminder that is due at `now` of an operation whose count is `tally`: the latest share of
/// the time that has passed, while signatures are missing. Whoever sends reminders keeps the
/// greatest percent that was sent for each operation.
pub fn reminder(operation: &Operation, tally: &Tally, now: Timestamp) -> Option<Reminder> {
    if tally.state != OperationState::Pending {
        return None;
    }
    let whole = u128::from(operation.expires_at.seconds_since(operation.created_at));
    let passed = u128::from(now.seconds_since(operation.created_at));
    let due = |share: &u8| passed * 100 >= whole * u128::from(*share);
    let percent = SHARES.into_iter().filter(due).max()?;
    let (expires_at, to) = (operation.expires_at, tally.awaited());
    Some(Reminder { operation: operation.id, percent, expires_at, to })
}
