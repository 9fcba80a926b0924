//! The last moment before a commit, for tests that end the process there.

use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;

/// Is called in the thread that writes when nothing but the commit is left to do of a transaction,
/// that of a migration included.
#[derive(Clone)]
pub struct BeforeCommit(Arc<dyn Fn() + Send + Sync>);

impl BeforeCommit {
    /// Takes what is to be called.
    pub fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    /// Is called for the commits of a connection from now on.
    pub(super) fn watch(&self, conn: &Connection) -> rusqlite::Result<()> {
        let call = Arc::clone(&self.0);
        conn.commit_hook(Some(move || {
            call();
            false
        }))
    }
}

impl Default for BeforeCommit {
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl fmt::Debug for BeforeCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeCommit").finish_non_exhaustive()
    }
}
