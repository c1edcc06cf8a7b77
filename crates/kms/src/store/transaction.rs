//! Changing rows: each change goes with its tag, and all of them with a new seal.

use std::fmt;

use rusqlite::ToSql;
use rusqlite::TransactionBehavior;

use crate::key::KeyId;
use crate::key::Move;
use crate::store::Document;
use crate::store::Inner;
use crate::store::StoreError;
use crate::store::error::during;
use crate::store::rows;
use crate::store::rows::Table;
use crate::store::seal::RowTag;
use crate::store::seal::Seal;
use crate::store::seal::Sum;
use crate::store::seal::Tag;
use crate::store::sql;

/// Changes under way: seen by reads through this value, by nobody else before the commit.
pub struct Transaction<'a> {
    sql: rusqlite::Transaction<'a>,
    seal: &'a Seal,
    name: &'static str,
    schema: i64,
    sum: Sum,
    next_position: i64,
}

impl<'a> Transaction<'a> {
    /// Begins, and removes the outgoing records that are in the log by now.
    pub(in crate::store) fn begin(
        inner: &'a mut Inner,
        name: &'static str,
    ) -> Result<Self, StoreError> {
        let begun = inner.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut transaction = Self {
            sql: begun.map_err(during(name))?,
            seal: &inner.seal,
            name,
            schema: inner.schema,
            sum: inner.sum,
            next_position: inner.next_position,
        };
        if inner.cleared_to > 0 {
            let sum = transaction.without((Table::Outbox, sql::UP_TO), &[&inner.cleared_to])?.0;
            transaction.execute(sql::DELETE_OUTBOX, &[&inner.cleared_to], sum)?;
        }
        Ok(transaction)
    }

    /// The document of that kind and id, as this transaction sees it.
    ///
    /// # Errors
    /// As [`crate::store::Store::read`].
    pub fn read<D: Document>(&self, id: &str) -> Result<Option<D>, StoreError> {
        rows::document(&self.sql, self.seal, id)
    }

    /// Puts a new document.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of that kind and id.
    pub fn insert<D: Document>(&mut self, document: &D) -> Result<(), StoreError> {
        let id = document.document_id();
        match self.without((Table::Document, sql::KIND_AND_ID), &[&D::KIND, &id])? {
            (_, true) => Err(StoreError::Exists { kind: D::KIND, id }),
            (sum, false) => self.write(document, sum),
        }
    }

    /// Puts a document, in the place of the one of that kind and id if there is one.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if the one in its place is not what was put there.
    pub fn put<D: Document>(&mut self, document: &D) -> Result<(), StoreError> {
        let id = document.document_id();
        let sum = self.without((Table::Document, sql::KIND_AND_ID), &[&D::KIND, &id])?.0;
        self.write(document, sum)
    }

    /// Removes a document. Says whether there was one.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete<D: Document>(&mut self, id: &str) -> Result<bool, StoreError> {
        let values: [&dyn ToSql; 2] = [&D::KIND, &id];
        let (sum, found) = self.without((Table::Document, sql::KIND_AND_ID), &values)?;
        self.execute(sql::DELETE_DOCUMENT, &values, sum)?;
        Ok(found)
    }

    /// Adds a step to a key's history. Steps are never changed or removed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn append_history(&mut self, key: KeyId, step: &Move) -> Result<(), StoreError> {
        let id = key.to_string();
        let seq: i64 = self
            .sql
            .query_row(sql::NEXT_SEQ, [&id], |row| row.get(0))
            .map_err(during(self.name))?;
        let body = json("history", &id, step)?;
        let mut tag = self.seal.row(Table::History.name());
        tag.text(&id);
        tag.number(seq);
        tag.text(&body);
        let (tag, sum) = self.with(self.sum, tag);
        self.execute(sql::PUT_HISTORY, &[&id, &seq, &body, &tag], sum)
    }

    /// Keeps an audit record with the change it tells of, until [`crate::store::Store::clear_outbox`]
    /// says that it is in the log. `rid` names the record, `log_size` is the number of records the
    /// log has now. Returns its position.
    ///
    /// # Errors
    /// Those of the database.
    pub fn outbox(&mut self, rid: &str, log_size: u64, body: &[u8]) -> Result<i64, StoreError> {
        let position = self.next_position;
        let log_size = i64::try_from(log_size).unwrap_or(i64::MAX);
        let mut tag = self.seal.row(Table::Outbox.name());
        tag.number(position);
        tag.text(rid);
        tag.number(log_size);
        tag.bytes(body);
        let (tag, sum) = self.with(self.sum, tag);
        self.execute(sql::PUT_OUTBOX, &[&position, &rid, &log_size, &body, &tag], sum)?;
        self.next_position = position.saturating_add(1);
        Ok(position)
    }

    /// A small value, as this transaction sees it.
    ///
    /// # Errors
    /// As [`crate::store::Store::meta`].
    pub fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        rows::meta(&self.sql, self.seal, name)
    }

    /// Puts a small value, in the place of the one of that name if there is one.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn set_meta(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let sum = self.without((Table::Meta, sql::NAME), &[&name])?.0;
        let mut tag = self.seal.row(Table::Meta.name());
        tag.text(name);
        tag.text(value);
        let (tag, sum) = self.with(sum, tag);
        self.execute(sql::PUT_META, &[&name, &value, &tag], sum)
    }

    /// Writes the seal over everything as it is now.
    pub(in crate::store) fn reseal(&mut self) -> Result<(), StoreError> {
        let (schema, sum) = (self.schema, self.sum);
        self.execute(sql::RESEAL, &[&schema, &self.seal.over(schema, &sum)], sum)
    }

    /// Commits. Returns what the store is to remember.
    pub(in crate::store) fn commit(self) -> Result<(Sum, i64), StoreError> {
        self.sql.commit().map_err(during(self.name))?;
        Ok((self.sum, self.next_position))
    }

    fn write<D: Document>(&mut self, document: &D, sum: Sum) -> Result<(), StoreError> {
        let id = document.document_id();
        let body = json(D::KIND, &id, document)?;
        let mut tag = self.seal.row(Table::Document.name());
        [D::KIND, &id, &body].iter().for_each(|column| tag.text(column));
        let (tag, sum) = self.with(sum, tag);
        self.execute(sql::PUT_DOCUMENT, &[&D::KIND, &id, &body, &tag], sum)
    }

    /// The sum without the chosen rows, each checked first, and whether there are any.
    fn without(
        &self,
        which: (Table, &str),
        values: &[&dyn ToSql],
    ) -> Result<(Sum, bool), StoreError> {
        let (mut sum, mut found) = (self.sum, false);
        rows::each(&self.sql, self.seal, which, values, |row| {
            sum.remove(&self.seal.part(&row.tag));
            found = true;
            Ok(())
        })?;
        Ok((sum, found))
    }

    /// A row's tag, and the sum with it.
    fn with(&self, mut sum: Sum, row: RowTag) -> (Tag, Sum) {
        let tag = row.tag();
        sum.add(&self.seal.part(&tag));
        (tag, sum)
    }

    /// Carries out a statement, after which the rows add up to `sum`.
    fn execute(&mut self, text: &str, values: &[&dyn ToSql], sum: Sum) -> Result<(), StoreError> {
        if self.sql.is_autocommit() {
            // The database rolled back on its own (the disk is full, say), and the caller went on.
            return Err(StoreError::RolledBack);
        }
        let mut statement = self.sql.prepare_cached(text).map_err(during(self.name))?;
        statement.execute(values).map_err(during(self.name))?;
        self.sum = sum;
        Ok(())
    }
}

#[cfg(test)]
impl Transaction<'_> {
    /// Does what the database would do by itself, or what nobody should.
    pub(crate) fn execute_for_test(&self, text: &str) {
        self.sql.execute_batch(text).unwrap();
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction({})", self.name)
    }
}

fn json(kind: &str, id: &str, value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Unreadable {
        kind: kind.to_owned(),
        id: id.to_owned(),
        source,
    })
}
