//! The Merkle tree over the lines (RFC 6962 section 2.1), kept as its right edge.
//!
//! ```text
//! leaf  = SHA-256(0x00 ‖ line)            the line's bytes without its newline
//! node  = SHA-256(0x01 ‖ left ‖ right)
//! root  of no leaves = SHA-256()
//! ```
//!
//! The edge is the list of roots of the full subtrees of which the tree is made, largest first:
//! one for each bit that is set in the number of leaves. Adding a leaf and taking the root cost
//! O(log n); no leaf is kept.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::audit::line::Hash;
use crate::audit::line::sha256;
use crate::audit::line::sha256_of_two;

/// Size and root of the tree over the first `size` records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of records.
    pub size: u64,
    /// Root of the tree over them, 32 bytes (RFC 6962 section 2.1).
    pub root: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.size, hex::encode(self.root))
    }
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is SIZE:ROOT, a number and 64 hex digits")]
pub struct InvalidHead;

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (size, digits) = text.split_once(':').ok_or(InvalidHead)?;
        let mut root = [0; 32];
        hex::decode_to_slice(digits, &mut root).map_err(|_| InvalidHead)?;
        Ok(Self { size: size.parse().map_err(|_| InvalidHead)?, root })
    }
}

/// The right edge of a tree: enough to go on growing it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    size: u64,
    edge: Vec<Hash>,
}

impl Tree {
    /// Takes up a stored edge; `None` if it does not have one hash for each bit of `size`.
    pub(crate) fn from_edge(size: u64, edge: Vec<Hash>) -> Option<Self> {
        let bits = usize::try_from(size.count_ones()).ok()?;
        (edge.len() == bits).then_some(Self { size, edge })
    }

    /// Number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, largest first.
    pub(crate) fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// Adds a leaf that was made by [`leaf_hash`].
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.edge.pop().expect("one subtree for each bit of the size");
            node = node_hash(&left, &node);
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// The root (RFC 6962 section 2.1).
    pub(crate) fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        let Some(last) = subtrees.next() else { return sha256(b"") };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Size and root.
    pub(crate) fn head(&self) -> Head {
        Head { size: self.size, root: self.root() }
    }
}

/// The leaf of one line, without its newline.
pub(crate) fn leaf_hash(line: &[u8]) -> Hash {
    // Nearly every line is short, and hashing a copy in one go is faster than in two pieces.
    let mut copy = [0; 1024];
    let (_, rest) = copy.split_at_mut(1);
    match rest.get_mut(..line.len()) {
        Some(place) => place.copy_from_slice(line),
        None => return sha256_of_two(&[0], line),
    }
    sha256(copy.get(..=line.len()).unwrap_or(&copy))
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    let (_, pair) = bytes.split_at_mut(1);
    let (first, second) = pair.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Certificate Transparency's own leaves and roots; origin in `vectors/SOURCES.md`.
    const VECTORS: &str = include_str!("vectors/rfc6962-merkle.txt");

    /// RFC 6962 section 2.1, word for word.
    fn naive(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [leaf] => leaf_hash(leaf),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let mut tree = Tree::default();
        let mut seen = 0;
        for row in VECTORS.lines().filter(|row| !row.starts_with('#')) {
            let [kind, value]: [&str; 2] = row.split(' ').collect::<Vec<_>>().try_into().unwrap();
            match kind {
                "leaf" => tree.push(leaf_hash(&hex::decode(value.trim_matches('-')).unwrap())),
                "root" => assert_eq!(hex::encode(tree.root()), value, "{} leaves", tree.size()),
                other => panic!("{other} is no row"),
            }
            seen += 1;
        }
        assert_eq!(seen, 17, "8 leaves and 9 roots");
    }

    #[test]
    fn an_edge_of_another_length_is_refused() {
        assert_eq!(Tree::from_edge(5, vec![[0; 32]; 3]), None);
        assert!(Tree::from_edge(5, vec![[0; 32]; 2]).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_root_equals_the_recursive_definition(
            leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..70)
        ) {
            let mut tree = Tree::default();
            for (i, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(tree.root(), naive(&leaves[..i]));
                tree.push(leaf_hash(leaf));
                let again = Tree::from_edge(tree.size(), tree.edge().to_vec()).unwrap();
                prop_assert_eq!(&again, &tree);
            }
            prop_assert_eq!(tree.head(), Head { size: leaves.len() as u64, root: naive(&leaves) });
        }
    }
}
