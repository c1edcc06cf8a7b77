//! Tags on rows, and the seal over all of them.
//!
//! Two keys are derived from the store key: `K_row = HMAC(K, "…row…")`, `K_sum = HMAC(K, "…sum…")`.
//!
//! ```text
//! tag(row)  = HMAC-SHA-256(K_row, table ‖ columns)       each with its kind and length before it
//! part(row) = HMAC-SHA-256(K_sum, tag(row))
//! seal      = HMAC-SHA-256(K_sum, "seal" ‖ schema ‖ number of rows ‖ part(row 1) ⊕ part(row 2) ⊕ …)
//! ```
//!
//! The sum can be kept up to date row by row. It is never written, only its seal: whoever has seen
//! every state of the file knows no part and no sum, so two sets of authentic rows have the same
//! seal only if they are the same set.

use std::fmt;

use aws_lc_rs::hmac;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use subtle::ConstantTimeEq;

use crate::store::StoreError;

/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 32;

/// A tag or a seal.
pub(crate) type Tag = [u8; TAG_LEN];

/// Bytes of the store key.
const KEY_LEN: usize = 32;

/// The two keys.
pub(crate) struct Seal {
    row: Box<hmac::Key>,
    sum: Box<hmac::Key>,
}

impl Seal {
    /// Derives the keys from the store key of 32 bytes, which is not kept.
    pub(crate) fn new(key: &SecretBytes) -> Result<Self, StoreError> {
        if key.len() != KEY_LEN {
            return Err(StoreError::WrongKey);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let derive = |name: &[u8]| {
            Box::new(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, name).as_ref()))
        };
        let seal = Self {
            row: derive(b"virtengine kms store row v1"),
            sum: derive(b"virtengine kms store sum v1"),
        };
        drop(key);
        burn_stack();
        Ok(seal)
    }

    /// Shows that a store belongs to this key.
    pub(crate) fn key_check(&self) -> Tag {
        finish(started(&self.sum, &[b"key"]))
    }

    /// Begins the tag of a row.
    pub(crate) fn row(&self, table: &str) -> RowTag {
        RowTag(started(&self.row, &[table.as_bytes()]))
    }

    /// What a row contributes to the sum.
    pub(crate) fn part(&self, tag: &Tag) -> Tag {
        finish(started(&self.sum, &[b"part", tag]))
    }

    /// The seal over all rows.
    pub(crate) fn over(&self, schema: i64, sum: &Sum) -> Tag {
        let (schema, rows) = (schema.to_be_bytes(), sum.rows.to_be_bytes());
        finish(started(&self.sum, &[b"seal", &schema, &rows, &sum.parts]))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// The tag of a row, under way.
pub(crate) struct RowTag(hmac::Context);

impl RowTag {
    /// Takes a column of text.
    pub(crate) fn text(&mut self, column: &str) {
        self.text_bytes(column.as_bytes());
    }

    /// Takes a column of text as it stands in the file.
    pub(crate) fn text_bytes(&mut self, column: &[u8]) {
        self.0.update(b"t");
        update(&mut self.0, column);
    }

    /// Takes a column of bytes.
    pub(crate) fn bytes(&mut self, column: &[u8]) {
        self.0.update(b"b");
        update(&mut self.0, column);
    }

    /// Takes a column that is a number.
    pub(crate) fn number(&mut self, column: i64) {
        self.0.update(b"i");
        self.0.update(&column.to_be_bytes());
    }

    /// The tag.
    pub(crate) fn tag(self) -> Tag {
        finish(self.0)
    }
}

/// All rows of a store: how many, and their parts added without carry.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    rows: u64,
    parts: Tag,
}

impl Sum {
    /// Counts a row in.
    pub(crate) fn add(&mut self, part: &Tag) {
        self.rows = self.rows.wrapping_add(1);
        self.flip(part);
    }

    /// Counts a row out.
    pub(crate) fn remove(&mut self, part: &Tag) {
        self.rows = self.rows.wrapping_sub(1);
        self.flip(part);
    }

    fn flip(&mut self, part: &Tag) {
        self.parts.iter_mut().zip(part).for_each(|(sum, part)| *sum ^= part);
    }
}

/// Compares without telling where the difference is.
pub(crate) fn same(tag: &Tag, found: &[u8]) -> bool {
    tag.as_slice().ct_eq(found).into()
}

fn started(key: &hmac::Key, fields: &[&[u8]]) -> hmac::Context {
    let mut context = hmac::Context::with_key(key);
    fields.iter().for_each(|field| update(&mut context, field));
    context
}

fn update(context: &mut hmac::Context, field: &[u8]) {
    context.update(&(field.len() as u64).to_be_bytes());
    context.update(field);
}

fn finish(context: hmac::Context) -> Tag {
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&SecretBytes::copy_from(&[byte; 32])).unwrap()
    }

    fn row(seal: &Seal, table: &str, columns: &[&[u8]]) -> Tag {
        let mut tag = seal.row(table);
        columns.iter().for_each(|column| tag.bytes(column));
        tag.tag()
    }

    #[test]
    fn tag_tells_keys_tables_and_columns_apart() {
        let first = row(&seal(1), "t", &[b"ab", b"c"]);
        assert_eq!(first, row(&seal(1), "t", &[b"ab", b"c"]));
        assert_ne!(first, row(&seal(2), "t", &[b"ab", b"c"]));
        assert_ne!(first, row(&seal(1), "u", &[b"ab", b"c"]));
        assert_ne!(first, row(&seal(1), "t", &[b"a", b"bc"]));
        assert_ne!(first, row(&seal(1), "t", &[b"abc"]));
        let mut number = seal(1).row("t");
        number.number(7);
        assert_ne!(number.tag(), row(&seal(1), "t", &[&7_i64.to_be_bytes()]));
        let mut text = seal(1).row("t");
        text.text("abc");
        assert_ne!(text.tag(), row(&seal(1), "t", &[b"abc"]), "a lookup tells text from bytes");
    }

    #[test]
    fn sum_forgets_what_was_removed_and_counts_what_is_twice() {
        let (a, b) = (seal(1).part(&[1; 32]), seal(1).part(&[2; 32]));
        let over = |sum: &Sum| seal(1).over(1, sum);
        let mut sum = Sum::default();
        let empty = over(&sum);
        sum.add(&a);
        let only_a = over(&sum);
        sum.add(&b);
        assert_ne!(over(&sum), only_a);
        sum.remove(&b);
        assert_eq!(over(&sum), only_a);
        sum.add(&a);
        assert_ne!(over(&sum), empty, "a row there twice counts as none");
        assert_ne!(seal(1).over(2, &Sum::default()), empty);
    }

    #[test]
    fn store_key_has_32_bytes() {
        for wrong in [0, 31, 33] {
            let refused = Seal::new(&SecretBytes::zeroed(wrong));
            assert!(matches!(refused, Err(StoreError::WrongKey)));
        }
    }
}
