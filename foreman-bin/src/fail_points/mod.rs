//! Points at which the process kills itself, for tests of what is left then.
//!
//! The points lie in the seams that every layer is given anyway: around the store, around the
//! target, and in the moment before a commit. The libraries know nothing of them. Which one is
//! meant, and at which time of passing it, is said by `FAIL_POINT`, such as `after_claim:2`.

mod client;
mod fuse;
mod point;
mod store;

use std::ffi::OsString;
use std::sync::Arc;

use foreman_store::{BeforeCommit, SqliteConfig};

pub use fuse::Fuse;
pub use point::{NoSuchPoint, Point, Step};

use crate::args::ServeOptions;
use crate::commands::serve::Seams;
use client::FusedClient;
use store::FusedStore;

/// The variable that names the point.
const VARIABLE: &str = "FAIL_POINT";

/// Sets the fuse that the environment names.
pub(crate) fn armed(
    options: ServeOptions,
    variables: &[(OsString, OsString)],
) -> Result<ServeOptions, NoSuchPoint> {
    let named = variables.iter().find(|(name, _)| name == VARIABLE);
    let Some((_, text)) = named else {
        return Ok(options);
    };
    let fuse = text.to_string_lossy().parse::<Fuse>()?;
    Ok(ServeOptions {
        fuse: Arc::new(fuse),
        ..options
    })
}

/// Lets the fuse see each commit.
pub(crate) fn watch_commits(config: SqliteConfig, fuse: &Arc<Fuse>) -> SqliteConfig {
    // The first commit of all is that of the migrations.
    fuse.arm(Point::BeforeMigrate);
    let fuse = Arc::clone(fuse);
    SqliteConfig {
        before_commit: BeforeCommit::new(move || fuse.commits()),
        ..config
    }
}

/// Puts the points around the store and the target.
pub(crate) fn wrap(seams: Seams, fuse: &Arc<Fuse>) -> Seams {
    let Seams { queue, client } = seams;
    Seams {
        queue: Arc::new(FusedStore::new(queue, Arc::clone(fuse))),
        client: Arc::new(FusedClient::new(client, Arc::clone(fuse))),
    }
}
