//! How far the log has grown: the tree's edge, the last link and where the next line goes.
//!
//! Can be stored beside a checkpoint to save reading the whole log at a start. What is stored
//! proves nothing by itself: its root must be one that the audit key has signed.

use serde::Deserialize;
use serde::Serialize;

use crate::audit::line::GENESIS;
use crate::audit::line::Hash;
use crate::audit::line::sha256;
use crate::audit::tree::Head;
use crate::audit::tree::Tree;
use crate::audit::tree::leaf_hash;

/// The state of a log after some record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) tree: Tree,
    /// Hash of the last line: what the next one links to.
    pub(crate) last: Hash,
    /// The segment that the last line stands in.
    pub(crate) segment: u32,
    /// Bytes of that segment up to the end of the last line.
    pub(crate) offset: u64,
}

/// The form in the file `frontier`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u8,
    size: u64,
    last: String,
    segment: u32,
    offset: u64,
    edge: Vec<String>,
}

impl Growth {
    /// A log without a record.
    pub(crate) fn nothing() -> Self {
        Self { tree: Tree::default(), last: GENESIS, segment: 1, offset: 0 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn head(&self) -> Head {
        self.tree.head()
    }

    /// Takes in one line, without its newline; where it stands is the caller's to say.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.tree.push(leaf_hash(line));
        self.last = sha256(line);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            v: 1,
            size: self.size(),
            last: hex::encode(self.last),
            segment: self.segment,
            offset: self.offset,
            edge: self.tree.edge().iter().map(hex::encode).collect(),
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok().filter(|s: &Stored| s.v == 1)?;
        let edge: Option<Vec<Hash>> = stored.edge.iter().map(|text| hash_of(text)).collect();
        let tree = Tree::from_edge(stored.size, edge?)?;
        let (segment, offset) = (stored.segment, stored.offset);
        Some(Self { tree, last: hash_of(&stored.last)?, segment, offset })
    }
}

/// The hash that 64 hex digits spell.
pub(crate) fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_taken_up_again() {
        let mut growth = Growth::nothing();
        for line in [b"a", b"b", b"c"] {
            growth.push(line);
        }
        growth.segment = 2;
        growth.offset = 99;
        assert_eq!(Growth::from_bytes(&growth.to_bytes()), Some(growth.clone()));
        let mut short = growth.to_bytes();
        short.pop();
        assert_eq!(Growth::from_bytes(&short), None);
        let text = String::from_utf8(growth.to_bytes()).unwrap();
        assert_eq!(Growth::from_bytes(text.replace("\"size\":3", "\"size\":4").as_bytes()), None);
    }
}
