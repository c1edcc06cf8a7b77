//! One request's turn at a floor.

use std::fmt;
use std::sync::MutexGuard;

use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;
use kms_formats::comet::canonical;

use crate::compromise::Cleared;
use crate::consensus::Floor;
use crate::consensus::LastSigned;
use crate::consensus::Limits;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::consensus::rules::Decision;
use crate::consensus::rules::decide;
use crate::consensus::slots::FloorKey;
use crate::consensus::slots::Slots;
use crate::key::Signature;
use crate::lifecycle::uses::Consensus;
use crate::lifecycle::uses::Sign;
use crate::time::Timestamp;

/// What is asked, and the bytes that would be signed: made here, never by a caller.
#[derive(Debug)]
pub struct Asked {
    message: Message,
    chain: ChainId,
    sign_bytes: Vec<u8>,
    extension_bytes: Option<Vec<u8>>,
}

impl Asked {
    /// Makes the bytes. The extension of a precommit for a block is signed unless the node skips it.
    pub fn new(message: Message, chain: ChainId, skips_extension: bool) -> Self {
        let sign_bytes = canonical::sign_bytes(&message, &chain);
        let extension_bytes = match &message {
            Message::Vote(vote) if vote.extends() && !skips_extension => {
                Some(canonical::extension_bytes(vote, &chain))
            }
            Message::Vote(_) | Message::Proposal(_) => None,
        };
        Self { message, chain, sign_bytes, extension_bytes }
    }

    /// What is asked.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        Position::of(&self.message)
    }

    /// The bytes of the vote or the proposal.
    pub fn sign_bytes(&self) -> &[u8] {
        &self.sign_bytes
    }

    /// The bytes of the extension, if that is signed too.
    pub fn extension_bytes(&self) -> Option<&[u8]> {
        self.extension_bytes.as_deref()
    }

    /// The bytes it would have at another time.
    pub(crate) fn sign_bytes_at(&self, time: Time) -> Vec<u8> {
        canonical::sign_bytes(&self.message.clone().at(time), &self.chain)
    }
}

/// What a request may have.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// What is to be signed; absent where it was signed before.
    pub sign: Option<Cleared<Sign<'a>>>,
    /// What was signed before.
    pub again: Option<LastSigned>,
    /// The extension, which is signed each time it is asked for: it may differ, and nobody is
    /// slashed for that.
    pub extension: Option<Cleared<Sign<'a>>>,
}

/// A floor in memory, with the file it is kept in.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) slots: Slots,
    pub(crate) floor: Floor,
    /// The second of the last request, and how many there were in it.
    pub(crate) rate: (u64, u32),
    /// Why it signs nothing any more: a write failed, and what the disk has is not known.
    pub(crate) broken: Option<String>,
}

impl Held {
    pub(crate) fn new(slots: Slots, floor: Floor) -> Self {
        Self { slots, floor, rate: (0, 0), broken: None }
    }

    /// Counts a request; refuses one too many in a second.
    fn count(&mut self, now: Timestamp, limit: u32) -> Result<(), Refusal> {
        let second = now.unix_seconds();
        let before = if self.rate.0 == second { self.rate.1 } else { 0 };
        if before >= limit {
            return Err(Refusal::TooFast { limit });
        }
        self.rate = (second, before + 1);
        Ok(())
    }

    /// Puts `next` in the place of the floor: on the disk first, then here.
    pub(crate) fn write(&mut self, mut next: Floor, key: &FloorKey) -> Result<(), Refusal> {
        next.sequence = self.floor.sequence.saturating_add(1);
        if let Err(error) = self.slots.write(&next, key) {
            self.broken = Some(error.to_string());
            return Err(error.into());
        }
        self.floor = next;
        Ok(())
    }
}

/// A floor, locked for one request: no other is decided until this one is kept or given up.
#[derive(Debug)]
pub struct Turn<'f> {
    pub(crate) held: MutexGuard<'f, Held>,
    pub(crate) key: &'f FloorKey,
    pub(crate) limits: Limits,
}

impl<'f> Turn<'f> {
    /// Decides what is asked.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub fn judge<'a>(
        &mut self,
        cleared: Cleared<Consensus<'a>>,
        (asked, now): (&'a Asked, Timestamp),
    ) -> Result<Verdict<'a>, Refusal> {
        self.held.count(now, self.limits.max_per_second)?;
        if let Some(why) = &self.held.broken {
            return Err(Refusal::NotWritten(why.clone()));
        }
        let again = match decide(&self.held.floor, asked, &self.limits)? {
            Decision::Sign => None,
            Decision::Again(last) => Some(last.clone()),
        };
        let (sign, extension) = cleared.into_signing(&asked.sign_bytes, asked.extension_bytes());
        Ok(Verdict { sign: again.is_none().then_some(sign), again, extension })
    }

    /// What becomes the floor with this signature.
    pub fn keep(&self, asked: &Asked, signature: &Signature) -> Keep {
        let last =
            LastSigned { sign_bytes: asked.sign_bytes.clone(), signature: signature.bytes.clone() };
        let position = asked.position();
        Keep(Floor { position, last: Some(last), ..self.held.floor.clone() })
    }

    /// Raises the floor; durable on return. `record` is the number of the record of it.
    ///
    /// # Errors
    /// [`Refusal::NotWritten`]; the key signs nothing more until the home is opened anew.
    pub fn raise(mut self, keep: Keep, record: u64) -> Result<Kept, Refusal> {
        self.held.write(Floor { record, ..keep.0 }, self.key)?;
        Ok(Kept(()))
    }

    /// Ends a turn in which nothing new was signed.
    pub fn leave(self) -> Kept {
        Kept(())
    }
}

/// What will be the floor. Opaque: it holds a signature that has not left.
pub struct Keep(Floor);

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keep({})", self.0.position)
    }
}

/// Shows that the floor is durable, or need not be raised.
///
/// ```compile_fail,E0423
/// let kept = kms::consensus::Kept(()); // private: only a turn makes one
/// ```
#[derive(Debug)]
pub struct Kept(());

/// What was signed, until its floor is durable.
///
/// ```compile_fail,E0616
/// fn hurry<T>(unkept: kms::consensus::Unkept<T>) -> T {
///     unkept.value // private: `open` wants to see that the floor was kept
/// }
/// ```
#[must_use = "what is not opened is lost"]
pub struct Unkept<T> {
    value: T,
}

impl<T> Unkept<T> {
    /// Holds back what was signed.
    pub fn new(value: T) -> Self {
        Self { value }
    }

    /// Gives it for the proof that the floor is durable.
    pub fn open(self, _: Kept) -> T {
        self.value
    }
}

impl<T> fmt::Debug for Unkept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unkept(..)")
    }
}
