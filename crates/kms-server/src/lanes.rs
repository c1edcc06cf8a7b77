//! Lanes: what takes a thread waits for its turn, a bounded number at a time, and no caller takes
//! more than half of the places.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use kms_api::Failure;
use tokio::sync::Semaphore;

use crate::failures;

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane<K> {
    running: Semaphore,
    waiting: Arc<Places<K>>,
    patience: Duration,
}

#[derive(Debug)]
struct Places<K> {
    most: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// A place in a lane; given back when dropped.
#[derive(Debug)]
struct Place<'a, K: Hash + Eq> {
    places: &'a Places<K>,
    of: K,
}

impl<K: Hash + Eq + Copy> Lane<K> {
    /// A lane for `running` at a time, with `waiting` places in all.
    pub(crate) fn new(running: usize, waiting: usize, patience: Duration) -> Self {
        let taken = Mutex::new(Taken { all: 0, of: HashMap::new() });
        let waiting = Arc::new(Places { most: waiting, taken });
        Self { running: Semaphore::new(running), waiting, patience }
    }

    /// Runs `work` on a thread when it is its turn.
    ///
    /// # Errors
    /// When the lane is full, or the turn does not come in time; `work` is not begun then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        caller: K,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let _place = self.waiting.take(caller).ok_or_else(failures::overloaded)?;
        let turn = tokio::time::timeout(self.patience, self.running.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(failures::overloaded()) };
        tokio::task::spawn_blocking(work).await.map_err(|_| failures::broken())
    }

    /// How many wait or are carried out.
    pub(crate) fn busy(&self) -> usize {
        self.waiting.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl<K: Hash + Eq + Copy> Places<K> {
    fn take(&self, caller: K) -> Option<Place<'_, K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_caller = taken.of.get(&caller).copied().unwrap_or(0);
        if taken.all >= self.most || of_caller >= self.most.div_ceil(2) {
            return None;
        }
        taken.all += 1;
        *taken.of.entry(caller).or_default() += 1;
        Some(Place { places: self, of: caller })
    }
}

impl<K: Hash + Eq> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.of.get(&self.of).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            taken.of.remove(&self.of);
        } else if let Some(count) = taken.of.get_mut(&self.of) {
            *count = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_takes_half_of_the_places_at_most() {
        let lane: Lane<u8> = Lane::new(1, 4, Duration::from_secs(1));
        let first: Vec<_> = (0..4).map_while(|_| lane.waiting.take(1)).collect();
        assert_eq!(first.len(), 2);
        assert!(lane.waiting.take(2).is_some(), "there is room for others");
        drop(first);
        assert_eq!(lane.busy(), 0);
        assert!(lane.waiting.take(1).is_some());
    }
}
