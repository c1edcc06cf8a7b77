//! The SQL: tables, statements, and the connection's settings.
//!
//! Statements keep to what PostgreSQL understands as well: `$1` placeholders, `INSERT … ON
//! CONFLICT`, TEXT, BIGINT and bytes. What is SQLite's own is the settings and `WITHOUT ROWID`,
//! which makes each table one tree: there is no index beside it that could disagree with it.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

use crate::store::StoreError;
use crate::store::error::during;

/// One text per schema, appended to and never changed. They make and change tables, never rows,
/// because rows are tagged as they are.
pub(crate) const MIGRATIONS: &[&str] = &["
    CREATE TABLE store (schema BIGINT NOT NULL, key_check BLOB NOT NULL, seal BLOB NOT NULL);
    CREATE TABLE document (
        kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, tag BLOB NOT NULL,
        PRIMARY KEY (kind, id)) WITHOUT ROWID;
    CREATE TABLE history (
        key_id TEXT NOT NULL, seq BIGINT NOT NULL, body TEXT NOT NULL, tag BLOB NOT NULL,
        PRIMARY KEY (key_id, seq)) WITHOUT ROWID;
    CREATE TABLE outbox (
        position BIGINT NOT NULL, rid TEXT NOT NULL, log_size BIGINT NOT NULL,
        body BLOB NOT NULL, tag BLOB NOT NULL,
        PRIMARY KEY (position)) WITHOUT ROWID;
    CREATE TABLE meta (
        name TEXT NOT NULL, value TEXT NOT NULL, tag BLOB NOT NULL,
        PRIMARY KEY (name)) WITHOUT ROWID;
"];

pub(crate) const HEADER: &str = "SELECT schema, key_check, seal FROM store";
pub(crate) const PUT_HEADER: &str =
    "INSERT INTO store (schema, key_check, seal) VALUES ($1, $2, $3)";
pub(crate) const RESEAL: &str = "UPDATE store SET schema = $1, seal = $2";

/// Which rows of a table: appended to its SELECT.
pub(crate) const EVERY: &str = "";
pub(crate) const KIND: &str = " WHERE kind = $1 ORDER BY id";
pub(crate) const PAGE: &str = " WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(crate) const KIND_AND_ID: &str = " WHERE kind = $1 AND id = $2";
pub(crate) const KEY: &str = " WHERE key_id = $1 ORDER BY seq";
pub(crate) const NAME: &str = " WHERE name = $1";
pub(crate) const BY_POSITION: &str = " ORDER BY position";
pub(crate) const UP_TO: &str = " WHERE position <= $1 ORDER BY position";

pub(crate) const PUT_DOCUMENT: &str = "
    INSERT INTO document (kind, id, body, tag) VALUES ($1, $2, $3, $4)
    ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, tag = excluded.tag";
pub(crate) const DELETE_DOCUMENT: &str = "DELETE FROM document WHERE kind = $1 AND id = $2";
pub(crate) const NEXT_SEQ: &str =
    "SELECT COALESCE(MAX(seq), -1) + 1 FROM history WHERE key_id = $1";
pub(crate) const PUT_HISTORY: &str =
    "INSERT INTO history (key_id, seq, body, tag) VALUES ($1, $2, $3, $4)";
pub(crate) const PUT_OUTBOX: &str =
    "INSERT INTO outbox (position, rid, log_size, body, tag) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const DELETE_OUTBOX: &str = "DELETE FROM outbox WHERE position <= $1";
pub(crate) const PUT_META: &str = "
    INSERT INTO meta (name, value, tag) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, tag = excluded.tag";

/// Opens the database: one connection, the file locked for this process, every commit synced.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect_plain(path)?;
    use_write_ahead_log(&connection)?;
    Ok(connection)
}

/// As [`connect`], in whatever journal mode the file has.
pub(crate) fn connect_plain(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection =
        Connection::open_with_flags(path, flags).map_err(during("opening the store"))?;
    settle(&connection).map_err(during("opening the store"))?;
    Ok(connection)
}

/// Switches to the write-ahead log, or checks that the file is in it.
pub(crate) fn use_write_ahead_log(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(during("opening the store"))?;
    if mode != "wal" {
        return Err(StoreError::Corrupt(format!("journal mode {mode}, expected wal")));
    }
    Ok(())
}

/// Looks through the structure of the file.
pub(crate) fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(during("checking the store"))?;
    if found != "ok" {
        return Err(StoreError::Corrupt(found));
    }
    Ok(())
}

fn settle(connection: &Connection) -> Result<(), rusqlite::Error> {
    // The file is input: nothing in its schema may run, and the schema cannot be edited by SQL.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    // Nothing is spilled into /tmp, and there is no memory shared with other processes (-shm).
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is removed is overwritten in the file: erased names do not linger in free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // The home's lock comes first; whoever still has the file is no process of this product.
    connection.busy_timeout(Duration::from_millis(200))
}
