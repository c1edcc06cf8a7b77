//! Requests that may be asked again: the same key, the same answer, and it is done once.
//!
//! Kept for a day in memory, at most 10,000 of them. A restart forgets them; a name that is taken
//! answers then that it is.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kms::access::PrincipalId;
use kms_api::Failure;
use kms_api::Kind;

const KEPT: Duration = Duration::from_secs(86_400);
const MOST: usize = 10_000;

/// Who asked, and under which key.
type Asked = (PrincipalId, Box<str>);

/// The answers there are.
#[derive(Debug, Default)]
pub(crate) struct Idempotency(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    of: HashMap<Asked, Answer>,
    oldest_first: VecDeque<(Instant, Asked)>,
}

#[derive(Debug)]
struct Answer {
    /// SHA-256 of what was asked.
    asked: [u8; 32],
    /// The answer, once there is one.
    body: Option<Bytes>,
}

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    /// Carry it out, and say what came of it.
    First(Ticket<'a>),
    /// It was carried out: this was the answer.
    Again(Bytes),
}

/// A request that is being carried out under a key. Dropped without an answer, the key is free
/// again: nothing was done.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    all: &'a Idempotency,
    asked: Option<Asked>,
}

impl Idempotency {
    /// Enters a request.
    ///
    /// # Errors
    /// When the key was used for something else, or its first request is still under way.
    pub(crate) fn enter(
        &self,
        (principal, key): (PrincipalId, &str),
        asked: [u8; 32],
        now: Instant,
    ) -> Result<Turn<'_>, Failure> {
        let name: Asked = (principal, key.into());
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.forget(now);
        match answers.of.get(&name) {
            Some(answer) if answer.asked != asked => Err(conflict(
                "idempotency_key_reused",
                "this idempotency key was used for another request",
            )),
            Some(Answer { body: Some(body), .. }) => Ok(Turn::Again(body.clone())),
            Some(Answer { body: None, .. }) => Err(conflict(
                "idempotency_in_progress",
                "a request with this idempotency key is still under way",
            )),
            None => {
                answers.of.insert(name.clone(), Answer { asked, body: None });
                answers.oldest_first.push_back((now, name.clone()));
                Ok(Turn::First(Ticket { all: self, asked: Some(name) }))
            }
        }
    }
}

impl Answers {
    fn forget(&mut self, now: Instant) {
        while let Some((since, _)) = self.oldest_first.front() {
            let old = now.saturating_duration_since(*since) > KEPT;
            if !old && self.oldest_first.len() < MOST {
                break;
            }
            if let Some((_, name)) = self.oldest_first.pop_front() {
                self.of.remove(&name);
            }
        }
    }
}

impl Ticket<'_> {
    /// Keeps the answer for whoever asks again.
    pub(crate) fn answered(mut self, body: Bytes) {
        let Some(name) = self.asked.take() else { return };
        let mut answers = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.of.get_mut(&name) {
            answer.body = Some(body);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let Some(name) = self.asked.take() else { return };
        let mut answers = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.of.remove(&name);
        answers.oldest_first.retain(|(_, other)| *other != name);
    }
}

fn conflict(code: &'static str, detail: &str) -> Failure {
    Failure::new(Kind::Conflict, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn<'a>(all: &'a Idempotency, key: &str, asked: u8) -> Result<Turn<'a>, Failure> {
        all.enter((PrincipalId::from_bytes([1; 8]), key), [asked; 32], Instant::now())
    }

    #[test]
    fn the_second_of_two_gets_the_answer_of_the_first() {
        let all = Idempotency::default();
        let Ok(Turn::First(ticket)) = turn(&all, "a", 1) else {
            panic!("the first is carried out")
        };
        let waiting = turn(&all, "a", 1).unwrap_err();
        assert_eq!(waiting.code, "idempotency_in_progress");
        ticket.answered(Bytes::from_static(b"made"));
        let Ok(Turn::Again(body)) = turn(&all, "a", 1) else { panic!("the second is not") };
        assert_eq!(&*body, b"made");
        assert_eq!(turn(&all, "a", 2).unwrap_err().code, "idempotency_key_reused");
    }

    #[test]
    fn a_request_that_did_nothing_leaves_its_key_free() {
        let all = Idempotency::default();
        drop(turn(&all, "a", 1).unwrap());
        assert!(matches!(turn(&all, "a", 2), Ok(Turn::First(_))));
    }
}
