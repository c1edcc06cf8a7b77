//! The connections there are: a bounded number. One more, and the one that has been idle longest
//! goes; so ten thousand that say nothing keep nobody out who says something.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Notify;

/// All of them.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    began: Instant,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Tells it to go.
    pub(crate) end: Notify,
    /// Milliseconds since the daemon began at which it became idle; `BUSY` while it is not.
    idle_since: AtomicU64,
    began: Instant,
}

const BUSY: u64 = u64::MAX;

/// Keeps a connection in the list while it lives.
#[derive(Debug)]
pub(crate) struct Held {
    all: Arc<Connections>,
    number: u64,
    /// The connection.
    pub(crate) connection: Arc<Connection>,
}

/// Marks a connection as busy while a request of it is carried out.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Connections {
    /// Room for `most`.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (next, open) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { most, began: Instant::now(), next, open })
    }

    /// Enters a new one; where there is no room, the longest idle one is told to go, and if none is
    /// idle the new one is not let in.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Held> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            let idle = |connection: &Arc<Connection>| connection.idle_since.load(Ordering::Relaxed);
            let oldest = open.iter().min_by_key(|(_, connection)| idle(connection));
            let (number, connection) = oldest.filter(|(_, connection)| idle(connection) != BUSY)?;
            let number = *number;
            connection.end.notify_one();
            open.remove(&number);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            end: Notify::new(),
            idle_since: AtomicU64::new(millis(self.began)),
            began: self.began,
        });
        open.insert(number, Arc::clone(&connection));
        Some(Held { all: Arc::clone(self), number, connection })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Connection {
    /// A request of it is carried out.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.idle_since.store(BUSY, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(millis(self.0.began), Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(BUSY - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_goes_for_a_new_one_and_a_busy_one_does_not() {
        let all = Connections::new(2);
        let busy = all.enter().unwrap();
        let _request = busy.connection.busy();
        let idle = all.enter().unwrap();
        let third = all.enter().unwrap();
        assert_eq!(all.count(), 2);
        drop(idle); // it has gone from the list already
        assert_eq!(all.count(), 2);
        let _other = third.connection.busy();
        assert!(all.enter().is_none(), "nobody is idle");
    }
}
