//! Small named values.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, named_params};

use crate::StoreError;

const SAVE: &str = "\
INSERT INTO notes (name, value)
VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const READ: &str = "\
SELECT value
FROM notes
WHERE name = :name";

const REMOVE: &str = "\
DELETE FROM notes
WHERE name = :name";

/// Keeps a value.
pub(in crate::sqlite) fn save_note(
    conn: &Connection,
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    conn.prepare_cached(SAVE)?
        .execute(named_params! {":name": name, ":value": value})?;
    Ok(())
}

/// Reads a value.
pub(in crate::sqlite) fn note(conn: &Connection, name: &str) -> Result<Option<Bytes>, StoreError> {
    let value: Option<Vec<u8>> = conn
        .prepare_cached(READ)?
        .query_row(named_params! {":name": name}, |row| row.get(0))
        .optional()?;
    Ok(value.map(Bytes::from))
}

/// Forgets a value.
pub(in crate::sqlite) fn remove_note(conn: &Connection, name: &str) -> Result<(), StoreError> {
    conn.prepare_cached(REMOVE)?
        .execute(named_params! {":name": name})?;
    Ok(())
}
