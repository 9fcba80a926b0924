//! The read lane: connections that can only read, each used for one short read at a time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::connection;
use super::files::Place;
use crate::{SqliteConfig, StoreError};

type Pool = r2d2::Pool<SqliteConnectionManager>;

/// Reads without disturbing the writer.
pub(super) struct ReadLane {
    /// None once the lane is closed.
    pool: Mutex<Option<Pool>>,
    /// As many as there are connections, so that no thread ever waits for one.
    permits: Arc<Semaphore>,
}

impl ReadLane {
    /// Opens the connections; the database must have its schema already.
    pub(super) fn open(place: &Place, config: &SqliteConfig) -> Result<Self, r2d2::Error> {
        let readers = config.readers.max(1);
        let busy = config.busy;
        let manager = SqliteConnectionManager::file(place.db())
            .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .with_init(move |conn| connection::set_reader(conn, busy));
        // Connections are never replaced: they would come back without their statements.
        let pool = r2d2::Pool::builder()
            .max_size(readers)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .build(manager)?;
        Ok(Self {
            pool: Mutex::new(Some(pool)),
            permits: Arc::new(Semaphore::new(usize::try_from(readers).unwrap_or(1))),
        })
    }

    /// Reads something on a thread that may block.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let pool = self.lock().clone().ok_or(StoreError::Closed)?;
        let reading = tokio::task::spawn_blocking(move || {
            let conn = pool.try_get().ok_or(StoreError::Busy)?;
            let found = read(&conn);
            // In this order: who gets the permit finds the connection.
            drop(conn);
            drop(permit);
            found
        });
        match reading.await {
            Ok(found) => found,
            Err(error) => Err(StoreError::Database(Box::new(error))),
        }
    }

    /// Lets the connections go.
    pub(super) fn close(&self) {
        self.permits.close();
        drop(self.lock().take());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pool>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ReadLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadLane").finish_non_exhaustive()
    }
}
