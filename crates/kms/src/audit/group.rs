//! Group commit: many callers append, one thread makes whole batches durable.
//!
//! Decides when bytes get a place, when they are written and when their callers hear of it. Knows
//! nothing of records: what is written, and what must be decided under the one lock (a number, a
//! link), is a closure of the caller's; where it goes is a [`Sink`].
//!
//! Room on the disk is had before a place is given out, so a full disk refuses with everything as
//! it was. Any other error of the disk is final: what is on the disk then is not known, and nothing
//! is acknowledged by this process again.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::thread::JoinHandle;

use crate::audit::AuditFault;
use crate::durable::DiskError;

/// By how much room is extended, in bytes; where so much is not to be had, [`KEPT_BACK`].
const STEP: u64 = 1024 * 1024;
/// Room that only urgent bytes may use.
const KEPT_BACK: u64 = 64 * 1024;

/// Where batches go. Called by one thread only.
pub trait Sink: Send + 'static {
    /// Makes sure of `bytes` bytes of room behind what has been written.
    ///
    /// # Errors
    ///
    /// [`DiskError::NoSpace`] leaves all as it was; any other is final.
    fn reserve(&mut self, bytes: u64) -> Result<(), DiskError>;

    /// Writes as many whole lines from the front of `lines` as belong into the present file (all
    /// of them with `Fill::Everything`) and makes them durable. Returns their length in bytes.
    ///
    /// # Errors
    ///
    /// Any is final.
    fn write(&mut self, lines: &[u8], fill: Fill) -> Result<usize, DiskError>;

    /// Goes on to the next file, with `bytes` bytes of room in it; `false` if the disk is too full
    /// for that, with all as it was.
    ///
    /// # Errors
    ///
    /// Any is final.
    fn advance(&mut self, bytes: u64) -> Result<bool, DiskError>;
}

/// How far a file is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Up to its limit.
    ToLimit,
    /// Beyond it, because there is no room for another file.
    Everything,
}

/// Appends for many threads at once. `S` is what their closures work on under the lock.
#[derive(Debug)]
pub struct GroupCommit<S, K> {
    shared: Arc<Shared<S>>,
    writer: Mutex<Option<JoinHandle<K>>>,
}

/// What a neighbour that writes to the same disk shares with the group commit: after an error of
/// either, neither writes again.
pub(crate) trait Fate: Send + Sync {
    /// Makes the group commit unusable.
    fn poison(&self, why: &str);
    /// Why it is unusable, if it is.
    fn poisoned(&self) -> Option<AuditFault>;
}

impl<S: Send> Fate for Shared<S> {
    fn poison(&self, why: &str) {
        self.lock().poison(why);
        self.work.notify_one();
        self.answer.notify_all();
    }

    fn poisoned(&self) -> Option<AuditFault> {
        self.lock().phase.fault().filter(|fault| matches!(fault, AuditFault::Poisoned(_)))
    }
}

impl<S: Send + 'static, K: Sink> GroupCommit<S, K> {
    /// Starts the writing thread.
    ///
    /// # Errors
    ///
    /// That of the operating system, if it gives no thread.
    pub fn start(state: S, sink: K) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(state)),
            work: Condvar::new(),
            answer: Condvar::new(),
        });
        let its = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("audit-writer".to_owned());
        let writer = builder.spawn(move || its.run(sink))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Appends what `write` puts at the end of the buffer: whole lines of at most `need` bytes
    /// together; returns also what `write` does. `write` runs under the lock that orders all appends, so it must be short.
    ///
    /// Nothing is durable yet: wait for the receipt.
    ///
    /// # Errors
    ///
    /// [`AuditFault::NoSpace`] with nothing written and `write` not called;
    /// [`AuditFault::Poisoned`] and [`AuditFault::Closed`] likewise.
    pub fn submit<R>(
        &self,
        need: Need,
        write: impl FnOnce(&mut S, &mut Vec<u8>) -> R,
    ) -> Result<(R, Receipt), AuditFault> {
        let mut queue = self.shared.room_for(need)?;
        let before = queue.bytes.len();
        let Queue { state, bytes, .. } = &mut *queue;
        let result = write(state, bytes);
        let grown = (queue.bytes.len() - before) as u64;
        queue.room = queue.room.saturating_sub(grown);
        let receipt = Receipt(Arc::clone(&queue.gate));
        drop(queue);
        if before == 0 {
            self.shared.work.notify_one();
        }
        Ok((result, receipt))
    }

    /// Says whether `need` would be taken now.
    ///
    /// # Errors
    ///
    /// As [`Self::submit`].
    pub fn check_room(&self, need: Need) -> Result<(), AuditFault> {
        self.shared.room_for(need).map(drop)
    }

    /// Looks at the state under the lock: what has a place, durable or not.
    pub fn peek<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.shared.lock().state)
    }

    /// What stops every further append, if anything does.
    pub(crate) fn fault(&self) -> Option<AuditFault> {
        self.shared.lock().phase.fault()
    }

    pub(crate) fn fate(&self) -> Arc<dyn Fate> {
        Arc::clone(&self.shared) as Arc<dyn Fate>
    }

    /// Takes no more, writes what has a place, ends the thread and gives the sink back; `None`
    /// the second time.
    pub fn close(&self) -> Option<K> {
        self.shared.lock().close();
        self.shared.work.notify_one();
        self.shared.answer.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        writer.and_then(|thread| thread.join().ok())
    }
}

/// How much room an append needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// At most so many bytes.
    pub bytes: usize,
    /// Whether they may use the room that is kept back.
    pub urgent: bool,
}

/// Stands for bytes that have a place and are not yet known to be durable.
#[derive(Debug)]
#[must_use = "nothing is durable before `wait` returns"]
pub struct Receipt(Arc<Gate>);

impl Receipt {
    /// Waits until the bytes are durable.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Poisoned`] if that will never be known.
    pub fn wait(self) -> Result<(), AuditFault> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = state.outcome() {
                return outcome;
            }
            state = self.0.opened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The same without a thread that waits: whoever polls is woken once the bytes are durable.
impl Future for Receipt {
    type Output = Result<(), AuditFault>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = state.outcome() {
            return Poll::Ready(outcome);
        }
        if let GateState::Waiting(sleepers) = &mut *state
            && !sleepers.last().is_some_and(|last| last.will_wake(context.waker()))
        {
            sleepers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// What the callers of one batch wait at; a batch has its own, so nobody is woken for nothing.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Debug)]
enum GateState {
    /// Not known yet; whoever awaits it is woken.
    Waiting(Vec<Waker>),
    Durable,
    Lost(Arc<str>),
}

impl Default for GateState {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl GateState {
    fn outcome(&self) -> Option<Result<(), AuditFault>> {
        match self {
            Self::Waiting(_) => None,
            Self::Durable => Some(Ok(())),
            Self::Lost(why) => Some(Err(AuditFault::Poisoned(Arc::clone(why)))),
        }
    }
}

impl Gate {
    fn open(&self, outcome: GateState) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, outcome);
        drop(state);
        self.opened.notify_all();
        if let GateState::Waiting(sleepers) = before {
            sleepers.into_iter().for_each(Waker::wake);
        }
    }
}

#[derive(Debug)]
struct Shared<S> {
    queue: Mutex<Queue<S>>,
    /// The writer waits here.
    work: Condvar,
    /// Who asked for room waits here.
    answer: Condvar,
}

#[derive(Debug)]
struct Queue<S> {
    state: S,
    bytes: Vec<u8>,
    gate: Arc<Gate>,
    /// Bytes that are reserved on the disk and not spoken for.
    room: u64,
    /// How often room was asked for, and up to which of these an answer was given.
    asked: u64,
    answered: u64,
    /// How often there was more room.
    grants: u64,
    /// Whether the writer goes on to the next file: the room there is not known yet.
    advancing: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Running,
    Closed,
    Poisoned(Arc<str>),
}

impl Phase {
    fn fault(&self) -> Option<AuditFault> {
        match self {
            Self::Running => None,
            Self::Closed => Some(AuditFault::Closed),
            Self::Poisoned(why) => Some(AuditFault::Poisoned(Arc::clone(why))),
        }
    }
}

impl<S> Queue<S> {
    fn new(state: S) -> Self {
        let (bytes, gate) = (Vec::new(), Arc::default());
        let (room, asked, answered, grants) = (0, 0, 0, 0);
        let (advancing, phase) = (false, Phase::Running);
        Self { state, bytes, gate, room, asked, answered, grants, advancing, phase }
    }

    fn grant(&mut self, more: u64) {
        self.room += more;
        self.grants += u64::from(more > 0);
    }

    fn close(&mut self) {
        if let Phase::Running = self.phase {
            self.phase = Phase::Closed;
        }
    }

    fn poison(&mut self, why: &str) {
        if !matches!(self.phase, Phase::Poisoned(_)) {
            self.phase = Phase::Poisoned(why.into());
        }
    }

    fn has_room(&self, need: Need) -> bool {
        let kept_back = if need.urgent { 0 } else { KEPT_BACK };
        self.room >= need.bytes as u64 + kept_back
    }

    fn is_idle(&self) -> bool {
        let running = matches!(self.phase, Phase::Running);
        running && self.bytes.is_empty() && self.asked == self.answered
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue, when it has room for `need`. Asks the writer for more, and again only where there
    /// was more and others were faster, so that a full disk is an answer and not a wait.
    fn room_for(&self, need: Need) -> Result<MutexGuard<'_, Queue<S>>, AuditFault> {
        let mut queue = self.lock();
        let mut seen = None;
        loop {
            match queue.phase.fault() {
                Some(fault) => return Err(fault),
                None if queue.has_room(need) => return Ok(queue),
                None if seen == Some(queue.grants) => return Err(AuditFault::NoSpace),
                None => {}
            }
            seen = Some(queue.grants);
            queue.asked += 1;
            let mine = queue.asked;
            self.work.notify_one();
            while (queue.answered < mine || queue.advancing) && queue.phase.fault().is_none() {
                queue = self.answer.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// The writing thread.
    fn run<K: Sink>(&self, mut sink: K) -> K {
        let mut spare = Vec::new();
        while let Some((batch, gate)) = self.next_batch(spare) {
            let outcome = self.commit(&mut sink, &batch);
            match outcome.and_then(|()| self.extend(&mut sink, &gate)) {
                Ok(()) => {}
                Err(error) => self.give_up(&gate, &error.to_string()),
            }
            spare = batch;
        }
        sink
    }

    /// Waits for work; `None` at the end. `spare` becomes the next buffer to fill.
    fn next_batch(&self, mut spare: Vec<u8>) -> Option<(Vec<u8>, Arc<Gate>)> {
        spare.clear();
        let mut queue = self.lock();
        while queue.is_idle() {
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        match &queue.phase {
            Phase::Running => {}
            Phase::Closed if queue.bytes.is_empty() => return None,
            Phase::Closed => {}
            Phase::Poisoned(why) => {
                queue.gate.open(GateState::Lost(Arc::clone(why)));
                self.answer.notify_all();
                return None;
            }
        }
        let batch = std::mem::replace(&mut queue.bytes, spare);
        Some((batch, std::mem::take(&mut queue.gate)))
    }

    fn commit<K: Sink>(&self, sink: &mut K, batch: &[u8]) -> Result<(), DiskError> {
        let mut rest = batch;
        let mut fill = Fill::ToLimit;
        while !rest.is_empty() {
            let taken = sink.write(rest, fill)?;
            rest = rest.get(taken..).unwrap_or_default();
            if !rest.is_empty() && !self.advance(sink, rest.len())? {
                fill = Fill::Everything;
            }
        }
        Ok(())
    }

    /// Moves on to the next file. While that lasts nobody gets a place, so the room that is asked
    /// for there covers all that has one.
    fn advance<K: Sink>(&self, sink: &mut K, unwritten: usize) -> Result<bool, DiskError> {
        let mut queue = self.lock();
        let room = std::mem::take(&mut queue.room);
        queue.advancing = true;
        let placed = (unwritten + queue.bytes.len()) as u64;
        drop(queue);
        let granted = Self::room_there(sink, placed);
        let mut queue = self.lock();
        queue.advancing = false;
        match &granted {
            Ok(Some(step)) => queue.grant(*step),
            Ok(None) | Err(_) => queue.room = room,
        }
        drop(queue);
        self.answer.notify_all();
        granted.map(|step| step.is_some())
    }

    /// Moves to the next file, and says how much room is there behind `placed` bytes; none on a
    /// full disk.
    fn room_there<K: Sink>(sink: &mut K, placed: u64) -> Result<Option<u64>, DiskError> {
        for step in [STEP + KEPT_BACK, KEPT_BACK] {
            if sink.advance(placed + step)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// Tells the callers, then extends the room if it runs low or somebody asked.
    fn extend<K: Sink>(&self, sink: &mut K, gate: &Gate) -> Result<(), DiskError> {
        gate.open(GateState::Durable);
        let queue = self.lock();
        let (asked, room, placed) = (queue.asked, queue.room, queue.bytes.len() as u64);
        let unanswered = asked > queue.answered;
        let wanted = room < STEP / 2 && matches!(queue.phase, Phase::Running);
        drop(queue);
        if wanted || unanswered {
            let more = if wanted { Self::more_room(sink, room, placed)? } else { 0 };
            let mut queue = self.lock();
            queue.grant(more);
            queue.answered = queue.answered.max(asked);
            drop(queue);
            self.answer.notify_all();
        }
        Ok(())
    }

    /// Reserves the next step; returns by how much the room grew, zero on a full disk.
    fn more_room<K: Sink>(sink: &mut K, room: u64, placed: u64) -> Result<u64, DiskError> {
        for step in [STEP + KEPT_BACK, 2 * KEPT_BACK, KEPT_BACK] {
            if step <= room {
                break;
            }
            match sink.reserve(placed + step) {
                Ok(()) => return Ok(step - room),
                Err(DiskError::NoSpace) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    fn give_up(&self, gate: &Gate, why: &str) {
        let mut queue = self.lock();
        queue.poison(why);
        drop(queue);
        gate.open(GateState::Lost(why.into()));
        self.answer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need { bytes: 100, urgent: false };

    /// A writer that has answered everything that will ever be asked.
    fn answered(advancing: bool) -> Shared<()> {
        let queue = Queue { answered: u64::MAX, advancing, ..Queue::new(()) };
        Shared { queue: Mutex::new(queue), work: Condvar::new(), answer: Condvar::new() }
    }

    #[test]
    fn full_disk_is_an_answer() {
        let refused = answered(false).room_for(NEED).map(drop);
        assert!(matches!(refused, Err(AuditFault::NoSpace)), "{refused:?}");
    }

    #[test]
    fn going_on_to_the_next_file_is_no_full_disk() {
        let shared = answered(true);
        let outcome = std::thread::scope(|scope| {
            let asking = scope.spawn(|| shared.room_for(NEED).map(drop));
            while shared.lock().asked == 0 {
                std::thread::yield_now();
            }
            let mut queue = shared.lock();
            queue.advancing = false;
            queue.grant(STEP);
            drop(queue);
            shared.answer.notify_all();
            asking.join().expect("no panic")
        });
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
