//! Brings a database to the schema that this program knows.

use rusqlite::Connection;
use rusqlite_migration::{Error, M, Migrations};

use super::error::{Class, class};

/// The schema version after the last migration.
pub(super) const KNOWN_VERSION: i64 = 4;

/// "fore": set by the first migration.
pub(super) const APPLICATION_ID: i32 = 1_718_579_813;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../../../migrations/0001_jobs.sql")),
    M::up(include_str!("../../../../migrations/0002_guard.sql")),
    M::up(include_str!(
        "../../../../migrations/0003_claim_and_end.sql"
    )),
    M::up(include_str!(
        "../../../../migrations/0004_rows_of_a_log.sql"
    )),
];

/// Applies the migrations that are missing, each with its version in one transaction.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), Error> {
    Migrations::from_slice(STEPS).to_latest(conn)
}

/// Tells whether a migration found no room on the disk.
pub(super) fn found_no_room(error: &Error) -> bool {
    matches!(error, Error::RusqliteError { err, .. } if class(err) == Class::Full)
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
