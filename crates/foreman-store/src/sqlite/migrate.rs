//! Brings a database to the schema that this program knows.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::OpenError;
use super::files::Place;

/// The schema version after the last migration.
pub(super) const KNOWN_VERSION: i64 = 2;

/// "fore": set by the first migration.
pub(super) const APPLICATION_ID: i32 = 1_718_579_813;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../../../migrations/0001_jobs.sql")),
    M::up(include_str!("../../../../migrations/0002_guard.sql")),
];

/// Applies the migrations that are missing, each with its version in one transaction.
pub(super) fn migrate(conn: &mut Connection, place: &Place) -> Result<(), OpenError> {
    Migrations::from_slice(STEPS)
        .to_latest(conn)
        .map_err(|source| OpenError::Database {
            path: place.db().to_path_buf(),
            source: Box::new(source),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_apply_to_an_empty_database() {
        Migrations::from_slice(STEPS).validate().unwrap();

        assert_eq!(STEPS.len(), usize::try_from(KNOWN_VERSION).unwrap());
    }
}
