//! Lanes: sockets to the worker, each with a session at its other end. A call takes one for itself,
//! so the pool of lanes is the pool of sessions, and its bound is theirs.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use kms_secret::SecretBytes;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;

use crate::wire::Answer;
use crate::wire::Line;
use crate::wire::Outcome;
use crate::wire::Request;
use crate::wire::Step;
use crate::wire::Stepped;
use crate::wire::exchange;

/// The lanes of one worker.
#[derive(Debug)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    freed: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Lane>,
    open: usize,
    /// The worker is gone; nobody waits for a lane of it.
    closed: bool,
}

/// A lane that someone has for themselves.
#[derive(Debug)]
pub(crate) struct Lane {
    line: Line,
    deadline: Option<Duration>,
}

impl Lanes {
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), freed: Condvar::new(), most: most.max(1) }
    }

    /// A lane: a free one, or a new one where there may be more; else the next that is freed.
    /// `Ok(None)` where none was by `until`.
    pub(crate) fn take(&self, control: &Mutex<Line>, until: Instant) -> io::Result<Option<Lane>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if let Some(lane) = state.free.pop() {
                return Ok(Some(lane));
            }
            if state.open < self.most {
                state.open += 1;
                drop(state);
                return open(control).map(Some).inspect_err(|_| self.lost());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.freed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives a lane back for the next call.
    pub(crate) fn put_back(&self, lane: Lane) {
        self.lock().free.push(lane);
        self.freed.notify_one();
    }

    /// A lane is no more.
    pub(crate) fn lost(&self) {
        let mut state = self.lock();
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.freed.notify_one();
    }

    /// The worker is gone: no more lanes, for those who wait neither.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.free.clear();
        drop(state);
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Makes one request; what comes back is checked by who asked.
    ///
    /// # Errors
    /// When the worker is gone or does not answer within `limit`; the lane is of no use then.
    pub(crate) fn call<T>(
        &mut self,
        request: &Request<'_>,
        secret: Option<&SecretBytes>,
        (limit, read): (Duration, impl FnOnce(Outcome<Answer>, SecretBytes) -> T),
    ) -> io::Result<T> {
        if self.deadline != Some(limit) {
            self.line.socket().set_read_timeout(Some(limit))?;
            self.line.socket().set_write_timeout(Some(limit))?;
            self.deadline = Some(limit);
        }
        let (outcome, secret) = exchange(&mut self.line, request, secret)?;
        Ok(read(outcome, secret))
    }
}

/// Makes a pair of sockets and hands one over on the first socket.
fn open(control: &Mutex<Line>) -> io::Result<Lane> {
    let (here, there) = UnixStream::pair()?;
    let mut control = control.lock().unwrap_or_else(PoisonError::into_inner);
    let (heard, _) = exchange::<Stepped>(&mut control, &Step::Lane, None)?;
    if heard.is_err() {
        return Err(io::ErrorKind::NotConnected.into());
    }
    let descriptors = [there.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let marker = [IoSlice::new(&[0])];
    rustix::net::sendmsg(control.socket(), &marker, &mut message, SendFlags::empty())?;
    Ok(Lane { line: Line::new(here), deadline: None })
}
