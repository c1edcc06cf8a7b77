//! The one row that says which schema the store has, whose it is, and what seals it.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::Error;

use crate::store::StoreError;
use crate::store::error::during;
use crate::store::rows::column;
use crate::store::seal::Seal;
use crate::store::seal::Sum;
use crate::store::seal::same;
use crate::store::sql;

/// What the header says.
pub(crate) struct Header {
    pub(crate) schema: i64,
    seal: Vec<u8>,
}

impl Header {
    /// Checks the seal over all rows.
    pub(crate) fn check(&self, seal: &Seal, sum: &Sum) -> Result<(), StoreError> {
        if !same(&seal.over(self.schema, sum), &self.seal) {
            return Err(StoreError::Altered);
        }
        Ok(())
    }
}

/// Fills an empty file with the tables and the header, ready to be renamed.
pub(crate) fn build(path: &Path, seal: &Seal, migrations: &[&str]) -> Result<(), StoreError> {
    let making = during("making the store");
    let mut connection = sql::connect_plain(path)?;
    let transaction = connection.transaction().map_err(&making)?;
    for migration in migrations {
        transaction.execute_batch(migration).map_err(&making)?;
    }
    let schema = count(migrations);
    let sealed = seal.over(schema, &Sum::default());
    transaction.execute(sql::PUT_HEADER, (schema, seal.key_check(), sealed)).map_err(&making)?;
    transaction.commit().map_err(&making)?;
    sql::use_write_ahead_log(&connection)?;
    connection.close().map_err(|(_, e)| making(e))
}

/// Reads the header, and refuses a store of a newer program or of another key.
pub(crate) fn read(
    connection: &Connection,
    seal: &Seal,
    known: usize,
) -> Result<Header, StoreError> {
    let reading = during("reading the store's header");
    let mut statement = connection.prepare(sql::HEADER).map_err(&reading)?;
    let mut rows = statement.query([]).map_err(&reading)?;
    let odd = || StoreError::Corrupt("the header is not one row".to_owned());
    let row = rows.next().map_err(&reading)?.ok_or_else(odd)?;
    let schema: i64 = row.get(0).map_err(|e| unexpected(&e))?;
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    if schema > known {
        return Err(StoreError::NewerSchema { found: schema, known });
    }
    if !same(&seal.key_check(), column(row, 1)?) {
        return Err(StoreError::WrongKey);
    }
    let header = Header { schema, seal: column(row, 2)?.to_vec() };
    match rows.next().map_err(&reading)? {
        None => Ok(header),
        Some(_) => Err(odd()),
    }
}

/// Brings an older store up to date, in one transaction. Returns its schema.
pub(crate) fn migrate(
    connection: &mut Connection,
    seal: &Seal,
    (from, sum): (i64, &Sum),
    migrations: &[&str],
) -> Result<i64, StoreError> {
    let moving = during("bringing the store up to date");
    let to = count(migrations);
    if from == to {
        return Ok(to);
    }
    let done = usize::try_from(from).unwrap_or(0);
    let transaction = connection.transaction().map_err(&moving)?;
    for migration in migrations.iter().skip(done) {
        transaction.execute_batch(migration).map_err(&moving)?;
    }
    transaction.execute(sql::RESEAL, (to, seal.over(to, sum))).map_err(&moving)?;
    transaction.commit().map_err(&moving)?;
    Ok(to)
}

fn count(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

fn unexpected(error: &Error) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
