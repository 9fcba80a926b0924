//! Whether a queue that lost its power keeps what callers had been told.
#![expect(clippy::panic, reason = "a trace that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use foreman_job::{Job, JobId, JobState, Timestamp};
use foreman_store::{QueueStore, SqliteConfig, SqliteStore};

use super::trace::{DATABASE, JOURNAL, LOG, Told};

/// What callers had been told.
#[derive(Debug, Clone, Default)]
pub(super) struct Promises {
    states: BTreeMap<JobId, Option<JobState>>,
    purging: bool,
}

impl Promises {
    pub(super) fn add(&mut self, told: Told) {
        match told {
            Told::Accepted(id) => {
                self.states.entry(id).or_insert(None);
            }
            Told::Done(id) => {
                self.states.insert(id, Some(JobState::Done));
            }
            Told::Cancelled(id) => {
                self.states.insert(id, Some(JobState::Cancelled));
            }
            Told::Purging => self.purging = true,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Opens the queue as the next life does, and looks for each job.
    ///
    /// # Errors
    ///
    /// What is not as it was said to be.
    pub(super) async fn hold(&self, files: &BTreeMap<u8, Vec<u8>>) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("foreman.db");
        for (name, bytes) in files {
            let ending = match *name {
                DATABASE => "",
                LOG => "-wal",
                JOURNAL => "-journal",
                other => panic!("a file {other}"),
            };
            let path = format!("{}{ending}", path.display());
            std::fs::write(path, bytes).unwrap();
        }
        let config = SqliteConfig {
            reserve: 0,
            ballast: 0,
            readers: 1,
            ..SqliteConfig::new(&path)
        };
        let store = SqliteStore::open(&config).map_err(|error| format!("open: {error}"))?;
        for (id, state) in &self.states {
            self.holds(&store, *id, *state).await?;
        }
        recovers(&store).await?;
        drop(store);
        is_whole(&path)
    }

    async fn holds(
        &self,
        store: &SqliteStore,
        id: JobId,
        state: Option<JobState>,
    ) -> Result<(), String> {
        let job = store.job(id).await;
        let job = job.map_err(|error| format!("job {id}: {error}"))?;
        let job: Job = job.ok_or_else(|| format!("job {id} is lost"))?;
        let found = job.progress.state;
        if state.is_some_and(|state| state != found) {
            return Err(format!("job {id} was {state:?}, and is {found}"));
        }
        if self.purging && found.is_terminal() {
            return Ok(());
        }
        let request = store.request(id).await;
        match request.map_err(|error| format!("request of {id}: {error}"))? {
            Some(request) if request.body.ends_with(b"}") => {}
            other => return Err(format!("request of {id} is {:?}", other.is_some())),
        }
        if found != JobState::Done {
            return Ok(());
        }
        let answer = store.answer(id).await;
        let answer = answer.map_err(|error| format!("answer of {id}: {error}"))?;
        let chunks = answer.map(|answer| answer.chunks.concat());
        if chunks.is_some_and(|text| String::from_utf8_lossy(&text).contains("\"done\":true")) {
            Ok(())
        } else {
            Err(format!("answer of {id} is not whole"))
        }
    }
}

async fn recovers(store: &SqliteStore) -> Result<(), String> {
    let now = Timestamp::from_millis(i64::MAX / 2);
    let recovered = store.recover(now, now).await;
    let recovery = recovered.map_err(|error| format!("recovery: {error}"))?;
    let counts = store.counts();
    if counts.loading + counts.working > 0 || counts.queued != recovery.queued {
        return Err(format!("after recovery: {counts:?}"));
    }
    Ok(())
}

fn is_whole(path: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    let check = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match check.map_err(|error| error.to_string())?.as_str() {
        "ok" => Ok(()),
        report => Err(report.to_owned()),
    }
}
