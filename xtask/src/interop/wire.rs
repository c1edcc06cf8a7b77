//! Between a node and its signer: everything that leaves the signer is written down.
//!
//! The signer dials this end, and this end dials the node, for as many connections as there are. On a
//! unix socket the messages are in the clear, so each answer can be held against every other for the
//! same height, round and step: bytes that differ are two signatures.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use kms_formats::comet::privval::Dialect;
use kms_formats::comet::privval::Request;
use kms_formats::comet::privval::decode;

use crate::shell::Outcome;

/// A height, a round and the number of a step.
type Place = (i64, i32, u8);

/// What left the signer, by place: the vote or proposal with its signatures, byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Left {
    answers: BTreeMap<Place, Vec<u8>>,
    /// What left twice for one place, and differs.
    pub(crate) conflicts: Vec<String>,
    /// Nothing gets through: the power is being cut, and what a process says that runs on in the dark
    /// did not leave the machine. (After its shutdown a file system may call a sync done.)
    pub(crate) unplugged: bool,
}

impl Left {
    /// How many places were signed.
    pub(crate) fn count(&self) -> usize {
        self.answers.len()
    }

    /// What was signed.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.answers.keys().copied()
    }

    fn add(&mut self, place: Place, answer: &[u8]) {
        let known = self.answers.entry(place).or_insert_with(|| answer.to_vec());
        if known.as_slice() != answer {
            self.conflicts.push(format!("two answers for {place:?}"));
        }
    }
}

/// Listens at `at` for a signer, and connects each to the node at `node`.
pub(crate) fn tap(at: &Path, node: &Path) -> Outcome<Arc<Mutex<Left>>> {
    let listener = UnixListener::bind(at).map_err(|error| error.to_string())?;
    let left = Arc::new(Mutex::new(Left::default()));
    let (its, node) = (Arc::clone(&left), node.to_owned());
    std::thread::spawn(move || {
        for signer in listener.incoming().flatten() {
            let (left, node) = (Arc::clone(&its), node.clone());
            std::thread::spawn(move || _ = relay(signer, &node, &left));
        }
    });
    Ok(left)
}

fn relay(mut signer: UnixStream, node: &PathBuf, left: &Mutex<Left>) -> io::Result<()> {
    let mut node = UnixStream::connect(node)?;
    // One request is answered before the next is asked.
    while let Some(request) = message(&mut node)? {
        send(&mut signer, &request)?;
        let Some(answer) = message(&mut signer)? else { return Ok(()) };
        // Written down before it goes on: a signer that is killed now has let it out.
        if !note(&request, &answer, left) {
            return Ok(());
        }
        send(&mut node, &answer)?;
    }
    Ok(())
}

/// Writes an answer down; `false` if it did not leave.
fn note(request: &[u8], answer: &[u8], left: &Mutex<Left>) -> bool {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    if left.unplugged {
        return false;
    }
    if let Ok(Request::Sign { message, .. }) = decode(request, Dialect::V0_38)
        && let Some(signed) = signed_part(answer)
    {
        left.add((message.height(), message.round(), message.step().number()), signed);
    }
    true
}

/// The vote or proposal in an answer; `None` for a refusal, whose only field is the second.
fn signed_part(answer: &[u8]) -> Option<&[u8]> {
    let rest = answer.get(1..)?;
    let length_bytes = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let inner = rest.get(length_bytes..)?;
    (inner.first() == Some(&0x0a)).then_some(inner)
}

fn message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 3);
    let mut length = message.len();
    while length >= 0x80 {
        framed.push(seven_bits(length) | 0x80);
        length >>= 7;
    }
    framed.push(seven_bits(length));
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

fn seven_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0x7f)
}
