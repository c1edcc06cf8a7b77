//! Scopes: which keys an assignment of a role covers.
//!
//! Decides whether a key lies in a scope, and whether one scope lies in another. Never decides
//! what may be done with the key.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::key::KeyId;
use crate::key::Label;
use crate::key::Purpose;

/// Most values in one list of a [`Selection`].
const MAX_VALUES: usize = 256;

/// Which keys an assignment covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Scope {
    /// Every key, and everything that is not a key: principals, policies, the audit log.
    All,
    /// Some keys, and nothing that is not a key.
    Only(Selection),
}

impl Scope {
    /// Whether a key lies in this scope; `id` is absent for a key that is yet to be made.
    pub fn covers_key(&self, id: Option<&KeyId>, label: &Label, purpose: Purpose) -> bool {
        match self {
            Self::All => true,
            Self::Only(selection) => selection.covers(id, label, purpose),
        }
    }

    /// Whether every key in `other` surely lies in this scope. Errs to no: a pair of patterns whose
    /// relation is not plain from their text does not count.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(outer), Self::Only(inner)) => outer.includes(inner),
        }
    }
}

/// `all`, or everything chosen: `prod-*, k-…, account`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(Selection { keys, labels, purposes }) = self else {
            return f.write_str("all");
        };
        let keys = keys.iter().map(ToString::to_string);
        let labels = labels.iter().map(ToString::to_string);
        let purposes = purposes.iter().map(|purpose| purpose.name().to_owned());
        let chosen: Vec<String> = labels.chain(keys).chain(purposes).collect();
        f.write_str(&chosen.join(", "))
    }
}

/// Keys chosen by id, label and purpose. A key is chosen if every list that is not empty holds it,
/// so each further list narrows the choice; for alternatives, assign the role twice.
///
/// An id is one key for ever and does not follow rotation; a label does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSelection")]
pub struct Selection {
    keys: Vec<KeyId>,
    labels: Vec<Glob>,
    purposes: Vec<Purpose>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSelection {
    #[serde(default)]
    keys: Vec<KeyId>,
    #[serde(default)]
    labels: Vec<Glob>,
    #[serde(default)]
    purposes: Vec<Purpose>,
}

/// Why lists do not make a selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelection {
    /// All lists are empty; that would choose every key.
    #[error("a scope names at least one key, label or purpose; for every key use `all`")]
    Empty,
    /// A list is too long.
    #[error("a scope has at most 256 values in each list, not {0}")]
    TooMany(usize),
}

impl Selection {
    /// A selection of these ids, labels and purposes.
    ///
    /// # Errors
    ///
    /// If all lists are empty, or one has more than 256 values.
    pub fn new(
        keys: Vec<KeyId>,
        labels: Vec<Glob>,
        purposes: Vec<Purpose>,
    ) -> Result<Self, InvalidSelection> {
        let longest = keys.len().max(labels.len()).max(purposes.len());
        match longest {
            0 => Err(InvalidSelection::Empty),
            1..=MAX_VALUES => Ok(Self { keys, labels, purposes }),
            _ => Err(InvalidSelection::TooMany(longest)),
        }
    }

    fn covers(&self, id: Option<&KeyId>, label: &Label, purpose: Purpose) -> bool {
        (self.keys.is_empty() || id.is_some_and(|id| self.keys.contains(id)))
            && (self.labels.is_empty() || self.labels.iter().any(|glob| glob.matches(label)))
            && (self.purposes.is_empty() || self.purposes.contains(&purpose))
    }

    fn includes(&self, inner: &Self) -> bool {
        let glob_in = |glob: &Glob| self.labels.iter().any(|outer| outer.includes(glob));
        within(&self.keys, &inner.keys, |id| self.keys.contains(id))
            && within(&self.labels, &inner.labels, glob_in)
            && within(&self.purposes, &inner.purposes, |purpose| self.purposes.contains(purpose))
    }
}

/// One list of an inner selection against the same list of an outer one: an empty outer list
/// restricts nothing, and an empty inner list is as wide as can be.
fn within<T>(outer: &[T], inner: &[T], is_inside: impl FnMut(&T) -> bool) -> bool {
    outer.is_empty() || (!inner.is_empty() && inner.iter().all(is_inside))
}

impl TryFrom<RawSelection> for Selection {
    type Error = InvalidSelection;

    fn try_from(raw: RawSelection) -> Result<Self, InvalidSelection> {
        Self::new(raw.keys, raw.labels, raw.purposes)
    }
}

/// A pattern of labels: the characters of a [`Label`], `*` for any run of characters (also none)
/// and `?` for exactly one. 1 to 64 bytes. Letter case does not count, as between labels.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Glob(Box<str>);

/// A text that is no pattern of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern: 1 to 64 letters, digits, spaces, . _ - @ + and the signs * and ?")]
pub struct InvalidGlob(String);

impl Glob {
    /// Whether `label` has this form. Takes at most 64 × 64 steps.
    pub fn matches(&self, label: &Label) -> bool {
        matches(self.0.as_bytes(), label.as_str().as_bytes())
    }

    /// Whether every label that has the form `inner` surely has this one too.
    fn includes(&self, inner: &Self) -> bool {
        // A star in `inner` is a byte that only a star here may take; its question mark likewise
        // may be taken by a question mark or a star. Labels contain neither sign.
        matches(self.0.as_bytes(), inner.0.as_bytes())
    }
}

/// Greedy matching that returns to the last star only: at most one step per pair of bytes.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(read) {
        let wanted = pattern.get(at);
        if wanted == Some(&b'*') {
            last_star = Some((at, read));
            at += 1;
        } else if wanted.is_some_and(|wanted| takes(*wanted, *byte)) {
            (at, read) = (at + 1, read + 1);
        } else if let Some((star, from)) = last_star {
            last_star = Some((star, from + 1));
            (at, read) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == b'*')
}

/// Whether one sign of a pattern, not a star, takes one byte.
fn takes(wanted: u8, byte: u8) -> bool {
    (wanted == b'?' && byte != b'*') || wanted.eq_ignore_ascii_case(&byte)
}

impl FromStr for Glob {
    type Err = InvalidGlob;

    fn from_str(text: &str) -> Result<Self, InvalidGlob> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-@+*?".contains(c);
        let fits = (1..=64).contains(&text.len()) && text.chars().all(allowed);
        fits.then(|| Self(text.to_ascii_lowercase().into()))
            .ok_or_else(|| InvalidGlob(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    fn by_label(text: &str) -> Scope {
        Scope::Only(Selection::new(vec![], vec![glob(text)], vec![]).unwrap())
    }

    #[test]
    fn star_takes_any_run_and_question_mark_exactly_one() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        for (pattern, text, expected) in [
            ("val-*", "val-1", true),
            ("val-*", "VAL-", true),
            ("val-*", "xval-1", false),
            ("*a*b", "xaybzb", true),
            ("v?l", "val", true),
            ("v?l", "vl", false),
            ("val", "val2", false),
            ("*", "anything", true),
            ("a.c", "abc", false), // a dot is a dot
        ] {
            assert_eq!(glob(pattern).matches(&label(text)), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn hostile_pattern_takes_few_steps() {
        let text = "a".repeat(64).parse::<Label>().unwrap();
        let pattern = glob(&format!("{}b", "a*".repeat(31)));
        assert!((0..1_000).all(|_| !pattern.matches(&text)));
    }

    #[test]
    fn scope_inclusion_errs_to_no() {
        for (outer, inner, expected) in [
            ("val-*", "val-a*", true),
            ("val-*", "val-1", true),
            ("val-*", "val-*", true),
            ("val-*", "v*", false),
            ("val-?", "val-*", false),
            ("val-?", "val-?", true),
            ("*", "a?*", true),
            ("a*b", "*b", false),
        ] {
            assert_eq!(by_label(outer).includes(&by_label(inner)), expected, "{outer} ⊇ {inner}");
        }
        assert!(Scope::All.includes(&by_label("*")));
        assert!(!by_label("*").includes(&Scope::All));
    }

    #[test]
    fn each_further_list_narrows_a_scope() {
        let key = KeyId::from_random([1; 16]);
        let label: Label = "val-1".parse().unwrap();
        let both =
            Selection::new(vec![key], vec![glob("val-*")], vec![Purpose::Consensus]).unwrap();
        let scope = Scope::Only(both);
        assert!(scope.covers_key(Some(&key), &label, Purpose::Consensus));
        assert!(!scope.covers_key(Some(&key), &label, Purpose::General));
        assert!(!scope.covers_key(None, &label, Purpose::Consensus));
        assert!(by_label("val-*").includes(&scope));
        assert!(!scope.includes(&by_label("val-*")));
    }

    #[test]
    fn scope_that_selects_nothing_by_name_is_refused() {
        for json in [r#"{"only":{}}"#, r#"{"only":{"labels":["a/b"]}}"#, r#"{"only":{"key":[]}}"#] {
            assert!(serde_json::from_str::<Scope>(json).is_err(), "{json} was read");
        }
        let scope = by_label("Val-*");
        let json = serde_json::to_string(&scope).unwrap();
        assert_eq!(json, r#"{"only":{"keys":[],"labels":["val-*"],"purposes":[]}}"#);
        assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), scope);
    }
}
