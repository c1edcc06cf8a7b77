//! Reading rows: none comes out of here whose tag was not looked at.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::Row;
use rusqlite::ToSql;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;

use crate::key::KeyId;
use crate::key::Move;
use crate::store::Document;
use crate::store::Outgoing;
use crate::store::StoreError;
use crate::store::error::during;
use crate::store::seal::Seal;
use crate::store::seal::Sum;
use crate::store::seal::Tag;
use crate::store::seal::same;
use crate::store::sql;

const READING: &str = "reading the store";

/// The tables whose rows carry tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Document,
    History,
    Outbox,
    Meta,
}

impl Table {
    const ALL: [Self; 4] = [Self::Document, Self::History, Self::Outbox, Self::Meta];

    /// Its name, which the tags bind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::History => "history",
            Self::Outbox => "outbox",
            Self::Meta => "meta",
        }
    }

    /// Whole rows, the tag last.
    fn select(self) -> &'static str {
        match self {
            Self::Document => "SELECT kind, id, body, tag FROM document",
            Self::History => "SELECT key_id, seq, body, tag FROM history",
            Self::Outbox => "SELECT position, rid, log_size, body, tag FROM outbox",
            Self::Meta => "SELECT name, value, tag FROM meta",
        }
    }

    /// How many columns stand before the tag.
    fn width(self) -> usize {
        match self {
            Self::Document | Self::History => 3,
            Self::Outbox => 4,
            Self::Meta => 2,
        }
    }

    /// How many of them are the primary key.
    fn key_width(self) -> usize {
        match self {
            Self::Document | Self::History => 2,
            Self::Outbox | Self::Meta => 1,
        }
    }
}

/// A row whose tag fits.
pub(crate) struct Checked<'a> {
    table: Table,
    row: &'a Row<'a>,
    pub(crate) tag: Tag,
}

impl<'a> Checked<'a> {
    fn new(seal: &Seal, table: Table, row: &'a Row<'a>) -> Result<Self, StoreError> {
        let mut tag = seal.row(table.name());
        for index in 0..table.width() {
            match value(row, index)? {
                ValueRef::Integer(number) => tag.number(number),
                ValueRef::Text(bytes) => tag.text_bytes(bytes),
                ValueRef::Blob(bytes) => tag.bytes(bytes),
                ValueRef::Null | ValueRef::Real(_) => return Err(tampered(table, row)),
            }
        }
        let tag = tag.tag();
        match value(row, table.width())? {
            ValueRef::Blob(found) if same(&tag, found) => Ok(Self { table, row, tag }),
            _ => Err(tampered(table, row)),
        }
    }

    /// The document in it.
    pub(crate) fn document<D: DeserializeOwned>(&self) -> Result<D, StoreError> {
        serde_json::from_slice(self.bytes(2)?).map_err(|source| {
            let (kind, id) = names(self.table, self.row);
            StoreError::Unreadable { kind, id, source }
        })
    }

    fn bytes(&self, index: usize) -> Result<&[u8], StoreError> {
        column(self.row, index)
    }

    fn text(&self, index: usize) -> Result<String, StoreError> {
        String::from_utf8(self.bytes(index)?.to_vec()).map_err(|_| tampered(self.table, self.row))
    }

    fn number(&self, index: usize) -> Result<i64, StoreError> {
        match value(self.row, index)? {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(tampered(self.table, self.row)),
        }
    }
}

/// Hands the chosen rows of a table to `take`, checked. Stops at the first that is not authentic.
pub(crate) fn each(
    connection: &Connection,
    seal: &Seal,
    (table, which): (Table, &str),
    values: &[&dyn ToSql],
    mut take: impl FnMut(&Checked<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let text = [table.select(), which].concat();
    let mut statement = connection.prepare_cached(&text).map_err(during(READING))?;
    let mut rows = statement.query(values).map_err(during(READING))?;
    while let Some(row) = rows.next().map_err(during(READING))? {
        take(&Checked::new(seal, table, row)?)?;
    }
    Ok(())
}

/// The document of that kind and id.
pub(crate) fn document<D: Document>(
    connection: &Connection,
    seal: &Seal,
    id: &str,
) -> Result<Option<D>, StoreError> {
    let mut found = None;
    let which = (Table::Document, sql::KIND_AND_ID);
    each(connection, seal, which, &[&D::KIND, &id], |row| {
        found = Some(row.document()?);
        Ok(())
    })?;
    Ok(found)
}

/// The steps of a key's life, in order and without a gap.
pub(crate) fn history(
    connection: &Connection,
    seal: &Seal,
    key: KeyId,
) -> Result<Vec<Move>, StoreError> {
    let mut moves = Vec::new();
    let key = key.to_string();
    each(connection, seal, (Table::History, sql::KEY), &[&key], |row| {
        if usize::try_from(row.number(1)?) != Ok(moves.len()) {
            return Err(tampered(Table::History, row.row));
        }
        moves.push(row.document()?);
        Ok(())
    })?;
    Ok(moves)
}

/// A small value.
pub(crate) fn meta(
    connection: &Connection,
    seal: &Seal,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let mut found = None;
    each(connection, seal, (Table::Meta, sql::NAME), &[&name], |row| {
        found = Some(row.text(1)?);
        Ok(())
    })?;
    Ok(found)
}

/// The outgoing records after a position.
pub(crate) fn outbox(connection: &Connection, seal: &Seal) -> Result<Vec<Outgoing>, StoreError> {
    let mut pending = Vec::new();
    each(connection, seal, (Table::Outbox, sql::BY_POSITION), &[], |row| {
        pending.push(Outgoing {
            position: row.number(0)?,
            rid: row.text(1)?,
            log_size: u64::try_from(row.number(2)?).unwrap_or(0),
            body: row.bytes(3)?.to_vec(),
        });
        Ok(())
    })?;
    Ok(pending)
}

/// Checks every row of every table, and that each table is in order, so that looking a row up
/// finds what going through all of them finds. Returns what they add up to, and the positions of
/// the outgoing records.
pub(crate) fn check_all(
    connection: &Connection,
    seal: &Seal,
) -> Result<(Sum, BTreeSet<i64>), StoreError> {
    let (mut sum, mut waiting) = (Sum::default(), BTreeSet::new());
    for table in Table::ALL {
        let mut before = Key::default();
        each(connection, seal, (table, sql::EVERY), &[], |row| {
            sum.add(&seal.part(&row.tag));
            if table == Table::Outbox {
                waiting.insert(row.number(0)?);
            }
            before.rises_to(row)
        })?;
    }
    Ok((sum, waiting))
}

/// The bytes of a column, whether text or bytes.
pub(crate) fn column<'a>(row: &'a Row<'_>, index: usize) -> Result<&'a [u8], StoreError> {
    match value(row, index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(StoreError::Corrupt(format!("a column is {}", other.data_type()))),
    }
}

/// A primary key, in the order of the table.
#[derive(Default)]
struct Key {
    first_row_seen: bool,
    columns: [Vec<u8>; 2],
}

impl Key {
    /// Takes the key of the next row, which must be greater.
    fn rises_to(&mut self, row: &Checked<'_>) -> Result<(), StoreError> {
        let mut next: [Vec<u8>; 2] = Default::default();
        for (index, column) in next.iter_mut().enumerate().take(row.table.key_width()) {
            match value(row.row, index)? {
                // Shifted so that negative numbers stand before the others.
                ValueRef::Integer(n) => column.extend((n ^ i64::MIN).to_be_bytes()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => column.extend(bytes),
                ValueRef::Null | ValueRef::Real(_) => return Err(tampered(row.table, row.row)),
            }
        }
        if self.first_row_seen && next <= self.columns {
            return Err(tampered(row.table, row.row));
        }
        *self = Self { first_row_seen: true, columns: next };
        Ok(())
    }
}

fn value<'a>(row: &'a Row<'_>, index: usize) -> Result<ValueRef<'a>, StoreError> {
    row.get_ref(index).map_err(during(READING))
}

fn tampered(table: Table, row: &Row<'_>) -> StoreError {
    let (kind, id) = names(table, row);
    StoreError::Tampered { kind, id }
}

/// The kind and the id to name a row by, as far as they can still be read.
fn names(table: Table, row: &Row<'_>) -> (String, String) {
    let text = |index| match value(row, index) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(80).collect()
        }
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Null | ValueRef::Real(_)) | Err(_) => "?".to_owned(),
    };
    match table {
        Table::Document => (text(0), text(1)),
        Table::History | Table::Outbox | Table::Meta => (table.name().to_owned(), text(0)),
    }
}
