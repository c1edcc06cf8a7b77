//! The lines by which a worker says what it was told is done.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// One acknowledgement, as one line: words separated by a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// `key ID STATE`: the key exists and is in that state.
    Key(String, String),
    /// `signed SHA256`: a signature with that digest was handed out.
    Signed(String),
    /// `principal NAME`: the principal exists.
    Principal(String),
    /// `leaving NAME`: the principal is about to be removed, so nothing is known of it.
    Leaving(String),
    /// `made`: the home was made.
    Made,
    /// `gone NAME`: the principal was removed.
    Gone(String),
    /// `operation ID STATE`: the multi-signature operation exists and has come so far.
    Operation(String, String),
}

impl Line {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["key", id, state] => Some(Self::Key((*id).to_owned(), (*state).to_owned())),
            ["signed", digest] => Some(Self::Signed((*digest).to_owned())),
            ["principal", name] => Some(Self::Principal((*name).to_owned())),
            ["made"] => Some(Self::Made),
            ["leaving", name] => Some(Self::Leaving((*name).to_owned())),
            ["gone", name] => Some(Self::Gone((*name).to_owned())),
            ["operation", id, state] => {
                Some(Self::Operation((*id).to_owned(), (*state).to_owned()))
            }
            _ => None,
        }
    }
}

/// Everything acknowledged so far by the workers of one home.
#[derive(Debug, Default, Clone)]
pub(crate) struct Acknowledged {
    /// The acknowledged states of each key, in order.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    /// The digests of all signatures handed out.
    pub(crate) signatures: BTreeSet<String>,
    /// The names of all principals made.
    pub(crate) principals: BTreeSet<String>,
    /// The names of all principals removed.
    pub(crate) gone: BTreeSet<String>,
    /// How far each multi-signature operation has come.
    pub(crate) operations: BTreeMap<String, String>,
    /// The making of the home was begun and never acknowledged.
    pub(crate) unfinished: bool,
    /// How many lines this comes from.
    pub(crate) count: usize,
}

impl Acknowledged {
    pub(crate) fn add(&mut self, line: Line) {
        self.count += 1;
        match line {
            Line::Key(id, state) => self.keys.entry(id).or_default().push(state),
            Line::Signed(digest) => _ = self.signatures.insert(digest),
            Line::Principal(name) => _ = self.principals.insert(name),
            Line::Made => self.unfinished = false,
            Line::Leaving(name) => _ = self.principals.remove(&name),
            Line::Gone(name) => _ = self.gone.insert(name),
            Line::Operation(id, state) => _ = self.operations.insert(id, state),
        }
    }
}
