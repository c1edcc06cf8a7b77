//! What the writing thread and the checkpointing thread tell each other.

use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::audit::AuditFault;
use crate::audit::growth::Growth;
use crate::audit::tree::Head;

/// A checkpoint is due after so many records,
const DUE_RECORDS: u64 = 256;
/// or so long after the first record that has none.
const DUE_AFTER: Duration = Duration::from_secs(1);

/// The durable state of the log, and what of it is signed.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    /// The checkpointing thread waits here.
    due: Condvar,
    /// Who asked for a checkpoint waits here.
    answer: Condvar,
}

#[derive(Debug)]
struct State {
    growth: Growth,
    signed: Option<Head>,
    /// Ends of segments that are to be signed, oldest first.
    sealed: VecDeque<Growth>,
    asked: u64,
    answered: u64,
    outcome: Option<AuditFault>,
    /// When the first record came that no checkpoint covers, or the last attempt was put off.
    since: Option<Instant>,
    put_off: bool,
    closing: bool,
}

/// One thing for the checkpointing thread to do.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) growth: Growth,
    /// Whether the edge is to be stored too.
    pub(crate) store_edge: bool,
    /// Whether it is the last.
    pub(crate) last: bool,
    asked: u64,
}

impl Ledger {
    pub(crate) fn new(growth: Growth, signed: Option<Head>) -> Self {
        let state = State {
            growth,
            signed,
            sealed: VecDeque::new(),
            asked: 0,
            answered: 0,
            outcome: None,
            since: None,
            put_off: false,
            closing: false,
        };
        Self { state: Mutex::new(state), due: Condvar::new(), answer: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn growth(&self) -> Growth {
        self.lock().growth.clone()
    }

    pub(crate) fn signed(&self) -> Option<Head> {
        self.lock().signed
    }

    /// Takes in whole lines that have become durable and end at `place` (segment, offset).
    pub(crate) fn grow(&self, lines: &[u8], place: (u32, u64)) {
        let mut state = self.lock();
        for line in lines.split_inclusive(|&b| b == b'\n') {
            state.growth.push(line.strip_suffix(b"\n").unwrap_or(line));
        }
        (state.growth.segment, state.growth.offset) = place;
        let first = state.since.is_none();
        if first {
            state.since = Some(Instant::now());
        }
        let wake = first || state.is_full();
        drop(state);
        if wake {
            self.due.notify_one();
        }
    }

    /// The present segment is at its end: its checkpoint is due.
    pub(crate) fn seal(&self) {
        let mut state = self.lock();
        let end = state.growth.clone();
        state.sealed.push_back(end);
        drop(state);
        self.due.notify_one();
    }

    /// Asks for a checkpoint of what is durable now and waits for it to be durable itself.
    pub(crate) fn ask(&self) -> Result<Option<Head>, AuditFault> {
        let mut state = self.lock();
        state.asked += 1;
        let mine = state.asked;
        self.due.notify_one();
        while state.answered < mine {
            state = self.answer.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.outcome.clone().map_or(Ok(state.signed), Err)
    }

    /// Lets the checkpointing thread end, after a last checkpoint.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.due.notify_one();
    }

    /// Waits for the next thing to do.
    pub(crate) fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.task() {
                return task;
            }
            state = match state.since {
                None => self.due.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(since) => {
                    let left = DUE_AFTER.saturating_sub(since.elapsed());
                    self.due.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Tells how a task ended.
    pub(crate) fn done(&self, task: &Task, outcome: Result<(), AuditFault>) {
        let mut state = self.lock();
        state.put_off = outcome.is_err();
        if outcome.is_ok() {
            let head = task.growth.head();
            state.signed = state.signed.filter(|signed| signed.size > head.size).or(Some(head));
        }
        let behind = state.unsigned() > 0;
        state.since = behind.then(Instant::now);
        state.answered = task.asked;
        state.outcome = outcome.err();
        drop(state);
        self.answer.notify_all();
    }
}

impl State {
    fn unsigned(&self) -> u64 {
        self.growth.size() - self.signed.map_or(0, |signed| signed.size)
    }

    fn is_full(&self) -> bool {
        !self.put_off && self.unsigned() >= DUE_RECORDS
    }

    fn task(&mut self) -> Option<Task> {
        let asked = self.asked;
        if let Some(growth) = self.sealed.pop_front() {
            return Some(Task { growth, store_edge: true, last: false, asked: self.answered });
        }
        let late = self.since.is_some_and(|since| since.elapsed() >= DUE_AFTER);
        let due = self.closing || asked > self.answered || self.is_full() || late;
        let (growth, last) = (self.growth.clone(), self.closing);
        due.then_some(Task { growth, store_edge: last, last, asked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_after_256_records_and_not_before() {
        let ledger = Ledger::new(Growth::nothing(), None);
        ledger.grow(&b"x\n".repeat(255), (1, 510));
        assert!(ledger.lock().task().is_none());
        ledger.grow(b"x\n", (1, 512));
        assert_eq!(ledger.lock().task().unwrap().growth.size(), 256);
    }

    #[test]
    fn a_checkpoint_is_due_a_second_after_the_first_record_without_one() {
        let ledger = Ledger::new(Growth::nothing(), None);
        ledger.grow(b"x\n", (1, 2));
        assert!(ledger.lock().task().is_none());
        ledger.lock().since = Instant::now().checked_sub(DUE_AFTER);
        let task = ledger.next_task();
        ledger.done(&task, Ok(()));
        assert_eq!(ledger.signed().unwrap().size, 1);
        assert!(ledger.lock().since.is_none() && ledger.lock().task().is_none());
    }

    #[test]
    fn a_checkpoint_put_off_is_tried_again_a_second_later() {
        let ledger = Ledger::new(Growth::nothing(), None);
        ledger.grow(&b"x\n".repeat(300), (1, 600));
        let task = ledger.next_task();
        ledger.done(&task, Err(AuditFault::NoSpace));
        assert!(ledger.lock().task().is_none());
        ledger.lock().since = Instant::now().checked_sub(DUE_AFTER);
        assert_eq!(ledger.next_task().growth.size(), 300);
    }
}
